package query

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"
	"modernc.org/sqlite/vtab"
)

// index finds the rows of a table by the value of one column. SQLite joins by looking one table up for each row of another;
// without an index, each look-up would read the table. It lives as long as the query.
type index struct {
	chunks []*chunk
	hashes []uint64 // sorted
	rows   []uint64 // chunk and row, for each hash
}

// walk is one way in which SQLite goes over a table, and the condition of it that an index serves.
type walk struct {
	t         *table
	plan      string
	condition int
}

// Bounds of an index: it pays from the third look-up on, and all of a query hold the columns that are used of so many rows.
const (
	indexFrom = 3
	indexRows = 4_000_000
)

// lookUp finds the rows of a walk in an index; nil = there is none, and the table is to be read.
func (c *cursor) lookUp(plan string) (*index, error) {
	s := c.t.s
	for i := range c.filters {
		f := &c.filters[i]
		if f.op != vtab.OpEQ {
			continue
		}
		if f.none {
			return &index{}, nil
		}
		hash, ok := f.hash()
		if !ok {
			return nil, nil
		}
		w := walk{c.t, plan, i}
		if s.walks == nil {
			s.walks, s.indexes = map[walk]int{}, map[walk]*index{}
		}
		if s.walks[w]++; s.walks[w] < indexFrom {
			return nil, nil
		}
		x, built := s.indexes[w]
		if !built {
			var err error
			if x, err = c.build(f.column); err != nil {
				return nil, err
			}
			s.indexes[w] = x
		}
		if x == nil {
			return nil, nil
		}
		at, _ := slices.BinarySearch(x.hashes, hash)
		end := at
		for end < len(x.hashes) && x.hashes[end] == hash {
			end++
		}
		c.found = x.rows[at:end]
		return x, nil
	}
	return nil, nil
}

// build reads the used columns of the whole table.
func (c *cursor) build(column int) (*index, error) {
	var rows int64
	for _, f := range c.t.files {
		rows += f.Rows
	}
	if c.t.s.indexed += rows; c.t.s.indexed > indexRows {
		c.t.s.indexed -= rows
		return nil, nil
	}
	all := &cursor{t: c.t, used: c.used, place: c.place}
	x := &index{}
	type entry struct{ hash, row uint64 }
	entries := make([]entry, 0, rows)
	err := all.walk(func() (*chunk, error) { return &chunk{}, c.t.s.ctx.Err() }, func(ch *chunk) error {
		for _, r := range ch.rows {
			if hash, ok := hashOf(ch.value(c.place[column], r)); ok {
				entries = append(entries, entry{hash, uint64(len(x.chunks))<<32 | uint64(r)})
			}
		}
		x.chunks = append(x.chunks, ch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row)) })
	x.hashes, x.rows = make([]uint64, len(entries)), make([]uint64, len(entries))
	for i, e := range entries {
		x.hashes[i], x.rows[i] = e.hash, e.row
	}
	return x, nil
}

// hash is that of the condition's value; false when the column's values could equal it in other ways than by being the same.
func (f *filter) hash() (uint64, bool) {
	switch v := f.value.(type) {
	case int64, float64:
		if f.numeric {
			return hashOf(v)
		}
	case string:
		if !f.numeric {
			return hashOf(v)
		}
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return hashOf(n)
		}
	}
	return 0, false
}

// hashOf gives equal hashes for values that SQLite finds equal: whole and other numbers alike. Null equals nothing.
func hashOf(v vtab.Value) (uint64, bool) {
	switch v := v.(type) {
	case int64:
		return hashNumber(float64(v)), true
	case float64:
		return hashNumber(v), true
	case string:
		return xxh3.HashString(v), true
	}
	return 0, false
}

func hashNumber(f float64) uint64 {
	if f == 0 {
		f = 0 // and not minus zero
	}
	b := math.Float64bits(f)
	b ^= b >> 32
	return b * 0x9E3779B97F4A7C15
}
