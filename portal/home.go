package portal

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) homeRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /{$}", Who: route.Person, Handle: p.home},
		{Pattern: "GET /dashboard", Who: route.Person, Handle: p.dashboard},
	}
}

// dashboard is the reference's address of home.
func (p *Portal) dashboard(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

type homeView struct {
	Tables    []homeTable
	All, More int // tables in all, and beyond those that are shown
	Rows      int64
	Bytes     int64
	Connected bool // a key has been used
	LastPull  time.Time
	Changed   int         // tables with new rows since the last pull
	News      []homeTable // of these, at most newsShown
	Pulls     pullsView
	Place     *placeView
}

type homeTable struct {
	store.Table
	Rows, Bytes int64
	State, Why  string
	Trend       *trend // of the rows; nil = there is one version only
	New         bool   // changed since the last pull
}

// placeView is what an admin sees on top.
type placeView struct {
	People, Suspended int
	Tables, Failing   int
	Never             int
	Health            string // "" = nothing was looked at yet
	Wrong             int    // checks that do not hold
	Last              *store.Run
}

// RunState is the last run's mark.
func (v *placeView) RunState() string {
	switch v.Last.Outcome {
	case store.Done:
		return "good"
	case store.Running:
		return "unknown"
	case store.Partial:
		return "late"
	}
	return "bad"
}

const (
	homeTables = 12
	newsShown  = 6
)

func (p *Portal) home(w http.ResponseWriter, r *http.Request) error {
	ctx, me := r.Context(), visitorFrom(r)
	a, err := p.accessOf(ctx, me.User.ID)
	if err != nil {
		return err
	}
	v := homeView{LastPull: me.User.LastSyncAt}
	if v.Tables, err = p.tablesOf(r, a, me.User.LastSyncAt); err != nil {
		return err
	}
	for _, t := range v.Tables {
		v.Rows += t.Rows
		v.Bytes += t.Bytes
		if t.New {
			if v.Changed++; len(v.News) < newsShown {
				v.News = append(v.News, t)
			}
		}
	}
	v.All = len(v.Tables)
	slices.SortStableFunc(v.Tables, func(x, y homeTable) int {
		return y.SyncedAt.Truncate(time.Minute).Compare(x.SyncedAt.Truncate(time.Minute))
	})
	if len(v.Tables) > homeTables {
		v.Tables, v.More = v.Tables[:homeTables], len(v.Tables)-homeTables
	}
	if v.Pulls, err = p.pullsOf(r); err != nil {
		return err
	}
	keys, err := p.store.Keys(ctx, me.User.Name)
	if err != nil {
		return err
	}
	v.Connected = slices.ContainsFunc(keys, func(k store.Key) bool { return !k.LastUsedAt.IsZero() })
	if me.User.Role == store.Admin {
		if v.Place, err = p.placeOf(r); err != nil {
			return err
		}
	}
	return p.render(w, r, http.StatusOK, "home", page{Title: "Hello, " + cmp.Or(firstName(me.Name), me.User.Name), Lede: "Your tables, and how fresh they are.", Data: v})
}

// tablesOf gives the tables that somebody reads with their size and state, by folder and name.
func (p *Portal) tablesOf(r *http.Request, a *store.Access, since time.Time) ([]homeTable, error) {
	k, err := p.known(r.Context())
	if err != nil {
		return nil, err
	}
	var changed map[int64]time.Time
	if !since.IsZero() {
		if changed, err = p.store.ChangedSince(r.Context(), since); err != nil {
			return nil, err
		}
	}
	return seenBy(k, a, changed), nil
}

// changedFor are the tables that changed since somebody's last pull.
func (p *Portal) changedFor(ctx context.Context, u store.User) (map[int64]time.Time, error) {
	if u.LastSyncAt.IsZero() {
		return nil, nil
	}
	return p.store.ChangedSince(ctx, u.LastSyncAt)
}

func seenBy(k *known, a *store.Access, changed map[int64]time.Time) []homeTable {
	out := make([]homeTable, 0, len(k.tables))
	for _, t := range k.tables {
		if a.CanRead(t.ID) {
			_, t.New = changed[t.ID]
			out = append(out, t)
		}
	}
	return out
}

func (p *Portal) placeOf(r *http.Request) (*placeView, error) {
	users, err := p.store.Users(r.Context())
	if err != nil {
		return nil, err
	}
	known, err := p.known(r.Context())
	if err != nil {
		return nil, err
	}
	f := known.fresh
	v := &placeView{People: len(users), Tables: f.Tables, Failing: f.Failing, Never: f.Never}
	for _, u := range users {
		if !u.SuspendedAt.IsZero() {
			v.Suspended++
		}
	}
	v.Health, v.Wrong = p.placeHealth()
	runs, err := p.store.Runs(r.Context(), 1)
	if err != nil {
		return nil, err
	}
	if len(runs) > 0 {
		v.Last = &runs[0]
	}
	return v, nil
}

func firstName(name string) string {
	for i, r := range name {
		if r == ' ' {
			return name[:i]
		}
	}
	return name
}
