package columnar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/decimal256"
)

// A row between an Arrow record and a row group is a run of bytes: for each column a 0 for null, or a 1 and the value as
// its vector holds it. Whole numbers are little endian; texts have their length in front.

// cellReader appends a row's cell of one column.
type cellReader func(to []byte, row int) ([]byte, error)

const (
	nullCell  = 0
	valueCell = 1
)

// newCellReader binds a column to the values of a record.
func newCellReader(c ArrowColumn, values arrow.Array) (cellReader, error) {
	read, err := valueReader(c, values)
	if err != nil {
		return nil, err
	}
	return func(to []byte, row int) ([]byte, error) {
		if values.IsNull(row) {
			if c.Required {
				return to, fmt.Errorf("column %s: the source sent a null although the column is required", c.Name)
			}
			return append(to, nullCell), nil
		}
		to, err := read(append(to, valueCell), row)
		if err != nil {
			return to, fmt.Errorf("column %s: %w", c.Name, err)
		}
		return to, nil
	}, nil
}

func valueReader(c ArrowColumn, values arrow.Array) (cellReader, error) {
	if c.Text != nil {
		return textReader(c, values)
	}
	unfit := fmt.Errorf("the source sent %s values, which are no %s", values.DataType(), c.Type)
	switch v := values.(type) {
	case *array.Int64:
		if c.Type.Kind == Int64 {
			return func(to []byte, row int) ([]byte, error) { return appendInt(to, v.Value(row)), nil }, nil
		}
	case *array.Float64:
		if c.Type.Kind == Float64 {
			return func(to []byte, row int) ([]byte, error) {
				return appendInt(to, int64(math.Float64bits(v.Value(row)))), nil
			}, nil
		}
	case *array.Boolean:
		if c.Type.Kind == Bool {
			return func(to []byte, row int) ([]byte, error) { return append(to, boolByte(v.Value(row))), nil }, nil
		}
	case *array.String:
		if c.Type.Kind == String || c.Type.Kind == JSON {
			return func(to []byte, row int) ([]byte, error) { return appendText(to, v.Value(row)) }, nil
		}
	case *array.Date32:
		if c.Type.Kind == Date {
			return func(to []byte, row int) ([]byte, error) { return appendShort(to, int32(v.Value(row))), nil }, nil
		}
	case *array.Timestamp:
		t := v.DataType().(*arrow.TimestampType)
		if c.Type.Kind == Timestamp && t.Unit == arrow.Microsecond && (t.TimeZone != "") == c.Type.Zoned {
			return func(to []byte, row int) ([]byte, error) { return appendInt(to, int64(v.Value(row))), nil }, nil
		}
	case *array.Time64:
		if c.Type.Kind == Time && v.DataType().(*arrow.Time64Type).Unit == arrow.Microsecond {
			return func(to []byte, row int) ([]byte, error) { return appendInt(to, int64(v.Value(row))), nil }, nil
		}
	case *array.Decimal128:
		if scale := v.DataType().(*arrow.Decimal128Type).Scale; c.Type.Kind == Decimal {
			return func(to []byte, row int) ([]byte, error) { return appendDecimal(to, v.Value(row), scale, c.Type) }, nil
		}
	case *array.Decimal256:
		if scale := v.DataType().(*arrow.Decimal256Type).Scale; c.Type.Kind == Decimal {
			return func(to []byte, row int) ([]byte, error) { return appendDecimal256(to, v.Value(row), scale, c.Type) }, nil
		}
	}
	return nil, unfit
}

// textReader reads the text of each value as the parser of CSV cells does.
func textReader(c ArrowColumn, values arrow.Array) (cellReader, error) {
	col := column{Column: c.Column, point: '.'}
	if err := col.setLayout(&Dialect{}); err != nil {
		return nil, err
	}
	k := &converter{columns: []column{col}}
	var v Vector
	var text []byte
	return func(to []byte, row int) ([]byte, error) {
		var err error
		if text, err = c.Text(text[:0], values, row); err != nil {
			return to, err
		}
		if c.Type.Kind == String || c.Type.Kind == JSON {
			return appendText(to, text)
		}
		v.Reset()
		k.arena = k.arena[:0]
		if len(text) == 0 {
			return to, fmt.Errorf("an empty text is not a %s", col.describe())
		}
		if reason := k.add(&v, &col, text); reason != "" {
			return to, fmt.Errorf("%q %s", clip(text), reason)
		}
		switch {
		case len(v.Ints) == 1:
			return appendInt(to, v.Ints[0]), nil
		case len(v.Days) == 1:
			return appendShort(to, v.Days[0]), nil
		case len(v.Floats) == 1:
			return appendInt(to, int64(math.Float64bits(v.Floats[0]))), nil
		case len(v.Bools) == 1:
			return append(to, boolByte(v.Bools[0])), nil
		case len(v.Wides) == 1:
			return append(to, v.Wides[0]...), nil
		}
		return to, fmt.Errorf("internal error: %q became no %s", clip(text), c.Type)
	}, nil
}

func appendInt(to []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(to, uint64(v)) }

