package portal

import (
	"net/http"
	"slices"
	"strconv"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"

	"github.com/gorilla/sessions"
)

func (p *Portal) signInRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /login", Who: route.Anyone, Handle: p.signInPage},
		{Pattern: "POST /logout", Who: route.Anyone, Handle: p.signOut},
	}
}

// signInView is the sign-in page: buttons, then at most one e-mail form.
type signInView struct {
	Buttons []auth.Button
	Form    *auth.Form
	Email   string
	Wrong   string
	Next    string
	Ended   bool // the person has just signed out
}

func (p *Portal) signInPage(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	if visitorFrom(r) != nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return p.showSignIn(w, r, http.StatusOK, signInView{Next: next, Ended: r.URL.Query().Has("ended")})
}

// SignInPage shows the sign-in page again, with what was wrong.
func (p *Portal) SignInPage(w http.ResponseWriter, r *http.Request, status int, email, wrong string) error {
	return p.showSignIn(w, r, status, signInView{Email: email, Wrong: wrong, Next: localPath(r.FormValue("next"))})
}

func (p *Portal) showSignIn(w http.ResponseWriter, r *http.Request, status int, v signInView) error {
	for _, provider := range p.o.Providers {
		b := provider.Button()
		switch {
		case b.Form != nil:
			v.Form = b.Form
		case b.Text != "":
			v.Buttons = append(v.Buttons, b)
		}
	}
	slices.SortStableFunc(v.Buttons, func(a, b auth.Button) int { return a.Order - b.Order })
	return p.render(w, r, status, "signin", page{Title: "Sign in", Bare: true, Data: v})
}

// SignIn finds or makes the person of an identity and signs them in.
func (p *Portal) SignIn(w http.ResponseWriter, r *http.Request, provider string, id auth.Identity, next string) error {
	u, err := p.store.SignIn(r.Context(), store.Identity{Email: id.Email, Name: id.Name, Issuer: id.Issuer, Subject: id.Subject}, p.o.Names, id.Create)
	if store.CodeOf(err) == store.NotFound {
		return &route.Problem{Status: http.StatusForbidden, Title: "There is no account for this address",
			Text: "You are signed in elsewhere as " + id.Email + ", but nobody has invited this address here. Ask an admin of this place.", Link: "/login", LinkText: "Sign in with another account"}
	}
	if err != nil {
		return err
	}
	return p.signIn(w, r, provider, u, id.Picture, next)
}

// SignInUser signs in a person that is known already.
func (p *Portal) SignInUser(w http.ResponseWriter, r *http.Request, provider string, u store.User, next string) error {
	return p.signIn(w, r, provider, u, "", next)
}

// signIn makes a session with a new id. Whatever session or sign-in this browser had before ends with it, so that an id
// which somebody else planted is worth nothing.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request, provider string, u store.User, picture, next string) error {
	if _, err := p.EndFlow(w, r); err != nil {
		return err
	}
	v, err := p.sessions.Get(r, sessionName)
	if err != nil {
		return err
	}
	if v.ID != "" {
		if _, err := p.store.EndSession(r.Context(), v.ID); err != nil {
			return err
		}
	}
	v.ID, v.IsNew, v.Values = "", true, map[any]any{keyUser: strconv.FormatInt(u.ID, 10), "email": u.Email, "name": p.displayName(u), "picture": picture, "provider": provider}
	if err := sessions.Save(r, w); err != nil {
		return err
	}
	next = localPath(next)
	if next == "/" {
		keys, err := p.store.Keys(r.Context(), u.Name)
		if err != nil {
			return err
		}
		if len(keys) == 0 && u.Role != store.Admin {
			next = "/connect"
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request) error {
	v, err := p.sessions.Get(r, sessionName)
	if err != nil {
		return err
	}
	v.Options.MaxAge = -1
	if err := p.sessions.Save(r, w, v); err != nil {
		return err
	}
	w.Header().Set("Clear-Site-Data", `"cache"`)
	http.Redirect(w, r, "/login?ended", http.StatusSeeOther)
	return nil
}
