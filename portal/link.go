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
		return auth.LinkElsewhere
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
	if err := auth.CheckLink(l, err, p.now()); err != nil {
		return l, v, err
	}
	v.Who = l.Email
	if l.UserID != 0 {
		u, err := p.store.UserByID(r.Context(), l.UserID)
		if err != nil {
			return l, v, auth.CheckLink(l, err, p.now())
		}
		v.Who = u.Name
		if u.Email != "" {
			v.Who = u.Email
		}
	}
	return l, v, nil
}

func (p *Portal) useLink(w http.ResponseWriter, r *http.Request) error {
	l, v, err := p.linkOf(r)
	if err != nil {
		return err
	}
	flow := p.Flow(r)
	if seen, _ := flow.Values[flowLink].(string); seen != digest(v.Token) {
		return auth.LinkElsewhere
	}
	bind, _ := flow.Values[flowBind].(string)
	if v.First {
		return p.firstAdmin(w, r, v, bind)
	}
	if _, err := p.store.UseLink(r.Context(), l.Kind, v.Token, bind); err != nil {
		return auth.UsedLink(err)
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
		return auth.UsedLink(err)
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

func digest(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
