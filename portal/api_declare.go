package portal

import (
	"cmp"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"aida/portal/route"
	"aida/store"
)

// What admins declare of tables, as the pages below /admin/tables change it.
func (p *Portal) apiDeclareRoutes() []route.Route {
	if p.o.Tables == nil {
		return nil
	}
	doc := func(summary string, d route.Doc) *route.Doc {
		d.Tag, d.Summary = "Place", summary
		return &d
	}
	table := map[string]string{"table": "The table as folder.name, or by the id that its source has for it."}
	dry := route.Param{Name: "dry_run", Type: "boolean", Text: "Tell what would change in the file, and save nothing."}
	version := route.Param{Name: "version", Text: "The version that you read: 409 when the file is another one by now."}
	orders := declarationKeys{Description: new("Orders with totals"), Schedule: new("every 6h"), Columns: []columnDeclaration{{Name: "email", Type: "string", Sensitive: true}}}
	const lock = "With the version that you read it is refused (409) when the file was changed since; without one the change is made on what is there now."
	return []route.Route{
		{Pattern: "GET /api/v1/declarations", Who: route.AdminCaller, Handle: p.apiDeclarations, Doc: doc("What is declared of each table", route.Doc{Query: []route.Param{wordsParam, afterParam, limitParam}, Answer: declarationsAnswer{},
			Text: "version stands for the state of the description files. A change gives it back, so that it is not made on something that nobody saw."})},
		{Pattern: "POST /api/v1/declarations", Who: route.AdminCaller, Handle: p.apiDeclare, Doc: doc("Add a table that the source has", route.Doc{Query: []route.Param{dry}, Body: newDeclaration{ID: "sales.refunds", declarationKeys: declarationKeys{PrimaryKey: oneOrMore{"id"}}}, Answer: changeAnswer{}, Fails: []int{404, 409},
			Text: "What is left out is as the source proposes it. It is synced by schedule from then on. " + lock})},
		{Pattern: "GET /api/v1/declarations/{table}", Who: route.AdminCaller, Handle: p.apiDeclaration, Doc: doc("What is declared of a table", route.Doc{Path: table, Answer: declarationAnswer{}, Fails: []int{400, 404}})},
		{Pattern: "PATCH /api/v1/declarations/{table}", Who: route.AdminCaller, Handle: p.apiRedeclare, Doc: doc("Change what is declared of a table", route.Doc{Path: table, Query: []route.Param{dry}, Body: changedDeclaration{declarationKeys: orders}, Answer: changeAnswer{}, Fails: []int{404, 409},
			Text: "Keys and columns that are not named stay; an empty text takes a key out. " + lock})},
		{Pattern: "DELETE /api/v1/declarations/{table}", Who: route.AdminCaller, Handle: p.apiUndeclare, Doc: doc("Take a table out of the description", route.Doc{Path: table, Query: []route.Param{version, dry}, Answer: changeAnswer{}, Fails: []int{404, 409},
			Text: "The next generation is without it; old ones keep it as long as they are kept. " + lock})},
		{Pattern: "GET /api/v1/discover", Who: route.AdminCaller, Handle: p.apiDiscover, Doc: doc("What tables the source has, and which are declared", route.Doc{Query: []route.Param{wordsParam, afterParam, limitParam}, Answer: candidatesAnswer{}})},
	}
}

type (
	// declarationKeys are the keys of a table in the description. nil = stays as it is.
	declarationKeys struct {
		Description       *string             `json:"description,omitempty"`
		PrimaryKey        oneOrMore           `json:"primary_key,omitempty"`
		Strategy          *string             `json:"sync_strategy,omitempty"`
		IncrementalColumn *string             `json:"incremental_column,omitempty"`
		WindowDays        *int                `json:"incremental_window_days,omitempty"` // 0 = as usual
		PartitionBy       *string             `json:"partition_by,omitempty"`
		Granularity       *string             `json:"partition_granularity,omitempty"`
		Dataset           *string             `json:"dataset,omitempty"`
		Schedule          *string             `json:"schedule,omitempty"`
		OnBadRow          *string             `json:"on_bad_row,omitempty"`
		Schema            *string             `json:"schema,omitempty"`
		ChunkDays         *int                `json:"initial_load_chunk_days,omitempty"` // 0 = as usual
		ForeignKeys       []ForeignKey        `json:"foreign_keys,omitempty"`            // all of them; an empty list takes the key out
		WhereFilters      []WhereFilter       `json:"where_filters,omitempty"`           // likewise
		Columns           []columnDeclaration `json:"columns,omitempty"`
	}
	columnDeclaration struct {
		Name        string `json:"name"`
		Type        string `json:"type,omitempty"`
		Description string `json:"description,omitempty"`
		Sensitive   bool   `json:"sensitive,omitempty"`
	}
	newDeclaration struct {
		ID      string `json:"id"`
		Name    string `json:"name,omitempty"`
		Folder  string `json:"folder,omitempty"`
		Version string `json:"version,omitempty"`
		declarationKeys
	}
	changedDeclaration struct {
		Version string `json:"version,omitempty"`
		declarationKeys
	}
	declaration struct {
		ID     string `json:"id"`
		Table  string `json:"table"` // folder.name
		Name   string `json:"name"`
		Folder string `json:"folder"`
		declarationKeys
		Place string `json:"place"`           // file and line
		Fixed string `json:"fixed,omitempty"` // why the columns cannot be changed from here
	}
	declarationsAnswer struct {
		Version string        `json:"version"`
		Tables  []declaration `json:"tables"`
		Next    string        `json:"next,omitempty"`
	}
	declarationAnswer struct {
		Version string      `json:"version"`
		Table   declaration `json:"table"`
	}
	changeAnswer struct {
		ID      string       `json:"id"`
		Saved   bool         `json:"saved"`
		Version string       `json:"version"` // of what is there after it
		Diff    []diffAnswer `json:"diff"`    // empty = nothing changes
	}
	diffAnswer struct {
		Mark string `json:"mark"` // - goes, + comes, a blank stays, … stands for lines between
		Line string `json:"line,omitempty"`
		Text string `json:"text"`
	}
	candidatesAnswer struct {
		Tables []candidateAnswer `json:"tables"`
		Next   string            `json:"next,omitempty"`
	}
	candidateAnswer struct {
		ID          string   `json:"id"`
		Bucket      string   `json:"bucket"`
		Folder      string   `json:"folder"`
		Name        string   `json:"name"`
		Description string   `json:"description"`
		PrimaryKey  []string `json:"primary_key"`
		Rows        *int64   `json:"rows,omitempty"` // missing = not known
		Columns     int      `json:"columns"`
		Declared    bool     `json:"declared"`
	}
)

