package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// What a table's sync may do; the run keeps it.
const (
	didReplace  = "replace"  // all rows came and are the table now
	didMerge    = "merge"    // rows that came went in by key
	didBackfill = "backfill" // rows of an asked-for time went in by key
)

// work is one table of a run.
type work struct {
	u   *run
	j   job
	row *store.RunTable

	src      source.Source
	windowed bool
	why      error        // the reason when it is not windowed
	have     []store.File // in the newest generation
	usable   bool         // they are all there and follow the description as it is now
	journal  store.Journal
	shape    string
	dir      string // scratch for the connector, made when something comes
	began    time.Time
}

// sync brings the table's files up to date, without publishing them. No change means that the source has nothing new.
func (w *work) sync(ctx context.Context) (*lake.Change, error) {
	if w.j.doc.QueryMode == "remote" {
		w.row.Outcome, w.row.Reason = store.Unchanged, "query_mode: remote, it is read where it is"
		return nil, nil
	}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	switch {
	case !w.u.r.window().All():
		return w.backfill(ctx)
	case w.j.doc.Strategy == "full_refresh" || !w.windowed:
		return w.whole(ctx)
	case !w.usable || w.u.r.Full || w.journal.Watermark.IsZero():
		return w.load(ctx, store.Load{Kind: "first", Since: w.history()}, true)
	}
	return w.changes(ctx)
}

// look finds out what there is, and refuses what the connector cannot do.
func (w *work) look(ctx context.Context) (err error) {
	doc, name := w.j.doc, w.row.Table
	w.began = time.Now().UTC()
	if w.src, err = w.u.s.sourceOf(doc); err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	w.why = fmt.Errorf("the %s connector always fetches all rows", w.src.Name())
	if s, ok := w.src.(source.Windowed); ok {
		w.why = s.CanWindow(doc)
	}
	w.windowed = w.why == nil
	if err := w.conditions(); err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	if w.have, err = w.u.s.o.Store.TableFiles(ctx, w.j.table.ID); err != nil {
		return err
	}
	if w.journal, err = w.u.s.o.Store.Journal(ctx, w.j.table.ID); err != nil {
		return err
	}
	if w.shape, err = shapeOf(doc); err != nil {
		return err
	}
	w.usable = len(w.have) > 0 && (w.journal.Shape == w.shape || doc.Strategy == "full_refresh" && w.journal.Shape == "")
	if lost, any := w.u.s.o.Lake.Lost(w.have); any {
		w.usable = false
		w.row.Warnings = append(w.row.Warnings, fmt.Sprintf("the file %s was lost, everything is fetched again", lost.Logical))
	}
	w.dir = filepath.Join(w.u.scratch.Dir, "table-"+strconv.FormatInt(w.j.table.ID, 10))
	return nil
}

// conditions refuses a description that the connector would not follow: rows that should have been left out would reach
// people.
func (w *work) conditions() error {
	doc := w.j.doc
	rows := len(doc.WhereFilters) > 0 || doc.RowFilter != ""
	if f, ok := w.src.(source.Filtering); ok {
		if rows || doc.MaxHistoryDays > 0 {
			if err := f.CanFilter(doc); err != nil {
				return err
			}
		}
	} else if rows {
		return fmt.Errorf("the %s connector does not apply where_filters or row_filter: remove them, or filter at the source", w.src.Name())
	} else if timed := partitioned(doc) && doc.PartitionGranularity != "value"; doc.MaxHistoryDays > 0 && !w.windowed && !timed {
		return fmt.Errorf("max_history_days: %w, so old rows can only be left out of a table with partition_by: partition it by a date, or remove the key", w.why)
	}
	if doc.ReconcileEvery > 0 && w.windowed {
		if _, ok := w.src.(source.KeyLister); !ok {
			return fmt.Errorf("reconcile_every: the %s connector cannot list keys: remove the key and mark deleted rows with delete_column, or use full_refresh", w.src.Name())
		}
	}
	if r := w.u.r.window(); !r.All() && (doc.Strategy == "full_refresh" || !w.windowed) {
		why := w.why
		if doc.Strategy == "full_refresh" {
			why = errors.New("a full_refresh table is always read whole")
		}
		return fmt.Errorf("--since and --until ask for a time of changes, but %w: leave them out for this table", why)
	}
	return nil
}

