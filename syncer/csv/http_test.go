package csv_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	aidacsv "aida/syncer/csv"
	"aida/syncer/source"
)

const orders = "id,v\n1,a\n2,b\n"

// download fetches a URL and gives its rows.
func download(t *testing.T, url string, o aidacsv.Options) (string, error) {
	t.Helper()
	d := newDrop(t, nil)
	o.Root, o.Pause = d.root, time.Millisecond
	d.o = o
	table, _, err := d.read(described(url))
	if entries, rerr := os.ReadDir(d.scratch); rerr != nil || len(entries) > 0 {
		t.Errorf("scratch holds %v (%v)", entries, rerr)
	}
	if err != nil {
		return "", err
	}
	return table.String(), nil
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatServersAnswer(t *testing.T) {
	var tries atomic.Int64
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		words   string // of the error; "" = the rows come
		tries   int64
	}{
		"a plain file": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, orders) }, "", 1},
		"a file in pieces": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, orders[:5])
			w.(http.Flusher).Flush()
			fmt.Fprint(w, orders[5:])
		}, "", 1},
		"a compressed file":       {func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(gzipped([]byte(orders))) }, "", 1},
		"not there":               {http.NotFound, "404 Not Found", 1},
		"forbidden":               {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, "403 Forbidden", 1},
		"no content":              {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, "204 No Content", 1},
		"a part nobody asked for": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(206); fmt.Fprint(w, orders) }, "206 Partial Content", 1},
		"not modified, unasked":   {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }, "304 Not Modified", 1},
		"an error each time":      {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, "500 Internal Server Error", 4},
		"an empty body":           {func(w http.ResponseWriter, r *http.Request) {}, "orders.csv: the file is empty", 1},
		"busy at first": {func(w http.ResponseWriter, r *http.Request) {
			if tries.Load() < 3 {
				w.WriteHeader(429)
				return
			}
			fmt.Fprint(w, orders)
		}, "", 3},
		"a body shorter than it says": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, orders)
		}, "unexpected EOF", 4},
		"a body that is cut": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, orders)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "EOF", 4},
		"a compressed body shorter than it was": {func(w http.ResponseWriter, r *http.Request) {
			z := gzipped([]byte(orders))
			_, _ = w.Write(z[:len(z)-4])
		}, "orders.csv: unexpected EOF", 1},
		"redirects without end":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }, "redirects without end", 4},
		"a page in place of a file": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>\n<p>a, b</p>\n</html>\n") }, "orders.csv:2", 1},
	} {
		tries.Store(0)
		got, err := download(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/orders.csv" {
				tries.Add(1)
			}
			c.handler(w, r)
		})+"/orders.csv?signature=hush", aidacsv.Options{})
		switch {
		case c.words == "" && (err != nil || got != "1|a\n2|b"):
			t.Errorf("%s: got %q, %v", name, got, err)
		case c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "shop.orders") || strings.Contains(err.Error(), "hush")):
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if n := tries.Load(); n != c.tries && name != "redirects without end" {
			t.Errorf("%s: %d requests, want %d", name, n, c.tries)
		}
	}
	if _, err := download(t, "http://127.0.0.1:1/orders.csv", aidacsv.Options{}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no server: %v", err)
	}
	for _, bad := range []string{"http://", "https://user:hush@/x.csv", "http://a b/x.csv"} {
		if _, err := download(t, bad, aidacsv.Options{}); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRedirectsAreFollowedWithoutTellingWhereFrom(t *testing.T) {
	var told atomic.Value
	end := serve(t, func(w http.ResponseWriter, r *http.Request) {
		told.Store(r.Header.Get("Referer") + r.Header.Get("Authorization") + r.URL.RawQuery)
		fmt.Fprint(w, orders)
	})
	end = strings.Replace(end, "127.0.0.1", "localhost", 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hush" {
			w.WriteHeader(401)
			return
		}
		http.Redirect(w, r, end+"/there.csv", http.StatusTemporaryRedirect)
	})
	got, err := download(t, strings.Replace(url, "http://", "http://me:hush@", 1)+"/orders.csv?signature=hush", aidacsv.Options{})
	if err != nil || got != "1|a\n2|b" {
		t.Errorf("got %q, %v", got, err)
	}
	if s := told.Load(); s != "" {
		t.Errorf("the other host was told %q", s)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, end, http.StatusFound) }))
	t.Cleanup(secure.Close)
	client := secure.Client()
	client.CheckRedirect = aidacsv.CheckRedirect
	if _, err := download(t, secure.URL+"/orders.csv", aidacsv.Options{Client: client}); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("a redirect to an unencrypted address: %v", err)
	}
}