// oneOrMore are names, of which one may stand alone.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	switch {
	case string(text) == "null": // as if it were not there
		return nil
	case json.Unmarshal(text, &one) == nil:
		*o = oneOrMore{}
		for part := range strings.SplitSeq(one, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*o = append(*o, part)
			}
		}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

func declarationJSON(d Declared) declaration {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	out := declaration{ID: d.ID, Table: d.Table, Name: d.Name, Folder: d.Folder, Place: filepath.Base(d.Place), Fixed: strings.ReplaceAll(d.Fixed, d.Place, filepath.Base(d.Place)), declarationKeys: declarationKeys{Description: text(d.Description), PrimaryKey: d.PrimaryKey, Strategy: text(d.Strategy),
		IncrementalColumn: text(d.IncrementalColumn), PartitionBy: text(d.PartitionBy), Granularity: text(d.Granularity), Dataset: text(d.Dataset), Schedule: text(d.Schedule), OnBadRow: text(d.OnBadRow), Schema: text(d.Schema),
		ForeignKeys: d.ForeignKeys, WhereFilters: d.WhereFilters}}
	if n, err := strconv.Atoi(d.WindowDays); err == nil {
		out.WindowDays = &n
	}
	if n, err := strconv.Atoi(d.ChunkDays); err == nil {
		out.ChunkDays = &n
	}
	for _, c := range d.Columns {
		out.Columns = append(out.Columns, columnDeclaration(c))
	}
	return out
}

// on puts the keys that are given onto a declaration. Only columns that are named are in what comes of it: others stay.
func (k declarationKeys) on(d Declaration) Declaration {
	for from, to := range map[*string]*string{k.Description: &d.Description, k.Strategy: &d.Strategy, k.IncrementalColumn: &d.IncrementalColumn, k.PartitionBy: &d.PartitionBy, k.Granularity: &d.Granularity,
		k.Dataset: &d.Dataset, k.Schedule: &d.Schedule, k.OnBadRow: &d.OnBadRow, k.Schema: &d.Schema} {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	if k.PrimaryKey != nil {
		d.PrimaryKey = k.PrimaryKey
	}
	if k.ForeignKeys != nil {
		d.ForeignKeys = k.ForeignKeys
	}
	if k.WhereFilters != nil {
		d.WhereFilters = k.WhereFilters
	}
	for from, to := range map[*int]*string{k.WindowDays: &d.WindowDays, k.ChunkDays: &d.ChunkDays} {
		if from != nil {
			*to = ""
			if *from != 0 {
				*to = strconv.Itoa(*from)
			}
		}
	}
	d.Columns = nil
	for _, c := range k.Columns {
		d.Columns = append(d.Columns, DeclaredColumn(c))
	}
	return d
}

func (p *Portal) apiDeclarations(w http.ResponseWriter, r *http.Request) error {
	all, err := p.o.Tables.All(r.Context())
	if err != nil {
		return err
	}
	list := byWords(r, all.Tables, func(d Declared) string { return d.ID + " " + d.Table + " " + d.Description })
	list, next, err := pageByName(r, list, func(d Declared) string { return d.ID })
	if err != nil {
		return err
	}
	out := declarationsAnswer{Version: all.Seen, Tables: []declaration{}, Next: next}
	for _, d := range list {
		out.Tables = append(out.Tables, declarationJSON(d))
	}
	return p.JSON(w, http.StatusOK, out)
}

// declaredTable finds a declaration by id or by folder.name.
func (p *Portal) declaredTable(r *http.Request, name string) (Declared, error) {
	all, err := p.o.Tables.All(r.Context())
	if err != nil {
		return Declared{}, err
	}
	var found *Declared
	for i, d := range all.Tables {
		if d.ID == name {
			return d, nil
		}
		if d.Table == name {
			found = &all.Tables[i]
		}
	}
	if found == nil {
		return Declared{}, &store.Error{Code: store.NotFound, Message: "no description file tells of " + name, Hint: "it may have been taken out meanwhile"}
	}
	return *found, nil
}

func (p *Portal) apiDeclaration(w http.ResponseWriter, r *http.Request) error {
	d, err := p.declaredTable(r, r.PathValue("table"))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, declarationAnswer{d.Seen, declarationJSON(d)})
}

