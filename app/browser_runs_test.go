package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
)

// An admin's open page shows runs as they begin, go on and end, whatever process they are of; nobody else's is told of them.
func TestRunsShowLiveInABrowser(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("orders.csv", "id\n1\n2\n")
	write("instance.yaml", fmt.Sprintf("instance: {name: Acme}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: %q}}\n", dir))
	write("data_description.md", "```yaml\ntables:\n  - id: s.orders\n    name: orders\n    description: Orders\n    primary_key: id\n    sync_strategy: full_refresh\n    folder: sales\n    csv: {path: orders.csv}\n```\n")
	a := startAida(t, "serve", "--config", dir)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(a.Binary, append(args, "--config", dir, "--data", filepath.Join(a.Dir, "data"))...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	link := func(name string) string {
		lines := strings.Fields(run("analyst", "link", name))
		return lines[len(lines)-1]
	}
	run("analyst", "add", "ada", "--admin", "--email", "ada@example.com")
	run("analyst", "add", "eva", "--email", "eva@example.com")
	admin, analyst := dial(t, a, link("ada")), dial(t, a, link("eva"))
	defer admin.Close()
	defer analyst.Close()
	b := browser(t)
	b.visit(link("ada"))
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { // the page's sockets, to hand it messages
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: "window.sockets = []; const Plain = WebSocket; window.WebSocket = class extends Plain { constructor(...a) { super(...a); sockets.push(this); } };"})
		return err
	}))
	b.visit(a.HTTP + "/admin/runs")

	run("sync") // of another process: the page finds it by itself
	b.do(chromedp.WaitVisible(`a[href="/admin/runs/1"]`))
	if m := runTold(t, admin, 1, store.Done); m.Tables != 0 {
		t.Errorf("%+v", m)
	}
	write("orders.csv", "id\n1\n2\n3\n")
	b.do(chromedp.Click(".filter button.primary"), chromedp.WaitVisible(`a[href="/admin/runs/2"]`))
	if m := runTold(t, admin, 2, store.Running); m.Tables != 1 || len(m.Reading) != 1 || m.Reading[0].Table != "sales.orders" {
		t.Errorf("%+v", m)
	}
	runTold(t, admin, 2, store.Done)
	b.do(chromedp.WaitNotPresent(`tr[data-going]`))
	if text := b.text("main"); strings.Count(text, "done") != 2 {
		t.Errorf("%s", text)
	}
	// What a run of a longer time tells is drawn as it comes.
	b.do(chromedp.Evaluate[chromedp.Void](`sockets.at(-1).dispatchEvent(new MessageEvent("message", { data: JSON.stringify({ type: "run", run: 3, outcome: "running", tables: 12, done: 4,
		reading: [{ table: "sales.orders", bytes: 52428800, size: 104857600, rows: 1234567 }, { table: "web.<b>events</b>", bytes: 1024, rows: 9 }] }) })), undefined`), chromedp.WaitVisible("#live-run"))
	if text := b.text("#live-run"); !strings.Contains(text, "Run 3: 4 of 12 tables are done.") || !strings.Contains(text, "50 MiB of 100 MiB, 1,234,567 rows") || !strings.Contains(text, "web.<b>events</b> 1 KiB, 9 rows") {
		t.Errorf("%s", text)
	}
	b.shots("runs-live")
	b.quiet("runs, live")

	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	check(t, err)
	defer s.Close()
	_, err = s.RaiseAlert(t.Context(), store.Raise{Source: "test", Dedupe: "x", Title: "behind them", To: store.Audience{User: "eva"}})
	check(t, err)
	check(t, analyst.SetReadDeadline(time.Now().Add(time.Minute)))
	for {
		var m struct{ Type, Title string }
		check(t, analyst.ReadJSON(&m))
		if m.Type == "run" {
			t.Fatal("an analyst was told of a run")
		}
		if m.Title == "behind them" {
			break
		}
	}
}

type runMessage struct {
	Type    string
	Run     int64
	Outcome store.Outcome
	Tables  int
	Reading []struct{ Table string }
}

// runTold waits until a page hears that a run has an outcome; while it runs, the message with its tables is meant.
func runTold(t *testing.T, c *websocket.Conn, run int64, outcome store.Outcome) (m runMessage) {
	t.Helper()
	check(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	for m.Type != "run" || m.Run != run || m.Outcome != outcome || outcome == store.Running && m.Tables == 0 {
		m = runMessage{}
		check(t, c.ReadJSON(&m))
	}
	return m
}
