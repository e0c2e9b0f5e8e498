package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"aida/portal/route"
	"aida/store"
)

type editView struct {
	Declared
	Table      store.Table // zero for a new one
	New        bool
	Path       string // of the source's file, for a new table
	Columns    []editColumn
	Datasets   []string
	Preview    *Preview
	Wrong      string
	CanSync    bool
	Action     string // where the form goes
	Strategies []string
	Grains     []string
	BadRows    []string
	Contracts  []string
}

// editColumn is a column with the type that it has in the lake.
type editColumn struct {
	DeclaredColumn
	Now string
}

// Key is the primary key as one text.
func (v editView) Key() string { return strings.Join(v.PrimaryKey, ", ") }

func (p *Portal) editTable(w http.ResponseWriter, r *http.Request) error {
	t, err := p.describedTable(r)
	if err != nil {
		return err
	}
	d, err := p.o.Tables.Declared(r.Context(), t.SourceID)
	if err != nil {
		return err
	}
	return p.showEdit(w, r, http.StatusOK, editView{Declared: d, Table: t, Action: adminTablePath(t)})
}

func (p *Portal) showEdit(w http.ResponseWriter, r *http.Request, status int, v editView) error {
	ctx := r.Context()
	v.CanSync = p.o.Syncs != nil
	v.Strategies, v.Grains = []string{"full_refresh", "incremental", "partitioned"}, []string{"", "day", "month", "year", "value"}
	v.BadRows, v.Contracts = []string{"", "fail", "quarantine"}, []string{"", "evolve", "freeze", "quarantine"}
	sets, err := p.store.Datasets(ctx)
	if err != nil {
		return err
	}
	for _, d := range sets {
		v.Datasets = append(v.Datasets, d.Name)
	}
	declared := map[string]bool{}
	now := map[string]string{}
	var names []string
	if v.Table.ID != 0 {
		files, err := p.store.TableFiles(ctx, v.Table.ID)
		if err != nil {
			return err
		}
		if len(files) > 0 {
			for _, c := range files[0].Schema {
				now[c.Name] = c.Type
				names = append(names, c.Name)
			}
		}
	}
	for _, c := range v.Declared.Columns {
		declared[c.Name] = true
		v.Columns = append(v.Columns, editColumn{c, now[c.Name]})
	}
	for _, name := range names {
		if !declared[name] && v.Fixed == "" {
			v.Columns = append(v.Columns, editColumn{DeclaredColumn{Name: name}, now[name]})
		}
	}
	title, lede := v.Table.FullName(), "How it is described and synced. What you change is shown before it is saved."
	if v.New {
		title, lede = "Add "+v.ID, "The source has it; say how it is synced. It is shown before it is saved."
	}
	return p.render(w, r, status, "table_edit", page{Title: title, Lede: lede, Crumbs: []crumb{{"Tables", "/admin/tables"}}, Data: v})
}

// changeOf reads the form.
func changeOf(r *http.Request, d Declaration) (Change, error) {
	if err := r.ParseForm(); err != nil {
		return Change{}, &route.Problem{Status: http.StatusBadRequest, Title: "The form could not be read", Text: "Go back and send it again."}
	}
	text := func(key string) string {
		return strings.TrimSpace(strings.ReplaceAll(r.PostFormValue(key), "\r\n", "\n"))
	}
	c := Change{Declaration: d, Seen: r.PostFormValue("seen")}
	c.Description, c.Strategy, c.IncrementalColumn, c.WindowDays = text("description"), text("sync_strategy"), text("incremental_column"), text("incremental_window_days")
	c.PartitionBy, c.Granularity, c.Dataset, c.Schedule = text("partition_by"), text("partition_granularity"), text("dataset"), text("schedule")
	c.OnBadRow, c.Schema, c.PrimaryKey, c.Columns = text("on_bad_row"), text("schema"), nil, nil
	for part := range strings.SplitSeq(text("primary_key"), ",") {
		if part = strings.TrimSpace(part); part != "" {
			c.PrimaryKey = append(c.PrimaryKey, part)
		}
	}
	names, types, texts := r.PostForm["column"], r.PostForm["column_type"], r.PostForm["column_description"]
	if len(types) != len(names) || len(texts) != len(names) {
		return c, &route.Problem{Status: http.StatusBadRequest, Title: "The form could not be read", Text: "Go back and send it again."}
	}
	for i, name := range names {
		c.Columns = append(c.Columns, DeclaredColumn{Name: name, Type: strings.TrimSpace(types[i]), Description: strings.TrimSpace(texts[i]), Sensitive: slices.Contains(r.PostForm["sensitive"], name)})
	}
	return c, nil
}

