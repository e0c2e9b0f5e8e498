package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/columnar"
	"aida/syncer/csv"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// house is a data folder with tables that come from CSV files, and from a source that does what a test says.
type house struct {
	t     *testing.T
	data  string
	in    string
	store *store.Store
	lake  *lake.Lake
	sync  *syncer.Syncer
	odd   *oddSource
	trace func(lake.Op)
	held  int // rows looked at together; 0 = the usual number
}

const twoTables = `
  - {id: s.orders, name: orders, description: Orders, primary_key: id, sync_strategy: full_refresh, folder: sales, csv: {path: orders.csv}, columns: [{name: id, type: int64}]}
  - {id: s.items, name: items, description: Items, primary_key: id, sync_strategy: full_refresh, folder: sales, csv: {path: items.csv}}
`

const oddTable = `
  - {id: o.odd, name: odd, description: Odd, primary_key: id, sync_strategy: full_refresh, folder: sales, source: odd}
`

func newHouse(t *testing.T, tables string) *house {
	t.Helper()
	h := &house{t: t, data: t.TempDir(), in: t.TempDir(), odd: &oddSource{}}
	var err error
	if h.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(h.data, "aida.db")}); err != nil {
		t.Fatal(err)
	}
	if h.lake, err = lake.Open(lake.Options{Data: h.data, Store: h.store, Keep: time.Hour, KeepCount: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.lake.Close(); h.store.Close() })
	h.describe(tables)
	h.put("orders.csv", "id,v\n1,a\n2,b\n")
	h.put("items.csv", "id\n1\n")
	return h
}

// describe makes these the described tables, as a restart with another data_description.md does.
func (h *house) describe(tables string) {
	h.t.Helper()
	doc, err := datadoc.Parse("d.md", []byte("```yaml\ntables:\n"+tables+"```\n"))
	if err != nil {
		h.t.Fatal(err)
	}
	files, err := csv.New(csv.Options{Root: h.in})
	if err != nil {
		h.t.Fatal(err)
	}
	h.sync = syncer.New(syncer.Options{Data: h.data, Store: h.store, Lake: h.lake, Default: "csv", Tables: doc.Tables,
		Sources: map[string]source.Source{"csv": files, "odd": h.odd}})
}

func (h *house) put(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.in, name), []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
}

// run syncs and wants a run as a whole to work; scratch must be empty afterwards.
func (h *house) run(r syncer.Request) *syncer.Report {
	h.t.Helper()
	report, err := h.sync.Sync(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.tidy()
	return report
}

func (h *house) tidy() {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.data, "scratch"))
	if err != nil || len(entries) > 0 {
		h.t.Errorf("scratch holds %v (%v)", entries, err)
	}
}

// outcomes gives table:outcome of a report, by table.
func outcomes(r *syncer.Report) string {
	var orders, items, odd string
	for _, t := range r.Tables {
		s := strings.TrimPrefix(t.Table, "sales.") + ":" + string(t.Outcome) + " "
		switch {
		case strings.HasPrefix(s, "orders"):
			orders = s
		case strings.HasPrefix(s, "items"):
			items = s
		default:
			odd += s
		}
	}
	return strings.TrimSpace(orders + items + odd)
}

func row(r *syncer.Report, table string) store.RunTable {
	for _, t := range r.Tables {
		if t.Table == table {
			return t
		}
	}
	return store.RunTable{}
}

// files gives the newest generation's files by logical path.
func (h *house) files() map[string]store.File {
	h.t.Helper()
	snap, err := h.store.Newest(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if bad := h.lake.Verify(h.t.Context(), snap.Files); len(bad) > 0 {
		h.t.Error(bad)
	}
	out := map[string]store.File{}
	for _, f := range snap.Files {
		out[f.Logical] = f
	}
	return out
}

func TestASecondSyncPublishesNothingAndKeepsEveryTime(t *testing.T) {
	h := newHouse(t, twoTables)
	first := h.run(syncer.Request{})
	if outcomes(first) != "orders:changed items:changed" || first.Generation != 1 || !first.Published || first.Outcome != store.Done {
		t.Fatalf("first: %+v", first)
	}
	before := h.files()
	check := func(name string, r *syncer.Report) {
		t.Helper()
		if outcomes(r) != "orders:unchanged items:unchanged" || r.Published || r.Generation != 1 && r.Generation != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if got := row(r, "sales.orders"); got.Rows != 2 || got.Bytes == 0 {
			t.Errorf("%s: the table's rows and bytes are told as %d and %d", name, got.Rows, got.Bytes)
		}
		for path, f := range h.files() {
			if b := before[path]; b.ID != f.ID || !b.ModTime.Equal(f.ModTime) || b.Physical != f.Physical {
				t.Errorf("%s: %s is another file", name, path)
			}
		}
	}
	check("again", h.run(syncer.Request{}))
	check("in full", h.run(syncer.Request{Full: true}))
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(h.in, "orders.csv"), later, later); err != nil {
		t.Fatal(err)
	}
	check("touched", h.run(syncer.Request{}))
	h.put("orders.csv", "id,v\n1,a\n2,b\n")
	check("written anew", h.run(syncer.Request{}))
	check("after that", h.run(syncer.Request{}))
}

