package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"aida/store"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"

	"golang.org/x/sync/errgroup"
)

// run is one sync under way.
type run struct {
	s       *Syncer
	r       Request
	id      int64
	scratch *lake.Scratch
}

// result is how a table's sync went: a change that waits for the publish, or the finished row of the run.
type result struct {
	change *lake.Change
	row    store.RunTable
	cut    bool // it was cut short, which is no failure of the table
}

// do syncs the tables, a few at a time, then publishes all that changed at once, so that readers never see tables of two
// runs.
func (u *run) do(ctx context.Context, jobs []job) (*Report, error) {
	results := make([]result, len(jobs))
	var mu sync.Mutex
	var group errgroup.Group
	for i, j := range jobs {
		select {
		case u.s.slots <- struct{}{}:
		case <-ctx.Done():
			results[i].cut = true
			continue
		}
		group.Go(func() error {
			defer func() { <-u.s.slots }()
			results[i] = u.table(ctx, j)
			if r := &results[i]; ctx.Err() != nil {
				r.cut = true
			} else if r.change == nil {
				mu.Lock()
				defer mu.Unlock()
				u.done(r.row)
			}
			return nil
		})
	}
	_ = group.Wait() // the tables' failures are in their rows
	report := &Report{Run: u.id}
	var ready []lake.Change
	for _, r := range results {
		switch {
		case r.cut:
		case r.change != nil:
			ready = append(ready, *r.change)
		default:
			report.Tables = append(report.Tables, r.row)
		}
	}
	if ctx.Err() != nil {
		return report, u.interrupted(report, context.Cause(ctx))
	}
	// From here on the run is not cut short: a publish is quick, and either done or not.
	published, err := u.s.o.Lake.Publish(context.WithoutCancel(ctx), u.id, "sync", ready)
	for _, r := range results {
		if r.change == nil {
			continue
		}
		row := r.row
		switch {
		case err != nil:
			row.Outcome, row.Reason = store.Failed, err.Error()
		case published.Tables[row.TableID]:
			row.Outcome, row.Generation = store.Changed, published.Generation
		case row.Strategy == didReplace:
			row.Outcome, row.Reason = store.Unchanged, "the source was written anew with the same rows"
		default:
			row.Outcome = store.Unchanged
		}
		report.Tables = append(report.Tables, row)
		u.done(row)
	}
	report.Generation, report.Published = published.Generation, published.Changed
	return report, u.finish(ctx, report, false)
}

func (u *run) done(row store.RunTable) {
	if u.r.Progress != nil {
		u.r.Progress.Done(row)
	}
	level := u.s.o.Log.Info
	if row.Outcome == store.Failed {
		level = u.s.o.Log.Error
	}
	level("table synced", "run", row.RunID, "table", row.Table, "outcome", row.Outcome, "strategy", row.Strategy, "rows", row.Rows, "bytes", row.Bytes,
		"duration", row.Duration, "reason", row.Reason)
	if len(row.Schema) > 0 {
		u.s.o.Log.Warn("the source's columns are not those of before", "table", row.Table, "changes", describe(row.Schema))
	}
}

func (u *run) finish(ctx context.Context, report *Report, interrupted bool) error {
	var err error
	report.Outcome, err = u.s.o.Store.FinishRun(context.WithoutCancel(ctx), u.id, report.Tables, interrupted)
	return err
}

func (u *run) interrupted(report *Report, cause error) error {
	return errors.Join(fmt.Errorf("the sync was interrupted, nothing was published: %w", cause), u.finish(context.Background(), report, true))
}

