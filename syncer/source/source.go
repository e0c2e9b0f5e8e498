// Package source is the contract between the sync engine and a connector: how a table's rows are asked for and what may
// come back. It holds no connector and no state; package sourcetest is the suite that every connector must pass.
//
//	res, err := src.Fetch(ctx, source.Request{Table: t, Known: fingerprint, Scratch: dir})
package source

import (
	"context"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"
)

// Source is one kind of place that tables come from.
type Source interface {
	// Name is what data_source.type and a table's source key call it.
	Name() string

	// Fetch looks at a table's source. It answers one of three things: unchanged (Result.Data is nil), data (possibly with
	// zero rows, which is an empty table), or an error. An error is never reported as unchanged or empty. Spooled input
	// may be kept in Request.Scratch, which Fetch makes when it needs it, until Data is closed.
	Fetch(ctx context.Context, r Request) (*Result, error)
}

// Request asks for a table.
type Request struct {
	Table   datadoc.Table
	Known   string            // fingerprint of what was published last; "" = fetch whatever it is
	Window  Window            // only rows that changed in it; the zero Window is all rows
	Types   []columnar.Column // the types that the table has in the lake; they win over inference, declared ones win over them
	Scratch string            // a folder for spooled input and side files; it is there once Data is read
	Jobs    Jobs              // may be nil
}

// Jobs remembers, beyond the end of a run, what a connector has under way at the table's source and cannot call off. key
// names what was asked for; a job of another key is never the answer.
type Jobs interface {
	Begun(ctx context.Context, key string) (job string, err error) // "" = none
	Note(ctx context.Context, key, job string) error               // "" = it is done with
}

// Window is a span of change times by the source's own clock: from Since (included) to Until (not included). A zero time
// is an open end.
type Window struct{ Since, Until time.Time }

// All tells whether the window bounds nothing.
func (w Window) All() bool { return w.Since.IsZero() && w.Until.IsZero() }

// Windowed is a Source that can give only the rows that changed in a window. A source that is not Windowed is never asked
// for one.
type Windowed interface {
	// CanWindow tells why a table cannot be asked for by window; nil when it can.
	CanWindow(t datadoc.Table) error
}

// Filtering is a Source that applies where_filters, row_filter and max_history_days itself, in every Fetch and Keys. A table
// that has one of them is refused, before it is fetched, where its source is not Filtering or gives a reason.
type Filtering interface {
	// CanFilter tells which of the table's conditions the source cannot apply; nil when it applies them all.
	CanFilter(t datadoc.Table) error
}

// Queryable is a Source whose tables can also be queried where they are.
type Queryable interface {
	// HowToQuery tells an analyst, in Markdown, how to query a table whose query_mode is remote or hybrid.
	HowToQuery(t datadoc.Table) string
}

// KeyLister is a Source that can list the primary keys of all rows that a table has now, so that rows which were deleted
// at the source are found.
type KeyLister interface {
	// Keys answers like Fetch, with the primary key columns alone.
	Keys(ctx context.Context, r Request) (*Result, error)
}

// QuarantineFile is the name, in Request.Scratch, of the side file that keeps rows which were not taken.
const QuarantineFile = "quarantine.csv"

// Result is the answer. Fingerprint tells this state of the source apart from any other one.
type Result struct {
	Data        Data
	Fingerprint string
	DataTime    time.Time // as of when the rows are, by the source's own clock
	Size        int64     // bytes to read, for progress and for the check of free space; -1 = unknown
	Rows        *int64    // how many rows there are by the source's own count, not by reading them; nil = it does not say
}

// Unchanged tells whether the source is in the state that Request.Known named.
func (r *Result) Unchanged() bool { return r.Data == nil }

// Data is a table's rows, not yet read.
type Data interface {
	// WriteParquet reads all rows and writes one Parquet file with the same bytes each time.
	WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error)
	// Settled tells, after the rows were read, whether the source stayed as it was meanwhile.
	Settled(ctx context.Context) error
	// Close frees what Fetch opened or spooled.
	Close() error
}
