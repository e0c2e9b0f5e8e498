package columnar

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Reader reads a Parquet file of the lake, row group by row group and only the columns that are asked for. It is safe for
// concurrent use as long as each goroutine reads into a Batch of its own.
//
//	r, err := columnar.OpenReader(f, size)
//	for g := range r.RowGroups() {
//		err := r.Read(g, []int{0, 3}, columnar.ReadOptions{}, &batch)
//	}
type Reader struct {
	f      *file.Reader
	at     io.ReaderAt
	schema Schema
	older  map[string]int // name of a column -> the one that it was before, see Renamed
	hold   int            // rows that ReadRows takes at a time
}

// OpenReader reads the footer. The reader does not close r.
func OpenReader(r io.ReaderAt, size int64) (rd *Reader, err error) {
	defer recovered(&err)
	if err := registerCodec(); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	f, err := file.NewParquetReader(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	rd = &Reader{f: f, at: r, hold: maxRowsHeld}
	sc := f.MetaData().Schema
	for i := range sc.NumColumns() {
		c := sc.Column(i)
		if c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 {
			return nil, fmt.Errorf("parquet: column %s: nested columns are not kept in the lake", c.Path())
		}
		rd.schema.Columns = append(rd.schema.Columns, Column{Name: c.Name(), Type: typeOf(c)})
	}
	return rd, nil
}

// recovered turns a panic over damaged bytes, which Arrow and the decoders raise, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("parquet: damaged file: %v", p)
	}
}

// Hold has ReadRows take at most n rows at a time, 0 = two million.
func (r *Reader) Hold(n int) {
	if n > 0 {
		r.hold = min(n, maxRowsHeld)
	}
}

// Schema gives the columns in the order of the file.
func (r *Reader) Schema() Schema { return r.schema }

// Column gives the index of a column, -1 when the file does not have it.
func (r *Reader) Column(name string) int {
	i := slices.IndexFunc(r.schema.Columns, func(c Column) bool { return c.Name == name })
	if old, ok := r.older[name]; ok && i < 0 {
		return old
	}
	return i
}

// Renamed tells that a column is the one that has another name in this file. Where the file has both, rows in which the new
// one is null have the old one's value.
func (r *Reader) Renamed(from, to string) {
	if i := r.Column(from); i >= 0 {
		if r.older == nil {
			r.older = map[string]int{}
		}
		r.older[to] = i
	}
}

// both gives the two columns that hold a column's values; ok is false where one does.
func (r *Reader) both(name string) (now, old int, ok bool) {
	old, ok = r.older[name]
	now = r.Column(name)
	return now, old, ok && now != old
}

// Rows is the number of rows in the file.
func (r *Reader) Rows() int64 { return r.f.NumRows() }

// RowGroups is the number of row groups in the file.
func (r *Reader) RowGroups() int { return r.f.NumRowGroups() }

// GroupRows is the number of rows in a row group.
func (r *Reader) GroupRows(group int) int64 { return r.f.MetaData().RowGroups[group].NumRows }

// ReadOptions say how columns come.
type ReadOptions struct {
	// Dictionaries leaves a column that is dictionary-encoded throughout a row group as codes and their dictionary.
	Dictionaries bool
}

// Read reads columns of one row group, nil = all of them. The memory of b is used again, so its values are good until the
// next Read into it.
func (r *Reader) Read(group int, columns []int, o ReadOptions, b *Batch) (err error) {
	defer recovered(&err)
	if columns == nil {
		for i := range r.schema.Columns {
			columns = append(columns, i)
		}
	}
	rg := r.f.RowGroup(group)
	b.Rows = int(rg.NumRows())
	if len(b.Columns) != len(columns) {
		b.Columns = make([]Vector, len(columns))
	}
	for i, c := range columns {
		v := &b.Columns[i]
		v.Type = r.schema.Columns[c].Type
		v.Reset()
		pages, err := rg.GetColumnPageReader(c)
		if err == nil {
			d := decoder{v: v, column: r.f.MetaData().Schema.Column(c), rows: b.Rows, keep: o.Dictionaries}
			err = d.chunk(pages)
		}
		if err != nil {
			return fmt.Errorf("parquet: row group %d, column %s: %w", group, r.schema.Columns[c].Name, err)
		}
	}
	return nil
}

// Bounds are what the footer says of a column in a row group. Min and Max are vectors of one value each, and nil when they
// are not known; a text longer than 4 KiB is not kept as a bound.
type Bounds struct {
	Nulls    int64
	Min, Max *Vector
}

// Bounds reads what the footer says of a column in a row group.
func (r *Reader) Bounds(group, column int) (b Bounds, err error) {
	defer recovered(&err)
	chunk, err := r.f.MetaData().RowGroup(group).ColumnChunk(column)
	if err != nil {
		return b, fmt.Errorf("parquet: %w", err)
	}
	stats, err := chunk.Statistics()
	if err != nil || stats == nil {
		return b, err
	}
	b.Nulls = stats.NullCount()
	if !stats.HasMinMax() {
		return b, nil
	}
	encoded, err := stats.Encode()
	if err != nil {
		return b, fmt.Errorf("parquet: statistics: %w", err)
	}
	b.Min, b.Max = r.bound(column, stats, encoded.Min, encoded.HasMin), r.bound(column, stats, encoded.Max, encoded.HasMax)
	return b, nil
}

func (r *Reader) bound(column int, stats metadata.TypedStatistics, value []byte, has bool) *Vector {
	if !has || len(value) > 4096 {
		return nil
	}
	v := &Vector{Type: r.schema.Columns[column].Type, Levels: []int16{1}}
	if stats.Type() == parquet.Types.ByteArray {
		v.Texts = append(v.Texts, value)
		return v
	}
	d := decoder{v: v, column: r.f.MetaData().Schema.Column(column)}
	d.plain(v, value, 1)
	return v
}

// ReadSchema reads a Parquet file's footer: its columns and number of rows.
func ReadSchema(r io.ReaderAt, size int64) (s Schema, rows int64, err error) {
	rd, err := OpenReader(r, size)
	if err != nil {
		return s, 0, err
	}
	return rd.schema, rd.Rows(), nil
}

func typeOf(c *schema.Column) Type {
	switch l := c.LogicalType().(type) {
	case schema.DateLogicalType:
		return Type{Kind: Date}
	case *schema.TimestampLogicalType:
		return Type{Kind: Timestamp, Zoned: l.IsAdjustedToUTC()}
	case *schema.TimeLogicalType:
		return Type{Kind: Time}
	case *schema.DecimalLogicalType:
		return Type{Kind: Decimal, Precision: int(l.Precision()), Scale: int(l.Scale())}
	case schema.JSONLogicalType:
		return Type{Kind: JSON}
	}
	switch c.PhysicalType() {
	case parquet.Types.Boolean:
		return Type{Kind: Bool}
	case parquet.Types.Int32, parquet.Types.Int64:
		return Type{Kind: Int64}
	case parquet.Types.Float, parquet.Types.Double:
		return Type{Kind: Float64}
	}
	return Type{Kind: String}
}
