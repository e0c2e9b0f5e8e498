package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/assets"
	"aida/services/telegram/telegramtest"
	"aida/store"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
)

// The kit's example of a rule, pushed with rsync as an analyst does, fires after a sync and reaches a Telegram chat, a WebSocket client
// and the open page; the recovery follows after the next sync. Each comes once.
func TestARuleFiresAfterASyncAndRecoversAfterTheNext(t *testing.T) {
	api := telegramtest.New(t, "123:token")
	config := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	orders := func(cancelled int) {
		var b strings.Builder
		b.WriteString("order_id,created_at,status\n")
		for i := range 100 {
			fmt.Fprintf(&b, "o%d,2026-03-0%d 10:00:00,%s\n", i, 1+i%7, map[bool]string{true: "cancelled", false: "delivered"}[i < cancelled])
		}
		write(filepath.Join(config, "orders.csv"), b.String())
	}
	orders(5)
	write(filepath.Join(config, "instance.yaml"), fmt.Sprintf("instance: {name: Acme}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ntelegram: {bot_token: '123:token', bot_username: acme_bot, api_url: %q}\ndata_source: {csv: {root: %q}}\n", api.URL, config))
	write(filepath.Join(config, "data_description.md"), "```yaml\ntables:\n  - id: s.orders\n    name: orders\n    description: Orders\n    primary_key: order_id\n    sync_strategy: full_refresh\n    folder: sales\n    csv: {path: orders.csv}\n```\n")
	a := startAida(t, "serve", "--config", config)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(a.Binary, append(args, "--config", config, "--data", filepath.Join(a.Dir, "data"))...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("sync")
	key := filepath.Join(a.Dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	run("analyst", "add", "eva", strings.TrimSpace(string(public)), "--email", "eva@example.com")
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eva, err := s.UserByName(t.Context(), "eva")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LinkChannel(t.Context(), "eva", eva.ID, "telegram", "7"); err != nil {
		t.Fatal(err)
	}
	link := func() string {
		t.Helper()
		lines := strings.Fields(run("analyst", "link", "eva"))
		return lines[len(lines)-1]
	}

	socket := dial(t, a, link())
	defer socket.Close()
	b := browser(t)
	b.visit(link())
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.visit(a.HTTP + "/alerts")

	text, err := assets.Kit().Open("examples/notifications/many_cancelled.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	var example bytes.Buffer
	if _, err := example.ReadFrom(text); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(a.Dir, "user", "notifications")
	if err := os.MkdirAll(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(mine, "many_cancelled.yaml"), example.String())
	_, port, _ := strings.Cut(a.SSH, ":")
	push := exec.Command("rsync", "-rt", "-e", "ssh -p "+port+" -i "+key+" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes", filepath.Join(a.Dir, "user")+"/", "eva@127.0.0.1:user/")
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	outcome := func(want store.RuleOutcome) {
		t.Helper()
		var runs []store.RuleRun
		for range 300 {
			if runs, err = s.RuleRuns(t.Context(), eva.ID, "many_cancelled", 1); err != nil {
				t.Fatal(err)
			}
			if len(runs) > 0 && runs[0].Outcome == want {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("%+v, want %s", runs, want)
	}
	outcome(store.RuleClear) // a rule that has an interval runs when it is first seen

	orders(40)
	run("sync")
	fired := "40 % of the orders were cancelled"
	if m := api.Wait(1); m.Chat != "7" || !strings.Contains(m.Text, fired) || !strings.Contains(m.Text, "40 of 100 orders") {
		t.Errorf("Telegram: %+v", m)
	}
	if got := notification(t, socket); got.Title != fired || got.State != "fired" {
		t.Errorf("WebSocket: %+v", got)
	}
	b.do(chromedp.WaitVisible(".alert-fired.alert-warning"))
	if text := b.text("#alerts"); !strings.Contains(text, fired) {
		t.Errorf("page: %s", text)
	}

	orders(10)
	run("sync")
	if m := api.Wait(2); !strings.Contains(m.Text, "Recovered") || !strings.Contains(m.Text, "It is 10 % again.") {
		t.Errorf("Telegram: %+v", m)
	}
	if got := notification(t, socket); got.State != "recovered" {
		t.Errorf("WebSocket: %+v", got)
	}
	b.do(chromedp.WaitVisible(".alert-recovered"))
	run("sync") // nothing new: nothing is told
	time.Sleep(3 * time.Second)
	if n := len(api.Messages()); n != 2 {
		t.Errorf("%d messages: %+v", n, api.Messages())
	}
	b.shots("alerts-rule")

	// The page shows the same file, with how it fared.
	b.visit(a.HTTP + "/alerts/rules")
	if text := b.text("main"); !strings.Contains(text, "many_cancelled") || !strings.Contains(text, "clear") {
		t.Errorf("%s", text)
	}
	b.shots("rules")
	b.visit(a.HTTP + "/alerts/rules/many_cancelled")
	b.do(press("preview"), chromedp.WaitVisible("#preview"))
	if text := b.text("main"); !strings.Contains(text, "10 % of the orders were cancelled") || !strings.Contains(text, "recovered") || !strings.Contains(text, "holds") {
		t.Errorf("%s", text)
	}
	b.shots("rule")
	b.visit(a.HTTP + "/alerts/new-rule")
	b.do(chromedp.SendKeys(`input[name="name"]`, "few"), chromedp.SetValue("textarea", "sql: SELECT count(*) AS n FROM nowhere\nwhen: n < 5\ntitle: Few\nschedule: every 1h\n"),
		press("preview"), chromedp.WaitVisible("#preview"))
	if text := b.text("#preview"); !strings.Contains(text, "no such table: nowhere") {
		t.Errorf("%s", text)
	}
	b.quiet("rules")
	b.do(chromedp.SetValue("textarea", "sql: SELECT count(*) AS n FROM orders\nwhen: n > 5\ntitle: Many\nshedule: every 1h\n"), press("save"), chromedp.WaitVisible(".notice-bad"))
	if text := b.text("main"); !strings.Contains(text, `few.yaml:4:1: unknown key "shedule": did you mean "schedule"?`) {
		t.Errorf("%s", text)
	}
	b.do(chromedp.SetValue("textarea", "sql: SELECT count(*) AS n FROM orders\nwhen: n > 5\ntitle: Many\nschedule: every 1h\n"), press("save"), chromedp.WaitVisible("form[action$=\"/remove\"]"))
	if got, err := os.ReadFile(filepath.Join(a.Dir, "data", "home", "eva", "user", "notifications", "few.yaml")); err != nil || !strings.Contains(string(got), "n > 5") {
		t.Errorf("%s %v", got, err)
	}
	if m := api.Wait(3); !strings.Contains(m.Text, "Many") {
		t.Errorf("%+v", m)
	}
}

// press pushes a button of the form wherever it stands: on a small page the bar at the bottom may lie over it.
func press(button string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void]("document.querySelector('button[value=\"" + button + "\"]').click()")
}

// dial opens a WebSocket with the session of a browser that a link signed in.
func dial(t *testing.T, a *appliance, link string) *websocket.Conn {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	seen, err := client.Get(link) // the link works in the browser that opened it
	if err != nil {
		t.Fatal(err)
	}
	seen.Body.Close()
	req, err := http.NewRequest(http.MethodPost, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	base, err := url.Parse(a.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	head := http.Header{"Origin": {a.HTTP}}
	for _, c := range jar.Cookies(base) {
		head.Add("Cookie", c.Name+"="+c.Value)
	}
	socket, _, err := websocket.DefaultDialer.Dial("ws://"+base.Host+"/ws", head)
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

type notified struct{ Type, Title, State string }

// notification waits for the next alert.
func notification(t *testing.T, c *websocket.Conn) (n notified) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for n.Type != "notification" {
		n = notified{}
		if err := c.ReadJSON(&n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}
