package columnar

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Rows are some rows of a file, decoded and in memory.
type Rows struct {
	columns []Column
	vectors []vector
	pos     [][]int32
	n       int
}

// Bounds of the rows that are held in memory at a time.
const (
	maxRowsHeld  = 2_000_000
	maxBytesHeld = 64 << 20
)

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// ReadRows decodes row groups of a file, beginning with group, as the given columns, until there are as many rows as
// memory should hold; at least one group. next is the group to go on with, f.Groups() at the end.
func ReadRows(ctx context.Context, f *File, group int, columns []Column, workers int) (r *Rows, next int, err error) {
	r = &Rows{columns: columns, vectors: make([]vector, len(columns))}
	var held int64
	for next = group; next < f.Groups(); next++ {
		if next > group && (r.n+f.GroupRows(next) > maxRowsHeld || held+held/int64(next-group) > maxBytesHeld) {
			break
		}
		parts := make([]vector, len(columns))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(max(1, workers))
		for i := range columns {
			g.Go(func() error {
				if err := gctx.Err(); err != nil {
					return err
				}
				return f.readAs(next, columns[i], &parts[i])
			})
		}
		if err := g.Wait(); err != nil {
			return nil, 0, err
		}
		for i := range parts {
			held += parts[i].size()
			r.vectors[i].append(&parts[i])
		}
		r.n += f.GroupRows(next)
	}
	r.pos = make([][]int32, len(columns))
	for i := range r.vectors {
		r.pos[i] = r.vectors[i].positions()
	}
	return r, next, nil
}

// readAs decodes a column as another type; where the file does not have it, every row is null.
func (f *File) readAs(group int, c Column, v *vector) error {
	i := f.column(c.Name)
	if i < 0 {
		v.nulls(f.GroupRows(group))
		return nil
	}
	if err := f.read(group, i, v); err != nil {
		return err
	}
	if from := f.columns[i].Type; !SameStorage(from, c.Type) {
		return cast(v, from, c)
	}
	return nil
}

func (v *vector) append(w *vector) {
	v.levels = append(v.levels, w.levels...)
	v.ints = append(v.ints, w.ints...)
	v.shorts = append(v.shorts, w.shorts...)
	v.floats = append(v.floats, w.floats...)
	v.bools = append(v.bools, w.bools...)
	v.texts = append(v.texts, w.texts...)
	v.wides = append(v.wides, w.wides...)
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
			out[row] = v.bools[i]
		case Int64:
			out[row] = v.ints[i] != 0
		case Float64:
			out[row] = v.floats[i] != 0
		case String, JSON, Unknown:
			switch string(v.texts[i]) {
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
