package columnar

import (
	"bytes"
	"math"
)

// edit appends src to the Vector, with rows replaced by those of patch or left out.
func (v *Vector) edit(src *Vector, edits []Edit, patch *Vector, pos []int32) {
	row, value := 0, 0
	for _, e := range edits {
		n := int(e.Row) - row
		value = v.run(src, row, n, value)
		if e.With >= 0 {
			v.one(patch, at(pos, int(e.With)))
		}
		if src.Levels[e.Row] == 1 {
			value++
		}
		row = int(e.Row) + 1
	}
	v.run(src, row, len(src.Levels)-row, value)
}

// run appends n rows of src from row on, whose values begin at value; it gives the place of the value behind them.
func (v *Vector) run(src *Vector, row, n, value int) int {
	levels := src.Levels[row : row+n]
	v.Levels = append(v.Levels, levels...)
	have := n
	if src.Nulls > 0 {
		have = 0
		for _, l := range levels {
			have += int(l)
		}
	}
	v.Nulls += n - have
	to := value + have
	switch {
	case len(src.Ints) > 0:
		v.Ints = append(v.Ints, src.Ints[value:to]...)
	case len(src.Texts) > 0:
		v.Texts = append(v.Texts, src.Texts[value:to]...)
	case len(src.Days) > 0:
		v.Days = append(v.Days, src.Days[value:to]...)
	case len(src.Floats) > 0:
		v.Floats = append(v.Floats, src.Floats[value:to]...)
	case len(src.Bools) > 0:
		v.Bools = append(v.Bools, src.Bools[value:to]...)
	case len(src.Wides) > 0:
		v.Wides = append(v.Wides, src.Wides[value:to]...)
	}
	return to
}

// one appends the value i of src, or a null when i is negative.
func (v *Vector) one(src *Vector, i int) {
	if i < 0 {
		v.Levels, v.Nulls = append(v.Levels, 0), v.Nulls+1
		return
	}
	v.Levels = append(v.Levels, 1)
	switch {
	case len(src.Ints) > 0:
		v.Ints = append(v.Ints, src.Ints[i])
	case len(src.Texts) > 0:
		v.Texts = append(v.Texts, src.Texts[i])
	case len(src.Days) > 0:
		v.Days = append(v.Days, src.Days[i])
	case len(src.Floats) > 0:
		v.Floats = append(v.Floats, src.Floats[i])
	case len(src.Bools) > 0:
		v.Bools = append(v.Bools, src.Bools[i])
	case len(src.Wides) > 0:
		v.Wides = append(v.Wides, src.Wides[i])
	}
}

// pick appends chosen rows of src.
func (v *Vector) pick(src *Vector, pos, rows []int32) {
	for _, r := range rows {
		v.one(src, at(pos, int(r)))
	}
}

// differs tells whether an edit of a row changes its value in column c.
func (g *columnMaker) differs(src *Vector, edits []Edit, c int) bool {
	patch, pos := g.patch(c), g.patchPos(c)
	row, value := 0, 0
	full := src.Nulls == 0
	for _, e := range edits {
		if e.With < 0 {
			return true
		}
		if full {
			value = int(e.Row)
		} else {
			for ; row < int(e.Row); row++ {
				value += int(src.Levels[row])
			}
		}
		i := at(pos, int(e.With))
		if (i < 0) != (src.Levels[e.Row] == 0) || i >= 0 && !equal(src, value, patch, i) {
			return true
		}
	}
	return false
}

// equal compares two values of the same storage; floats by their bits.
func equal(a *Vector, i int, b *Vector, j int) bool {
	switch {
	case len(a.Ints) > 0:
		return a.Ints[i] == b.Ints[j]
	case len(a.Texts) > 0:
		return bytes.Equal(a.Texts[i], b.Texts[j])
	case len(a.Days) > 0:
		return a.Days[i] == b.Days[j]
	case len(a.Floats) > 0:
		return math.Float64bits(a.Floats[i]) == math.Float64bits(b.Floats[j])
	case len(a.Bools) > 0:
		return a.Bools[i] == b.Bools[j]
	}
	return bytes.Equal(a.Wides[i], b.Wides[j])
}
