package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aida/portal/portaltest"
	"aida/store"
)

// goThere begins a sign-in and gives the address that the provider sends the browser back to.
func goThere(t *testing.T, b *browser, path string) string {
	t.Helper()
	a := b.get(path)
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), b.p.issuer.URL+"/auth?") {
		t.Fatalf("%s to %q", a.Status, a.Header.Get("Location"))
	}
	return b.get(a.Header.Get("Location")).Header.Get("Location")
}

func TestSigningInWithAnOpenIDProvider(t *testing.T) {
	p := open(t, setup{oidc: true})
	p.issuer.Person = portaltest.Person{Subject: "1", Email: "Eva.Novak@Example.com", Name: "Eva Novak", Verified: true}
	b := p.browser()
	wants(t, b.get("/login"), http.StatusOK, `href="/login/google`, "example.com, second.example")
	back := goThere(t, b, "/login/google?next=%2Faccount")
	if a := b.get(back); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/account" {
		t.Fatalf("%s to %q\n%s", a.Status, a.Header.Get("Location"), a.body)
	}
	wants(t, b.get("/account"), http.StatusOK, "eva.novak@example.com", "Eva Novak", "eva_novak_example_com")

	t.Run("the way back works once", func(t *testing.T) {
		wants(t, p.browser().get(back), http.StatusForbidden, "This sign-in did not begin here")
		wants(t, b.get(back), http.StatusForbidden, "This sign-in did not begin here")
	})
	t.Run("a second sign-in is the same person", func(t *testing.T) {
		again := p.browser()
		again.get(goThere(t, again, "/login/google"))
		wants(t, again.get("/account"), http.StatusOK, "eva_novak_example_com")
	})
	t.Run("another account with the same address is refused", func(t *testing.T) {
		p.issuer.Person.Subject = "2"
		other := p.browser()
		wants(t, other.get(goThere(t, other, "/login/google")), http.StatusConflict, "another account at the sign-in provider")
		if err := p.store.ForgetIdentities(t.Context(), "test", "eva_novak_example_com"); err != nil {
			t.Fatal(err)
		}
		other.get(goThere(t, other, "/login/google"))
		if !other.signedIn() {
			t.Error("forgetting the old account did not let the new one in")
		}
	})
}

func TestAStolenStateSignsNobodyIn(t *testing.T) {
	p := open(t, setup{oidc: true})
	p.issuer.Person = portaltest.Person{Subject: "9", Email: "thief@example.com", Verified: true}
	thief, victim := p.browser(), p.browser()
	back := goThere(t, thief, "/login/google")
	wants(t, victim.get(back), http.StatusForbidden, "This sign-in did not begin here", "Sign in") // login CSRF
	if victim.signedIn() {
		t.Error("the victim is signed in as the thief")
	}
	mine := goThere(t, victim, "/login/google")
	u, err := url.Parse(mine)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("state", "A"+q.Get("state")[1:])
	u.RawQuery = q.Encode()
	wants(t, victim.get(u.String()), http.StatusForbidden, "did not begin here")
	victim.get(mine) // a page elsewhere that guessed could not end the true one
	if !victim.signedIn() {
		t.Error("the true way back does not work any more")
	}
}

func TestWhatAProviderSaysIsChecked(t *testing.T) {
	p := open(t, setup{oidc: true, noMail: true})
	p.addUser(store.NewUser{Name: "invited", Email: "invited@evil.example"})
	for _, c := range []struct {
		name   string
		person portaltest.Person
		change func(*portaltest.Issuer)
		status int
		says   string
	}{
		{"an address of another domain has no account", portaltest.Person{Subject: "1", Email: "eva@evil.example", Verified: true}, nil, http.StatusForbidden, "There is no account for this address"},
		{"a domain that only ends alike", portaltest.Person{Subject: "1", Email: "eva@notexample.com", Verified: true}, nil, http.StatusForbidden, "There is no account for this address"},
		{"an address that was not verified", portaltest.Person{Subject: "1", Email: "eva@example.com", Verified: false}, nil, http.StatusForbidden, "Your address is not verified"},
		{"a provider that says nothing of verification", portaltest.Person{Subject: "1", Email: "eva@example.com"}, nil, http.StatusForbidden, "Your address is not verified"},
		{"no address", portaltest.Person{Subject: "1", Verified: true}, nil, http.StatusForbidden, "Your address is not verified"},
		{"an address with nothing in front", portaltest.Person{Subject: "1", Email: "@example.com", Verified: true}, nil, http.StatusForbidden, "Your address is not verified"},
		{"a token of another sign-in", portaltest.Person{Subject: "1", Email: "eva@example.com", Verified: true}, func(i *portaltest.Issuer) { i.Nonce = "other" }, http.StatusForbidden, "did not begin here"},
		{"a token that ran out", portaltest.Person{Subject: "1", Email: "eva@example.com", Verified: true}, func(i *portaltest.Issuer) { i.Ends = -time.Hour }, http.StatusForbidden, "did not begin here"},
		{"a single allowed address", portaltest.Person{Subject: "11", Email: "guest@elsewhere.org", Verified: "true"}, nil, http.StatusSeeOther, ""},
		{"the second domain", portaltest.Person{Subject: "12", Email: "eva@second.example", Verified: true}, nil, http.StatusSeeOther, ""},
		{"somebody who was invited", portaltest.Person{Subject: "13", Email: "invited@evil.example", Verified: true}, nil, http.StatusSeeOther, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.issuer.Person, p.issuer.Nonce, p.issuer.Ends = c.person, "", time.Minute
			if c.change != nil {
				c.change(p.issuer)
			}
			b := p.browser()
			wants(t, b.get(goThere(t, b, "/login/google")), c.status, c.says)
			if want := c.status == http.StatusSeeOther; b.signedIn() != want {
				t.Errorf("signed in: %t, want %t", !want, want)
			}
		})
	}
}

func TestAProviderThatIsAwayIsToldCalmly(t *testing.T) {
	p := open(t, setup{oidc: true})
	p.issuer.Close()
	wants(t, p.browser().get("/login/google"), http.StatusBadGateway, "The sign-in provider does not answer", "Back to sign in")
}
