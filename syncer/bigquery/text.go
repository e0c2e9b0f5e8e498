package bigquery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	bq "google.golang.org/api/bigquery/v2"
)

// appendPlain writes a value as text on its own.
func appendPlain(to []byte, f *bq.TableFieldSchema, values arrow.Array, row int) ([]byte, error) {
	switch v := values.(type) {
	case *array.String:
		return append(to, v.Value(row)...), nil
	case *array.Int64:
		return strconv.AppendInt(to, v.Value(row), 10), nil
	case *array.Float64:
		switch x := v.Value(row); {
		case math.IsNaN(x):
			return append(to, "NaN"...), nil
		case math.IsInf(x, 1):
			return append(to, "Infinity"...), nil
		case math.IsInf(x, -1):
			return append(to, "-Infinity"...), nil
		default:
			return strconv.AppendFloat(to, x, 'g', -1, 64), nil
		}
	case *array.Boolean:
		return strconv.AppendBool(to, v.Value(row)), nil
	case *array.Binary:
		return base64.StdEncoding.AppendEncode(to, v.Value(row)), nil
	case *array.Date32:
		return v.Value(row).ToTime().AppendFormat(to, time.DateOnly), nil
	case *array.Timestamp:
		to = time.UnixMicro(int64(v.Value(row))).UTC().AppendFormat(to, "2006-01-02T15:04:05.999999")
		if v.DataType().(*arrow.TimestampType).TimeZone != "" {
			to = append(to, 'Z')
		}
		return to, nil
	case *array.Time64:
		return time.UnixMicro(int64(v.Value(row))).UTC().AppendFormat(to, "15:04:05.999999"), nil
	case *array.Decimal128:
		return appendDecimal(to, v.Value(row).BigInt(), int(v.DataType().(*arrow.Decimal128Type).Scale)), nil
	case *array.Decimal256:
		return appendDecimal(to, v.Value(row).BigInt(), int(v.DataType().(*arrow.Decimal256Type).Scale)), nil
	case *array.MonthDayNanoInterval:
		return appendInterval(to, v.Value(row)), nil
	case *array.Struct:
		if f.Type == "RANGE" {
			return appendRange(to, f, v, row)
		}
		return appendJSON(to, f, values, row)
	case *array.List:
		return appendJSON(to, f, values, row)
	}
	return to, fmt.Errorf("BigQuery sent Arrow values of the type %s, which is not known for %s", values.DataType(), f.Type)
}

// appendDecimal writes all digits, without zeros at the end of the fraction.
func appendDecimal(to []byte, v *big.Int, scale int) []byte {
	digits := new(big.Int).Abs(v).Text(10)
	for len(digits) <= scale {
		digits = "0" + digits
	}
	whole, fraction := digits[:len(digits)-scale], digits[len(digits)-scale:]
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if v.Sign() < 0 {
		to = append(to, '-')
	}
	to = append(to, whole...)
	if fraction != "" {
		to = append(append(to, '.'), fraction...)
	}
	return to
}

// appendInterval writes [-]years-months [-]days [-]hours:minutes:seconds[.fraction] (GoogleSQL, INTERVAL type).
func appendInterval(to []byte, v arrow.MonthDayNanoInterval) []byte {
	sign := func(n int64) int64 {
		if n < 0 {
			to = append(to, '-')
			return -n
		}
		return n
	}
	months := sign(int64(v.Months))
	to = fmt.Appendf(to, "%d-%d %d ", months/12, months%12, v.Days)
	nanos := sign(v.Nanoseconds)
	to = fmt.Appendf(to, "%d:%d:%d", nanos/int64(time.Hour), nanos/int64(time.Minute)%60, nanos/int64(time.Second)%60)
	if part := nanos % int64(time.Second); part != 0 {
		text := fmt.Sprintf(".%09d", part)
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		to = append(to, text...)
	}
	return to
}

// appendRange writes [start, end), with UNBOUNDED for an open end (GoogleSQL, range literals).
func appendRange(to []byte, f *bq.TableFieldSchema, v *array.Struct, row int) ([]byte, error) {
	if v.NumField() != 2 {
		return to, fmt.Errorf("a range has a start and an end, BigQuery sent %d values", v.NumField())
	}
	var err error
	to = append(to, '[')
	for i := range 2 {
		if i == 1 {
			to = append(to, ", "...)
		}
		if bound := v.Field(i); bound.IsNull(row) {
			to = append(to, "UNBOUNDED"...)
		} else if to, err = appendPlain(to, f, bound, row); err != nil {
			return to, err
		}
	}
	return append(to, ')'), nil
}

// appendJSON writes a value inside of JSON: numbers with all their digits, JSON columns as they are, all else as text.
func appendJSON(to []byte, f *bq.TableFieldSchema, values arrow.Array, row int) ([]byte, error) {
	if values.IsNull(row) {
		return append(to, "null"...), nil
	}
	var err error
	switch v := values.(type) {
	case *array.List:
		one := *f
		one.Mode = "NULLABLE"
		from, until := v.ValueOffsets(row)
		to = append(to, '[')
		for i := from; i < until; i++ {
			if i > from {
				to = append(to, ',')
			}
			if to, err = appendJSON(to, &one, v.ListValues(), int(i)); err != nil {
				return to, err
			}
		}
		return append(to, ']'), nil
	case *array.Struct:
		if f.Type == "RANGE" {
			break
		}
		if v.NumField() != len(f.Fields) {
			return to, fmt.Errorf("a STRUCT has %d fields, BigQuery sent %d", len(f.Fields), v.NumField())
		}
		to = append(to, '{')
		for i, sub := range f.Fields {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = appendString(to, sub.Name); err != nil {
				return to, err
			}
			to = append(to, ':')
			if to, err = appendJSON(to, sub, v.Field(i), row); err != nil {
				return to, err
			}
		}
		return append(to, '}'), nil
	case *array.Int64, *array.Boolean, *array.Decimal128, *array.Decimal256:
		return appendPlain(to, f, values, row)
	case *array.Float64:
		if x := v.Value(row); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return appendPlain(to, f, values, row)
		}
	case *array.String:
		if f.Type == "JSON" {
			return append(to, v.Value(row)...), nil
		}
	}
	text, err := appendPlain(nil, f, values, row)
	if err != nil {
		return to, err
	}
	return appendString(to, string(text))
}

func appendString(to []byte, s string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), err
}
