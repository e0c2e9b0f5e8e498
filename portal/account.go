package portal

import (
	"net/http"
	"strconv"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) accountRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /account", Who: route.Person, Handle: p.account},
		{Pattern: "POST /account/name", Who: route.Person, Handle: p.setName},
		{Pattern: "POST /account/alerts", Who: route.Person, Handle: p.setAlerts},
		{Pattern: "POST /account/keys/remove", Who: route.Person, Handle: p.removeKey},
		{Pattern: "POST /account/sessions/revoke", Who: route.Person, Handle: p.revokeSession},
		{Pattern: "POST /account/devices/revoke", Who: route.Person, Handle: p.revokeDevice},
		{Pattern: "POST /account/tokens", Who: route.Person, Handle: p.addToken},
		{Pattern: "POST /account/tokens/revoke", Who: route.Person, Handle: p.revokeToken},
	}
}

type accountView struct {
	User     store.User
	Name     string
	Keys     []store.Key
	Sessions []sessionView
	Devices  []store.Token
	Tokens   []store.Token
	Secret   string // of a token that was just made: shown once
	Wrong    string
	Scopes   []string
	Look     string
	Channels []channelView
}

type sessionView struct {
	store.Session
	Browser string
	This    bool
}

// tokenScopes are what an API token may be made for.
var tokenScopes = []string{"read", "write", "admin"}

func (p *Portal) account(w http.ResponseWriter, r *http.Request) error {
	return p.showAccount(w, r, http.StatusOK, accountView{})
}

func (p *Portal) showAccount(w http.ResponseWriter, r *http.Request, status int, v accountView) error {
	ctx, me := r.Context(), visitorFrom(r)
	v.User, v.Name, v.Look = me.User, me.Name, appearance(r)
	for _, s := range tokenScopes {
		if s != "admin" || me.User.Role == store.Admin {
			v.Scopes = append(v.Scopes, s)
		}
	}
	var err error
	if v.Keys, err = p.store.Keys(ctx, me.User.Name); err != nil {
		return err
	}
	if v.Sessions, err = p.sessionViews(r, me.User.ID); err != nil {
		return err
	}
	if v.Devices, err = p.store.Tokens(ctx, store.DeviceToken, me.User.ID); err != nil {
		return err
	}
	if v.Tokens, err = p.store.Tokens(ctx, store.APIToken, me.User.ID); err != nil {
		return err
	}
	if v.Channels, err = p.channelViews(r, me.User); err != nil {
		return err
	}
	return p.render(w, r, status, "account", page{Title: "Account", Lede: "Your keys, and everything that is signed in as you.", Data: v})
}

func (p *Portal) sessionViews(r *http.Request, userID int64) (out []sessionView, err error) {
	list, err := p.store.Sessions(r.Context(), userID)
	for _, s := range list {
		out = append(out, sessionView{s, browserOf(s.Agent), s.ID == visitorFrom(r).Session.ID})
	}
	return out, err
}

// browserOf reads a user agent the way a person would say it.
func browserOf(agent string) string {
	name, system := "A browser", ""
	for _, b := range []struct{ mark, name string }{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if strings.Contains(agent, b.mark) {
			name = b.name
			break
		}
	}
	for _, s := range []struct{ mark, name string }{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, s.mark) {
			system = " on " + s.name
			break
		}
	}
	return name + system
}

func (p *Portal) setName(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	if err := p.store.SetFullName(r.Context(), me.Name, me.Name, r.PostFormValue("name")); err != nil {
		return err
	}
	return p.done(w, r, "/account", "Your name is saved.")
}

func (p *Portal) removeKey(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	k, err := p.store.RemoveKey(r.Context(), me.Name, me.Name, r.PostFormValue("fingerprint"))
	if err != nil {
		return err
	}
	return p.done(w, r, "/account", "The key %s is removed. Connections that were opened with it end within seconds.", k.Fingerprint)
}

// idOf reads the number of a row from a form: a positive number, or "all" as 0.
func idOf(r *http.Request) (int64, error) {
	text := r.PostFormValue("id")
	if text == "all" {
		return 0, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &route.Problem{Status: http.StatusBadRequest, Title: "There is no such entry", Text: "Go back and try again."}
	}
	return id, nil
}

func (p *Portal) revokeSession(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	me := visitorFrom(r)
	keep := int64(0)
	if id == 0 {
		keep = me.Session.ID
	}
	if err := p.store.RevokeSessions(r.Context(), me.User.Name, me.User.Name, id, keep); err != nil {
		return err
	}
	if id == 0 {
		return p.done(w, r, "/account", "All other browsers are signed out.")
	}
	if id == me.Session.ID {
		http.Redirect(w, r, "/login?ended", http.StatusSeeOther)
		return nil
	}
	return p.done(w, r, "/account", "That browser is signed out.")
}

func (p *Portal) revokeDevice(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	me := visitorFrom(r).User
	if _, err := p.store.RevokeTokens(r.Context(), me.Name, me.Name, store.DeviceToken, id); err != nil {
		return err
	}
	return p.done(w, r, "/account", "The device is signed out.")
}

// addToken makes a token and shows its secret this one time.
func (p *Portal) addToken(w http.ResponseWriter, r *http.Request) error {
	days, _ := strconv.Atoi(r.PostFormValue("days")) // 0 is refused as any other number outside of the bounds
	_, secret, err := p.makeToken(r, tokenBody{Name: r.PostFormValue("name"), Scopes: r.PostForm["scope"], Days: days})
	if code := store.CodeOf(err); code == store.Invalid || code == store.Conflict {
		return p.showAccount(w, r, http.StatusBadRequest, accountView{Wrong: sentence(err.Error())})
	}
	if err != nil {
		return err
	}
	return p.showAccount(w, r, http.StatusOK, accountView{Secret: secret})
}

func (p *Portal) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	me := visitorFrom(r).User
	if _, err := p.store.RevokeTokens(r.Context(), me.Name, me.Name, store.APIToken, id); err != nil {
		return err
	}
	return p.done(w, r, "/account", "The token is removed.")
}
