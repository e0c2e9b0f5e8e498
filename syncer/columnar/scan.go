package columnar

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
)

// File is an open Parquet file that was written by this package. Its row groups may be read from several goroutines.
type File struct {
	at      io.ReaderAt
	r       *file.Reader
	columns []Column
}

// OpenFile reads the footer. The bytes must stay readable until the File is no longer used.
func OpenFile(at io.ReaderAt, size int64) (f *File, err error) {
	defer guard(&err)
	if err := registerCodec(); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	r, err := file.NewParquetReader(io.NewSectionReader(at, 0, size))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	f = &File{at: at, r: r}
	sc := r.MetaData().Schema
	for i := range sc.NumColumns() {
		f.columns = append(f.columns, Column{Name: sc.Column(i).Name(), Type: typeOf(sc.Column(i))})
	}
	return f, nil
}

// guard turns a panic, with which Arrow answers damaged files, into an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = errors.Join(*err, fmt.Errorf("parquet: damaged file: %v", p))
	}
}

// Columns are the columns as the file has them; what is stored as text is of type string.
func (f *File) Columns() []Column { return f.columns }

// Rows is the number of rows.
func (f *File) Rows() int64 { return f.r.NumRows() }

// Groups is the number of row groups.
func (f *File) Groups() int { return f.r.NumRowGroups() }

// GroupRows is the number of rows of a row group.
func (f *File) GroupRows(group int) int { return int(f.r.MetaData().RowGroups[group].NumRows) }

// groupBytes is the size of a row group before compression.
func (f *File) groupBytes(group int) int64 { return f.r.MetaData().RowGroups[group].TotalByteSize }

func (f *File) meta() *metadata.FileMetaData { return f.r.MetaData() }

// column finds a column by name; -1 = the file does not have it.
func (f *File) column(name string) int {
	return slices.IndexFunc(f.columns, func(c Column) bool { return c.Name == name })
}

// read decodes one column of one row group. Texts point into pages that the vector keeps alive.
func (f *File) read(group, column int, v *vector) (err error) {
	defer guard(&err)
	v.reset()
	rows := f.GroupRows(group)
	v.levels = slices.Grow(v.levels, rows)[:rows]
	rd, err := f.r.RowGroup(group).Column(column)
	if err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	switch rd := rd.(type) {
	case *file.BooleanColumnChunkReader:
		v.bools, err = readColumn(rd.ReadBatch, v.bools, v.levels)
	case *file.Int32ColumnChunkReader:
		v.shorts, err = readColumn(rd.ReadBatch, v.shorts, v.levels)
	case *file.Int64ColumnChunkReader:
		v.ints, err = readColumn(rd.ReadBatch, v.ints, v.levels)
	case *file.Float64ColumnChunkReader:
		v.floats, err = readColumn(rd.ReadBatch, v.floats, v.levels)
	case *file.ByteArrayColumnChunkReader:
		v.texts, err = readColumn(rd.ReadBatch, v.texts, v.levels)
	case *file.FixedLenByteArrayColumnChunkReader:
		v.wides, err = readColumn(rd.ReadBatch, v.wides, v.levels)
	default:
		err = fmt.Errorf("parquet: no reader for %T", rd)
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", f.columns[column].Name, err)
	}
	return nil
}

// readColumn reads a whole column chunk: a level for each row, and the values of those that have one.
func readColumn[T any](read func(int64, []T, []int16, []int16) (int64, int, error), values []T, levels []int16) ([]T, error) {
	values = slices.Grow(values[:0], len(levels))[:len(levels)]
	rows, have := 0, 0
	for rows < len(levels) {
		n, got, err := read(int64(len(levels)-rows), values[have:], levels[rows:], nil)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("parquet: a column has fewer rows than its file says")
		}
		rows, have = rows+int(n), have+got
	}
	return values[:have], nil
}

// size estimates the memory of a vector's values.
func (v *vector) size() int64 {
	n := int64(len(v.levels)*2 + len(v.ints)*8 + len(v.shorts)*4 + len(v.floats)*8 + len(v.bools) + (len(v.texts)+len(v.wides))*24)
	for _, t := range v.texts {
		n += int64(len(t))
	}
	return n + int64(len(v.wides)*16)
}

// count is the number of values that are not null.
func (v *vector) count() int {
	return len(v.ints) + len(v.shorts) + len(v.floats) + len(v.bools) + len(v.texts) + len(v.wides)
}

// nulls makes the vector n rows without a value.
func (v *vector) nulls(n int) {
	v.reset()
	v.levels = slices.Grow(v.levels, n)[:n]
	clear(v.levels)
}

// positions gives for each row the place of its value, or -1; nil when every row has one at its own place.
func (v *vector) positions() []int32 {
	if v.count() == len(v.levels) {
		return nil
	}
	pos, next := make([]int32, len(v.levels)), int32(0)
	for i, l := range v.levels {
		if l == 0 {
			pos[i] = -1
			continue
		}
		pos[i] = next
		next++
	}
	return pos
}

func at(pos []int32, row int) int {
	if pos == nil {
		return row
	}
	return int(pos[row])
}

// SameStorage tells whether two types are stored the same way, so that bytes of one are bytes of the other.
func SameStorage(a, b Type) bool { return stored(a) == stored(b) }

func stored(t Type) Type {
	if t.Kind == JSON || t.Kind == Unknown {
		return Type{Kind: String}
	}
	return t
}
