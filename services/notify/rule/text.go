package rule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode"
)

// text is a template of a title or a message: the subset of Go's text/template that cannot run long, write much, or reach
// anything but the result. It gives plain text; each channel escapes it for itself.
type text struct{ t *template.Template }

// functions are those that a template may call. Comparisons take whole and other numbers alike.
var functions = template.FuncMap{
	"number": func(args ...any) (string, error) { return numberText(args) },
	"percent": func(v any) (string, error) {
		n, ok := plainNumber(v)
		if !ok {
			return "", fmt.Errorf("percent: %s is not a number", show(v))
		}
		return strconv.FormatFloat(n, 'f', 1, 64) + "%", nil
	},
	"eq": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n == 0 }) },
	"ne": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n != 0 }) },
	"lt": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n < 0 }) },
	"le": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n <= 0 }) },
	"gt": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n > 0 }) },
	"ge": func(a, b any) (bool, error) { return ordered(a, b, func(n int) bool { return n >= 0 }) },
}

// builtin are the functions of text/template that are let through as they are.
var builtin = map[string]bool{"and": true, "or": true, "not": true, "len": true, "index": true}

// parseText reads a template and refuses what is not in the subset.
func parseText(s string) (*text, error) {
	t, err := template.New("text").Funcs(functions).Option("missingkey=error").Parse(s)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "template: "), "text:"))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not possible here")
	}
	if t.Tree == nil || t.Root == nil {
		return &text{t}, nil
	}
	if err := allowed(t.Root, 0); err != nil {
		return nil, err
	}
	return &text{t}, nil
}

const (
	maxLoops = 1 // a loop in a loop would multiply
	maxShown = 100
)

// allowed walks over what a template is made of.
func allowed(n parse.Node, loops int) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, child := range n.Nodes {
			if err := allowed(child, loops); err != nil {
				return err
			}
		}
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
	case *parse.ActionNode:
		return allowedPipe(n.Pipe)
	case *parse.IfNode:
		return allowedBranch(n.Pipe, n.List, n.ElseList, loops)
	case *parse.WithNode:
		return allowedBranch(n.Pipe, n.List, n.ElseList, loops)
	case *parse.RangeNode:
		if loops == maxLoops {
			return errors.New("a range in a range is not possible here")
		}
		if len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 || n.Pipe.Cmds[0].String() != ".rows" && n.Pipe.Cmds[0].String() != "$.rows" {
			return errors.New("range goes over the rows only: {{range .rows}}...{{end}}")
		}
		return allowedBranch(n.Pipe, n.List, n.ElseList, loops+1)
	default:
		return fmt.Errorf("%s is not possible here", n)
	}
	return nil
}

func allowedBranch(pipe *parse.PipeNode, list, other *parse.ListNode, loops int) error {
	return errors.Join(allowedPipe(pipe), allowed(list, loops), allowed(other, loops))
}

func allowedPipe(pipe *parse.PipeNode) error {
	if pipe == nil {
		return nil
	}
	for _, cmd := range pipe.Cmds {
		for _, arg := range cmd.Args {
			switch a := arg.(type) {
			case *parse.IdentifierNode:
				if _, own := functions[a.Ident]; !own && !builtin[a.Ident] {
					return fmt.Errorf("the function %s is not possible here: use number, percent, eq, ne, lt, le, gt, ge, and, or, not, len, index", a.Ident)
				}
			case *parse.PipeNode:
				if err := allowedPipe(a); err != nil {
					return err
				}
			case *parse.ChainNode:
				return fmt.Errorf("%s is not possible here", a)
			}
		}
	}
	return nil
}

// empty is a value that is NULL: false in an if, and said in words.
type empty string

func (empty) String() string { return "(empty)" }

// real is a number with a fraction, written without an exponent.
type real float64

func (r real) String() string { return strconv.FormatFloat(float64(r), 'f', -1, 64) }

