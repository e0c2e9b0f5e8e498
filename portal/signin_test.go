package portal_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/store"
)

func TestAPrintedLinkSignsInOnceAndOnlyAfterTheButton(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	link := p.link(eva)
	scanner := p.browser() // a mail scanner opens links too
	wants(t, scanner.get(link), http.StatusOK, "Sign in as eva@example.com?")
	b := p.browser()
	wants(t, b.post(link, nil), http.StatusForbidden, "Open this link where you asked for it") // never looked at
	wants(t, b.get(link), http.StatusOK, "Sign in as eva@example.com?")
	if b.signedIn() {
		t.Error("looking at the link signed in")
	}
	if a := b.post(link, nil); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/connect" {
		t.Errorf("%s to %s, want the way to onboarding", a.Status, a.Header.Get("Location"))
	}
	if !b.signedIn() {
		t.Error("the link did not sign in")
	}
	wants(t, scanner.post(link, nil), http.StatusGone, "This link was used already", "Ask for a new link")
	wants(t, scanner.get(link), http.StatusGone, "This link was used already")
}

func TestLinksThatDoNotWorkSaySo(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.browser()
	wants(t, b.get("/login/email/verify/"+auth.NewSecret()), http.StatusNotFound, "This link is not known")
	old := p.link(eva)
	newer := p.link(eva)
	wants(t, b.get(old), http.StatusGone, "This link is too old")
	wants(t, b.get(newer), http.StatusOK, "Sign in as")
	p.clock.on(2 * time.Hour)
	wants(t, b.get(newer), http.StatusGone, "This link is too old")
	wants(t, b.get("/auth/reset/"+auth.NewSecret()), http.StatusNotFound, "This link is not known")
	if err := p.store.Suspend(t.Context(), "test", "eva", true); err != nil {
		t.Fatal(err)
	}
	wants(t, b.get(newer), http.StatusNotFound, "This link is not known") // suspending ends links
}

func TestTheFirstAdminIsMadeByAPrintedLink(t *testing.T) {
	p := open(t, setup{})
	secret := auth.NewSecret()
	if err := p.store.AddLink(t.Context(), "start", secret, store.NewLink{Kind: store.AdminLink, Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	b, link := p.browser(), "/login/email/verify/"+secret
	wants(t, b.get(link), http.StatusOK, "first admin")
	wants(t, b.post(link, url.Values{"email": {"not an address"}}), http.StatusBadRequest, "is not valid")
	wants(t, b.follow(b.post(link, url.Values{"email": {"Ada@Example.com"}, "name": {"Ada L"}})), http.StatusOK, "Hello, Ada")
	u, err := p.store.UserByEmail(t.Context(), "ada@example.com")
	if err != nil || u.Role != store.Admin || u.Name != "ada_example_com" {
		t.Errorf("%+v, %v", u, err)
	}
	wants(t, p.browser().get(link), http.StatusGone)
}

func TestASessionGetsANewIdAtSignIn(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	planted := strings.Repeat("A", 43)
	b := p.browser()
	u, _ := url.Parse(p.base)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "aida_session", Value: planted, Path: "/"}, {Name: "aida_flow", Value: planted, Path: "/"}})
	link := p.link(eva)
	b.get(link)
	if b.cookie("aida_flow") == planted {
		t.Error("a planted sign-in id was taken over")
	}
	b.post(link, nil)
	first := b.cookie("aida_session")
	if first == planted || first == "" {
		t.Errorf("the session's id is %q", first)
	}
	again := p.link(eva)
	b.get(again)
	b.post(again, nil)
	if b.cookie("aida_session") == first {
		t.Error("a second sign-in kept the id")
	}
	thief := p.browser()
	thief.client.Jar.SetCookies(u, []*http.Cookie{{Name: "aida_session", Value: first, Path: "/"}})
	if thief.signedIn() {
		t.Error("the old id still works")
	}
}

