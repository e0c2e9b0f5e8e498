package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/portal/auth"
	"aida/portal/portaltest"
	"aida/store"

	"github.com/chromedp/chromedp"
)

// look is a page with what it must say, which is looked at in every way.
type look struct{ name, path, want string }

func (b *tab) looks(base string, pages ...look) {
	b.t.Helper()
	for _, p := range pages {
		b.visit(base + p.path)
		b.says(p.name, p.want)
		b.shots(p.name)
	}
}

func (b *tab) says(where, want string) {
	b.t.Helper()
	if text := b.text("body"); !strings.Contains(text, want) {
		b.t.Errorf("%s: no %q in %.1500s", where, want, text)
	}
}

// in signs a person in by a printed link.
func (b *tab) in(s *store.Store, base string, u store.User) {
	b.t.Helper()
	secret := auth.NewSecret()
	if err := s.AddLink(b.t.Context(), "test", secret, store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: time.Hour}); err != nil {
		b.t.Fatal(err)
	}
	b.visit(base + "/login/email/verify/" + secret)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
}

// storeOf opens the database of a served company beside it, as the command line does.
func storeOf(t *testing.T, a *appliance) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A day on which things go wrong: a table fails, another is paused, a schema changes, somebody is suspended, a rule is broken.
func TestABadDayInABrowser(t *testing.T) {
	t.Parallel()
	a := startAida(t, "demo", "--size", "xs")
	s := storeOf(t, a)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	eva, err := s.AddUser(t.Context(), "ada", store.NewUser{Name: "eva", Email: "eva.novakova-svobodova@subsidiary.example.com", Key: sshKey(t)})
	must(err)
	_, err = s.AddUser(t.Context(), "ada", store.NewUser{Name: "gone", Email: "gone@example.com"})
	must(err)
	must(s.Suspend(t.Context(), "ada", "gone", true))
	must(s.AddGroup(t.Context(), "ada", "finance"))
	must(s.SetMember(t.Context(), "ada", "finance", "eva", true))
	must(s.PauseTable(t.Context(), "ada", "sales.payments", true))
	must(s.WatchTable(t.Context(), eva.ID, 1, true))

	source := filepath.Join(a.Dir, "data", "sample")
	text, err := os.ReadFile(filepath.Join(source, "orders.csv"))
	must(err)
	must(os.WriteFile(filepath.Join(source, "orders.csv"), append(text, "broken,line\n"...), 0o640))
	text, err = os.ReadFile(filepath.Join(source, "campaigns.csv"))
	must(err)
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r") + "," + map[bool]string{true: "owner", false: "Jana"}[i == 0]
	}
	must(os.WriteFile(filepath.Join(source, "campaigns.csv"), []byte(strings.Join(lines, "\n")+"\n"), 0o640))

	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.visit(a.HTTP + "/admin/runs")
	b.do(chromedp.Click("main form button")) // what the page says of it goes when the run ends, as the page is loaded again then
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if run, err := s.RunByID(t.Context(), 2); err == nil && !run.FinishedAt.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the second run does not end")
		}
	}
	b.looks(a.HTTP,
		look{"bad-runs", "/admin/runs", "portal"}, look{"bad-run", "/admin/runs/2", "failed"}, look{"bad-tables", "/admin/tables", "paused"}, look{"bad-catalog", "/catalog", "paused"},
		look{"bad-home", "/", "failing"}, look{"bad-table", "/catalog/sales.orders", "failed"}, look{"bad-health", "/admin/health", "promises do not hold"},
		look{"paused-table", "/admin/tables/sales.payments", "paused"}, look{"remove-table", "/admin/tables/sales.payments/remove", "Remove this table"}, look{"schema-history", "/catalog/marketing.campaigns#history", "owner"},
		look{"rollback", "/admin/generations/1", "Roll back"}, look{"bad-people", "/admin/people", "suspended"}, look{"suspended-person", "/admin/people/gone", "suspended"},
		look{"person-groups", "/admin/people/eva", "finance"}, look{"group", "/admin/groups/finance", "eva"}, look{"remove-person", "/admin/people/eva/remove", "Remove this person"},
		look{"none-catalog", "/catalog?q=zzzz", "No table matches"}, look{"none-tables", "/admin/tables?q=zzzz", "No table matches"}, look{"none-people", "/admin/people?q=zzzz", "Nobody here matches"},
		look{"none-audit", "/admin/audit?q=zzzz", "Nothing in the log matches"}, look{"none-deliveries", "/admin/deliveries", "Every alert"},
		look{"none-rules", "/alerts/rules", "no rule yet"}, look{"not-found", "/nothing/here", "no such page"})

	b.visit(a.HTTP + "/alerts/new-rule")
	b.shots("rule-new")
	b.do(chromedp.SetValue(chromedp.CSS("[name=name]"), "late_orders"), chromedp.SetValue(chromedp.CSS("[name=text]"), "name: Late orders\nsql: SELECT nothing FROM sales.orders\nwhen: rows >\n"),
		chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS(".notice-bad, #preview")))
	b.shots("rule-wrong")
	b.do(chromedp.SetValue(chromedp.CSS("[name=text]"), "name: Late orders\nsql: SELECT order_id, status, created_at FROM sales.orders LIMIT 3\nwhen: rows > 0\ntitle: Orders are late\nschedule: every 6h\n"),
		chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS("#preview")))
	b.shots("rule-preview")
	b.visit(a.HTTP + "/account")
	b.do(chromedp.SetValue(chromedp.CSS(`form[action="/account/tokens"] [name=name]`), "nightly report"), chromedp.Click(`//button[text()="Make token"]`), chromedp.WaitVisible(chromedp.CSS(".command")))
	b.shots("token-made")
	b.visit(a.HTTP + "/admin/people")
	b.do(chromedp.Click(chromedp.CSS("details.fold summary")), chromedp.WaitVisible(chromedp.CSS("[name=email]")))
	b.shots("invite")
	b.visit(a.HTTP + "/admin/settings?q=schedule")
	b.shots("settings-filtered")

	b.in(s, a.HTTP, eva) // the admin's browser, another person: all of the admin's pages are closed
	b.looks(a.HTTP, look{"forbidden", "/admin/people", ""}, look{"analyst-account", "/account", "eva"}, look{"analyst-home", "/", "Connect"})
}

