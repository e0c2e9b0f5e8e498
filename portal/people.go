package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

func (p *Portal) peopleRoutes() []route.Route {
	return slices.Concat([]route.Route{
		{Pattern: "GET /admin/people", Who: route.Admin, Handle: p.people},
		{Pattern: "POST /admin/people", Who: route.Admin, Handle: p.invite},
	}, p.personRoutes(), p.groupRoutes())
}

type peopleView struct {
	Rows          []personRow
	Groups        []groupRow
	Query         string
	Total, Tables int
	Pager         pager
	Wrong         string
	Form          inviteForm
	Mail          bool
}

type inviteForm struct{ Email, FullName, Name, Role string }

type personRow struct {
	store.User
	Display  string
	Keys     int
	LastKey  time.Time
	Devices  int
	Reads    int
	Inactive bool // invited, but never seen anywhere
}

type groupRow struct {
	store.Group
	Grants []string
}

const perPage = 100

// pager is a list in pages, by number from 1.
type pager struct {
	Page, Pages int
	Base        string // address without the page, ready for it
}

// Prev is the page before.
func (v pager) Prev() int { return v.Page - 1 }

// Next is the page behind.
func (v pager) Next() int { return v.Page + 1 }

func pageOf(r *http.Request, total int) (pager, int, int) {
	pg := pager{Page: 1, Pages: max(1, (total+perPage-1)/perPage)}
	_, _ = fmt.Sscanf(r.URL.Query().Get("page"), "%d", &pg.Page)
	pg.Page = min(max(pg.Page, 1), pg.Pages)
	q := r.URL.Query()
	q.Del("page")
	pg.Base = r.URL.Path + "?" + q.Encode()
	if len(q) > 0 {
		pg.Base += "&"
	}
	from := (pg.Page - 1) * perPage
	return pg, from, min(total, from+perPage)
}

func (p *Portal) people(w http.ResponseWriter, r *http.Request) error {
	return p.showPeople(w, r, http.StatusOK, peopleView{})
}

func (p *Portal) showPeople(w http.ResponseWriter, r *http.Request, status int, v peopleView) error {
	ctx := r.Context()
	users, err := p.store.Users(ctx)
	if err != nil {
		return err
	}
	v.Total, v.Query, v.Mail = len(users), strings.TrimSpace(r.URL.Query().Get("q")), p.o.Mailer != nil && p.o.Mailer.Configured()
	words := strings.Fields(strings.ToLower(v.Query))
	users = slices.DeleteFunc(users, func(u store.User) bool {
		return !matches(p.personText(u), words)
	})
	var from, to int
	v.Pager, from, to = pageOf(r, len(users))
	tables, err := p.store.Tables(ctx)
	if err != nil {
		return err
	}
	v.Tables = len(tables)
	for _, u := range users[from:to] {
		row, err := p.personRow(r, u)
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, row)
	}
	groups, err := p.store.Groups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		grants, err := p.store.GroupGrants(ctx, g.Name)
		if err != nil {
			return err
		}
		row := groupRow{Group: g}
		for _, grant := range grants {
			row.Grants = append(row.Grants, grant.Name())
		}
		v.Groups = append(v.Groups, row)
	}
	return p.render(w, r, status, "people", page{Title: "People", Lede: "Who may come in, and what each of them reads.", Data: v})
}

func (p *Portal) personRow(r *http.Request, u store.User) (personRow, error) {
	row := personRow{User: u, Display: p.displayName(u)}
	keys, err := p.store.Keys(r.Context(), u.Name)
	if err != nil {
		return row, err
	}
	row.Keys = len(keys)
	for _, k := range keys {
		if k.LastUsedAt.After(row.LastKey) {
			row.LastKey = k.LastUsedAt
		}
	}
	devices, err := p.store.Tokens(r.Context(), store.DeviceToken, u.ID)
	if err != nil {
		return row, err
	}
	row.Devices = len(devices)
	a, err := p.accessOf(r.Context(), u.ID)
	if err != nil {
		return row, err
	}
	row.Reads = len(a.Tables)
	row.Inactive = row.LastKey.IsZero() && u.SignedInAt.IsZero()
	return row, nil
}

// inviter is a provider that can set a first password by link.
type inviter interface{ Invites() bool }

const inviteLife = 72 * time.Hour

// invite makes an account, and sends the person a letter when mail is configured.
func (p *Portal) invite(w http.ResponseWriter, r *http.Request) error {
	f := inviteForm{strings.TrimSpace(r.PostFormValue("email")), strings.TrimSpace(r.PostFormValue("full_name")), strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("role")}
	u, err := p.addPerson(r, personBody{Email: f.Email, FullName: f.FullName, Name: f.Name, Role: store.Role(f.Role)})
	if code := store.CodeOf(err); code == store.Invalid || code == store.Conflict {
		return p.showPeople(w, r, http.StatusBadRequest, peopleView{Wrong: sentence(err.Error()), Form: f})
	}
	if err != nil {
		return err
	}
	to := "/admin/people/" + url.PathEscape(u.Name)
	sent, err := p.sendInvitation(r, u)
	if err != nil {
		return err
	}
	if !sent {
		return p.done(w, r, to, "%s is invited. No mail is configured: print a sign-in link on the server with `aida analyst link %s`.", u.Name, u.Email)
	}
	return p.done(w, r, to, "%s is invited, a letter is on its way to %s.", u.Name, u.Email)
}

func (p *Portal) sendInvitation(r *http.Request, u store.User) (bool, error) {
	if p.o.Mailer == nil || !p.o.Mailer.Configured() || u.Email == "" {
		return false, nil
	}
	m := auth.Message{To: u.Email, Subject: "Your account at " + p.o.Instance.Name, Heading: "Welcome to " + p.o.Instance.Name,
		Text: visitorFrom(r).Name + " has invited you. The data of your company is a few minutes away.", Link: p.URL("/login"), LinkText: "Sign in",
		Note: "If you did not expect this, do nothing."}
	if slices.ContainsFunc(p.o.Providers, func(a auth.Provider) bool { i, ok := a.(inviter); return ok && i.Invites() }) {
		secret := auth.NewSecret()
		if err := p.store.AddLink(r.Context(), visitorFrom(r).User.Name, secret, store.NewLink{Kind: store.InviteLink, UserID: u.ID, Life: inviteLife}); err != nil {
			return false, err
		}
		m.Link, m.LinkText, m.Note = p.URL("/auth/setup/"+secret), "Choose a password", "The link works once, within three days. If you did not expect this, do nothing."
	}
	return true, p.o.Mailer.Send(m)
}
