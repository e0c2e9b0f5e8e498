package syncer_test

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/columnar"
	"aida/syncer/source"
)

// strategies are all that a description can ask for. A strategy's table must in the end hold what its source holds.
var strategies = map[string]string{
	"full refresh":                     "primary_key: id, sync_strategy: full_refresh, may_be_empty: true",
	"incremental":                      "primary_key: id, sync_strategy: incremental, reconcile_every: 1ns, may_be_empty: true",
	"incremental, window of 2 days":    "primary_key: id, sync_strategy: incremental, incremental_window_days: 2, reconcile_every: 1ns, may_be_empty: true",
	"incremental by month":             "primary_key: id, sync_strategy: incremental, reconcile_every: 1ns, may_be_empty: true, partition_by: at",
	"incremental, a key of two":        "primary_key: [id, kind], sync_strategy: incremental, reconcile_every: 1ns, may_be_empty: true",
	"incremental, marked deletes":      "primary_key: id, sync_strategy: incremental, delete_column: gone",
	"by year, marked deletes":          "primary_key: id, sync_strategy: incremental, delete_column: gone, partition_by: at, partition_granularity: year",
	"a key of two, marked deletes":     "primary_key: [id, kind], sync_strategy: incremental, delete_column: gone, partition_by: at",
	"loaded by chunks":                 "primary_key: id, sync_strategy: incremental, max_history_days: 3000, initial_load_chunk_days: 20, reconcile_every: 1ns, may_be_empty: true",
	"loaded by chunks into partitions": "primary_key: id, sync_strategy: incremental, max_history_days: 3000, initial_load_chunk_days: 20, delete_column: gone, partition_by: at, partition_granularity: year",
	"partitioned by day":               "primary_key: id, sync_strategy: partitioned, reconcile_every: 1ns, may_be_empty: true, partition_by: at, partition_granularity: day",
	"partitioned by value":             "primary_key: id, sync_strategy: partitioned, reconcile_every: 1ns, may_be_empty: true, partition_by: kind, partition_granularity: value",
	"partitioned, of a whole source":   "primary_key: id, sync_strategy: partitioned, may_be_empty: true, partition_by: at, whole: true",
	"incremental, of a whole source":   "primary_key: id, sync_strategy: incremental, reconcile_every: 1ns, may_be_empty: true, whole: true",
}

// TestEveryStrategyEndsWithWhatTheSourceHas does random things to a source and its syncs. AIDA_TORTURE makes it long (a
// number above 1 says how many rounds of each strategy), AIDA_SEED repeats one run.
func TestEveryStrategyEndsWithWhatTheSourceHas(t *testing.T) {
	rounds, seed := torture(t, 2, 100), seedOf(t)
	for name, keys := range strategies {
		t.Run(name, func(t *testing.T) {
			for i := range uint64(rounds) {
				t.Run("", func(t *testing.T) {
					defer func() {
						if t.Failed() {
							t.Logf("repeat it with AIDA_TORTURE=2 AIDA_SEED=%d -run '%s'", seed+i, strings.ReplaceAll(strings.Join(strings.Split(t.Name(), "/")[:2], "/"), " ", "_"))
						}
					}()
					keys, whole := strings.CutSuffix(keys, ", whole: true")
					newModel(t, keys, whole, rand.New(rand.NewPCG(seed+i, 7))).run()
				})
			}
		})
	}
}

// torture is how often a test repeats itself: short, or long under AIDA_TORTURE, or what AIDA_TORTURE says above 1.
func torture(t *testing.T, short, long int) int {
	s := os.Getenv("AIDA_TORTURE")
	if s == "" {
		return short
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("AIDA_TORTURE=%s is not a number", s)
	}
	if n > 1 {
		return n
	}
	return long
}

// seedOf is AIDA_SEED, or a new one, which a failure names.
func seedOf(t *testing.T) uint64 {
	s := os.Getenv("AIDA_SEED")
	if s == "" {
		return uint64(time.Now().UnixNano() % 1_000_000_000)
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("AIDA_SEED=%s is not a number", s)
	}
	return seed
}

