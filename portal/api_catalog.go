package portal

import (
	"net/http"
	"time"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) apiCatalogRoutes() []route.Route {
	table := map[string]string{"table": "The table as folder.name."}
	doc := func(summary string, d route.Doc) *route.Doc {
		d.Tag, d.Summary = "Data", summary
		return &d
	}
	return []route.Route{
		{Pattern: "GET /api/v1/home", Who: route.Caller, Handle: p.apiHome, Doc: doc("How much you read, how fresh it is, what is new since your last pull", route.Doc{Answer: homeAnswer{}})},
		{Pattern: "GET /api/v1/catalog", Who: route.Caller, Handle: p.apiCatalog, Doc: doc("Your tables by category, and the optional datasets", route.Doc{Answer: catalogAnswer{}})},
		{Pattern: "GET /api/v1/tables", Who: route.Caller, Handle: p.tableList, Doc: doc("List your tables", route.Doc{Query: []route.Param{wordsParam, afterParam, limitParam}, Answer: tablesAnswer{}})},
		{Pattern: "GET /api/v1/tables/{table}", Who: route.Caller, Handle: p.tableDetail, Doc: doc("One table: description, files, profile and history", route.Doc{Path: table, Answer: tableAnswer{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/tables/{table}/profile", Who: route.Caller, Handle: p.apiProfile, Doc: doc("What is known of a table's values", route.Doc{Path: table, Answer: store.Profile{}, Fails: []int{404}})},
		{Pattern: "PUT /api/v1/tables/{table}/watch", Who: route.Caller, Handle: p.apiWatch(true), Doc: doc("Be told of new versions of a table", route.Doc{Path: table, Answer: watchAnswer{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/tables/{table}/watch", Who: route.Caller, Handle: p.apiWatch(false), Doc: doc("Be told of them no longer", route.Doc{Path: table, Answer: watchAnswer{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/find", Who: route.Caller, Handle: p.apiFind, Doc: doc("Find pages, tables, columns and, for admins, people by name", route.Doc{Query: []route.Param{wordsParam}, Answer: findAnswer{}})},
	}
}

type (
	homeAnswer struct {
		Tables    int       `json:"tables"`
		Rows      int64     `json:"rows"`
		Bytes     int64     `json:"bytes"`
		Changed   int       `json:"changed"` // tables with new rows since your last pull
		Connected bool      `json:"connected"`
		LastPull  time.Time `json:"last_pull,omitzero"`
		SyncedAt  time.Time `json:"synced_at,omitzero"` // newest of your tables
	}
	catalogAnswer struct {
		Categories []categoryAnswer `json:"categories"`
		Optional   []optionalAnswer `json:"optional"`
	}
	categoryAnswer struct {
		Folder string     `json:"folder"`
		Label  string     `json:"label"`
		Tables []apiTable `json:"tables"`
	}
	optionalAnswer struct {
		store.Dataset
		On     bool  `json:"on"`
		Tables int   `json:"tables"`
		Bytes  int64 `json:"bytes"`
	}
	tablesAnswer struct {
		Tables []apiTable `json:"tables"`
		Next   string     `json:"next,omitempty"`
	}
	tableAnswer struct {
		Table   apiTable                `json:"table"`
		Profile *store.Profile          `json:"profile"` // null = there is none yet
		History []store.TableGeneration `json:"history"`
	}
	watchAnswer struct {
		Table   string `json:"table"`
		Watched bool   `json:"watched"`
	}
	findAnswer struct {
		Hits []hit `json:"hits"`
	}
)

// apiTable is a table as programs get it.
type apiTable struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Dataset     string       `json:"dataset"`
	Rows        int64        `json:"rows"`
	Bytes       int64        `json:"bytes"`
	State       string       `json:"state"` // good, late or unknown
	DataTime    time.Time    `json:"data_time,omitzero"`
	SyncedAt    time.Time    `json:"synced_at,omitzero"`
	Table       *store.Table `json:"table,omitempty"`
	Files       []store.File `json:"files,omitempty"`
}

func apiTableOf(t homeTable) apiTable {
	return apiTable{Name: t.FullName(), Description: t.Definition.Description, Dataset: t.Dataset, Rows: t.Rows, Bytes: t.Bytes, State: t.State, DataTime: t.DataTime, SyncedAt: t.SyncedAt}
}

// myTables are the tables that the caller reads.
func (p *Portal) myTables(r *http.Request) ([]homeTable, *store.Access, error) {
	me := visitorFrom(r).User
	a, err := p.accessOf(r.Context(), me.ID)
	if err != nil {
		return nil, nil, err
	}
	tables, err := p.tablesOf(r, a, me.LastSyncAt)
	return tables, a, err
}

func (p *Portal) apiHome(w http.ResponseWriter, r *http.Request) error {
	tables, _, err := p.myTables(r)
	if err != nil {
		return err
	}
	keys, err := p.store.Keys(r.Context(), actor(r))
	if err != nil {
		return err
	}
	out := homeAnswer{Tables: len(tables), LastPull: visitorFrom(r).User.LastSyncAt}
	for _, k := range keys {
		out.Connected = out.Connected || !k.LastUsedAt.IsZero()
	}
	for _, t := range tables {
		out.Rows, out.Bytes = out.Rows+t.Rows, out.Bytes+t.Bytes
		if t.New {
			out.Changed++
		}
		if t.SyncedAt.After(out.SyncedAt) {
			out.SyncedAt = t.SyncedAt
		}
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiCatalog(w http.ResponseWriter, r *http.Request) error {
	tables, a, err := p.myTables(r)
	if err != nil {
		return err
	}
	optional, err := p.optionalSets(r, a)
	if err != nil {
		return err
	}
	out := catalogAnswer{Categories: []categoryAnswer{}, Optional: []optionalAnswer{}}
	for _, c := range p.categories(a, tables) {
		v := categoryAnswer{Folder: c.Folder, Label: c.Label}
		for _, t := range c.Tables {
			v.Tables = append(v.Tables, apiTableOf(t))
		}
		out.Categories = append(out.Categories, v)
	}
	for _, o := range optional {
		out.Optional = append(out.Optional, optionalAnswer(o))
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) tableList(w http.ResponseWriter, r *http.Request) error {
	tables, _, err := p.myTables(r)
	if err != nil {
		return err
	}
	tables = byWords(r, tables, func(t homeTable) string { return t.FullName() + " " + t.Definition.Description })
	page, next, err := pageByName(r, tables, func(t homeTable) string { return t.FullName() })
	if err != nil {
		return err
	}
	out := tablesAnswer{Tables: []apiTable{}, Next: next}
	for _, t := range page {
		out.Tables = append(out.Tables, apiTableOf(t))
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) tableDetail(w http.ResponseWriter, r *http.Request) error {
	t, a, err := p.readable(r)
	if err != nil {
		return err
	}
	v, err := p.tableViewOf(r, t, a)
	if err != nil {
		return err
	}
	out := tableAnswer{Table: apiTableOf(v.homeTable), Profile: v.Profile, History: append([]store.TableGeneration{}, v.History...)}
	out.Table.Table, out.Table.Files = &t, v.Files
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiProfile(w http.ResponseWriter, r *http.Request) error {
	t, a, err := p.readable(r)
	if err != nil {
		return err
	}
	profile, err := p.store.Profile(r.Context(), a, t.ID)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, profile)
}

func (p *Portal) apiFind(w http.ResponseWriter, r *http.Request) error {
	hits, err := p.hits(r)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, findAnswer{hits})
}