func shown(v any) any {
	switch v := v.(type) {
	case nil:
		return empty("")
	case float64:
		return real(v)
	case []byte:
		return kept(string(v))
	case string:
		return kept(v)
	}
	return v
}

func plainNumber(v any) (float64, bool) {
	if r, ok := v.(real); ok {
		return float64(r), true
	}
	return number(v)
}

func ordered(a, b any, ok func(int) bool) (bool, error) {
	x, xn := plainNumber(a)
	y, yn := plainNumber(b)
	if xn && yn {
		a, b = x, y
	} else {
		a, b = show(a), show(b)
	}
	n, err := compare(a, b)
	return ok(n), err
}

// numberText writes {{number .amount 2}}: thousands apart, with so many digits behind the point (none when not said).
func numberText(args []any) (string, error) {
	if len(args) == 0 || len(args) > 2 {
		return "", errors.New("number: write {{number .amount 2}}")
	}
	n, ok := plainNumber(args[0])
	if !ok {
		if _, null := args[0].(empty); null {
			return "(empty)", nil
		}
		return "", fmt.Errorf("number: %s is not a number", show(args[0]))
	}
	digits := 0
	if len(args) == 2 {
		d, ok := plainNumber(args[1])
		if !ok || d < 0 || d > 10 {
			return "", errors.New("number: give 0 to 10 digits")
		}
		digits = int(d)
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Sprint(n), nil
	}
	s := strconv.FormatFloat(math.Abs(n), 'f', digits, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	var b strings.Builder
	if n < 0 && strings.Trim(s, "0.") != "" {
		b.WriteByte('-')
	}
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	return b.String(), nil
}

// telling is what a template may speak of.
func telling(f Facts, condition string, at time.Time) map[string]any {
	data := map[string]any{}
	row := map[string]any{}
	var rows []map[string]any
	for i := range min(len(f.Rows), maxShown) {
		one := map[string]any{}
		for k, c := range f.Columns {
			one[c] = shown(f.Rows[i][k])
		}
		rows = append(rows, one)
	}
	if len(rows) > 0 {
		row = rows[0]
	}
	for _, c := range f.Columns {
		data[c] = empty("")
	}
	for c, v := range row {
		data[c] = v
	}
	value, previous, moved, percent := any(empty("")), any(empty("")), any(empty("")), any(empty(""))
	if len(f.Rows) > 0 && len(f.Columns) > 0 {
		value = shown(f.Rows[0][0])
	}
	if f.Previous != nil {
		previous = shown(f.Previous.Value)
	}
	if v, err := change(f, false); err == nil {
		moved = shown(v)
	}
	if v, err := change(f, true); err == nil {
		percent = shown(v)
	}
	for name, v := range map[string]any{"rows": rows, "row": row, "count": len(f.Rows), "value": value, "previous": previous, "change": moved,
		"change_percent": percent, "condition": condition, "time": at.Format("2006-01-02 15:04 MST")} {
		data[name] = v
	}
	return data
}

// maxTold bounds a rendered text; the outbox cuts at the same length.
const maxTold = 16 << 10

var errFull = errors.New("the text is full")

// render writes the text. One that is too long is cut.
func (t *text) render(data map[string]any) (string, error) {
	if t == nil {
		return "", nil
	}
	var b limited
	if err := t.t.Execute(&b, data); err != nil && !errors.Is(err, errFull) {
		s := err.Error()
		if i := strings.Index(s, ">: "); i >= 0 {
			s = s[i+3:]
		}
		return "", errors.New(s)
	}
	return strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(b.String(), ""))), nil
}

// printable keeps control characters out of terminals and letters.
func printable(r rune) rune {
	if r == '\n' || r == '\t' || !unicode.IsControl(r) {
		return r
	}
	return ' '
}

// limited is a text that takes no more than maxTold bytes.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	room := maxTold - l.Len()
	if len(p) <= room {
		return l.Builder.Write(p)
	}
	_, _ = l.Builder.Write(p[:room])
	return room, errFull
}
