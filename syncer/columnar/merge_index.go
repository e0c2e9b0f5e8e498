package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
)

// Index finds rows by their key, of one or more columns of any type. A null is a key of its own. Of rows with the same
// key the last one counts.
type Index struct {
	rows     *Rows
	columns  []Column // of the key
	at       []int    // where Rows has them
	seed     maphash.Seed
	hashes   []uint64
	slots    []int32 // row + 1
	replaced []bool  // a later row has the same key
	low      []byte  // range of the first key column
	high     []byte
}

// NewIndex makes an index of rows.
func NewIndex(rows *Rows, key []string) (*Index, error) {
	x := &Index{rows: rows, seed: maphash.MakeSeed(), replaced: make([]bool, rows.n)}
	for _, name := range key {
		i, err := rows.column(name)
		if err != nil {
			return nil, fmt.Errorf("primary key: %w", err)
		}
		x.columns, x.at = append(x.columns, rows.columns[i]), append(x.at, i)
	}
	if len(key) == 0 {
		return nil, errors.New("primary key: it has no columns")
	}
	vectors := make([]*Vector, len(x.at))
	for i, c := range x.at {
		vectors[i] = &rows.vectors[c]
	}
	x.hashes = x.hash(nil, vectors, rows.n)
	size := 1 << bits.Len(uint(rows.n*2))
	x.slots = make([]int32, size)
	for row := range rows.n {
		slot := x.hashes[row] & uint64(size-1)
		for {
			have := x.slots[slot]
			if have == 0 {
				x.slots[slot] = int32(row + 1)
				break
			}
			if prev := int(have - 1); x.hashes[prev] == x.hashes[row] && x.same(prev, row) {
				x.replaced[prev] = true
				x.slots[slot] = int32(row + 1)
				break
			}
			slot = (slot + 1) & uint64(size-1)
		}
	}
	x.low, x.high = keyRange(vectors[0], x.columns[0].Type)
	return x, nil
}

func (x *Index) same(a, b int) bool {
	for _, c := range x.at {
		v, pos := &x.rows.vectors[c], x.rows.pos[c]
		i, j := at(pos, a), at(pos, b)
		if (i < 0) != (j < 0) || i >= 0 && !sameKey(v, i, v, j) {
			return false
		}
	}
	return true
}

// sameKey is equal, but 0 and -0 are one key, and so are all NaN.
func sameKey(a *Vector, i int, b *Vector, j int) bool {
	if len(a.Floats) > 0 {
		return floatKey(a.Floats[i]) == floatKey(b.Floats[j])
	}
	return equal(a, i, b, j)
}

