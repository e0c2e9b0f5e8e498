package portal_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aida/config"
	"aida/portal"
	"aida/portal/auth"
	"aida/portal/auth/desktop"
	"aida/portal/auth/google"
	"aida/portal/auth/password"
	"aida/portal/mail"
	"aida/portal/portaltest"
	"aida/store"
)

// place is a running portal of a test with its database, its clock, its mail server and its sign-in provider.
type place struct {
	t      *testing.T
	store  *store.Store
	portal *portal.Portal
	clock  *clock
	sink   *portaltest.Sink
	issuer *portaltest.Issuer
	base   string
}

// clock is the real one, moved on by hand.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) on(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type setup struct {
	noMail, oidc, desktop bool
	instance              config.Instance
	theme                 config.Theme
	publicURL             string
	change                func(*portal.Options)
}

func open(t *testing.T, o setup) *place {
	t.Helper()
	p := &place{t: t, clock: &clock{}}
	ctx := t.Context()
	var err error
	if p.store, err = store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "aida.db"), Now: p.clock.now}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	email := config.Email{FromAddress: "data@example.com", FromName: "Data"}
	if !o.noMail {
		p.sink = portaltest.NewSink(t)
		plain := false
		email.SMTPHost, email.SMTPPort, email.SMTPUseTLS = p.sink.Host, p.sink.Port, &plain
	}
	mailer, err := mail.New(mail.Options{Config: email, Instance: "Acme", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	rules := config.Auth{AllowedDomain: "example.com, second.example", AllowedEmails: []string{"guest@elsewhere.org"}}
	providers := []auth.Provider{password.New(password.Options{Store: p.store, Mailer: mailer, Allowed: rules.Allows, Instance: "Acme", Links: true, Words: true, Now: p.clock.now})}
	if o.oidc {
		p.issuer = portaltest.NewIssuer(t, "client", "secret")
		providers = append(providers, google.New(google.Options{Issuer: p.issuer.URL, ClientID: "client", ClientSecret: "secret", Domains: rules.Domains(), Allowed: rules.Allows, Log: log}))
	}
	if o.desktop {
		d, err := desktop.New(desktop.Options{Store: p.store, Secret: strings.Repeat("s", 40), Issuer: "data-analyst", Scheme: "data-analyst", Now: p.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		providers = append(providers, d)
	}
	o.instance.Name = cmp.Or(o.instance.Name, "Acme")
	options := portal.Options{Addr: "127.0.0.1:0", PublicURL: o.publicURL, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Instance: o.instance, Theme: o.theme, Store: p.store, Providers: providers, Mailer: mailer,
		People: people{p.store}, Rules: noRules{}, Log: log, Now: p.clock.now, SSH: func() portal.SSH { return portal.SSH{Host: "127.0.0.1", Port: "2222", Key: hostKey} }}
	if o.change != nil {
		o.change(&options)
	}
	p.portal, err = portal.New(options)
	if err != nil {
		t.Fatal(err)
	}
	p.base = "http://" + p.portal.Addr().String()
	if at, err := p.store.Setting(context.Background(), "public_url"); err != nil || at != p.portal.URL("") { // whoever is told that it is up may print a link
		t.Fatalf("the address of the portal is %q (%v), want %q", at, err, p.portal.URL(""))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { mailer.Run(ctx) })
	running.Go(func() {
		if err := p.portal.Serve(ctx); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := p.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

const (
	hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMlJrukjEZEaEIZ7t0TYA9EbG1fAXhoYrq7xVpDe784Y"
	evaKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINSiIWxBZMUBjmlDhCwvdX3UjBi7yprMVSQYyurCHvLE eva@laptop"
)

type people struct{ store *store.Store }

func (p people) Remove(ctx context.Context, actor, name string) (string, error) {
	return "", p.store.RemoveUser(ctx, actor, name)
}

func (p *place) addUser(n store.NewUser) store.User {
	p.t.Helper()
	u, err := p.store.AddUser(p.t.Context(), "test", n)
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

// browser is a person's browser: it keeps cookies and follows no redirect by itself.
type browser struct {
	p      *place
	client *http.Client
	header http.Header
}

func (p *place) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &browser{p: p, client: &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, header: http.Header{}}
}

// answer is a response that was read whole.
type answer struct {
	*http.Response
	body string
}

func (b *browser) do(r *http.Request) answer {
	b.p.t.Helper()
	for k, v := range b.header {
		r.Header[k] = v
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (b *browser) get(path string) answer {
	b.p.t.Helper()
	return b.do(b.request("GET", path, nil))
}

func (b *browser) post(path string, form url.Values) answer {
	b.p.t.Helper()
	r := b.request("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.p.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = b.p.base + path
	}
	r, err := http.NewRequestWithContext(b.p.t.Context(), method, path, body)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return r
}

// follow goes on through redirects to the page at their end.
func (b *browser) follow(a answer) answer {
	b.p.t.Helper()
	for range 10 {
		to, err := a.Location()
		if errors.Is(err, http.ErrNoLocation) {
			return a
		}
		if err != nil {
			b.p.t.Fatal(err)
		}
		a = b.get(to.String())
	}
	b.p.t.Fatal("redirects without end")
	return a
}

// link gives a printed sign-in link of somebody.
func (p *place) link(u store.User) string {
	p.t.Helper()
	secret := auth.NewSecret()
	if err := p.store.AddLink(p.t.Context(), "test", secret, store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: time.Hour}); err != nil {
		p.t.Fatal(err)
	}
	return "/login/email/verify/" + secret
}

// as gives a browser in which somebody is signed in.
func (p *place) as(u store.User) *browser {
	p.t.Helper()
	b := p.browser()
	link := p.link(u)
	b.get(link)
	if a := b.post(link, nil); a.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("signing %s in: %s\n%s", u.Name, a.Status, a.body)
	}
	return b
}

func (b *browser) signedIn() bool {
	b.p.t.Helper()
	return b.get("/account").StatusCode == http.StatusOK
}

func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.p.base)
	if err != nil {
		b.p.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func wants(t *testing.T, a answer, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s %s: %s, want %d\n%.1500s", a.Request.Method, a.Request.URL.Path, a.Status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s %s: %q is not in\n%.3000s", a.Request.Method, a.Request.URL.Path, text, a.body)
		}
	}
}
