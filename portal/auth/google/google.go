// Package google is signing in with Google, or with any other OpenID Connect provider in its place, by the authorization
// code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636). It believes an address only when the provider
// says that it is verified, and with Google only when the account belongs to the domain.
//
//	provider := google.New(google.Options{ClientID: id, ClientSecret: secret, Domains: cfg.Auth.Domains(), Allowed: cfg.Auth.Allows})
package google

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Issuer is Google's own.
const Issuer = "https://accounts.google.com"

// Options is what the provider needs.
type Options struct {
	Issuer       string // empty = Google
	ButtonName   string // empty = Google, or the host of the issuer
	ClientID     string
	ClientSecret string
	Domains      []string                // whose people get an account when they first sign in
	Allowed      func(email string) bool // the same, and single addresses
	Log          *slog.Logger
	Client       *http.Client // nil = one with timeouts
}

// Provider signs people in with OpenID Connect.
type Provider struct {
	o Options

	mu   sync.Mutex
	oidc *oidc.Provider // found at the first sign-in, so that the start needs no network
}

// New makes the provider.
func New(o Options) *Provider {
	o.Issuer = cmp.Or(strings.TrimSpace(o.Issuer), Issuer)
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 15 * time.Second}
	}
	return &Provider{o: o}
}

// Name is "google", whichever the issuer.
func (p *Provider) Name() string { return "google" }

// Button stands first on the sign-in page.
func (p *Provider) Button() auth.Button {
	name, icon := cmp.Or(p.o.ButtonName, "Google"), "google"
	if p.o.Issuer != Issuer {
		icon = "key"
		if u, err := url.Parse(p.o.Issuer); err == nil && p.o.ButtonName == "" {
			name = u.Hostname()
		}
	}
	note := ""
	if len(p.o.Domains) > 0 {
		note = "For addresses at " + strings.Join(p.o.Domains, ", ")
	}
	return auth.Button{Text: "Sign in with " + name, URL: "/login/google", Icon: icon, Note: note, Order: 10}
}

// Routes are the way there and the way back.
func (p *Provider) Routes(h auth.Host) []route.Route {
	s := &flow{p, h}
	return []route.Route{
		{Pattern: "GET /login/google", Who: route.Anyone, Handle: s.begin},
		{Pattern: "GET /authorize", Who: route.Anyone, Handle: s.end},
	}
}

// flow is the handlers, which also know their host.
type flow struct {
	*Provider
	host auth.Host
}

// Values of a sign-in on its way.
const (
	keyState    = "oidc_state"
	keyNonce    = "oidc_nonce"
	keyVerifier = "oidc_verifier"
	keyNext     = "next"
)

var (
	away = &route.Problem{Status: http.StatusBadGateway, Title: "The sign-in provider does not answer",
		Text: "This is not your fault. Try again in a minute, or sign in another way.", Link: "/login", LinkText: "Back to sign in"}
	stale = &route.Problem{Status: http.StatusForbidden, Title: "This sign-in did not begin here",
		Text: "It was begun in another browser, took too long, or was used already. Nothing happened. Begin again.", Link: "/login", LinkText: "Sign in"}
	unverified = &route.Problem{Status: http.StatusForbidden, Title: "Your address is not verified",
		Text: "The sign-in provider has not checked that the address is yours. Verify it there, then try again.", Link: "/login", LinkText: "Back to sign in"}
)

// discover finds the issuer's endpoints and keys, once.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oidc != nil {
		return p.oidc, nil
	}
	// go-oidc keeps the context's client for fetching keys later, so the request's own context must not end it.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.o.Client), p.o.Issuer)
	if err != nil {
		return nil, err
	}
	p.oidc = found
	return found, nil
}

func (s *flow) config(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: s.o.ClientID, ClientSecret: s.o.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: s.host.URL("/authorize"), Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}
}

// begin sends the browser to the issuer. State, nonce and verifier stay here, bound to this browser.
func (s *flow) begin(w http.ResponseWriter, r *http.Request) error {
	if err := s.host.Limit(r.Context(), store.Limit{Name: "oidc from " + s.host.Address(r), Burst: 30, Every: 10 * time.Second}); err != nil {
		return err
	}
	provider, err := s.discover(r.Context())
	if err != nil {
		s.o.Log.Error("the sign-in provider could not be found", "issuer", s.o.Issuer, "error", err)
		return away
	}
	state, nonce, verifier := auth.NewSecret(), auth.NewSecret(), oauth2.GenerateVerifier()
	v := s.host.Flow(r)
	v.Values[keyState], v.Values[keyNonce], v.Values[keyVerifier], v.Values[keyNext] = state, nonce, verifier, r.URL.Query().Get("next")
	if err := v.Save(r, w); err != nil {
		return err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "select_account")}
	if s.o.Issuer == Issuer && len(s.o.Domains) == 1 { // a hint for the account chooser; the answer is checked all the same
		options = append(options, oauth2.SetAuthURLParam("hd", s.o.Domains[0]))
	}
	http.Redirect(w, r, s.config(provider).AuthCodeURL(state, options...), http.StatusSeeOther)
	return nil
}

