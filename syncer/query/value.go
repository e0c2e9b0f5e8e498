package query

import (
	"math"
	"strconv"
	"time"

	"aida/syncer/columnar"

	"modernc.org/sqlite/vtab"
)

// maxExact bounds the whole numbers that a float64 holds exactly; powers are those of ten, which it does too.
const maxExact = 1 << 53

var powers = func() (out [19]float64) {
	for i := range out {
		out[i] = math.Pow10(i)
	}
	return out
}()

// valueAt gives value k of a vector as SQLite has it.
func valueAt(v *columnar.Vector, k int) vtab.Value {
	switch v.Type.Kind {
	case columnar.Int64:
		return v.Ints[k]
	case columnar.Float64:
		return v.Floats[k]
	case columnar.Bool:
		if v.Bools[k] {
			return int64(1)
		}
		return int64(0)
	case columnar.Date:
		return dateText(v.Days[k])
	case columnar.Timestamp:
		return timestampText(v.Ints[k])
	case columnar.Time:
		return time.UnixMicro(v.Ints[k]).UTC().Format("15:04:05.999999")
	case columnar.Decimal:
		if v.Type.Precision <= 18 && v.Type.Scale == 0 {
			return v.Ints[k]
		}
		if n := v.Ints; v.Type.Precision <= 18 && n[k] > -maxExact && n[k] < maxExact {
			return float64(n[k]) / powers[v.Type.Scale] // both are exact, so the quotient is the nearest number, as ParseFloat gives it
		}
		text := ""
		if v.Type.Precision <= 18 {
			text = v.Type.SmallDecimal(v.Ints[k])
		} else {
			text = v.Type.Decimal(v.Wides[k])
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return text
		}
		return f
	}
	return string(v.Texts[k])
}

func dateText(days int32) string {
	return time.Unix(int64(days)*86400, 0).UTC().Format(time.DateOnly)
}

func timestampText(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999")
}

// length is how many values a dictionary has.
func length(v *columnar.Vector) int {
	return max(len(v.Ints), len(v.Days), len(v.Floats), len(v.Bools), len(v.Texts), len(v.Wides))
}
