package query

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"time"

	"aida/syncer/columnar"

	"modernc.org/sqlite/vtab"
)

// filter leaves out rows that certainly do not pass a condition. It may let rows through that do not pass, as SQLite
// looks at all of them again; so where a comparison is not plain, it lets everything through.
type filter struct {
	column int
	op     vtab.ConstraintOp
	plain  bool // the value below can be compared with the column's
	none   bool // nothing passes, as with a comparison with null

	value   vtab.Value
	numeric bool // the column's values are numbers to SQLite

	number float64 // Int64, Float64, Bool, Decimal
	whole  int64   // Int64, Date, Timestamp, Time, when exact is set
	exact  bool
	text   []byte // String
}

// slack widens comparisons of floating-point numbers, so that rounding never leaves a row out.
const slack = 1e-9

func newFilter(column int, op vtab.ConstraintOp, t columnar.Type, v vtab.Value) filter {
	f := filter{column: column, op: op, value: v, numeric: affinity(t) != "TEXT"}
	if op == vtab.OpISNULL || op == vtab.OpISNOTNULL {
		f.plain = true
		return f
	}
	switch v := v.(type) {
	case nil:
		f.none = true // no comparison with null is true
	case int64:
		f.number, f.whole = float64(v), v
		f.exact = t.Kind == columnar.Int64 || t.Kind == columnar.Bool
		f.plain = f.exact || t.Kind == columnar.Float64 || t.Kind == columnar.Decimal
	case float64:
		f.number = v
		f.plain = !math.IsNaN(v) && (t.Kind == columnar.Int64 || t.Kind == columnar.Float64 || t.Kind == columnar.Decimal)
	case string:
		f.fromText(t, v)
	}
	return f
}

func (f *filter) fromText(t columnar.Type, v string) {
	switch t.Kind {
	case columnar.String, columnar.JSON:
		f.text, f.plain = []byte(v), true
	case columnar.Date:
		if d, err := time.Parse(time.DateOnly, v); err == nil {
			f.whole, f.exact, f.plain = d.Unix()/86400, true, true
		}
	case columnar.Timestamp:
		for _, layout := range []string{"2006-01-02 15:04:05.999999", time.DateOnly} {
			if d, err := time.Parse(layout, v); err == nil {
				f.whole, f.exact, f.plain = d.UnixMicro(), true, true
				return
			}
		}
	case columnar.Int64, columnar.Float64, columnar.Decimal: // affinity makes it a number when it is one
		if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) {
			f.number, f.plain = n, true
		}
	}
}

// holds applies the operator to the outcome of comparing a row's value with the condition's. An equal value always passes
// the ordered ones: a date that is text compares longer or shorter than its time.
func (f *filter) holds(c int) bool {
	switch f.op {
	case vtab.OpEQ:
		return c == 0
	case vtab.OpGT, vtab.OpGE:
		return c >= 0
	case vtab.OpLT, vtab.OpLE:
		return c <= 0
	}
	return true
}

// compare gives how value k of a vector stands to the condition's value; close numbers count as equal.
func (f *filter) compare(v *columnar.Vector, k int) int {
	switch v.Type.Kind {
	case columnar.Int64:
		if f.exact {
			return cmp.Compare(v.Ints[k], f.whole)
		}
		return near(float64(v.Ints[k]), f.number)
	case columnar.Bool:
		n := int64(0)
		if v.Bools[k] {
			n = 1
		}
		return cmp.Compare(n, f.whole)
	case columnar.Float64:
		if math.IsNaN(v.Floats[k]) {
			return 0 // SQLite has no NaN and shall decide
		}
		return near(v.Floats[k], f.number)
	case columnar.Decimal:
		if v.Type.Precision <= 18 {
			return near(float64(v.Ints[k])/math.Pow10(v.Type.Scale), f.number)
		}
		return 0
	case columnar.Date:
		return cmp.Compare(int64(v.Days[k]), f.whole)
	case columnar.Timestamp:
		return cmp.Compare(v.Ints[k], f.whole)
	case columnar.String, columnar.JSON:
		return bytes.Compare(v.Texts[k], f.text)
	}
	return 0
}

func near(a, b float64) int {
	if d := a - b; math.Abs(d) > slack*max(math.Abs(a), math.Abs(b)) {
		return cmp.Compare(a, b)
	}
	return 0
}

// never tells by the bounds of a row group that no row passes.
func (f *filter) never(b columnar.Bounds, rows int64) bool {
	switch {
	case f.none:
		return true
	case f.op == vtab.OpISNULL:
		return false // null counts are not always kept
	case f.op == vtab.OpISNOTNULL, !f.plain, b.Min == nil || b.Max == nil:
		return false
	}
	low, high := f.compare(b.Min, 0), f.compare(b.Max, 0)
	switch f.op {
	case vtab.OpEQ:
		return low > 0 || high < 0
	case vtab.OpGT, vtab.OpGE:
		return high < 0
	case vtab.OpLT, vtab.OpLE:
		return low > 0
	}
	return false
}

// pass keeps the rows that may pass. It works in place.
func (f *filter) pass(v *columnar.Vector, places []int32, rows []int32) []int32 {
	switch {
	case f.none:
		return rows[:0]
	case f.op == vtab.OpISNULL || f.op == vtab.OpISNOTNULL:
		out := rows[:0]
		for _, r := range rows {
			if (v.Levels[r] == 0) == (f.op == vtab.OpISNULL) {
				out = append(out, r)
			}
		}
		return out
	case !f.plain:
		return rows
	}
	var coded []bool
	if v.Dict != nil {
		coded = make([]bool, length(v.Dict))
		for k := range coded {
			coded[k] = f.holds(f.compare(v.Dict, k))
		}
	}
	out := rows[:0]
	for _, r := range rows {
		k := r
		if places != nil {
			if k = places[r]; k < 0 {
				continue
			}
		}
		if coded != nil {
			if coded[v.Codes[k]] {
				out = append(out, r)
			}
		} else if f.holds(f.compare(v, int(k))) {
			out = append(out, r)
		}
	}
	return out
}