// declare makes a change, or only tells of it.
func (p *Portal) declare(r *http.Request, c Change, dry bool) (changeAnswer, error) {
	preview, err := p.o.Tables.Preview(r.Context(), c)
	if err != nil {
		return changeAnswer{}, err
	}
	out := changeAnswer{ID: c.ID, Version: c.Seen, Diff: []diffAnswer{}}
	for _, l := range preview.Diff {
		out.Diff = append(out.Diff, diffAnswer{l.Mark, l.Before, l.Text})
	}
	if dry {
		return out, nil
	}
	out.Version, err = p.o.Tables.Save(r.Context(), actor(r), c)
	out.Saved = err == nil
	return out, err
}

func (p *Portal) answerChange(w http.ResponseWriter, r *http.Request, c Change) error {
	dry := false
	if text := r.URL.Query().Get("dry_run"); text != "" {
		var err error
		if dry, err = strconv.ParseBool(text); err != nil {
			return badQuery("dry_run", "It is true or false.")
		}
	}
	out, err := p.declare(r, c, dry)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiDeclare(w http.ResponseWriter, r *http.Request) error {
	var b newDeclaration
	if err := readJSON(r, &b); err != nil {
		return err
	}
	c, err := p.newTable(r, b)
	if err != nil {
		return err
	}
	return p.answerChange(w, r, c)
}

// newTable is the change that adds a table which the source has.
func (p *Portal) newTable(r *http.Request, b newDeclaration) (Change, error) {
	if b.ID == "" {
		return Change{}, &store.Error{Code: store.Invalid, Message: "id is missing", Hint: "it is one of those that the source has: see /api/v1/discover"}
	}
	all, err := p.o.Tables.All(r.Context())
	if err != nil {
		return Change{}, err
	}
	for _, d := range all.Tables {
		if d.ID == b.ID {
			return Change{}, &store.Error{Code: store.Conflict, Message: b.ID + " is declared already, as " + d.Table, Hint: "change that declaration"}
		}
	}
	found, err := p.candidate(r, b.ID)
	if err != nil {
		return Change{}, err
	}
	d := Declaration{ID: found.ID, Name: cmp.Or(b.Name, found.Name), Folder: cmp.Or(b.Folder, found.Folder), Description: found.Description, PrimaryKey: found.PrimaryKey, Strategy: "full_refresh"}
	return Change{Declaration: b.on(d), New: true, Path: found.Path, Seen: cmp.Or(b.Version, all.Seen)}, nil
}

func (p *Portal) apiRedeclare(w http.ResponseWriter, r *http.Request) error {
	var b changedDeclaration
	if err := readJSON(r, &b); err != nil {
		return err
	}
	d, err := p.declaredTable(r, r.PathValue("table"))
	if err != nil {
		return err
	}
	return p.answerChange(w, r, Change{Declaration: b.on(d.Declaration), Seen: cmp.Or(b.Version, d.Seen)})
}

func (p *Portal) apiUndeclare(w http.ResponseWriter, r *http.Request) error {
	d, err := p.declaredTable(r, r.PathValue("table"))
	if err != nil {
		return err
	}
	return p.answerChange(w, r, Change{Declaration: d.Declaration, Gone: true, Seen: cmp.Or(r.URL.Query().Get("version"), d.Seen)})
}

func (p *Portal) apiDiscover(w http.ResponseWriter, r *http.Request) error {
	found, err := p.o.Tables.Discover(r.Context())
	if err != nil {
		return err
	}
	found = byWords(r, found, func(c Candidate) string { return c.ID + " " + c.Description })
	found, next, err := pageByName(r, found, func(c Candidate) string { return c.ID })
	if err != nil {
		return err
	}
	out := candidatesAnswer{Tables: []candidateAnswer{}, Next: next}
	for _, c := range found {
		out.Tables = append(out.Tables, candidateAnswer{c.ID, c.Bucket, c.Folder, c.Name, c.Description, append([]string{}, c.PrimaryKey...), rowsOf(c), c.Columns, c.Described})
	}
	return p.JSON(w, http.StatusOK, out)
}

func rowsOf(c Candidate) *int64 {
	if c.Rows < 0 {
		return nil
	}
	return &c.Rows
}
