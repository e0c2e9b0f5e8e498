package portal

import (
	"net/http"
	"net/url"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) findRoutes() []route.Route {
	return []route.Route{{Pattern: "GET /find", Who: route.Person, Handle: p.find}}
}

// hit is one answer of the search that Ctrl-K opens.
type hit struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Path string `json:"path"`
}

const maxHits = 30

func (p *Portal) find(w http.ResponseWriter, r *http.Request) error {
	hits, err := p.hits(r)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, hits)
}

// hits looks for pages, tables, columns, metrics and, for admins, people by name. It finds nothing that the person may not see.
func (p *Portal) hits(r *http.Request) ([]hit, error) {
	v := visitorFrom(r)
	words := strings.Fields(strings.ToLower(r.URL.Query().Get("q")))
	hits := []hit{}
	add := func(name, kind, path string) {
		if len(hits) < maxHits && matches(name, words) {
			hits = append(hits, hit{name, kind, path})
		}
	}
	served := map[string]bool{}
	for _, s := range p.navOf(v, "") {
		served[s.Path] = true
		add(s.Name, "page", s.Path)
	}
	add("Connect", "page", "/connect")
	if served["/catalog"] && len(words) > 0 {
		a, err := p.accessOf(r.Context(), v.User.ID)
		if err != nil {
			return nil, err
		}
		for _, t := range a.Tables {
			add(t.FullName(), "table", "/catalog/"+url.PathEscape(t.FullName()))
		}
		for _, t := range a.Tables {
			for _, c := range t.Definition.Columns {
				add(t.FullName()+" "+c.Name, "column", "/catalog/"+url.PathEscape(t.FullName())+"#columns")
			}
		}
	}
	if served["/metrics"] && len(words) > 0 {
		list, err := p.metricsOf(r)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			if m.Problem == "" {
				add(strings.Join(append([]string{m.DisplayName}, m.Synonyms...), ", "), "metric", metricLink(m))
			}
		}
	}
	if v.User.Role == store.Admin && len(words) > 0 {
		users, err := p.store.Users(r.Context())
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			add(p.displayName(u)+" ("+u.Name+")", "person", personPath(u.Name))
		}
	}
	return hits, nil
}

func matches(name string, words []string) bool {
	name = strings.ToLower(name)
	for _, word := range words {
		if !strings.Contains(name, word) {
			return false
		}
	}
	return true
}
