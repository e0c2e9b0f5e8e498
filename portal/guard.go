package portal

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"aida/portal/route"
	"aida/store"

	"github.com/gorilla/sessions"
)

type contextKey int

const (
	keyRequestID contextKey = iota
	keyVisitor
	keyKnown
)

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(keyRequestID).(string)
	return id
}

// visitorFrom gives the signed-in person of a request, nil on pages for anyone.
func visitorFrom(r *http.Request) *visitor {
	v, _ := r.Context().Value(keyVisitor).(*visitor)
	return v
}

// User gives the signed-in person of a request to a provider.
func (p *Portal) User(r *http.Request) (store.User, bool) {
	if v := visitorFrom(r); v != nil {
		return v.User, true
	}
	return store.User{}, false
}

// observe gives each request its id, catches panics, and logs what came of it. The path is not logged, as some hold a
// secret; the pattern that it matched is.
func (p *Portal) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 8)
		_, _ = rand.Read(b)
		id := hex.EncodeToString(b)
		r = r.WithContext(context.WithValue(r.Context(), keyRequestID, id))
		sessions.GetRegistry(r)
		w.Header().Set("X-Request-Id", id)
		o := &observed{ResponseWriter: w, status: http.StatusOK}
		start := time.Now()
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				p.log.Error("a page failed", "request", id, "method", r.Method, "route", r.Pattern, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				if !o.wrote {
					p.fail(o, r, errors.New("panic"))
				}
			}
			p.log.Debug("request", "request", id, "method", r.Method, "route", r.Pattern, "status", o.status, "ms", time.Since(start).Milliseconds(), "from", p.Address(r))
		}()
		next.ServeHTTP(o, r)
	})
}

type observed struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (o *observed) WriteHeader(status int) {
	if !o.wrote {
		o.status, o.wrote = status, true
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	o.wrote = true
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach deadlines and hijacking.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// Hijack is for WebSocket libraries that do not know Unwrap.
func (o *observed) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	o.wrote = true
	return http.NewResponseController(o.ResponseWriter).Hijack()
}

// Flush is for handlers that stream and do not know Unwrap.
func (o *observed) Flush() { _ = http.NewResponseController(o.ResponseWriter).Flush() }

// headers sets what every answer carries. Nothing is loaded from elsewhere and nothing runs that is not a file of ours.
func (p *Portal) headers(next http.Handler) http.Handler {
	csp := "default-src 'none'; script-src 'self'; style-src 'self'" + p.theme.styleSource + "; img-src 'self' data:; font-src 'self'" + p.theme.fontSource +
		"; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'; require-trusted-types-for 'script'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if p.secure {
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses requests for other names, as a name of somebody else that points here may be an attack on the person's
// browser. A request from this machine to this machine may use its local names. Load balancers ask /health by address.
func (p *Portal) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" || p.knownHost(r) {
			next.ServeHTTP(w, r)
			return
		}
		p.fail(w, r, &route.Problem{Status: http.StatusMisdirectedRequest, Title: "This place has another address",
			Text: "It is reached at " + p.public.String() + ". An admin sets that with public_url.", Link: p.public.String(), LinkText: "Go there"})
	})
}

