package portal_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"aida/config"
	"aida/store"

	nethtml "golang.org/x/net/html"
)

func TestEveryAnswerCarriesTheSafetyHeaders(t *testing.T) {
	p := open(t, setup{})
	ada := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	for _, path := range []string{"/login", "/", "/account", "/admin/people", "/nowhere", "/health", "/connect/state"} {
		h := ada.get(path).Header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; ", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "X-Request-Id": "",
		} {
			if got := h.Get(name); got == "" || !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %s", path, h.Get("Content-Security-Policy"))
		}
	}
	for _, c := range p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})).get("/login").Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %s", c)
		}
	}
}

func TestWithTLSCookiesStayOnTheHostAndOffTheWire(t *testing.T) {
	p := open(t, setup{publicURL: "https://data.example.com"})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	a := p.browser().get(p.link(eva))
	if len(a.Cookies()) != 1 {
		t.Fatalf("%v", a.Cookies())
	}
	c := a.Cookies()[0]
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %s", c)
	}
	if a.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

func TestRequestsFromOtherSitesChangeNothing(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.as(eva)
	for name, header := range map[string]map[string]string{
		"another site":             {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"a sibling":                {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example.com"},
		"an old browser":           {"Origin": "https://evil.example"},
		"a page without an origin": {"Origin": "null"},
	} {
		for _, path := range []string{"/account/name", "/account/tokens", "/connect/key", "/logout", "/login/email", "/appearance"} {
			r := b.request("POST", path, strings.NewReader(url.Values{"name": {"Mallory"}, "days": {"1"}, "scope": {"read"}, "key": {evaKey}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for k, v := range header {
				r.Header.Set(k, v)
			}
			a := b.do(r)
			if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "came from another site") {
				t.Errorf("%s posts to %s: %s", name, path, a.Status)
			}
		}
	}
	u, err := p.store.UserByName(t.Context(), "eva")
	if err != nil || u.FullName != "" || !b.signedIn() {
		t.Errorf("%+v, %v", u, err)
	}
	if keys, err := p.store.Keys(t.Context(), "eva"); len(keys) != 0 || err != nil {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestAnotherHostNameIsTurnedAway(t *testing.T) {
	p := open(t, setup{publicURL: "https://data.example.com"})
	p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	ask := func(host string) answer {
		b := p.browser()
		r := b.request("POST", "/auth/reset-request", strings.NewReader("email=eva%40example.com"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "evil.example")
		return b.do(r)
	}
	for _, host := range []string{"evil.example", "data.example.com.evil.example", "evil.example:443", "data.example.com@evil.example"} {
		if a := ask(host); a.StatusCode != http.StatusMisdirectedRequest && a.StatusCode != http.StatusBadRequest {
			t.Errorf("host %q: %s", host, a.Status)
		}
	}
	p.sink.None()
	if a := ask("DATA.example.com"); a.StatusCode != http.StatusOK {
		t.Errorf("the right host: %s", a.Status)
	}
	if link := p.sink.Next().Link(); !strings.HasPrefix(link, "https://data.example.com/auth/reset/") {
		t.Errorf("the letter links to %s", link)
	}
	b := p.browser()
	r := b.request("GET", "/health", nil)
	r.Host = "10.0.0.7"
	wants(t, b.do(r), http.StatusOK, `"ok"`)
}

// hostile are texts that become something else in a page that is careless about any one context.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg/onload=alert(1)>`, `</title><script>alert(1)</script>`, `{{.Secret}}`, `javascript:alert(1)`,
	`</textarea><script>alert(1)</script>`, `--><script>alert(1)</script>`, `" autofocus onfocus="alert(1)`, "\u202etxt.exe", "a\u0000b<b>", `\"><script>`, `</style><script>alert(1)</script>`,
}

func TestHostileNamesAreShownAsTheyAre(t *testing.T) {
	for _, text := range []string{hostile[0], "<input value=\"" + hostile[1], "<input value=\"" + hostile[8] + "\">", `<a href="` + hostile[5] + `">`} {
		if len(dangers(text)) == 0 {
			t.Fatalf("the test does not see that %s is dangerous", text)
		}
	}
	p := open(t, setup{instance: config.Instance{Name: hostile[0], Subtitle: hostile[1], Copyright: hostile[2]}})
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	if err := p.store.SetCatalog(t.Context(), []store.Dataset{{Name: "sales", Access: store.OpenAccess, Label: hostile[0]}, {Name: hostile[1], Access: store.RestrictedAccess}},
		[]store.Table{{SourceID: "1", Name: hostile[0], Folder: "sales", Dataset: "sales", Definition: store.Definition{Description: hostile[1]}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.store.AddKey(t.Context(), "test", "eva", evaKey+" "+hostile[1]+hostile[8]); err != nil {
		t.Fatal(err)
	}
	b, admin := p.as(eva), p.as(ada)
	b.header.Set("User-Agent", hostile[0])
	b = p.as(eva)
	for _, text := range hostile {
		b.post("/account/name", url.Values{"name": {text}})
		b.post("/account/tokens", url.Values{"name": {text}, "days": {"1"}, "scope": {"read"}})
		for _, a := range []answer{b.get("/"), b.get("/account"), b.get("/connect"), b.post("/connect/key", url.Values{"key": {text}}), b.get("/login?next=" + url.QueryEscape(text)), admin.get("/admin/people?q=" + url.QueryEscape(text)),
			admin.get("/admin/people"), admin.get("/admin/people/eva"), admin.get("/admin/people/eva/remove"), admin.get("/admin/audit"), admin.get("/admin/audit?q=" + url.QueryEscape(text)), admin.get("/admin/people/" + url.PathEscape(text)),
			admin.post("/admin/people", url.Values{"email": {text}, "name": {text}, "role": {text}}), admin.get("/admin/health"), p.browser().post("/login/email", url.Values{"email": {text}, "next": {text}}), p.browser().get("/login/email?next=" + url.QueryEscape(text))} {
			for _, bad := range dangers(a.body) {
				t.Errorf("%s holds %s for %q", a.Request.URL.Path, bad, text)
			}
		}
		a := admin.get("/find?q=eva")
		if a.Header.Get("Content-Type") != "application/json; charset=utf-8" || strings.Contains(a.body, "<") || !json.Valid([]byte(a.body)) {
			t.Errorf("find: %s %s", a.Header.Get("Content-Type"), a.body)
		}
	}
	wants(t, b.get("/"), http.StatusOK, html.EscapeString(hostile[0]))
}

// dangers reads a page as a browser does and gives what could run: scripts that are no files of ours, handlers, addresses
// that are scripts.
func dangers(page string) (out []string) {
	z := nethtml.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			return out
		}
		if kind != nethtml.StartTagToken && kind != nethtml.SelfClosingTagToken {
			continue
		}
		tag := z.Token()
		ours := false
		for _, a := range tag.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" ||
				(a.Key == "href" || a.Key == "src" || a.Key == "action") && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "data:") || strings.HasPrefix(value, "//")) {
				out = append(out, tag.String())
			}
			ours = ours || a.Key == "src" && strings.HasPrefix(a.Val, "/static/js/")
		}
		if tag.Data == "script" && !ours || tag.Data == "style" || tag.Data == "iframe" || tag.Data == "object" || tag.Data == "base" {
			out = append(out, tag.String())
		}
	}
}

func TestErrorsAreOneShape(t *testing.T) {
	p := open(t, setup{})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	a := b.get("/nowhere")
	wants(t, a, http.StatusNotFound, "There is no such page", a.Header.Get("X-Request-Id"), "Go to the start page")
	a = b.get("/api/nowhere")
	var e struct {
		Error, Hint string
		Request_ID  string
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error == "" || e.Request_ID != a.Header.Get("X-Request-Id") || a.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s %v", a.Status, a.body, err)
	}
	wants(t, b.get("/admin/people"), http.StatusForbidden, "This page is for admins")
	r := b.request("POST", "/account/name", strings.NewReader("name="+strings.Repeat("x", 300<<10)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := b.do(r); a.StatusCode >= 500 {
		t.Errorf("a long form: %s", a.Status)
	}
	if a := p.browser().get("/account"); a.Header.Get("Location") != "/login?next=%2Faccount" {
		t.Errorf("signed out: %s to %q", a.Status, a.Header.Get("Location"))
	}
}

func TestStaticFilesAreKeptForGoodOnlyUnderTheirHash(t *testing.T) {
	p := open(t, setup{})
	b := p.browser()
	css := regexp.MustCompile(`/static/css/portal-[0-9a-f]{64}\.css`).FindString(b.get("/login").body)
	a := b.get(css)
	wants(t, a, http.StatusOK, "--paper")
	if got := a.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/css") {
		t.Errorf("Content-Type %q", got)
	}
	for _, path := range []string{"/static/css/portal-" + strings.Repeat("0", 64) + ".css", "/static/../templates/layout.html", "/static/%2e%2e/templates/layout.html", "/static/css", "/static/"} {
		if a := b.follow(b.get(path)); a.StatusCode == http.StatusOK || strings.Contains(a.body, "{{") {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

func TestTheThemeOfTheInstanceWins(t *testing.T) {
	p := open(t, setup{instance: config.Instance{Name: "Acme", LogoSVG: `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`},
		theme: config.Theme{Primary: "#ffcc00", Radius: "4", FontPrimary: "Inter", FontURL: "https://fonts.example/inter.woff2"}})
	b := p.browser()
	login := b.get("/login")
	css := regexp.MustCompile(`/theme/[0-9a-f]+\.css`).FindString(login.body)
	wants(t, b.get(css), http.StatusOK, "--accent: #ffcc00", "--on-accent: #0e1110", "--radius: 4px", "--font: Inter", "prefers-color-scheme: dark")
	if csp := login.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "font-src 'self' https://fonts.example") {
		t.Error(csp)
	}
	logo := b.get(regexp.MustCompile(`/theme/[0-9a-f]+\.svg`).FindString(login.body))
	if csp := logo.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || strings.Contains(csp, "script-src") || logo.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the logo could run scripts: %s", csp)
	}
}
