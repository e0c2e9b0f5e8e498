package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/lake"
)

// fixture is a store and a lake with tables of CSV text.
type fixture struct {
	t      *testing.T
	data   string
	store  *store.Store
	lake   *lake.Lake
	tables []store.Table
	opened atomic.Int64
}

func setUp(t *testing.T, tables ...store.Table) *fixture {
	t.Helper()
	f := &fixture{t: t, data: t.TempDir()}
	var err error
	if f.store, err = store.Open(context.Background(), store.Options{Path: filepath.Join(f.data, "aida.db")}); err != nil {
		t.Fatal(err)
	}
	if f.lake, err = lake.Open(lake.Options{Data: f.data, Store: f.store, KeepCount: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.lake.Close(); f.store.Close() })
	f.describe(tables...)
	return f
}

// describe makes these the tables.
func (f *fixture) describe(tables ...store.Table) {
	f.t.Helper()
	for i := range tables {
		tables[i].SourceID, tables[i].Folder, tables[i].Dataset = "in."+tables[i].Name, "shop", "shop"
	}
	if err := f.store.SetCatalog(context.Background(), []store.Dataset{{Name: "shop", Access: store.OpenAccess}}, tables); err != nil {
		f.t.Fatal(err)
	}
	var err error
	if f.tables, err = f.store.Tables(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

// publish gives a table new content: CSV text by partition, "" = the one file. Types are by column, the rest is inferred.
func (f *fixture) publish(table string, types map[string]string, content map[string]string) {
	f.t.Helper()
	ctx := context.Background()
	t, err := f.store.TableByName(ctx, table)
	if err != nil {
		f.t.Fatal(err)
	}
	scratch, err := f.lake.Scratch()
	if err != nil {
		f.t.Fatal(err)
	}
	defer scratch.Release()
	change := lake.Change{Table: t}
	for partition, text := range content {
		staged, err := scratch.Stage(partition)
		if err != nil {
			f.t.Fatal(err)
		}
		c := columnar.CSV{Table: table, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"', Header: true},
			Inputs: []columnar.Input{{Name: "x.csv", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}}}
		for name, typ := range types {
			parsed, err := columnar.ParseType(typ)
			if err != nil {
				f.t.Fatal(err)
			}
			c.Declared = append(c.Declared, columnar.Column{Name: name, Type: parsed})
		}
		res, err := c.WriteParquet(ctx, staged, columnar.Options{BlockSize: 16 << 10})
		if err != nil {
			f.t.Fatal(err)
		}
		if err := staged.Finish(); err != nil {
			f.t.Fatal(err)
		}
		var schema []store.Column
		for _, c := range res.Schema.Columns {
			schema = append(schema, store.Column{Name: c.Name, Type: c.Type.String()})
		}
		change.Files = append(change.Files, lake.Part{Staged: staged, Rows: res.Rows, Schema: schema})
	}
	if _, err := f.lake.Publish(ctx, 0, "", []lake.Change{change}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) profiler(workers int) *Profiler {
	return New(Options{Store: f.store, Limits: DefaultLimits, Workers: workers, Open: func(file store.File) (File, error) {
		f.opened.Add(1)
		return f.lake.Open(file)
	}})
}

// update brings all profiles up to date and gives that of a table as an admin sees it.
func (f *fixture) update(table string) *store.Profile {
	f.t.Helper()
	f.opened.Store(0)
	if err := f.profiler(2).Update(context.Background(), f.tables); err != nil {
		f.t.Fatal(err)
	}
	return f.profile(table)
}

func (f *fixture) profile(table string) *store.Profile {
	f.t.Helper()
	t, err := f.store.TableByName(context.Background(), table)
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := f.store.Profile(context.Background(), &store.Access{Tables: f.tables}, t.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func column(t *testing.T, p *store.Profile, name string) store.ColumnProfile {
	t.Helper()
	i := slices.IndexFunc(p.Columns, func(c store.ColumnProfile) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("the profile has no column %s", name)
	}
	return p.Columns[i]
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestASmallTableIsToldInFull(t *testing.T) {
	f := setUp(t, store.Table{Name: "people", Definition: store.Definition{Description: "People", PrimaryKey: []string{"id"}, SyncStrategy: "full_refresh"}})
	f.publish("people", map[string]string{"amount": "decimal(9,2)"}, map[string]string{"": "id,name,active,created,amount\n1,Eva,true,2023-01-15,10.50\n2,Bartosz,false,2023-06-01,-3.20\n3,Paul,true,2024-01-01,0\n4,Marie C,false,2024-07-01,100\n5,,,,\n"})
	p := f.update("people")
	got := asJSON(t, p)
	for _, want := range []string{
		`"row_count":5,"column_count":5`, `"avg_completeness":84,"missing_cells":4,"missing_cells_pct":16,"duplicate_rows":0`,
		`"variable_types":{"BOOLEAN":1,"DATE":1,"NUMERIC":2,"STRING":1}`, `"date_range":{"earliest":"2023-01-15","latest":"2024-07-01","span_days":533}`,
		`"name":"id","type":"BIGINT","type_category":"NUMERIC","completeness_pct":100,"null_count":0,"unique_count":5,"unique_pct":100,"sample_values":["1","2","3","4","5"],"is_primary_key":true,"alerts":["unique"]`,
		`"name":"amount","type":"DECIMAL(9,2)","type_category":"NUMERIC","completeness_pct":80,"null_count":1,"unique_count":4,"unique_pct":100`,
		`"min":-3.20,"max":100.00,"mean":26.83,"median":5.25,"stddev":49.13,`, `"zeros":1,"zeros_pct":25,"negative":1,"negative_pct":25`,
		`"string_stats":{"min_length":3,"max_length":7,"avg_length":5.25,"top_values":[{"value":"Bartosz","count":1,"pct":25}`,
		`"date_stats":{"earliest":"2023-01-15","latest":"2024-07-01","span_days":533,"histogram":{"bins":["2023-Q1","2023-Q2","2024-Q1","2024-Q3"],"counts":[1,1,1,1]}}`,
		`"boolean_stats":{"true_count":2,"false_count":2,"true_pct":50}`, `"primary_key":"id"`, `"description":"People"`, `"sync_strategy":"full_refresh"`,
		`{"active":"true","amount":"10.50","created":"2023-01-15","id":"1","name":"Eva"}`, `{"active":null,"amount":null,"created":null,"id":"5","name":null}`,
		`{"column":"name","type":"missing","message":"20.0 % of the values are missing"}`, `"sampled":false`, `"related_tables":[]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the profile lacks %s:\n%s", want, got)
		}
	}
	if h := column(t, p, "amount").Numbers.Histogram; len(h.Bins) != 15 || h.Bins[0] != "-3.2-3.7" || !slices.Equal(h.Counts, []int64{2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) {
		t.Errorf("histogram %v", h)
	}
}

func TestTablesWithoutRowsOrValues(t *testing.T) {
	f := setUp(t, store.Table{Name: "none"}, store.Table{Name: "nulls"})
	f.publish("none", nil, map[string]string{"": "a,b\n"})
	f.publish("nulls", map[string]string{"d": "date", "f": "float64", "b": "bool", "n": "int64", "t": "time", "w": "decimal(30,2)"}, map[string]string{"": "d,f,b,n,t,w,s\n,,,,,,\n,,,,,,\n"})
	p := f.update("none")
	if p.RowCount != 0 || p.ColumnCount != 2 || p.Completeness != 0 || len(p.SampleRows) != 0 || len(p.Alerts) != 0 {
		t.Errorf("without rows: %s", asJSON(t, p))
	}
	p = f.profile("nulls")
	if p.MissingCells != 14 || p.MissingPct != 100 || len(p.Alerts) != 7 || p.Alerts[0].Type != "high_missing" || p.DateRange != nil {
		t.Errorf("without values: %s", asJSON(t, p))
	}
}

func TestOddNumbersDoNotSpoilTheRest(t *testing.T) {
	f := setUp(t, store.Table{Name: "odd"})
	f.publish("odd", map[string]string{"f": "float64", "i": "int64", "w": "decimal(38,4)", "z": "timestamp_tz", "t": "time"}, map[string]string{"": "f,i,w,z,t,s\n" +
		"NaN,9223372036854775807,9999999999999999999999999999999999.9999,0001-01-01T00:00:00Z,00:00:01,ž\n" +
		"inf,-9223372036854775808,-9999999999999999999999999999999999.9999,9999-12-31T23:59:59.999999Z,23:59:59.5,žluť\n-inf,0,0,2024-01-01T00:00:00+02:00,12:00,\"\"\n-0,0,0.5,,12:00,\n2,1,1,,,x\n"})
	p := f.update("odd")
	n := column(t, p, "f").Numbers
	if n.NonFinite != 3 || n.Min != "0" && n.Min != "-0" || n.Max != "2" || *n.Mean != 1 || n.Zeros != 1 || n.Negative != 0 {
		t.Errorf("floats: %s", asJSON(t, n))
	}
	if n := column(t, p, "i").Numbers; n.Min != "-9223372036854775808" || n.Max != "9223372036854775807" || n.Zeros != 2 || n.Negative != 1 {
		t.Errorf("whole numbers: %s", asJSON(t, n))
	}
	if n := column(t, p, "w").Numbers; n.Min != "-9999999999999999999999999999999999.9999" || n.Max != "9999999999999999999999999999999999.9999" || *n.Median != 0.5 {
		t.Errorf("decimals: %s", asJSON(t, n))
	}
	if d := column(t, p, "z").Dates; d.Earliest != "0001-01-01 00:00:00+00" || d.Latest != "9999-12-31 23:59:59.999999+00" || strings.Join(d.Histogram.Bins, " ") != "0001-Q1 2023-Q4 9999-Q4" {
		t.Errorf("timestamps: %s", asJSON(t, d))
	}
	if c := column(t, p, "t"); c.Category != "STRING" || c.Type != "TIME" || c.Texts.TopValues[0] != (store.TopValue{Value: "12:00:00", Count: 2, Pct: 50}) {
		t.Errorf("times: %s", asJSON(t, c))
	}
	if s := column(t, p, "s").Texts; s.MinLength != 0 || s.MaxLength != 4 || s.AvgLength != 1.5 {
		t.Errorf("texts: %s", asJSON(t, s))
	}
}

func TestAlerts(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,same,rare,gone,zero,many,one_in_two,money\n")
	for i := range 1000 {
		rare, gone, zero, money := "", "", 0, 10+i%3
		if i%10 > 0 {
			rare = "x"
		}
		if i%2 == 0 {
			gone = "y"
		}
		if i%3 == 0 {
			zero = i
		}
		if i >= 900 {
			money = 100_000
		}
		fmt.Fprintf(&b, "%d,c,%s,%s,%d,text %d,%s,%d\n", i, rare, gone, zero, i%500, []string{"a", "a", "a", "b"}[i%4], money)
	}
	f := setUp(t, store.Table{Name: "t"})
	f.publish("t", nil, map[string]string{"": b.String()})
	p := f.update("t")
	got := map[string]string{}
	for _, a := range p.Alerts {
		got[a.Column] += a.Type + ";"
	}
	for name, want := range map[string]string{"id": "unique;", "same": "constant;", "rare": "missing;", "gone": "high_missing;", "zero": "zeros;skew;", "many": "high_cardinality;", "one_in_two": "imbalance;"} {
		if got[name] != want && !(name == "zero" && strings.HasPrefix(got[name], "zeros;")) {
			t.Errorf("column %s: alerts %q, want %q", name, got[name], want)
		}
	}
	if m := column(t, p, "one_in_two"); m.Texts.TopValues[0] != (store.TopValue{Value: "a", Count: 750, Pct: 75}) {
		t.Errorf("top values %v", m.Texts.TopValues)
	}
}

func TestUnchangedTablesAreNotReadAgain(t *testing.T) {
	f := setUp(t, store.Table{Name: "a", Definition: store.Definition{PrimaryKey: []string{"id"}}}, store.Table{Name: "b"})
	f.publish("a", nil, map[string]string{"": "id,v\n1,x\n2,y\n"})
	f.publish("b", nil, map[string]string{"": "v\n1\n"})
	f.update("a")
	if f.update("a"); f.opened.Load() != 0 {
		t.Errorf("%d files were opened though none changed", f.opened.Load())
	}
	f.publish("b", nil, map[string]string{"": "v\n2\n"})
	if p := f.update("b"); f.opened.Load() > 2 || column(t, p, "v").Numbers.Min != "2" {
		t.Errorf("%d files were opened: %s", f.opened.Load(), asJSON(t, p))
	}
}

func TestOnlyPartsThatChangedAreReadAgain(t *testing.T) {
	const months, rows = 12, 1000
	month := func(m, salt int) string {
		var b strings.Builder
		b.WriteString("id,day,amount,kind,note\n")
		for i := range rows {
			note := ""
			if i%3 > 0 {
				note = fmt.Sprintf("note %d of %d", i, m)
			}
			fmt.Fprintf(&b, "%d,2024-%02d-%02d,%d.%02d,%s,%s\n", m*rows+i, m+1, i%28+1, (i*7919+salt)%5000-100, i%100, []string{"web", "app", "shop"}[i*i%3], note)
		}
		return b.String()
	}
	content := map[string]string{}
	var whole strings.Builder
	for m := range months {
		content[fmt.Sprintf("2024_%02d", m+1)] = month(m, 0)
	}
	f := setUp(t, store.Table{Name: "parts", Definition: store.Definition{PrimaryKey: []string{"id"}}}, store.Table{Name: "whole", Definition: store.Definition{PrimaryKey: []string{"id"}}})
	types := map[string]string{"amount": "decimal(18,2)"}
	f.publish("parts", types, content)
	f.update("parts")
	content["2024_07"] = month(6, 31)
	f.publish("parts", types, content)
	got := f.update("parts")
	if n := f.opened.Load(); n > 2 {
		t.Errorf("%d files were opened though one changed", n)
	}
	for m := range months {
		text := content[fmt.Sprintf("2024_%02d", m+1)]
		if m > 0 {
			_, text, _ = strings.Cut(text, "\n")
		}
		whole.WriteString(text)
	}
	f.publish("whole", types, map[string]string{"": whole.String()})
	want := f.update("whole")
	if got.PartitionCount != months || got.RowCount != months*rows || *got.DuplicateRows != 0 {
		t.Errorf("%d files, %d rows, %d duplicates", got.PartitionCount, got.RowCount, *got.DuplicateRows)
	}
	for i := range want.Columns {
		a, b := got.Columns[i], want.Columns[i]
		if a.Numbers != nil { // percentiles come from samples: of the parts, and of the whole
			if math.Abs(*a.Numbers.Median-*b.Numbers.Median) > 0.05*(*b.Numbers.StdDev) {
				t.Errorf("column %s: median %v in parts, %v as a whole", a.Name, *a.Numbers.Median, *b.Numbers.Median)
			}
			a.Numbers.Median, a.Numbers.P5, a.Numbers.P25, a.Numbers.P75, a.Numbers.P95, a.Numbers.Histogram = b.Numbers.Median, b.Numbers.P5, b.Numbers.P25, b.Numbers.P75, b.Numbers.P95, b.Numbers.Histogram
		}
		a.Approximate, b.Approximate = nil, nil
		if a.Name == "note" { // nearly unique: counted in one file, estimated in many
			if math.Abs(float64(a.Unique-b.Unique)) > 0.03*float64(b.Unique) {
				t.Errorf("%d distinct notes, want about %d", a.Unique, b.Unique)
			}
			a.Unique, a.UniquePct, a.Alerts, b.Alerts = b.Unique, b.UniquePct, nil, nil
		}
		if x, y := asJSON(t, a), asJSON(t, b); x != y {
			t.Errorf("column %s:\nin parts   %s\nas a whole %s", a.Name, x, y)
		}
	}
	if x, y := asJSON(t, got.SampleRows), asJSON(t, want.SampleRows); x != y {
		t.Errorf("sample rows %s, %s", x, y)
	}
}

func TestTheSameProfileWhateverTheWorkers(t *testing.T) {
	f := setUp(t, store.Table{Name: "t"})
	f.publish("t", nil, map[string]string{"": randomTable(3, 6_000)})
	files, err := f.store.TableFiles(context.Background(), f.tables[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for workers := 1; workers <= 8; workers += 2 {
		p := f.profiler(workers)
		schema, err := p.schema(files)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := p.readPart(context.Background(), files, schema, nil, 0.1)
		if err != nil {
			t.Fatal(err)
		}
		got := []byte(asJSON(t, p.summarize(f.tables[0], files, whole)))
		if want == nil {
			want = got
		} else if !bytes.Equal(want, got) {
			t.Fatalf("%d workers make another profile:\n%s\n%s", workers, want, got)
		}
	}
}

func TestSensitiveValuesAreNowhere(t *testing.T) {
	secret := []store.ColumnDoc{{Name: "mail", Sensitive: true}, {Name: "born", Sensitive: true}, {Name: "salary", Sensitive: true}, {Name: "vip", Sensitive: true}}
	f := setUp(t, store.Table{Name: "people", Definition: store.Definition{Columns: secret}})
	content := map[string]string{}
	for _, part := range []string{"a", "b"} {
		content[part] = "id,mail,born,salary,vip\n1,canary@example.com,1987-06-05,123454321,true\n2,canary@example.com,1987-06-05,123454321,true\n3,canary@example.com,1987-06-05,123454321,true\n"
	}
	f.publish("people", nil, content)
	p := f.update("people")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(filepath.Join(f.data, "aida.db"))
	if err != nil {
		t.Fatal(err)
	}
	text := asJSON(t, p)
	for _, canary := range []string{"canary", "1987", "123454321"} {
		if strings.Contains(text, canary) || bytes.Contains(database, []byte(canary)) {
			t.Errorf("%s can be read", canary)
		}
	}
	m := column(t, p, "mail")
	if !m.Sensitive || m.Unique != 1 || m.Nulls != 0 || m.Texts != nil || len(m.SampleValues) != 0 || p.SampleRows[0]["mail"] != store.HiddenValue || p.SampleRows[0]["id"] != "1" || p.DateRange != nil {
		t.Errorf("the profile is %s", text)
	}
}

func TestColumnsThatBecomeSensitiveAreHiddenAtOnce(t *testing.T) {
	f := setUp(t, store.Table{Name: "people"})
	f.publish("people", nil, map[string]string{"": "id,mail,day\n1,canary@example.com,2024-01-01\n2,canary@example.com,2024-01-02\n3,,\n"})
	if p := f.update("people"); !strings.Contains(asJSON(t, p), "canary") {
		t.Fatal("the value is not there to begin with")
	}
	f.describe(store.Table{Name: "people", Definition: store.Definition{Columns: []store.ColumnDoc{{Name: "mail", Sensitive: true}, {Name: "day", Sensitive: true}}}})
	text := asJSON(t, f.profile("people"))
	if strings.Contains(text, "canary") || strings.Contains(text, "2024-01") || !strings.Contains(text, `"mail":"(hidden)"`) {
		t.Errorf("values are told: %s", text)
	}
}

func TestATableThatCannotBeReadKeepsItsProfileAsStale(t *testing.T) {
	f := setUp(t, store.Table{Name: "a"}, store.Table{Name: "b"})
	f.publish("a", nil, map[string]string{"": "v\n1\n"})
	f.publish("b", nil, map[string]string{"": "v\n1\n"})
	f.update("a")
	f.publish("a", nil, map[string]string{"": "v\n2\n"})
	f.publish("b", nil, map[string]string{"": "v\n2\n"})
	files, err := f.store.TableFiles(context.Background(), f.tables[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.data, "lake", files[0].Physical)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, files[0].Size), 0o600); err != nil {
		t.Fatal(err)
	}
	err = f.profiler(1).Update(context.Background(), f.tables)
	if err == nil || !strings.Contains(err.Error(), "profile of table shop.a") {
		t.Fatalf("got %v", err)
	}
	if a, b := f.profile("a"), f.profile("b"); !a.Stale || a.Columns[0].Numbers.Min != "1" || b.Stale || b.Columns[0].Numbers.Min != "2" {
		t.Errorf("a is %s\nb is %s", asJSON(t, a), asJSON(t, b))
	}
}
