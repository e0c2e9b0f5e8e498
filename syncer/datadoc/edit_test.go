package datadoc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const garage = `# Garage

Words for people, with ` + "```" + `inline fences` + "```" + ` and trailing blanks.  

` + "```yaml" + `
folder_mapping: {in.c-shop: shop} # the bucket
tables:
  # the big one
  - id: in.c-shop.cars   # never change
    name: cars
    description: >
      All the cars
      of the garage
    primary_key: [vin, "plate no"]
    sync_strategy: full_refresh # it is small
    # a comment between
    schedule: "0 6 * * *"

    columns:
    - {name: vin, type: "string"} # the number
    - name: price
      type: 'decimal(18,2)'   # EUR
      description: What it costs
    # the last one
    - {description: "Who: owns, it", sensitive: true, name: owner}
  - id: in.c-shop.wheels
    name: wheels
    description:
    primary_key: id
    sync_strategy: full_refresh
  - {id: in.c-shop.seats, name: seats, description: "Seats", primary_key: id, sync_strategy: full_refresh}
` + "```" + `

The end.
`

// An edit touches the lines that it must, and no others: not comments, not quotes, not the order of keys, not the prose.
func TestAnEditChangesWhatItNamesAndNoOtherByte(t *testing.T) {
	key := func(id, k string, v ...string) Edit { return Edit{ID: id, Keys: []KeyEdit{{Key: k, Values: v}}} }
	column := func(c ColumnEdit) Edit { return Edit{ID: "in.c-shop.cars", Columns: []ColumnEdit{c}} }
	for _, c := range []struct {
		name     string
		edit     Edit
		old, new string
	}{
		{"a value keeps the comment behind it", key("in.c-shop.cars", "sync_strategy", "incremental"), "full_refresh # it is small", "incremental # it is small"},
		{"a folded text becomes one line", key("in.c-shop.cars", "description", "Cars: all"), ">\n      All the cars\n      of the garage\n", "\"Cars: all\"\n"},
		{"a key of one column", key("in.c-shop.cars", "primary_key", "vin"), `[vin, "plate no"]`, "vin"},
		{"a key of two columns", key("in.c-shop.wheels", "primary_key", "id", "no 2"), "primary_key: id\n    sync_strategy: full_refresh\n  - {", "primary_key: [id, \"no 2\"]\n    sync_strategy: full_refresh\n  - {"},
		{"a new key goes behind its neighbour", key("in.c-shop.cars", "incremental_window_days", "14"), "full_refresh # it is small\n", "full_refresh # it is small\n    incremental_window_days: 14\n"},
		{"a key is taken out", key("in.c-shop.cars", "schedule"), "    schedule: \"0 6 * * *\"\n", ""},
		{"a key that had no value", key("in.c-shop.wheels", "description", "Round"), "description:\n", "description: Round\n"},
		{"the last table of the list", key("in.c-shop.wheels", "dataset", "private"), "    sync_strategy: full_refresh\n  - {", "    sync_strategy: full_refresh\n    dataset: private\n  - {"},
		{"a table in one line", key("in.c-shop.seats", "schedule", "every 6h"), "sync_strategy: full_refresh}", "sync_strategy: full_refresh, schedule: \"every 6h\"}"},
		{"a value in one line", key("in.c-shop.seats", "description", "All, seats"), `"Seats"`, `"All, seats"`},
		{"a type in a line", column(ColumnEdit{Name: "vin", Type: "int64"}), `"string"`, "int64"},
		{"a mark in a line", column(ColumnEdit{Name: "vin", Type: "string", Sensitive: true}), `"string"}`, `"string", sensitive: true}`},
		{"a mark off", column(ColumnEdit{Name: "owner", Description: "Who: owns, it"}), ", sensitive: true", ""},
		{"the first key of a line", column(ColumnEdit{Name: "owner", Sensitive: true}), `description: "Who: owns, it", `, ""},
		{"a type in a block", column(ColumnEdit{Name: "price", Type: "decimal(20,4)", Description: "What it costs"}), "'decimal(18,2)'", `"decimal(20,4)"`},
		{"a text in a block", column(ColumnEdit{Name: "price", Type: "decimal(18,2)"}), "      description: What it costs\n", ""},
		{"a new column", column(ColumnEdit{Name: "colour", Type: "string"}), "name: owner}\n", "name: owner}\n    - {name: colour, type: string}\n"},
		{"the first column of a table", Edit{ID: "in.c-shop.wheels", Columns: []ColumnEdit{{Name: "size in", Sensitive: true}}}, "    sync_strategy: full_refresh\n  - {", "    sync_strategy: full_refresh\n    columns:\n      - {name: \"size in\", sensitive: true}\n  - {"},
		{"what is so already", key("in.c-shop.cars", "primary_key", "vin", "plate no"), "", ""},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			crlf := func(s string) string { return strings.ReplaceAll(s, "\n", eol) }
			got, err := Apply("d.md", []byte(crlf(garage)), c.edit)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			want := garage
			if c.old != "" {
				if strings.Count(garage, c.old) < 1 {
					t.Fatalf("%s: %q is not in the text", c.name, c.old)
				}
				want = strings.Replace(garage, c.old, c.new, 1)
			}
			if string(got) != crlf(want) {
				t.Errorf("%s (%q): got\n%s\nwant\n%s", c.name, eol, got, crlf(want))
			}
		}
	}
}