// A place on its first day: no table, no run, nobody but the first admin; every page says what comes next.
func TestAnEmptyPlaceInABrowser(t *testing.T) {
	t.Parallel()
	conf := t.TempDir()
	for name, text := range map[string]string{
		"instance.yaml":       "instance: {name: Riverbank, subtitle: Data for everybody, copyright: Riverbank Ltd}\nauth: {allowed_domain: example.com, webapp_secret_key: 0123456789abcdef0123456789abcdef, disabled_providers: [password]}\nserver: {host: 127.0.0.1, hostname: localhost}\ndata_source: {type: csv, csv: {root: " + filepath.Join(conf, "in") + "}}\n",
		"data_description.md": "```yaml\ntables:\n  - {id: s.orders, name: orders, folder: sales, description: Orders, primary_key: id, sync_strategy: full_refresh, csv: {path: orders.csv}}\n```\n",
	} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(conf, "in"), 0o750); err != nil {
		t.Fatal(err)
	}
	a := startAida(t, "serve", "--config", conf)
	b := browser(t)
	b.looks(a.HTTP, look{"signin-none", "/login", "No way to sign in"})
	b.visit(a.SignIn)
	b.shots("first-admin")
	b.do(chromedp.SetValue(chromedp.CSS("[name=email]"), "ada@example.com"), chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.looks(a.HTTP, look{"empty-home", "/", "without data"}, look{"empty-catalog", "/catalog", "orders"}, look{"empty-table", "/catalog/sales.orders", "never"}, look{"empty-metrics", "/metrics", "No metric"},
		look{"empty-alerts", "/alerts", "Nothing was told"}, look{"empty-runs", "/admin/runs", "Nothing has run"}, look{"empty-generations", "/admin/generations", "Nothing was published"},
		look{"empty-tables", "/admin/tables", "never"}, look{"empty-people", "/admin/people", "Invite"}, look{"empty-discover", "/admin/tables/new", "no table that can be listed"},
		look{"empty-health", "/admin/health", "Data time"}, look{"empty-account", "/account", "No key yet"})
	b.quiet("an empty place")
}