// table brings one table up to date as far as the publish.
func (u *run) table(ctx context.Context, j job) (r result) {
	r.row = store.RunTable{RunID: u.id, TableID: j.table.ID, Table: j.table.FullName(), StartedAt: time.Now().UTC()}
	fail := func(err error) {
		r.change = nil
		r.row.Outcome, r.row.Reason = store.Failed, err.Error()
	}
	defer func() { // a connector's fault must not end the appliance
		if p := recover(); p != nil {
			u.s.o.Log.Error("panic in a connector", "table", r.row.Table, "panic", p, "stack", string(debug.Stack()))
			fail(fmt.Errorf("table %s: an internal error happened, it is in the log: please report it", r.row.Table))
		}
		r.row.Duration = since(r.row.StartedAt)
	}()
	if stays(j.doc, &r.row) {
		return r
	}
	w := &work{u: u, j: j, row: &r.row}
	var err error
	if r.change, err = w.sync(ctx); err != nil {
		fail(err)
	}
	return r
}

// stays tells whether a table is never copied.
func stays(doc datadoc.Table, row *store.RunTable) bool {
	if doc.QueryMode != "remote" {
		return false
	}
	row.Outcome, row.Reason = store.Remote, "query_mode remote: it stays at its source, docs/data_description.md tells how to query it"
	return true
}

// reserve is what a sync leaves free on the disk for SQLite, uploads and logs.
const reserve = 64 << 20

// room fails before anything is written when the disk cannot hold the new files beside the old ones. Parquet is smaller
// than the text it comes from; without a known size that of the table is taken.
func (u *run) room(size, held int64) error {
	free, err := lake.Free(u.s.o.Data)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if need := max(size, held, 0) + reserve; free < need {
		return fmt.Errorf("the disk of %s has %d MiB free, this needs up to %d MiB: free some, or move the data folder", u.s.o.Data, free>>20, need>>20)
	}
	return nil
}

// keepQuarantine moves the rows that were not taken to data/quarantine, where they stay until the table is read again.
func (w *work) keepQuarantine() error {
	dir := filepath.Join(w.u.s.o.Data, "quarantine")
	path := filepath.Join(dir, w.j.table.FullName()+".csv")
	if w.row.Quarantined == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("quarantine: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if err := os.Rename(filepath.Join(w.dir, source.QuarantineFile), path); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	w.row.Warnings = append(w.row.Warnings, fmt.Sprintf("%d rows were not taken, they are in %s", w.row.Quarantined, path))
	return nil
}

// dry tells for each table whether a sync would read it, without converting or publishing.
func (u *run) dry(ctx context.Context, jobs []job) (*Report, error) {
	report := &Report{Outcome: store.Done}
	failed := 0
	for _, j := range jobs {
		row := store.RunTable{TableID: j.table.ID, Table: j.table.FullName(), StartedAt: time.Now().UTC(), Outcome: store.Unchanged}
		var err error
		if !stays(j.doc, &row) {
			err = u.dryTable(ctx, j, &row)
		}
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		if err != nil {
			row.Outcome, row.Reason = store.Failed, err.Error()
			failed++
		}
		row.Duration = since(row.StartedAt)
		report.Tables = append(report.Tables, row)
		u.done(row)
	}
	if failed > 0 {
		report.Outcome = store.Partial
		if failed == len(jobs) {
			report.Outcome = store.Failed
		}
	}
	return report, nil
}

func (u *run) dryTable(ctx context.Context, j job, row *store.RunTable) error {
	w := &work{u: u, j: j, row: row}
	if err := w.look(ctx); err != nil {
		return err
	}
	req := w.request(nil)
	req.Window = u.r.window()
	what := "would be read"
	if w.usable && !u.r.Full && req.Window.All() {
		req.Known = j.table.Fingerprint
		if w.windowed && !w.journal.Watermark.IsZero() {
			req.Window.Since = w.journal.Watermark.AddDate(0, 0, -max(w.j.doc.IncrementalWindow, 1))
			what = "changes since " + req.Window.Since.Format(time.RFC3339) + " would be read"
		}
	}
	res, err := w.src.Fetch(ctx, req)
	if err != nil {
		return err
	}
	if res.Unchanged() {
		w.unchanged()
		return nil
	}
	row.Outcome, row.Reason, row.DataTime = store.Changed, what, res.DataTime
	return res.Data.Close()
}
