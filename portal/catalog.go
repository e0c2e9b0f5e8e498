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
	All        []categoryView // for the list at the left
	Categories []categoryView // with the tables of this page
	Total      int
	Shown      int // what matches, on all pages
	Query      string
	Folder     string
	Pager      pager
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
	pg := page{Title: "Catalog", Lede: "Every table that you can read, and what is in it."}
	k, err := p.known(ctx)
	if err != nil {
		return err
	}
	changed, err := p.changedFor(ctx, me)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	key := "catalog " + viewKey(k, a, changed) + " " + url.Values{"q": q["q"], "folder": q["folder"], "page": q["page"]}.Encode()
	var ok bool
	if pg.Content, ok = p.contents.get(key, p.now()); !ok {
		v := catalogView{All: p.categories(a, seenBy(k, a, changed)), Query: q.Get("q"), Folder: q.Get("folder")}
		for _, c := range v.All {
			v.Total += len(c.Tables)
		}
		v.narrow(r)
		if v.Optional, err = p.optionalSets(r, a); err != nil {
			return err
		}
		pg.Data = v
		if pg.Content, err = p.write(r, "catalog", pg); err != nil {
			return err
		}
		p.contents.put(key, pg.Content, p.now())
	}
	return p.render(w, r, http.StatusOK, "catalog", pg)
}

// narrow keeps what the query and the folder ask for, and of that one page.
func (v *catalogView) narrow(r *http.Request) {
	words := strings.Fields(strings.ToLower(v.Query))
	var kept []categoryView
	for _, c := range v.All {
		if v.Folder != "" && c.Folder != v.Folder {
			continue
		}
		if len(words) > 0 {
			c.Tables = slices.DeleteFunc(slices.Clone(c.Tables), func(t homeTable) bool { return !matches(t.FullName()+" "+t.Definition.Description+" "+t.Why, words) })
		}
		if v.Shown += len(c.Tables); len(c.Tables) > 0 {
			kept = append(kept, c)
		}
	}
	pg, from, to := pageOf(r, v.Shown)
	v.Pager = pg
	at := 0
	for _, c := range kept {
		n := len(c.Tables)
		c.Tables = c.Tables[min(n, max(0, from-at)):min(n, max(0, to-at))]
		if at += n; len(c.Tables) > 0 {
			v.Categories = append(v.Categories, c)
		}
	}
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
	k, err := p.known(r.Context())
	if err != nil {
		return nil, err
	}
	for _, d := range a.Datasets {
		if d.Optional {
			set := optionalSet{d, a.Enabled[d.Name], k.count[d.Name], k.bytes[d.Name]}
			if a.Partial[d.Name] { // of what was granted by table nothing else is told, not even how much there is
				set.Tables, set.Bytes = 0, 0
				for _, t := range k.tables {
					if t.Dataset == d.Name && a.MayRead(t.Table) {
						set.Tables, set.Bytes = set.Tables+1, set.Bytes+t.Bytes
					}
				}
			}
			out = append(out, set)
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
