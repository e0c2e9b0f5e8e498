package rule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"aida/store"
)

// Condition is what a rule looks for in its query's result: comparisons, joined by "and" and "or" ("and" binds first).
//
//	rows > 0            number of rows
//	value < 100         first value of the first row
//	revenue >= 1000     a column of the first row, by its name
//	value < previous    the value over the data before
//	rows > previous_rows
//	change < -50        value minus previous
//	change < -20%       the same in percent of previous
type Condition struct {
	text string
	any  [][]comparison // one of them holds whole
}

type comparison struct {
	left, right operand
	op          string
}

// operand is a number, a text, or the name of a fact.
type operand struct {
	name    string
	number  *float64
	text    *string
	percent bool
}

// Facts are what a condition is looked at with. Previous is nil when there is none yet.
type Facts struct {
	Columns  []string
	Rows     [][]any
	Previous *store.RuleResult
}

// errNoPrevious tells that the condition cannot be decided yet. It is no fault of the rule.
var errNoPrevious = errors.New("there is no earlier data to compare with yet")

func (c Condition) String() string { return c.text }

// cut tells whether a result that was cut short leaves the condition undecided: how many rows there are is not known.
// That there are some is.
func (c Condition) cut(more bool) bool {
	if !more {
		return false
	}
	for _, all := range c.any {
		for _, one := range all {
			for _, o := range []operand{one.left, one.right} {
				if o.name == "rows" && !(one.right.number != nil && *one.right.number >= 0 && *one.right.number < maxRows) || o.name == "previous_rows" {
					return true
				}
			}
		}
	}
	return false
}

// ParseCondition reads a condition.
func ParseCondition(s string) (Condition, error) {
	c := Condition{text: s}
	words, err := lex(s)
	if err != nil {
		return c, err
	}
	var all []comparison
	for {
		one, rest, err := parseComparison(words)
		if err != nil {
			return c, err
		}
		all, words = append(all, one), rest
		if len(words) == 0 {
			c.any = append(c.any, all)
			return c, nil
		}
		switch join := strings.ToLower(words[0].text); {
		case words[0].kind == 'w' && join == "and":
		case words[0].kind == 'w' && join == "or":
			c.any, all = append(c.any, all), nil
		default:
			return c, fmt.Errorf("%q stands behind a whole comparison: join comparisons with and, or", words[0].text)
		}
		words = words[1:]
	}
}

// token is a word, a number, a text, or an operator.
type token struct {
	kind byte // w, n, t, o, and % behind a number
	text string
}

func lex(s string) (out []token, err error) {
	for i := 0; i < len(s); {
		c := s[i]
		end := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '\'' || c == '"':
			n := strings.IndexByte(s[end:], c)
			if n < 0 {
				return nil, fmt.Errorf("the text that begins with %s does not end", s[i:])
			}
			kind := byte('t')
			if c == '"' {
				kind = 'q' // a column, as in SQL
			}
			out = append(out, token{kind, s[end : end+n]})
			end += n + 1
		case c >= '0' && c <= '9' || (c == '-' || c == '+' || c == '.') && end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.'):
			for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || s[end] == '_' || s[end] == 'e' || s[end] == 'E' || (s[end] == '-' || s[end] == '+') && (s[end-1] == 'e' || s[end-1] == 'E')) {
				end++
			}
			out = append(out, token{'n', strings.ReplaceAll(s[i:end], "_", "")})
		case c == '%':
			out = append(out, token{'%', "%"})
		case strings.IndexByte("<>=!", c) >= 0:
			for end < len(s) && strings.IndexByte("<>=", s[end]) >= 0 {
				end++
			}
			out = append(out, token{'o', s[i:end]})
		case letter(c):
			for end < len(s) && (letter(s[end]) || s[end] >= '0' && s[end] <= '9') {
				end++
			}
			out = append(out, token{'w', s[i:end]})
		default:
			return nil, fmt.Errorf("%q has no meaning here: write comparisons such as rows > 0, value < 100, change < -20%%", string(c))
		}
		i = end
	}
	return out, nil
}

func letter(c byte) bool {
	return c == '_' || c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

const example = "write comparisons such as rows > 0, value < 100, value < previous, change < -20%"

func parseComparison(words []token) (c comparison, rest []token, err error) {
	if c.left, words, err = parseOperand(words); err != nil {
		return c, nil, err
	}
	if len(words) == 0 || words[0].kind != 'o' {
		return c, nil, fmt.Errorf("an operator (<, <=, =, !=, >=, >) is missing behind %s: %s", c.left, example)
	}
	switch c.op = words[0].text; c.op {
	case "<", "<=", "=", "!=", ">=", ">":
	case "==":
		c.op = "="
	case "<>":
		c.op = "!="
	default:
		return c, nil, fmt.Errorf("%q is not an operator: use one of <, <=, =, !=, >=, >", c.op)
	}
	if c.right, words, err = parseOperand(words[1:]); err != nil {
		return c, nil, err
	}
	if c.left.number != nil || c.left.text != nil {
		return c, nil, fmt.Errorf("write what is looked at on the left: %s", example)
	}
	if c.right.percent && c.left.name != "change" {
		return c, nil, fmt.Errorf("a percentage is compared with change: write change %s %s", c.op, c.right)
	}
	return c, words, nil
}

func parseOperand(words []token) (operand, []token, error) {
	if len(words) == 0 {
		return operand{}, nil, fmt.Errorf("the condition is cut short: %s", example)
	}
	w, rest := words[0], words[1:]
	switch w.kind {
	case 'w':
		switch lower := strings.ToLower(w.text); lower {
		case "rows", "value", "previous", "previous_rows", "change":
			return operand{name: lower}, rest, nil
		case "and", "or", "not":
			return operand{}, nil, fmt.Errorf("%q stands where something to compare is expected: %s", w.text, example)
		case "true", "false": // booleans are 1 and 0
			n := map[string]float64{"true": 1, "false": 0}[lower]
			return operand{number: &n}, rest, nil
		}
		return operand{name: "." + w.text}, rest, nil
	case 'q':
		return operand{name: "." + w.text}, rest, nil
	case 't':
		return operand{text: &w.text}, rest, nil
	case 'n':
		n, err := strconv.ParseFloat(w.text, 64)
		if err != nil {
			return operand{}, nil, fmt.Errorf("%q is not a number", w.text)
		}
		o := operand{number: &n}
		if len(rest) > 0 && rest[0].kind == '%' {
			o.percent, rest = true, rest[1:]
		}
		return o, rest, nil
	}
	return operand{}, nil, fmt.Errorf("%q stands where something to compare is expected: %s", w.text, example)
}

func (o operand) String() string {
	switch {
	case o.number != nil && o.percent:
		return strconv.FormatFloat(*o.number, 'f', -1, 64) + "%"
	case o.number != nil:
		return strconv.FormatFloat(*o.number, 'f', -1, 64)
	case o.text != nil:
		return "'" + *o.text + "'"
	}
	return strings.TrimPrefix(o.name, ".")
}
