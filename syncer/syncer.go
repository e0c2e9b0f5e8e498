// Package syncer brings tables from their sources into the lake: it asks connectors, converts, publishes one generation
// per run and records how each table fared. It never serves readers and holds no connector; app hands those in.
//
//	s := syncer.New(syncer.Options{Store: st, Lake: lk, Sources: sources, Tables: doc.Tables})
//	report, err := s.Sync(ctx, syncer.Request{Trigger: "command"})
package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aida/store"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// Options is what a Syncer works with.
type Options struct {
	Data     string // the data folder
	Store    *store.Store
	Lake     *lake.Lake
	Sources  map[string]source.Source // by name
	Default  string                   // the source of tables that name none
	Tables   []datadoc.Table          // as described when it is made; SetTables tells of later ones
	Datasets []store.Dataset          // what instance.yaml says of datasets; those of tables that it does not name are open
	Profiler Profiler                 // told of tables after a publish; may be nil
	Alerts   Alerts                   // told how runs went; may be nil
	Watch    Watch                    // told how runs go on whose request says nobody; may be nil
	Workers  int                      // goroutines that convert one table; 0 = cores
	Parallel int                      // tables at a time; 0 = 1
	Timing   Timing
	PartRows int64 // a table of more rows is a folder of part files; 0 = a million
	HeldRows int   // changes that are looked at together, at most; 0 = two million
	Log      *slog.Logger
}

// Syncer runs syncs, one at a time for each table in all processes that share the data folder.
type Syncer struct {
	o         Options
	described atomic.Pointer[[]datadoc.Table]
	slots     chan struct{} // one for each table that may be synced at a time, whatever run it is of
	profiling sync.Mutex
}

// New makes a Syncer.
func New(o Options) *Syncer {
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Parallel, o.PartRows = max(1, o.Parallel), cmp.Or(o.PartRows, 1_000_000)
	s := &Syncer{o: o, slots: make(chan struct{}, o.Parallel)}
	s.described.Store(&o.Tables)
	return s
}

// Request asks for a sync.
type Request struct {
	Tables    []string  // source ids, folder.name or unique names; none = all
	Full      bool      // convert also what looks unchanged, and fetch all rows
	Since     time.Time // with Until: fetch the rows that changed in this time, whatever was fetched before
	Until     time.Time
	DryRun    bool     // tell what would be done, publish nothing
	NoProfile bool     // leave profiles to the next sync that publishes
	Trigger   string   // who or what asked
	Progress  Progress // may be nil
}

func (r Request) window() source.Window { return source.Window{Since: r.Since, Until: r.Until} }

// Progress is told how a run goes on. Its methods are called from one goroutine at a time for each table.
type Progress interface {
	Start(table string, size int64) // size in input bytes, -1 = unknown
	Advance(table string, bytes, rows int64)
	Done(t store.RunTable)
}

// Watch gives whom a run over so many tables is told to; nil = nobody.
type Watch func(run int64, tables int) Progress

// Report is how a run ended.
type Report struct {
	Run        int64            `json:"run"`
	Outcome    store.Outcome    `json:"outcome"`
	Generation int64            `json:"generation"`
	Published  bool             `json:"published"` // a new generation was made
	Tables     []store.RunTable `json:"tables"`
	Paused     []string         `json:"paused,omitempty"` // left out of a run over all tables
}

// ErrBusy tells that another sync is at all of the tables.
var ErrBusy = errors.New("another sync is running on these tables: wait for it")

// Register makes the store's catalog what the configuration says: tables and their datasets.
func (s *Syncer) Register(ctx context.Context) error {
	datasets := append([]store.Dataset(nil), s.o.Datasets...)
	known := map[string]bool{}
	for _, d := range datasets {
		known[d.Name] = true
	}
	var tables []store.Table
	for _, t := range s.tables() {
		table := tableOf(t)
		if src, err := s.sourceOf(t); err == nil && t.QueryMode != "local" {
			if q, ok := src.(source.Queryable); ok {
				table.Definition.HowToQuery = q.HowToQuery(t)
			}
		}
		tables = append(tables, table)
		if !known[t.Dataset] {
			known[t.Dataset] = true
			access := store.OpenAccess
			if t.Dataset == "private" { // the reference's convention
				access = store.PrivateAccess
			}
			datasets = append(datasets, store.Dataset{Name: t.Dataset, Access: access})
		}
	}
	if err := s.o.Store.SetCatalog(ctx, datasets, tables); err != nil {
		return fmt.Errorf("register tables: %w", err)
	}
	return nil
}

