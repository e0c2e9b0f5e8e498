package columnar

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is the physical family of a column type.
type Kind uint8

const (
	// Unknown is the type of a column in which no value has been seen; it is stored as string.
	Unknown Kind = iota
	String
	Bool
	Int64
	Float64
	Decimal   // exact, Precision 1-38, Scale 0-Precision
	Date      // days, proleptic Gregorian calendar, years 0001-9999
	Timestamp // microseconds; UTC when Type.Zoned, wall time otherwise
	Time      // microseconds since midnight
	JSON      // text that is stored as string
)

// Type is a column type. Precision and Scale belong to Decimal, Zoned to Timestamp.
type Type struct {
	Kind      Kind
	Precision int
	Scale     int
	Zoned     bool
}

// String gives the type the way data_description.md and schema.yml write it, for example "decimal(18,2)".
func (t Type) String() string {
	switch t.Kind {
	case String, Unknown:
		return "string"
	case Bool:
		return "bool"
	case Int64:
		return "int64"
	case Float64:
		return "float64"
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case Date:
		return "date"
	case Timestamp:
		if t.Zoned {
			return "timestamp_tz"
		}
		return "timestamp"
	case Time:
		return "time"
	case JSON:
		return "json"
	}
	return "string"
}

var typeNames = map[string]Type{
	"string": {Kind: String}, "text": {Kind: String}, "varchar": {Kind: String},
	"bool": {Kind: Bool}, "boolean": {Kind: Bool},
	"int64": {Kind: Int64}, "int": {Kind: Int64}, "integer": {Kind: Int64}, "bigint": {Kind: Int64},
	"float64": {Kind: Float64}, "float": {Kind: Float64}, "double": {Kind: Float64},
	"date":      {Kind: Date},
	"timestamp": {Kind: Timestamp}, "timestamp_ntz": {Kind: Timestamp}, "datetime": {Kind: Timestamp},
	"timestamp_tz": {Kind: Timestamp, Zoned: true}, "timestamptz": {Kind: Timestamp, Zoned: true},
	"time": {Kind: Time}, "json": {Kind: JSON},
}

// ParseType reads a type name, ignoring case: string, bool, int64, float64, decimal(p,s), date, timestamp,
// timestamp_tz, time, json, and the SQL names that mean the same.
func ParseType(s string) (Type, error) {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	if t, ok := typeNames[name]; ok {
		return t, nil
	}
	base, args, ok := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	if base != "decimal" && base != "numeric" {
		return Type{}, fmt.Errorf("unknown type %q: use string, bool, int64, float64, decimal(p,s), date, timestamp, timestamp_tz, time or json", s)
	}
	if !ok {
		return Type{}, fmt.Errorf("type %q needs a precision and a scale, for example decimal(18,2)", s)
	}
	p, sc, two := strings.Cut(args, ",")
	precision, err := strconv.Atoi(p)
	if err != nil || precision < 1 || precision > 38 {
		return Type{}, fmt.Errorf("type %q: precision must be 1 to 38", s)
	}
	scale := 0
	if two {
		if scale, err = strconv.Atoi(sc); err != nil || scale < 0 || scale > precision {
			return Type{}, fmt.Errorf("type %q: scale must be 0 to the precision", s)
		}
	}
	return Type{Kind: Decimal, Precision: precision, Scale: scale}, nil
}
