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
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"aida/store"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"

	"github.com/gofrs/flock"
)

// Options is what a Syncer works with.
type Options struct {
	Data     string // the data folder
	Store    *store.Store
	Lake     *lake.Lake
	Sources  map[string]source.Source // by name
	Default  string                   // the source of tables that name none
	Tables   []datadoc.Table
	Datasets []store.Dataset // what instance.yaml says of datasets; those of tables that it does not name are open
	Profiler Profiler        // told of tables after a publish; may be nil
	Workers  int             // goroutines that convert one table; 0 = cores
	Log      *slog.Logger
}

// Syncer runs syncs, one at a time in all processes that share the data folder.
type Syncer struct {
	o    Options
	busy sync.Mutex // a flock that is held counts as free to its own process
	lock *flock.Flock
}

// New makes a Syncer.
func New(o Options) *Syncer {
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Syncer{o: o, lock: flock.New(filepath.Join(o.Data, "sync.lock"))}
}

// Request asks for a sync.
type Request struct {
	Tables   []string // source ids, folder.name or unique names; none = all
	Full     bool     // convert also what looks unchanged
	DryRun   bool     // tell what would be done, publish nothing
	Trigger  string   // who or what asked
	Progress Progress // may be nil
}

// Progress is told how a run goes on. Its methods are called from one goroutine at a time for each table.
type Progress interface {
	Start(table string, size int64) // size in input bytes, -1 = unknown
	Advance(table string, bytes, rows int64)
	Done(t store.RunTable)
}

// Report is how a run ended.
type Report struct {
	Run        int64            `json:"run"`
	Outcome    store.Outcome    `json:"outcome"`
	Generation int64            `json:"generation"`
	Published  bool             `json:"published"` // a new generation was made
	Tables     []store.RunTable `json:"tables"`
}

// ErrBusy tells that another sync runs on the same data folder.
var ErrBusy = errors.New("another sync is running on this data folder: wait for it, or look at it with `aida status`")

// Register makes the store's catalog what the configuration says: tables and their datasets.
func (s *Syncer) Register(ctx context.Context) error {
	datasets := append([]store.Dataset(nil), s.o.Datasets...)
	known := map[string]bool{}
	for _, d := range datasets {
		known[d.Name] = true
	}
	var tables []store.Table
	for _, t := range s.o.Tables {
		tables = append(tables, tableOf(t))
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
// its own last published state, as they are. The error is of the run as a whole; a table's failure is in the report.
func (s *Syncer) Sync(ctx context.Context, r Request) (*Report, error) {
	if !s.busy.TryLock() {
		return nil, ErrBusy
	}
	defer s.busy.Unlock()
	if ok, err := s.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("sync lock: %w", err)
	} else if !ok {
		return nil, ErrBusy
	}
	defer s.lock.Unlock()
	if err := s.o.Store.InterruptRuns(ctx, func(string) bool { return false }); err != nil {
		return nil, err
	}
	if err := s.Register(ctx); err != nil {
		return nil, err
	}
	jobs, err := s.choose(ctx, r.Tables)
	if err != nil {
		return nil, err
	}
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
		return run.dry(ctx, jobs)
	}
	if run.id, err = s.o.Store.StartRun(ctx, cmp.Or(r.Trigger, "command"), ""); err != nil {
		return nil, err
	}
	report, err := run.do(ctx, jobs)
	s.profile(ctx, report)
	return report, err
}

// job is one table to sync: as described, and as the store knows it.
type job struct {
	doc   datadoc.Table
	table store.Table
}

func (s *Syncer) choose(ctx context.Context, names []string) ([]job, error) {
	tables, err := s.o.Store.Tables(ctx)
	if err != nil {
		return nil, err
	}
	docs := map[string]datadoc.Table{}
	for _, d := range s.o.Tables {
		docs[d.ID] = d
	}
	chosen := tables
	if len(names) > 0 {
		chosen = nil
		var unknown []error
		seen := map[int64]bool{}
		for _, n := range names {
			t, err := store.FindTable(tables, n)
			if err != nil {
				unknown = append(unknown, err)
			} else if !seen[t.ID] {
				seen[t.ID] = true
				chosen = append(chosen, t)
			}
		}
		if err := errors.Join(unknown...); err != nil {
			return nil, err
		}
	}
	var jobs []job
	for _, t := range chosen {
		jobs = append(jobs, job{docs[t.SourceID], t})
	}
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
