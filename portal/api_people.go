package portal

import (
	"cmp"
	"net/http"
	"strings"

	"aida/portal/route"
	"aida/store"
)

// People, groups and grants: what admins do on the people pages.
func (p *Portal) apiPeopleRoutes() []route.Route {
	name := map[string]string{"name": "User name."}
	doc := peopleDoc
	return []route.Route{
		{Pattern: "GET /api/v1/people", Who: route.AdminCaller, Handle: p.apiPeople, Doc: doc("List people", route.Doc{Query: []route.Param{wordsParam, afterParam, limitParam}, Answer: peopleAnswer{}})},
		{Pattern: "POST /api/v1/people", Who: route.AdminCaller, Handle: p.apiAddPerson, Doc: doc("Invite somebody", route.Doc{Body: personBody{Email: "eva@example.com", FullName: "Eva Novak", Role: store.Analyst}, Answer: invitedAnswer{}, Status: 201, Fails: []int{409},
			Text: "They get a letter with a link when mail is configured."})},
		{Pattern: "GET /api/v1/people/{name}", Who: route.AdminCaller, Handle: p.apiPerson, Doc: doc("One person: keys, sessions, tokens, grants", route.Doc{Path: name, Answer: personAnswer{}, Fails: []int{404}})},
		{Pattern: "PATCH /api/v1/people/{name}", Who: route.AdminCaller, Handle: p.apiChangePerson, Doc: doc("Change role, address, name, groups, or suspend", route.Doc{Path: name, Body: changeBody{Role: ptr(store.PrivateAnalyst)}, Answer: personAnswer{}, Fails: []int{404, 409},
			Text: "Only what is named changes, all of it or nothing. It counts on open connections within seconds. Your own role, address and suspension another admin changes."})},
		{Pattern: "DELETE /api/v1/people/{name}", Who: route.AdminCaller, Handle: p.apiRemovePerson, Doc: doc("Remove a person; the home folder is kept aside", route.Doc{Path: name, Answer: removedAnswer{}, Fails: []int{404, 409}})},
		{Pattern: "GET /api/v1/people/{name}/access", Who: route.AdminCaller, Handle: p.apiAccess, Doc: doc("What a person reads, and by what", route.Doc{Path: name, Answer: accessAnswer{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/people/{name}/access/{table}", Who: route.AdminCaller, Handle: p.apiWhy, Doc: doc("Whether a person reads a table, and by what", route.Doc{Path: with("name", "User name.", "table", "The table as folder.name."), Answer: store.TableReason{}, Fails: []int{404}})},
		{Pattern: "PUT /api/v1/people/{name}/grants/{grant}", Who: route.AdminCaller, Handle: p.apiGrant(false, true), Doc: doc("Grant a dataset or a table to a person", route.Doc{Path: with("name", "User name.", "grant", grantText), Answer: grantsAnswer{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/people/{name}/grants/{grant}", Who: route.AdminCaller, Handle: p.apiGrant(false, false), Doc: doc("Take a person's grant back", route.Doc{Path: with("name", "User name.", "grant", grantText), Answer: grantsAnswer{}, Fails: []int{404}})},
		{Pattern: "POST /api/v1/people/{name}/signout", Who: route.AdminCaller, Handle: p.apiSignOut, Doc: doc("Sign a person out of all browsers, devices and programs", route.Doc{Path: name, Answer: doneView{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/people/{name}/keys/{fingerprint...}", Who: route.AdminCaller, Handle: p.apiRemovePersonKey, Doc: doc("Remove a person's SSH key", route.Doc{Path: with("name", "User name.", "fingerprint", "SHA256:... of the key."), Answer: store.Key{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/people/{name}/tokens/{id}", Who: route.AdminCaller, Handle: p.apiRevokePersonToken, Doc: doc("Revoke a person's token", route.Doc{Path: with("name", "User name.", "id", "Number of the token."), Answer: doneView{}, Fails: []int{404}})},
	}
}

func peopleDoc(summary string, d route.Doc) *route.Doc {
	d.Tag, d.Summary = "People", summary
	return &d
}

// with makes a map of names and what they mean.
func with(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

const grantText = "A dataset, or one table as dataset.table."

func ptr[T any](v T) *T { return &v }

type (
	peopleAnswer struct {
		People []store.User `json:"people"`
		Next   string       `json:"next,omitempty"`
	}
	personBody struct {
		Email    string     `json:"email"`
		FullName string     `json:"full_name,omitempty"`
		Name     string     `json:"name,omitempty"` // user name; made of the address unless it is given
		Role     store.Role `json:"role,omitempty"`
	}
	invitedAnswer struct {
		User       store.User `json:"user"`
		LetterSent bool       `json:"letter_sent"`
	}
	changeBody struct {
		Role      *store.Role `json:"role,omitempty"`
		Email     *string     `json:"email,omitempty"`
		FullName  *string     `json:"full_name,omitempty"`
		Groups    *[]string   `json:"groups,omitempty"` // all that the person is in from then on
		Suspended *bool       `json:"suspended,omitempty"`
	}
	personAnswer struct {
		User     store.User      `json:"user"`
		Name     string          `json:"display_name"`
		Keys     []store.Key     `json:"keys"`
		Sessions []store.Session `json:"sessions"`
		Devices  []store.Token   `json:"devices"`
		Tokens   []store.Token   `json:"tokens"`
		Grants   []store.Grant   `json:"grants"`
		Reads    int             `json:"reads"` // tables
	}
	removedAnswer struct {
		Removed string `json:"removed"`
	}
	accessAnswer struct {
		Datasets []store.Reason `json:"datasets"`
		Tables   []string       `json:"tables"` // that the person reads
	}
	grantsAnswer struct {
		Grants []store.Grant `json:"grants"`
	}
)

func (p *Portal) apiPeople(w http.ResponseWriter, r *http.Request) error {
	users, err := p.store.Users(r.Context())
	if err != nil {
		return err
	}
	users = byWords(r, users, p.personText)
	list, next, err := pageByName(r, users, func(u store.User) string { return u.Name })
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, peopleAnswer{list, next})
}

// personText is what people are searched by.
func (p *Portal) personText(u store.User) string {
	return strings.Join(append([]string{u.Name, u.Email, p.displayName(u), string(u.Role)}, u.Groups...), " ")
}

func (p *Portal) apiAddPerson(w http.ResponseWriter, r *http.Request) error {
	var b personBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	u, err := p.addPerson(r, b)
	if err != nil {
		return err
	}
	sent, err := p.sendInvitation(r, u)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusCreated, invitedAnswer{u, sent})
}

// addPerson makes an account for an address.
func (p *Portal) addPerson(r *http.Request, b personBody) (store.User, error) {
	email, err := store.NormalEmail(b.Email)
	if err != nil {
		return store.User{}, err
	}
	if email == "" {
		return store.User{}, &store.Error{Code: store.Invalid, Message: "write the person's e-mail address"}
	}
	u, err := p.store.AddUser(r.Context(), actor(r), store.NewUser{Name: cmp.Or(b.Name, p.o.Names.Name(email)), Email: email, Role: b.Role})
	if err != nil || b.FullName == "" {
		return u, err
	}
	if err := p.store.SetFullName(r.Context(), actor(r), u.Name, b.FullName); err != nil {
		return u, err
	}
	return p.store.UserByID(r.Context(), u.ID)
}

func (p *Portal) apiPerson(w http.ResponseWriter, r *http.Request) error {
	v, err := p.personView(r)
	if err != nil {
		return err
	}
	grants, err := p.store.Grants(r.Context(), v.User.Name)
	if err != nil {
		return err
	}
	out := personAnswer{User: v.User, Name: v.Display, Keys: append([]store.Key{}, v.Keys...), Sessions: []store.Session{}, Devices: append([]store.Token{}, v.Devices...),
		Tokens: append([]store.Token{}, v.Tokens...), Grants: append([]store.Grant{}, grants...), Reads: v.Reads}
	for _, s := range v.Sessions {
		out.Sessions = append(out.Sessions, s.Session)
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiChangePerson(w http.ResponseWriter, r *http.Request) error {
	var b changeBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.Role != nil || b.Email != nil || b.Suspended != nil {
		if err := notMyself(r); err != nil {
			return err
		}
	}
	if err := p.store.ChangeUser(r.Context(), actor(r), r.PathValue("name"), store.UserChange(b)); err != nil {
		return err
	}
	return p.apiPerson(w, r)
}

func (p *Portal) apiRemovePerson(w http.ResponseWriter, r *http.Request) error {
	if err := notMyself(r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if _, err := p.o.People.Remove(r.Context(), actor(r), name); err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, removedAnswer{name})
}

func (p *Portal) apiAccess(w http.ResponseWriter, r *http.Request) error {
	u, err := p.store.UserByName(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	reasons, err := p.store.Explain(r.Context(), u.ID)
	if err != nil {
		return err
	}
	a, err := p.accessOf(r.Context(), u.ID)
	if err != nil {
		return err
	}
	out := accessAnswer{Datasets: append([]store.Reason{}, reasons...), Tables: []string{}}
	for _, t := range a.Tables {
		out.Tables = append(out.Tables, t.FullName())
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiWhy(w http.ResponseWriter, r *http.Request) error {
	reason, err := p.store.ExplainTable(r.Context(), r.PathValue("name"), r.PathValue("table"))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, reason)
}

// apiGrant gives or takes a grant; doing it again changes nothing. The answer is what is granted from then on.
func (p *Portal) apiGrant(group, give bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		change, list := p.store.Revoke, p.store.Grants
		if give {
			change = p.store.Grant
		}
		if group {
			list = p.store.GroupGrants
		}
		if err := change(r.Context(), actor(r), r.PathValue("name"), group, r.PathValue("grant")); err != nil {
			return err
		}
		grants, err := list(r.Context(), r.PathValue("name"))
		if err != nil {
			return err
		}
		return p.JSON(w, http.StatusOK, grantsAnswer{append([]store.Grant{}, grants...)})
	}
}

func (p *Portal) apiSignOut(w http.ResponseWriter, r *http.Request) error {
	return p.ok(w, p.endAll(r, r.PathValue("name")))
}

// endAll ends everything that is signed in as somebody, but for the session that asks.
func (p *Portal) endAll(r *http.Request, name string) error {
	me := visitorFrom(r)
	keep := int64(0)
	if name == me.User.Name {
		keep = me.Session.ID
	}
	if err := p.store.RevokeSessions(r.Context(), me.User.Name, name, 0, keep); err != nil {
		return err
	}
	for _, kind := range []store.TokenKind{store.DeviceToken, store.APIToken} {
		if _, err := p.store.RevokeTokens(r.Context(), me.User.Name, name, kind, 0); err != nil {
			return err
		}
	}
	return nil
}

func (p *Portal) apiRemovePersonKey(w http.ResponseWriter, r *http.Request) error {
	k, err := p.store.RemoveKey(r.Context(), actor(r), r.PathValue("name"), r.PathValue("fingerprint"))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, k)
}

func (p *Portal) apiRevokePersonToken(w http.ResponseWriter, r *http.Request) error {
	return p.revokeTokenOf(w, r, r.PathValue("name"), store.APIToken)
}
