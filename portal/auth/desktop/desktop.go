// Package desktop links desktop apps to a person: after a click in the browser the app holds a JSON Web Token (RFC 7519)
// for the API. Each token names a device in the database; taking the device away ends the token, whatever it says.
//
//	provider, err := desktop.New(desktop.Options{Store: s, Secret: secret, Issuer: "data-analyst", Scheme: "data-analyst"})
package desktop

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"

	"github.com/golang-jwt/jwt/v5"
)

// Options is what the provider needs.
type Options struct {
	Store  *store.Store
	Secret string // signs the tokens
	Issuer string
	Scheme string // of the URL that opens the app
	Now    func() time.Time
}

// Provider gives tokens to desktop apps.
type Provider struct{ o Options }

const (
	tokenLife  = 30 * 24 * time.Hour
	grace      = 7 * 24 * time.Hour // a token that has run out may be exchanged for this long
	codeLife   = 2 * time.Minute
	minSecret  = 32
	audience   = "aida-desktop"
	deviceName = "Desktop app"
)

// scopes are what a device may do.
var scopes = []string{"read", "write"}

var schemeName = regexp.MustCompile(`^[a-z][a-z0-9+.-]{1,40}$`)

// New makes the provider. A short secret is refused, as tokens could be forged.
func New(o Options) (*Provider, error) {
	if len(o.Secret) < minSecret {
		return nil, fmt.Errorf("desktop.jwt_secret: %d characters are too few, %d are needed: make one with `openssl rand -hex 32`", len(o.Secret), minSecret)
	}
	if !schemeName.MatchString(o.Scheme) || o.Scheme == "http" || o.Scheme == "https" || o.Scheme == "javascript" || o.Scheme == "data" || o.Scheme == "file" {
		return nil, fmt.Errorf("desktop.url_scheme: %q cannot be the scheme of an app: write it as data-analyst", o.Scheme)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o}, nil
}

// Name is "desktop".
func (p *Provider) Name() string { return "desktop" }

// Button is none: nobody signs in to the portal this way.
func (p *Provider) Button() auth.Button { return auth.Button{} }

// Routes are the linking page and what apps call.
func (p *Provider) Routes(h auth.Host) []route.Route {
	s := &pages{p, h}
	return []route.Route{
		{Pattern: "GET /desktop/link", Who: route.Person, Handle: s.link},
		{Pattern: "POST /desktop/link", Who: route.Person, Handle: s.confirm},
		{Pattern: "POST /api/desktop/authorize", Who: route.Person, Handle: s.authorize, Doc: doc("Link a desktop app: the URL that opens it", urlAnswer{}, nil)},
		{Pattern: "POST /api/desktop/token", Who: route.Own, Handle: s.token, Doc: doc("Exchange a code for the token of a desktop app, once", tokenAnswer{}, tokenBody{"code of the link", "verifier of the challenge"})},
		{Pattern: "POST /api/desktop/refresh", Who: route.Own, Handle: s.refresh, Doc: doc("Exchange the token of a desktop app, also one that ran out in the last week", tokenAnswer{}, nil)},
		{Pattern: "POST /api/desktop/unlink", Who: route.Person, Handle: s.unlink, Doc: doc("Unlink all desktop apps", doneAnswer{}, nil)},
	}
}

type (
	urlAnswer struct {
		URL string `json:"url"`
	}
	tokenBody struct {
		Code     string `json:"code"`
		Verifier string `json:"code_verifier"`
	}
	tokenAnswer struct {
		Token string `json:"token"`
	}
	doneAnswer struct {
		OK      bool   `json:"ok"`
		Message string `json:"message"`
	}
)

func doc(summary string, answer, body any) *route.Doc {
	return &route.Doc{Tag: "Desktop app", Summary: summary, Answer: answer, Body: body, Fails: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests}}
}

// claims are what a token says. The device's secret is its id; the database knows its hash.
type claims struct {
	jwt.RegisteredClaims
}