func TestSessionsEnd(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	t.Run("after twelve hours without use, and only then", func(t *testing.T) {
		b := p.as(eva)
		for range 3 {
			p.clock.on(11 * time.Hour)
			if !b.signedIn() {
				t.Fatal("signed out while in use")
			}
		}
		p.clock.on(12*time.Hour + time.Minute)
		if b.signedIn() {
			t.Error("still signed in after a night")
		}
	})
	t.Run("after seven days whatever the use", func(t *testing.T) {
		b := p.as(eva)
		for range 7*24/10 + 1 {
			p.clock.on(10 * time.Hour)
			b.get("/account")
		}
		if b.signedIn() {
			t.Error("still signed in after a week")
		}
	})
	t.Run("by signing out, which a link from elsewhere cannot do", func(t *testing.T) {
		b := p.as(eva)
		b.get("/logout")
		if !b.signedIn() {
			t.Error("a GET signed out")
		}
		wants(t, b.follow(b.post("/logout", nil)), http.StatusOK, "You are signed out.")
		if b.signedIn() {
			t.Error("still signed in")
		}
	})
	t.Run("from another browser of the same person", func(t *testing.T) {
		one, two := p.as(eva), p.as(eva)
		one.post("/account/sessions/revoke", url.Values{"id": {"all"}})
		if !one.signedIn() || two.signedIn() {
			t.Error("signing out all others did not keep this one and end the other")
		}
	})
	t.Run("nobody ends somebody else's", func(t *testing.T) {
		b, other := p.as(eva), p.as(ada)
		list, err := p.store.Sessions(t.Context(), ada.ID)
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		b.post("/account/sessions/revoke", url.Values{"id": {itoa(list[0].ID)}})
		if !other.signedIn() {
			t.Error("eva signed ada out")
		}
	})
	t.Run("by an admin, by suspension and by a new address", func(t *testing.T) {
		admin := p.as(ada)
		for _, action := range []struct {
			path string
			form url.Values
		}{{"signout", nil}, {"suspend", nil}, {"email", url.Values{"email": {"eva.new@example.com"}}}} {
			b := p.as(eva)
			wants(t, admin.follow(admin.post("/admin/people/eva/"+action.path, action.form)), http.StatusOK)
			if b.signedIn() {
				t.Errorf("still signed in after %s", action.path)
			}
			admin.post("/admin/people/eva/restore", nil)
		}
	})
	t.Run("when the person is removed", func(t *testing.T) {
		admin, b := p.as(ada), p.as(eva)
		wants(t, admin.get("/admin/people/eva/remove"), http.StatusOK, "SSH key", "to confirm")
		wants(t, admin.post("/admin/people/eva/remove", url.Values{"confirm": {"wrong"}}), http.StatusBadRequest, "Nothing was removed")
		wants(t, admin.follow(admin.post("/admin/people/eva/remove", url.Values{"confirm": {"eva"}})), http.StatusOK, "eva is removed")
		if b.signedIn() {
			t.Error("a removed person is signed in")
		}
	})
}

