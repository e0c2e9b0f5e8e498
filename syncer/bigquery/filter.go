package bigquery

import (
	"errors"
	"fmt"
	"strings"
)

// checkFilter makes sure that a row_filter is one condition that can stand between parentheses: its quotes, comments and
// parentheses are closed and it holds no second statement, so that it cannot undo the conditions beside it. Whether it is
// valid SQL, BigQuery tells at the estimate.
func checkFilter(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("it is empty")
	}
	var open []byte
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], "--") || c == '#':
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return unclosed(open)
			}
			i += n + 1
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return errors.New("a comment is not closed")
			}
			i += 2 + n + 2
		case c == '\'' || c == '"' || c == '`':
			n, ok := quotedLength(s, i)
			if !ok {
				return fmt.Errorf("the quote %c at byte %d is not closed", c, i+1)
			}
			i += n
		case c == ';':
			return errors.New("a semicolon would begin another statement: write one condition, without WHERE")
		case c == '(' || c == '[':
			open = append(open, c)
			i++
		case c == ')' || c == ']':
			if len(open) == 0 || open[len(open)-1] != map[byte]byte{')': '(', ']': '['}[c] {
				return fmt.Errorf("the %c at byte %d closes nothing", c, i+1)
			}
			open = open[:len(open)-1]
			i++
		default:
			i++
		}
	}
	return unclosed(open)
}

func unclosed(open []byte) error {
	if len(open) > 0 {
		return fmt.Errorf("a %c is not closed", open[len(open)-1])
	}
	return nil
}

// quotedLength is the length of the string or quoted name that begins at i: '...', "...", three of either, or backquotes;
// raw when an r stands before (GoogleSQL, lexical structure). In raw strings, too, a backslash keeps a quote from closing.
func quotedLength(s string, i int) (int, bool) {
	quote := s[i : i+1]
	if quote != "`" && strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for j := i + len(quote); j < len(s); {
		switch {
		case s[j] == '\\':
			j += 2
		case strings.HasPrefix(s[j:], quote):
			return j + len(quote) - i, true
		case s[j] == '\n' && len(quote) == 1:
			return 0, false
		default:
			j++
		}
	}
	return 0, false
}