func (p *Provider) sign(u store.User, device string, until time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{jwt.RegisteredClaims{ID: device, Subject: u.Name, Issuer: p.o.Issuer, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(p.o.Now()), ExpiresAt: jwt.NewNumericDate(until)}}).SignedString([]byte(p.o.Secret))
}

var invalid = &store.Error{Code: store.Unauthorized, Message: "the token is not valid", Hint: "link the app again"}

// parse checks signature, issuer, audience and end. late lets a token pass that ran out at most so long ago; nothing else
// of the check is loosened by it.
func (p *Provider) parse(text string, late time.Duration) (claims, error) {
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(p.o.Issuer), jwt.WithAudience(audience), jwt.WithIssuedAt(), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(p.o.Now))
	_, err := parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return []byte(p.o.Secret), nil })
	if errors.Is(err, jwt.ErrTokenExpired) && late > 0 && !errors.Is(err, jwt.ErrTokenSignatureInvalid) && !errors.Is(err, jwt.ErrTokenInvalidIssuer) &&
		!errors.Is(err, jwt.ErrTokenInvalidAudience) && !errors.Is(err, jwt.ErrTokenUsedBeforeIssued) && p.o.Now().Before(c.ExpiresAt.Add(late)) {
		err = nil
	}
	if err != nil || c.ID == "" || c.Subject == "" {
		return claims{}, invalid
	}
	return c, nil
}

// Device finds the living device that a token speaks for, and its person.
func (p *Provider) Device(ctx context.Context, token, from string) (store.Token, store.User, error) {
	return p.device(ctx, token, from, 0)
}

func (p *Provider) device(ctx context.Context, token, from string, late time.Duration) (store.Token, store.User, error) {
	c, err := p.parse(token, late)
	if err != nil {
		return store.Token{}, store.User{}, err
	}
	t, u, err := p.o.Store.UseToken(ctx, store.DeviceToken, c.ID, from, late)
	if err == nil && u.Name != c.Subject { // the account was renamed or the device given to somebody else
		return store.Token{}, store.User{}, invalid
	}
	return t, u, err
}

// add makes a device and its first token.
func (p *Provider) add(ctx context.Context, u store.User, name string) (string, error) {
	secret, until := auth.NewSecret(), p.o.Now().Add(tokenLife)
	if _, err := p.o.Store.AddToken(ctx, u.Name, secret, store.Token{Kind: store.DeviceToken, UserID: u.ID, Name: cmp.Or(strings.TrimSpace(name), deviceName), Scopes: scopes, ExpiresAt: until}); err != nil {
		return "", err
	}
	return p.sign(u, secret, until)
}

// pages are the handlers, which also know their host.
type pages struct {
	*Provider
	host auth.Host
}

type linkView struct {
	User, Challenge, State, Device string
	URL                            string // set when the app may be opened
}

// challengeText is a PKCE challenge of method S256: 32 bytes in URL-safe base64 (RFC 7636).
var challengeText = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

func (s *pages) ask(r *http.Request) (linkView, error) {
	u, _ := s.host.User(r)
	v := linkView{User: u.Name, Challenge: r.FormValue("code_challenge"), State: r.FormValue("state"), Device: r.FormValue("device")}
	if v.Challenge != "" && !challengeText.MatchString(v.Challenge) || len(v.State) > 200 || len(v.Device) > 80 {
		return v, &route.Problem{Status: http.StatusBadRequest, Title: "The app asked in a way that is not understood", Text: "Update the app, then link it again."}
	}
	return v, nil
}

func (s *pages) link(w http.ResponseWriter, r *http.Request) error {
	v, err := s.ask(r)
	if err != nil {
		return err
	}
	return s.host.Render(w, r, http.StatusOK, "desktop", "Link the desktop app", v)
}

func (s *pages) confirm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.ask(r)
	if err != nil {
		return err
	}
	if v.URL, err = s.open(r, v); err != nil {
		return err
	}
	return s.host.Render(w, r, http.StatusOK, "desktop", "Link the desktop app", v)
}

