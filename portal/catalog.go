package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) catalogRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /catalog", Who: route.Person, Handle: p.catalog},
		{Pattern: "POST /catalog/datasets", Who: route.Person, Handle: p.subscribe},
		{Pattern: "GET /catalog/{table}", Who: route.Person, Handle: p.table},
		{Pattern: "POST /catalog/{table}/watch", Who: route.Person, Handle: p.watchTable},
	}
}

type catalogView struct {
	Categories []categoryView
	Total      int
	Optional   []optionalSet
}

type categoryView struct {
	Folder, Label string
	Tables        []homeTable
	Private       bool // not everybody reads it
}

// optionalSet is a dataset that people switch on for themselves.
type optionalSet struct {
	store.Dataset
	On     bool
	Tables int
	Bytes  int64
}

func (p *Portal) catalog(w http.ResponseWriter, r *http.Request) error {
	ctx, me := r.Context(), visitorFrom(r).User
	a, err := p.accessOf(ctx, me.ID)
	if err != nil {
		return err
	}
	tables, err := p.tablesOf(r, a, me.LastSyncAt)
	if err != nil {
		return err
	}
	v := catalogView{Categories: p.categories(a, tables), Total: len(tables)}
	if v.Optional, err = p.optionalSets(r, a); err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "catalog", page{Title: "Catalog", Lede: "Every table that you can read, and what is in it.", Data: v})
}

// categories puts tables under their folders, in the order that the configuration gives.
func (p *Portal) categories(a *store.Access, tables []homeTable) (out []categoryView) {
	open := map[string]bool{}
	for _, d := range a.Datasets {
		open[d.Name] = d.Access == store.OpenAccess
	}
	place := map[string]int{}
	for _, t := range tables {
		i, ok := place[t.Folder]
		if !ok {
			i = len(out)
			place[t.Folder] = i
			label := cmp.Or(p.o.Catalog.Categories[t.Folder].Label, t.Folder)
			out = append(out, categoryView{Folder: t.Folder, Label: label})
		}
		out[i].Tables = append(out[i].Tables, t)
		out[i].Private = out[i].Private || !open[t.Dataset]
	}
	rank := func(c categoryView) int {
		if i := slices.Index(p.o.Catalog.Order, c.Folder); i >= 0 {
			return i
		}
		return len(p.o.Catalog.Order)
	}
	slices.SortStableFunc(out, func(x, y categoryView) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), strings.Compare(x.Label, y.Label))
	})
	return out
}

func (p *Portal) optionalSets(r *http.Request, a *store.Access) (out []optionalSet, err error) {
	snap, err := p.store.Newest(r.Context())
	if err != nil {
		return nil, err
	}
	tables, err := p.store.Tables(r.Context())
	if err != nil {
		return nil, err
	}
	set, count, size := map[int64]string{}, map[string]int{}, map[string]int64{}
	for _, t := range tables {
		if !a.MayRead(t) { // of what was granted by table nothing else is told, not even how much there is
			continue
		}
		set[t.ID] = t.Dataset
		count[t.Dataset]++
	}
	for _, f := range snap.Files {
		size[set[f.TableID]] += f.Size
	}
	for _, d := range a.Datasets {
		if d.Optional {
			out = append(out, optionalSet{d, a.Enabled[d.Name], count[d.Name], size[d.Name]})
		}
	}
	return out, nil
}

// subscribe switches one optional dataset on or off for the person.
func (p *Portal) subscribe(w http.ResponseWriter, r *http.Request) error {
	me, name := visitorFrom(r).User, r.PostFormValue("dataset")
	on := r.PostFormValue("on") == "true"
	if err := p.store.Subscribe(r.Context(), me.Name, me.Name, map[string]bool{name: on}); err != nil {
		return err
	}
	if on {
		return p.done(w, r, "/catalog", "%s comes with your next pull.", name)
	}
	return p.done(w, r, "/catalog", "%s leaves with your next pull.", name)
}

// find a table by folder.name within what a person reads. What is not there and what may not be read look alike.
func (p *Portal) readable(r *http.Request) (store.Table, *store.Access, error) {
	a, err := p.accessOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return store.Table{}, nil, err
	}
	name := r.PathValue("table")
	tables, err := p.store.Tables(r.Context())
	if err != nil {
		return store.Table{}, nil, err
	}
	for _, t := range tables {
		if t.FullName() == name && a.CanRead(t.ID) {
			return t, a, nil
		}
	}
	return store.Table{}, nil, &route.Problem{Status: http.StatusNotFound, Title: "There is no such table for you", Text: "It may have another name, or be one that you cannot read. An admin can tell.",
		Link: "/catalog", LinkText: "To the catalog"}
}

func tablePath(t store.Table) string { return "/catalog/" + url.PathEscape(t.FullName()) }
