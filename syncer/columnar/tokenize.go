package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// field is a cell's place in its block. The two top bits of end tell how it was written.
type field struct{ start, end uint32 }

const (
	quoted   = 1 << 31 // stood between quotes, which start and end leave out
	escaped  = 1 << 30 // holds doubled quotes
	position = escaped - 1
)

func (f field) bytes(data []byte) []byte { return data[f.start : f.end&position] }

// records are the cells of a block, row after row, width cells each.
type records struct {
	data      []byte
	width     int
	fields    []field
	rows      int
	bad       []badRow
	irregular bool // quotes stood where fast splitting cannot follow
	open      int  // where a quote was opened that is never closed, or -1
}

// badRow is a row that was not taken.
type badRow struct {
	start, end int // its text in the block
	at         int // the place to show
	column     int // index, -1 = the row as a whole
	reason     string
}

// tokenize finds the cells of all records in data. Rows with another number of cells than width are bad. An empty line is
// no record, except in a table of one column, where it is a null.
func (t *records) tokenize(data []byte, d *Dialect, width int) {
	if t.fields == nil { // of short cells there are many, and to make room while they are found takes it several times
		t.fields = make([]field, 0, bytes.Count(data, []byte{d.Delimiter})+bytes.Count(data, newline)+1)
	}
	*t = records{data: data, width: width, fields: t.fields[:0], bad: t.bad[:0], open: -1}
	for i := 0; i < len(data); {
		if n := lineEnd(data, i); n > 0 && width != 1 {
			i += n
			continue
		}
		start, before := i, len(t.fields)
		var garbage bool
		i, garbage = t.record(i, d)
		if t.open >= 0 {
			return
		}
		cells := len(t.fields) - before
		switch {
		case garbage:
			t.reject(start, i, before, "there is text after a closing quote")
		case cells != width:
			t.reject(start, i, before, fmt.Sprintf("the row has %d cells, the header has %d", cells, width))
		default:
			t.rows++
		}
	}
}

func (t *records) reject(start, end, before int, reason string) {
	t.fields = t.fields[:before]
	t.bad = append(t.bad, badRow{start: start, end: end, at: start, column: -1, reason: reason})
}

// lineEnd gives the length of a line end at i, 0 when there is none.
func lineEnd(data []byte, i int) int {
	if data[i] == '\n' {
		return 1
	}
	if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
		return 2
	}
	return 0
}

// record reads the cells of the record at i and gives the position after it.
func (t *records) record(i int, d *Dialect) (next int, garbage bool) {
	data, delimiter, quote := t.data, d.Delimiter, d.Quote
	for {
		if quote != 0 && i < len(data) && data[i] == quote {
			f, after, closed := quotedCell(data, i, quote)
			if !closed {
				t.open = i
				return i, false
			}
			if after < len(data) && data[after] != delimiter && lineEnd(data, after) == 0 {
				garbage, t.irregular = true, true
				end, _ := plainCell(data, after, delimiter, 0)
				after = end
				if after < len(data) && data[after] == '\n' && data[after-1] == '\r' {
					after--
				}
			}
			t.fields = append(t.fields, f)
			i = after
		} else {
			end, stray := plainCell(data, i, delimiter, quote)
			t.irregular = t.irregular || stray
			stop := end
			if end > i && data[end-1] == '\r' && (end == len(data) || data[end] == '\n') {
				stop--
			}
			t.fields = append(t.fields, field{uint32(i), uint32(stop)})
			i = end
		}
		if i >= len(data) {
			return i, garbage
		}
		if n := lineEnd(data, i); n > 0 {
			return i + n, garbage
		}
		i++ // the delimiter
	}
}

// quotedCell reads the quoted cell at i and gives the position after its closing quote.
func quotedCell(data []byte, i int, quote byte) (f field, after int, closed bool) {
	flags := uint32(quoted)
	for j := i + 1; ; {
		k := bytes.IndexByte(data[j:], quote)
		if k < 0 {
			return field{}, len(data), false
		}
		j += k
		if j+1 < len(data) && data[j+1] == quote {
			flags |= escaped
			j += 2
			continue
		}
		return field{uint32(i + 1), uint32(j) | flags}, j + 1, true
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainCell finds the delimiter or line end that ends the unquoted cell at i, eight bytes at a time, and tells whether a
// quote stands in it.
func plainCell(data []byte, i int, delimiter, quote byte) (end int, stray bool) {
	dd, nn := uint64(delimiter)*ones, uint64('\n')*ones
	qq := uint64(quote) * ones
	for i+8 <= len(data) {
		w := binary.LittleEndian.Uint64(data[i:])
		hit := zeroBytes(w^dd) | zeroBytes(w^nn)
		if quote != 0 {
			if q := zeroBytes(w ^ qq); q != 0 && (hit == 0 || bits.TrailingZeros64(q) < bits.TrailingZeros64(hit)) {
				stray = true
			}
		}
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8, stray
		}
		i += 8
	}
	for ; i < len(data); i++ {
		switch b := data[i]; {
		case b == delimiter || b == '\n':
			return i, stray
		case quote != 0 && b == quote:
			stray = true
		}
	}
	return i, stray
}

// zeroBytes has the top bit set of the lowest byte of w that is zero (and perhaps of higher ones); see Warren,
// Hacker's Delight, 2nd edition, section 6-1.
func zeroBytes(w uint64) uint64 { return (w - ones) &^ w & highs }
