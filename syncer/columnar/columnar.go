// Package columnar turns text into typed Parquet: it parses CSV in parallel blocks, checks and converts each cell, infers
// types over whole inputs, and writes one deterministic zstd-compressed file. It never decides which rows are asked for,
// and it is the only package of the sync engine that imports Arrow.
//
//	res, err := (&columnar.CSV{Table: "sales.orders", Inputs: inputs, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"', Header: true}}).WriteParquet(ctx, w, columnar.Options{})
package columnar

import (
	"context"
	"fmt"
	"io"
)

// Column is one column of a table. Format is a strptime pattern such as "%d.%m.%Y" for Date, Timestamp and Time columns;
// empty means ISO 8601.
type Column struct {
	Name   string
	Type   Type
	Format string
}

// Schema is a table's columns in order.
type Schema struct{ Columns []Column }

// Input is one text stream. Open is called once per pass over the rows, of which there may be up to four.
type Input struct {
	Name     string                                           // as errors show it, for example "orders.csv"
	Open     func(ctx context.Context) (io.ReadCloser, error) // UTF-8 without a byte order mark, inflated
	Consumed func() int64                                     // bytes of the source read so far; nil = bytes of text count
}

// Dialect is how the text stands for cells.
type Dialect struct {
	Delimiter       byte
	Quote           byte // 0 = no quoting
	Header          bool
	NullTokens      []string // unquoted cells that mean null, beside the empty one
	DecimalComma    bool
	DateFormat      string // strptime pattern for date columns that have no format of their own
	TimestampFormat string
}

// point is the decimal sign.
func (d *Dialect) point() byte {
	if d.DecimalComma {
		return ','
	}
	return '.'
}

// BadRowPolicy says what happens with a row that does not fit.
type BadRowPolicy string

// The policies.
const (
	Fail       BadRowPolicy = "fail"       // the conversion ends with a *CellError
	Quarantine BadRowPolicy = "quarantine" // the row goes to the side file and is counted
)

// CSV is a table's rows as CSV text (RFC 4180): the concatenation of its inputs, which share one header.
type CSV struct {
	Table      string // as errors show it, for example "sales.orders"
	Inputs     []Input
	Dialect    Dialect
	Declared   []Column // these types win; columns that are not named here are inferred
	Known      []Column // what the table is stored as: wins over inference, where the header has the column
	Only       []string // read only these columns, in this order; nil = all
	OnBadRow   BadRowPolicy
	Quarantine func() (io.WriteCloser, error) // opened at the first bad row under the quarantine policy
}

// Options tune a conversion. They never change the resulting bytes, except for BlockSize, which decides where row groups end.
type Options struct {
	Workers   int                          // goroutines that parse and encode; 0 = cores
	BlockSize int                          // bytes of text per block; 0 = 8 MiB
	Progress  func(inputBytes, rows int64) // called now and then, from one goroutine
}

// Sink takes the bytes of the file. Reset takes all of them back: a conversion that finds its assumptions wrong begins again.
type Sink interface {
	io.Writer
	Reset() error
}

// Result is what a conversion did.
type Result struct {
	Rows        int64
	Bytes       int64 // of the Parquet file
	Schema      Schema
	Quarantined int64
	Warnings    []string
	RowGroups   int
}

// CellError tells of text that does not fit its table. Line counts physical lines from 1, so that an editor finds it.
type CellError struct {
	File     string
	Line     int64
	Column   string // empty when the row as a whole is meant
	ColumnNo int    // from 1
	Value    string // at most 200 bytes of it
	Reason   string
}

func (e *CellError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s:%d: %s: fix the row, or set on_bad_row: quarantine", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d: column %s (%d): %q %s: fix the cell, declare the column as string, or set on_bad_row: quarantine",
		e.File, e.Line, e.Column, e.ColumnNo, e.Value, e.Reason)
}

// maxRowGroupRows bounds a row group by rows, as readers such as DuckDB work on row groups in parallel.
const maxRowGroupRows = 122_880

// maxRowGroupBytes bounds a row group by the bytes of its values in memory.
const maxRowGroupBytes = 64 << 20

const defaultBlockSize = 8 << 20

// maxBlockSize bounds a block of a wide table: its cells take several times as much memory as its text, for each worker.
const maxBlockSize = 16 << 20

// maxRecord bounds one record: positions in a block are kept in 30 bits.
const maxRecord = 512 << 20
