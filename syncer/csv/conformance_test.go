package csv_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	aidacsv "aida/syncer/csv"
	"aida/syncer/datadoc"
	"aida/syncer/sourcetest"

	"github.com/klauspost/compress/gzip"
)

func described(path string) datadoc.Table {
	return datadoc.Table{ID: "shop.orders", Name: "orders", Folder: "shop", Dataset: "shop", Description: "Orders", PrimaryKey: datadoc.Words{"id"},
		Strategy: "full_refresh", CSV: datadoc.CSVOptions{Path: path}}
}

func encode(rows []sourcetest.Row) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(sourcetest.Columns)
	for _, r := range rows {
		_ = w.Write([]string{strconv.FormatInt(r.ID, 10), r.Name, r.Amount, r.ChangedAt.Format("2006-01-02 15:04:05")})
	}
	w.Flush()
	return b.Bytes()
}

func TestAFileConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) *sourcetest.World {
		root := filepath.Join(t.TempDir(), "drop")
		file := filepath.Join(root, "orders.csv")
		w := world(t, aidacsv.Options{Root: root}, "orders.csv", root)
		w.Put = func(t testing.TB, rows []sourcetest.Row) { write(t, file, encode(rows)) }
		w.Remove = func(t testing.TB) { remove(t, file) }
		w.Spoil = func(t testing.TB) []string {
			write(t, file, append(encode(sourcetest.Rows(2, "a")), "3,x,1.00,2026-01-01 00:00:00,more\n"...))
			return []string{"orders.csv:4", "5 cells", "4"}
		}
		w.Many, w.Infers = 180_000, true // more than one block of text
		return w
	})
}

func TestAFolderOfCompressedSlicesConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) *sourcetest.World {
		root := filepath.Join(t.TempDir(), "drop")
		w := world(t, aidacsv.Options{Root: root}, "orders", root)
		w.Put = func(t testing.TB, rows []sourcetest.Row) {
			for i := range 3 {
				write(t, filepath.Join(root, "orders", fmt.Sprintf("part-%d.csv.gz", i)), gzipped(encode(rows[len(rows)*i/3:len(rows)*(i+1)/3])))
			}
		}
		w.Remove = func(t testing.TB) { remove(t, filepath.Join(root, "orders")) }
		w.Spoil = func(t testing.TB) []string {
			whole := gzipped(encode(sourcetest.Rows(500, "a")))
			write(t, filepath.Join(root, "orders", "part-1.csv.gz"), whole[:len(whole)/2])
			return []string{"part-1.csv.gz", "unexpected EOF"}
		}
		w.Infers = true
		return w
	})
}

func TestADownloadConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) *sourcetest.World {
		site := &site{t: t}
		server := httptest.NewServer(site)
		t.Cleanup(server.Close)
		w := world(t, aidacsv.Options{Root: t.TempDir(), Client: server.Client(), Pause: time.Millisecond}, server.URL+"/orders.csv?signature=hush", "")
		w.Secrets = []string{"hush"}
		w.Put = func(t testing.TB, rows []sourcetest.Row) { site.put(encode(rows)) }
		w.Remove = func(testing.TB) { site.put(nil) }
		w.Break = func(testing.TB) func() {
			site.fail(http.StatusServiceUnavailable)
			return func() { site.fail(0) }
		}
		w.Spoil = func(t testing.TB) []string {
			site.put([]byte("id,name,amount,changed_at\n1,\"never closed\n"))
			return []string{"orders.csv:2", "never closed"}
		}
		w.Infers = true
		return w
	})
}

// world is one that breaks by the root going away.
func world(t *testing.T, o aidacsv.Options, path, root string) *sourcetest.World {
	src, err := aidacsv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &sourcetest.World{Source: src, Table: described(path), Break: func(t testing.TB) func() {
		if err := os.Rename(root, root+".away"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Rename(root+".away", root); err != nil {
				t.Fatal(err)
			}
		}
	}}
}

// site serves one file, with an ETag as object stores give it.
type site struct {
	t       testing.TB
	mu      sync.Mutex
	content []byte
	version int
	status  int
}

func (s *site) put(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content, s.version = content, s.version+1
}

func (s *site) fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, status, version := s.content, s.status, s.version
	s.mu.Unlock()
	switch {
	case status != 0:
		http.Error(w, "not now", status)
	case content == nil:
		http.NotFound(w, r)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, version))
		http.ServeContent(w, r, "orders.csv", time.Time{}, bytes.NewReader(content))
	}
}

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o640); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func gzipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}
