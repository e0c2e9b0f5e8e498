package portal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) tableRoutes() []route.Route {
	table := map[string]string{"table": "The table as folder.name."}
	out := []route.Route{
		{Pattern: "GET /admin/tables", Who: route.Admin, Handle: p.adminTables},
		{Pattern: "POST /admin/tables/{table}/pause", Who: route.Admin, Handle: p.pauseTable},
		{Pattern: "POST /api/v1/tables/{table}/pause", Who: route.AdminCaller, Handle: p.pauseByAPI(true), Doc: &route.Doc{Tag: "Place", Summary: "Keep a table out of scheduled syncs", Path: table, Answer: pauseAnswer{}, Fails: []int{404}}},
		{Pattern: "POST /api/v1/tables/{table}/resume", Who: route.AdminCaller, Handle: p.pauseByAPI(false), Doc: &route.Doc{Tag: "Place", Summary: "Let scheduled syncs take a table again", Path: table, Answer: pauseAnswer{}, Fails: []int{404}}},
	}
	if p.o.Tables != nil {
		out = append(out,
			route.Route{Pattern: "GET /admin/tables/new", Who: route.Admin, Handle: p.discover},
			route.Route{Pattern: "GET /admin/tables/add", Who: route.Admin, Handle: p.addTable},
			route.Route{Pattern: "POST /admin/tables/add", Who: route.Admin, Handle: p.saveNewTable},
			route.Route{Pattern: "GET /admin/tables/{table}", Who: route.Admin, Handle: p.editTable},
			route.Route{Pattern: "POST /admin/tables/{table}", Who: route.Admin, Handle: p.saveTable},
			route.Route{Pattern: "GET /admin/tables/{table}/remove", Who: route.Admin, Handle: p.askRemoveTable},
			route.Route{Pattern: "POST /admin/tables/{table}/remove", Who: route.Admin, Handle: p.removeTable})
	}
	return out
}

type pauseAnswer struct {
	Table  string `json:"table"`
	Paused bool   `json:"paused"`
}

type adminTable struct {
	homeTable
	Last *store.RunTable
	Runs []store.RunTable // oldest first, for the strip
}

// StripText says what the strip shows: "12 runs, oldest first: 11 unchanged, 1 failed".
func (t adminTable) StripText() string {
	var names []string
	counts := map[string]int{}
	for _, r := range t.Runs {
		name := string(r.Outcome)
		if counts[name]++; counts[name] == 1 {
			names = append(names, name)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", counts[name], name)
	}
	return plural(len(t.Runs), "run", "runs") + ", oldest first: " + strings.Join(names, ", ")
}

const stripShown = 20

// adminTables shows how each table fares, with a strip of its last runs.
func (p *Portal) adminTables(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	a, err := p.store.FullAccess(ctx) // also what the admin does not carry around
	if err != nil {
		return err
	}
	tables, err := p.tablesOf(r, a, time.Time{})
	if err != nil {
		return err
	}
	all := len(tables)
	query := r.URL.Query().Get("q")
	if query != "" {
		words := strings.Fields(strings.ToLower(query))
		tables = slices.DeleteFunc(tables, func(t homeTable) bool {
			return !matches(t.FullName()+" "+t.SourceID+" "+t.Why+" "+t.Definition.Description, words)
		})
	}
	pg, from, to := pageOf(r, len(tables))
	var out []adminTable
	for _, t := range tables[from:to] {
		x := adminTable{homeTable: t}
		if x.Runs, err = p.store.TableRuns(ctx, t.ID, stripShown); err != nil {
			return err
		}
		if len(x.Runs) > 0 {
			last := x.Runs[0]
			x.Last = &last
		}
		slices.Reverse(x.Runs)
		out = append(out, x)
	}
	shown := page{Title: "Tables", Lede: "What is synced, from where, and how that goes.",
		Data: map[string]any{"Tables": out, "Total": all, "Query": query, "Pager": pg, "CanSync": p.o.Syncs != nil, "CanEdit": p.o.Tables != nil}}
	if p.o.Tables != nil {
		shown.Action = &action{"Add a table", "/admin/tables/new", "plus", true}
	}
	return p.render(w, r, http.StatusOK, "tables", shown)
}

// describedTable is the table of the path, whoever reads it.
func (p *Portal) describedTable(r *http.Request) (store.Table, error) {
	tables, err := p.store.Tables(r.Context())
	if err != nil {
		return store.Table{}, err
	}
	for _, t := range tables {
		if t.FullName() == r.PathValue("table") {
			return t, nil
		}
	}
	return store.Table{}, &route.Problem{Status: http.StatusNotFound, Title: "There is no such table", Text: "It may have another name, or be described no more.", Link: "/admin/tables", LinkText: "To the tables"}
}

func adminTablePath(t store.Table) string { return "/admin/tables/" + t.FullName() }

func (p *Portal) pauseTable(w http.ResponseWriter, r *http.Request) error {
	t, err := p.describedTable(r)
	if err != nil {
		return err
	}
	pause := r.PostFormValue("pause") == "true"
	if err := p.store.PauseTable(r.Context(), visitorFrom(r).User.Name, t.FullName(), pause); err != nil {
		return err
	}
	if pause {
		return p.done(w, r, adminTablePath(t), "%s is paused: no scheduled sync takes it until you resume it.", t.FullName())
	}
	return p.done(w, r, adminTablePath(t), "%s is synced by schedule again.", t.FullName())
}

// pauseByAPI pauses a table, or with pause off lets the schedule have it again.
func (p *Portal) pauseByAPI(pause bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		t, err := p.describedTable(r)
		if err != nil {
			return err
		}
		if err := p.store.PauseTable(r.Context(), visitorFrom(r).User.Name, t.FullName(), pause); err != nil {
			return err
		}
		return p.JSON(w, http.StatusOK, pauseAnswer{t.FullName(), pause})
	}
}
