package syncer_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/source"
)

// The tests of this file are measurements: each tries once what is large and prints a line of a table. `make bench-scale`
// runs them.

func scale(t *testing.T) {
	t.Helper()
	if os.Getenv("AIDA_BENCH_SCALE") == "" {
		t.Skip("run make bench-scale")
	}
}

func printed(t *testing.T, what, format string, args ...any) {
	t.Helper()
	t.Logf("%-58s %s", what, fmt.Sprintf(format, args...))
}

func took(begun time.Time) time.Duration { return time.Since(begun).Round(100 * time.Microsecond) }

// TestScaleACycleWithoutNewsCostsByTables syncs tables of which nothing changed.
func TestScaleACycleWithoutNewsCostsByTables(t *testing.T) {
	scale(t)
	for _, c := range []struct{ tables, rows, generations int }{
		{10, 10, 1}, {10, 10_000, 1}, {100, 10, 1}, {1000, 10, 1}, {10, 10, 10}, {10, 10, 1000}, {10, 10, 10_000}, {1000, 10, 1000},
	} {
		t.Run(fmt.Sprintf("%d tables of %d rows after %d generations", c.tables, c.rows, c.generations), func(t *testing.T) {
			h := manyTables(t, c.tables, c.rows)
			h.run(syncer.Request{NoProfile: true})
			h.publishes(c.generations - 1)
			best := time.Hour
			for range 5 {
				begun := time.Now()
				report, err := h.sync.Sync(t.Context(), syncer.Request{})
				if err != nil || report.Published {
					t.Fatalf("%+v, %v", report, err)
				}
				best = min(best, time.Since(begun))
			}
			printed(t, fmt.Sprintf("a cycle without news: %d tables, %d rows, %d generations", c.tables, c.rows, c.generations),
				"%8s, %6s a table", best.Round(100*time.Microsecond), (best / time.Duration(c.tables)).Round(time.Microsecond))
		})
	}
}

// manyTables is a house with tables of CSV files.
func manyTables(t *testing.T, tables, rows int) *house {
	h := newHouse(t, twoTables)
	var b, text strings.Builder
	text.WriteString("id,v\n")
	for i := range rows {
		fmt.Fprintf(&text, "%d,x\n", i)
	}
	for i := range tables {
		fmt.Fprintf(&b, "  - {id: m.t%d, name: t%d, description: T, primary_key: id, sync_strategy: full_refresh, folder: many, csv: {path: t%d.csv}}\n", i, i, i)
		h.put(fmt.Sprintf("t%d.csv", i), text.String())
	}
	h.describe(b.String())
	return h
}

