package app_test

import (
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"
)

// faults are what may go wrong in the company of newWounded. Each really is injected: files, rows and answers change.
func (w *wounded) faults() []fault {
	data := func(parts ...string) string {
		return filepath.Join(append([]string{w.a.Dir, "data"}, parts...)...)
	}
	conf := func(parts ...string) string { return filepath.Join(append([]string{w.conf}, parts...)...) }
	// replaced puts other bytes into a file, nil takes it away.
	replaced := func(path string, with []byte) func() func() {
		return func() func() {
			old, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			mode := os.FileMode(0o600)
			if statErr == nil {
				mode = info.Mode().Perm()
			}
			if with == nil {
				w.ok(os.Remove(path))
			} else {
				w.ok(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, with, mode))
			}
			return func() {
				if err != nil {
					w.ok(os.Remove(path))
					return
				}
				w.ok(os.WriteFile(path, old, mode), os.Chmod(path, mode))
			}
		}
	}
	moved := func(path string) func() func() {
		return func() func() {
			w.ok(os.Rename(path, path+".away"))
			return func() { w.ok(os.Rename(path+".away", path)) }
		}
	}
	sql := func(do, undo string) func() func() {
		return func() func() {
			w.exec(do)
			return func() { w.exec(undo) }
		}
	}
	bot := func(code int32) func() func() {
		return func() func() {
			w.bot.Store(code)
			return func() { w.bot.Store(0) }
		}
	}
	lakeFile := func() string {
		found, err := filepath.Glob(data("lake", "sales", "orders", "*"))
		if err != nil || len(found) == 0 {
			w.t.Fatalf("no lake file: %v", err)
		}
		return found[0]
	}
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		w.ok(err)
		return text
	}
	resync := func(change func() func()) func() func() {
		return func() func() {
			undo := change()
			w.aida("sync")
			return func() { undo(); w.aida("sync") }
		}
	}
	description, instance := string(read(conf("data_description.md"))), string(read(conf("instance.yaml")))
	describes := func(old, new string) func() func() {
		return replaced(conf("data_description.md"), []byte(strings.Replace(description, old, new, 1)))
	}
	configures := func(old, new string) func() func() {
		return replaced(conf("instance.yaml"), []byte(strings.Replace(instance, old, new, 1)))
	}
	metric := func(text string) func() func() { return replaced(conf("metrics", "sales", "more.yml"), []byte(text)) }
	w.delivery()
	hostKey := data("ssh", "host_ed25519")
	return []fault{
		{"a lake file is gone", "lake", true, moved(lakeFile())},
		{"a lake file is cut short", "lake", true, replaced(lakeFile(), read(lakeFile())[:50])},
		{"a lake file is empty", "lake", true, replaced(lakeFile(), []byte{})},
		{"a lake file grew", "lake", true, replaced(lakeFile(), append(read(lakeFile()), "more"...))},
		{"the lake's folder of a table is gone", "lake", true, moved(data("lake", "sales", "orders"))},
		{"a bad cell failed the last sync", "tables", true, resync(replaced(conf("in", "orders.csv"), []byte("id,amount\n1,x\n")))},
		{"a source file is gone", "tables", true, resync(moved(conf("in", "orders.csv")))},
		{"a source file has no end", "tables", true, resync(replaced(conf("in", "orders.csv"), []byte("id,amount\n1,\"2\n")))},
		{"a table was never synced", "tables", false, sql(`INSERT INTO tables (source_id, name, folder, dataset, definition, created_at) VALUES ('s.new', 'new', 'sales', 'sales', '{}', 1)`, `DELETE FROM tables WHERE source_id = 's.new'`)},
		{"a table is paused", "tables", false, func() func() {
			w.aida("table", "pause", "sales.items")
			return func() { w.aida("table", "resume", "sales.items") }
		}},
		{"two scheduled syncs were missed", "data time", true, sql(`UPDATE tables SET synced_at = synced_at - 172800000000000 - 3600000000000`, `UPDATE tables SET synced_at = synced_at + 172800000000000 + 3600000000000`)},
		{"the clock ran ahead", "data time", true, sql(`UPDATE tables SET synced_at = synced_at + 7200000000000`, `UPDATE tables SET synced_at = synced_at - 7200000000000`)},
		{"the source's folder is gone", "source", false, moved(conf("in"))},
		{"the source's folder is empty", "source", false, func() func() {
			w.ok(os.Rename(conf("in"), conf("in.away")), os.Mkdir(conf("in"), 0o755))
			return func() { w.ok(os.Remove(conf("in")), os.Rename(conf("in.away"), conf("in"))) }
		}},
		{"the source's folder is a file", "source", false, func() func() {
			w.ok(os.Rename(conf("in"), conf("in.away")), os.WriteFile(conf("in"), nil, 0o600))
			return func() { w.ok(os.Remove(conf("in")), os.Rename(conf("in.away"), conf("in"))) }
		}},
		{"the description is no YAML", "description", false, describes("tables:", "tables: [")},
		{"the description has an unknown key", "description", false, describes("primary_key", "primray_key")},
		{"the description has an unknown strategy", "description", false, describes("full_refresh", "full")},
		{"the description has a table twice", "description", false, describes("s.items, name: items", "s.orders, name: items")},
		{"the description describes nothing", "description", false, replaced(conf("data_description.md"), []byte("# Nothing\n"))},
		{"the description is gone", "description", false, moved(conf("data_description.md"))},
		{"the description has a block without an end", "description", false, describes("\n```\n", "\n")},
		{"a metric is empty", "metrics", false, metric("")},
		{"a metric is no YAML", "metrics", false, metric("name: [a")},
		{"a metric has an unknown key", "metrics", false, metric("name: a\ndescripton: b\n")},
		{"a metric is there twice", "metrics", false, replaced(conf("metrics", "sales", "total.yaml"), []byte("name: a\n"))},
		{"the configuration is no YAML", "config", false, configures("instance:", "instance: [")},
		{"the configuration has an unknown key", "config", false, configures("schedule:", "shedule:")},
		{"the configuration has a bad value", "config", false, configures("type: csv, csv:", "type: csv, nosuch:")},
		{"the configuration lacks what it needs", "config", false, configures("allowed_domain: example.com, ", "")},
		{"the configuration is gone", "config", false, moved(conf("instance.yaml"))},
		{"a variable is not set", "config", false, replaced(conf(".env"), []byte("BOT=123:abc\n"))},
		{".env has a line that is none", "config", false, replaced(conf(".env"), []byte("SECRET=0123456789abcdef0123456789abcdef\nBOT=123:abc\nwhat\n"))},
		{"everybody may read the host key", "host key", false, func() func() {
			w.ok(os.Chmod(hostKey, 0o644))
			return func() { w.ok(os.Chmod(hostKey, 0o600)) }
		}},
		{"the host key is gone", "host key", false, moved(hostKey)},
		{"the host key is something else", "host key", false, replaced(hostKey, []byte("not a key"))},
		{"the bot's token was revoked", "telegram", false, bot(http.StatusUnauthorized)},
		{"Telegram is down", "telegram", false, bot(http.StatusBadGateway)},
		{"Telegram throttles", "telegram", false, bot(http.StatusTooManyRequests)},
		{"an alert was given up", "delivery", false, sql(`UPDATE deliveries SET state = 'dead', error = 'chat not found'`, `UPDATE deliveries SET state = 'sent', error = ''`)},
		{"an alert waits and waits", "delivery", false, sql(`UPDATE deliveries SET state = 'pending', attempts = 5, next_at = 9000000000000000000`, `UPDATE deliveries SET state = 'sent', attempts = 1, next_at = 0`)},
		{"a row leads nowhere", "database", false, sql(`PRAGMA foreign_keys = OFF; INSERT INTO keys (user_id, fingerprint, type, public, created_at) VALUES (999999, 'SHA256:x', 'ssh-ed25519', 'x', 1)`, `DELETE FROM keys WHERE user_id = 999999`)},
	}
}

func (w *wounded) ok(errs ...error) {
	w.t.Helper()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *wounded) exec(statement string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// delivery makes one alert that was delivered.
func (w *wounded) delivery() {
	w.t.Helper()
	ada, err := w.store.UserByName(w.t.Context(), "ada")
	w.ok(err)
	w.ok(w.store.LinkChannel(w.t.Context(), "test", ada.ID, "telegram", "7"))
	if _, err := w.store.RaiseAlert(w.t.Context(), store.Raise{Source: "test", Dedupe: "x", Title: "A test", Severity: store.Warning, To: store.Audience{Admins: true}}); err != nil {
		w.t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if list, err := w.store.Deliveries(w.t.Context(), store.Sent, 1); err == nil && len(list) == 1 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal("the alert was not delivered")
		}
	}
}

// signedIn gives a page to whom a link signs in.
func signedIn(t *testing.T, base, secret, path string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	var text string
	for _, step := range []struct{ method, path string }{{"GET", "/login/email/verify/" + secret}, {"POST", "/login/email/verify/" + secret}, {"GET", path}} {
		r, err := http.NewRequestWithContext(t.Context(), step.method, base+step.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if text, err = body(client.Do(r)); err != nil {
			t.Fatal(err)
		}
	}
	return text
}
