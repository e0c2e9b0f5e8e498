package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Holds decides the condition. A comparison that cannot be made, such as with an empty value, is an error: what is not
// known is neither good nor bad. It is errNoPrevious when only earlier data is missing.
func (c Condition) Holds(f Facts) (bool, error) {
	for _, all := range c.any {
		holds := true
		for _, one := range all {
			ok, err := one.holds(f)
			if err != nil {
				return false, err
			}
			if holds = holds && ok; !holds {
				break
			}
		}
		if holds {
			return true, nil
		}
	}
	return false, nil
}

func (c comparison) holds(f Facts) (bool, error) {
	left, err := c.left.of(f, c.right.percent)
	if err != nil {
		return false, err
	}
	right, err := c.right.of(f, false)
	if err != nil {
		return false, err
	}
	n, err := compare(left, right)
	if err != nil {
		return false, fmt.Errorf("%s %s %s: %w", c.left, c.op, c.right, err)
	}
	switch c.op {
	case "<":
		return n < 0, nil
	case "<=":
		return n <= 0, nil
	case "=":
		return n == 0, nil
	case "!=":
		return n != 0, nil
	case ">=":
		return n >= 0, nil
	}
	return n > 0, nil
}

// compare orders two numbers or two texts.
func compare(a, b any) (int, error) {
	x, xn := number(a)
	y, yn := number(b)
	if xn && yn {
		return cmp.Compare(x, y), nil
	}
	s, st := a.(string)
	t, tt := b.(string)
	if st && tt {
		return strings.Compare(s, t), nil
	}
	if st {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return 0, fmt.Errorf("%q is not a number", t)
}

// number gives the value of a number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// of gives a fact as a number or a text.
func (o operand) of(f Facts, percent bool) (any, error) {
	switch {
	case o.number != nil:
		return *o.number, nil
	case o.text != nil:
		return *o.text, nil
	}
	switch o.name {
	case "rows":
		return float64(len(f.Rows)), nil
	case "value":
		return first(f)
	case "previous_rows":
		if f.Previous == nil {
			return nil, errNoPrevious
		}
		return float64(f.Previous.Rows), nil
	case "previous":
		if f.Previous == nil {
			return nil, errNoPrevious
		}
		if f.Previous.Value == nil {
			return nil, fmt.Errorf("the value over the data before was empty")
		}
		return f.Previous.Value, nil
	case "change":
		return change(f, percent)
	}
	name := strings.TrimPrefix(o.name, ".")
	i := slices.IndexFunc(f.Columns, func(c string) bool { return strings.EqualFold(c, name) })
	if i < 0 {
		return nil, fmt.Errorf("the result has no column %s: it has %s", name, strings.Join(f.Columns, ", "))
	}
	return cell(f, i, name)
}

func first(f Facts) (any, error) { return cell(f, 0, "value") }

// cell gives a value of the first row, which must be there.
func cell(f Facts, i int, name string) (any, error) {
	if len(f.Rows) == 0 {
		return nil, fmt.Errorf("the query gave no row, so there is no %s to compare: aggregate, as in SELECT count(*), or compare rows", name)
	}
	switch v := f.Rows[0][i].(type) {
	case nil:
		return nil, fmt.Errorf("%s is empty (NULL): write COALESCE(..., 0) in the SQL if that means nothing happened", name)
	case []byte:
		return kept(string(v)), nil
	case string:
		return kept(v), nil
	default:
		return v, nil
	}
}

// maxKept is how much of a text is compared and remembered.
const maxKept = 4096

func kept(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxKept)], "") }

func change(f Facts, percent bool) (any, error) {
	if f.Previous == nil {
		return nil, errNoPrevious
	}
	v, err := first(f)
	if err != nil {
		return nil, err
	}
	now, ok := number(v)
	if !ok {
		return nil, fmt.Errorf("value is %q, which is not a number, so it has no change", fmt.Sprint(v))
	}
	before, ok := number(f.Previous.Value)
	if !ok {
		return nil, fmt.Errorf("the value over the data before was not a number, so there is no change")
	}
	if !percent {
		return now - before, nil
	}
	if before == 0 {
		if now == 0 {
			return 0.0, nil
		}
		return nil, fmt.Errorf("the value over the data before was 0, so there is no change in percent")
	}
	return (now - before) / max(before, -before) * 100, nil
}

// show writes a value as people read it.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "(empty)"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}
