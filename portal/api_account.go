package portal

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

// The caller's own things. What would outlive the token that asks, another token or an SSH key, is made by people who are
// signed in, never by a token.
func (p *Portal) apiAccountRoutes() []route.Route {
	id := map[string]string{"id": "Number of the entry in its list."}
	doc := func(summary string, d route.Doc) *route.Doc {
		d.Tag, d.Summary = "Account", summary
		return &d
	}
	return []route.Route{
		{Pattern: "GET /api/v1/account", Who: route.Caller, Handle: p.apiAccount, Doc: doc("Who you are, and what this token may do", route.Doc{Answer: accountAnswer{}})},
		{Pattern: "PATCH /api/v1/account", Who: route.Caller, Handle: p.apiSetName, Doc: doc("Change your name", route.Doc{Body: nameBody{"Eva Novak"}, Answer: accountAnswer{}})},
		{Pattern: "GET /api/v1/account/keys", Who: route.Caller, Handle: p.apiKeys, Doc: doc("List your SSH keys", route.Doc{Answer: keysAnswer{}})},
		{Pattern: "POST /api/v1/account/keys", Who: route.Person, Handle: p.apiAddKey, Doc: doc("Connect an SSH key", route.Doc{Body: keyBody{exampleKey}, Answer: store.Key{}, Status: 201, Fails: []int{409},
			Text: "For a signed-in session only: a token cannot make a way in that outlives it."})},
		{Pattern: "DELETE /api/v1/account/keys/{fingerprint...}", Who: route.Caller, Handle: p.apiRemoveKey, Doc: doc("Remove an SSH key", route.Doc{Path: map[string]string{"fingerprint": "SHA256:... as in the list."}, Answer: store.Key{}, Fails: []int{404},
			Text: "Connections that were opened with it end within seconds."})},
		{Pattern: "GET /api/v1/account/sessions", Who: route.Caller, Handle: p.apiSessions, Doc: doc("List the browsers that are signed in as you", route.Doc{Answer: sessionsAnswer{}})},
		{Pattern: "DELETE /api/v1/account/sessions/{id}", Who: route.Caller, Handle: p.apiEndSession, Doc: doc("Sign a browser out", route.Doc{Path: id, Answer: doneView{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/account/tokens", Who: route.Caller, Handle: p.apiTokens(store.APIToken), Doc: doc("List your tokens", route.Doc{Answer: tokensAnswer{}})},
		{Pattern: "POST /api/v1/account/tokens", Who: route.Person, Handle: p.apiAddToken, Doc: doc("Make a token", route.Doc{Body: tokenBody{"nightly report", []string{"read"}, 90}, Answer: newToken{}, Status: 201, Fails: []int{409},
			Text: "For a signed-in session only: a token cannot make another one. The secret is in this answer and nowhere else."})},
		{Pattern: "DELETE /api/v1/account/tokens/{id}", Who: route.Caller, Handle: p.apiRevokeToken(store.APIToken), Doc: doc("Revoke a token", route.Doc{Path: id, Answer: doneView{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/account/devices", Who: route.Caller, Handle: p.apiTokens(store.DeviceToken), Doc: doc("List your desktop apps", route.Doc{Answer: tokensAnswer{}})},
		{Pattern: "DELETE /api/v1/account/devices/{id}", Who: route.Caller, Handle: p.apiRevokeToken(store.DeviceToken), Doc: doc("Unlink a desktop app", route.Doc{Path: id, Answer: doneView{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/connect", Who: route.Caller, Handle: p.apiConnect, Doc: doc("Where the SSH server is, and how far you are with connecting", route.Doc{Answer: connectAnswer{}})},
		{Pattern: "GET /api/v1/subscriptions", Who: route.Caller, Handle: p.apiSubscriptions, Doc: doc("What you carry: optional datasets and chosen tables", route.Doc{Answer: subscriptionsAnswer{}})},
		{Pattern: "PATCH /api/v1/subscriptions", Who: route.Caller, Handle: p.apiSubscribe, Doc: doc("Choose what you carry", route.Doc{Body: subscriptionsBody{Datasets: map[string]bool{"jira": true}}, Answer: subscriptionsAnswer{},
			Text: "Only what is named changes. Opting in never widens what you may read. It counts from the next pull."})},
	}
}

const exampleKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINSiIWxBZMUBjmlDhCwvdX3UjBi7yprMVSQYyurCHvLE eva@laptop"

type (
	accountAnswer struct {
		User  store.User   `json:"user"`
		Name  string       `json:"name"`            // as people see it
		Token *store.Token `json:"token,omitempty"` // that asks
	}
	nameBody struct {
		FullName string `json:"full_name"`
	}
	keyBody struct {
		Key string `json:"key"` // one line, as in a .pub file
	}
	keysAnswer struct {
		Keys []store.Key `json:"keys"`
	}
	sessionsAnswer struct {
		Sessions []store.Session `json:"sessions"`
	}
	tokensAnswer struct {
		Tokens []store.Token `json:"tokens"`
	}
	tokenBody struct {
		Name   string   `json:"name"` // what it is for
		Scopes []string `json:"scopes"`
		Days   int      `json:"days"` // that it lives, 1 to 365
	}
	newToken struct {
		store.Token
		Secret string `json:"secret"`
	}
	connectAnswer struct {
		Host      string `json:"host"`
		Port      string `json:"port"`
		HostKey   string `json:"host_key"`
		User      string `json:"user"`
		Key       bool   `json:"key"`       // a key is connected
		Connected bool   `json:"connected"` // and was used
		Pulled    bool   `json:"pulled"`    // and brought data
	}
	subscriptionsAnswer struct {
		Datasets []subscriptionView `json:"datasets"`
		Mode     string             `json:"table_mode"` // all or explicit
		Tables   map[string]bool    `json:"tables"`     // the choice of mode explicit, by the table's name
	}
	subscriptionView struct {
		store.Dataset
		On bool `json:"on"`
	}
	subscriptionsBody struct {
		Datasets map[string]bool `json:"datasets,omitempty"`
		Mode     string          `json:"table_mode,omitempty"`
		Tables   map[string]bool `json:"tables,omitempty"`
	}
)

func (p *Portal) apiAccount(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r)
	return p.JSON(w, http.StatusOK, accountAnswer{me.User, me.Name, me.Token})
}

func (p *Portal) apiSetName(w http.ResponseWriter, r *http.Request) error {
	var b nameBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	me := visitorFrom(r)
	if err := p.store.SetFullName(r.Context(), me.User.Name, me.User.Name, b.FullName); err != nil {
		return err
	}
	u, err := p.store.UserByID(r.Context(), me.User.ID)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, accountAnswer{u, p.displayName(u), me.Token})
}

func (p *Portal) apiKeys(w http.ResponseWriter, r *http.Request) error {
	list, err := p.store.Keys(r.Context(), actor(r))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, keysAnswer{append([]store.Key{}, list...)})
}

func (p *Portal) apiAddKey(w http.ResponseWriter, r *http.Request) error {
	var b keyBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	k, err := p.store.AddKey(r.Context(), actor(r), actor(r), b.Key)
	if store.CodeOf(err) == store.Conflict {
		return &store.Error{Code: store.Conflict, Message: keyRefusal(err)}
	}
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusCreated, k)
}

func (p *Portal) apiRemoveKey(w http.ResponseWriter, r *http.Request) error {
	k, err := p.store.RemoveKey(r.Context(), actor(r), actor(r), r.PathValue("fingerprint"))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, k)
}

func (p *Portal) apiSessions(w http.ResponseWriter, r *http.Request) error {
	list, err := p.store.Sessions(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, sessionsAnswer{append([]store.Session{}, list...)})
}

func (p *Portal) apiEndSession(w http.ResponseWriter, r *http.Request) error {
	id, err := numberOf(r, "id")
	if err != nil {
		return err
	}
	list, err := p.store.Sessions(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(s store.Session) bool { return s.ID == id }) {
		return noEntry
	}
	return p.ok(w, p.store.RevokeSessions(r.Context(), actor(r), actor(r), id, 0))
}

var noEntry = &store.Error{Code: store.NotFound, Message: "there is no such entry", Hint: "see the list for the numbers"}

func (p *Portal) apiTokens(kind store.TokenKind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		list, err := p.store.Tokens(r.Context(), kind, visitorFrom(r).User.ID)
		if err != nil {
			return err
		}
		return p.JSON(w, http.StatusOK, tokensAnswer{append([]store.Token{}, list...)})
	}
}

func (p *Portal) apiRevokeToken(kind store.TokenKind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return p.revokeTokenOf(w, r, actor(r), kind)
	}
}

func (p *Portal) revokeTokenOf(w http.ResponseWriter, r *http.Request, user string, kind store.TokenKind) error {
	id, err := numberOf(r, "id")
	if err != nil {
		return err
	}
	n, err := p.store.RevokeTokens(r.Context(), actor(r), user, kind, id)
	if err == nil && n == 0 {
		err = noEntry
	}
	return p.ok(w, err)
}

func (p *Portal) apiAddToken(w http.ResponseWriter, r *http.Request) error {
	var b tokenBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	t, secret, err := p.makeToken(r, b)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusCreated, newToken{t, secret})
}

// makeToken makes a token of the caller. Its prefix lets scanners of leaked secrets know it.
func (p *Portal) makeToken(r *http.Request, b tokenBody) (store.Token, string, error) {
	me := visitorFrom(r).User
	if b.Days < 1 || b.Days > 365 {
		return store.Token{}, "", &store.Error{Code: store.Invalid, Message: "a token lives from 1 to 365 days"}
	}
	if len(b.Scopes) == 0 {
		return store.Token{}, "", &store.Error{Code: store.Invalid, Message: "say what the token may do", Hint: "its scopes are among read, write and, for admins, admin"}
	}
	for _, s := range b.Scopes {
		if !slices.Contains(tokenScopes, s) || s == "admin" && me.Role != store.Admin {
			return store.Token{}, "", &store.Error{Code: store.Invalid, Message: "there is no scope \"" + s + "\" for you", Hint: "its scopes are among read, write and, for admins, admin"}
		}
	}
	scopes := slices.DeleteFunc(slices.Clone(tokenScopes), func(s string) bool { return !slices.Contains(b.Scopes, s) })
	secret := "aida_" + auth.NewSecret()
	t, err := p.store.AddToken(r.Context(), me.Name, secret, store.Token{Kind: store.APIToken, UserID: me.ID, Name: b.Name, Scopes: scopes, ExpiresAt: p.now().Add(time.Duration(b.Days) * 24 * time.Hour).UTC()})
	return t, secret, err
}

func (p *Portal) apiConnect(w http.ResponseWriter, r *http.Request) error {
	keys, err := p.store.Keys(r.Context(), actor(r))
	if err != nil {
		return err
	}
	v, err := p.progressOf(r, keys)
	if err != nil {
		return err
	}
	out := connectAnswer{User: actor(r), Key: v.Key, Connected: v.Connected, Pulled: v.Pulled}
	if p.o.SSH != nil {
		ssh := p.o.SSH()
		out.Host, out.Port, out.HostKey = ssh.Host, ssh.Port, ssh.Key
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiSubscriptions(w http.ResponseWriter, r *http.Request) error {
	a, err := p.accessOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	s, err := p.store.Subscription(r.Context(), actor(r))
	if err != nil {
		return err
	}
	out := subscriptionsAnswer{Datasets: []subscriptionView{}, Mode: modeOf(s.Explicit), Tables: s.Tables}
	for _, d := range a.Datasets {
		if d.Optional {
			out.Datasets = append(out.Datasets, subscriptionView{d, a.Enabled[d.Name]})
		}
	}
	return p.JSON(w, http.StatusOK, out)
}

func modeOf(explicit bool) string {
	if explicit {
		return "explicit"
	}
	return "all"
}

func (p *Portal) apiSubscribe(w http.ResponseWriter, r *http.Request) error {
	var b subscriptionsBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := p.choose(r, b); err != nil {
		return err
	}
	return p.apiSubscriptions(w, r)
}

// choose saves what somebody wants to carry. Everything is checked before anything is changed, but for what the store refuses.
func (p *Portal) choose(r *http.Request, b subscriptionsBody) error {
	ctx, me := r.Context(), actor(r)
	if b.Mode != "" && b.Mode != "all" && b.Mode != "explicit" {
		return &store.Error{Code: store.Invalid, Message: "table_mode \"" + b.Mode + "\" does not exist", Hint: "use all or explicit"}
	}
	for name := range b.Tables {
		if len(name) > 200 || strings.ContainsAny(name, "\x00\n") || len(b.Tables) > 20_000 {
			return &store.Error{Code: store.Invalid, Message: "the choice of tables is not understood", Hint: "name tables as the catalog does"}
		}
	}
	if len(b.Datasets) > 0 {
		if err := p.store.Subscribe(ctx, me, me, b.Datasets); err != nil {
			return err
		}
	}
	if b.Mode == "" && b.Tables == nil {
		return nil
	}
	s, err := p.store.Subscription(ctx, me)
	if err != nil {
		return err
	}
	return p.store.SubscribeTables(ctx, me, me, b.Mode == "explicit" || b.Mode == "" && s.Explicit, b.Tables)
}
