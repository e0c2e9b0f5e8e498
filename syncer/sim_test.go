package syncer_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// simulated is a source with change times: a table of rows by key in memory, which can be asked for a window of changes and
// for its keys, and which fails when a test says so.
type simulated struct {
	now     time.Time
	columns []columnar.Column
	rows    map[string]simRow
	version int
	fail    func(r source.Request) error
	asked   []source.Window
	keys    int // how often keys were listed
	twoKeys bool
	step    func() error // called at each thing that the source does
}

type simRow struct {
	cells   []string // "" = null
	changed time.Time
}

func newSimulated(columns ...string) *simulated {
	s := &simulated{now: time.Now().UTC().Add(-time.Hour), rows: map[string]simRow{}}
	s.retype(columns...)
	return s
}

// retype gives the table other columns; each is written as "name type".
func (s *simulated) retype(columns ...string) {
	s.columns = nil
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		t, err := columnar.ParseType(kind)
		if err != nil {
			panic(err)
		}
		s.columns = append(s.columns, columnar.Column{Name: name, Type: t})
	}
	s.version++
}

func (s *simulated) set(cells ...string) { s.setAt(s.now, cells...) }

// key is what tells rows apart.
func (s *simulated) key(cells []string) string {
	if s.twoKeys {
		return cells[0] + "|" + cells[1]
	}
	return cells[0]
}

func (s *simulated) stepped() error {
	if s.step == nil {
		return nil
	}
	return s.step()
}

func (s *simulated) setAt(at time.Time, cells ...string) {
	s.rows[s.key(cells)] = simRow{cells, at}
	s.version++
}

func (s *simulated) remove(key string) {
	delete(s.rows, key)
	s.version++
}

func (s *simulated) Name() string                  { return "sim" }
func (s *simulated) CanWindow(datadoc.Table) error { return nil }

func (s *simulated) Fetch(_ context.Context, r source.Request) (*source.Result, error) {
	s.asked = append(s.asked, r.Window)
	if err := s.stepped(); err != nil {
		return nil, err
	}
	if s.fail != nil {
		if err := s.fail(r); err != nil {
			return nil, err
		}
	}
	res := &source.Result{Fingerprint: fmt.Sprintf("v%d", s.version), DataTime: s.now, Size: -1}
	if r.Known == res.Fingerprint {
		return res, nil
	}
	res.Data = s.data(s.columns, r.Window)
	return res, nil
}

func (s *simulated) Keys(_ context.Context, r source.Request) (*source.Result, error) {
	s.keys++
	if err := s.stepped(); err != nil {
		return nil, err
	}
	return &source.Result{Fingerprint: "keys", DataTime: s.now, Size: -1, Data: s.data(s.columns[:len(r.Table.PrimaryKey)], source.Window{})}, nil
}

func (s *simulated) data(columns []columnar.Column, w source.Window) source.Data {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	var header []string
	for _, c := range columns {
		header = append(header, c.Name)
	}
	_ = out.Write(header)
	rows := slices.SortedFunc(maps.Values(s.rows), func(a, b simRow) int {
		return cmp.Or(a.changed.Compare(b.changed), cmp.Compare(a.cells[0], b.cells[0]))
	})
	for _, r := range rows {
		if !w.Since.IsZero() && r.changed.Before(w.Since) || !w.Until.IsZero() && !r.changed.Before(w.Until) {
			continue
		}
		_ = out.Write(r.cells[:len(columns)])
	}
	out.Flush()
	text := b.String()
	return &simData{s: s, csv: columnar.CSV{Table: "sales.sim", Declared: columns, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"', Header: true},
		Inputs: []columnar.Input{{Name: "sim", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}}}}
}

type simData struct {
	s   *simulated
	csv columnar.CSV
}

func (d *simData) WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	if err := d.s.stepped(); err != nil {
		return nil, err
	}
	o.BlockSize = 2048
	return d.csv.WriteParquet(ctx, w, o)
}
func (d *simData) Settled(context.Context) error { return d.s.stepped() }
func (d *simData) Close() error                  { return nil }

// simHouse is a data folder with one table of a simulated source. keys are further keys of its description.
func simHouse(t *testing.T, s source.Source, keys string) *house {
	t.Helper()
	h := &house{t: t, data: t.TempDir(), in: t.TempDir()}
	h.openSim(s, keys)
	return h
}