func TestABrokenDownloadGoesOnWhereItBroke(t *testing.T) {
	content := []byte("id,v\n" + strings.Repeat("1,some text\n", 50_000))
	for _, c := range []struct {
		name, etag string
		most       int // bytes sent in all
	}{{"with a strong ETag", `"v1"`, len(content) + 1}, {"with a weak one it begins again", `W/"v1"`, 3 * len(content)}, {"without one it begins again", "", 3 * len(content)}} {
		var sent, tries atomic.Int64 // the server may still be at the end of a request
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			try := tries.Add(1)
			if c.etag != "" {
				w.Header().Set("ETag", c.etag)
			}
			count := &counter{ResponseWriter: w, left: 1 << 40}
			if try < 3 {
				count.left = 200_000
			}
			http.ServeContent(count, r, "orders.csv", time.Time{}, bytes.NewReader(content))
			sent.Add(int64(count.n))
			if try < 3 {
				panic(http.ErrAbortHandler)
			}
		})
		got, err := download(t, url+"/orders.csv", aidacsv.Options{})
		if err != nil || strings.Count(got, "\n") != 49_999 {
			t.Errorf("%s: %d rows, %v", c.name, strings.Count(got, "\n")+1, err)
		}
		if sent.Load() > int64(c.most) || tries.Load() != 3 {
			t.Errorf("%s: %d bytes were sent in %d tries", c.name, sent.Load(), tries.Load())
		}
	}
}

// counter sends no more than left bytes.
type counter struct {
	http.ResponseWriter
	n, left int
}

func (c *counter) Write(p []byte) (int, error) {
	if c.n+len(p) > c.left {
		p = p[:c.left-c.n]
		n, _ := c.ResponseWriter.Write(p)
		c.n += n
		c.ResponseWriter.(http.Flusher).Flush()
		return n, errors.New("cut")
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += n
	return n, err
}

func TestAFileThatChangesBetweenTriesIsNeverMixed(t *testing.T) {
	tries := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tries++
		body := "id,v\n" + strings.Repeat(strconv.Itoa(tries)+",x\n", 30_000)
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, tries))
		if tries == 2 && r.Header.Get("Range") != "" { // a server that ignores If-Range and sends the middle of another file
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 60000-%d/%d", len(body)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, body[60000:])
			return
		}
		if tries == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			fmt.Fprint(w, body[:60000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, body)
	})
	got, err := download(t, url+"/orders.csv", aidacsv.Options{})
	if err != nil || strings.Count(got, "3|x") != 30_000 || strings.Count(got, "|x") != 30_000 {
		t.Errorf("%d rows of the third state of %d in all, %v", strings.Count(got, "3|x"), strings.Count(got, "|x"), err)
	}
}

func TestADownloadThatStandsStillEnds(t *testing.T) {
	hold := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, orders)
		w.(http.Flusher).Flush()
		<-hold
	})
	defer close(hold)
	begun := time.Now()
	if _, err := download(t, url+"/orders.csv", aidacsv.Options{Stall: 50 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "stopped sending") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestAnUnchangedFileIsNotDownloadedAgain(t *testing.T) {
	old := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	for _, c := range []struct {
		name     string
		etag     string
		modified time.Time
		again    int // bodies sent for two fetches of the same state
	}{
		{"by its ETag", `"one"`, time.Time{}, 1}, {"by a weak ETag", `W/"one"`, time.Time{}, 1}, {"by its time", "", old, 1},
		{"a time of this very second does not count", "", time.Now().UTC().Truncate(time.Second).Add(2 * time.Second), 2}, {"without either", "", time.Time{}, 2},
	} {
		bodies, content, etag := 0, orders, c.etag
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			rec := &status{ResponseWriter: w}
			http.ServeContent(rec, r, "orders.csv", c.modified, strings.NewReader(content))
			if rec.code != http.StatusNotModified {
				bodies++
			}
		})
		src, err := aidacsv.New(aidacsv.Options{Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		table := described(url + "/orders.csv")
		fetch := func(known string) *source.Result {
			res, err := src.Fetch(t.Context(), source.Request{Table: table, Known: known, Scratch: t.TempDir()})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !res.Unchanged() {
				t.Cleanup(func() { res.Data.Close() })
			}
			return res
		}
		first := fetch("")
		second := fetch(first.Fingerprint)
		if !second.Unchanged() || bodies != c.again {
			t.Errorf("%s: unchanged %t, %d bodies were sent", c.name, second.Unchanged(), bodies)
		}
		if !c.modified.IsZero() && c.modified.Before(time.Now()) && !first.DataTime.Equal(c.modified) {
			t.Errorf("%s: data time %v, the server says %v", c.name, first.DataTime, c.modified)
		}
		if c.etag != "" {
			etag = `"two"`
			if res := fetch(first.Fingerprint); !res.Unchanged() { // the bytes decide
				t.Errorf("%s: another ETag of the same bytes is told as data", c.name)
			}
			content += "3,c\n"
			if res := fetch(first.Fingerprint); res.Unchanged() {
				t.Errorf("%s: the change is not seen", c.name)
			}
		}
		table.OnBadRow = "quarantine"
		if res := fetch(first.Fingerprint); res.Unchanged() {
			t.Errorf("%s: the description changed, and the answer is unchanged", c.name)
		}
	}
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