// shapeOf names all of a description that decides which rows and files a table has. When it changes, what the lake has is
// no base to go on from.
func shapeOf(doc datadoc.Table) (string, error) {
	type filter struct {
		Column, Operator string
		Values           []string
	}
	var filters []filter
	for _, f := range doc.WhereFilters {
		filters = append(filters, filter{f.Column, f.Operator, f.Written})
	}
	var plain []string
	for _, c := range doc.Columns {
		if c.Plain {
			plain = append(plain, c.Name)
		}
	}
	if doc.Strategy == "full_refresh" {
		return "", nil // nothing is gone on from
	}
	text, err := json.Marshal([]any{doc.Source, doc.ID, doc.Strategy, doc.PrimaryKey, doc.PartitionBy, doc.PartitionGranularity, filters, doc.RowFilter,
		doc.MaxHistoryDays, doc.DeleteColumn, plain, doc.IncrementalColumn})
	if err != nil {
		return "", fmt.Errorf("description: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12]), nil
}

func (w *work) history() time.Time {
	if w.j.doc.MaxHistoryDays == 0 {
		return time.Time{}
	}
	return w.began.AddDate(0, 0, -w.j.doc.MaxHistoryDays).Truncate(time.Second)
}

// request asks for the table with the types that it has.
func (w *work) request(known []columnar.Column) source.Request {
	req := source.Request{Table: w.j.doc, Scratch: w.dir, Jobs: jobsOf{w.u.s.o.Store, w.j.table.ID}}
	if w.j.doc.Schema == quarantine && req.Table.OnBadRow == "" {
		req.Table.OnBadRow = quarantine
	}
	for _, c := range known {
		if w.j.doc.Strategy != "full_refresh" || policyOf(w.j.doc, c.Name) != evolve {
			req.Types = append(req.Types, c)
		}
		for _, d := range w.j.doc.Columns { // what a column was named does not change its type
			if _, has := columnNamed(known, d.Name); !has && nameBefore(w.j.doc, known, d) == c.Name {
				req.Types = append(req.Types, columnar.Column{Name: d.Name, Type: c.Type})
			}
		}
	}
	return req
}

// jobsOf keeps a table's jobs in the store.
type jobsOf struct {
	store *store.Store
	table int64
}

func (j jobsOf) Begun(ctx context.Context, key string) (string, error) {
	return j.store.SourceJob(ctx, j.table, key)
}

func (j jobsOf) Note(ctx context.Context, key, job string) error {
	return j.store.SetSourceJob(context.WithoutCancel(ctx), j.table, key, job)
}

// reconcileDue tells whether rows that are gone at the source are to be looked for.
func (w *work) reconcileDue() bool {
	every := time.Duration(w.j.doc.ReconcileEvery)
	return every > 0 && w.usable && w.began.Sub(w.journal.Reconciled) >= every
}

// base is the table as it is: the files to go on from, or their columns alone when they cannot be used but the contract
// still counts.
func (w *work) base(files bool) (*content, error) {
	c, err := w.u.contentOf(w.j.doc, w.have)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", w.row.Table, err)
	}
	if !files {
		c.parts = nil
		if w.journal.Shape != w.shape && w.j.doc.Strategy != "full_refresh" {
			c.columns = nil // the description asks for another table
		}
	}
	return c, nil
}

// whole fetches all rows. They are the table, or go into it by key where it may have rows that the source no longer gives.
func (w *work) whole(ctx context.Context) (*lake.Change, error) {
	doc := w.j.doc
	conditional := len(doc.WhereFilters) > 0 || doc.RowFilter != ""
	replace := doc.Strategy == "full_refresh" || !w.usable || w.u.r.Full || w.reconcileDue() || doc.Strategy == "partitioned" && !conditional
	c, err := w.base(!replace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }()
	req := w.request(c.columns)
	if w.usable && !w.u.r.Full {
		req.Known = w.j.table.Fingerprint
	}
	d, err := w.u.fetchDelta(ctx, w.j, req, w.row, w.heldBytes())
	if err != nil {
		return nil, err
	}
	if d == nil {
		w.unchanged()
		return nil, nil
	}
	if err := w.take(ctx, c, d, replace); err != nil {
		return nil, err
	}
	j := store.Journal{Reconciled: w.journal.Reconciled, Shape: w.shape}
	if replace {
		j.Reconciled = w.began
	}
	return w.done(ctx, c, d, &j)
}

// take puts rows that came into the content.
func (w *work) take(ctx context.Context, c *content, d *delta, replace bool) (err error) {
	defer func() {
		kept := len(c.parts) > 0 && c.parts[0].staged == d.staged
		err = errors.Join(err, d.close(!kept))
	}()
	if err := c.agree(ctx, d, replace, w.row); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	w.row.Strategy = didMerge
	if replace || len(c.parts) == 0 {
		if replace {
			w.row.Strategy = didReplace
		}
		err = c.replace(ctx, d)
	} else {
		err = c.merge(ctx, d)
	}
	if err != nil {
		return w.named(err)
	}
	w.row.Quarantined += d.out.Quarantined + d.refused
	return nil
}

func (w *work) named(err error) error { return fmt.Errorf("table %s: %w", w.row.Table, err) }

// changes fetches what changed since the watermark, with an overlap for rows that the source showed late.
func (w *work) changes(ctx context.Context) (*lake.Change, error) {
	days := w.j.doc.IncrementalWindow
	if days == 0 {
		days = 7
	}
	c, err := w.base(true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }()
	req := w.request(c.columns)
	req.Window.Since = w.journal.Watermark.AddDate(0, 0, -days)
	req.Known = w.j.table.Fingerprint
	d, err := w.u.fetchDelta(ctx, w.j, req, w.row, w.heldBytes())
	if err != nil {
		return nil, err
	}
	if d == nil {
		w.unchanged()
		return nil, nil
	}
	if err := w.take(ctx, c, d, false); err != nil {
		return nil, err
	}
	j := store.Journal{Watermark: w.mark(d), Reconciled: w.journal.Reconciled, Shape: w.shape}
	if j.Watermark.Before(w.journal.Watermark) {
		j.Watermark = w.journal.Watermark
	}
	if w.reconcileDue() {
		if err := w.reconcile(ctx, c); err != nil {
			return nil, err
		}
		j.Reconciled = w.began
	}
	return w.done(ctx, c, d, &j)
}

// mark is the time up to which a fetch has all changes: what the source says, else when it was asked.
func (w *work) mark(d *delta) time.Time {
	if !d.result.DataTime.IsZero() && d.result.DataTime.Before(w.began) {
		return d.result.DataTime
	}
	return w.began
}

// reconcile asks the source for all its keys and takes away the rows of other keys.
func (w *work) reconcile(ctx context.Context, c *content) error {
	var keys []columnar.Column
	for _, k := range w.j.doc.PrimaryKey {
		if col, ok := columnNamed(c.columns, k); ok {
			keys = append(keys, col)
		}
	}
	req := w.request(keys)
	res, err := w.src.(source.KeyLister).Keys(ctx, req)
	if err != nil {
		return err
	}
	if res.Unchanged() {
		return w.named(fmt.Errorf("reconcile: the %s connector gave no keys, though none were known", w.src.Name()))
	}
	d, err := w.u.convert(ctx, w.j, res, req, w.row, 0)
	if err := errors.Join(err, res.Data.Close()); err != nil {
		return err
	}
	if err := c.reconcile(ctx, d, w.removes(d.out.Rows, res.Rows)); err != nil {
		return errors.Join(w.named(err), d.close(true))
	}
	return d.close(true)
}

func (w *work) heldBytes() (n int64) {
	for _, f := range w.have {
		n += f.Size
	}
	return n
}

// unchanged fills the row of a table whose source has nothing new.
func (w *work) unchanged() {
	w.row.Outcome = store.Unchanged
	for _, f := range w.have {
		w.row.Rows, w.row.Bytes = w.row.Rows+f.Rows, w.row.Bytes+f.Size
	}
}

// done makes the change that is to be published.
func (w *work) done(ctx context.Context, c *content, d *delta, j *store.Journal) (*lake.Change, error) {
	if w.row.Strategy == didReplace && d.out.Rows == 0 {
		if err := w.emptied(c, d.result.Rows); err != nil {
			return nil, err
		}
	}
	if err := c.finish(ctx); err != nil {
		return nil, w.named(err)
	}
	if w.row.Quarantined > 0 || w.j.doc.Strategy == "full_refresh" || w.row.Strategy == didReplace {
		if err := w.keepQuarantine(); err != nil {
			return nil, w.named(err)
		}
	}
	w.row.Rows, w.row.Bytes = c.rows(), c.size()
	if w.row.Strategy != didReplace {
		w.row.Reason = fmt.Sprintf("%d rows new, %d came again, %d removed", c.added, c.met, c.removed)
	}
	change := c.change(w.j.table)
	change.Fingerprint, change.DataTime, change.Journal = d.result.Fingerprint, d.result.DataTime, j
	return &change, nil
}
