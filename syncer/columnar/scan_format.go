package columnar

import (
	"fmt"
	"strconv"
	"time"
)

// format appends the value i of a Vector as text: the way that the same value is written in CSV.
func format(out []byte, v *Vector, i int, t Type) []byte {
	switch t.Kind {
	case Bool:
		return strconv.AppendBool(out, v.Bools[i])
	case Int64:
		return strconv.AppendInt(out, v.Ints[i], 10)
	case Float64:
		return strconv.AppendFloat(out, v.Floats[i], 'g', -1, 64)
	case Date:
		return civilOf(int64(v.Days[i])*microsPerDay).AppendFormat(out, time.DateOnly)
	case Timestamp:
		out = civilOf(v.Ints[i]).AppendFormat(out, "2006-01-02 15:04:05.999999")
		if t.Zoned {
			out = append(out, "+00:00"...)
		}
		return out
	case Time:
		return civilOf(v.Ints[i]).AppendFormat(out, "15:04:05.999999")
	case Decimal:
		return formatDecimal(out, v, i, t)
	}
	return append(out, v.Texts[i]...)
}

func civilOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func formatDecimal(out []byte, v *Vector, i int, t Type) []byte {
	if t.Precision <= smallDigits {
		return append(out, t.SmallDecimal(v.Ints[i])...)
	}
	return append(out, t.Decimal(v.Wides[i])...)
}

// CastError tells of a value that its column's type cannot hold.
type CastError struct {
	Column   Column
	From     Type
	Row      int // in its row group
	Value    string
	Affected int // values of the row group that do not fit

	rows   []int32
	values []string
}

func (e *CastError) Error() string {
	return fmt.Sprintf("column %s: %q is %s and does not fit %s (%d such values)", e.Column.Name, e.Value, e.From, e.Column.Type, e.Affected)
}

// cast makes the values of a Vector those of another type, by way of their text where there is no shorter one.
func cast(v *Vector, from Type, to Column) error {
	bad := &CastError{Column: to, From: from}
	k := &converter{valid: true}
	col := &column{Column: Column{Name: to.Name, Type: to.Type}, point: '.'}
	out := Vector{Type: to.Type, Levels: append([]int16(nil), v.Levels...), Nulls: v.Nulls}
	var text []byte
	next := 0
	for row, l := range v.Levels {
		if l == 0 {
			continue
		}
		i := next
		next++
		if from.Kind == Int64 && to.Type.Kind == Float64 {
			if f := float64(v.Ints[i]); int64(f) == v.Ints[i] && v.Ints[i] != 1<<63-1 {
				out.Floats = append(out.Floats, f)
				continue
			}
		}
		text = format(text[:0], v, i, from)
		value := text
		if stored(to.Type).Kind == String {
			value = append([]byte(nil), text...)
		}
		if len(value) == 0 && stored(to.Type).Kind != String || from.Kind == Int64 && to.Type.Kind == Float64 || k.add(&out, col, value) != "" {
			bad.rows, bad.values = append(bad.rows, int32(row)), append(bad.values, clip(text))
			if bad.Affected++; bad.Affected == 1 {
				bad.Row, bad.Value = row, clip(text)
			}
			out.Levels[row] = 0
			out.Nulls++
		}
	}
	*v = out
	if bad.Affected > 0 {
		return bad
	}
	return nil
}

// Common gives the narrowest type that holds the values of both.
func Common(a, b Type) Type {
	a, b = stored(a), stored(b)
	if a == b {
		return a
	}
	if a.Kind > b.Kind {
		a, b = b, a
	}
	digits := func(t Type) (whole, scale int) {
		if t.Kind == Int64 {
			return 19, 0
		}
		return t.Precision - t.Scale, t.Scale
	}
	switch {
	case a.Kind == Int64 && b.Kind == Float64:
		return b
	case (a.Kind == Int64 || a.Kind == Decimal) && b.Kind == Decimal:
		aw, as := digits(a)
		bw, bs := digits(b)
		if w, s := max(aw, bw), max(as, bs); w+s <= 38 {
			return Type{Kind: Decimal, Precision: w + s, Scale: s}
		}
	case a.Kind == Date && b.Kind == Timestamp:
		return b
	}
	return Type{Kind: String}
}
