// Package auth is the contract between the portal and its sign-in providers, of which each is a package below this one. A
// provider finds out who somebody is and says so with Host.SignIn; it never makes a session, never decides who is an
// admin, and builds absolute links only with Host.URL.
//
//	providers := []auth.Provider{google.New(google.Options{...}), password.New(password.Options{...})}
package auth

import (
	"context"
	"net/http"

	"aida/portal/route"
	"aida/store"

	"github.com/gorilla/sessions"
)

// Identity is what a provider vouches for. Email, Name and Picture are what every session holds, whichever provider.
type Identity struct {
	Email, Name, Picture string
	Issuer, Subject      string // the account at the provider, when it has such; bound to the person at the first sign-in
	Create               bool   // an address without an account gets one, as an analyst
}

// Button is how a provider stands on the sign-in page; the zero value stands nowhere.
type Button struct {
	Text, URL, Icon, Note string
	Order                 int
	Form                  *Form // instead of a button
}

// Form is the e-mail form of the sign-in page.
type Form struct {
	Action, Label       string
	Password            bool   // asks for the password at once
	OtherURL, OtherText string // the other way in
}

// Provider is one way to sign in.
type Provider interface {
	Name() string
	Button() Button
	Routes(Host) []route.Route
}

// Host is what the portal does for a provider.
type Host interface {
	// URL makes an absolute link on the configured public URL, whatever the request says.
	URL(path string) string
	// Flow is the state of a sign-in on its way, bound to this browser. It lives for a quarter of an hour.
	Flow(r *http.Request) *sessions.Session
	// EndFlow takes the state away and tells whether it was there: of two requests that end it, one is told so.
	EndFlow(w http.ResponseWriter, r *http.Request) (bool, error)
	// SignIn makes the session of the identity's person and sends the browser on to next.
	SignIn(w http.ResponseWriter, r *http.Request, provider string, id Identity, next string) error
	// SignInUser does the same for a person that is known already.
	SignInUser(w http.ResponseWriter, r *http.Request, provider string, u store.User, next string) error
	// SignInPage shows the sign-in page again, with what was wrong.
	SignInPage(w http.ResponseWriter, r *http.Request, status int, email, wrong string) error
	// Render shows a page of the sign-in kind: one narrow column, no navigation.
	Render(w http.ResponseWriter, r *http.Request, status int, page, title string, data any) error
	// Limit takes one attempt from each budget, or answers with the problem that says when to try again.
	Limit(ctx context.Context, limits ...store.Limit) error
	// Address is where the request comes from, proxies that are trusted taken into account.
	Address(r *http.Request) string
	// User is the signed-in person of a request.
	User(r *http.Request) (store.User, bool)
	// JSON answers with a value.
	JSON(w http.ResponseWriter, status int, v any) error
}

// Message is a mail with one link.
type Message struct {
	To, Subject          string
	Heading, Text        string
	Link, LinkText, Note string
}

// Mailer sends mail in the background: Send returns before the mail is delivered, so that its duration tells nothing.
type Mailer interface {
	Configured() bool
	Send(m Message) error
}
