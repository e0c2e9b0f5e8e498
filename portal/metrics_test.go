package portal_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"aida/portal"
	"aida/store"
)

// A metric is for those who read every table that it needs: named, joined by its notes, or read by its SQL. Nobody else
// finds it anywhere.
func TestAMetricIsSeenByThoseWhoReadItsTables(t *testing.T) {
	p := open(t, setup{})
	datasets := []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "private", Access: store.PrivateAccess}}
	tables := []store.Table{{SourceID: "in.orders", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "in.pay", Name: "salaries", Folder: "hr", Dataset: "private"}}
	if err := p.store.SetCatalog(t.Context(), datasets, tables); err != nil {
		t.Fatal(err)
	}
	metric := func(name, table string, change ...func(*store.Metric)) store.Metric {
		m := store.Metric{Path: "revenue/" + name + ".yml", Name: name, DisplayName: "The " + name, Category: "revenue", Table: table, Text: "name: " + name}
		for _, c := range change {
			c(&m)
		}
		return m
	}
	list := []store.Metric{metric("open", "orders"), metric("declared", "salaries"), metric("listed", "orders", func(m *store.Metric) { m.Tables = []string{"hr.salaries"} }),
		metric("joined", "orders", func(m *store.Metric) { m.Notes = []string{"Join to salaries via person_id"} }),
		metric("queried", "orders", func(m *store.Metric) {
			m.SQL = []store.MetricSQL{{Key: "sql", Query: "SELECT 1 FROM 'server/parquet/hr/salaries.parquet'"}}
		}),
		metric("aliased", "orders", func(m *store.Metric) {
			m.SQL = []store.MetricSQL{{Key: "sql", Query: "WITH x AS (SELECT 1 FROM orders) SELECT * FROM x"}}
		}),
		metric("nowhere", "no_such_table"), {Path: "revenue/wrong.yml", Problem: "metrics/revenue/wrong.yml:3:1: unknown key \"descripton\""},
	}
	if err := p.store.SetMetrics(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	eva := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	paul := p.as(p.addUser(store.NewUser{Name: "paul", Email: "paul@example.com", Role: store.PrivateAnalyst}))
	ada := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	for _, who := range []struct {
		name string
		b    *browser
		sees map[string]bool
	}{
		{"an analyst", eva, map[string]bool{"open": true, "aliased": true}},
		{"a private analyst", paul, map[string]bool{"open": true, "aliased": true, "declared": true, "listed": true, "joined": true, "queried": true}},
		{"an admin", ada, map[string]bool{"open": true, "aliased": true, "declared": true, "listed": true, "joined": true, "queried": true, "nowhere": true}},
	} {
		page, found := who.b.get("/metrics"), who.b.get("/find?q=The")
		for _, m := range list {
			if m.Problem != "" {
				continue
			}
			want := http.StatusNotFound
			if who.sees[m.Name] {
				want = http.StatusOK
			}
			for _, path := range []string{"/metrics/revenue/" + m.Name, "/docs/metrics/" + m.Path, "/api/metrics/" + m.Path, "/api/v1/metrics/revenue/" + m.Name} {
				if a := who.b.get(path); a.StatusCode != want {
					t.Errorf("%s, %s: %s, want %d", who.name, path, a.Status, want)
				}
			}
			if in := strings.Contains(page.body, m.DisplayName); in != who.sees[m.Name] {
				t.Errorf("%s sees %s in the list: %t", who.name, m.Name, in)
			}
			if in := strings.Contains(found.body, m.DisplayName); in != who.sees[m.Name] {
				t.Errorf("%s finds %s: %t", who.name, m.Name, in)
			}
		}
	}
	wants(t, ada.get("/metrics"), http.StatusOK, "1 definition cannot be read", "wrong.yml:3:1")
	wants(t, ada.get("/metrics/revenue/wrong"), http.StatusUnprocessableEntity, "wrong.yml:3:1")
	wants(t, ada.get("/api/metrics/revenue/wrong.yml"), http.StatusUnprocessableEntity, "wrong.yml:3:1")
	if a := eva.get("/metrics"); strings.Contains(a.body, "wrong.yml") {
		t.Error("an analyst is told of a broken file")
	}
	wants(t, eva.get("/metrics/revenue/wrong"), http.StatusNotFound)
}

// The JSON has the shape of the reference, without what its parser got wrong.
func TestAMetricAsJSONHasTheReferencesShape(t *testing.T) {
	p := open(t, setup{})
	m := store.Metric{Path: "revenue/mrr.yml", Name: "mrr", DisplayName: "MRR", Category: "revenue", Unit: "EUR", Description: "What\n  they pay.", Table: "contracts",
		Notes: []string{"a", "b", "c", "d", "e", "f", "join to company via company_id"}, Validation: &store.MetricValidation{Method: "ledger", Result: "99.5% on 2026-01-31"},
		SQL: []store.MetricSQL{{Key: "sql", Query: "select selected from contracts"}, {Key: "sql_by_company", Query: "with x as (select 1) select * from x"}}}
	if err := p.store.SetMetrics(t.Context(), []store.Metric{m}); err != nil {
		t.Fatal(err)
	}
	a := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})).get("/api/metrics/revenue/mrr.yml")
	var got struct {
		CategoryColor string `json:"category_color"`
		Metadata      struct{ Unit string }
		Overview      struct {
			Description string
			KeyInsights []string `json:"key_insights"`
		}
		Validation  struct{ Status, Accuracy, LastUpdated string }
		SQLExamples map[string]struct{ Title, Complexity string } `json:"sql_examples"`
		Technical   struct {
			Synonyms    []string
			DataSources []struct{ Table, Type, Via string } `json:"data_sources"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err, a.body)
	}
	if got.CategoryColor != "#0073D1" || got.Metadata.Unit != "EUR" || got.Overview.Description != "What they pay." || len(got.Overview.KeyInsights) != 5 || got.Technical.Synonyms == nil {
		t.Errorf("%s", a.body)
	}
	if got.Validation.Status != "validated" || got.Validation.Accuracy != "99.5%" || !strings.Contains(a.body, `"last_updated":"2026-01-31"`) {
		t.Errorf("%+v", got.Validation)
	}
	if got.SQLExamples["sql"].Complexity != "simple" || got.SQLExamples["sql_by_company"].Complexity != "advanced" || got.SQLExamples["sql_by_company"].Title != "By company" {
		t.Errorf("%+v", got.SQLExamples)
	}
	if s := got.Technical.DataSources; len(s) != 2 || s[1].Table != "company" || s[1].Via != "company_id" || s[1].Type != "join" {
		t.Errorf("%+v", s)
	}
}

func TestAValidationSaysWhatItSays(t *testing.T) {
	for text, want := range map[string]string{"does not match": "", "doesn't match": "", "matches exactly": "100%", "checked: perfectly": "100%", "off by 3 % and matches": "3%", "99.97% of rows": "99.97%",
		"was looked at": "", "mismatch in March": "", "No rows match": ""} {
		if got := portal.AccuracyOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
