package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// run is one sync under way.
type run struct {
	s       *Syncer
	r       Request
	id      int64
	scratch *lake.Scratch
}

// converted is a table whose new file waits in scratch for the publish.
type converted struct {
	change lake.Change
	row    store.RunTable
}

// do converts table after table, then publishes all that changed at once, so that readers never see tables of two runs.
func (u *run) do(ctx context.Context, jobs []job) (*Report, error) {
	var ready []converted
	var rows []store.RunTable
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		c, row := u.table(ctx, j)
		if ctx.Err() != nil {
			break // what was cut short is no failure of the table
		}
		if c != nil {
			ready = append(ready, *c)
			continue
		}
		rows = append(rows, row)
		u.done(row)
	}
	report := &Report{Run: u.id}
	if ctx.Err() != nil {
		return report, u.interrupted(report, rows, ctx.Err())
	}
	published, err := u.publish(ctx, ready)
	for _, c := range ready {
		row := c.row
		switch {
		case err != nil:
			row.Outcome, row.Reason = store.Failed, err.Error()
		case published.Tables[row.TableID]:
			row.Outcome, row.Generation = store.Changed, published.Generation
		default:
			row.Outcome, row.Reason = store.Unchanged, "the source was written anew with the same rows"
		}
		rows = append(rows, row)
		u.done(row)
	}
	if ctx.Err() != nil {
		return report, u.interrupted(report, rows, ctx.Err())
	}
	report.Generation, report.Published, report.Tables = published.Generation, published.Changed, rows
	return report, u.finish(ctx, report, false)
}

func (u *run) publish(ctx context.Context, ready []converted) (lake.Published, error) {
	var changes []lake.Change
	for _, c := range ready {
		changes = append(changes, c.change)
	}
	// From here on the run is not cut short: a publish is quick, and either done or not.
	return u.s.o.Lake.Publish(context.WithoutCancel(ctx), u.id, "sync", changes)
}

func (u *run) done(row store.RunTable) {
	if u.r.Progress != nil {
		u.r.Progress.Done(row)
	}
	level := u.s.o.Log.Info
	if row.Outcome == store.Failed {
		level = u.s.o.Log.Error
	}
	level("table synced", "run", row.RunID, "table", row.Table, "outcome", row.Outcome, "rows", row.Rows, "bytes", row.Bytes,
		"duration", row.Duration, "reason", row.Reason)
}

func (u *run) finish(ctx context.Context, report *Report, interrupted bool) error {
	ctx = context.WithoutCancel(ctx)
	for _, row := range report.Tables {
		if err := u.s.o.Store.RecordTable(ctx, row); err != nil {
			return err
		}
		if row.Outcome == store.Unchanged {
			if err := u.s.o.Store.Unchanged(ctx, row.TableID); err != nil {
				return err
			}
		}
	}
	var err error
	report.Outcome, err = u.s.o.Store.FinishRun(ctx, u.id, interrupted)
	return err
}

func (u *run) interrupted(report *Report, rows []store.RunTable, cause error) error {
	report.Tables = rows
	return errors.Join(fmt.Errorf("the sync was interrupted, nothing was published: %w", cause), u.finish(context.Background(), report, true))
}

// table fetches and converts one table. It gives either a change to publish, or the finished row of the run.
func (u *run) table(ctx context.Context, j job) (c *converted, row store.RunTable) {
	row = store.RunTable{RunID: u.id, TableID: j.table.ID, Table: j.table.FullName(), StartedAt: time.Now().UTC()}
	fail := func(err error) {
		row.Outcome, row.Reason, row.Duration = store.Failed, err.Error(), since(row.StartedAt)
	}
	defer func() { // a connector's fault must not end the appliance
		if p := recover(); p != nil {
			u.s.o.Log.Error("panic in a connector", "table", row.Table, "panic", p, "stack", string(debug.Stack()))
			c = nil
			fail(fmt.Errorf("table %s: an internal error happened, it is in the log: please report it", row.Table))
		}
	}()
	have, err := u.s.o.Store.TableFiles(ctx, j.table.ID)
	if err != nil {
		fail(err)
		return nil, row
	}
	res, err := u.fetch(ctx, j, len(have) > 0)
	if err != nil {
		fail(err)
		return nil, row
	}
	if res.Unchanged() {
		row.Outcome, row.DataTime, row.Duration = store.Unchanged, res.DataTime, since(row.StartedAt)
		for _, f := range have {
			row.Rows, row.Bytes = row.Rows+f.Rows, row.Bytes+f.Size
		}
		return nil, row
	}
	change, err := u.convert(ctx, j, res, &row, have)
	if cerr := res.Data.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("table %s: %w", row.Table, cerr)
	}
	if err != nil {
		fail(err)
		return nil, row
	}
	row.Duration, row.DataTime = since(row.StartedAt), res.DataTime
	return &converted{*change, row}, row
}

