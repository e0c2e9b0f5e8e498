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
		return cast(v, from, c)
	}
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
