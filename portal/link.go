package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"

	"github.com/gorilla/sessions"
)

// A sign-in link is opened twice: GET shows whom it would sign in and changes nothing, as mail scanners open links too;
// POST, from the same browser, spends it. Links that the command line prints work even with every provider disabled.
func (p *Portal) linkRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /login/email/verify/{token}", Who: route.Anyone, Handle: p.showLink},
		{Pattern: "POST /login/email/verify/{token}", Who: route.Anyone, Handle: p.useLink},
	}
}

// Values of the flow: which link this browser looked at, and what it was bound to when it asked for one.
const (
	flowLink = "link"
	flowBind = "bind"
)

type linkView struct {
	Token, Who string
	First      bool // makes the first admin
	Email      string
	Name       string
	Wrong      string
}

func (p *Portal) showLink(w http.ResponseWriter, r *http.Request) error {
	if err := p.Limit(r.Context(), store.Limit{Name: "link addr " + p.Address(r), Burst: 30, Every: 20 * time.Second}); err != nil {
		return err
	}
	l, v, err := p.linkOf(r)
	if err != nil {
		return err
	}
	flow := p.Flow(r)
	if l.Bound && flow.Values[flowBind] == nil {
		return LinkElsewhere
	}
	flow.Values[flowLink] = digest(v.Token)
	if err := p.sessions.Save(r, w, flow); err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "link", page{Title: "Sign in", Bare: true, Data: v})
}

func (p *Portal) linkOf(r *http.Request) (store.Link, linkView, error) {
	v := linkView{Token: r.PathValue("token")}
	l, err := p.store.Link(r.Context(), store.SignInLink, v.Token)
	if store.CodeOf(err) == store.NotFound {
		l, err = p.store.Link(r.Context(), store.AdminLink, v.Token)
		v.First = true
	}
	if err := LinkProblem(l, err, p.now()); err != nil {
		return l, v, err
	}
	v.Who = l.Email
	if l.UserID != 0 {
		u, err := p.store.UserByID(r.Context(), l.UserID)
		if err != nil {
			return l, v, LinkProblem(l, err, p.now())
		}
		v.Who = u.Name
		if u.Email != "" {
			v.Who = u.Email
		}
	}
	return l, v, nil
}

// The pages of links that do not work.
var (
	LinkElsewhere = &route.Problem{Status: http.StatusForbidden, Title: "Open this link where you asked for it",
		Text: "It signs in only the browser in which it was asked for. Open it there, or ask for a new one here.", Link: "/login", LinkText: "Ask for a new link"}
	linkUnknown = &route.Problem{Status: http.StatusNotFound, Title: "This link is not known", Text: "Perhaps it was cut on its way, or a newer one took its place. Ask for a new one.", Link: "/login", LinkText: "Ask for a new link"}
	linkUsed    = &route.Problem{Status: http.StatusGone, Title: "This link was used already", Text: "Each link works once. If it was not you who used it, tell an admin. Otherwise ask for a new one.", Link: "/login", LinkText: "Ask for a new link"}
	linkOld     = &route.Problem{Status: http.StatusGone, Title: "This link is too old", Text: "Links work for a short time, or until a newer one is asked for.", Link: "/login", LinkText: "Ask for a new link"}
)

// LinkProblem says what is wrong with a link, nil when nothing is.
func LinkProblem(l store.Link, err error, now time.Time) error {
	switch {
	case store.CodeOf(err) == store.NotFound:
		return linkUnknown
	case err != nil:
		return err
	case !l.UsedAt.IsZero():
		return linkUsed
	case !now.Before(l.ExpiresAt):
		return linkOld
	}
	return nil
}

func (p *Portal) useLink(w http.ResponseWriter, r *http.Request) error {
	l, v, err := p.linkOf(r)
	if err != nil {
		return err
	}
	flow := p.Flow(r)
	if seen, _ := flow.Values[flowLink].(string); seen != digest(v.Token) {
		return LinkElsewhere
	}
	bind, _ := flow.Values[flowBind].(string)
	if v.First {
		return p.firstAdmin(w, r, v, bind)
	}
	if _, err := p.store.UseLink(r.Context(), l.Kind, v.Token, bind); err != nil {
		return p.usedMeanwhile(err)
	}
	if l.UserID == 0 {
		return p.SignIn(w, r, "link", auth.Identity{Email: l.Email, Create: true}, p.flowNext(flow))
	}
	u, err := p.store.UserByID(r.Context(), l.UserID)
	if err != nil {
		return err
	}
	return p.SignInUser(w, r, "link", u, p.flowNext(flow))
}

func (p *Portal) flowNext(flow *sessions.Session) string {
	next, _ := flow.Values["next"].(string)
	return next
}

func (p *Portal) usedMeanwhile(err error) error {
	switch store.CodeOf(err) {
	case store.Conflict:
		return linkUsed
	case store.NotFound:
		return linkUnknown
	case store.Unauthorized:
		return LinkElsewhere
	}
	return err
}

// firstAdmin makes the first admin of the place out of whoever was given the printed link.
func (p *Portal) firstAdmin(w http.ResponseWriter, r *http.Request, v linkView, bind string) error {
	v.Email, v.Name = strings.TrimSpace(r.PostFormValue("email")), strings.TrimSpace(r.PostFormValue("name"))
	email, err := store.NormalEmail(v.Email)
	if err == nil && email == "" {
		err = &store.Error{Code: store.Invalid, Message: "write your e-mail address"}
	}
	if err == nil {
		err = store.CheckUserName(p.o.Names.Name(email))
	}
	if err != nil {
		v.Wrong = sentence(err.Error())
		return p.render(w, r, http.StatusBadRequest, "link", page{Title: "Sign in", Bare: true, Data: v})
	}
	if _, err := p.store.UseLink(r.Context(), store.AdminLink, v.Token, bind); err != nil {
		return p.usedMeanwhile(err)
	}
	u, err := p.store.AddUser(r.Context(), "first admin link", store.NewUser{Name: p.o.Names.Name(email), Email: email, Role: store.Admin})
	if err != nil {
		return err
	}
	if v.Name != "" {
		if err := p.store.SetFullName(r.Context(), u.Name, u.Name, v.Name); err != nil {
			return err
		}
	}
	return p.SignInUser(w, r, "link", u, "/")
}

// NewLink stores a one-use link and gives its address.
func (p *Portal) NewLink(r *http.Request, actor string, n store.NewLink, path string) (string, error) {
	secret := newSecret()
	if err := p.store.AddLink(r.Context(), actor, secret, n); err != nil {
		return "", err
	}
	return p.URL(path + secret), nil
}

func digest(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