// model is a source under random changes, and the syncs of its table.
type model struct {
	t       *testing.T
	h       *house
	s       *simulated
	r       *rand.Rand
	keys    string
	whole   bool // the source gives all rows each time
	marks   bool // it marks deleted rows, else they are gone
	twoKeys bool
	fresh   int // number of columns that were added
	renamed []string
	history []string // what was done, for a failure
}

func newModel(t *testing.T, keys string, whole bool, r *rand.Rand) *model {
	m := &model{t: t, s: newSimulated("id int64", "kind string", "at date", "gone bool", "n int64", "v string"), r: r, keys: keys, whole: whole,
		marks: strings.Contains(keys, "delete_column"), twoKeys: strings.Contains(keys, "[id, kind]")}
	m.s.twoKeys = m.twoKeys
	m.h = simHouse(t, m.source(), keys)
	if r.IntN(2) == 0 {
		m.h.held = 1 + r.IntN(150) // change sets need several rounds
		m.did("%d rows at a time", m.h.held)
		m.open()
	}
	return m
}

func (m *model) source() source.Source {
	if m.whole {
		return plainSource{m.s}
	}
	return m.s
}

func (m *model) did(format string, args ...any) {
	m.history = append(m.history, fmt.Sprintf(format, args...))
}

func (m *model) run() {
	defer func() {
		if m.t.Failed() {
			m.t.Logf("what was done:\n%s", strings.Join(m.history, "\n"))
		}
	}()
	m.insert(m.r.IntN(400), true)
	for range 8 {
		m.s.now = m.s.now.Add(time.Minute)
		for range m.r.IntN(5) {
			m.change()
		}
		m.trouble()
		m.sync()
		if m.t.Failed() {
			return
		}
	}
	m.did("a full load")
	m.h.okay(syncer.Request{Full: true})
	m.compare(true)
}

// change does one thing to the source.
func (m *model) change() {
	switch m.r.IntN(12) {
	case 0, 1, 2:
		m.insert(m.r.IntN(60), false)
	case 3, 4:
		m.update(m.r.IntN(60))
	case 5, 6:
		m.remove(m.r.IntN(30))
	case 7:
		m.late(m.r.IntN(20))
	case 8, 9:
		m.alter()
	case 10:
		if m.r.IntN(8) == 0 && !m.marks {
			m.did("all rows are gone")
			clear(m.s.rows)
			m.s.version++
		}
	case 11:
		m.did("the source was written anew")
		m.s.version++
	}
}

// insert puts in or replaces rows; old ones have changed at some time of the past years.
func (m *model) insert(n int, old bool) {
	m.did("%d rows came", n)
	for range n {
		at := m.s.now
		if old {
			at = at.AddDate(0, 0, -m.r.IntN(2000))
		}
		m.put(m.r.IntN(600), at, "false")
	}
}

func (m *model) update(n int) {
	m.did("%d rows changed", n)
	for _, row := range m.some(n) {
		id, _ := strconv.Atoi(row.cells[0])
		m.put(id, m.s.now, "false")
	}
}

// late rows have changed before the last sync and are seen only now.
func (m *model) late(n int) {
	m.did("%d rows came late", n)
	for range n {
		m.put(m.r.IntN(600), m.s.now.Add(-time.Duration(m.r.IntN(40))*time.Hour), "false")
	}
}

func (m *model) remove(n int) {
	m.did("%d rows were deleted", n)
	for _, row := range m.some(n) {
		if m.marks {
			cells := slices.Clone(row.cells)
			cells[3] = "true"
			m.s.setAt(m.s.now, cells...)
		} else {
			m.s.remove(m.s.key(row.cells))
		}
	}
}

func (m *model) some(n int) (out []simRow) {
	var keys []string
	for k := range m.s.rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for range min(n, len(keys)) {
		out = append(out, m.s.rows[keys[m.r.IntN(len(keys))]])
	}
	return out
}

var kinds = []string{"", "a", "Big one", "c/d"}