func TestAChangedRowChangesThatFileOnly(t *testing.T) {
	h := newHouse(t, twoTables)
	h.run(syncer.Request{})
	before := h.files()
	h.put("orders.csv", "id,v\n1,a\n2,c\n")
	r := h.run(syncer.Request{})
	if outcomes(r) != "orders:changed items:unchanged" || r.Generation != 2 {
		t.Errorf("got %+v", r)
	}
	after := h.files()
	if a, b := after["sales/items.parquet"], before["sales/items.parquet"]; a.ID != b.ID || !a.ModTime.Equal(b.ModTime) {
		t.Error("the table that did not change has another file")
	}
	a, b := after["sales/orders.parquet"], before["sales/orders.parquet"]
	if a.Hash == b.Hash || a.ModTime.Sub(b.ModTime) < time.Second {
		t.Errorf("the changed file: %+v, before %+v", a, b)
	}
}

func TestAFailingTableLeavesTheOthersAndItsOwnOldState(t *testing.T) {
	h := newHouse(t, twoTables)
	h.run(syncer.Request{})
	before := h.files()
	synced := h.table("orders")
	h.put("orders.csv", "id,v\n1,a\nx,b\n")
	h.put("items.csv", "id\n1\n2\n")
	r := h.run(syncer.Request{Trigger: "schedule"})
	if outcomes(r) != "orders:failed items:changed" || r.Outcome != store.Partial {
		t.Errorf("got %+v", r)
	}
	if reason := row(r, "sales.orders").Reason; !strings.Contains(reason, `orders.csv:3: column id (1): "x" is not a int64`) {
		t.Errorf("reason %q", reason)
	}
	after := h.files()
	if after["sales/orders.parquet"].ID != before["sales/orders.parquet"].ID || after["sales/items.parquet"].Rows != 2 {
		t.Errorf("files %+v", after)
	}
	if now := h.table("orders"); now.SyncedAt != synced.SyncedAt || now.DataTime != synced.DataTime || now.Fingerprint != synced.Fingerprint {
		t.Errorf("the failed table is told as synced: %+v, before %+v", now, synced)
	}
	last, err := h.store.LastRuns(t.Context())
	if err != nil || last[synced.ID].Outcome != store.Failed || last[h.table("items").ID].Outcome != store.Changed {
		t.Errorf("recorded: %+v, %v", last, err)
	}
	h.put("orders.csv", "id,v\n1,a\n3,b\n")
	if r := h.run(syncer.Request{}); outcomes(r) != "orders:changed items:unchanged" || r.Outcome != store.Done {
		t.Errorf("after the repair: %+v", r)
	}
	for _, name := range []string{"orders.csv", "items.csv"} {
		if err := os.Remove(filepath.Join(h.in, name)); err != nil {
			t.Fatal(err)
		}
	}
	if r := h.run(syncer.Request{}); outcomes(r) != "orders:failed items:failed" || r.Outcome != store.Failed || len(h.files()) != 2 {
		t.Errorf("all failed: %+v", r)
	}
}