// claims is what is read of an ID token.
type claims struct {
	Email    string `json:"email"`
	Verified any    `json:"email_verified"` // a boolean, or a string with some providers
	Name     string `json:"name"`
	Picture  string `json:"picture"`
	Domain   string `json:"hd"`
}

// end is where the issuer sends the browser back to. The state is spent whatever comes of it.
func (s *flow) end(w http.ResponseWriter, r *http.Request) error {
	v := s.host.Flow(r)
	state, _ := v.Values[keyState].(string)
	nonce, _ := v.Values[keyNonce].(string)
	verifier, _ := v.Values[keyVerifier].(string)
	next, _ := v.Values[keyNext].(string)
	if given := r.URL.Query().Get("state"); state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(given)) != 1 {
		return stale // the flow of this browser stays: a page elsewhere cannot end it
	}
	if first, err := s.host.EndFlow(w, r); err != nil || !first {
		return errors.Join(err, stale)
	}
	if r.URL.Query().Get("error") != "" {
		return &route.Problem{Status: http.StatusForbidden, Title: "You were not signed in", Text: "The sign-in provider says that it was cancelled or refused.", Link: "/login", LinkText: "Back to sign in"}
	}
	id, err := s.exchange(r, verifier, nonce)
	if err != nil {
		return err
	}
	return s.host.SignIn(w, r, s.Name(), id, next)
}

func (s *flow) exchange(r *http.Request, verifier, nonce string) (auth.Identity, error) {
	none := auth.Identity{}
	provider, err := s.discover(r.Context())
	if err != nil {
		s.o.Log.Error("the sign-in provider could not be found", "issuer", s.o.Issuer, "error", err)
		return none, away
	}
	ctx := oidc.ClientContext(r.Context(), s.o.Client)
	token, err := s.config(provider).Exchange(ctx, r.URL.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		s.o.Log.Error("the sign-in code was not taken", "issuer", s.o.Issuer, "error", err)
		return none, away
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		s.o.Log.Error("the sign-in provider sent no ID token", "issuer", s.o.Issuer)
		return none, away
	}
	idToken, err := provider.Verifier(&oidc.Config{ClientID: s.o.ClientID}).Verify(ctx, raw)
	if err != nil {
		s.o.Log.Error("the ID token is not valid", "issuer", s.o.Issuer, "error", err)
		return none, stale
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(nonce)) != 1 {
		s.o.Log.Error("the ID token has another nonce", "issuer", s.o.Issuer)
		return none, stale
	}
	var c claims
	if err := idToken.Claims(&c); err != nil {
		return none, err
	}
	return s.identity(c, idToken.Subject)
}

// identity decides whether an address may be believed, and whether it gets an account by itself.
func (s *flow) identity(c claims, subject string) (auth.Identity, error) {
	email, err := store.NormalEmail(c.Email)
	if err != nil || email == "" || c.Verified != true && c.Verified != "true" {
		return auth.Identity{}, unverified
	}
	_, domain, _ := strings.Cut(email, "@")
	// Google speaks for its own addresses and for the domains that it hosts; any other address was only verified once.
	hosted := s.o.Issuer != Issuer || domain == "gmail.com" || strings.EqualFold(c.Domain, domain)
	create := s.o.Allowed(email)
	if slices.Contains(s.o.Domains, domain) && !hosted {
		return auth.Identity{}, s.wrongDomain(email)
	}
	return auth.Identity{Email: email, Name: c.Name, Picture: c.Picture, Issuer: s.o.Issuer, Subject: subject, Create: create}, nil
}

func (s *flow) wrongDomain(email string) error {
	return &route.Problem{Status: http.StatusForbidden, Title: "This account is not of the right domain",
		Text: email + " is a private account at Google with an address of the company. Choose the account that the company gave you.", Link: "/login", LinkText: "Sign in with another account"}
}
