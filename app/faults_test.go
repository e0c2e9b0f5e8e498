package app_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aida/portal/auth"
	"aida/store"

	_ "modernc.org/sqlite"
)

// wounded is a served company of a test in which things are broken on purpose.
type wounded struct {
	t     *testing.T
	a     *appliance
	store *store.Store
	db    *sql.DB
	token string
	conf  string
	bot   atomic.Int32 // what Telegram answers with
}

// Each fault is told by `aida doctor`, on the health page's API and on the page itself, by name, and no longer when it is put
// right. A surface that stays green under a fault fails.
func TestNoFaultLeavesASurfaceGreen(t *testing.T) {
	w := newWounded(t)
	for _, f := range w.faults() {
		t.Run(f.name, func(t *testing.T) {
			w.t = t
			if s := w.health(f.check); s != "good" {
				t.Fatalf("%s is %q before the fault", f.check, s)
			}
			undo := f.inject()
			if s := w.health(f.check); s == "good" || s == "" {
				t.Errorf("the health page says %q of %s", s, f.check)
			}
			if s := w.doctor(f.check); s == "ok" || s == "" {
				t.Errorf("the doctor says %q of %s", s, f.check)
			}
			if page := w.page("/admin/health"); !strings.Contains(page, "does not hold") && !strings.Contains(page, "do not hold") && !strings.Contains(page, "cannot be told") {
				t.Error("the health page has no fault on it")
			}
			if f.chip {
				if page := w.page("/"); strings.Contains(page, `<div class="chip"><span class="state state-good">`) {
					t.Error("the chip on every page is green")
				}
			}
			undo()
			if s := w.health(f.check); s != "good" {
				t.Errorf("%s is %q after it was put right", f.check, s)
			}
		})
	}
}

type fault struct {
	name, check string
	chip        bool // it is one of the data, so the chip of each page tells of it
	inject      func() (undo func())
}

func newWounded(t *testing.T) *wounded {
	w := &wounded{t: t, conf: filepath.Join(t.TempDir(), "conf")}
	telegram := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/getUpdates") {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Second):
			}
			fmt.Fprint(rw, `{"ok":true,"result":[]}`)
			return
		}
		if code := w.bot.Load(); code != 0 {
			rw.WriteHeader(int(code))
			fmt.Fprintf(rw, `{"ok":false,"error_code":%d,"description":"no"}`, code)
			return
		}
		fmt.Fprint(rw, `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"aida","username":"aida_bot"}}`)
	}))
	t.Cleanup(telegram.Close)
	w.write("in/orders.csv", "id,amount\n1,2\n2,3\n")
	w.write("in/items.csv", "id,name\n1,a\n")
	w.write("metrics/sales/total.yml", "name: total\ntable: orders\n")
	w.write(".env", "SECRET=0123456789abcdef0123456789abcdef\nBOT=123:abc\n")
	w.write("instance.yaml", `instance: {name: Acme}
auth: {allowed_domain: example.com, webapp_secret_key: "${SECRET}"}
server: {host: 127.0.0.1, hostname: localhost}
schedule: {default: every 24h}
data_source: {type: csv, csv: {root: `+filepath.Join(w.conf, "in")+`}}
telegram: {bot_token: "${BOT}", bot_username: aida_bot, api_url: `+telegram.URL+`}
`)
	w.write("data_description.md", "```yaml\ntables:\n"+
		"  - {id: s.orders, name: orders, folder: sales, description: Orders, primary_key: id, sync_strategy: full_refresh, csv: {path: orders.csv}, columns: [{name: amount, type: int64}]}\n"+
		"  - {id: s.items, name: items, folder: sales, description: Items, primary_key: id, sync_strategy: full_refresh, csv: {path: items.csv}}\n```\n")
	w.a = startAida(t, "serve", "--config", w.conf)
	var err error
	path := filepath.Join(w.a.Dir, "data", "aida.db")
	if w.store, err = store.Open(t.Context(), store.Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	if w.db, err = sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close(); w.store.Close() })
	ada, err := w.store.AddUser(t.Context(), "test", store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin, Key: sshKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	w.token = auth.NewSecret()
	if _, err := w.store.AddToken(t.Context(), "test", w.token, store.Token{Kind: store.APIToken, UserID: ada.ID, Name: "test", Scopes: []string{"read", "write", "admin"}, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); w.health("Tables") != "good"; time.Sleep(200 * time.Millisecond) { // the schedule syncs at once
		if time.Now().After(deadline) {
			t.Fatal("the first sync did not come")
		}
	}
	return w
}

// sshKey makes a key pair and gives the public line.
func sshKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *wounded) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.conf, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wounded) request(method, path string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.a.HTTP+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// health looks at everything anew and gives the state of one check.
func (w *wounded) health(check string) string {
	w.t.Helper()
	status, text := w.request("POST", "/api/v1/health")
	var out struct {
		State  string
		Checks []struct{ Name, State, Evidence string }
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.t.Fatalf("%d %s", status, text)
	}
	for _, c := range out.Checks {
		if strings.EqualFold(c.Name, check) {
			if c.State == "bad" && status == http.StatusOK {
				w.t.Errorf("%s is bad, and the API answers %d", check, status)
			}
			if c.State != "good" && out.State == "good" {
				w.t.Errorf("%s is %s, and the whole is good", check, c.State)
			}
			return c.State
		}
	}
	return ""
}

func (w *wounded) aida(args ...string) string {
	cmd := exec.Command(w.a.Binary, append(args, "--config", w.conf, "--data", filepath.Join(w.a.Dir, "data"))...)
	cmd.Dir = w.a.Dir
	out, _ := cmd.Output() // faults end it with a code
	return string(out)
}

func (w *wounded) doctor(check string) string {
	w.t.Helper()
	var out []struct{ Check, State string }
	text := w.aida("doctor", "--json")
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	for _, c := range out {
		if strings.EqualFold(c.Check, check) {
			return c.State
		}
	}
	return ""
}

// body reads an answer whole.
func body(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// page is one page as the admin's browser gets it.
func (w *wounded) page(path string) string {
	w.t.Helper()
	secret := auth.NewSecret()
	u, err := w.store.UserByName(w.t.Context(), "ada")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.AddLink(w.t.Context(), "test", secret, store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: time.Hour}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Forgive(w.t.Context(), "link addr 127.0.0.1"); err != nil {
		w.t.Fatal(err)
	}
	return signedIn(w.t, w.a.HTTP, secret, path)
}
