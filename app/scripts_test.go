//go:build linux

package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/services/telegram/telegramtest"
	"aida/store"
)

// duckdbModule answers as the duckdb module of Python does, with the DuckDB that judges the tests. It is used where the module
// itself is not installed.
const duckdbModule = `import csv, io, os, subprocess
class _Result:
    def __init__(self, rows): self.rows = rows
    def fetchall(self): return self.rows
    def fetchone(self): return self.rows[0] if self.rows else None
def _value(cell):
    if cell == r"\N": return None
    try: return float(cell)
    except ValueError: return cell
def sql(query):
    out = subprocess.run([os.path.join(os.path.dirname(__file__), "duckdbq"), query], capture_output=True, text=True)
    if out.returncode: raise RuntimeError(out.stderr)
    return _Result([tuple(_value(c) for c in row) for row in csv.reader(io.StringIO(out.stdout))])
`

// pythonWithDuckDB is an interpreter that has the module: the machine's own, or a virtual environment.
func pythonWithDuckDB(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("python3 is missing: install it, or run `make clients`")
	}
	if exec.Command(python, "-c", "import duckdb").Run() == nil {
		return python
	}
	judge := os.Getenv("AIDA_DUCKDB")
	if judge == "" {
		t.Skip("AIDA_DUCKDB is not set: run make test")
	}
	venv := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	site, err := filepath.Glob(filepath.Join(venv, "lib/python3*/site-packages"))
	if err != nil || len(site) != 1 {
		t.Fatal(site, err)
	}
	text, err := os.ReadFile(judge)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(site[0], "duckdbq"), text, 0o755))
	check(t, os.WriteFile(filepath.Join(site[0], "duckdb.py"), []byte(duckdbModule), 0o644))
	return filepath.Join(venv, "bin", "python3")
}