func (h *house) table(name string) store.Table {
	h.t.Helper()
	table, err := h.store.TableByName(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return table
}

func TestChosenTablesAloneAreSynced(t *testing.T) {
	h := newHouse(t, twoTables)
	if r := h.run(syncer.Request{Tables: []string{"sales.items", "items", "s.items"}}); outcomes(r) != "items:changed" || len(h.files()) != 1 {
		t.Errorf("got %+v", r)
	}
	_, err := h.sync.Sync(t.Context(), syncer.Request{Tables: []string{"items", "nosuch", "neither"}})
	if err == nil || !strings.Contains(err.Error(), "nosuch") || !strings.Contains(err.Error(), "neither") {
		t.Errorf("unknown tables: %v", err)
	}
	if runs, err := h.store.Runs(t.Context(), 10); err != nil || len(runs) != 1 {
		t.Errorf("a run of unknown tables was recorded: %+v, %v", runs, err)
	}
}

func TestATableThatIsNoLongerDescribedLeaves(t *testing.T) {
	h := newHouse(t, twoTables)
	h.run(syncer.Request{})
	lines := strings.SplitAfter(twoTables, "\n")
	h.describe(lines[1])
	if r := h.run(syncer.Request{}); !r.Published || outcomes(r) != "orders:unchanged" || len(h.files()) != 1 {
		t.Errorf("got %+v, files %v", r, h.files())
	}
	h.describe(twoTables)
	if r := h.run(syncer.Request{}); outcomes(r) != "orders:unchanged items:changed" || len(h.files()) != 2 {
		t.Errorf("described again: %+v", r)
	}
}

func TestQuarantineIsCountedKeptAndTakenAwayWhenItIsOver(t *testing.T) {
	h := newHouse(t, strings.Replace(twoTables, "csv: {path: orders.csv}", "on_bad_row: quarantine, csv: {path: orders.csv}", 1))
	h.put("orders.csv", "id,v\n1,a\nx,b\ny,c\n")
	r := h.run(syncer.Request{})
	got := row(r, "sales.orders")
	side := filepath.Join(h.data, "quarantine", "sales.orders.csv")
	if got.Quarantined != 2 || got.Rows != 1 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], side) {
		t.Errorf("got %+v", got)
	}
	if text, err := os.ReadFile(side); err != nil || !strings.Contains(string(text), "orders.csv,3,id,is not a int64,x,\"x,b\"") {
		t.Errorf("side file %q, %v", text, err)
	}
	h.put("orders.csv", "id,v\n1,a\n2,b\n")
	if got := row(h.run(syncer.Request{}), "sales.orders"); got.Quarantined != 0 || got.Rows != 2 {
		t.Errorf("after the repair: %+v", got)
	}
	if _, err := os.Stat(side); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the side file of rows that are in the table now is still there (%v)", err)
	}
}

func TestADryRunTellsAndChangesNothing(t *testing.T) {
	h := newHouse(t, twoTables)
	h.run(syncer.Request{})
	if r := h.run(syncer.Request{DryRun: true}); outcomes(r) != "orders:unchanged items:unchanged" || row(r, "sales.orders").Rows == 0 || row(r, "sales.orders").Bytes == 0 {
		t.Errorf("without news: %+v", r)
	}
	h.put("orders.csv", "id,v\n9,z\n")
	if err := os.Remove(filepath.Join(h.in, "items.csv")); err != nil {
		t.Fatal(err)
	}
	before := h.files()
	r := h.run(syncer.Request{DryRun: true})
	if outcomes(r) != "orders:changed items:failed" || r.Outcome != store.Partial || r.Published || row(r, "sales.orders").Reason == "" {
		t.Errorf("got %+v", r)
	}
	for path, f := range h.files() {
		if before[path].ID != f.ID {
			t.Errorf("%s changed", path)
		}
	}
	if runs, err := h.store.Runs(t.Context(), 10); err != nil || len(runs) != 1 {
		t.Errorf("runs %+v, %v", runs, err)
	}
	if r := h.run(syncer.Request{}); row(r, "sales.orders").Outcome != store.Changed {
		t.Errorf("the sync after it: %+v", r)
	}
}

func TestOneSyncAtATime(t *testing.T) {
	h := newHouse(t, oddTable+twoTables)
	begun, let := make(chan struct{}), make(chan struct{})
	h.odd.fetch = func(ctx context.Context, r source.Request) (*source.Result, error) {
		close(begun)
		<-let
		return nil, errors.New("table sales.odd: enough")
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := h.sync.Sync(t.Context(), syncer.Request{}); err != nil {
			t.Error(err)
		}
	})
	<-begun
	if _, err := h.sync.Sync(t.Context(), syncer.Request{}); !errors.Is(err, syncer.ErrBusy) {
		t.Errorf("a second sync of the same Syncer: %v", err)
	}
	first := h.sync
	h.describe(twoTables)
	if _, err := h.sync.Sync(t.Context(), syncer.Request{}); !errors.Is(err, syncer.ErrBusy) {
		t.Errorf("a sync of another Syncer on the same folder: %v", err)
	}
	close(let)
	wait.Wait()
	h.sync = first
	h.odd.fetch = nil
	h.run(syncer.Request{Tables: []string{"orders"}})
}