// All ways to sign in, and all ways in which that does not work; each refusal is calm and names the way out.
func TestSigningInAndNotInABrowser(t *testing.T) {
	t.Parallel()
	issuer, sink, conf := portaltest.NewIssuer(t, "client", "secret"), portaltest.NewSink(t), t.TempDir()
	for name, text := range map[string]string{
		"instance.yaml": fmt.Sprintf("instance: {name: Riverbank}\nauth: {allowed_domain: example.com, webapp_secret_key: 0123456789abcdef0123456789abcdef, google_client_id: client, google_client_secret: secret, oidc_issuer: %q, oidc_name: Riverbank ID}\nserver: {host: 127.0.0.1, hostname: localhost}\ndata_source: {type: csv, csv: {root: %q}}\nemail: {smtp_host: %q, smtp_port: %d, smtp_use_tls: false, from_address: data@example.com}\n",
			issuer.URL, conf, sink.Host, sink.Port),
		"data_description.md": "```yaml\ntables:\n  - {id: s.orders, name: orders, folder: sales, description: Orders, primary_key: id, sync_strategy: full_refresh, csv: {path: orders.csv}}\n```\n",
	} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	a := startAida(t, "serve", "--config", conf)
	s := storeOf(t, a)
	eva, err := s.AddUser(t.Context(), "test", store.NewUser{Name: "eva", Email: "eva@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	link := func(kind store.LinkKind, life time.Duration) string {
		t.Helper()
		secret := auth.NewSecret()
		if err := s.AddLink(t.Context(), "test", secret, store.NewLink{Kind: kind, UserID: eva.ID, Life: life}); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	b := browser(t)
	b.looks(a.HTTP, look{"signin-all", "/login", "Riverbank ID"}, look{"signin-ended", "/login?ended", "signed out"}, look{"signin-password", "/login/email", "password"}, look{"forgot", "/auth/forgot", "new password"},
		look{"setup-password", "/auth/setup/" + link(store.InviteLink, time.Hour), "Choose a password"}, look{"reset-password", "/auth/reset/" + link(store.ResetLink, time.Hour), "Choose a password"},
		look{"link-unknown", "/login/email/verify/" + auth.NewSecret(), "not known"}, look{"link-old", "/login/email/verify/" + link(store.SignInLink, -time.Second), "too old"},
		look{"state-stolen", "/authorize?state=" + auth.NewSecret() + "&code=x", "did not begin here"})
	b.visit(a.HTTP + "/login")
	b.do(chromedp.SendKeys(chromedp.CSS("[name=email]"), "eva@example.com"), chromedp.Click(chromedp.CSS("form button")), chromedp.WaitVisible(`//h1[contains(., "mailbox")]`))
	b.shots("mail-sent")
	mailed := sink.Next().Link()
	other := browser(t)
	other.looks("", look{"link-elsewhere", mailed, "where you asked for it"})
	b.visit(mailed)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	other.looks("", look{"link-used", mailed, "used already"})
	other.visit(a.HTTP + "/login")
	issuer.Person = portaltest.Person{Subject: "7", Email: "mallory@elsewhere.org", Verified: true}
	other.do(chromedp.Click(`//a[contains(., "Riverbank ID")]`), chromedp.WaitVisible(".problem"))
	other.shots("wrong-domain")
	other.visit(a.HTTP + "/login/email")
	for range 5 { // the fifth wrong password of a minute is the last
		if _, err := s.Allow(t.Context(), store.Limit{Name: "password eva@example.com from 127.0.0.1", Burst: 5, Every: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	other.do(chromedp.SetValue(chromedp.CSS("[name=email]"), "eva@example.com"), chromedp.SetValue(chromedp.CSS("[name=password]"), "wrong"), chromedp.Click(chromedp.CSS("form button.primary")), chromedp.WaitVisible(".problem"))
	other.says("rate-limited", "Too many attempts")
	other.shots("rate-limited")
}
