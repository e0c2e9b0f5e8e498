package columnar

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Rows are some rows of a file, decoded and in memory.
type Rows struct {
	columns []Column
	vectors []Vector
	pos     [][]int32
	n       int
	held    int64 // bytes of memory, about
}

// Bounds of the rows that are held in memory at a time.
const (
	maxRowsHeld  = 2_000_000
	maxBytesHeld = 64 << 20
)

// Rounds tells whether a file has more rows than ReadRows holds at a time, judged by its footer.
func Rounds(f *Reader) bool {
	var bytes int64
	for g := range f.RowGroups() {
		bytes += f.meta().RowGroups[g].TotalByteSize
	}
	return f.RowGroups() > 1 && (f.Rows() > int64(f.hold) || bytes > maxBytesHeld)
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// Misfit is a cell that its column's type cannot hold.
type Misfit struct {
	Row    int32
	Column string
	From   Type
	Value  string
}

// ReadRows decodes row groups of a file, beginning with group, as the given columns, until there are as many rows as
// memory should hold; at least one group. next is the group to go on with, f.RowGroups() at the end. A value that does not
// fit its column is a *CastError, unless misfits is given, which takes it; the cell is null then.
func ReadRows(ctx context.Context, f *Reader, group int, columns []Column, workers int, misfits *[]Misfit) (r *Rows, next int, err error) {
	r = &Rows{columns: columns, vectors: make([]Vector, len(columns))}
	for next = group; next < f.RowGroups(); next++ {
		if next > group && (r.n+int(f.GroupRows(next)) > f.hold || r.held+r.held/int64(next-group) > maxBytesHeld) {
			break
		}
		parts, bad := make([]Vector, len(columns)), make([][]Misfit, len(columns))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(max(1, workers))
		for i := range columns {
			g.Go(func() error {
				if err := gctx.Err(); err != nil {
					return err
				}
				err := f.readAs(next, columns[i], &parts[i])
				var cast *CastError
				if misfits == nil || !errors.As(err, &cast) {
					return err
				}
				for k, row := range cast.rows {
					bad[i] = append(bad[i], Misfit{row + int32(r.n), columns[i].Name, cast.From, cast.values[k]})
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, 0, err
		}
		for i := range parts {
			if misfits != nil {
				*misfits = append(*misfits, bad[i]...)
			}
			r.held += parts[i].held()
			r.vectors[i].append(&parts[i])
		}
		r.n += int(f.GroupRows(next))
	}
	r.pos = make([][]int32, len(columns))
	for i := range r.vectors {
		r.vectors[i].Type = columns[i].Type
		r.pos[i] = r.vectors[i].Places(nil)
	}
	return r, next, nil
}

func (v *Vector) append(w *Vector) {
	v.Levels, v.Nulls = append(v.Levels, w.Levels...), v.Nulls+w.Nulls
	v.Ints = append(v.Ints, w.Ints...)
	v.Days = append(v.Days, w.Days...)
	v.Floats = append(v.Floats, w.Floats...)
	v.Bools = append(v.Bools, w.Bools...)
	v.Texts = append(v.Texts, w.Texts...)
	v.Wides = append(v.Wides, w.Wides...)
}

func (r *Rows) column(name string) (int, error) {
	i := slices.IndexFunc(r.columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("there is no column %s", name)
	}
	return i, nil
}

// Text gives a cell as text for people; ok is false when it is null.
func (r *Rows) Text(row, column int) (text string, ok bool) {
	v := &r.vectors[column]
	i := at(r.pos[column], row)
	if i < 0 {
		return "", false
	}
	return string(format(nil, v, i, r.columns[column].Type)), true
}

// Columns are the rows' columns.
func (r *Rows) Columns() []Column { return r.columns }

// Truthy tells for each row whether a column marks it: true, a number other than 0, a time, or a text that is none of
// "", 0, f, n, no, false.
func (r *Rows) Truthy(name string) ([]bool, error) {
	c, err := r.column(name)
	if err != nil {
		return nil, err
	}
	out := make([]bool, r.n)
	v, kind := &r.vectors[c], r.columns[c].Type.Kind
	for row := range out {
		i := at(r.pos[c], row)
		if i < 0 {
			continue
		}
		switch kind {
		case Bool:
			out[row] = v.Bools[i]
		case Int64:
			out[row] = v.Ints[i] != 0
		case Float64:
			out[row] = v.Floats[i] != 0
		case String, JSON, Unknown:
			switch string(v.Texts[i]) {
			case "", "0", "f", "F", "n", "N", "no", "No", "NO", "false", "False", "FALSE":
			default:
				out[row] = true
			}
		case Decimal:
			text := format(nil, v, i, r.columns[c].Type)
			out[row] = slices.ContainsFunc(text, func(b byte) bool { return b >= '1' && b <= '9' })
		default:
			out[row] = true
		}
	}
	return out, nil
}