// publishes makes generations of the first table, straight in the store: what they cost is measured there.
func (h *house) publishes(n int) {
	h.t.Helper()
	table, err := h.store.TableByName(h.t.Context(), "t0")
	if err != nil {
		h.t.Fatal(err)
	}
	files, err := h.store.TableFiles(h.t.Context(), table.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	good := files[0]
	for i := range n {
		f := good
		if i != n-1 { // the last one is what the lake has
			f.Hash = fmt.Sprintf("%064x", i+1)
			f.Physical = fmt.Sprintf("many/t0/%032x.parquet", i+1)
		}
		if _, _, err := h.store.Publish(h.t.Context(), 0, "", []store.Change{{TableID: table.ID, Files: []store.File{f}, Fingerprint: table.Fingerprint, DataTime: table.DataTime}}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// scaleHouse is a house with one CSV table that is large in some way.
func scaleHouse(t *testing.T, keys string, write func(io.Writer)) *house {
	t.Helper()
	h := newHouse(t, "  - {id: s.big, name: big, description: B, primary_key: id, folder: s, csv: {path: big.csv}, "+keys+"}\n")
	f, err := os.Create(h.in + "/big.csv")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	write(&b)
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

// loads syncs and tells time and the most memory that was in use.
func (h *house) loads(what string) {
	h.t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	begun := time.Now()
	report := h.run(syncer.Request{NoProfile: true})
	close(stop)
	if report.Outcome != store.Done {
		h.t.Fatalf("%+v", report)
	}
	printed(h.t, what, "%8s, %d rows, %d KiB, heap %d MiB", took(begun), report.Tables[0].Rows, report.Tables[0].Bytes>>10, <-peak>>20)
}

func TestScaleTwoThousandColumns(t *testing.T) {
	scale(t)
	const columns, rows = 2000, 5000
	h := scaleHouse(t, "sync_strategy: full_refresh", func(w io.Writer) {
		io.WriteString(w, "id")
		for c := 1; c < columns; c++ {
			fmt.Fprintf(w, ",c%d", c)
		}
		for r := range rows {
			fmt.Fprintf(w, "\n%d", r)
			for c := 1; c < columns; c++ {
				fmt.Fprintf(w, ",%d", r*c%9973)
			}
		}
	})
	h.loads("2,000 columns x 5,000 rows")
}

func TestScaleCellsOfOneMiB(t *testing.T) {
	scale(t)
	cell := strings.Repeat("some text that a person wrote, and more of it; ", 1<<20/47)
	h := scaleHouse(t, "sync_strategy: full_refresh", func(w io.Writer) {
		io.WriteString(w, "id,text\n")
		for r := range 400 {
			fmt.Fprintf(w, "%d,\"%d %s\"\n", r, r, cell)
		}
	})
	h.loads("400 cells of 1 MiB")
}

func TestScaleTenThousandPartitions(t *testing.T) {
	scale(t)
	const partitions, rows = 10_000, 50_000
	text := func(extra string) func(io.Writer) {
		return func(w io.Writer) {
			io.WriteString(w, "id,at,v\n")
			for r := range rows {
				fmt.Fprintf(w, "%d,%s,x\n", r, time.Date(2000, 1, 1+r%partitions, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
			}
			io.WriteString(w, extra)
		}
	}
	h := scaleHouse(t, "sync_strategy: incremental, partition_by: at, partition_granularity: day", text(""))
	h.loads("10,000 partitions, first load")
	var b bytes.Buffer
	text("50000,2001-01-01,new\n")(&b)
	h.put("big.csv", b.String())
	h.loads("10,000 partitions, one row more")
}

// TestScaleMemoryOfAMergeDoesNotGrowWithItsDelta merges change sets that are larger than what is held in memory at a time.
func TestScaleMemoryOfAMergeDoesNotGrowWithItsDelta(t *testing.T) {
	scale(t)
	for _, n := range []int{1_000_000, 4_000_000, 8_000_000} {
		g := &generated{rows: 4_000_000}
		h := simHouse(t, g, "primary_key: id, sync_strategy: incremental")
		h.partRows(g, 500_000)
		h.loads("first load of 4,000,000 rows")
		g.rows, g.version = n, 1
		h.loads(fmt.Sprintf("%d changes merged by key into 4,000,000 rows", n))
	}
}

// partRows opens the engine anew with larger parts.
func (h *house) partRows(s source.Source, n int64) {
	doc, err := datadoc.Parse("d.md", []byte("```yaml\ntables:\n  - {id: s.sim, name: sim, description: Sim, folder: sales, source: sim, primary_key: id, sync_strategy: incremental}\n```\n"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.sync = syncer.New(syncer.Options{Data: h.data, Store: h.store, Lake: h.lake, Tables: doc.Tables, PartRows: n, Workers: 2, Sources: map[string]source.Source{"sim": s}})
}

// generated is a source of so many rows, made while they are read: at first in the order of their keys, then in none.
type generated struct{ rows, version int }

func (g *generated) Name() string                  { return "sim" }
func (g *generated) CanWindow(datadoc.Table) error { return nil }

func (g *generated) Fetch(_ context.Context, r source.Request) (*source.Result, error) {
	res := &source.Result{Fingerprint: fmt.Sprint(g.version), DataTime: time.Now().Add(-time.Minute), Size: -1}
	columns := []columnar.Column{{Name: "id"}, {Name: "a"}, {Name: "b"}, {Name: "note"}}
	for i, kind := range []string{"int64", "int64", "float64", "string"} {
		columns[i].Type, _ = columnar.ParseType(kind)
	}
	rows, version := g.rows, g.version
	res.Data = &plainData{columnar.CSV{Table: "sales.sim", Declared: columns, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"', Header: true},
		Inputs: []columnar.Input{{Name: "made", Open: func(context.Context) (io.ReadCloser, error) {
			pr, pw := io.Pipe()
			go func() {
				var b bytes.Buffer
				b.WriteString("id,a,b,note\n")
				for i := range rows {
					id := uint64(i)
					if version > 0 {
						id = id * 7919 % uint64(rows)
					}
					fmt.Fprintf(&b, "%d,%d,%d.5,note %d of version %d\n", id, i, id%977, id%100_003, version)
					if b.Len() > 1<<16 {
						if _, err := pw.Write(b.Bytes()); err != nil {
							return
						}
						b.Reset()
					}
				}
				_, err := pw.Write(b.Bytes())
				pw.CloseWithError(cmp.Or(err, io.EOF))
			}()
			return pr, nil
		}}}}}
	return res, nil
}

type plainData struct{ csv columnar.CSV }

func (d *plainData) WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	return d.csv.WriteParquet(ctx, w, o)
}
func (d *plainData) Settled(context.Context) error { return nil }
func (d *plainData) Close() error                  { return nil }
