package keboola_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/source"
)

// read fetches and reads a whole table.
func read(t *testing.T, src *keboola.Source, r source.Request) *columnartest.Table {
	t.Helper()
	table, err := tryRead(t, src, r)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func tryRead(t *testing.T, src *keboola.Source, r source.Request) (*columnartest.Table, error) {
	t.Helper()
	if r.Scratch == "" {
		r.Scratch = t.TempDir()
	}
	if r.Table.ID == "" {
		r.Table = described(orders)
	}
	res, err := src.Fetch(t.Context(), r)
	if err != nil {
		return nil, err
	}
	if res.Unchanged() {
		t.Fatal("the answer is unchanged")
	}
	return drain(t, res)
}

func drain(t *testing.T, res *source.Result) (*columnartest.Table, error) {
	t.Helper()
	defer res.Data.Close()
	var m columnartest.Memory
	if _, err := res.Data.WriteParquet(t.Context(), &m, columnar.Options{Workers: 2}); err != nil {
		return nil, err
	}
	return columnartest.Read(t, m.Bytes()), nil
}

// plain is an untyped table with two columns.
func plain() keboolatest.Table {
	return keboolatest.Table{ID: orders, PrimaryKey: []string{"id"}, Columns: []keboolatest.Column{
		{Name: "id", Notes: keboolatest.BaseType("user", "INTEGER")}, {Name: "note"}}}
}

func numbered(n int, note string) (out []keboolatest.Row) {
	for i := range n {
		out = append(out, keboolatest.Row{Cells: keboolatest.Cells(fmt.Sprint(i+1), note)})
	}
	return out
}

func TestTheExportSaysWhatIsWanted(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	table := keboolatest.Table{ID: orders, PrimaryKey: []string{"id"}, Columns: []keboolatest.Column{
		{Name: "id", Notes: keboolatest.BaseType("user", "INTEGER")}, {Name: "country"}, {Name: "price", Notes: keboolatest.BaseType("user", "NUMERIC")}, {Name: "day"}}}
	stack.Put(table, []keboolatest.Row{
		{Cells: keboolatest.Cells("1", "CZ", "9", "2026-01-01"), At: time.Unix(1_767_000_000, 0)}, {Cells: keboolatest.Cells("2", "NA", "10", "2026-01-02"), At: time.Unix(1_767_000_100, 0)},
		{Cells: keboolatest.Cells("3", "CZ", "11", "2026-01-03"), At: time.Unix(1_767_000_100, 0)}, {Cells: keboolatest.Cells("4", "DE", "12", "2026-01-04"), At: time.Unix(1_767_000_200, 0)}})
	src := open(t, stack, keboola.Options{})
	doc := described(orders)
	doc.WhereFilters = []datadoc.Filter{{Column: "price", Operator: "ge", Values: []string{"10"}}, {Column: "country", Operator: "eq", Values: []string{"CZ", "NA"}}}
	doc.Columns = []datadoc.Column{{Name: "country", Plain: true}, {Name: "id", Plain: true}}
	got := read(t, src, source.Request{Table: doc, Window: source.Window{Since: time.Unix(1_767_000_000, 5), Until: time.Unix(1_767_000_199, 1)}})
	if got.String() != "NA|2\nCZ|3" {
		t.Errorf("rows\n%s", got)
	}
	body, err := url.QueryUnescape(strings.TrimPrefix(stack.Calls("export")[0], "export /v2/storage/tables/in.c-shop.orders/export-async "))
	want := "changedSince=1767000000&changedUntil=1767000200&columns=country,id&format=rfc&gzip=1" +
		"&whereFilters[0][column]=price&whereFilters[0][dataType]=DOUBLE&whereFilters[0][operator]=ge&whereFilters[0][values][0]=10" +
		"&whereFilters[1][column]=country&whereFilters[1][operator]=eq&whereFilters[1][values][0]=CZ&whereFilters[1][values][1]=NA"
	if err != nil || body != want {
		t.Errorf("body\n%s, want\n%s", body, want)
	}
}

func TestConditionsThatCannotBeKeptAreRefused(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	for name, c := range map[string]struct {
		change func(*datadoc.Table)
		want   string
	}{
		"SQL": {func(d *datadoc.Table) { d.RowFilter = "id > 1" }, "where_filters"},
		"an unknown column": {func(d *datadoc.Table) {
			d.WhereFilters = []datadoc.Filter{{Column: "nte", Operator: "eq", Values: []string{"x"}}}
		}, `did you mean "note"`},
		"an order among values": {func(d *datadoc.Table) {
			d.WhereFilters = []datadoc.Filter{{Column: "id", Operator: "gt", Values: []string{"1", "2"}}}
		}, "one value"},
		"an unknown described one":    {func(d *datadoc.Table) { d.Columns = []datadoc.Column{{Name: "price", Type: "int64"}} }, "column price is described but table in.c-shop.orders does not have it"},
		"an id of another kind":       {func(d *datadoc.Table) { d.ID = "shop/../../tokens" }, "in.c-bucket.table"},
		"a table that does not exist": {func(d *datadoc.Table) { d.ID = "in.c-shop.order" }, "there is no table in.c-shop.order"},
	} {
		doc := described(orders)
		c.change(&doc)
		_, err := tryRead(t, src, source.Request{Table: doc})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "shop.orders") {
			t.Errorf("%s: %v, want %q and the table", name, err, c.want)
		}
	}
	if calls := stack.Calls("export"); calls != nil {
		t.Errorf("rows were exported: %v", calls)
	}
}

