package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) metricRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /metrics", Who: route.Person, Handle: p.metrics},
		{Pattern: "GET /metrics/{category}/{name}", Who: route.Person, Handle: p.metric},
		{Pattern: "GET /docs/metrics/{category}/{file}", Who: route.Person, Handle: p.metricFile},
		{Pattern: "GET /api/v1/metrics", Who: route.Caller, Handle: p.metricList, Doc: &route.Doc{Tag: "Data", Summary: "List the metrics", Answer: metricsAnswer{}}},
		{Pattern: "GET /api/v1/metrics/{category}/{name}", Who: route.Caller, Handle: p.metricDetail, Doc: &route.Doc{Tag: "Data", Summary: "One metric, with its SQL", Answer: metricJSON{}, Fails: []int{404, 422},
			Path: map[string]string{"category": "Category of the metric.", "name": "Its name."}}},
		{Pattern: "GET /api/metrics/{category}/{name}", Who: route.Caller, Handle: p.metricDetail, Doc: &route.Doc{Tag: olderTag, Summary: "One metric, by its file", Answer: metricJSON{}, Fails: []int{404, 422},
			Path: map[string]string{"category": "Category of the metric.", "name": "Its file, name.yml."}}},
	}
}

type metricsView struct {
	Categories []metricCategory
	Total      int
	Wrong      []store.Metric // files that could not be read; admins only
}

type metricCategory struct {
	Name, Label string
	Metrics     []store.Metric
}

// metricID is the last part of a metric's address.
func metricID(m store.Metric) string {
	return strings.TrimSuffix(path.Base(m.Path), path.Ext(m.Path))
}

func metricLink(m store.Metric) string {
	return "/metrics/" + url.PathEscape(path.Dir(m.Path)) + "/" + url.PathEscape(metricID(m))
}

func (p *Portal) metricsOf(r *http.Request) ([]store.Metric, error) {
	a, err := p.accessOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return nil, err
	}
	return p.store.Metrics(r.Context(), a)
}

func (p *Portal) metrics(w http.ResponseWriter, r *http.Request) error {
	list, err := p.metricsOf(r)
	if err != nil {
		return err
	}
	v := metricsView{}
	for _, m := range list {
		if m.Problem != "" {
			v.Wrong = append(v.Wrong, m)
		}
	}
	list = slices.DeleteFunc(list, func(m store.Metric) bool { return m.Problem != "" })
	v.Categories, v.Total = metricCategories(list), len(list)
	return p.render(w, r, http.StatusOK, "metrics", page{Title: "Metrics", Lede: "The company's numbers, and how each is computed.", Data: v})
}

// metricCategories groups metrics by folder: those of the reference first, in its order, then the others by name.
func metricCategories(list []store.Metric) (out []metricCategory) {
	for _, m := range list {
		name := path.Dir(m.Path)
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, metricCategory{Name: name, Label: titleOf(name)})
		}
		last := &out[len(out)-1]
		last.Metrics = append(last.Metrics, m)
	}
	order := []string{"revenue", "customers", "marketing", "support"}
	rank := func(c metricCategory) int {
		if i := slices.Index(order, c.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(out, func(x, y metricCategory) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Name, y.Name))
	})
	return out
}

// titleOf makes a key readable: product_usage is Product usage.
func titleOf(key string) string {
	return strings.TrimSuffix(sentence(strings.Join(strings.FieldsFunc(key, func(r rune) bool { return r == '_' || r == '-' }), " ")), ".")
}

// findMetric is the metric of the path. What is not there and what may not be seen look alike.
func (p *Portal) findMetric(r *http.Request) (store.Metric, []store.Metric, error) {
	list, err := p.metricsOf(r)
	if err != nil {
		return store.Metric{}, nil, err
	}
	name := cmp.Or(r.PathValue("name"), r.PathValue("file"))
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")
	for _, m := range list {
		if path.Dir(m.Path) == r.PathValue("category") && metricID(m) == name {
			return m, list, nil
		}
	}
	return store.Metric{}, nil, &route.Problem{Status: http.StatusNotFound, Title: "There is no such metric for you", Text: "It may have another name, or need a table that you cannot read. An admin can tell.",
		Link: "/metrics", LinkText: "To the metrics"}
}

type metricView struct {
	store.Metric
	Category string // as people read it
	Facts    []fact
	Accuracy string
	Simple   []sqlExample
	Advanced []sqlExample
	Joins    []store.MetricJoin
	Related  []metricRelation
	Where    string // of the file in the analyst's tree
}

type fact struct{ Name, Value string }

type metricRelation struct {
	store.Metric
	Why string
}

func (p *Portal) metric(w http.ResponseWriter, r *http.Request) error {
	m, all, err := p.findMetric(r)
	if err != nil {
		return err
	}
	if m.Problem != "" {
		return &route.Problem{Status: http.StatusUnprocessableEntity, Title: "This metric cannot be read", Text: sentence(m.Problem) + " Correct the file; it is read again within a minute.",
			Link: "/metrics", LinkText: "To the metrics"}
	}
	v := metricView{Metric: m, Category: titleOf(path.Dir(m.Path)), Joins: m.Joins(), Where: "server/docs/metrics/" + m.Path}
	for _, f := range []fact{{"Type", m.Type}, {"Unit", m.Unit}, {"Grain", m.Grain}, {"Time column", m.TimeColumn}} {
		if f.Value != "" {
			v.Facts = append(v.Facts, f)
		}
	}
	if m.Validation != nil {
		v.Accuracy = accuracyOf(m.Validation.Method + " " + m.Validation.Result)
	}
	for _, q := range m.SQL {
		e := exampleOf(q)
		if e.Complexity == "simple" {
			v.Simple = append(v.Simple, e)
		} else {
			v.Advanced = append(v.Advanced, e)
		}
	}
	v.Related = relatedMetrics(m, all)
	return p.render(w, r, http.StatusOK, "metric", page{Title: m.DisplayName, Lede: strings.Join(strings.Fields(m.Description), " "), Crumbs: []crumb{{"Metrics", "/metrics"}}, Data: v})
}

// relatedMetrics are those that read a table that this one reads.
func relatedMetrics(m store.Metric, all []store.Metric) (out []metricRelation) {
	for _, o := range all {
		if o.Path == m.Path || o.Problem != "" {
			continue
		}
		var shared []string
		for _, t := range o.Reads {
			if slices.ContainsFunc(m.Reads, func(x store.Table) bool { return x.ID == t.ID }) {
				shared = append(shared, t.FullName())
			}
		}
		if shared != nil {
			out = append(out, metricRelation{o, "reads " + strings.Join(shared, ", ") + " too"})
		}
	}
	return out
}

// metricFile gives the definition as it is written, as the reference does.
func (p *Portal) metricFile(w http.ResponseWriter, r *http.Request) error {
	m, _, err := p.findMetric(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(m.Text)) // a client that left is nobody's error
	return nil
}