func TestAnEditThatCannotBeMadeIsRefused(t *testing.T) {
	for name, e := range map[string]Edit{
		"nowhere": {ID: "in.c-shop.none", Keys: []KeyEdit{{Key: "description", Values: []string{"x"}}}}, "cannot be changed from here": {ID: "in.c-shop.cars", Keys: []KeyEdit{{Key: "id", Values: []string{"x"}}}},
		"not a whole number": {ID: "in.c-shop.cars", Keys: []KeyEdit{{Key: "incremental_window_days", Values: []string{"x"}}}},
	} {
		if out, err := Apply("d.md", []byte(garage), e); err == nil || name != "nowhere" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
	chosen := strings.Replace(garage, "primary_key: id\n    sync", "primary_key: id\n    columns: [id, size]\n    sync", 1)
	if _, err := Apply("d.md", []byte(chosen), Edit{ID: "in.c-shop.wheels", Columns: []ColumnEdit{{Name: "id", Type: "int64"}}}); err == nil || !strings.Contains(err.Error(), "a list of names") {
		t.Errorf("%v", err)
	}
}

// A table that is taken out takes its own lines along, and its block when it was alone there.
func TestRemovingATableChangesNoOtherByte(t *testing.T) {
	cut := func(from, to string) string {
		a := strings.Index(garage, from)
		return garage[:a] + garage[a+strings.Index(garage[a:], to):]
	}
	alone := "\n```yaml\ntables:\n  - id: in.c-shop.doors\n    name: doors\n    description: Doors\n    primary_key: id\n    sync_strategy: full_refresh\n```\n"
	mapped := strings.Replace(alone, "tables:", "folder_mapping: {x: y}\ntables:", 1)
	for id, c := range map[string]struct{ text, want string }{
		"in.c-shop.cars":   {garage, cut("  - id: in.c-shop.cars", "  - id: in.c-shop.wheels")},
		"in.c-shop.wheels": {garage, cut("  - id: in.c-shop.wheels", "  - {id: in.c-shop.seats")},
		"in.c-shop.seats":  {garage, cut("  - {id: in.c-shop.seats", "```\n\nThe end")},
		"in.c-shop.doors":  {garage + alone, garage},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			got, err := Remove("d.md", []byte(strings.ReplaceAll(c.text, "\n", eol)), id)
			if err != nil || string(got) != strings.ReplaceAll(c.want, "\n", eol) {
				t.Errorf("%s: %v\n%s", id, err, got)
			}
		}
	}
	if got, err := Remove("d.md", []byte(garage+mapped), "in.c-shop.doors"); err != nil || string(got) != garage+"\n```yaml\nfolder_mapping: {x: y}\n```\n" {
		t.Errorf("%v\n%s", err, got)
	}
	for name, text := range map[string]string{"does not describe": garage, "by hand": "```yaml\ntables: [{id: a.b, name: b}, {id: a.c, name: c}]\n```\n"} {
		if got, err := Remove("d.md", []byte(text), "a.b"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

// Every table of the shipped descriptions takes every edit, and comes back byte for byte when it is undone.
func TestEditsOfTheShippedDescriptionsCanBeUndone(t *testing.T) {
	for _, file := range []string{"../../assets/sample/data_description.md", "../../config/examples/data_description.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range Written(filepath.Base(file), text) {
			if left, err := Remove("d.md", text, table.ID); err != nil || len(left) >= len(text) {
				t.Errorf("%s, %s cannot be removed: %v", file, table.ID, err)
			}
			there, err := Apply("d.md", text, Edit{ID: table.ID, Keys: []KeyEdit{{Key: "schedule", Values: []string{"every 7h"}}}, Columns: []ColumnEdit{{Name: "brand_new", Type: "int64", Description: "a \"b\" # c"}}})
			if err != nil {
				if len(table.Columns) > 0 && table.Columns[0].Plain {
					continue
				}
				t.Errorf("%s, %s: %v", file, table.ID, err)
				continue
			}
			var was []string
			if table.Schedule != "" {
				was = []string{table.Schedule}
			}
			back, err := Apply("d.md", there, Edit{ID: table.ID, Keys: []KeyEdit{{Key: "schedule", Values: was}}})
			if err != nil {
				t.Errorf("%s, %s: %v", file, table.ID, err)
				continue
			}
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(string(back), line) && !strings.Contains(line, "schedule") {
					t.Errorf("%s, %s: lost %q", file, table.ID, line)
				}
			}
		}
	}
}

func FuzzAnEditTouchesNoOtherTable(f *testing.F) {
	f.Add(garage, "in.c-shop.cars", "some: text # here")
	f.Add(bikes, "in.c-shop.models", "x")
	f.Fuzz(func(t *testing.T, text, id, value string) {
		out, err := Apply("d.md", []byte(text), Edit{ID: id, Keys: []KeyEdit{{Key: "description", Values: []string{value}}, {Key: "schedule"}}, Columns: []ColumnEdit{{Name: "x", Type: "int64"}}})
		if err != nil {
			return
		}
		for _, table := range Written("d.md", out) {
			if table.ID == id {
				if table.Description != value || table.Schedule != "" {
					t.Errorf("%q in\n%s", table.Description, out)
				}
				return
			}
		}
		t.Errorf("the table is gone from\n%s", out)
	})
}

func TestKeysOfOtherTablesAndFiltersAreWritten(t *testing.T) {
	text := "```yaml\ntables:\n  - id: s.a\n    name: a\n    folder: f\n    primary_key: id\n    foreign_keys: # of old\n      - {column: x, references: b.id}\n    sync_strategy: full_refresh # stays\n```\n"
	put := func(text string, k KeyEdit) string {
		t.Helper()
		out, err := Apply("d.md", []byte(text), Edit{ID: "s.a", Keys: []KeyEdit{k}})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	foreign := KeyEdit{Key: "foreign_keys", Foreign: []Foreign{{"x", "b.id", `the "b": it # belongs to`}, {"y", "c.id", ""}}}
	filters := KeyEdit{Key: "where_filters", Filters: []Filter{{Column: "day", Operator: "ge", Values: []string{"{{last_week}}", "a, b]"}}}}
	out := put(put(text, foreign), filters)
	got := Written("d.md", []byte(out))[0]
	if !slices.Equal(got.ForeignKeys, foreign.Foreign) || len(got.WhereFilters) != 1 || !slices.Equal(got.WhereFilters[0].Values, filters.Filters[0].Values) || !strings.Contains(out, "sync_strategy: full_refresh # stays\n") {
		t.Errorf("%s", out)
	}
	out = put(put(put(out, KeyEdit{Key: "foreign_keys"}), KeyEdit{Key: "where_filters"}), KeyEdit{Key: "name", Values: []string{"b"}})
	if want := strings.Replace(strings.Replace(text, "    foreign_keys: # of old\n      - {column: x, references: b.id}\n", "", 1), "name: a", "name: b", 1); out != want {
		t.Errorf("%s", out)
	}
}