func appendShort(to []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(to, uint32(v)) }

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendText[T string | []byte](to []byte, v T) ([]byte, error) {
	if len(v) > math.MaxInt32 {
		return to, errors.New("a text is longer than 2 GiB")
	}
	to = binary.AppendUvarint(to, uint64(len(v)))
	at := len(to)
	to = append(to, v...)
	if !utf8.Valid(to[at:]) { // readers such as DuckDB would refuse the whole column
		return to, fmt.Errorf("%q is not valid UTF-8 text", clip(to[at:]))
	}
	return to, nil
}

// appendDecimal256 takes values that fit, at the scale of their type, into 38 digits.
func appendDecimal256(to []byte, v decimal256.Num, scale int32, t Type) ([]byte, error) {
	exact, err := v, error(nil)
	if int(scale) != t.Scale {
		exact, err = v.Rescale(scale, int32(t.Scale))
	}
	if err != nil || !exact.FitsInPrecision(int32(t.Precision)) {
		return to, fmt.Errorf("%s does not fit %s", v.ToString(scale), t)
	}
	return appendDecimal(to, decimal128.FromBigInt(exact.BigInt()), int32(t.Scale), t)
}

// appendDecimal keeps a value exactly or not at all.
func appendDecimal(to []byte, v decimal128.Num, scale int32, t Type) ([]byte, error) {
	exact, err := v, error(nil)
	if int(scale) != t.Scale {
		exact, err = v.Rescale(scale, int32(t.Scale))
	}
	if err != nil || !exact.FitsInPrecision(int32(t.Precision)) {
		return to, fmt.Errorf("%s does not fit %s", v.ToString(scale), t)
	}
	v = exact
	if t.Precision <= smallDigits {
		return appendInt(to, int64(v.LowBits())), nil
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(v.HighBits()))
	binary.BigEndian.PutUint64(b[8:], v.LowBits())
	return append(to, b[16-decimalBytes(t.Precision):]...), nil
}

// cellSize gives the length of a value without its mark, at the beginning of b.
func cellSize(t Type, b []byte) (prefix, size int) {
	switch t.Kind {
	case Int64, Float64, Timestamp, Time:
		return 0, 8
	case Date:
		return 0, 4
	case Bool:
		return 0, 1
	case Decimal:
		if t.Precision <= smallDigits {
			return 0, 8
		}
		return 0, decimalBytes(t.Precision)
	}
	n, used := binary.Uvarint(b)
	return used, int(n)
}

// appendVector moves the cell at the beginning of row to the vector and gives the rest. Texts go on pointing into row.
func appendVector(v *Vector, t Type, row []byte) []byte {
	mark, row := row[0], row[1:]
	if mark == nullCell {
		v.Levels = append(v.Levels, 0)
		v.Nulls++
		return row
	}
	v.Levels = append(v.Levels, 1)
	prefix, size := cellSize(t, row)
	cell, rest := row[prefix:prefix+size:prefix+size], row[prefix+size:]
	switch {
	case t.Kind == Float64:
		v.Floats = append(v.Floats, math.Float64frombits(binary.LittleEndian.Uint64(cell)))
	case t.Kind == Date:
		v.Days = append(v.Days, int32(binary.LittleEndian.Uint32(cell)))
	case t.Kind == Bool:
		v.Bools = append(v.Bools, cell[0] == 1)
	case t.Kind == Decimal && t.Precision > smallDigits:
		v.Wides = append(v.Wides, cell)
	case isText(t):
		v.Texts = append(v.Texts, cell)
	default:
		v.Ints = append(v.Ints, int64(binary.LittleEndian.Uint64(cell)))
	}
	return rest
}

func isText(t Type) bool { return t.Kind == String || t.Kind == JSON || t.Kind == Unknown }

// rowOrder makes sort keys: bytes that compare as the rows are ordered, nulls first.
type rowOrder struct {
	columns []Column
	key     []int
}

// appendKey makes the key of a row whose cells begin at the given places.
func (o *rowOrder) appendKey(to, row []byte, cells []int) []byte {
	for _, i := range o.key {
		b := row[cells[i]:]
		if b[0] == nullCell {
			to = append(to, nullCell)
			continue
		}
		to = append(to, valueCell)
		b = b[1:]
		t := o.columns[i].Type
		prefix, size := cellSize(t, b)
		b = b[prefix : prefix+size]
		switch {
		case t.Kind == Float64:
			u := binary.LittleEndian.Uint64(b)
			to = binary.BigEndian.AppendUint64(to, u^(uint64(int64(u)>>63)|1<<63))
		case t.Kind == Bool:
			to = append(to, b[0])
		case t.Kind == Date:
			to = binary.BigEndian.AppendUint32(to, binary.LittleEndian.Uint32(b)^1<<31)
		case t.Kind == Decimal && t.Precision > smallDigits:
			to = append(append(to, b[0]^0x80), b[1:]...)
		case isText(t): // a zero byte becomes 0 255, the end is 0 1: a text sorts before those that it begins
			for _, c := range b {
				if to = append(to, c); c == 0 {
					to = append(to, 0xFF)
				}
			}
			to = append(to, 0, 1)
		default:
			to = binary.BigEndian.AppendUint64(to, binary.LittleEndian.Uint64(b)^1<<63)
		}
	}
	return to
}