// saveTable shows what a change does to the file, and on the second step does it.
func (p *Portal) saveTable(w http.ResponseWriter, r *http.Request) error {
	t, err := p.describedTable(r)
	if err != nil {
		return err
	}
	d, err := p.o.Tables.Declared(r.Context(), t.SourceID)
	if err != nil {
		return err
	}
	c, err := changeOf(r, d.Declaration)
	if err != nil {
		return err
	}
	d.Declaration = c.Declaration
	return p.settle(w, r, c, editView{Declared: d, Table: t, Action: adminTablePath(t)}, adminTablePath(t))
}

func (p *Portal) settle(w http.ResponseWriter, r *http.Request, c Change, v editView, back string) error {
	ctx := r.Context()
	v.Seen = c.Seen // a form that is sent again must still be refused when the file moved on
	refused := func(err error) error {
		switch store.CodeOf(err) {
		case store.Conflict:
			v.Wrong = problemOf(err).Text
			return p.showEdit(w, r, http.StatusConflict, v)
		case store.Invalid:
			v.Wrong = problemOf(err).Text
			return p.showEdit(w, r, http.StatusUnprocessableEntity, v)
		}
		return err
	}
	if r.PostFormValue("do") != "save" {
		preview, err := p.o.Tables.Preview(ctx, c)
		if err != nil {
			return refused(err)
		}
		v.Preview = &preview
		return p.showEdit(w, r, http.StatusOK, v)
	}
	if _, err := p.o.Tables.Save(ctx, visitorFrom(r).User.Name, c); err != nil {
		return refused(err)
	}
	if c.New {
		return p.done(w, r, back, "%s is described. Sync it now, or wait for the schedule.", c.ID)
	}
	return p.done(w, r, back, "Saved. The next sync follows it.")
}

// discover lists what the source has and nobody described yet.
func (p *Portal) discover(w http.ResponseWriter, r *http.Request) error {
	v := struct {
		Buckets []bucketView
		Total   int
		Wrong   string
	}{}
	found, err := p.o.Tables.Discover(r.Context())
	if err != nil {
		if store.CodeOf(err) == "" {
			return err
		}
		v.Wrong = problemOf(err).Text
	}
	for _, c := range found {
		if len(v.Buckets) == 0 || v.Buckets[len(v.Buckets)-1].Name != c.Bucket {
			v.Buckets = append(v.Buckets, bucketView{Name: c.Bucket})
		}
		b := &v.Buckets[len(v.Buckets)-1]
		b.Tables = append(b.Tables, candidateView{c, "/admin/tables/add?id=" + url.QueryEscape(c.ID)})
		v.Total++
	}
	return p.render(w, r, http.StatusOK, "discover", page{Title: "Add a table", Lede: "What the source has, and what of it is described.", Crumbs: []crumb{{"Tables", "/admin/tables"}}, Data: v})
}

type bucketView struct {
	Name   string
	Tables []candidateView
}

type candidateView struct {
	Candidate
	Link string
}

// candidate is a table that the source has and nobody described.
func (p *Portal) candidate(r *http.Request, id string) (Candidate, error) {
	found, err := p.o.Tables.Discover(r.Context())
	if err != nil {
		return Candidate{}, err
	}
	for _, c := range found {
		if c.ID == id && !c.Described {
			return c, nil
		}
	}
	return Candidate{}, &route.Problem{Status: http.StatusNotFound, Title: "The source has no such table to add", Text: "It may be described already.", Link: "/admin/tables/new", LinkText: "To what the source has"}
}

func (p *Portal) addTable(w http.ResponseWriter, r *http.Request) error {
	c, err := p.candidate(r, r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	seen, err := p.seen(r)
	if err != nil {
		return err
	}
	d := Declared{Declaration: Declaration{ID: c.ID, Name: c.Name, Folder: c.Folder, Description: c.Description, PrimaryKey: c.PrimaryKey, Strategy: "full_refresh"}, Seen: seen}
	return p.showEdit(w, r, http.StatusOK, editView{Declared: d, New: true, Path: c.Path, Action: "/admin/tables/add"})
}

// seen is the state of the description as it is now.
func (p *Portal) seen(r *http.Request) (string, error) {
	tables, err := p.store.Tables(r.Context())
	if err != nil || len(tables) == 0 {
		return "", err
	}
	d, err := p.o.Tables.Declared(r.Context(), tables[0].SourceID)
	return d.Seen, err
}

func (p *Portal) saveNewTable(w http.ResponseWriter, r *http.Request) error {
	found, err := p.candidate(r, r.PostFormValue("id"))
	if err != nil {
		return err
	}
	c, err := changeOf(r, Declaration{ID: found.ID, Name: strings.TrimSpace(r.PostFormValue("name")), Folder: strings.TrimSpace(r.PostFormValue("folder"))})
	if err != nil {
		return err
	}
	c.New, c.Path = true, found.Path
	v := editView{Declared: Declared{Declaration: c.Declaration}, New: true, Path: c.Path, Action: "/admin/tables/add"}
	return p.settle(w, r, c, v, "/admin/tables/"+url.PathEscape(c.Folder+"."+c.Name))
}
