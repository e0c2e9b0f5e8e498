package portal_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aida/portal/auth"
	"aida/portal/auth/desktop"
	"aida/portal/route"
	"aida/store"

	"github.com/golang-jwt/jwt/v5"
)

func (b *browser) refresh(token string) answer {
	r := b.request("POST", "/api/desktop/refresh", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return b.do(r)
}

// linked gives the token of an app that was linked in the reference's way.
func linked(t *testing.T, b *browser) string {
	t.Helper()
	var out struct{ URL string }
	a := b.post("/api/desktop/authorize", nil)
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatal(err, a.body)
	}
	u, err := url.Parse(out.URL)
	if err != nil || u.Scheme != "data-analyst" || u.Host != "auth" || u.Query().Get("token") == "" {
		t.Fatal(out.URL, err)
	}
	return u.Query().Get("token")
}

func TestALinkedAppLivesUntilItsDeviceIsTakenAway(t *testing.T) {
	p := open(t, setup{desktop: true})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b, app := p.as(eva), p.browser()
	wants(t, b.get("/desktop/link"), http.StatusOK, "Link the desktop app?", "eva")
	token := linked(t, b)
	wants(t, app.refresh(token), http.StatusOK, `"token"`)
	wants(t, b.get("/account"), http.StatusOK, "Desktop app", "Remove this device")
	p.clock.on(30*24*time.Hour + 6*24*time.Hour)
	wants(t, app.refresh(token), http.StatusOK, `"token"`) // run out, but within the week
	p.clock.on(2 * 24 * time.Hour)
	wants(t, app.refresh(token), http.StatusUnauthorized, "not valid")

	b = p.as(eva)
	token = linked(t, b)
	wants(t, b.post("/api/desktop/unlink", nil), http.StatusOK, `"ok":true`)
	wants(t, app.refresh(token), http.StatusUnauthorized)
	wants(t, b.post("/api/desktop/unlink", nil), http.StatusBadRequest, "No app is linked")
	token = linked(t, b)
	if err := p.store.Suspend(t.Context(), "test", "eva", true); err != nil {
		t.Fatal(err)
	}
	wants(t, app.refresh(token), http.StatusUnauthorized)
}

func TestACodeIsWorthNothingWithoutItsVerifier(t *testing.T) {
	p := open(t, setup{desktop: true})
	b, app := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})), p.browser()
	verifier := auth.NewSecret()
	sum := sha256.Sum256([]byte(verifier))
	code := func() string {
		var out struct{ URL string }
		a := b.post("/api/desktop/authorize", url.Values{"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "state": {"s&t"}, "device": {"Eva's laptop"}})
		if err := json.Unmarshal([]byte(a.body), &out); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(out.URL)
		if err != nil || u.Query().Get("state") != "s&t" || u.Query().Has("token") {
			t.Fatal(out.URL, err)
		}
		return u.Query().Get("code")
	}
	exchange := func(code, verifier string) answer {
		body, err := json.Marshal(map[string]string{"code": code, "code_verifier": verifier})
		if err != nil {
			t.Fatal(err)
		}
		return app.do(app.request("POST", "/api/desktop/token", strings.NewReader(string(body))))
	}
	c := code()
	wants(t, exchange(c, "another verifier"), http.StatusUnauthorized)
	wants(t, exchange(c, verifier), http.StatusOK, `"token"`)
	wants(t, exchange(c, verifier), http.StatusUnauthorized)
	c = code()
	p.clock.on(3 * time.Minute)
	wants(t, exchange(c, verifier), http.StatusUnauthorized)
	wants(t, b.get("/account"), http.StatusOK, "Eva&#39;s laptop")
	wants(t, b.post("/api/desktop/authorize", url.Values{"code_challenge": {"short"}}), http.StatusBadRequest)
}

func TestForgedTokensOpenNothing(t *testing.T) {
	p := open(t, setup{desktop: true})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b, app := p.as(eva), p.browser()
	var good jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(linked(t, b), &good); err != nil {
		t.Fatal(err)
	}
	right := []byte(strings.Repeat("s", 40))
	sign := func(method jwt.SigningMethod, key any, change func(*jwt.RegisteredClaims)) string {
		c := good
		if change != nil {
			change(&c)
		}
		text, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	wants(t, app.refresh(sign(jwt.SigningMethodHS256, right, nil)), http.StatusOK) // the way of the test is right
	for name, token := range map[string]string{
		"no signature":     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"an empty secret":  sign(jwt.SigningMethodHS256, []byte{}, nil),
		"another secret":   sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 40)), nil),
		"another method":   sign(jwt.SigningMethodHS512, right, nil),
		"another issuer":   sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.Issuer = "other" }),
		"another audience": sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"other"} }),
		"another person":   sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.Subject = "ada" }),
		"no device":        sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.ID = "" }),
		"another device":   sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.ID = auth.NewSecret() }),
		"no end":           sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil }),
		"of tomorrow":      sign(jwt.SigningMethodHS256, right, func(c *jwt.RegisteredClaims) { c.IssuedAt = jwt.NewNumericDate(time.Now().Add(24 * time.Hour)) }),
		"late and forged":  sign(jwt.SigningMethodHS256, []byte("x"), func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }),
		"nothing":          "", "noise": "a.b.c",
	} {
		if a := app.refresh(token); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
}

func TestWithoutADesktopSecretItsRoutesDoNotExist(t *testing.T) {
	p := open(t, setup{})
	for _, rt := range p.portal.Routes() {
		if strings.Contains(rt.Pattern, "/desktop/") || rt.Who == route.Own && strings.Contains(rt.Pattern, "desktop") {
			t.Errorf("%s exists", rt.Pattern)
		}
	}
	for name, o := range map[string]desktop.Options{"empty": {Scheme: "data-analyst"}, "short": {Secret: "short", Scheme: "data-analyst"}, "scheme": {Secret: strings.Repeat("s", 40), Scheme: "javascript"}} {
		if _, err := desktop.New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
