package bigquery_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"aida/syncer/bigquery"
	"aida/syncer/bigquery/bigquerytest"
	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/datadoc"
	"aida/syncer/source"

	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc/codes"
)

// read fetches a table and reads all of it.
func read(t *testing.T, src *bigquery.Source, table datadoc.Table) ([]byte, *columnar.Result) {
	t.Helper()
	data, res, err := tryRead(t, src, source.Request{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return data, res
}

func tryRead(t *testing.T, src *bigquery.Source, r source.Request) ([]byte, *columnar.Result, error) {
	t.Helper()
	r.Scratch = t.TempDir()
	got, err := src.Fetch(context.Background(), r)
	if err != nil {
		return nil, nil, err
	}
	if got.Unchanged() {
		t.Fatal("the answer is unchanged")
	}
	var m columnartest.Memory
	res, err := got.Data.WriteParquet(context.Background(), &m, columnar.Options{Workers: 2})
	if err == nil {
		err = got.Data.Settled(context.Background())
	}
	if cerr := got.Data.Close(); cerr != nil {
		t.Error(cerr)
	}
	return m.Bytes(), res, err
}

// every type, the cells that are odd in it, and what is stored: a column each.
var everyType = []struct {
	field *bq.TableFieldSchema
	typ   string
	cells [][2]any // BigQuery's and ours
}{
	{&bq.TableFieldSchema{Name: "i", Type: "INTEGER"}, "int64", [][2]any{{"9223372036854775807", "9223372036854775807"}, {"-9223372036854775808", "-9223372036854775808"}, {"9007199254740993", "9007199254740993"}}},
	{&bq.TableFieldSchema{Name: "f", Type: "FLOAT"}, "float64", [][2]any{{"0.1", "0.1"}, {"NaN", "NaN"}, {"-Infinity", "-Inf"}}},
	{&bq.TableFieldSchema{Name: "b", Type: "BOOLEAN"}, "bool", [][2]any{{"true", "true"}, {"false", "false"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "s", Type: "STRING"}, "string", [][2]any{{"", ""}, {"NA", "NA"}, {"žluť\n\"", "žluť\n\""}}},
	{&bq.TableFieldSchema{Name: "n", Type: "NUMERIC"}, "decimal(38,9)", [][2]any{{"99999999999999999999999999999.999999999", "99999999999999999999999999999.999999999"},
		{"-0.000000001", "-0.000000001"}, {"1.5", "1.500000000"}}},
	{&bq.TableFieldSchema{Name: "money", Type: "NUMERIC", Precision: 10, Scale: 2}, "decimal(10,2)", [][2]any{{"-12345678.90", "-12345678.90"}, {"0", "0.00"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "big", Type: "BIGNUMERIC"}, "string", [][2]any{{"578960446186580977117854925043439539266.34992332820282019728792003956564819967", "578960446186580977117854925043439539266.34992332820282019728792003956564819967"},
		{"-0.00000000000000000000000000000000000001", "-0.00000000000000000000000000000000000001"}, {"100", "100"}}},
	{&bq.TableFieldSchema{Name: "big38", Type: "BIGNUMERIC", Precision: 38, Scale: 20}, "decimal(38,20)", [][2]any{{"123456789012345678.00000000000000000001", "123456789012345678.00000000000000000001"}, {"-1", "-1.00000000000000000000"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "raw", Type: "BYTES"}, "string", [][2]any{{"AP8=", "AP8="}, {"", ""}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "d", Type: "DATE"}, "date", [][2]any{{"0001-01-01", "0001-01-01"}, {"9999-12-31", "9999-12-31"}, {"2026-02-28", "2026-02-28"}}},
	{&bq.TableFieldSchema{Name: "dt", Type: "DATETIME"}, "timestamp", [][2]any{{"2026-03-01 10:00:00.000001", "2026-03-01 10:00:00.000001"}, {"0001-01-01 00:00:00", "0001-01-01 00:00:00"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "ts", Type: "TIMESTAMP"}, "timestamp_tz", [][2]any{{"2026-03-01 10:00:00.000001+00", "2026-03-01 10:00:00.000001Z"}, {"9999-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999Z"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "t", Type: "TIME"}, "time", [][2]any{{"23:59:59.999999", "23:59:59.999999"}, {"00:00:00", "00:00:00"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "j", Type: "JSON"}, "json", [][2]any{{`{"a":[1,null]}`, `{"a":[1,null]}`}, {"null", "null"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "g", Type: "GEOGRAPHY"}, "string", [][2]any{{"POINT(14.42 50.09)", "POINT(14.42 50.09)"}, {nil, nil}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "v", Type: "INTERVAL"}, "string", [][2]any{{"-1-2 3 -4:5:6.789", "-1-2 3 -4:5:6.789"}, {"0-0 0 0:0:0", "0-0 0 0:0:0"}, {"10-0 -400 100:0:0.000001", "10-0 -400 100:0:0.000001"}}},
	{&bq.TableFieldSchema{Name: "r", Type: "RANGE", RangeElementType: &bq.TableFieldSchemaRangeElementType{Type: "DATE"}}, "string",
		[][2]any{{[]any{"2026-01-01", nil}, "[2026-01-01, UNBOUNDED)"}, {[]any{nil, "2026-01-01"}, "[UNBOUNDED, 2026-01-01)"}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "rt", Type: "RANGE", RangeElementType: &bq.TableFieldSchemaRangeElementType{Type: "TIMESTAMP"}}, "string",
		[][2]any{{[]any{"2026-01-01 00:00:00+00", "2026-01-02 12:00:00.5+00"}, "[2026-01-01T00:00:00Z, 2026-01-02T12:00:00.5Z)"}, {nil, nil}, {nil, nil}}},
	{&bq.TableFieldSchema{Name: "tags", Type: "STRING", Mode: "REPEATED"}, "json", [][2]any{{[]any{"a<b", "\"q\""}, `["a<b","\"q\""]`}, {[]any{}, "[]"}, {nil, "[]"}}},
	{&bq.TableFieldSchema{Name: "lines", Type: "RECORD", Mode: "REPEATED", Fields: []*bq.TableFieldSchema{{Name: "sku", Type: "STRING"}, {Name: "price", Type: "NUMERIC"}, {Name: "n", Type: "INTEGER", Mode: "REPEATED"}}}, "json",
		[][2]any{{[]any{[]any{"x", "1.10", []any{"1", "9007199254740993"}}, []any{nil, nil, nil}}, `[{"sku":"x","price":1.1,"n":[1,9007199254740993]},{"sku":null,"price":null,"n":[]}]`}, {[]any{}, "[]"}, {nil, "[]"}}},
	{&bq.TableFieldSchema{Name: "one", Type: "RECORD", Fields: []*bq.TableFieldSchema{{Name: "at", Type: "TIMESTAMP"}, {Name: "raw", Type: "BYTES"}, {Name: "f", Type: "FLOAT"}, {Name: "doc", Type: "JSON"}, {Name: "on", Type: "BOOLEAN"},
		{Name: "days", Type: "RANGE", RangeElementType: &bq.TableFieldSchemaRangeElementType{Type: "DATE"}}, {Name: "in", Type: "RECORD", Fields: []*bq.TableFieldSchema{{Name: "d", Type: "DATE"}}}}}, "json",
		[][2]any{{[]any{"2026-01-01 00:00:00+00", "AP8=", "NaN", `{"x":1}`, "true", []any{"2026-01-01", "2026-02-01"}, []any{"2026-01-01"}},
			`{"at":"2026-01-01T00:00:00Z","raw":"AP8=","f":"NaN","doc":{"x":1},"on":true,"days":"[2026-01-01, 2026-02-01)","in":{"d":"2026-01-01"}}`}, {nil, nil}, {nil, nil}}},
}

func typesTable() (bigquerytest.Table, datadoc.Table) {
	table := bigquerytest.Table{Fields: []*bq.TableFieldSchema{{Name: "id", Type: "INTEGER", Mode: "REQUIRED"}}, Rows: [][]any{{"1"}, {"2"}, {"3"}}}
	for _, c := range everyType {
		table.Fields = append(table.Fields, c.field)
		for i, cell := range c.cells {
			table.Rows[i] = append(table.Rows[i], cell[0])
		}
	}
	return table, datadoc.Table{ID: "shop-bi.sales.types", Name: "types", Folder: "sales", PrimaryKey: datadoc.Words{"id"}, Strategy: "full_refresh"}
}

func TestEveryTypeIsStoredExactly(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	server.Put(doc.ID, table)
	src := connect(t, server, bigquery.Options{})
	direct, res := read(t, src, doc)
	got := columnartest.Read(t, direct)
	for i, c := range everyType {
		if typ := res.Schema.Columns[i+1].Type.String(); typ != c.typ {
			t.Errorf("column %s is stored as %s, want %s", c.field.Name, typ, c.typ)
		}
		for row, cell := range c.cells {
			want := any(columnartest.Null)
			if cell[1] != nil {
				want = cell[1]
			}
			if got := got.Rows[row][i+1]; got != want {
				t.Errorf("column %s: %v is stored as %s, want %s", c.field.Name, cell[0], got, want)
			}
		}
	}
	server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
	overREST, res := read(t, src, doc)
	if !bytes.Equal(direct, overREST) {
		t.Error("the same rows over REST make other bytes")
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "roles/bigquery.readSessionUser on project shop-bi") {
		t.Errorf("warnings %q", res.Warnings)
	}
	if server.Calls("tabledata.list") == 0 || server.Calls("jobs.insert") != 0 {
		t.Error("a whole table over REST needs no query")
	}
}

func TestAViewIsMaterialisedAndIsNeverTakenForUnchanged(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	server.Put(doc.ID, table)
	src := connect(t, server, bigquery.Options{})
	direct, _ := read(t, src, doc)
	for _, kind := range []string{"VIEW", "MATERIALIZED_VIEW", "EXTERNAL"} {
		table.Type = kind
		server.Put(doc.ID, table)
		if view, _ := read(t, src, doc); !bytes.Equal(view, direct) {
			t.Errorf("%s: the same rows make other bytes", kind)
		}
		server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.Unimplemented})
		if view, _ := read(t, src, doc); !bytes.Equal(view, direct) {
			t.Errorf("%s over REST: the same rows make other bytes", kind)
		}
		server.Repair()
		first, err := src.Fetch(context.Background(), source.Request{Table: doc, Scratch: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		again, err := src.Fetch(context.Background(), source.Request{Table: doc, Known: first.Fingerprint, Scratch: t.TempDir()})
		if err != nil || again.Unchanged() {
			t.Errorf("%s: unchanged, although nobody can know that (%v)", kind, err)
		}
	}
	if n := len(server.Queries()); n != 6 {
		t.Errorf("%d queries ran for 6 reads: a fetch alone must cost nothing", n)
	}
}

func TestATableWithAStreamingBufferIsAlwaysRead(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	table.Streaming = true
	server.Put(doc.ID, table)
	src := connect(t, server, bigquery.Options{})
	first, err := src.Fetch(context.Background(), source.Request{Table: doc, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	again, err := src.Fetch(context.Background(), source.Request{Table: doc, Known: first.Fingerprint, Scratch: t.TempDir()})
	if err != nil || again.Unchanged() {
		t.Errorf("unchanged, although rows are still being streamed in (%v)", err)
	}
}

func TestADeclaredTypeWins(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	server.Put(doc.ID, table)
	src := connect(t, server, bigquery.Options{})
	declare := func(name, typ string) {
		doc.Columns = append(doc.Columns, datadoc.Column{Name: name, Type: typ})
	}
	for name, typ := range map[string]string{"i": "string", "d": "timestamp", "money": "decimal(18,4)", "ts": "string", "b": "string", "t": "string", "n": "string", "tags": "string", "dt": "string"} {
		declare(name, typ)
	}
	data, _ := read(t, src, doc)
	got := columnartest.Read(t, data)
	for name, want := range map[string]string{"i": "9223372036854775807", "d": "0001-01-01 00:00:00", "money": "-12345678.9000", "ts": "2026-03-01T10:00:00.000001Z", "b": "true", "t": "23:59:59.999999",
		"n": "99999999999999999999999999999.999999999", "tags": `["a<b","\"q\""]`, "dt": "2026-03-01T10:00:00.000001"} {
		if cell := got.Column(name)[0]; cell != want {
			t.Errorf("column %s: %s, want %s", name, cell, want)
		}
	}
	for name, bad := range map[string][2]string{"n": {"decimal(18,2)", "does not fit decimal(18,2)"}, "big": {"decimal(38,9)", "does not fit decimal(38,9)"}, "s": {"int64", "is not a int64"}} {
		doc.Columns = nil
		declare(name, bad[0])
		if _, _, err := tryRead(t, src, source.Request{Table: doc}); err == nil || !strings.Contains(err.Error(), bad[1]) || !strings.Contains(err.Error(), "table sales.types: column "+name) {
			t.Errorf("column %s as %s: %v", name, bad[0], err)
		}
	}
}

func TestColumnsThatAreNotThereAreTold(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	server.Put(doc.ID, table)
	src := connect(t, server, bigquery.Options{})
	doc.Columns = []datadoc.Column{{Name: "mony", Plain: true}}
	if _, _, err := tryRead(t, src, source.Request{Table: doc}); err == nil || !strings.Contains(err.Error(), `column mony is described but BigQuery table shop-bi.sales.types does not have it: did you mean "money"`) {
		t.Errorf("got %v", err)
	}
	doc.Columns, doc.PrimaryKey = []datadoc.Column{{Name: "money", Plain: true}, {Name: "i", Plain: true}}, datadoc.Words{"idd"}
	data, res := read(t, src, doc)
	if names := fmt.Sprint(columnartest.Read(t, data).Names()); names != "[money i]" {
		t.Errorf("columns %s", names)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], `primary_key: column idd is described`) {
		t.Errorf("warnings %q", res.Warnings)
	}
}

func TestPicosecondsAreCutWithAWarning(t *testing.T) {
	server := bigquerytest.New(t)
	table, doc := typesTable()
	twelve := int64(12)
	table.Fields = append(table.Fields, &bq.TableFieldSchema{Name: "exact", Type: "TIMESTAMP", TimestampPrecision: &twelve})
	for i := range table.Rows {
		table.Rows[i] = append(table.Rows[i], "2026-03-01 10:00:00+00")
	}
	server.Put(doc.ID, table)
	if _, res := read(t, connect(t, server, bigquery.Options{}), doc); len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "column exact: its picoseconds are cut") {
		t.Errorf("warnings %q", res.Warnings)
	}
}
