package bigquerytest

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

var tokens = regexp.MustCompile("(?s)^(\\s+|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\\*.*?\\*/)|^(`(?:[^`\\\\]|\\\\.)*`|'(?:[^'\\\\]|\\\\.)*'|>=|<=|!=|<>|[0-9]+(?:\\.[0-9]*)?(?:e[+-]?[0-9]+)?|[A-Za-z_][A-Za-z_0-9]*|.)")

// parser reads conditions: comparisons of a column with a literal of its own type, IN, IS NULL, AND, OR, NOT, parentheses.
type parser struct {
	words []string
	at    int
	table Table
}

func newParser(text string) (*parser, error) {
	p := &parser{}
	for text != "" {
		m := tokens.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("syntax error near %q", text)
		}
		if m[2] != "" {
			p.words = append(p.words, m[2])
		}
		text = text[len(m[0]):]
	}
	return p, nil
}

func (p *parser) done() bool { return p.at >= len(p.words) }

func (p *parser) take() string {
	p.at++
	if p.at > len(p.words) {
		return ""
	}
	return p.words[p.at-1]
}

func (p *parser) is(word string) bool {
	if p.at < len(p.words) && strings.EqualFold(p.words[p.at], word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(word string) error {
	if !p.is(word) {
		return fmt.Errorf("syntax error: Expected %s but got %q", word, p.take())
	}
	return nil
}

func (p *parser) name() (string, error) {
	w := p.take()
	if strings.HasPrefix(w, "`") {
		return unquote(w), nil
	}
	if w == "" || !strings.Contains("_abcdefghijklmnopqrstuvwxyz", strings.ToLower(w[:1])) {
		return "", fmt.Errorf("syntax error: Unexpected %q", w)
	}
	return w, nil
}

// literal reads a literal that BigQuery would compare with a column of the kind.
func (p *parser) literal(kind string) (any, error) {
	w := p.take()
	typed := ""
	switch upper := strings.ToUpper(w); upper {
	case "TIMESTAMP", "DATE", "DATETIME", "TIME", "NUMERIC", "BIGNUMERIC":
		typed, w = upper, p.take()
	case "TRUE", "FALSE":
		typed = "BOOLEAN"
	case "-", "+":
		w += p.take()
		typed = "INTEGER"
	default:
		switch {
		case w != "" && w[0] >= '0' && w[0] <= '9':
			typed = "INTEGER"
			if strings.ContainsAny(w, ".e") {
				typed = "FLOAT"
			}
		case strings.HasPrefix(w, "'"):
			typed = "STRING"
		}
	}
	number := func(k string) bool { return slices.Contains([]string{"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"}, k) }
	if typed != kind && !(number(typed) && number(kind)) {
		return nil, fmt.Errorf("no matching signature for operator for argument types: %s, %s", kind, typed)
	}
	if strings.HasPrefix(w, "'") {
		w = unquote(w)
	}
	return value(kind, w)
}

// value makes text of a type comparable.
func value(kind, text string) (any, error) {
	switch kind {
	case "INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC":
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			return nil, fmt.Errorf("invalid %s value: %s", kind, text)
		}
		return r, nil
	case "TIMESTAMP", "DATETIME":
		return moment(text)
	case "BOOLEAN":
		return strings.ToLower(text), nil
	case "STRING", "DATE", "TIME":
		return text, nil
	}
	return nil, fmt.Errorf("comparison is not defined for %s", kind)
}

func moment(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999-07:00", "2006-01-02 15:04:05.999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid timestamp: %s", text)
}

func compare(a, b any) int {
	switch x := a.(type) {
	case *big.Rat:
		return x.Cmp(b.(*big.Rat))
	case time.Time:
		return x.Compare(b.(time.Time))
	}
	return strings.Compare(a.(string), b.(string))
}

var escapes = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)

func unquote(w string) string {
	return escapes.ReplaceAllStringFunc(w[1:len(w)-1], func(e string) string {
		switch e[1] {
		case 'n':
			return "\n"
		case 'r':
			return "\r"
		case 'u':
			var r rune
			_, _ = fmt.Sscanf(e[2:], "%x", &r)
			return string(r)
		}
		return e[1:]
	})
}
