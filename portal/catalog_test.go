package portal_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/store"
)

// version publishes sales.orders with so many rows.
func (p *place) version(rows int64) {
	p.t.Helper()
	ctx := p.t.Context()
	orders, err := p.store.TableByName(ctx, "sales.orders")
	if err != nil {
		p.t.Fatal(err)
	}
	run, err := p.store.StartRun(ctx, "test", "test")
	if err != nil {
		p.t.Fatal(err)
	}
	g, _, err := p.store.Publish(ctx, run, "", []store.Change{{TableID: orders.ID, DataTime: time.Now(), Files: []store.File{{Logical: "sales/orders.parquet", Physical: fmt.Sprint("x/", run), Size: 10, Rows: rows, Hash: fmt.Sprint(run), ModTime: time.Now(), Schema: []store.Column{{Name: "id", Type: "BIGINT"}}}}}})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.store.FinishRun(ctx, run, []store.RunTable{{RunID: run, TableID: orders.ID, Outcome: store.Changed, Rows: rows, Generation: g, StartedAt: time.Now(), Duration: time.Second}}, false); err != nil {
		p.t.Fatal(err)
	}
}

func TestTheCatalogDrawsHowTheRowsOfATableWent(t *testing.T) {
	p := open(t, setup{})
	company(t, p)
	eva := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	if a := eva.get("/catalog"); strings.Contains(a.body, "trend") {
		t.Errorf("one version alone has a trend: %s", a.body)
	}
	p.version(1500)
	p.version(900)
	wants(t, eva.get("/catalog"), http.StatusOK, `aria-label="from 2 to 900 rows over the last 3 versions"`, `<polyline points="0,15.0 30,1.0 60,6.6"/>`)
	if err := p.store.SetCatalog(t.Context(), []store.Dataset{{Name: "sales", Access: store.RestrictedAccess}}, []store.Table{{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales"}}); err != nil {
		t.Fatal(err)
	}
	if a := eva.get("/catalog"); strings.Contains(a.body, "orders") || strings.Contains(a.body, "900") {
		t.Errorf("a table that is no longer eva's is shown: %s", a.body)
	}
}

// What is packed once for many is, together with what is packed for one, the page that a client without gzip gets.
func TestAPageThatIsPackedInPiecesIsThePage(t *testing.T) {
	p := open(t, setup{})
	company(t, p)
	for name, b := range map[string]*browser{"eva": p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})), "ada": p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))} {
		b.header.Set("Accept-Encoding", "identity")
		plain := b.get("/catalog")
		wants(t, plain, http.StatusOK, "orders", "</html>")
		lengths := map[int]bool{}
		for range 20 {
			b.header.Set("Accept-Encoding", "br, gzip;q=0.5")
			a := b.get("/catalog")
			if a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("Vary") != "Accept-Encoding" {
				t.Fatalf("%s: %v", name, a.Header)
			}
			z, err := gzip.NewReader(bytes.NewReader([]byte(a.body)))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(z)
			if err != nil || string(text) != plain.body {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			lengths[len(a.body)] = true
		}
		if len(lengths) < 2 {
			t.Error("the length of the answer tells what is in it")
		}
	}
}

func TestAClientThatReadsGzipSaysSo(t *testing.T) {
	for accept, want := range map[string]bool{"": false, "gzip": true, "br, GZIP": true, "gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=1": true, "gzip;q=x": false, "xgzip": false, "identity": false, "deflate, gzip;q=0.1": true} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		if got := portal.TakesGzip(r); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
}

func TestRemovingATableShowsWhatItCutsFirst(t *testing.T) {
	paper := onPaper()
	p := open(t, setup{change: func(o *portal.Options) { o.Tables = paper }})
	company(t, p)
	ctx := t.Context()
	ada := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p.addUser(store.NewUser{Name: "zoe", Email: "zoe@example.com"})
	must(p.store.Suspend(ctx, "test", "zoe", true))
	must(p.store.Grant(ctx, "test", "eva", false, "sales.orders"))
	must(p.store.SubscribeTables(ctx, "test", "eva", true, map[string]bool{"orders": true}))
	orders, err := p.store.TableByName(ctx, "sales.orders")
	must(err)
	must(p.store.WatchTable(ctx, eva.ID, orders.ID, true))
	must(p.store.SetRule(ctx, store.RuleState{UserID: eva.ID, Name: "few", Query: "SELECT count(*) FROM Orders"}))
	must(p.store.SetRule(ctx, store.RuleState{UserID: eva.ID, Name: "other", Query: "SELECT count(*) FROM reorders"}))
	wants(t, ada.get("/admin/tables/sales.orders"), http.StatusOK, `href="/admin/tables/sales.orders/remove"`)
	a := ada.get("/admin/tables/sales.orders/remove")
	wants(t, a, http.StatusOK, "2 people read it", "ada, eva", "1 grant on", "1 alert rule names it", "few of eva", "1 metric reads it", "1 person chose", "1 person is told", "/srv/d.md", "schedule: ", `name="seen" value="1"`)
	if strings.Contains(a.body, "zoe") || strings.Contains(a.body, "other of eva") {
		t.Errorf("%s", a.body)
	}
	form := url.Values{"seen": {"1"}, "confirm": {"orders"}}
	wants(t, ada.post("/admin/tables/sales.orders/remove", form), http.StatusBadRequest, "Nothing was removed")
	form.Set("confirm", "sales.orders")
	form.Set("seen", "0")
	wants(t, ada.post("/admin/tables/sales.orders/remove", form), http.StatusConflict, "Look again")
	form.Set("seen", "1")
	wants(t, ada.follow(ada.post("/admin/tables/sales.orders/remove", form)), http.StatusOK, "sales.orders is removed")
	if len(paper.tables) != 0 {
		t.Errorf("%+v", paper.tables)
	}
	wants(t, p.as(eva).get("/admin/tables/sales.orders/remove"), http.StatusForbidden)
}