// An analyst puts the examples into user/notifications, and gets what they tell: in the desktop app, in Telegram, with a
// picture that nobody else may see.
func TestTheExampleScriptsTellTheirAuthor(t *testing.T) {
	api := telegramtest.New(t, "123:token")
	c := newCompany(t)
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n"+desktopInstance+
		"telegram: {bot_token: \"123:token\", api_url: "+api.URL+"}\nscripts: {enabled: true, schedule: every 2s, interpreter: "+pythonWithDuckDB(t)+"}\n")
	c.write("config/data_description.md", "```yaml\ntables:\n  - {id: s.orders, name: orders, description: Orders, primary_key: order_id, sync_strategy: full_refresh, folder: sales, csv: {path: orders.csv}}\n"+
		"  - {id: s.salaries, name: salaries, description: Salaries, primary_key: id, sync_strategy: full_refresh, folder: private, dataset: private, csv: {path: salaries.csv}}\n```\n")
	var orders strings.Builder
	orders.WriteString("order_id,created_at,status,total_amount\n")
	for day := range 9 { // yesterday there is a quarter of what there was
		n := 8
		if day == 0 {
			n = 2
		}
		for i := range n {
			fmt.Fprintf(&orders, "%d-%d,%s 10:00:00,paid,100.50\n", day, i, time.Now().UTC().AddDate(0, 0, -1-day).Format("2006-01-02"))
		}
	}
	c.write("in/orders.csv", orders.String())
	c.write("in/salaries.csv", "id,amount\n1,100\n")
	c.run("sync")
	if out := c.run("doctor"); !strings.Contains(out, "they run contained") {
		t.Errorf("%s", out)
	}
	s, _ := c.look()
	eva, err := s.AddUser(t.Context(), "test", store.NewUser{Name: "eva"})
	check(t, err)
	bob, err := s.AddUser(t.Context(), "test", store.NewUser{Name: "bob"})
	check(t, err)
	check(t, s.LinkChannel(t.Context(), "test", eva.ID, "telegram", "7"))
	for _, name := range []string{"revenue_drop.py", "data_freshness.py", "metric_report.py"} {
		text, err := os.ReadFile(filepath.Join("../assets/kit/examples/notifications", name))
		check(t, err)
		c.write("data/home/eva/user/notifications/"+name, string(text))
	}
	server := c.serve()
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(c.dir, "server.log")); t.Failed() && err == nil {
			t.Logf("%s", log)
		}
	})
	ws, err := dialDesktop(server.HTTP, device(t, s, eva, "app"), "0")
	check(t, err)
	defer ws.Close()
	got := map[string]toldApp{}
	check(t, ws.SetReadDeadline(time.Now().Add(60*time.Second)))
	for len(got) < 2 {
		var m toldApp
		check(t, ws.ReadJSON(&m))
		if m.Type == "notification" {
			got[m.Script] = m
		}
	}
	if m := got["revenue_drop"]; m.Title != "Revenue is down" || !strings.Contains(m.Message, "*201 EUR* on ") || !strings.Contains(m.Message, "75 % below the average of the seven days before it (804 EUR)") {
		t.Errorf("%+v", m)
	}
	m := got["metric_report"]
	if !strings.HasPrefix(m.Title, "Orders on ") || !strings.HasSuffix(m.Title, ": 2") || m.Message != "50 in the last 7 days, 7.1 a day." || !strings.HasPrefix(m.ImageURL, "/api/notifications/images/") {
		t.Errorf("%+v", m)
	}
	mine := device(t, s, eva, "pictures")
	status, picture := call(t, "GET", server.HTTP+m.ImageURL, mine, "")
	if _, err := png.Decode(bytes.NewReader(picture)); status != http.StatusOK || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	if status, _ := call(t, "GET", server.HTTP+m.ImageURL, device(t, s, bob, "app"), ""); status != http.StatusNotFound {
		t.Errorf("bob gets eva's picture: %d", status)
	}
	if status, _ := call(t, "GET", server.HTTP+m.ImageURL, "", ""); status != http.StatusUnauthorized {
		t.Errorf("anybody gets eva's picture: %d", status)
	}

	// On demand: the desktop app's list and its button, and Telegram's.
	var list []struct {
		Name, Stem string
		LastRun    *string `json:"last_run"`
		Error      string
	}
	_, text := call(t, "GET", server.HTTP+"/api/desktop/scripts", mine, "")
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 3 || list[0].Stem != "data_freshness" || list[0].LastRun != nil || list[0].Error != "" || list[2].LastRun == nil {
		t.Errorf("%s", text)
	}
	if status, text := call(t, "POST", server.HTTP+"/api/desktop/scripts/run", mine, `{"name":"revenue_drop.py"}`); status != http.StatusOK || !strings.Contains(string(text), `"ok":true`) {
		t.Errorf("%d %s", status, text)
	}
	c.write("data/home/eva/user/notifications/broken.py", "import json, os\nprint(open('/home/bob/user/x').read())")
	if status, text := call(t, "POST", server.HTTP+"/api/desktop/scripts/run", mine, `{"name":"broken.py"}`); status != http.StatusInternalServerError || !strings.Contains(string(text), "FileNotFoundError") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := call(t, "POST", server.HTTP+"/api/desktop/scripts/run", mine, `{"name":"../../bob/user/x.py"}`); status != http.StatusBadRequest || !strings.Contains(string(text), "no script of that name") {
		t.Errorf("%d %s", status, text)
	}
	c.write("data/home/eva/user/notifications/look.py", "import json, os\nprint(json.dumps({'notify': True, 'title': 'seen', 'message': ' '.join(sorted(os.listdir('server/parquet')) + sorted(os.listdir('/home')))}))")
	api.Press(7, "run:look.py")
	for seen := false; !seen; {
		var m toldApp
		check(t, ws.ReadJSON(&m))
		if seen = m.Title == "seen"; seen && m.Message != "sales eva" {
			t.Errorf("eva's script sees %s", m.Message)
		}
	}
	told := ""
	for i := 1; !strings.Contains(told, "Orders on") || !strings.Contains(told, "seen"); i++ {
		told += fmt.Sprintln(api.Wait(i))
	}
	server.stop(15)
	if left := c.debris(s); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

type toldApp struct {
	Type, Title, Message, Script string
	ImageURL                     string `json:"image_url"`
}

func call(t *testing.T, method, url, token, body string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	check(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	check(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	check(t, err)
	return res.StatusCode, text
}
