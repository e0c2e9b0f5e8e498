package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) personRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /admin/people/{name}", Who: route.Admin, Handle: p.person},
		{Pattern: "POST /admin/people/{name}/role", Who: route.Admin, Handle: p.setRole},
		{Pattern: "POST /admin/people/{name}/email", Who: route.Admin, Handle: p.setEmail},
		{Pattern: "POST /admin/people/{name}/invite", Who: route.Admin, Handle: p.inviteAgain},
		{Pattern: "POST /admin/people/{name}/groups", Who: route.Admin, Handle: p.setGroups},
		{Pattern: "POST /admin/people/{name}/grant", Who: route.Admin, Handle: p.grant},
		{Pattern: "POST /admin/people/{name}/revoke", Who: route.Admin, Handle: p.revokeGrant},
		{Pattern: "POST /admin/people/{name}/suspend", Who: route.Admin, Handle: p.suspend},
		{Pattern: "POST /admin/people/{name}/restore", Who: route.Admin, Handle: p.restore},
		{Pattern: "POST /admin/people/{name}/signout", Who: route.Admin, Handle: p.signOutPerson},
		{Pattern: "POST /admin/people/{name}/tokens/revoke", Who: route.Admin, Handle: p.revokePersonToken},
		{Pattern: "POST /admin/people/{name}/forget", Who: route.Admin, Handle: p.forgetIdentity},
		{Pattern: "POST /admin/people/{name}/keys/remove", Who: route.Admin, Handle: p.removePersonKey},
		{Pattern: "GET /admin/people/{name}/remove", Who: route.Admin, Handle: p.askRemove},
		{Pattern: "POST /admin/people/{name}/remove", Who: route.Admin, Handle: p.removePerson},
	}
}

type personView struct {
	store.User
	Display  string
	Me       bool
	Keys     []store.Key
	Sessions []sessionView
	Devices  []store.Token
	Tokens   []store.Token
	Groups   []string // all of the place
	Reasons  []store.Reason
	Choices  []string // tables that can be granted one by one
	Reads    int
	Tables   int
	Mail     bool
}

// In tells whether the person is in a group.
func (v personView) In(group string) bool { return slices.Contains(v.User.Groups, group) }

func (p *Portal) personView(r *http.Request) (v personView, err error) {
	ctx := r.Context()
	if v.User, err = p.store.UserByName(ctx, r.PathValue("name")); err != nil {
		return v, err
	}
	v.Display, v.Me, v.Mail = p.displayName(v.User), v.User.ID == visitorFrom(r).User.ID, p.o.Mailer != nil && p.o.Mailer.Configured()
	if v.Keys, err = p.store.Keys(ctx, v.Name); err != nil {
		return v, err
	}
	if v.Sessions, err = p.sessionViews(r, v.ID); err != nil {
		return v, err
	}
	if v.Devices, err = p.store.Tokens(ctx, store.DeviceToken, v.ID); err != nil {
		return v, err
	}
	if v.Tokens, err = p.store.Tokens(ctx, store.APIToken, v.ID); err != nil {
		return v, err
	}
	groups, err := p.store.Groups(ctx)
	if err != nil {
		return v, err
	}
	for _, g := range groups {
		v.Groups = append(v.Groups, g.Name)
	}
	if v.Reasons, err = p.store.Explain(ctx, v.ID); err != nil {
		return v, err
	}
	a, err := p.accessOf(ctx, v.ID)
	if err != nil {
		return v, err
	}
	v.Reads = len(a.Tables)
	closed := map[string]bool{}
	for _, reason := range v.Reasons {
		v.Tables += reason.Tables
		closed[reason.Name] = !reason.May
	}
	v.Choices, err = p.tableChoices(r, func(t store.Table) bool { return closed[t.Dataset] && !a.CanRead(t.ID) })
	return v, err
}

func (p *Portal) person(w http.ResponseWriter, r *http.Request) error {
	v, err := p.personView(r)
	if err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "person", page{Title: v.Display, Crumbs: []crumb{{"People", "/admin/people"}}, Data: v})
}

func personPath(name string) string { return "/admin/people/" + url.PathEscape(name) }

// notMyself refuses what would lock the admin who does it out.
func notMyself(r *http.Request) error {
	if visitorFrom(r).User.Name == r.PathValue("name") {
		return &route.Problem{Status: http.StatusConflict, Title: "Not with your own account",
			Text: "You would lock yourself out. Another admin can do it.", Link: personPath(r.PathValue("name")), LinkText: "Back"}
	}
	return nil
}