func TestAPasswordIsChosenByInvitationAndSignsIn(t *testing.T) {
	p := open(t, setup{})
	admin := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	wants(t, admin.follow(admin.post("/admin/people", url.Values{"email": {"Guest@Elsewhere.org"}, "full_name": {"Gus Guest"}, "role": {"analyst"}})), http.StatusOK, "a letter is on its way")
	letter := p.sink.Next()
	if letter.To != "guest@elsewhere.org" || !strings.HasPrefix(letter.Link(), p.base+"/auth/setup/") || !strings.Contains(letter.HTML, letter.Link()) {
		t.Fatalf("%+v", letter)
	}
	b := p.browser()
	wants(t, b.get(letter.Link()), http.StatusOK, "guest@elsewhere.org", "Gus Guest")
	for _, bad := range []struct{ password, again, says string }{
		{"Short1", "Short1", "at least 8 characters"}, {"alllower1", "alllower1", "upper-case"}, {"Guest12345", "Guest12345", "does not contain"}, {"Correct1Horse", "Other1Horse", "differ"},
	} {
		wants(t, b.post(letter.Link(), url.Values{"password": {bad.password}, "confirm_password": {bad.again}}), http.StatusBadRequest, bad.says)
	}
	const secret = " Correct Horse 1 " // blanks at the ends count
	if a := b.post(letter.Link(), url.Values{"password": {secret}, "confirm_password": {secret}, "name": {"Gus"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if !b.signedIn() {
		t.Error("choosing the password did not sign in")
	}
	wants(t, p.browser().get(letter.Link()), http.StatusGone, "used already")

	other := p.browser()
	wants(t, other.post("/login/email", url.Values{"email": {"guest@elsewhere.org"}, "password": {strings.TrimSpace(secret)}}), http.StatusUnauthorized, "is not right")
	if a := other.post("/login/email", url.Values{"email": {" GUEST@elsewhere.org "}, "password": {secret}, "next": {"/account"}}); a.Header.Get("Location") != "/account" {
		t.Errorf("%s to %q", a.Status, a.Header.Get("Location"))
	}

	// A new password ends what was signed in with the old one.
	wants(t, p.browser().post("/auth/reset-request", url.Values{"email": {"guest@elsewhere.org"}}), http.StatusOK, "Look into your mailbox")
	reset := p.sink.Next()
	third := p.browser()
	third.post(reset.Link(), url.Values{"password": {"Another1Horse"}, "confirm_password": {"Another1Horse"}})
	if !third.signedIn() || other.signedIn() || b.signedIn() {
		t.Error("a new password did not end the old sign-ins")
	}
}

func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	p := open(t, setup{})
	p.addUser(store.NewUser{Name: "eva", Email: "eva@elsewhere.org"})
	p.addUser(store.NewUser{Name: "gone", Email: "gone@elsewhere.org"})
	if err := p.store.Suspend(t.Context(), "test", "gone", true); err != nil {
		t.Fatal(err)
	}
	strip := func(a answer, email string) string {
		a.body = strings.ReplaceAll(a.body, email, "ADDRESS")
		return a.Status + a.body
	}
	for _, door := range []struct {
		path string
		form url.Values
	}{{"/login/email", url.Values{"password": {"Wrong1Horse"}}}, {"/login/email/send", nil}, {"/auth/reset-request", nil}, {"/auth/request-access", nil}} {
		var want string
		for _, email := range []string{"eva@elsewhere.org", "gone@elsewhere.org", "nobody@elsewhere.org"} {
			form := url.Values{"email": {email}}
			for k, v := range door.form {
				form[k] = v
			}
			got := strip(p.browser().post(door.path, form), email)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s answers %s differently:\n%s\n%s", door.path, email, got, want)
			}
		}
	}
	for range 3 { // eva's link, eva's resets; nobody else's
		if l := p.sink.Next(); l.To != "eva@elsewhere.org" {
			t.Errorf("a letter to %s", l.To)
		}
	}
	p.sink.None()
}

func TestAMailedLinkWorksInTheBrowserThatAskedForIt(t *testing.T) {
	p := open(t, setup{})
	b := p.browser()
	wants(t, b.get("/login"), http.StatusOK, "E-mail me a link")
	wants(t, b.post("/login/email/send", url.Values{"email": {"New.Person@example.com"}, "next": {"//evil.example"}}), http.StatusOK, "new.person@example.com")
	link := p.sink.Next().Link()
	wants(t, p.browser().get(link), http.StatusForbidden, "Open this link where you asked for it")
	other := p.browser() // asked for a link of their own, and so has a flow
	other.post("/login/email/send", url.Values{"email": {"other@example.com"}})
	other.get(link)
	wants(t, other.post(link, nil), http.StatusForbidden, "Open this link where you asked for it")
	wants(t, b.get(link), http.StatusOK, "new.person@example.com")
	if a := b.post(link, nil); a.Header.Get("Location") != "/connect" {
		t.Errorf("%s to %q", a.Status, a.Header.Get("Location"))
	}
	u, err := p.store.UserByEmail(t.Context(), "new.person@example.com")
	if err != nil || u.Name != "new_person_example_com" || u.Role != store.Analyst {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestUserNamesThatClashAreRefusedNotMerged(t *testing.T) {
	p := open(t, setup{})
	p.addUser(store.NewUser{Name: "john_doe_example_com", Email: "john_doe@example.com"})
	b := p.browser()
	b.post("/login/email/send", url.Values{"email": {"john.doe@example.com"}})
	link := p.sink.Next().Link()
	b.get(link)
	wants(t, b.post(link, nil), http.StatusConflict, "which another person has", "Ask an admin")
	for email, want := range map[string]string{"admin@test.com": "admin_test_com", "John.Doe@Acme.com": "john_doe_acme_com", "no-at": "", "": "", "x@": ""} {
		if got := (store.UserNameRule{}).Name(email); strings.ToLower(got) != want {
			t.Errorf("%q makes %q, want %q", email, got, want)
		}
	}
	if got := (store.UserNameRule{StripDomain: true, Prefix: "foundry_"}).Name("e.psimecek@groupon.com"); got != "foundry_e_psimecek" {
		t.Error(got)
	}
	if got := (store.UserNameRule{Prefix: "foundry_"}).Name("e.psimecek@groupon.com"); got != "foundry_e_psimecek_groupon_com" {
		t.Error(got)
	}
}

func TestGuessingPasswordsIsBounded(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	owner := p.browser()
	secret := auth.NewSecret()
	if err := p.store.AddLink(t.Context(), "test", secret, store.NewLink{Kind: store.ResetLink, UserID: eva.ID, Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	owner.post("/auth/reset/"+secret, url.Values{"password": {"Correct1Horse"}, "confirm_password": {"Correct1Horse"}})
	thief := p.browser()
	thief.header.Set("X-Forwarded-For", "203.0.113.9")
	tries := 0
	for ; tries < 20; tries++ {
		if a := thief.post("/login/email", url.Values{"email": {"eva@example.com"}, "password": {"Wrong1Horse"}}); a.StatusCode == http.StatusTooManyRequests {
			wants(t, a, http.StatusTooManyRequests, "Too many attempts", "Please wait")
			break
		}
	}
	if tries != 5 {
		t.Errorf("%d attempts were let through, want 5", tries)
	}
	wants(t, thief.post("/login/email", url.Values{"email": {"eva@example.com"}, "password": {"Correct1Horse"}}), http.StatusTooManyRequests)
	eva2 := p.browser()
	eva2.header.Set("X-Forwarded-For", "198.51.100.4")
	if a := eva2.post("/login/email", url.Values{"email": {"eva@example.com"}, "password": {"Correct1Horse"}}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the thief locked the owner out: %s", a.Status)
	}
	p.clock.on(time.Minute + time.Second)
	wants(t, thief.post("/login/email", url.Values{"email": {"eva@example.com"}, "password": {"Wrong1Horse"}}), http.StatusUnauthorized)
	thief.header.Set("X-Forwarded-For", "203.0.113.10, 203.0.113.9") // a client cannot choose its own address
	wants(t, thief.post("/login/email", url.Values{"email": {"eva@example.com"}, "password": {"Wrong1Horse"}}), http.StatusTooManyRequests)
}

func TestAfterSigningInNobodyIsSentElsewhere(t *testing.T) {
	for next, want := range map[string]string{
		"/account": "/account", "/find?q=a%20b": "/find?q=a%20b", "": "/", "account": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/",
		"/\t/evil.example": "/", "javascript:alert(1)": "/", "/%2f/evil.example": "/", "///evil.example": "/", "/a\r\nSet-Cookie: x=y": "/", "http:/evil": "/", "/ok//evil.example": "/ok//evil.example",
	} {
		if got := portal.LocalPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestWithoutMailNothingSecretIsShown(t *testing.T) {
	p := open(t, setup{noMail: true})
	p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.browser()
	wants(t, b.get("/login"), http.StatusOK, "Password")
	wants(t, b.post("/login/email/send", url.Values{"email": {"eva@example.com"}}), http.StatusNotFound)
	a := b.post("/auth/reset-request", url.Values{"email": {"eva@example.com"}})
	if strings.Contains(a.body, "/auth/reset/") || strings.Contains(a.body, "/verify/") {
		t.Errorf("a link is shown:\n%s", a.body)
	}
	admin := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	a = admin.follow(admin.post("/admin/people", url.Values{"email": {"new@example.com"}, "role": {"analyst"}}))
	wants(t, a, http.StatusOK, "aida analyst link new@example.com")
	if strings.Contains(a.body, "/auth/setup/") {
		t.Error("the invitation link is shown in the browser")
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestAnotherRoomLearnsWhoIsSignedInAndWhenThatEnds(t *testing.T) {
	p := open(t, setup{})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	r := b.request("GET", "/ws", nil)
	r.AddCookie(&http.Cookie{Name: "aida_session", Value: b.cookie("aida_session")})
	u, valid, ok := p.portal.Session(r)
	if !ok || u.Name != "eva" || !valid(t.Context()) {
		t.Fatalf("%+v, %t", u, ok)
	}
	b.post("/logout", nil)
	if valid(t.Context()) {
		t.Error("still valid after signing out")
	}
	if _, _, ok := p.portal.Session(b.request("GET", "/ws", nil)); ok {
		t.Error("no cookie, and somebody is signed in")
	}
}
