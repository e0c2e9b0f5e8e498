package portal

import (
	"net/http"
	"path"
	"regexp"
	"strings"

	"aida/portal/route"
	"aida/store"
)

// metricEntry is a metric in a list, as the reference gives it.
type metricEntry struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Category    string `json:"category"`
	Description string `json:"description"`
	Grain       string `json:"grain"`
	Path        string `json:"path"`
}

type metricsAnswer struct {
	Metrics []metricEntry `json:"metrics"`
}

// metricJSON is a metric in the reference's shape.
type metricJSON struct {
	Name          string `json:"name"`
	DisplayName   string `json:"display_name"`
	Category      string `json:"category"`
	CategoryColor string `json:"category_color"`
	Metadata      struct {
		Type       string `json:"type"`
		Unit       string `json:"unit"`
		Grain      string `json:"grain"`
		TimeColumn string `json:"time_column"`
	} `json:"metadata"`
	Overview struct {
		Description string   `json:"description"`
		KeyInsights []string `json:"key_insights"`
	} `json:"overview"`
	Validation *validationJSON `json:"validation"`
	Dimensions []string        `json:"dimensions"`
	Notes      struct {
		All         []string `json:"all"`
		KeyInsights []string `json:"key_insights"`
	} `json:"notes"`
	SQLExamples map[string]sqlExample `json:"sql_examples"`
	Technical   struct {
		Table       string             `json:"table"`
		Expression  string             `json:"expression"`
		Synonyms    []string           `json:"synonyms"`
		DataSources []metricSourceJSON `json:"data_sources"`
	} `json:"technical"`
	SpecialSections map[string]string `json:"special_sections"`
}

type validationJSON struct {
	Status      string `json:"status"`
	Accuracy    string `json:"accuracy"`
	Method      string `json:"method"`
	Result      string `json:"result"`
	LastUpdated string `json:"last_updated"`
}

type sqlExample struct {
	Title      string `json:"title"`
	Query      string `json:"query"`
	Complexity string `json:"complexity"` // simple or advanced
}

type metricSourceJSON struct {
	Table string `json:"table"`
	Type  string `json:"type"` // primary or join
	Via   string `json:"via,omitempty"`
}

func (p *Portal) metricList(w http.ResponseWriter, r *http.Request) error {
	list, err := p.metricsOf(r)
	if err != nil {
		return err
	}
	out := []metricEntry{}
	for _, m := range list {
		if m.Problem == "" {
			out = append(out, metricEntry{m.Name, m.DisplayName, path.Dir(m.Path), strings.Join(strings.Fields(m.Description), " "), m.Grain, m.Path})
		}
	}
	return p.JSON(w, http.StatusOK, metricsAnswer{out})
}

func (p *Portal) metricDetail(w http.ResponseWriter, r *http.Request) error {
	m, _, err := p.findMetric(r)
	if err != nil {
		return err
	}
	if m.Problem != "" {
		return &route.Problem{Status: http.StatusUnprocessableEntity, Title: "this metric cannot be read", Text: m.Problem}
	}
	return p.JSON(w, http.StatusOK, metricJSONOf(m))
}

const keyInsights = 5

func metricJSONOf(m store.Metric) metricJSON {
	list := func(l []string) []string { return append([]string{}, l...) }
	insights := list(m.Notes[:min(keyInsights, len(m.Notes))])
	j := metricJSON{Name: m.Name, DisplayName: m.DisplayName, Category: m.Category, CategoryColor: categoryColor(m.Category), Dimensions: list(m.Dimensions),
		SQLExamples: map[string]sqlExample{}, SpecialSections: map[string]string{}}
	j.Metadata.Type, j.Metadata.Unit, j.Metadata.Grain, j.Metadata.TimeColumn = m.Type, m.Unit, m.Grain, m.TimeColumn
	j.Overview.Description, j.Overview.KeyInsights = strings.Join(strings.Fields(m.Description), " "), insights
	j.Notes.All, j.Notes.KeyInsights = list(m.Notes), insights
	for _, q := range m.SQL {
		j.SQLExamples[q.Key] = exampleOf(q)
	}
	j.Technical.Table, j.Technical.Expression, j.Technical.Synonyms, j.Technical.DataSources = m.Table, m.Expression, list(m.Synonyms), []metricSourceJSON{}
	for _, name := range m.Names() {
		j.Technical.DataSources = append(j.Technical.DataSources, metricSourceJSON{Table: name, Type: "primary"})
	}
	for _, join := range m.Joins() {
		j.Technical.DataSources = append(j.Technical.DataSources, metricSourceJSON{Table: join.Table, Type: "join", Via: join.Via})
	}
	if v := m.Validation; v != nil {
		j.Validation = &validationJSON{Status: "validated", Accuracy: accuracyOf(v.Method + " " + v.Result), Method: v.Method, Result: v.Result, LastUpdated: isoDate.FindString(v.Method + " " + v.Result)}
	}
	if m.Guide != "" {
		j.SpecialSections["cost_allocation_guide"] = m.Guide
	}
	return j
}

var (
	isoDate = regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`)
	percent = regexp.MustCompile(`\b\d{1,3}(?:\.\d+)?\s?%`)
	agrees  = regexp.MustCompile(`(?i)\b(?:exact|exactly|perfect|perfectly|match|matches|matched)\b`)
	denies  = regexp.MustCompile(`(?i)\b(?:not|no|never|none|cannot|without|fails?|failed|mismatch\w*|differs?|\w+n['’]t)\b`)
)

// accuracyOf is what a validation says of itself: its first percentage, else 100% where it tells of a match and denies none.
func accuracyOf(text string) string {
	if hit := percent.FindString(text); hit != "" {
		return strings.ReplaceAll(hit, " ", "")
	}
	if agrees.MatchString(text) && !denies.MatchString(text) {
		return "100%"
	}
	return ""
}

var (
	notCode     = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'`)
	hardKeyword = regexp.MustCompile(`(?i)\b(?:with|recursive|window|partition|over)\b`)
)

const simpleLines = 20

// exampleOf titles a query and tells whether it is simple: no more than 20 lines, no common table expression, no window.
func exampleOf(q store.MetricSQL) sqlExample {
	title := titleOf(strings.TrimPrefix(q.Key, "sql_"))
	if q.Key == "sql" {
		title = "In total"
	}
	e := sqlExample{Title: title, Query: q.Query, Complexity: "simple"}
	if hardKeyword.MatchString(notCode.ReplaceAllString(q.Query, " ")) || strings.Count(q.Query, "\n") >= simpleLines {
		e.Complexity = "advanced"
	}
	return e
}

// categoryColor is the reference's colour of a category. The pages do not use it.
func categoryColor(category string) string {
	switch c := strings.ToLower(category); c {
	case "finance":
		return "#0d9668"
	case "product_usage", "marketing":
		return "#b45309"
	case "sales_revenue", "weekly_kpis", "revenue":
		return "#0073D1"
	case "customers":
		return "#7c3aed"
	case "support":
		return "#EA580C"
	}
	return "#6B7280"
}