func (p *Portal) knownHost(r *http.Request) bool {
	if strings.EqualFold(r.Host, p.public.Host) || strings.EqualFold(r.Host, p.public.Hostname()) {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && ip.IsLoopback()
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return local && err == nil && peer.Addr().Unmap().IsLoopback()
}

// Address is where a request comes from. A trusted proxy is believed about the client that it names last.
func (p *Portal) Address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := peer.Addr().Unmap()
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(chain) - 1; i >= 0 && p.isProxy(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr.String()
}

func (p *Portal) isProxy(addr netip.Addr) bool {
	for _, n := range p.o.Proxies {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// maxBody bounds what a form may send.
const maxBody = 256 << 10

// guard lets in who the route is for, and turns the handler's error into an answer.
func (p *Portal) guard(rt route.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := p.visitorOf(r)
		if err == nil {
			err = p.admit(&v, rt, r)
		}
		if err == nil {
			ctx := context.WithValue(r.Context(), keyVisitor, v)
			if r.Method == http.MethodGet {
				ctx = context.WithValue(ctx, keyKnown, &knownOnce{})
			}
			r2 := r.WithContext(ctx)
			if err = rt.Handle(w, r2); err == nil {
				return
			}
			r = r2
		} else if v != nil && !wantsJSON(r) { // who is signed in keeps the way to their own pages
			r = r.WithContext(context.WithValue(r.Context(), keyVisitor, v))
		}
		p.fail(w, r, err)
	})
}

// errSignIn asks for a sign-in first.
var errSignIn = &route.Problem{Status: http.StatusUnauthorized, Title: "Please sign in", Text: "This page is for people who are signed in.", Link: "/login", LinkText: "Sign in"}

// errNotYours is what a page of the admins is to everybody else.
var errNotYours = &route.Problem{Status: http.StatusForbidden, Title: "This page is for admins", Text: "If you need something here, ask an admin of this place."}

func (p *Portal) admit(v **visitor, rt route.Route, r *http.Request) error {
	switch rt.Who {
	case route.Anyone, route.Own:
		return nil
	case route.Caller, route.AdminCaller:
		if *v == nil || r.Header.Get("Authorization") != "" {
			caller, err := p.callerOf(r, scopeOf(rt, r))
			if err != nil {
				return err
			}
			*v = caller
		}
	}
	switch {
	case *v == nil:
		return errSignIn
	case (rt.Who == route.Admin || rt.Who == route.AdminCaller) && (*v).User.Role != store.Admin:
		return errNotYours
	case rt.Who == route.Person, rt.Who == route.Admin, rt.Who == route.Caller, rt.Who == route.AdminCaller:
		return nil
	}
	return fmt.Errorf("route %s: %q is nobody", rt.Pattern, rt.Who) // a route that forgot to say who is closed
}

// scopeOf is what a token needs: what the route says, else admin for the admins' routes, write for what changes something,
// and read for the rest.
func scopeOf(rt route.Route, r *http.Request) string {
	switch {
	case rt.Scope != "":
		return rt.Scope
	case rt.Who == route.AdminCaller:
		return "admin"
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return "write"
	}
	return "read"
}

var errToken = &route.Problem{Status: http.StatusUnauthorized, Title: "The token is not valid", Text: "Make a new one on the account page and send it as: Authorization: Bearer TOKEN"}

// callerOf finds who a bearer token speaks for.
func (p *Portal) callerOf(r *http.Request, scope string) (*visitor, error) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, errSignIn
	}
	t, u, err := p.store.UseToken(r.Context(), store.APIToken, strings.TrimSpace(secret), p.Address(r), 0)
	if store.CodeOf(err) == store.Unauthorized {
		v, err := p.deviceOf(r, strings.TrimSpace(secret), scope)
		if !errors.Is(err, errToken) {
			return v, err
		}
		// Wrong tokens alone are counted: a pull of many files costs its address nothing, and who guesses bothers nobody else there.
		if err := p.Limit(r.Context(), store.Limit{Name: "token addr " + p.Address(r), Burst: 100, Every: time.Second}); err != nil {
			return nil, err
		}
		return nil, errToken
	}
	if err != nil {
		return nil, err
	}
	if !t.Has(scope) {
		return nil, &route.Problem{Status: http.StatusForbidden, Title: "The token lacks the scope " + scope, Text: "Make one with this scope on the account page."}
	}
	return &visitor{User: u, Name: p.displayName(u), Token: &t}, nil
}

// deviceTokens is the provider that knows the tokens of desktop apps.
type deviceTokens interface {
	Device(ctx context.Context, jwt, from string) (store.Token, store.User, error)
}

func (p *Portal) deviceOf(r *http.Request, secret, scope string) (*visitor, error) {
	for _, provider := range p.o.Providers {
		d, ok := provider.(deviceTokens)
		if !ok {
			continue
		}
		t, u, err := d.Device(r.Context(), secret, p.Address(r))
		if store.CodeOf(err) == store.Unauthorized || err == nil && !t.Has(scope) {
			return nil, errToken
		}
		if err != nil {
			return nil, err
		}
		return &visitor{User: u, Name: p.displayName(u), Token: &t}, nil
	}
	return nil, errToken
}

// Limit takes one attempt from each budget.
func (p *Portal) Limit(ctx context.Context, limits ...store.Limit) error {
	wait, err := p.store.Allow(ctx, limits...)
	if err != nil || wait == 0 {
		return err
	}
	return &route.Problem{Status: http.StatusTooManyRequests, Title: "Too many attempts", Text: "Please wait " + spell(wait) + " and try again.", RetryAfter: wait, Link: "/login", LinkText: "Back to sign in"}
}

// localPath gives next when it is a path of this site, else home: nobody is sent elsewhere from here.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/") || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(next, "//") ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return next
}