// Sync brings tables up to date and publishes what changed as one generation. A table that fails leaves the others, and
// its own last published state, as they are; one that another sync is at is left out. The error is of the run as a whole;
// a table's failure is in the report.
func (s *Syncer) Sync(ctx context.Context, r Request) (report *Report, err error) {
	docs, err := s.choose(r.Tables)
	if err != nil {
		return nil, err
	}
	var paused []string
	if len(r.Tables) == 0 {
		if docs, paused, err = s.unpaused(ctx, docs); err != nil {
			return nil, err
		}
	}
	defer func() {
		if report != nil {
			report.Paused = paused
		}
	}()
	scratch, err := s.o.Lake.Scratch()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := scratch.Release(); err != nil {
			s.o.Log.Error("scratch folder stays until the next start", "error", err)
		}
	}()
	run := &run{s: s, r: r, scratch: scratch}
	if r.DryRun {
		jobs, err := s.jobs(ctx, docs)
		if err != nil {
			return nil, err
		}
		return run.dry(ctx, jobs)
	}
	var ids []string
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	busy, err := s.lease(ctx, scratch, ids)
	if err != nil {
		return nil, err
	}
	if len(docs) > 0 && len(busy) == len(docs) {
		return nil, ErrBusy
	}
	if err := s.o.Store.InterruptRuns(ctx, s.o.Lake.Alive); err != nil {
		return nil, errors.Join(err, s.o.Store.ReleaseLeases(context.WithoutCancel(ctx), scratch.Name()))
	}
	docs = slices.DeleteFunc(docs, func(d datadoc.Table) bool { return busy[d.ID] })
	ctx, cancel := context.WithCancelCause(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { s.heartbeat(ctx, scratch.Name(), len(docs), cancel) })
	defer func() {
		cancel(nil)
		beat.Wait()
		err = errors.Join(err, s.o.Store.ReleaseLeases(context.WithoutCancel(ctx), scratch.Name()))
	}()
	jobs, err := s.jobs(ctx, docs)
	if err != nil {
		return nil, err
	}
	if run.id, err = s.o.Store.StartRun(ctx, cmp.Or(r.Trigger, "command"), scratch.Name()); err != nil {
		return nil, err
	}
	if r.Progress == nil && s.o.Watch != nil {
		run.r.Progress = s.o.Watch(run.id, len(jobs))
	}
	report, err = run.do(ctx, jobs)
	s.alert(ctx, report)
	if !r.NoProfile {
		s.profiling.Lock() // runs of different tables may end together
		s.profile(ctx, report)
		s.profiling.Unlock()
	}
	for id := range busy {
		if t, ok := s.doc(id); ok && report != nil {
			report.Tables = append(report.Tables, store.RunTable{RunID: run.id, Table: t.FullName(), Outcome: store.Skipped,
				Reason: "another sync is at it", StartedAt: time.Now().UTC()})
		}
	}
	return report, err
}

func (s *Syncer) doc(id string) (datadoc.Table, bool) {
	i := slices.IndexFunc(s.tables(), func(t datadoc.Table) bool { return t.ID == id })
	if i < 0 {
		return datadoc.Table{}, false
	}
	return s.tables()[i], true
}

// job is one table to sync: as described, and as the store knows it.
type job struct {
	doc   datadoc.Table
	table store.Table
}

// choose finds the described tables of these names; no name means all of them.
func (s *Syncer) choose(names []string) (chosen []datadoc.Table, err error) {
	if len(names) == 0 {
		return slices.Clone(s.tables()), nil
	}
	docs := s.tables()
	tables := make([]store.Table, len(docs))
	at := map[string]int{} // a schedule names a thousand tables, in full
	for i, d := range docs {
		tables[i] = tableOf(d)
		at[d.FullName()] = i
	}
	for i, d := range docs {
		at[d.ID] = i
	}
	var unknown []error
	seen := map[int]bool{}
	for _, n := range names {
		i, found := at[n]
		if !found {
			t, err := store.FindTable(tables, n)
			if err != nil {
				unknown = append(unknown, err)
				continue
			}
			i = at[t.SourceID]
		}
		if !seen[i] {
			seen[i] = true
			chosen = append(chosen, docs[i])
		}
	}
	return chosen, errors.Join(unknown...)
}

// jobs registers all described tables and gives the chosen ones as the store knows them, the longest not synced first.
func (s *Syncer) jobs(ctx context.Context, docs []datadoc.Table) (jobs []job, err error) {
	if err := s.Register(ctx); err != nil {
		return nil, err
	}
	tables, err := s.o.Store.Tables(ctx)
	if err != nil {
		return nil, err
	}
	described := make(map[string]*datadoc.Table, len(docs))
	for i := range docs {
		described[docs[i].ID] = &docs[i]
	}
	for _, t := range tables {
		if d := described[t.SourceID]; d != nil {
			jobs = append(jobs, job{*d, t})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return a.table.SyncedAt.Compare(b.table.SyncedAt) })
	return jobs, nil
}

// tableOf gives what an analyst may know of a described table.
func tableOf(t datadoc.Table) store.Table {
	def := store.Definition{Description: t.Description, PrimaryKey: t.PrimaryKey, SyncStrategy: t.Strategy, PartitionBy: t.PartitionBy,
		PartitionGranularity: t.PartitionGranularity, QueryMode: t.QueryMode}
	for _, c := range t.Columns {
		if c.Description != "" || c.Sensitive {
			def.Columns = append(def.Columns, store.ColumnDoc{Name: c.Name, Description: c.Description, Sensitive: c.Sensitive})
		}
	}
	for _, k := range t.ForeignKeys {
		def.ForeignKeys = append(def.ForeignKeys, store.ForeignKey{Column: k.Column, References: k.References, Description: k.Description})
	}
	return store.Table{SourceID: t.ID, Name: t.Name, Folder: t.Folder, Dataset: t.Dataset, Definition: def}
}

// sourceOf finds the connector of a table.
func (s *Syncer) sourceOf(t datadoc.Table) (source.Source, error) {
	name := cmp.Or(t.Source, s.o.Default)
	src, ok := s.o.Sources[name]
	if !ok {
		return nil, fmt.Errorf("no connector is named %q: set data_source.type in instance.yaml, or the table's source key", name)
	}
	return src, nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