// openSim opens the store and the lake as a new process does.
func (h *house) openSim(s source.Source, keys string) {
	h.t.Helper()
	if h.store != nil {
		h.lake.Close()
		h.store.Close()
	}
	var err error
	if h.store, err = store.Open(h.t.Context(), store.Options{Path: filepath.Join(h.data, "aida.db")}); err != nil {
		h.t.Fatal(err)
	}
	if h.lake, err = lake.Open(lake.Options{Data: h.data, Store: h.store, Keep: time.Hour, KeepCount: 3, Trace: h.trace}); err != nil {
		h.t.Fatal(err)
	}
	st, lk := h.store, h.lake
	h.t.Cleanup(func() { lk.Close(); st.Close() })
	if _, err := h.lake.Clean(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	doc, err := datadoc.Parse("d.md", []byte("```yaml\ntables:\n  - {id: s.sim, name: sim, description: Sim, folder: sales, source: sim, "+keys+"}\n```\n"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.sync = syncer.New(syncer.Options{Data: h.data, Store: h.store, Lake: h.lake, Tables: doc.Tables, PartRows: 100, HeldRows: h.held, Workers: 2,
		Sources: map[string]source.Source{"sim": s}})
}

// content gives all rows of the published table, sorted, with cells joined by "|", and its files with their number of rows.
func (h *house) content() (rows, files []string) {
	h.t.Helper()
	snap, err := h.store.Newest(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if bad := h.lake.Verify(h.t.Context(), snap.Files); len(bad) > 0 {
		h.t.Error(bad)
	}
	var schema []store.Column
	for i, f := range snap.Files {
		files = append(files, fmt.Sprintf("%s:%d", strings.TrimSuffix(strings.TrimPrefix(f.Logical, "sales/"), ".parquet"), f.Rows))
		if i > 0 && !slices.Equal(schema, f.Schema) {
			h.t.Errorf("%s has columns %v, another file of the table %v", f.Logical, f.Schema, schema)
		}
		schema = f.Schema
		rows = append(rows, h.read(f)...)
	}
	slices.Sort(rows)
	return rows, files
}

func (h *house) read(f store.File) (out []string) {
	h.t.Helper()
	file, err := h.lake.Open(f)
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	r, err := columnar.OpenReader(file, f.Size)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(r.Schema().Columns) != len(f.Schema) {
		h.t.Errorf("%s has %d columns, the manifest says %d", f.Logical, len(r.Schema().Columns), len(f.Schema))
	}
	for g := 0; g < r.RowGroups(); {
		rows, next, err := columnar.ReadRows(context.Background(), r, g, r.Schema().Columns, 1, nil)
		if err != nil {
			h.t.Fatal(err)
		}
		for i := range rows.Len() {
			var cells []string
			for c := range rows.Columns() {
				v, _ := rows.Text(i, c)
				cells = append(cells, v)
			}
			out = append(out, strings.Join(cells, "|"))
		}
		g = next
	}
	return out
}

// wholeTable gives the columns and all rows of the published table.
func (h *house) wholeTable() (columns []store.Column, rows [][]string) {
	h.t.Helper()
	snap, err := h.store.Newest(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range snap.Files {
		columns = f.Schema
		for _, line := range h.read(f) {
			rows = append(rows, strings.Split(line, "|"))
		}
	}
	h.content() // which checks the files
	return columns, rows
}

// wants compares the published table with what the source has.
func (h *house) wants(s *simulated) {
	h.t.Helper()
	var want []string
	for _, r := range s.rows {
		want = append(want, strings.Join(r.cells[:len(s.columns)], "|"))
	}
	slices.Sort(want)
	if got, files := h.content(); !slices.Equal(got, want) {
		h.t.Fatalf("the table is not what its source is:\n got %d rows %.1000q\nwant %d rows %.1000q\nfiles %v", len(got), got, len(want), want, files)
	}
}

func (h *house) okay(r syncer.Request) store.RunTable {
	h.t.Helper()
	report := h.run(r)
	if len(report.Tables) != 1 || report.Tables[0].Outcome == store.Failed {
		h.t.Fatalf("%+v", report)
	}
	return report.Tables[0]
}

func (h *house) fails(words string) store.RunTable {
	h.t.Helper()
	report := h.run(syncer.Request{})
	if row := report.Tables[0]; row.Outcome != store.Failed || !strings.Contains(row.Reason, words) {
		h.t.Errorf("%s %q, want a failure about %q", row.Outcome, row.Reason, words)
	}
	return report.Tables[0]
}

var errSim = errors.New("table sales.sim: the source is away")