func (m *model) put(id int, at time.Time, gone string) {
	day := ""
	if m.r.IntN(8) > 0 {
		day = time.Date(2025, 11, 1+m.r.IntN(100), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	cells := []string{fmt.Sprint(id), kinds[m.r.IntN(4)], day, gone}
	for _, c := range m.s.columns[4:] {
		cells = append(cells, m.value(c.Type))
	}
	if old, ok := m.s.rows[m.s.key(cells)]; ok && old.changed.After(at) {
		return // a row's time of change never goes back
	}
	m.s.setAt(at, cells...)
}

func (m *model) value(t columnar.Type) string {
	if m.r.IntN(6) == 0 {
		return ""
	}
	switch t.Kind {
	case columnar.Int64:
		return fmt.Sprint(m.r.IntN(1000) - 500)
	case columnar.Decimal:
		return fmt.Sprintf("%d.%02d", m.r.IntN(1000), m.r.IntN(100))
	case columnar.Date:
		return time.Date(2020, 1, 1+m.r.IntN(3000), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	return fmt.Sprint("v", m.r.IntN(1000))
}

// alter changes the source's columns behind the first four, as databases do: an added one is null in all rows, a dropped
// one is gone from all, another type keeps the values, and none of it makes a row one that changed.
func (m *model) alter() {
	s := m.s
	at := 4 + m.r.IntN(max(1, len(s.columns)-4))
	switch m.r.IntN(4) {
	case 0:
		m.fresh++
		kind := []string{"int64", "string", "date", "decimal(12,2)"}[m.r.IntN(4)]
		t, err := columnar.ParseType(kind)
		if err != nil {
			m.t.Fatal(err)
		}
		to := 4 + m.r.IntN(len(s.columns)-3)
		s.columns = slices.Insert(slices.Clone(s.columns), to, columnar.Column{Name: fmt.Sprint("new", m.fresh), Type: t})
		m.cells(func(cells []string) []string { return slices.Insert(cells, to, "") })
		m.did("column %s (%s) was added", s.columns[to].Name, kind)
	case 1:
		if len(s.columns) > 5 {
			m.did("column %s was dropped", s.columns[at].Name)
			s.columns = slices.Delete(slices.Clone(s.columns), at, at+1)
			m.cells(func(cells []string) []string { return slices.Delete(cells, at, at+1) })
		}
	case 2:
		if at >= len(s.columns) {
			return
		}
		wider := map[columnar.Kind]string{columnar.Int64: []string{"decimal(12,2)", "string"}[m.r.IntN(2)], columnar.Decimal: "string", columnar.Date: "string"}[s.columns[at].Type.Kind]
		if wider == "" {
			return
		}
		t, err := columnar.ParseType(wider)
		if err != nil {
			m.t.Fatal(err)
		}
		s.columns = slices.Clone(s.columns)
		m.did("column %s became %s from %s", s.columns[at].Name, t, s.columns[at].Type)
		s.columns[at].Type = t
	case 3:
		if at >= len(s.columns) {
			return
		}
		m.fresh++
		s.columns = slices.Clone(s.columns)
		from, to := s.columns[at].Name, fmt.Sprint("other", m.fresh)
		s.columns[at].Name = to
		m.renamed = append(m.renamed, fmt.Sprintf("{name: %s, renamed_from: %s}", to, from))
		m.did("column %s was renamed to %s", from, to)
		m.open()
	}
	s.version++
}

func (m *model) cells(change func([]string) []string) {
	for k, row := range m.s.rows {
		m.s.rows[k] = simRow{change(slices.Clone(row.cells)), row.changed}
	}
}

// open is a new process, with a description that knows of renamed columns.
func (m *model) open() {
	keys := m.keys
	if len(m.renamed) > 0 {
		keys += ", columns: [" + strings.Join(m.renamed, ", ") + "]"
	}
	m.h.openSim(m.source(), keys)
}

// trouble is what may befall a sync.
func (m *model) trouble() {
	s, at := m.s, m.r.IntN(6)
	switch m.r.IntN(7) {
	case 0:
		m.did("the source fails after %d calls", at)
		s.step = func() error {
			if at--; at < 0 {
				return errSim
			}
			return nil
		}
		if report := m.h.run(syncer.Request{}); at < 0 && report.Tables[0].Outcome != store.Failed {
			m.t.Errorf("%+v", report)
		}
	case 1:
		ctx, cancel := context.WithCancel(m.t.Context())
		defer cancel()
		m.did("the sync is cut short after %d calls", at)
		s.step = func() error {
			if at--; at < 0 {
				cancel()
			}
			return nil
		}
		if _, err := m.h.sync.Sync(ctx, syncer.Request{}); err != nil && ctx.Err() == nil {
			m.t.Error(err)
		}
		m.h.tidy()
		if m.r.IntN(2) == 0 {
			m.open()
		}
	case 2:
		wait := time.Duration(m.r.IntN(40_000)) * time.Microsecond
		m.did("the sync is cut short after %s", wait)
		ctx, cancel := context.WithTimeout(m.t.Context(), wait)
		defer cancel()
		if _, err := m.h.sync.Sync(ctx, syncer.Request{}); err != nil && ctx.Err() == nil {
			m.t.Error(err)
		}
		m.h.tidy()
		m.open()
	case 3:
		m.did("a new process")
		m.open()
	case 4:
		snap, err := m.h.store.Newest(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		if len(snap.Files) == 0 {
			return
		}
		lost := snap.Files[m.r.IntN(len(snap.Files))]
		m.did("file %s is lost", lost.Logical)
		if err := os.Remove(filepath.Join(m.h.data, "lake", filepath.FromSlash(lost.Physical))); err != nil {
			m.t.Fatal(err)
		}
	case 5:
		if !m.whole && !strings.Contains(m.keys, "full_refresh") {
			since := s.now.AddDate(0, 0, -m.r.IntN(2000))
			m.did("a backfill since %s", since)
			m.h.okay(syncer.Request{Since: since, Until: since.AddDate(0, 0, 30)})
		}
	}
	s.step = nil
}

func (m *model) sync() {
	m.did("a sync")
	m.h.okay(syncer.Request{})
	m.compare(false)
}

// compare wants the published table to have the source's rows. Under the columns that the source no longer has, which stay in
// a table that is merged by key, anything may stand, unless it was loaded anew.
func (m *model) compare(loaded bool) {
	m.t.Helper()
	var want []string
	for _, row := range m.s.rows {
		if !m.marks || row.cells[3] != "true" {
			want = append(want, m.line(row.cells, m.s.columns))
		}
	}
	slices.Sort(want)
	columns, rows := m.h.wholeTable()
	var got []string
	for _, cells := range rows {
		var row []string
		for _, c := range m.s.columns {
			i := slices.IndexFunc(columns, func(x store.Column) bool { return x.Name == c.Name })
			if i < 0 {
				m.t.Fatalf("the table has no column %s: %v", c.Name, columns)
			}
			row = append(row, cells[i])
		}
		got = append(got, m.line(row, m.s.columns))
	}
	slices.Sort(got)
	if len(m.s.columns) != len(columns) && loaded {
		m.t.Errorf("the table has columns %v, the source %v", columns, m.s.columns)
	}
	if !slices.Equal(got, want) {
		_, files := m.h.content()
		m.t.Errorf("the table is not what its source is: %d rows, want %d, files %v\n%s", len(got), len(want), files, firstDifference(got, want))
	}
}

// line writes a row; a number is the same with other zeros behind the point.
func (m *model) line(cells []string, columns []columnar.Column) string {
	out := slices.Clone(cells)
	for i, c := range columns {
		if n, ok := new(big.Rat).SetString(out[i]); ok && c.Name != "id" {
			out[i] = n.RatString()
		}
	}
	return strings.Join(out, "|")
}

func firstDifference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return "missing " + want[i]
		case i >= len(want):
			return "too many: " + got[i]
		case got[i] != want[i]:
			return "got  " + got[i] + "\nwant " + want[i]
		}
	}
	return ""
}
