package columnar

import "github.com/apache/arrow/go/v17/parquet/metadata"

func (r *Reader) meta() *metadata.FileMetaData { return r.f.MetaData() }

// readOne decodes one column of one row group.
func (r *Reader) readOne(group, column int, v *Vector) error {
	b := Batch{Columns: []Vector{*v}}
	err := r.Read(group, []int{column}, ReadOptions{}, &b)
	*v = b.Columns[0]
	return err
}

// readAs decodes a column as another type; where the file does not have it, every row is null.
func (r *Reader) readAs(group int, c Column, v *Vector) error {
	i := r.Column(c.Name)
	if i < 0 {
		v.setNulls(int(r.GroupRows(group)))
		return nil
	}
	if err := r.readOne(group, i, v); err != nil {
		return err
	}
	if from := r.schema.Columns[i].Type; !SameStorage(from, c.Type) {
		if err := cast(v, from, c); err != nil {
			return err
		}
	}
	if _, old, ok := r.both(c.Name); ok && v.Nulls > 0 {
		return r.fill(group, old, c, v)
	}
	return nil
}

// fill gives the rows that are null the values of an older column.
func (r *Reader) fill(group, old int, c Column, v *Vector) error {
	var w Vector
	if err := r.readOne(group, old, &w); err != nil {
		return err
	}
	if from := r.schema.Columns[old].Type; !SameStorage(from, c.Type) {
		if err := cast(&w, from, c); err != nil {
			return err
		}
	}
	now, was := v.Places(nil), w.Places(nil)
	out := Vector{Type: c.Type}
	for row := range v.Levels {
		if i := at(now, row); i >= 0 {
			out.one(v, i)
		} else {
			out.one(&w, at(was, row))
		}
	}
	*v = out
	return nil
}

// held estimates the memory of a vector's values with that of where they are.
func (v *Vector) held() int64 { return int64(v.size() + 24*(len(v.Texts)+len(v.Wides))) }

// setNulls makes the vector n rows without a value.
func (v *Vector) setNulls(n int) {
	v.Reset()
	v.Levels, v.Nulls = grow(v.Levels, n), n
	clear(v.Levels)
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
