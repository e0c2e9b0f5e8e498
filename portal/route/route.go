// Package route is what every page of the portal declares about itself: its pattern, who may call it, and the handler. It
// holds no state and decides nothing; package portal enforces what is declared here, and a test tries every route with
// every role.
//
//	route.Route{Pattern: "GET /catalog", Who: route.Person, Handle: p.catalog}
package route

import (
	"cmp"
	"net/http"
	"time"
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
	Doc     *Doc // of an operation of the API
}

// Doc describes an operation of the API to those who call it. With the pattern, the scope and the Go types it is all that the
// OpenAPI document is made of.
type Doc struct {
	Tag     string
	Summary string            // one line
	Text    string            // what else there is to know
	Path    map[string]string // what each parameter of the path is
	Query   []Param
	Body    any    // a value of the type that is sent as JSON, which is the example too; nil = nothing is sent
	Answer  any    // a value of the type that is answered as JSON, nil = no JSON
	Status  int    // of the answer when all is well; 0 = 200
	Media   string // of an answer that is not JSON
	Fails   []int  // statuses that it answers besides those that all operations share
}

// Param is a parameter of the query.
type Param struct {
	Name, Text string
	Type       string // string, integer or boolean; "" = string
	Enum       []string
}

// Problem is an error that a person reads: what happened, what to do, and the way out.
type Problem struct {
	Status         int
	Title          string        // what happened, a few words
	Text           string        // what it means and what to do
	Link, LinkText string        // the way out; empty means home
	RetryAfter     time.Duration // of a request that may be made again after a while; 0 = not said
}

func (p *Problem) Error() string { return cmp.Or(p.Title, http.StatusText(p.Status)) }
