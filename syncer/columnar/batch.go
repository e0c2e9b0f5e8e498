package columnar

import "github.com/apache/arrow/go/v17/parquet"

// Vector is one column of some rows: the values without nulls, close together in the slice that belongs to the type, and
// for each row whether it has one. A Reader may give a column with its dictionary instead: then Codes has, for each value,
// its place in Dict, and the slices of values are empty.
type Vector struct {
	Type   Type
	Levels []int16 // for each row: 1 = a value, 0 = null
	Nulls  int

	Ints   []int64 // Int64, Timestamp, Time, Decimal of up to 18 digits (times ten to the power of Scale)
	Days   []int32 // Date
	Floats []float64
	Bools  []bool
	Texts  []parquet.ByteArray         // String, JSON
	Wides  []parquet.FixedLenByteArray // Decimal of more than 18 digits: two's complement, big endian

	Codes []uint32
	Dict  *Vector
}

// Batch is some rows of a table: one vector for each column, all of the same number of rows.
type Batch struct {
	Rows    int
	Columns []Vector
}

// Reset empties a vector and keeps its memory for the next rows. Texts of the old rows are let go.
func (v *Vector) Reset() {
	clear(v.Texts)
	clear(v.Wides)
	*v = Vector{Type: v.Type, Levels: v.Levels[:0], Ints: v.Ints[:0], Days: v.Days[:0], Floats: v.Floats[:0], Bools: v.Bools[:0],
		Texts: v.Texts[:0], Wides: v.Wides[:0], Codes: v.Codes[:0]}
}

// Places gives for each row the index of its value, -1 for null. Without nulls that is the row itself, and Places gives nil.
func (v *Vector) Places(into []int32) []int32 {
	if v.Nulls == 0 {
		return nil
	}
	into = into[:0]
	next := int32(0)
	for _, l := range v.Levels {
		if l == 0 {
			into = append(into, -1)
			continue
		}
		into = append(into, next)
		next++
	}
	return into
}

// Values is how many rows are not null.
func (v *Vector) Values() int { return len(v.Levels) - v.Nulls }

// size is about how many bytes the values take in memory, which bounds a row group.
func (v *Vector) size() int {
	n := 2*len(v.Levels) + 8*len(v.Ints) + 4*len(v.Days) + 8*len(v.Floats) + len(v.Bools)
	for _, t := range v.Texts {
		n += len(t)
	}
	for _, w := range v.Wides {
		n += len(w)
	}
	return n
}
