package columnar

import (
	"bytes"
	"math"
)

// column is how one column of the result is read: where its cells are, and what they must be.
type column struct {
	Column
	source   int // index in the record
	inferred bool
	blank    bool    // inferred to be text for no more than quoted empty cells: a value may make it narrower
	known    bool    // read as strictly as an inferred column, but never widened
	layout   *layout // nil = ISO 8601
	point    byte    // the decimal sign
}

// strict tells that only the one usual way to write a value counts, as nobody said that the text is of this type.
func (c *column) strict() bool { return c.inferred || c.known }

// mask is a set of types that a text could be read as without being changed.
type mask uint8

const (
	asBool mask = 1 << iota
	asInt
	asFloat
	asDate
	asTimestamp
	asZoned
	asAny mask = 1<<iota - 1
)

// exactFloat is the largest whole number below which every whole number is a double.
const exactFloat = 1 << 53

// classify tells what an unquoted or quoted text of an undeclared column could be. Only the one usual way to write a
// value counts, so that codes such as "007" or "+420" stay text.
func classify(b []byte, c *column) mask {
	if len(b) == 0 {
		return 0
	}
	switch ch := b[0]; {
	case ch >= '0' && ch <= '9' || ch == '-':
		if v, ok := parseInt(b); ok && canonicalInt(b) {
			if v <= exactFloat && v >= -exactFloat {
				return asInt | asFloat
			}
			return asInt
		}
		if canonicalFloat(b, c.point) {
			if v, ok := parseFloat(b, c.point); ok && !math.IsInf(v, 0) && floatKeeps(b) {
				return asFloat
			}
			return 0
		}
	case ch|0x20 == 't' || ch|0x20 == 'f':
		if _, ok := trueFalse(b); ok {
			return asBool
		}
	}
	if c.layout != nil {
		return 0
	}
	_, hasTime, zoned, ok := isoTimestamp(b)
	switch {
	case !ok:
		return 0
	case zoned:
		return asZoned
	case hasTime:
		return asTimestamp
	}
	return asDate | asTimestamp
}

// floatKeeps tells whether a double holds the number as it was written: up to 17 significant digits.
func floatKeeps(b []byte) bool {
	digits, seen := 0, false
	for _, ch := range b {
		switch {
		case ch == 'e' || ch == 'E':
			return digits <= 17
		case ch == '0' && !seen:
		case ch >= '0' && ch <= '9':
			seen = true
			digits++
		}
	}
	return digits <= 17
}

// inferredType is the narrowest type of a mask; Unknown when nothing but nulls has been seen.
func inferredType(m mask, seen bool) Type {
	switch {
	case !seen:
		return Type{Kind: Unknown}
	case m&asBool != 0:
		return Type{Kind: Bool}
	case m&asInt != 0:
		return Type{Kind: Int64}
	case m&asFloat != 0:
		return Type{Kind: Float64}
	case m&asDate != 0:
		return Type{Kind: Date}
	case m&asTimestamp != 0:
		return Type{Kind: Timestamp}
	case m&asZoned != 0:
		return Type{Kind: Timestamp, Zoned: true}
	}
	return Type{Kind: String}
}

func maskOf(t Type) mask {
	switch t.Kind {
	case Bool:
		return asBool
	case Int64:
		return asInt
	case Float64:
		return asFloat
	case Date:
		return asDate
	case Timestamp:
		if t.Zoned {
			return asZoned
		}
		return asTimestamp
	case Unknown:
		return 0
	}
	return asAny
}

func trueFalse(b []byte) (v, ok bool) {
	switch {
	case len(b) == 4 && bytes.EqualFold(b, []byte("true")):
		return true, true
	case len(b) == 5 && bytes.EqualFold(b, []byte("false")):
		return false, true
	}
	return false, false
}

func parseBool(b []byte) (v, ok bool) {
	if v, ok := trueFalse(b); ok {
		return v, true
	}
	if len(b) == 1 {
		switch b[0] {
		case '1', 't', 'T', 'y', 'Y':
			return true, true
		case '0', 'f', 'F', 'n', 'N':
			return false, true
		}
	}
	switch {
	case bytes.EqualFold(b, []byte("yes")):
		return true, true
	case bytes.EqualFold(b, []byte("no")):
		return false, true
	}
	return false, false
}

// parseDate reads a date in days since 1970-01-01.
func (c *column) parseDate(b []byte) (int32, bool) {
	if c.layout != nil {
		days, _, _, ok := c.layout.parse(b)
		return int32(days), ok
	}
	days, ok := isoDate(b)
	return int32(days), ok && len(b) == 10
}

// parseTimestamp reads microseconds since 1970-01-01, in UTC for a zoned column, which takes text without a zone as UTC.
func (c *column) parseTimestamp(b []byte) (int64, bool) {
	if c.layout != nil {
		days, micros, offset, ok := c.layout.parse(b)
		micros += days*microsPerDay - offset
		return micros, ok && (c.Type.Zoned || !c.layout.zoned) && inYears(micros)
	}
	micros, _, zoned, ok := isoTimestamp(b)
	return micros, ok && (c.Type.Zoned || !zoned)
}

func (c *column) parseTime(b []byte) (int64, bool) {
	if c.layout != nil {
		_, micros, _, ok := c.layout.parse(b)
		return micros, ok
	}
	micros, n, ok := clock(b)
	return micros, ok && n == len(b)
}