// open gives the URL that opens the app: with a code that only the app which asked can exchange, or, for apps that sent no
// challenge, with the token itself.
func (s *pages) open(r *http.Request, v linkView) (string, error) {
	u, _ := s.host.User(r)
	if err := s.host.Limit(r.Context(), store.Limit{Name: "desktop " + u.Name, Burst: 10, Every: time.Minute}); err != nil {
		return "", err
	}
	q := url.Values{}
	if v.State != "" {
		q.Set("state", v.State)
	}
	if v.Challenge != "" {
		code := auth.NewSecret()
		if err := s.o.Store.AddLink(r.Context(), u.Name, code, store.NewLink{Kind: store.DesktopLink, UserID: u.ID, Bind: v.Challenge, Email: v.Device, Life: codeLife}); err != nil {
			return "", err
		}
		q.Set("code", code)
	} else {
		token, err := s.add(r.Context(), u, v.Device)
		if err != nil {
			return "", err
		}
		q.Set("token", token)
	}
	return s.o.Scheme + "://auth?" + q.Encode(), nil
}

// authorize is the reference's way: the page asks for the URL and goes there.
func (s *pages) authorize(w http.ResponseWriter, r *http.Request) error {
	v, err := s.ask(r)
	if err != nil {
		return err
	}
	if v.URL, err = s.open(r, v); err != nil {
		return err
	}
	return s.host.JSON(w, http.StatusOK, urlAnswer{v.URL})
}

// token exchanges a code for a token, once, for the app that knows the verifier of the challenge.
func (s *pages) token(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit(r); err != nil {
		return err
	}
	var in tokenBody
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return &route.Problem{Status: http.StatusBadRequest, Title: "The request is not JSON", Text: `Send {"code": "...", "code_verifier": "..."}.`}
	}
	sum := sha256.Sum256([]byte(in.Verifier))
	l, err := s.o.Store.UseLink(r.Context(), store.DesktopLink, in.Code, base64.RawURLEncoding.EncodeToString(sum[:]))
	if store.CodeOf(err) != "" {
		return refused
	}
	if err != nil {
		return err
	}
	u, err := s.o.Store.UserByID(r.Context(), l.UserID)
	if err != nil {
		return err
	}
	token, err := s.add(r.Context(), u, l.Email)
	if err != nil {
		return err
	}
	return s.host.JSON(w, http.StatusOK, tokenAnswer{token})
}

var refused = &route.Problem{Status: http.StatusUnauthorized, Title: "The token is not valid", Text: "Link the app again."}

// refresh exchanges a token, also one that ran out at most a week ago, for one that lives on. The device stays the same.
func (s *pages) refresh(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit(r); err != nil {
		return err
	}
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return refused
	}
	text = strings.TrimSpace(text)
	t, u, err := s.device(r.Context(), text, s.host.Address(r), grace)
	if store.CodeOf(err) == store.Unauthorized {
		return refused
	}
	if err != nil {
		return err
	}
	c, err := s.parse(text, grace)
	if err != nil {
		return refused
	}
	until := s.o.Now().Add(tokenLife)
	if err := s.o.Store.ExtendToken(r.Context(), t.ID, until); err != nil {
		return err
	}
	token, err := s.sign(u, c.ID, until)
	if err != nil {
		return err
	}
	return s.host.JSON(w, http.StatusOK, tokenAnswer{token})
}

func (s *pages) limit(r *http.Request) error {
	return s.host.Limit(r.Context(), store.Limit{Name: "desktop from " + s.host.Address(r), Burst: 30, Every: 10 * time.Second})
}

// unlink takes all devices of the person away.
func (s *pages) unlink(w http.ResponseWriter, r *http.Request) error {
	u, _ := s.host.User(r)
	n, err := s.o.Store.RevokeTokens(r.Context(), u.Name, u.Name, store.DeviceToken, 0)
	if err != nil {
		return err
	}
	if n == 0 {
		return &route.Problem{Status: http.StatusBadRequest, Title: "No app is linked", Text: "There is nothing to unlink."}
	}
	return s.host.JSON(w, http.StatusOK, doneAnswer{true, "The desktop app is unlinked."})
}
