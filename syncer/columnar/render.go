package columnar

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// Text writes the value at an index as text: numbers with all their digits, dates and times in ISO 8601, timestamps with
// a blank between date and time and, when they are zoned, +00 behind.
func (v *Vector) Text(i int) string {
	if v.Dict != nil {
		return v.Dict.Text(int(v.Codes[i]))
	}
	switch v.Type.Kind {
	case Bool:
		return strconv.FormatBool(v.Bools[i])
	case Int64:
		return strconv.FormatInt(v.Ints[i], 10)
	case Float64:
		return floatText(v.Floats[i])
	case Date:
		return DateText(int64(v.Days[i]))
	case Timestamp:
		return TimestampText(v.Ints[i], v.Type.Zoned)
	case Time:
		return time.UnixMicro(v.Ints[i]).UTC().Format("15:04:05.999999")
	case Decimal:
		if v.Type.Precision > smallDigits {
			return v.Type.Decimal(v.Wides[i])
		}
		return v.Type.SmallDecimal(v.Ints[i])
	}
	return string(v.Texts[i])
}

func floatText(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		if x < 0 {
			return "-inf"
		}
		return "inf"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// DateText writes days since 1970-01-01.
func DateText(days int64) string {
	return time.Unix(days*86_400, 0).UTC().Format(time.DateOnly)
}

// TimestampText writes microseconds since 1970-01-01.
func TimestampText(micros int64, zoned bool) string {
	text := time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999")
	if zoned {
		text += "+00"
	}
	return text
}

// WideFloat is the double that is nearest to the digits of a decimal of more than 18 digits, without its scale.
func WideFloat(value []byte) float64 {
	n := wideOf(value)
	if n.hi>>63 == 1 {
		n = n.negated()
		return -(float64(n.hi)*(1<<64) + float64(n.lo))
	}
	return float64(n.hi)*(1<<64) + float64(n.lo)
}

// CompareWide compares two decimals of one type of more than 18 digits.
func CompareWide(a, b []byte) int {
	if len(a) > 0 && len(b) > 0 && (a[0]^b[0])&0x80 != 0 {
		if a[0]&0x80 != 0 {
			return -1
		}
		return 1
	}
	return bytes.Compare(a, b)
}
