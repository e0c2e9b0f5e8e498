package portal

import (
	"net/http"
	"strings"

	"aida/portal/route"

	"github.com/benbjohnson/hashfs"
)

func (p *Portal) siteRoutes() []route.Route {
	return []route.Route{
		{Pattern: "/", Who: route.Anyone, Handle: p.notFound},
		{Pattern: "GET /static/{file...}", Who: route.Anyone, Handle: p.staticFile},
		{Pattern: "GET /theme/{file}", Who: route.Anyone, Handle: p.themeFile},
		{Pattern: "GET /favicon.ico", Who: route.Anyone, Handle: p.favicon},
		{Pattern: "GET /robots.txt", Who: route.Anyone, Handle: p.robots},
		{Pattern: "GET /health", Who: route.Anyone, Handle: p.alive, Doc: &route.Doc{Tag: "About", Summary: "Whether this place answers, for load balancers", Answer: aliveAnswer{}}},
		{Pattern: "POST /appearance", Who: route.Anyone, Handle: p.setAppearance},
	}
}

// immutable lets browsers keep a file for good: its name changes with its content.
const immutable = "public, max-age=31536000, immutable"

func (p *Portal) staticFile(w http.ResponseWriter, r *http.Request) error {
	w.Header().Del("Cache-Control") // hashfs says how long, as it knows whether the name holds a hash
	hashfs.FileServer(p.static).ServeHTTP(immutableWriter{w}, withPath(r, "/"+r.PathValue("file")))
	return nil
}

// immutableWriter adds to hashfs's life time that asking again is of no use.
type immutableWriter struct{ http.ResponseWriter }

func (w immutableWriter) WriteHeader(status int) {
	if w.Header().Get("Cache-Control") != "" {
		w.Header().Set("Cache-Control", immutable)
	}
	w.ResponseWriter.WriteHeader(status)
}

func withPath(r *http.Request, path string) *http.Request {
	u := *r.URL
	u.Path = path
	c := *r
	c.URL = &u
	return &c
}

func (p *Portal) themeFile(w http.ResponseWriter, r *http.Request) error {
	text, kind := "", ""
	switch r.URL.Path {
	case p.theme.path:
		text, kind = p.theme.css, "text/css; charset=utf-8"
	case p.theme.logoPath:
		text, kind = p.theme.logo, "image/svg+xml"
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // an image, should somebody open it as a page
	default:
		return p.notFound(w, r)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", immutable)
	_, err := w.Write([]byte(text))
	return err
}

func (p *Portal) favicon(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/static/"+p.static.HashName("icon.svg"), http.StatusFound)
	return nil
}

func (p *Portal) robots(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("User-agent: *\nDisallow: /\n"))
	return err
}

type aliveAnswer struct {
	Status string `json:"status"`
}

// alive is for load balancers: it says no more than whether this process answers and its database does.
func (p *Portal) alive(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.store.AccessVersion(r.Context()); err != nil {
		p.log.Error("the database does not answer", "error", err)
		return p.JSON(w, http.StatusServiceUnavailable, aliveAnswer{"failing"})
	}
	return p.JSON(w, http.StatusOK, aliveAnswer{"ok"})
}

// setAppearance chooses light, dark, or what the system says. The choice is a cookie, so that pages come out right at once.
func (p *Portal) setAppearance(w http.ResponseWriter, r *http.Request) error {
	choice := r.PostFormValue("appearance")
	c := &http.Cookie{Name: appearanceCookie, Value: choice, Path: "/", MaxAge: 365 * 24 * 3600, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if choice != "light" && choice != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
	http.Redirect(w, r, localPath(strings.TrimSpace(r.PostFormValue("next"))), http.StatusSeeOther)
	return nil
}
