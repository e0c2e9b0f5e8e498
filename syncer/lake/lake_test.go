package lake_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer/lake"
)

type fixture struct {
	t    *testing.T
	data string
	s    *store.Store
	l    *lake.Lake
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, data: t.TempDir()}
	f.open()
	err := f.s.SetCatalog(context.Background(), []store.Dataset{{Name: "sales", Access: store.OpenAccess}},
		[]store.Table{{SourceID: "o", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "i", Name: "items", Folder: "sales", Dataset: "sales"}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.s, err = store.Open(context.Background(), store.Options{Path: filepath.Join(f.data, "aida.db")}); err != nil {
		f.t.Fatal(err)
	}
	if f.l, err = lake.Open(lake.Options{Data: f.data, Store: f.s, Keep: time.Nanosecond, KeepCount: 1}); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.s.Close(); f.l.Close() })
}

// publish gives tables new content by name, each as one file.
func (f *fixture) publish(content map[string]string) lake.Published {
	f.t.Helper()
	scratch, err := f.l.Scratch()
	if err != nil {
		f.t.Fatal(err)
	}
	defer scratch.Release()
	var changes []lake.Change
	for name, text := range content {
		table, err := f.s.TableByName(context.Background(), name)
		if err != nil {
			f.t.Fatal(err)
		}
		staged, err := scratch.Stage("")
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := io.WriteString(staged, text); err != nil {
			f.t.Fatal(err)
		}
		if err := staged.Finish(); err != nil {
			f.t.Fatal(err)
		}
		changes = append(changes, lake.Change{Table: table, Files: []lake.Part{{Staged: staged, Rows: 1}}})
	}
	p, err := f.l.Publish(context.Background(), 0, "", changes)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) pin() *store.Pin {
	f.t.Helper()
	p, err := f.s.Pin(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) read(p *store.Pin, logical string) string {
	f.t.Helper()
	file, found := p.Find(logical)
	if !found {
		f.t.Fatalf("%s is not in generation %d", logical, p.Generation)
	}
	open, err := f.l.Open(file)
	if err != nil {
		f.t.Fatal(err)
	}
	defer open.Close()
	text, err := io.ReadAll(io.NewSectionReader(open, 0, file.Size))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

func (f *fixture) onDisk() string {
	f.t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(f.data), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasPrefix(p, "lake/") || strings.HasPrefix(p, "scratch/")) {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

func TestAReaderKeepsItsGenerationWhileOthersArePublishedAndSwept(t *testing.T) {
	f := setUp(t)
	f.publish(map[string]string{"orders": "one", "items": "uno"})
	pin := f.pin()
	f.publish(map[string]string{"orders": "two", "items": "due"})
	f.publish(map[string]string{"orders": "three"})
	if _, err := f.l.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := f.read(pin, "sales/orders.parquet") + f.read(pin, "sales/items.parquet"); got != "oneuno" {
		t.Errorf("the pinned reader sees %q", got)
	}
	pin.Release()
	newest := f.pin()
	defer newest.Release()
	if got := f.read(newest, "sales/orders.parquet") + f.read(newest, "sales/items.parquet"); got != "threedue" {
		t.Errorf("a new reader sees %q", got)
	}
	if n, err := f.l.Sweep(context.Background()); err != nil || n != 3 {
		t.Errorf("swept %d files (%v), want one, two and uno", n, err)
	}
	if got := f.read(newest, "sales/orders.parquet"); got != "three" {
		t.Errorf("after the sweep a reader sees %q", got)
	}
}

func TestTheSameBytesPublishNothingAndKeepTheirTime(t *testing.T) {
	f := setUp(t)
	if p := f.publish(map[string]string{"orders": "one", "items": "uno"}); !p.Changed {
		t.Fatal("nothing was published")
	}
	before := f.pin().Files
	if p := f.publish(map[string]string{"orders": "one"}); p.Changed || len(p.Tables) != 0 {
		t.Errorf("published %+v", p)
	}
	f.publish(map[string]string{"orders": "two", "items": "uno"})
	after := f.pin().Files
	if !after[0].ModTime.Equal(before[0].ModTime) {
		t.Error("the file that did not change has another time")
	}
	if d := after[1].ModTime.Sub(before[1].ModTime); d < time.Second {
		t.Errorf("the changed file is %v newer: clients that compare whole seconds miss it", d)
	}
}

func TestADamagedFileIsFoundAndHealedByWritingItAgain(t *testing.T) {
	f := setUp(t)
	f.publish(map[string]string{"orders": "one"})
	pin := f.pin()
	path := filepath.Join(f.data, "lake", pin.Files[0].Physical)
	if err := os.WriteFile(path, []byte("bad"), 0o640); err != nil {
		t.Fatal(err)
	}
	if bad := f.l.Verify(context.Background(), pin.Files); len(bad) != 1 || !strings.Contains(bad[0].Error(), "sales/orders.parquet") {
		t.Errorf("verify: %v", bad)
	}
	f.publish(map[string]string{"orders": "one"})
	if bad := f.l.Verify(context.Background(), pin.Files); len(bad) != 0 {
		t.Errorf("verify after the repair: %v", bad)
	}
	f.publish(map[string]string{"items": "two"})
	all := f.pin().Files
	if wrong, any := f.l.Wrong(all); any {
		t.Errorf("%s is wrong", wrong.Logical)
	}
	if err := os.Truncate(path, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.l.Open(pin.Files[0]); err == nil {
		t.Error("a cut file was opened")
	}
	if wrong, any := f.l.Wrong(all); !any || wrong.Physical != pin.Files[0].Physical {
		t.Errorf("of %d files, the cut one is not found: %v", len(all), wrong.Logical)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, any := f.l.Wrong(all); !any {
		t.Error("a folder that is gone is not found")
	}
}

func TestAStartRemovesWhatAKilledProcessLeft(t *testing.T) {
	f := setUp(t)
	f.publish(map[string]string{"orders": "one"})
	want := f.onDisk()
	for _, p := range []string{"lake/sales/orders/0123.parquet", "lake/gone/table/x.parquet", "scratch/work-1/.lease", "scratch/work-1/part-1.parquet", "scratch/stray"} {
		if err := os.MkdirAll(filepath.Join(f.data, filepath.Dir(p)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.data, p), []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	living, err := f.l.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.l.Clean(context.Background()); err != nil || n != 4 {
		t.Errorf("removed %d files (%v), want 4", n, err)
	}
	if _, err := os.Stat(living.Dir); err != nil {
		t.Errorf("the work folder of a living process went away: %v", err)
	}
	if err := living.Release(); err != nil {
		t.Fatal(err)
	}
	if got := f.onDisk(); got != want {
		t.Errorf("on disk:\n%s\nwant:\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(f.data, "lake", "gone")); err == nil {
		t.Error("an empty folder stayed")
	}
}

func TestARollbackServesTheOldBytes(t *testing.T) {
	f := setUp(t)
	first := f.publish(map[string]string{"orders": "one"})
	f.publish(map[string]string{"orders": "two"})
	if _, err := f.s.Rollback(context.Background(), "test", first.Generation); err != nil {
		t.Fatal(err)
	}
	if got := f.read(f.pin(), "sales/orders.parquet"); got != "one" {
		t.Errorf("got %q", got)
	}
}

func TestAPartitionNameCannotLeaveTheLake(t *testing.T) {
	f := setUp(t)
	scratch, err := f.l.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	defer scratch.Release()
	table, _ := f.s.TableByName(context.Background(), "orders")
	for _, name := range []string{"../x", "a/b", "..", "a\x00"} {
		staged, err := scratch.Stage(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(staged, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		if err := staged.Finish(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.l.Publish(context.Background(), 0, "", []lake.Change{{Table: table, Files: []lake.Part{{Staged: staged}}}}); err == nil {
			t.Errorf("partition %q was published", name)
		}
	}
}
