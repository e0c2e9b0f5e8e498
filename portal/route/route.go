// Package route is what every page of the portal declares about itself: its pattern, who may call it, and the handler. It
// holds no state and decides nothing; package portal enforces what is declared here, and a test tries every route with
// every role.
//
//	route.Route{Pattern: "GET /catalog", Who: route.Person, Handle: p.catalog}
package route

import (
	"cmp"
	"net/http"
)

// Who says who may call a route.
type Who string

// The kinds of callers. Each person below Person has to be signed in by session; Caller and AdminCaller are for the API
// and take a session, an API token or a desktop app's token.
const (
	Anyone      Who = "anyone"
	Person      Who = "person"
	Admin       Who = "admin"
	Caller      Who = "caller"
	AdminCaller Who = "admin caller"
	Own         Who = "own" // the handler checks a signature or token of its own, as webhooks do
)

// Route is one door of the portal. Pattern is method and path as http.ServeMux reads them.
type Route struct {
	Pattern string
	Who     Who
	Scope   string // what a token needs besides, on Caller and AdminCaller routes
	Handle  func(http.ResponseWriter, *http.Request) error
}

// Problem is an error that a person reads: what happened, what to do, and the way out.
type Problem struct {
	Status         int
	Title          string // what happened, a few words
	Text           string // what it means and what to do
	Link, LinkText string // the way out; empty means home
}

func (p *Problem) Error() string { return cmp.Or(p.Title, http.StatusText(p.Status)) }