func (p *Portal) setRole(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	name, role := r.PathValue("name"), store.Role(r.PostFormValue("role"))
	if err := p.store.SetRole(r.Context(), visitorFrom(r).User.Name, name, role); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The role is saved. It counts on open connections within seconds.")
}

func (p *Portal) setEmail(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := p.store.SetEmail(r.Context(), visitorFrom(r).User.Name, name, r.PostFormValue("email")); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The address is saved. Browsers that were signed in as %s are signed out.", name)
}

func (p *Portal) inviteAgain(w http.ResponseWriter, r *http.Request) error {
	u, err := p.store.UserByName(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	sent, err := p.sendInvitation(r, u)
	if err != nil {
		return err
	}
	if !sent {
		return p.done(w, r, personPath(u.Name), "Nothing was sent: no mail is configured, or there is no address. Print a sign-in link on the server with `aida analyst link %s`.", u.Name)
	}
	return p.done(w, r, personPath(u.Name), "A letter is on its way to %s.", u.Email)
}

func (p *Portal) setGroups(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	name, groups := r.PathValue("name"), append([]string{}, r.PostForm["group"]...)
	if err := p.store.ChangeUser(r.Context(), visitorFrom(r).User.Name, name, store.UserChange{Groups: &groups}); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The groups are saved.")
}

// granted is what a form grants or takes back: a dataset, or one table.
func granted(r *http.Request) string {
	return cmp.Or(strings.TrimSpace(r.PostFormValue("table")), r.PostFormValue("dataset"))
}

func (p *Portal) grant(w http.ResponseWriter, r *http.Request) error {
	name, what := r.PathValue("name"), granted(r)
	if err := p.store.Grant(r.Context(), visitorFrom(r).User.Name, name, false, what); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "%s may read %s.", name, what)
}

func (p *Portal) revokeGrant(w http.ResponseWriter, r *http.Request) error {
	name, what := r.PathValue("name"), granted(r)
	if err := p.store.Revoke(r.Context(), visitorFrom(r).User.Name, name, false, what); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The grant on %s is taken back, on open connections too.", what)
}

func (p *Portal) suspend(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := p.store.Suspend(r.Context(), visitorFrom(r).User.Name, name, true); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "%s is suspended: signed out everywhere, connections end within seconds. Nothing is lost.", name)
}

func (p *Portal) restore(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := p.store.Suspend(r.Context(), visitorFrom(r).User.Name, name, false); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "%s may come in again.", name)
}

func (p *Portal) signOutPerson(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := p.endAll(r, name); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "%s is signed out of all browsers, devices and programs.", name)
}

// revokePersonToken ends one token, or one device, of somebody.
func (p *Portal) revokePersonToken(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	name, kind, what := r.PathValue("name"), store.APIToken, "token"
	if r.PostFormValue("kind") == string(store.DeviceToken) {
		kind, what = store.DeviceToken, "device"
	}
	if _, err := p.store.RevokeTokens(r.Context(), actor(r), name, kind, id); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The %s is removed.", what)
}

func (p *Portal) forgetIdentity(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := p.store.ForgetIdentities(r.Context(), visitorFrom(r).User.Name, name); err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The next sign-in with the address of %s is taken as theirs.", name)
}

func (p *Portal) removePersonKey(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	k, err := p.store.RemoveKey(r.Context(), visitorFrom(r).User.Name, name, r.PostFormValue("fingerprint"))
	if err != nil {
		return err
	}
	return p.done(w, r, personPath(name), "The key %s is removed. Connections that were opened with it end within seconds.", k.Fingerprint)
}

// askRemove shows exactly what removing somebody cuts, before anything is done.
func (p *Portal) askRemove(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	v, err := p.personView(r)
	if err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "remove", page{Title: "Remove " + v.Display + "?", Lede: "This is what it cuts.", Crumbs: []crumb{{"People", "/admin/people"}, {v.Display, personPath(v.Name)}}, Data: v})
}

func (p *Portal) removePerson(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if r.PostFormValue("confirm") != name {
		return &route.Problem{Status: http.StatusBadRequest, Title: "Nothing was removed", Text: "Write the user name " + name + " to confirm.", Link: personPath(name) + "/remove", LinkText: "Back"}
	}
	kept, err := p.o.People.Remove(r.Context(), visitorFrom(r).User.Name, name)
	if err != nil {
		return err
	}
	if kept == "" {
		return p.done(w, r, "/admin/people", "%s is removed.", name)
	}
	return p.done(w, r, "/admin/people", "%s is removed. The files are kept on the server in %s.", name, kept)
}