func TestLateRowsComeWithTheNextWindow(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	first, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	// The table changes after it was looked at and before it is exported.
	stack.Import(orders, keboolatest.Row{Cells: keboolatest.Cells("2", "late")})
	if _, err := drain(t, first); err != nil {
		t.Fatal(err)
	}
	got := read(t, src, source.Request{Window: source.Window{Since: first.DataTime.Add(time.Second)}, Types: []columnar.Column{{Name: "note", Type: columnar.Type{Kind: columnar.String}}}})
	if got.String() != "2|late" {
		t.Errorf("rows after %s:\n%s", first.DataTime, got)
	}
	next, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: t.TempDir(), Known: first.Fingerprint})
	if err != nil || next.Unchanged() {
		t.Errorf("the late row is not found: %v", err)
	}
}

func TestAnUnchangedTableIsNotExported(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	known := ""
	fetch := func(doc datadoc.Table) bool {
		res, err := src.Fetch(t.Context(), source.Request{Table: doc, Scratch: t.TempDir(), Known: known})
		if err != nil {
			t.Fatal(err)
		}
		known = res.Fingerprint
		return !res.Unchanged()
	}
	if !fetch(described(orders)) || fetch(described(orders)) {
		t.Error("the second answer is not unchanged")
	}
	for name, change := range map[string]func(*datadoc.Table){
		"a filter": func(d *datadoc.Table) {
			d.WhereFilters = []datadoc.Filter{{Column: "note", Operator: "eq", Values: []string{"x"}}}
		},
		"a type":         func(d *datadoc.Table) { d.Columns = []datadoc.Column{{Name: "id", Type: "string"}} },
		"less history":   func(d *datadoc.Table) { d.MaxHistoryDays = 30 },
		"another policy": func(d *datadoc.Table) { d.OnBadRow = "quarantine" },
	} {
		doc := described(orders)
		change(&doc)
		if fetch(described(orders)); !fetch(doc) {
			t.Errorf("%s is not found to change the table", name)
		}
	}
	fetch(described(orders))
	stack.Touch(orders, func(x *keboolatest.Table) { x.Columns[1].Notes = keboolatest.BaseType("user", "BOOLEAN") })
	if !fetch(described(orders)) {
		t.Error("a new type of a column is not found")
	}
	stack.Put(keboolatest.Table{ID: "in.c-shop.view", AliasOf: orders, Undated: true}, nil)
	for range 2 {
		if !fetch(described("in.c-shop.view")) {
			t.Error("an alias that does not say when it changed is told as unchanged")
		}
	}
	if calls := stack.Calls("export"); calls != nil {
		t.Errorf("rows were exported: %v", calls)
	}
}

func TestHistoryIsCutAtTheSource(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	rows := numbered(3, "x")
	rows[0].At = time.Now().AddDate(0, 0, -12)
	stack.Put(plain(), rows)
	src := open(t, stack, keboola.Options{})
	doc := described(orders)
	doc.MaxHistoryDays = 10
	for _, w := range []source.Window{{}, {Since: time.Now().AddDate(0, 0, -40)}} {
		if got := strings.Join(read(t, src, source.Request{Table: doc, Window: w}).Column("id"), " "); got != "2 3" {
			t.Errorf("window %v: rows %s, want 2 3", w, got)
		}
	}
	res, err := src.Keys(t.Context(), source.Request{Table: doc, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := drain(t, res)
	if err != nil || keys.String() != "2\n3" {
		t.Errorf("keys %v (%v), want 2 and 3", keys, err)
	}
}

func TestNoRowsAreAnEmptyTable(t *testing.T) {
	for _, cloud := range keboolatest.Clouds {
		for _, unsliced := range []bool{false, true} {
			stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud, Unsliced: unsliced})
			stack.Put(plain(), nil)
			got := read(t, open(t, stack, keboola.Options{}), source.Request{})
			if len(got.Rows) != 0 || !slices.Equal(got.Names(), []string{"id", "note"}) || got.Columns[0].Type.Kind != columnar.Int64 {
				t.Errorf("%s, in one file %t: %d rows, columns %v", cloud, unsliced, len(got.Rows), got.Columns)
			}
		}
	}
}