func TestAnInterruptedRunPublishesNothingAndIsRecorded(t *testing.T) {
	h := newHouse(t, twoTables+oddTable)
	ctx, cancel := context.WithCancel(t.Context())
	h.odd.fetch = func(ctx context.Context, r source.Request) (*source.Result, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if _, err := h.sync.Sync(ctx, syncer.Request{}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing was published") {
		t.Errorf("got %v", err)
	}
	h.tidy()
	if len(h.files()) != 0 {
		t.Errorf("files %v", h.files())
	}
	runs, err := h.store.Runs(t.Context(), 10)
	if err != nil || len(runs) != 1 || runs[0].Outcome != store.Interrupted || runs[0].FinishedAt.IsZero() {
		t.Errorf("runs %+v, %v", runs, err)
	}
	// A process that was killed leaves its run open; the next one closes it.
	if _, err := h.store.StartRun(t.Context(), "killed", "gone"); err != nil {
		t.Fatal(err)
	}
	h.odd.fetch = nil
	h.run(syncer.Request{Tables: []string{"orders", "items"}})
	runs, err = h.store.Runs(t.Context(), 10)
	if err != nil || len(runs) != 3 || runs[1].Outcome != store.Interrupted || runs[0].Outcome != store.Done {
		t.Errorf("runs %+v, %v", runs, err)
	}
}

func TestWhatGoesWrongInAConnectorIsAFailureOfItsTable(t *testing.T) {
	for name, c := range map[string]struct {
		fetch func(context.Context, source.Request) (*source.Result, error)
		words string
	}{
		"it panics":                  {func(context.Context, source.Request) (*source.Result, error) { panic("ouch") }, "internal error"},
		"its data panics":            {answer(&oddData{write: func(columnar.Sink) error { panic("ouch") }}, 1), "internal error"},
		"it needs more than is free": {answer(&oddData{}, 1<<60), "MiB free"},
		"it cannot be read":          {answer(&oddData{write: func(columnar.Sink) error { return errors.New("table sales.odd: cut") }}, 1), "cut"},
		"it stops in the middle": {answer(&oddData{write: func(w columnar.Sink) error {
			_, err := w.Write([]byte("half"))
			return errors.Join(err, errors.New("table sales.odd: cut"))
		}}, 1), "cut"},
		"it changed meanwhile": {answer(&oddData{settled: errors.New("it moved")}, 1), "table sales.odd: it moved"},
		"it cannot be closed":  {answer(&oddData{close: errors.New("stuck")}, 1), "stuck"},
	} {
		h := newHouse(t, oddTable+twoTables)
		h.odd.fetch = c.fetch
		r := h.run(syncer.Request{})
		if outcomes(r) != "orders:changed items:changed odd:failed" || len(h.files()) != 2 {
			t.Errorf("%s: %+v", name, r)
		}
		if reason := row(r, "sales.odd").Reason; !strings.Contains(reason, c.words) || !strings.Contains(reason, "sales.odd") {
			t.Errorf("%s: reason %q", name, reason)
		}
	}
}

func TestATableOfASourceThatNobodyHas(t *testing.T) {
	h := newHouse(t, strings.Replace(oddTable, "source: odd", "source: fax", 1))
	if r := h.run(syncer.Request{}); !strings.Contains(row(r, "sales.odd").Reason, `no connector is named "fax"`) {
		t.Errorf("got %+v", r)
	}
}

func TestProgressIsToldOfEachTable(t *testing.T) {
	h := newHouse(t, twoTables)
	var p progress
	h.run(syncer.Request{Progress: &p})
	if got := strings.Join(p.told, " "); got != "start sales.items read sales.items start sales.orders read sales.orders done sales.items done sales.orders" {
		t.Errorf("told: %s", got)
	}
}

type progress struct{ told []string }

func (p *progress) Start(table string, size int64) {
	if size > 0 {
		p.told = append(p.told, "start "+table)
	}
}

func (p *progress) Advance(table string, bytes, rows int64) {
	if last := "read " + table; bytes > 0 && rows > 0 && p.told[len(p.told)-1] != last {
		p.told = append(p.told, last)
	}
}

func (p *progress) Done(t store.RunTable) { p.told = append(p.told, "done "+t.Table) }

// oddSource does what a test says.
type oddSource struct {
	fetch func(context.Context, source.Request) (*source.Result, error)
}

func (s *oddSource) Name() string { return "odd" }

func (s *oddSource) Fetch(ctx context.Context, r source.Request) (*source.Result, error) {
	if s.fetch == nil {
		return nil, fmt.Errorf("table %s: there is nothing", r.Table.FullName())
	}
	return s.fetch(ctx, r)
}

func answer(d *oddData, size int64) func(context.Context, source.Request) (*source.Result, error) {
	return func(context.Context, source.Request) (*source.Result, error) {
		return &source.Result{Data: d, Fingerprint: "odd", DataTime: time.Now(), Size: size}, nil
	}
}

type oddData struct {
	write          func(columnar.Sink) error
	settled, close error
}

func (d *oddData) WriteParquet(_ context.Context, w columnar.Sink, _ columnar.Options) (*columnar.Result, error) {
	if d.write != nil {
		if err := d.write(w); err != nil {
			return nil, err
		}
	}
	_, err := w.Write([]byte("x"))
	return &columnar.Result{Rows: 1, Bytes: 1}, err
}

func (d *oddData) Settled(context.Context) error { return d.settled }
func (d *oddData) Close() error                  { return d.close }
