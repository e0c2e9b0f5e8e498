package query

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/lake"
)

// place is a lake with tables, and a person who reads them.
type place struct {
	t      testing.TB
	store  *store.Store
	lake   *lake.Lake
	dir    string
	engine *Engine
	access *store.Access
	opened atomic.Int64
}

// newPlace publishes CSV texts as tables, by folder.name. The folder hr is restricted.
func newPlace(t testing.TB, tables map[string]string, o Options) *place {
	t.Helper()
	ctx := t.Context()
	p := &place{t: t, dir: t.TempDir()}
	var err error
	if p.store, err = store.Open(ctx, store.Options{Path: filepath.Join(p.dir, "aida.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	if p.lake, err = lake.Open(lake.Options{Data: p.dir, Store: p.store}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.lake.Close() })
	var list []store.Table
	sets := map[string]store.Dataset{"hr": {Name: "hr", Access: store.RestrictedAccess}}
	for name := range tables {
		folder, short, _ := strings.Cut(name, ".")
		list = append(list, store.Table{SourceID: name, Name: short, Folder: folder, Dataset: folder})
		if folder != "hr" {
			sets[folder] = store.Dataset{Name: folder, Access: store.OpenAccess}
		}
	}
	var datasets []store.Dataset
	for _, d := range sets {
		datasets = append(datasets, d)
	}
	if err := p.store.SetCatalog(ctx, datasets, list); err != nil {
		t.Fatal(err)
	}
	known, err := p.store.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := p.lake.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	var changes []lake.Change
	for _, table := range known {
		staged, err := scratch.Stage("")
		if err != nil {
			t.Fatal(err)
		}
		text := tables[table.FullName()]
		c := columnar.CSV{Table: table.Name, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"', Header: true}, Declared: declared(text),
			Inputs: []columnar.Input{{Name: "in.csv", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}}}
		res, err := c.WriteParquet(ctx, staged, columnar.Options{BlockSize: 256 << 10})
		if err := errors.Join(err, staged.Finish()); err != nil {
			t.Fatal(err)
		}
		var schema []store.Column
		for _, c := range res.Schema.Columns {
			schema = append(schema, store.Column{Name: c.Name, Type: c.Type.String()})
		}
		changes = append(changes, lake.Change{Table: table, Files: []lake.Part{{Staged: staged, Rows: res.Rows, Schema: schema}}})
	}
	if _, err := p.lake.Publish(ctx, 0, "test", changes); err != nil {
		t.Fatal(err)
	}
	if err := scratch.Release(); err != nil {
		t.Fatal(err)
	}
	eva, err := p.store.AddUser(ctx, "test", store.NewUser{Name: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	if p.access, err = p.store.Access(ctx, eva.ID); err != nil {
		t.Fatal(err)
	}
	o.Open = func(f store.File) (File, error) { p.opened.Add(1); return p.lake.Open(f) }
	if p.engine, err = New(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// declared makes the column named amount an exact decimal.
func declared(text string) (out []columnar.Column) {
	header, _, _ := strings.Cut(text, "\n")
	if slices.Contains(strings.Split(header, ","), "amount") {
		out = append(out, columnar.Column{Name: "amount", Type: columnar.Type{Kind: columnar.Decimal, Precision: 18, Scale: 2}})
	}
	return out
}

func (p *place) query(sql string, args ...any) (*Result, error) {
	snap, err := p.store.Newest(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return p.engine.Query(p.t.Context(), Request{Snapshot: snap, Access: p.access, SQL: sql, Args: args})
}

func (p *place) rows(sql string, args ...any) string {
	p.t.Helper()
	res, err := p.query(sql, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return fmt.Sprint(res.Rows)
}

var small = map[string]string{
	"sales.orders": "id,amount,day,at,note,paid,ratio\n1,10.25,2026-01-05,2026-01-05 10:00:00,a,true,0.5\n2,20.00,2026-01-06,2026-01-06 00:00:00,,false,\n3,,2026-02-01,2026-02-01 23:59:59.5,\"b, c\",,-1e300\n",
	"sales.people": "id,name\n1,Eva\n2,Tom\n",
	"web.people":   "id,name\n9,Web\n",
	"hr.payroll":   "id,salary\n1,100\n",
}

func TestTypesComeAsTheirTextsAndNumbers(t *testing.T) {
	p := newPlace(t, small, Options{})
	if got, want := p.rows("SELECT * FROM orders"), "[[1 10.25 2026-01-05 2026-01-05 10:00:00 a 1 0.5] [2 20 2026-01-06 2026-01-06 00:00:00 <nil> 0 <nil>] [3 <nil> 2026-02-01 2026-02-01 23:59:59.5 b, c <nil> -1e+300]]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConditionsGiveWhatSQLiteWouldGive(t *testing.T) {
	p := newPlace(t, small, Options{})
	for sql, want := range map[string]string{
		"SELECT id FROM orders WHERE id > 1":                                              "[[2] [3]]",
		"SELECT id FROM orders WHERE id = '2'":                                            "[[2]]",
		"SELECT id FROM orders WHERE id >= 1.5":                                           "[[2] [3]]",
		"SELECT id FROM orders WHERE amount = 10.25":                                      "[[1]]",
		"SELECT id FROM orders WHERE amount > 10.2 AND amount < 10.3":                     "[[1]]",
		"SELECT id FROM orders WHERE amount IS NULL":                                      "[[3]]",
		"SELECT id FROM orders WHERE note IS NOT NULL":                                    "[[1] [3]]",
		"SELECT id FROM orders WHERE note = NULL":                                         "[]",
		"SELECT id FROM orders WHERE note IS NULL":                                        "[[2]]",
		"SELECT id FROM orders WHERE note = 'A' COLLATE NOCASE":                           "[[1]]",
		"SELECT id FROM orders WHERE note >= 'b'":                                         "[[3]]",
		"SELECT id FROM orders WHERE day > '2026-01-05'":                                  "[[2] [3]]",
		"SELECT id FROM orders WHERE day >= '2026-02'":                                    "[[3]]",
		"SELECT id FROM orders WHERE at <= '2026-01-06'":                                  "[[1]]",
		"SELECT id FROM orders WHERE at > '2026-01-06'":                                   "[[2] [3]]",
		"SELECT id FROM orders WHERE at = '2026-01-06 00:00:00'":                          "[[2]]",
		"SELECT id FROM orders WHERE at BETWEEN '2026-01-06' AND '2026-02-01 23:59:59.5'": "[[2] [3]]",
		"SELECT id FROM orders WHERE paid":                                                "[[1]]",
		"SELECT id FROM orders WHERE paid = 0":                                            "[[2]]",
		"SELECT id FROM orders WHERE ratio < 0":                                           "[[3]]",
		"SELECT id FROM orders WHERE id IN (3, 1) ORDER BY id":                            "[[1] [3]]",
		"SELECT id FROM orders WHERE note LIKE 'B%'":                                      "[[3]]",
		"SELECT id FROM orders WHERE id IS 2":                                             "[[2]]",
		"SELECT id FROM orders WHERE 2 < id":                                              "[[3]]",
		"SELECT id FROM orders WHERE id > 'x'":                                            "[]",
		"SELECT id FROM orders WHERE note > 5":                                            "[[1] [3]]",
		"SELECT id FROM orders WHERE day = 20458":                                         "[]",
		"SELECT count(*), sum(amount), min(day), max(at) FROM orders":                     "[[3 30.25 2026-01-05 2026-02-01 23:59:59.5]]",
		"SELECT strftime('%m', day), count(*) FROM orders GROUP BY 1":                     "[[01 2] [02 1]]",
		"SELECT o.id, p.name FROM orders o JOIN sales.people p USING (id) ORDER BY 1":     "[[1 Eva] [2 Tom]]",
		"SELECT name FROM web.people":                                                     "[[Web]]",
		"WITH x AS (SELECT max(id) m FROM orders) SELECT m + 1 FROM x":                    "[[4]]",
		"VALUES (1), (2)": "[[1] [2]]",
		"SELECT (SELECT count(*) FROM orders b WHERE b.id < a.id) FROM orders a": "[[0] [1] [2]]",
		"/* words */ SELECT 'a;b' -- and more\n;  -- the end":                    "[[a;b]]",
	} {
		if got := p.rows(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := p.rows("SELECT id FROM orders WHERE id > ?1 AND note = ?2", 1, "b, c"); got != "[[3]]" {
		t.Errorf("arguments: %s", got)
	}
}

func TestOnlyOneSelectIsPossible(t *testing.T) {
	p := newPlace(t, small, Options{})
	file := filepath.Join(p.dir, "stolen.db")
	for _, sql := range []string{
		"", "  -- nothing", "DELETE FROM orders", "ATTACH '" + file + "' AS x", "VACUUM INTO '" + file + "'", "PRAGMA query_only = 0", "SELECT 1; SELECT 2",
		"SELECT 1; ATTACH '" + file + "' AS x", "SELECT ';' ; VACUUM INTO '" + file + "'", "WITH x AS (SELECT 1) DELETE FROM orders", "WITH x AS (SELECT 1) INSERT INTO orders (id) SELECT 1",
		"SELECT load_extension('/tmp/x')", "CREATE TABLE x (y)", "SELECT 1 /* open; ATTACH", "SELECT \x00 1", "EXPLAIN DELETE FROM orders; DROP TABLE orders", "select zeroblob(100000000)",
	} {
		res, err := p.query(sql)
		if strings.HasPrefix(sql, "SELECT 1 /*") { // a comment that is not closed goes to the end
			if err != nil {
				t.Errorf("%s: %v", sql, err)
			}
			continue
		}
		var fault *Error
		if err == nil || !errors.As(err, &fault) || fault.Message == "" || strings.Contains(fault.Message, p.dir) && !strings.Contains(sql, p.dir) {
			t.Errorf("%s: %v %v", sql, res, err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
	if got := p.rows("SELECT count(*) FROM orders"); got != "[[3]]" {
		t.Errorf("%s", got)
	}
}

func TestWhatAPersonMayNotReadIsNotThere(t *testing.T) {
	p := newPlace(t, small, Options{})
	for _, sql := range []string{"SELECT * FROM payroll", "SELECT * FROM hr.payroll", `SELECT * FROM "hr.payroll"`, "SELECT * FROM people"} {
		_, err := p.query(sql)
		if err == nil || !strings.Contains(err.Error(), "no such table") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if got := p.rows("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' -- payroll people orders"); got != "[[orders]]" {
		t.Errorf("%s", got)
	}
}

func TestANameThatIsNotEnoughIsExplained(t *testing.T) {
	p := newPlace(t, map[string]string{"sales.orders": "id\n1\n", "web.orders": "id\n1\n", "hr.orders": "id\n1\n", "sales.items": "id\n1\n"}, Options{})
	for sql, want := range map[string]string{
		"SELECT * FROM orders":        "no such table: orders: 2 tables have this name, write sales.orders or web.orders",
		`SELECT * FROM "sales.items"`: `no such table: sales.items: write "sales"."items", as folder and name are two words to SQL`,
		"SELECT * FROM item":          "no such table: item: it does not exist, or you may not read it; the catalog has the names",
	} {
		if _, err := p.query(sql); err == nil || err.Error() != want {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestAQueryIsBounded(t *testing.T) {
	p := newPlace(t, small, Options{Timeout: 300 * time.Millisecond, MaxRows: 2})
	res, err := p.query("SELECT id FROM orders")
	if err != nil || len(res.Rows) != 2 || !res.Truncated {
		t.Errorf("%v %v", res, err)
	}
	begin := time.Now()
	_, err = p.query("WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x, orders")
	if err == nil || !strings.Contains(err.Error(), "longer than") || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	snap, _ := p.store.Newest(t.Context())
	if _, err := p.engine.Query(ctx, Request{Snapshot: snap, Access: p.access, SQL: "SELECT 1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestADamagedFileIsAFailureOfThePlaceNotOfTheQuery(t *testing.T) {
	p := newPlace(t, small, Options{})
	snap, err := p.store.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, _ := snap.Find("sales/orders.parquet")
	path := filepath.Join(p.dir, "lake", f.Physical)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, int(f.Size)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = p.query("SELECT sum(amount) FROM orders")
	var fault *Error
	if err == nil || errors.As(err, &fault) || !strings.Contains(err.Error(), "sales.orders") {
		t.Errorf("%v", err)
	}
}

// big makes a table whose ids grow, so that row groups can be left out.
func big(rows int) string {
	var b strings.Builder
	b.WriteString("id,amount,kind,day,note\n")
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		note := "n" + strconv.Itoa(i*7919%1000)
		if i%11 == 0 {
			note = ""
		}
		fmt.Fprintf(&b, "%d,%d.%02d,%s,%s,%s\n", i, i%977, i%100, []string{"web", "app", "phone"}[i%3], day.AddDate(0, 0, i*300/rows).Format(time.DateOnly), note)
	}
	return b.String()
}

func TestDuckDBGivesTheSameAnswers(t *testing.T) {
	duck := os.Getenv("AIDA_DUCKDB")
	if duck == "" {
		t.Skip("AIDA_DUCKDB is not set: make duckdb")
	}
	p := newPlace(t, map[string]string{"sales.orders": big(60_000)}, Options{})
	snap, err := p.store.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.dir, "lake", snap.Files[0].Physical)
	for _, sql := range []string{
		"SELECT count(*), sum(id), min(note), max(note) FROM orders",
		"SELECT count(*), sum(amount) FROM orders WHERE id BETWEEN 20000 AND 20100",
		"SELECT kind, count(*), sum(amount), avg(amount) FROM orders WHERE day >= '2026-06-01' GROUP BY kind ORDER BY kind",
		"SELECT count(*) FROM orders WHERE note IS NULL",
		"SELECT count(*), count(DISTINCT note) FROM orders WHERE note > 'n5' AND kind <> 'web'",
		"SELECT a.kind, count(*) FROM orders a JOIN orders b ON a.id = b.id + 1 WHERE a.id < 5000 GROUP BY 1 ORDER BY 1",
		"SELECT id, amount FROM orders WHERE amount > 976 ORDER BY amount DESC, id LIMIT 5",
		"SELECT id FROM orders WHERE id = 59999 OR id = 0 ORDER BY 1",
		"SELECT min(id), max(id) FROM orders WHERE day = '2026-03-01'",
	} {
		ours, err := p.query(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		out, err := exec.Command(duck, strings.NewReplacer("FROM orders", "FROM '"+file+"'", "JOIN orders", "JOIN '"+file+"'").Replace(sql)).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", sql, err, out)
		}
		theirs, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(theirs) != len(ours.Rows) {
			t.Errorf("%s:\nours   %v\ntheirs %v", sql, ours.Rows, theirs)
			continue
		}
		for i := range theirs {
			for k, want := range theirs[i] {
				if got := fmt.Sprint(ours.Rows[i][k]); got != want && !close9(got, want) {
					t.Errorf("%s: row %d: %s, DuckDB has %s", sql, i, got, want)
				}
			}
		}
	}
}

func close9(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y))
}

func TestFilesOfTablesThatAreNotMeantStayClosed(t *testing.T) {
	p := newPlace(t, small, Options{})
	p.rows("SELECT count(*) FROM sales.people")
	if n := p.opened.Load(); n != 1 {
		t.Errorf("%d files were opened", n)
	}
}

func TestAResultIsJSON(t *testing.T) {
	p := newPlace(t, small, Options{})
	res, err := p.query("SELECT id, note AS n FROM orders WHERE id < 3")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(res)
	if err != nil || string(text) != `{"columns":["id","n"],"rows":[[1,"a"],[2,null]],"truncated":false}` {
		t.Errorf("%s %v", text, err)
	}
}

func FuzzStatement(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT 1;", "select ';'; drop", "--", "/*", "'", "WITH x AS (SELECT 1) SELECT * FROM x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := statement(s)
		if err != nil {
			return
		}
		rest := text
		for rest != "" { // what is let through has no second statement
			n, kind := token(rest)
			if kind == other && rest[0] == ';' {
				t.Fatalf("%q holds two statements", text)
			}
			rest = rest[n:]
		}
	})
}

// Joins look a table up for each row of another; that must not read it each time.
func TestJoinsReadEachTableAFewTimes(t *testing.T) {
	p := newPlace(t, map[string]string{"sales.orders": big(20_000), "sales.kinds": "kind,label,n\nweb,Web,0\napp,App,\nphone,,-0\n"}, Options{})
	if got := p.rows("SELECT count(*), sum(a.id - b.id) FROM orders a JOIN orders b ON b.id = a.id + 1"); got != "[[19999 -19999]]" {
		t.Errorf("%s", got)
	}
	if got := p.rows("SELECT k.label, count(*) FROM orders o CROSS JOIN kinds k ON k.kind = o.kind GROUP BY 1 ORDER BY 1"); got != "[[<nil> 6666] [App 6667] [Web 6667]]" {
		t.Errorf("%s", got)
	}
	if got := p.rows("SELECT count(*) FROM orders o CROSS JOIN kinds k ON k.n = o.id % 3 * 1.0"); got != "[[13334]]" {
		t.Errorf("whole and other numbers: %s", got)
	}
	if got := p.rows("SELECT count(*) FROM orders o CROSS JOIN kinds k ON k.n = CAST(o.id % 2 AS TEXT)"); got != "[[20000]]" {
		t.Errorf("numbers as text: %s", got)
	}
	if got := p.rows("SELECT count(*) FROM orders o LEFT JOIN kinds k ON k.label = nullif(o.kind, 'web')"); got != "[[20000]]" {
		t.Errorf("null: %s", got)
	}
	if n := p.opened.Load(); n > 40 {
		t.Errorf("%d files were opened", n)
	}
}
