package keboola_test

import (
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/source"
)

func TestTypesComeFromWhoKnowsBest(t *testing.T) {
	note := func(provider, key, value string, day int) keboolatest.Note {
		return keboolatest.Note{Key: "KBC." + key, Value: value, Provider: provider, At: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)}
	}
	base := func(provider, value string) keboolatest.Note { return note(provider, "datatype.basetype", value, 1) }
	for name, c := range map[string]struct {
		column      keboolatest.Column
		typed       bool
		backend     string
		described   string
		known, want string
	}{
		"nothing known":                    {want: "string"},
		"nothing known but in the lake":    {known: "int64", want: "int64"},
		"a person":                         {column: keboolatest.Column{Notes: []keboolatest.Note{base("keboola.ex-db-mysql", "STRING"), base("user", "INTEGER")}}, known: "string", want: "int64"},
		"a person over the native type":    {column: keboolatest.Column{Base: "STRING", Native: "VARCHAR", Notes: keboolatest.BaseType("user", "DATE")}, typed: true, want: "date"},
		"data_description.md over all":     {column: keboolatest.Column{Notes: keboolatest.BaseType("user", "INTEGER")}, described: "string", want: "string"},
		"the native type over a component": {column: keboolatest.Column{Base: "NUMERIC", Native: "NUMBER", Length: "12,2", Notes: keboolatest.BaseType("keboola.snowflake-transformation", "STRING")}, typed: true, want: "decimal(12,2)"},
		"an enrichment over a component":   {column: keboolatest.Column{Notes: []keboolatest.Note{base("keboola.ex-db-mysql", "STRING"), base("ai-metadata-enrichment", "DATE")}}, want: "date"},
		"any component":                    {column: keboolatest.Column{Notes: keboolatest.BaseType("keboola.ex-db-mysql", "BOOLEAN")}, want: "bool"},
		"the newest of two components":     {column: keboolatest.Column{Notes: []keboolatest.Note{note("a.new", "datatype.basetype", "DATE", 5), note("b.old", "datatype.basetype", "INTEGER", 2)}}, want: "date"},
		"the storage":                      {column: keboolatest.Column{Notes: keboolatest.BaseType("storage", "TIMESTAMP")}, want: "timestamp"},
		"a native type alone":              {column: keboolatest.Column{Notes: []keboolatest.Note{note("user", "datatype.type", "timestamp_tz", 1)}}, want: "timestamp_tz"},
		"a zone behind the base type":      {column: keboolatest.Column{Notes: []keboolatest.Note{base("x", "TIMESTAMP"), note("x", "datatype.type", "TIMESTAMP_LTZ", 1)}}, want: "timestamp_tz"},
		"a length":                         {column: keboolatest.Column{Notes: []keboolatest.Note{base("x", "NUMERIC"), note("x", "datatype.length", "20, 4", 1)}}, want: "decimal(20,4)"},
		"whole numbers with a length":      {column: keboolatest.Column{Notes: []keboolatest.Note{base("x", "NUMERIC"), note("x", "datatype.length", "10", 1)}}, want: "int64"},
		"long whole numbers":               {column: keboolatest.Column{Notes: []keboolatest.Note{base("x", "NUMERIC"), note("x", "datatype.length", "25,0", 1)}}, want: "decimal(25,0)"},
		"a number of unknown scale":        {column: keboolatest.Column{Notes: keboolatest.BaseType("x", "NUMERIC")}, want: "float64"},
		"Snowflake's INT":                  {column: keboolatest.Column{Base: "NUMERIC", Native: "NUMBER", Length: "38,0"}, typed: true, want: "int64"},
		"Snowflake's NUMBER":               {column: keboolatest.Column{Base: "NUMERIC", Native: "NUMBER"}, typed: true, want: "int64"},
		"BigQuery's NUMERIC":               {column: keboolatest.Column{Base: "NUMERIC", Native: "NUMERIC"}, typed: true, backend: "bigquery", want: "decimal(38,9)"},
		"BigQuery's INT64":                 {column: keboolatest.Column{Base: "INTEGER", Native: "INT64"}, typed: true, backend: "bigquery", want: "int64"},
		"a type that is not known":         {column: keboolatest.Column{Base: "STRING", Native: "VARIANT"}, typed: true, want: "string"},
		"a double":                         {column: keboolatest.Column{Notes: keboolatest.BaseType("x", "FLOAT")}, want: "float64"},
		"a remark on something else":       {column: keboolatest.Column{Notes: []keboolatest.Note{note("user", "description", "INTEGER", 1)}}, known: "date", want: "date"},
	} {
		t.Run(name, func(t *testing.T) {
			stack := keboolatest.New(t, keboolatest.Options{})
			c.column.Name = "c"
			stack.Put(keboolatest.Table{ID: orders, Typed: c.typed, Backend: c.backend, Columns: []keboolatest.Column{c.column}}, nil)
			stack.Put(keboolatest.Table{ID: "in.c-shop.view", Backend: c.backend, AliasOf: orders}, nil)
			for _, id := range []string{orders, "in.c-shop.view"} {
				r := source.Request{Table: described(id)}
				if c.described != "" {
					r.Table.Columns = []datadoc.Column{{Name: "c", Type: c.described}}
				}
				if c.known != "" {
					typ, err := columnar.ParseType(c.known)
					if err != nil {
						t.Fatal(err)
					}
					r.Types = []columnar.Column{{Name: "c", Type: typ}}
				}
				if got := read(t, open(t, stack, keboola.Options{}), r).Columns[0].Type.String(); got != c.want {
					t.Errorf("%s: type %s, want %s", id, got, c.want)
				}
			}
		})
	}
}

