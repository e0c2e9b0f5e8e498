package columnar

import (
	"bytes"
	"unicode/utf8"
)

// converter turns records into vectors. It belongs to one goroutine.
type converter struct {
	columns []column
	nulls   []string
	quote   byte
	vectors []Vector
	arena   []byte // texts whose doubled quotes were undone
	valid   bool   // the whole block is valid UTF-8
}

// mismatch tells that an inferred column turned out to be another than the first block said.
type mismatch struct{ column, row int }

// convert reads rows from to to of the records into the vectors. A cell that does not fit its declared type makes its row
// bad; one that does not fit an inferred type ends the conversion.
func (k *converter) convert(t *records, from, to int) (bad []badRow, miss *mismatch) {
	k.arena = k.arena[:0] // the row group before has been encoded
	for i := range k.columns {
		v, c := &k.vectors[i], &k.columns[i]
		v.Reset()
		for row := from; row < to; row++ {
			f := t.fields[row*t.width+c.source]
			cell := f.bytes(t.data)
			if k.isNull(cell, f, c) {
				v.Levels = append(v.Levels, 0)
				v.Nulls++
				continue
			}
			if c.blank && classify(cell, c) != 0 {
				return nil, &mismatch{i, row}
			}
			if f.end&escaped != 0 {
				cell = k.unescape(cell)
			}
			reason := k.add(v, c, cell)
			if reason == "" {
				v.Levels = append(v.Levels, 1)
				continue
			}
			if c.inferred && c.Type.Kind != String {
				return nil, &mismatch{i, row}
			}
			v.Levels = append(v.Levels, 0)
			bad = append(bad, badRow{start: row, at: int(f.start), column: i, reason: reason})
		}
	}
	return bad, nil
}

// isNull: an unquoted empty cell is null in every column, a quoted one is the empty text, which only text columns have.
func (k *converter) isNull(cell []byte, f field, c *column) bool {
	if f.end&quoted != 0 {
		return len(cell) == 0 && c.Type.Kind != String && c.Type.Kind != JSON && c.Type.Kind != Unknown
	}
	if len(cell) == 0 {
		return true
	}
	for _, n := range k.nulls {
		if string(cell) == n {
			return true
		}
	}
	return false
}

func (k *converter) unescape(cell []byte) []byte {
	at := len(k.arena)
	for {
		i := bytes.IndexByte(cell, k.quote)
		if i < 0 {
			break
		}
		k.arena = append(k.arena, cell[:i+1]...)
		cell = cell[i+2:]
	}
	k.arena = append(k.arena, cell...)
	return k.arena[at:len(k.arena):len(k.arena)]
}

// add converts one cell that is not null; it gives why it cannot, or "".
func (k *converter) add(v *Vector, c *column, b []byte) string {
	if c.Type.Kind == String || c.Type.Kind == JSON {
		if !k.valid && !utf8.Valid(b) {
			return "is not valid UTF-8 text; is the encoding right?"
		}
		v.Texts = append(v.Texts, b)
		return ""
	}
	if !c.strict() && (b[0] <= ' ' || b[len(b)-1] <= ' ') {
		if b = bytes.TrimSpace(b); len(b) == 0 {
			return "is not a " + c.Type.String()
		}
	}
	ok := false
	switch c.Type.Kind {
	case Int64:
		var n int64
		if n, ok = parseInt(b); ok && c.strict() {
			ok = canonicalInt(b)
		}
		v.Ints = append(v.Ints, n)
		if !ok {
			v.Ints = v.Ints[:len(v.Ints)-1]
		}
	case Float64:
		ok = k.addFloat(v, c, b)
	case Bool:
		var x bool
		if c.strict() {
			x, ok = trueFalse(b)
		} else {
			x, ok = parseBool(b)
		}
		if ok {
			v.Bools = append(v.Bools, x)
		}
	case Date:
		var d int32
		if d, ok = c.parseDate(b); ok {
			v.Days = append(v.Days, d)
		}
	case Timestamp:
		ok = k.addTimestamp(v, c, b)
	case Time:
		var n int64
		if n, ok = c.parseTime(b); ok {
			v.Ints = append(v.Ints, n)
		}
	case Decimal:
		ok = k.addDecimal(v, c, b)
	}
	if ok {
		return ""
	}
	return "is not a " + c.describe()
}

func (k *converter) addFloat(v *Vector, c *column, b []byte) bool {
	if c.strict() && classify(b, c)&asFloat == 0 {
		return false
	}
	x, ok := parseFloat(b, c.point)
	if ok {
		v.Floats = append(v.Floats, x)
	}
	return ok
}

func (k *converter) addTimestamp(v *Vector, c *column, b []byte) bool {
	if c.strict() {
		n, _, zoned, ok := isoTimestamp(b)
		if ok = ok && zoned == c.Type.Zoned; ok {
			v.Ints = append(v.Ints, n)
		}
		return ok
	}
	n, ok := c.parseTimestamp(b)
	if ok {
		v.Ints = append(v.Ints, n)
	}
	return ok
}

func (k *converter) addDecimal(v *Vector, c *column, b []byte) bool {
	if c.Type.Precision <= smallDigits {
		n, ok := parseDecimal(b, c.Type.Precision, c.Type.Scale, c.point)
		if ok {
			v.Ints = append(v.Ints, n)
		}
		return ok
	}
	n, ok := parseWide(b, c.Type.Precision, c.Type.Scale, c.point)
	if ok {
		at := len(k.arena)
		k.arena = n.append(k.arena, decimalBytes(c.Type.Precision))
		v.Wides = append(v.Wides, k.arena[at:len(k.arena):len(k.arena)])
	}
	return ok
}

// describe names what a cell should have been, with its format.
func (c *column) describe() string {
	if c.layout != nil {
		return c.Type.String() + " of the format " + c.layout.pattern
	}
	switch c.Type.Kind {
	case Date:
		return "date (YYYY-MM-DD)"
	case Timestamp:
		if c.Type.Zoned {
			return "timestamp_tz (YYYY-MM-DD hh:mm:ss+hh:mm)"
		}
		return "timestamp without zone (YYYY-MM-DD hh:mm:ss)"
	case Time:
		return "time (hh:mm:ss)"
	}
	return c.Type.String()
}