func TestAFailedJobIsAFailedTable(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	stack.FailJobs("Table is locked, token " + stack.Token().Reveal() + " tried https://x.example/y?sig=abc")
	_, err := tryRead(t, src, source.Request{})
	if err == nil || !strings.Contains(err.Error(), "ended with error: Table is locked") || !strings.Contains(err.Error(), "exception-77") {
		t.Errorf("error %v", err)
	}
	hidden(t, stack, err)
	stack.FailJobs("")
	src = open(t, stack, keboola.Options{JobTimeout: 20 * time.Millisecond})
	stack.Inject(keboolatest.Fault{Call: "job", Status: 200, Body: `{"id": 1, "status": "processing"}`, Times: -1})
	if _, err = tryRead(t, src, source.Request{}); err == nil || !strings.Contains(err.Error(), "is still processing after 20ms") {
		t.Errorf("error %v", err)
	}
	stack.Inject(keboolatest.Fault{Call: "export", Status: 202, Body: `{"id": 1, "status": "sleeping"}`})
	if _, err = tryRead(t, src, source.Request{}); err == nil || !strings.Contains(err.Error(), `"sleeping", which is not known`) {
		t.Errorf("error %v", err)
	}
}

// hidden checks that an error gives nothing away.
func hidden(t *testing.T, stack *keboolatest.Server, err error) {
	t.Helper()
	for _, secret := range append(stack.Secrets(), "sig=abc") {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("the error shows %q: %v", secret, err)
		}
	}
}

func TestOddCellsArriveAsTheyAre(t *testing.T) {
	texts := []string{"NA", "NULL", "null", "None", `\N`, "", " ", "007", "a \"quoted\" word", "two\nlines\r\nand more", "comma, and; more", "žluťoučký 漢字", "'", "1e5", "#N/A", "<NA>"}
	for _, backend := range []string{"snowflake", "bigquery"} {
		for _, typed := range []bool{true, false} {
			for _, cloud := range keboolatest.Clouds {
				stack := keboolatest.New(t, keboolatest.Options{Cloud: cloud, SliceRows: 3})
				table := keboolatest.Table{ID: orders, Typed: typed, Backend: backend, PrimaryKey: []string{"id"}, Columns: []keboolatest.Column{
					{Name: "id", Base: "INTEGER", Native: "NUMBER", Notes: keboolatest.BaseType("user", "INTEGER")}, {Name: "note", Base: "STRING", Native: "VARCHAR"}}}
				var rows []keboolatest.Row
				want := []string{columnartest.Null}
				for i, text := range texts {
					rows = append(rows, keboolatest.Row{Cells: keboolatest.Cells(fmt.Sprint(i), text)})
				}
				rows = append([]keboolatest.Row{{Cells: []keboolatest.Cell{{Text: "99"}, keboolatest.Null}}}, rows...)
				if !typed {
					want[0] = "" // a table of text has no nulls
				}
				stack.Put(table, rows)
				got := read(t, open(t, stack, keboola.Options{}), source.Request{}).Column("note")
				if want = append(want, texts...); !slices.Equal(got, want) {
					t.Errorf("%s %s typed=%t:\n got %q\nwant %q", backend, cloud, typed, got, want)
				}
			}
		}
	}
}

func TestAThousandSlicesAreReadInTheirOrder(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{SliceRows: 2})
	stack.Put(plain(), numbered(2000, "x"))
	got := read(t, open(t, stack, keboola.Options{Downloads: 8}), source.Request{}).Column("id")
	for i, id := range got {
		if id != fmt.Sprint(i+1) {
			t.Fatalf("row %d has id %s", i+1, id)
		}
	}
	if n := len(stack.Calls("slice")); len(got) != 2000 || n != 1000 {
		t.Errorf("%d rows of %d slices", len(got), n)
	}
}

func TestARowWithTooManyCellsIsTold(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{})
	for body, want := range map[string]string{
		"\"1\",\"a\"\n\"2\",\"b\",\"c\"\n":       ":2: the row has 3 cells",
		"\"1\",\"a\",\"b\"\n\"2\",\"b\",\"c\"\n": "the export has 3 columns, 2 were asked for",
		"\"1\"\n\"2\"\n":                         "note",
		"\"id\",\"note\"\n\"1\",\"a\"\n":         `:1: column id (1): "id"`,
	} {
		stack.Inject(keboolatest.Fault{Call: "slice", Status: 200, Body: body})
		if _, err := tryRead(t, src, source.Request{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("slice %q: error %v, want %q", body, err, want)
		}
	}
}

func TestCancellingEndsTheWaitForAJob(t *testing.T) {
	stack := keboolatest.New(t, keboolatest.Options{})
	stack.Put(plain(), numbered(3, "x"))
	src := open(t, stack, keboola.Options{Backoff: time.Hour})
	res, err := src.Fetch(t.Context(), source.Request{Table: described(orders), Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := res.Data.WriteParquet(ctx, &columnartest.Memory{}, columnar.Options{}); err == nil || ctx.Err() == nil || time.Since(began) > 10*time.Second {
		t.Errorf("error %v after %s", err, time.Since(began))
	}
}
