package portal_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

// Every route is tried by everybody: who it is for gets an answer of its own, everybody else is turned away.
func TestEachRouteIsOpenToWhomItSaysAndNobodyElse(t *testing.T) {
	p := open(t, setup{oidc: true, desktop: true, change: func(o *portal.Options) { o.Tables = onPaper() }})
	p.issuer.Person.Subject = "nobody"
	analyst := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	private := p.addUser(store.NewUser{Name: "paul", Email: "paul@example.com", Role: store.PrivateAnalyst})
	admin := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	gone := p.addUser(store.NewUser{Name: "gone", Email: "gone@example.com", Role: store.Admin})

	token := func(u store.User, scopes ...string) string {
		secret := auth.NewSecret()
		if _, err := p.store.AddToken(t.Context(), "test", secret, store.Token{Kind: store.APIToken, UserID: u.ID, Name: "test", Scopes: scopes, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	suspended := token(gone, "read", "write", "admin")
	if err := p.store.Suspend(t.Context(), "test", "gone", true); err != nil {
		t.Fatal(err)
	}
	session := func(u store.User) func() *browser {
		return func() *browser {
			if err := p.store.Forgive(t.Context(), "link addr 127.0.0.1"); err != nil {
				t.Fatal(err)
			}
			return p.as(u)
		}
	}
	bearer := func(secret string) func() *browser {
		return func() *browser {
			if err := p.store.Forgive(t.Context(), "token addr 127.0.0.1"); err != nil { // wrong tokens are counted
				t.Fatal(err)
			}
			b := p.browser()
			b.header.Set("Authorization", "Bearer "+secret)
			return b
		}
	}
	reads := func(r route.Route) bool { return strings.HasPrefix(r.Pattern, "GET ") }
	roles := []struct {
		name string
		open func() *browser
		may  func(route.Route) bool
	}{
		{"nobody", p.browser, func(route.Route) bool { return false }},
		{"an analyst", session(analyst), func(r route.Route) bool { return r.Who == route.Person || r.Who == route.Caller }},
		{"a private analyst", session(private), func(r route.Route) bool { return r.Who == route.Person || r.Who == route.Caller }},
		{"an admin", session(admin), func(route.Route) bool { return true }},
		{"a reading token", bearer(token(analyst, "read")), func(r route.Route) bool {
			return r.Who == route.Caller && (r.Scope == "read" || r.Scope == "" && reads(r))
		}},
		{"an admin's reading token", bearer(token(admin, "read")), func(r route.Route) bool {
			return r.Who == route.Caller && (r.Scope == "read" || r.Scope == "" && reads(r))
		}},
		{"an admin's full token", bearer(token(admin, "read", "write", "admin")), func(r route.Route) bool { return r.Who == route.Caller || r.Who == route.AdminCaller }},
		{"a suspended admin's token", bearer(suspended), func(route.Route) bool { return false }},
		{"a made-up token", bearer(auth.NewSecret()), func(route.Route) bool { return false }},
	}
	param := regexp.MustCompile(`\{[^}]*\}`)
	for _, rt := range p.portal.Routes() {
		method, path, ok := strings.Cut(rt.Pattern, " ")
		if !ok {
			method, path = "GET", rt.Pattern
		}
		path = param.ReplaceAllString(strings.TrimSuffix(path, "{$}"), "none-such")
		for _, role := range roles {
			a := role.open().try(method, path)
			refused := a.StatusCode == http.StatusUnauthorized || strings.Contains(a.body, "This page is for admins") || strings.Contains(a.body, "The token lacks the scope") ||
				strings.HasPrefix(a.Header.Get("Location"), "/login?next=") || a.StatusCode == http.StatusSeeOther && a.Header.Get("Location") == "/login"
			if rt.Who == route.Anyone || rt.Who == route.Own {
				continue
			}
			if may := role.may(rt); may == refused {
				t.Errorf("%s is for %q; %s may call it: %t, was turned away: %t (%s)", rt.Pattern, rt.Who, role.name, may, refused, a.Status)
			}
		}
	}
}

func (b *browser) try(method, path string) answer {
	b.p.t.Helper()
	if method == http.MethodGet {
		return b.get(path)
	}
	r := b.request(method, path, strings.NewReader(""))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}
