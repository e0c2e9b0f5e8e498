package syncer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aida/store"
	"aida/syncer/lake"
	"aida/syncer/source"
)

// defaultChunkDays is the width of a step of a first load with a known beginning, as in the reference.
const defaultChunkDays = 30

// steps cuts a load into windows, oldest first: what changes at the source while it is loaded moves to a later window and
// is fetched there again. Without a beginning there is one step.
func (w *work) steps(l store.Load) []source.Window {
	end := l.Until
	if end.IsZero() {
		end = w.began
	}
	days := w.j.doc.InitialLoadChunkDays
	if days == 0 {
		days = defaultChunkDays
	}
	from := l.Next
	if from.IsZero() {
		from = l.Since
	}
	if from.IsZero() {
		return []source.Window{{Until: l.Until}}
	}
	var out []source.Window
	for next := from.AddDate(0, 0, days); next.Before(end); next = next.AddDate(0, 0, days) {
		out = append(out, source.Window{Since: from, Until: next})
		from = next
	}
	return append(out, source.Window{Since: from, Until: l.Until})
}

// load fetches a span of time step by step. The rows of finished steps are kept unseen, so that after a kill the load goes
// on with the step that was under way. whole tells that it is the table from its beginning, on which the watermark follows.
func (w *work) load(ctx context.Context, l store.Load, whole bool) (*lake.Change, error) {
	l.TableID, l.Shape, l.StartedAt = w.j.table.ID, w.shape, w.began
	c, err := w.base(!whole)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }()
	if !whole {
		l.Base = baseOf(w.have)
	}
	begun := false
	left, err := w.u.s.o.Store.Load(ctx, w.j.table.ID)
	if err != nil {
		return nil, err
	}
	if left != nil && w.fits(*left, l) {
		l, begun = *left, true
		if c, err = w.u.contentOf(w.j.doc, left.Files); err != nil {
			return nil, err
		}
		w.u.s.o.Log.Info("a load that was cut short goes on", "table", w.row.Table, "from", l.Next)
	}
	steps := w.steps(l)
	for i, window := range steps {
		req := w.request(c.columns)
		req.Window = window
		began := time.Now().UTC()
		d, err := w.u.fetchDelta(ctx, w.j, req, w.row, w.heldBytes())
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, w.named(fmt.Errorf("the %s connector gave no rows of a window, though none were known", w.src.Name()))
		}
		if err := w.take(ctx, c, d, whole && !begun); err != nil {
			return nil, err
		}
		begun = true
		if i < len(steps)-1 {
			l.Next = window.Until
			if c, err = w.hold(ctx, c, l); err != nil {
				return nil, err
			}
			continue
		}
		w.began = began
		j := store.Journal{Watermark: w.journal.Watermark, Reconciled: w.journal.Reconciled, Shape: w.shape}
		w.row.Strategy = didBackfill
		if whole {
			w.row.Strategy = didReplace
			j.Watermark, j.Reconciled = w.mark(d), began
		}
		return w.done(ctx, c, d, &j)
	}
	return nil, w.named(fmt.Errorf("the asked-for time is empty: --since must lie before --until"))
}

// fits tells whether a load that was cut short is the one that is asked for now, and its files are still there.
func (w *work) fits(left, now store.Load) bool {
	if left.Kind != now.Kind || left.Shape != now.Shape || left.Base != now.Base || !left.Until.Equal(now.Until) ||
		now.Kind != "first" && !left.Since.Equal(now.Since) { // the beginning of a first load moves with the day
		return false
	}
	return !slices.ContainsFunc(left.Files, func(f store.File) bool { return !w.u.s.o.Lake.Has(f) })
}

// hold keeps what is loaded so far.
func (w *work) hold(ctx context.Context, c *content, l store.Load) (*content, error) {
	if err := c.finish(ctx); err != nil {
		return nil, w.named(err)
	}
	files, err := w.u.s.o.Lake.Hold(context.WithoutCancel(ctx), l, c.change(w.j.table))
	if err != nil {
		return nil, err
	}
	next, err := w.u.contentOf(w.j.doc, files)
	if err != nil {
		return nil, err
	}
	next.counts = c.counts
	return next, nil
}

// backfill fetches the time that was asked for and leaves the watermark where it is.
func (w *work) backfill(ctx context.Context) (*lake.Change, error) {
	r := w.u.r.window()
	change, err := w.load(ctx, store.Load{Kind: "backfill", Since: r.Since, Until: r.Until}, !w.usable)
	if err != nil {
		return nil, err
	}
	change.Backfill = w.usable
	if !w.usable { // part of the table only: the next sync loads it from its beginning
		change.Journal.Watermark, change.Fingerprint = time.Time{}, ""
	}
	w.row.Strategy = didBackfill
	return change, nil
}

// baseOf names a set of files.
func baseOf(files []store.File) string {
	var b strings.Builder
	for _, f := range files {
		b.WriteString(f.Logical + " " + f.Hash[:min(len(f.Hash), 16)] + "\n")
	}
	return b.String()
}
