package columnar

import (
	"bytes"
	"math"
)

// edit appends src to the vector, with rows replaced by those of patch or left out.
func (v *vector) edit(src *vector, edits []Edit, patch *vector, pos []int32) {
	row, value := 0, 0
	for _, e := range edits {
		n := int(e.Row) - row
		value = v.run(src, row, n, value)
		if e.With >= 0 {
			v.one(patch, at(pos, int(e.With)))
		}
		if src.levels[e.Row] == 1 {
			value++
		}
		row = int(e.Row) + 1
	}
	v.run(src, row, len(src.levels)-row, value)
}

// run appends n rows of src from row on, whose values begin at value; it gives the place of the value behind them.
func (v *vector) run(src *vector, row, n, value int) int {
	levels := src.levels[row : row+n]
	v.levels = append(v.levels, levels...)
	have := n
	if src.count() != len(src.levels) {
		have = 0
		for _, l := range levels {
			have += int(l)
		}
	}
	to := value + have
	switch {
	case len(src.ints) > 0:
		v.ints = append(v.ints, src.ints[value:to]...)
	case len(src.texts) > 0:
		v.texts = append(v.texts, src.texts[value:to]...)
	case len(src.shorts) > 0:
		v.shorts = append(v.shorts, src.shorts[value:to]...)
	case len(src.floats) > 0:
		v.floats = append(v.floats, src.floats[value:to]...)
	case len(src.bools) > 0:
		v.bools = append(v.bools, src.bools[value:to]...)
	case len(src.wides) > 0:
		v.wides = append(v.wides, src.wides[value:to]...)
	}
	return to
}

// one appends the value i of src, or a null when i is negative.
func (v *vector) one(src *vector, i int) {
	if i < 0 {
		v.levels = append(v.levels, 0)
		return
	}
	v.levels = append(v.levels, 1)
	switch {
	case len(src.ints) > 0:
		v.ints = append(v.ints, src.ints[i])
	case len(src.texts) > 0:
		v.texts = append(v.texts, src.texts[i])
	case len(src.shorts) > 0:
		v.shorts = append(v.shorts, src.shorts[i])
	case len(src.floats) > 0:
		v.floats = append(v.floats, src.floats[i])
	case len(src.bools) > 0:
		v.bools = append(v.bools, src.bools[i])
	case len(src.wides) > 0:
		v.wides = append(v.wides, src.wides[i])
	}
}

// pick appends chosen rows of src.
func (v *vector) pick(src *vector, pos, rows []int32) {
	for _, r := range rows {
		v.one(src, at(pos, int(r)))
	}
}

// differs tells whether an edit of a row changes its value in column c.
func (g *groupWriter) differs(src *vector, edits []Edit, c int) bool {
	patch, pos := g.patch(c), g.patchPos(c)
	row, value := 0, 0
	full := src.count() == len(src.levels)
	for _, e := range edits {
		if full {
			value = int(e.Row)
		} else {
			for ; row < int(e.Row); row++ {
				value += int(src.levels[row])
			}
		}
		i := at(pos, int(e.With))
		if (i < 0) != (src.levels[e.Row] == 0) || i >= 0 && !equal(src, value, patch, i) {
			return true
		}
	}
	return false
}

// equal compares two values of the same storage; floats by their bits.
func equal(a *vector, i int, b *vector, j int) bool {
	switch {
	case len(a.ints) > 0:
		return a.ints[i] == b.ints[j]
	case len(a.texts) > 0:
		return bytes.Equal(a.texts[i], b.texts[j])
	case len(a.shorts) > 0:
		return a.shorts[i] == b.shorts[j]
	case len(a.floats) > 0:
		return math.Float64bits(a.floats[i]) == math.Float64bits(b.floats[j])
	case len(a.bools) > 0:
		return a.bools[i] == b.bools[j]
	}
	return bytes.Equal(a.wides[i], b.wides[j])
}
