package datadoc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const bikes = "# Bikes\r\n\r\nText for people.\r\n\r\n```yaml\r\nfolder_mapping:\r\n  in.c-shop: commerce\r\ntables:\r\n" +
	"  - id: in.c-shop.models\r\n    name: models\r\n    description: Catalogue\r\n    primary_key: model_id, model_year\r\n    sync_strategy: full_refresh\r\n" +
	"  - id: in.c-shop.rentals\r\n    name: rentals\r\n    description: Contracts\r\n    primary_key: [rental_id]\r\n    sync_strategy: incremental\r\n    partition_by: picked_up_at\r\n" +
	"    columns: [rental_id, picked_up_at]\r\n    where_filters:\r\n      - {column: closed_on, operator: ge, values: [\"{{last_week}}\"]}\r\n```\r\n\r\n" +
	"```yaml\r\nexample: of something else\r\n```\r\n\r\n```sql\r\nSELECT 1\r\n```\r\n\r\n" +
	"```yaml\r\ntables:\r\n  - id: gps.points\r\n    name: points\r\n    description: Positions\r\n    primary_key: id\r\n    sync_strategy: full_refresh\r\n    folder: telemetry\r\n    dataset: gps\r\n" +
	"    csv: {path: points/*.csv.gz, delimiter: \";\", header: false}\r\n    columns:\r\n      - {name: lat, type: \"decimal(9,6)\", description: Latitude, sensitive: true}\r\n```\r\n"

func TestBlocksOfOneFileAreOneDescription(t *testing.T) {
	doc, err := Parse("bikes.md", []byte(bikes))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range doc.Tables {
		names = append(names, x.FullName()+":"+x.Dataset)
	}
	if got := strings.Join(names, " "); got != "commerce.models:commerce commerce.rentals:commerce telemetry.points:gps" {
		t.Errorf("tables %s", got)
	}
	models, rentals, points := doc.Tables[0], doc.Tables[1], doc.Tables[2]
	if strings.Join(models.PrimaryKey, "+") != "model_id+model_year" || models.Line != 9 {
		t.Errorf("models: %+v", models)
	}
	if rentals.PartitionGranularity != "month" || rentals.IncrementalWindow != 7 || !rentals.Columns[0].Plain ||
		rentals.WhereFilters[0].Values[0] != time.Now().UTC().AddDate(0, 0, -7).Format(time.DateOnly) {
		t.Errorf("rentals: %+v", rentals)
	}
	if points.CSV.Delimiter != ";" || points.CSV.Header == nil || *points.CSV.Header || points.Columns[0].Type != "decimal(9,6)" || !points.Columns[0].Sensitive {
		t.Errorf("points: %+v", points)
	}
}

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	text := "# x\n\n```yaml\ntables:\n  - id: a.b\n    name: ../etc\n    descripton: x\n    primary_key: id\n    sync_strategy: sometimes\n" +
		"  - id: a.b\n    name: c\n    description: x\n    primary_key: id\n    sync_strategy: partitioned\n    columns: [a, {name: b}]\n    max_history_days: -1\n" +
		"  - id: d.e\n    name: C\n    description: x\n    primary_key: \"\"\n    sync_strategy: full_refresh\n    folder: a\n    columns:\n      - {name: x, type: decimal}\n    foreign_keys:\n      - {column: x, references: nothing}\n```\n"
	_, err := Parse("d.md", []byte(text))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`d.md:7:5: unknown key "tables[0].descripton": did you mean "description"?`, `d.md:5:5: table ../etc: description needs a value`,
		`name "../etc" cannot be a file name`, `sync_strategy: "sometimes" is not one of`, `d.md:10:5: table c: id a.b is described already in d.md:5`,
		`partitioned needs partition_by`, `columns: a list is either of names`, `max_history_days cannot be negative`, `table C: a.C is described already`,
		`primary_key needs a value`, `needs a precision and a scale`, `write it as table.column`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
	if _, err := Parse("d.md", []byte("# nothing\n")); err == nil || !strings.Contains(err.Error(), "no table is described") {
		t.Errorf("got %v", err)
	}
}

func TestWhereDescriptionsAreFound(t *testing.T) {
	root := t.TempDir()
	put := func(name string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(filepath.Join(root, "config"), root); err == nil || !strings.Contains(err.Error(), "aida init") {
		t.Errorf("got %v", err)
	}
	put("docs/data_description.md")
	put("docs/datasets/b.md")
	put("docs/datasets/a.md")
	find := func(from string) string {
		got, err := Find(filepath.Join(root, "config"), filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.Join(got, " "), root+"/", "")
	}
	if got := find("x/y"); got != "docs/data_description.md docs/datasets/a.md docs/datasets/b.md" {
		t.Errorf("found %s", got)
	}
	put("config/data_description.md")
	if got := find("."); got != "config/data_description.md docs/datasets/a.md docs/datasets/b.md" {
		t.Errorf("found %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(bikes))
	f.Add([]byte("```yaml\ntables: [{id: a.b, columns: [{name: x}]}]\n```"))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Parse("x.md", text)
		if err != nil {
			return
		}
		for _, table := range doc.Tables {
			if strings.ContainsAny(table.Folder+table.Name, "/\\") || strings.Contains(table.Folder+"/"+table.Name, "..") {
				t.Errorf("unsafe place %s / %s", table.Folder, table.Name)
			}
		}
	})
}
