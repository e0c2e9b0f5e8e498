package portal

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"aida/portal/route"
	"aida/store"
)

// Syncs starts syncs; the work goes on after the call.
type Syncs interface {
	// Start begins a sync of tables by folder.name (none = all). A sync that is under way is an error with a code.
	Start(tables []string, trigger string) error
}

func (p *Portal) runRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /admin/runs", Who: route.Admin, Handle: p.runs},
		{Pattern: "POST /admin/runs", Who: route.Admin, Handle: p.startRun},
		{Pattern: "GET /admin/runs/{run}", Who: route.Admin, Handle: p.run},
	}
}

type runsView struct {
	Runs   []store.Run
	Older  int64
	Newest bool
}

func (p *Portal) runs(w http.ResponseWriter, r *http.Request) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	v := runsView{Newest: before <= 0}
	var err error
	if v.Runs, err = p.store.RunsBefore(r.Context(), max(before, 0), perPage+1); err != nil {
		return err
	}
	if len(v.Runs) > perPage {
		v.Runs = v.Runs[:perPage]
		v.Older = v.Runs[perPage-1].ID
	}
	return p.render(w, r, http.StatusOK, "runs", page{Title: "Runs", Lede: "How each sync went, newest first.", Script: "runs.js", Data: v})
}

func (p *Portal) startRun(w http.ResponseWriter, r *http.Request) error {
	if p.o.Syncs == nil {
		return p.notFound(w, r)
	}
	var tables []string
	back := "/admin/runs"
	if t := r.PostFormValue("table"); t != "" {
		tables, back = []string{t}, localPath(cmp.Or(r.PostFormValue("back"), "/admin/tables"))
	}
	if err := p.o.Syncs.Start(tables, "portal:"+visitorFrom(r).User.Name); err != nil {
		return err
	}
	return p.done(w, r, back, "The sync has begun. Runs show how it goes.")
}

type runView struct {
	store.Run
	Tables  []store.RunTable
	Longest time.Duration
}

// Took is how long the run was, or has been so far.
func (v runView) Took() time.Duration {
	if v.FinishedAt.IsZero() {
		return time.Since(v.StartedAt).Round(time.Second)
	}
	return v.FinishedAt.Sub(v.StartedAt).Round(time.Millisecond)
}

// Share is a table's part of the longest one, 0 to 100.
func (v runView) Share(t store.RunTable) float64 {
	if v.Longest <= 0 {
		return 0
	}
	return 100 * float64(t.Duration) / float64(v.Longest)
}

func (p *Portal) runViewOf(r *http.Request) (v runView, err error) {
	id, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil {
		return v, &route.Problem{Status: http.StatusNotFound, Title: "There is no such run", Text: "Runs have numbers.", Link: "/admin/runs", LinkText: "To the runs"}
	}
	if v.Run, err = p.store.RunByID(r.Context(), id); err != nil {
		return v, err
	}
	if v.Tables, err = p.store.RunTables(r.Context(), id); err != nil {
		return v, err
	}
	for _, t := range v.Tables {
		v.Longest = max(v.Longest, t.Duration)
	}
	return v, nil
}

func (p *Portal) run(w http.ResponseWriter, r *http.Request) error {
	v, err := p.runViewOf(r)
	if err != nil {
		return err
	}
	show := page{Title: "Run " + strconv.FormatInt(v.ID, 10), Lede: "What became of each table.", Crumbs: []crumb{{"Runs", "/admin/runs"}}, Data: v}
	if v.FinishedAt.IsZero() {
		show.Script = "runs.js"
	}
	return p.render(w, r, http.StatusOK, "run", show)
}