// fetch asks the connector. Without files in the lake, what is known counts for nothing.
func (u *run) fetch(ctx context.Context, j job, have bool) (*source.Result, error) {
	src, err := u.s.sourceOf(j.doc)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", j.table.FullName(), err)
	}
	if j.doc.Strategy != "full_refresh" {
		return nil, fmt.Errorf("table %s: sync_strategy %s is not offered by the %s connector: use full_refresh", j.table.FullName(), j.doc.Strategy, src.Name())
	}
	req := source.Request{Table: j.doc, Scratch: u.scratch.Dir}
	if have && !u.r.Full {
		req.Known = j.table.Fingerprint
	}
	return src.Fetch(ctx, req)
}

func (u *run) convert(ctx context.Context, j job, res *source.Result, row *store.RunTable, have []store.File) (*lake.Change, error) {
	if err := u.room(res.Size, have); err != nil {
		return nil, fmt.Errorf("table %s: %w", row.Table, err)
	}
	if u.r.Progress != nil {
		u.r.Progress.Start(row.Table, res.Size)
	}
	staged, err := u.scratch.Stage("")
	if err != nil {
		return nil, err
	}
	out, err := res.Data.WriteParquet(ctx, staged, columnar.Options{Workers: u.s.o.Workers, Progress: func(bytes, rows int64) {
		if u.r.Progress != nil {
			u.r.Progress.Advance(row.Table, bytes, rows)
		}
	}})
	if err := errors.Join(err, staged.Finish()); err != nil {
		return nil, err
	}
	if err := res.Data.Settled(ctx); err != nil {
		return nil, fmt.Errorf("table %s: %w", row.Table, err)
	}
	row.Rows, row.Bytes, row.Quarantined, row.Warnings = out.Rows, out.Bytes, out.Quarantined, out.Warnings
	side, err := u.keepQuarantine(j, out.Quarantined > 0)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", row.Table, err)
	}
	if out.Quarantined > 0 {
		row.Warnings = append(row.Warnings, fmt.Sprintf("%d rows were not taken, they are in %s", out.Quarantined, side))
	}
	var schema []store.Column
	for _, c := range out.Schema.Columns {
		schema = append(schema, store.Column{Name: c.Name, Type: c.Type.String()})
	}
	return &lake.Change{Table: j.table, Files: []lake.Part{{Staged: staged, Rows: out.Rows, Schema: schema}},
		Fingerprint: res.Fingerprint, DataTime: res.DataTime}, nil
}

// reserve is what a sync leaves free on the disk for SQLite, uploads and logs.
const reserve = 64 << 20

// room fails before anything is written when the disk cannot hold the new file beside the old one. Parquet is smaller
// than the text it comes from; without a known size the last file's is taken.
func (u *run) room(size int64, have []store.File) error {
	for _, f := range have {
		size = max(size, f.Size)
	}
	free, err := lake.Free(u.s.o.Data)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if need := max(size, 0) + reserve; free < need {
		return fmt.Errorf("the disk of %s has %d MiB free, this needs up to %d MiB: free some, or move the data folder", u.s.o.Data, free>>20, need>>20)
	}
	return nil
}

// keepQuarantine moves the rows that were not taken to data/quarantine, where they stay until the table is read again.
func (u *run) keepQuarantine(j job, any bool) (string, error) {
	dir := filepath.Join(u.s.o.Data, "quarantine")
	path := filepath.Join(dir, j.table.FullName()+".csv")
	if !any {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("quarantine: %w", err)
		}
		return "", nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	if err := os.Rename(filepath.Join(u.scratch.Dir, source.QuarantineFile), path); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	return path, nil
}

// dry tells for each table whether a sync would read it, without converting or publishing.
func (u *run) dry(ctx context.Context, jobs []job) (*Report, error) {
	report := &Report{Outcome: store.Done}
	failed := 0
	for _, j := range jobs {
		row := store.RunTable{TableID: j.table.ID, Table: j.table.FullName(), StartedAt: time.Now().UTC(), Outcome: store.Unchanged}
		have, err := u.s.o.Store.TableFiles(ctx, j.table.ID)
		var res *source.Result
		if err == nil {
			res, err = u.fetch(ctx, j, len(have) > 0)
		}
		switch {
		case ctx.Err() != nil:
			return report, ctx.Err()
		case err != nil:
			row.Outcome, row.Reason = store.Failed, err.Error()
			failed++
		case !res.Unchanged():
			row.Outcome, row.Reason, row.DataTime = store.Changed, "would be read", res.DataTime
			err = res.Data.Close()
		}
		if err != nil && row.Outcome != store.Failed {
			return report, err
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
