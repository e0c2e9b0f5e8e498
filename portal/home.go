package portal

import (
	"cmp"
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
	Changed   int // tables with new rows since the last pull
	Place     *placeView
}

type homeTable struct {
	store.Table
	Rows, Bytes int64
	State, Why  string
	New         bool // changed since the last pull
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

const homeTables = 12

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
			v.Changed++
		}
	}
	v.All = len(v.Tables)
	slices.SortStableFunc(v.Tables, func(x, y homeTable) int {
		return y.SyncedAt.Truncate(time.Minute).Compare(x.SyncedAt.Truncate(time.Minute))
	})
	if len(v.Tables) > homeTables {
		v.Tables, v.More = v.Tables[:homeTables], len(v.Tables)-homeTables
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

// tablesOf gives the tables that somebody reads with their size and state, newest data first.
func (p *Portal) tablesOf(r *http.Request, a *store.Access, since time.Time) ([]homeTable, error) {
	ctx := r.Context()
	snap, err := p.store.Newest(ctx)
	if err != nil {
		return nil, err
	}
	tables, err := p.store.Tables(ctx) // the access is cached, the times in its tables may be old
	if err != nil {
		return nil, err
	}
	last, err := p.store.LastRuns(ctx)
	if err != nil {
		return nil, err
	}
	changed := map[int64]time.Time{}
	if !since.IsZero() {
		if changed, err = p.store.ChangedSince(ctx, since); err != nil {
			return nil, err
		}
	}
	rows, size := map[int64]int64{}, map[int64]int64{}
	for _, f := range snap.Files {
		rows[f.TableID] += f.Rows
		size[f.TableID] += f.Size
	}
	var out []homeTable
	for _, t := range tables {
		if !a.CanRead(t.ID) {
			continue
		}
		h := homeTable{Table: t, Rows: rows[t.ID], Bytes: size[t.ID], State: "good", Why: "good"}
		run, ran := last[t.ID]
		switch {
		case t.Definition.QueryMode == "remote":
			h.Why = "stays at its source"
		case t.SyncedAt.IsZero():
			h.State, h.Why = "unknown", "no data yet"
		case ran && run.Outcome == store.Failed:
			h.State, h.Why = "late", "last sync failed"
		}
		if h.State == "good" && !t.PausedAt.IsZero() {
			h.State, h.Why = "unknown", "paused"
		}
		_, h.New = changed[t.ID]
		out = append(out, h)
	}
	return out, nil
}

func (p *Portal) placeOf(r *http.Request) (*placeView, error) {
	users, err := p.store.Users(r.Context())
	if err != nil {
		return nil, err
	}
	f, err := p.store.Freshness(r.Context())
	if err != nil {
		return nil, err
	}
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