func floatKey(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

// hash computes one number per row over the key columns.
func (x *Index) hash(out []uint64, key []*Vector, n int) []uint64 {
	out = slices.Grow(out[:0], n)[:n]
	clear(out)
	for _, v := range key {
		next := 0
		step := func(value func(int) uint64) {
			for row, l := range v.Levels {
				h := uint64(0x9E3779B97F4A7C15)
				if l == 1 {
					h = value(next)
					next++
				}
				hi, lo := bits.Mul64(out[row]^h^0xA0761D6478BD642F, 0xE7037ED1A0B428DB)
				out[row] = hi ^ lo
			}
		}
		switch {
		case len(v.Ints) == n: // the usual key
			for row, k := range v.Ints {
				hi, lo := bits.Mul64(out[row]^uint64(k)^0xA0761D6478BD642F, 0xE7037ED1A0B428DB)
				out[row] = hi ^ lo
			}
		case len(v.Ints) > 0:
			step(func(i int) uint64 { return uint64(v.Ints[i]) })
		case len(v.Texts) > 0:
			step(func(i int) uint64 { return maphash.Bytes(x.seed, v.Texts[i]) })
		case len(v.Days) > 0:
			step(func(i int) uint64 { return uint64(v.Days[i]) })
		case len(v.Floats) > 0:
			step(func(i int) uint64 { return floatKey(v.Floats[i]) })
		case len(v.Bools) > 0:
			step(func(i int) uint64 {
				if v.Bools[i] {
					return 1
				}
				return 2
			})
		case len(v.Wides) > 0:
			step(func(i int) uint64 { return maphash.Bytes(x.seed, v.Wides[i]) })
		default:
			step(nil) // all null
		}
	}
	return out
}

// find gives the row with the key that row has in other vectors, or -1.
func (x *Index) find(h uint64, key []Vector, pos [][]int32, row int) int {
	mask := uint64(len(x.slots) - 1)
	for slot := h & mask; ; slot = (slot + 1) & mask {
		have := int(x.slots[slot]) - 1
		if have < 0 {
			return -1
		}
		if x.hashes[have] != h {
			continue
		}
		same := true
		for k, c := range x.at {
			i, j := at(pos[k], row), at(x.rows.pos[c], have)
			if (i < 0) != (j < 0) || i >= 0 && !sameKey(&key[k], i, &x.rows.vectors[c], j) {
				same = false
				break
			}
		}
		if same {
			return have
		}
	}
}

// Replaced tells whether a later row has the same key.
func (x *Index) Replaced(row int) bool { return x.replaced[row] }

// Match finds which rows of a file, from row group from on, have a key of the index: for each of these row groups the rows,
// in order, with the row of the index in With. Only key columns are read, and only of row groups whose range of keys meets that of the index.
func (x *Index) Match(ctx context.Context, f *Reader, from, workers int) ([][]Edit, error) {
	out := make([][]Edit, 0, f.RowGroups()-from)
	err := inOrder(ctx, f.RowGroups()-from, workers, func() func(int) ([]Edit, error) {
		key, pos := make([]Vector, len(x.columns)), make([][]int32, len(x.columns))
		var hashes []uint64
		return func(i int) ([]Edit, error) {
			group := from + i
			if low, high := f.groupRange(group, x.columns[0]); bytes.Compare(high, x.low) < 0 || bytes.Compare(low, x.high) > 0 {
				return nil, nil
			}
			pointers := make([]*Vector, len(key))
			for i, c := range x.columns {
				if err := f.readAs(group, c, &key[i]); err != nil {
					return nil, fmt.Errorf("column %s: %w", c.Name, err)
				}
				pos[i], pointers[i] = key[i].Places(nil), &key[i]
			}
			var edits []Edit
			hashes = x.hash(hashes, pointers, int(f.GroupRows(group)))
			for row, h := range hashes {
				if with := x.find(h, key, pos, row); with >= 0 {
					edits = append(edits, Edit{int32(row), int32(with)})
				}
			}
			return edits, nil
		}
	}, func(edits []Edit) error {
		out = append(out, edits)
		return nil
	})
	return out, err
}

// Meets tells whether a range of first key columns, as KeyRange gives it, may hold keys of the index.
func (x *Index) Meets(low, high []byte) bool {
	return bytes.Compare(high, x.low) >= 0 && bytes.Compare(low, x.high) <= 0
}

// KeyRange gives bounds of a column over the whole file, from its statistics. They compare as bytes; texts are cut.
func (f *Reader) KeyRange(c Column) (low, high []byte) {
	for g := range f.RowGroups() {
		l, h := f.groupRange(g, c)
		if g == 0 || bytes.Compare(l, low) < 0 {
			low = l
		}
		if g == 0 || bytes.Compare(h, high) > 0 {
			high = h
		}
	}
	return low, high
}

// everything is a range without bounds.
var everything = [2][]byte{{}, {0xFF}}

func (f *Reader) groupRange(group int, c Column) (low, high []byte) {
	i := f.Column(c.Name)
	if i < 0 || !SameStorage(f.schema.Columns[i].Type, c.Type) || c.Type.Kind == Float64 {
		return everything[0], everything[1]
	}
	b, err := f.Bounds(group, i)
	if err != nil || b.Nulls > 0 || b.Min == nil || b.Max == nil {
		return everything[0], everything[1]
	}
	return rangeKey(nil, b.Min, 0, false), rangeKey(nil, b.Max, 0, true)
}

// maxKeyText is how much of a text a range keeps.
const maxKeyText = 48

// rangeKey writes a value so that bytes compare as values do. Nulls and floats have no place in ranges.
func rangeKey(out []byte, v *Vector, i int, upper bool) []byte {
	switch {
	case len(v.Ints) > 0:
		return bigEndian(append(out, 1), uint64(v.Ints[i])^1<<63)
	case len(v.Days) > 0:
		return bigEndian(append(out, 1), uint64(int64(v.Days[i]))^1<<63)
	case len(v.Bools) > 0:
		if v.Bools[i] {
			return append(out, 1, 1)
		}
		return append(out, 1, 0)
	case len(v.Wides) > 0:
		out = append(append(out, 1), v.Wides[i]...)
		out[len(out)-len(v.Wides[i])] ^= 0x80
		return out
	}
	text := v.Texts[i]
	out = append(out, 1)
	if len(text) <= maxKeyText {
		return append(out, text...)
	}
	out = append(out, text[:maxKeyText]...)
	if upper {
		out = append(out, 0xFF) // larger than anything that valid UTF-8 can follow with
	}
	return out
}

func bigEndian(out []byte, n uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		out = append(out, byte(n>>shift))
	}
	return out
}

// keyRange gives the bounds of a vector.
func keyRange(v *Vector, t Type) (low, high []byte) {
	if v.Nulls > 0 || t.Kind == Float64 || v.count() == 0 {
		return everything[0], everything[1]
	}
	var a, b []byte
	for i := range v.count() {
		a, b = rangeKey(a[:0], v, i, false), rangeKey(b[:0], v, i, true)
		if i == 0 || bytes.Compare(a, low) < 0 {
			low = append(low[:0], a...)
		}
		if i == 0 || bytes.Compare(b, high) > 0 {
			high = append(high[:0], b...)
		}
	}
	return low, high
}
