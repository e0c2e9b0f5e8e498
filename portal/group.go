package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) groupRoutes() []route.Route {
	return []route.Route{
		{Pattern: "POST /admin/groups", Who: route.Admin, Handle: p.addGroup},
		{Pattern: "GET /admin/groups/{name}", Who: route.Admin, Handle: p.group},
		{Pattern: "POST /admin/groups/{name}/grants", Who: route.Admin, Handle: p.setGroupGrants},
		{Pattern: "POST /admin/groups/{name}/grant", Who: route.Admin, Handle: p.grantGroupTable},
		{Pattern: "POST /admin/groups/{name}/revoke", Who: route.Admin, Handle: p.revokeGroupTable},
		{Pattern: "POST /admin/groups/{name}/authors", Who: route.Admin, Handle: p.setGroupAuthor},
		{Pattern: "POST /admin/groups/{name}/remove", Who: route.Admin, Handle: p.removeGroup},
	}
}

type groupView struct {
	store.Group
	Authors  []string // people whose alert rules may send to the group
	Datasets []store.Dataset
	Granted  []store.Grant
	Choices  []string // tables that can be granted one by one
}

// Has tells whether the group was granted a whole dataset.
func (v groupView) Has(dataset string) bool {
	return slices.Contains(v.Granted, store.Grant{Dataset: dataset})
}

// ByTable are the tables that were granted one by one.
func (v groupView) ByTable() (out []string) {
	for _, g := range v.Granted {
		if g.Table != "" {
			out = append(out, g.Table)
		}
	}
	return out
}

func groupPath(name string) string { return "/admin/groups/" + url.PathEscape(name) }

func (p *Portal) addGroup(w http.ResponseWriter, r *http.Request) error {
	name := r.PostFormValue("name")
	if err := p.store.AddGroup(r.Context(), visitorFrom(r).User.Name, name); err != nil {
		return err
	}
	return p.done(w, r, groupPath(name), "The group %s is made. Put people into it on their pages.", name)
}

func (p *Portal) group(w http.ResponseWriter, r *http.Request) error {
	groups, err := p.store.Groups(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(groups, func(g store.Group) bool { return g.Name == r.PathValue("name") })
	if i < 0 {
		return p.notFound(w, r)
	}
	v := groupView{Group: groups[i]}
	if v.Datasets, err = p.store.Datasets(r.Context()); err != nil {
		return err
	}
	if v.Granted, err = p.store.GroupGrants(r.Context(), v.Name); err != nil {
		return err
	}
	if v.Choices, err = p.tableChoices(r, func(t store.Table) bool { return !v.Has(t.Dataset) }); err != nil {
		return err
	}
	if v.Authors, err = p.store.RuleAuthors(r.Context(), v.Name); err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "group", page{Title: v.Name, Lede: "A group of people that data is granted to.", Crumbs: []crumb{{"People", "/admin/people"}}, Data: v})
}

func (p *Portal) setGroupGrants(w http.ResponseWriter, r *http.Request) error {
	name, me := r.PathValue("name"), visitorFrom(r).User.Name
	have, err := p.store.GroupGrants(r.Context(), name)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	want := r.PostForm["dataset"]
	for _, d := range want {
		if !slices.Contains(have, store.Grant{Dataset: d}) {
			if err := p.store.Grant(r.Context(), me, name, true, d); err != nil {
				return err
			}
		}
	}
	for _, g := range have {
		if g.Dataset != "" && !slices.Contains(want, g.Dataset) {
			if err := p.store.Revoke(r.Context(), me, name, true, g.Dataset); err != nil {
				return err
			}
		}
	}
	return p.done(w, r, groupPath(name), "The grants are saved. They count on open connections within seconds.")
}

func (p *Portal) grantGroupTable(w http.ResponseWriter, r *http.Request) error {
	name, table := r.PathValue("name"), strings.TrimSpace(r.PostFormValue("table"))
	if err := p.store.Grant(r.Context(), visitorFrom(r).User.Name, name, true, table); err != nil {
		return err
	}
	return p.done(w, r, groupPath(name), "%s may read %s.", name, table)
}

func (p *Portal) revokeGroupTable(w http.ResponseWriter, r *http.Request) error {
	name, table := r.PathValue("name"), r.PostFormValue("table")
	if err := p.store.Revoke(r.Context(), visitorFrom(r).User.Name, name, true, table); err != nil {
		return err
	}
	return p.done(w, r, groupPath(name), "The grant on %s is taken back, on open connections too.", table)
}

// choicesShown bounds the names that a form proposes; any other can be written.
const choicesShown = 500

// tableChoices are tables by folder.name for a form to propose.
func (p *Portal) tableChoices(r *http.Request, which func(store.Table) bool) (out []string, err error) {
	tables, err := p.store.Tables(r.Context())
	for _, t := range tables {
		if len(out) < choicesShown && which(t) {
			out = append(out, t.FullName())
		}
	}
	return out, err
}

// setGroupAuthor says whether a person's alert rules may send to the group.
func (p *Portal) setGroupAuthor(w http.ResponseWriter, r *http.Request) error {
	name, author, on := r.PathValue("name"), r.PostFormValue("author"), r.PostFormValue("on") == "true"
	if err := p.store.AllowRuleGroup(r.Context(), visitorFrom(r).User.Name, author, name, on); err != nil {
		return err
	}
	if on {
		return p.done(w, r, groupPath(name), "Rules of %s may send to %s from now on.", author, name)
	}
	return p.done(w, r, groupPath(name), "Rules of %s no longer send to %s.", author, name)
}

func (p *Portal) removeGroup(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := p.store.RemoveGroup(r.Context(), visitorFrom(r).User.Name, name); err != nil {
		return err
	}
	return p.done(w, r, "/admin/people", "The group %s and its grants are removed. Its people stay.", name)
}