func TestDiscoveryListsWhatThereIs(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{Project: "Riverbank"})
	stack.Put(keboolatest.Table{ID: "out.c-shop.totals", Description: "One row a day", PrimaryKey: []string{"day", "shop"}, Columns: []keboolatest.Column{
		{Name: "day", Notes: append(keboolatest.BaseType("user", "DATE"), keboolatest.Note{Key: "KBC.description", Value: "day of sale", Provider: "storage"})}, {Name: "shop"}}},
		[]keboolatest.Row{{Cells: keboolatest.Cells("2026-01-01", "x")}})
	stack.Put(plain(), numbered(3, "x"))
	stack.Put(keboolatest.Table{ID: "in.c-shop.view", AliasOf: orders}, nil)
	for _, fault := range []keboolatest.Fault{{Call: "none"}, {Call: "tables", Status: 500, Times: -1}} {
		stack.Inject(fault)
		project, tables, err := open(t, stack, keboola.Options{}).Discover(t.Context())
		if err != nil || project.Name != "Riverbank" {
			t.Fatalf("%+v %v", project, err)
		}
		var got []string
		for _, x := range tables {
			line := x.ID + " in " + x.Bucket + " key " + strings.Join(x.PrimaryKey, "+") + " " + x.Description
			for _, c := range x.Columns {
				line += " " + c.Name + ":" + c.Type + ":" + c.Description
			}
			got = append(got, line)
		}
		want := "in.c-shop.orders in in.c-shop key id  id:int64: note:string:\n" +
			"in.c-shop.view in in.c-shop key   id:int64: note:string:\n" +
			"out.c-shop.totals in out.c-shop key day+shop One row a day day:date:day of sale shop:string:"
		if strings.Join(got, "\n") != want {
			t.Errorf("after %+v:\n%s\nwant\n%s", fault, strings.Join(got, "\n"), want)
		}
		if tables[0].Rows != 3 || tables[1].Rows != -1 || !tables[1].Alias || tables[2].Bytes != 4096 {
			t.Errorf("sizes %+v", tables)
		}
	}
	stack.Inject(keboolatest.Fault{Call: "bucket-tables", Status: 403, Times: -1, Body: `{"error":"no"}`})
	if _, _, err := open(t, stack, keboola.Options{}).Discover(t.Context()); err == nil || !strings.Contains(err.Error(), "bucket in.c-shop") {
		t.Errorf("a bucket that cannot be read is left out: %v", err)
	}
}
