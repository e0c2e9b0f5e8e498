package query

import (
	"fmt"
	"strings"
)

// statement lets one SELECT through (also WITH, VALUES and EXPLAIN of one) and nothing else: other statements could reach
// files of the machine (ATTACH, VACUUM INTO) or change limits (PRAGMA).
func statement(text string) (string, error) {
	if len(text) > maxSQL {
		return "", &Error{fmt.Sprintf("the query is longer than %d bytes", maxSQL)}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return "", &Error{"the query has a zero byte in it"}
	}
	end, first := len(text), ""
	for i := 0; i < len(text); {
		n, kind := token(text[i:])
		switch {
		case kind == blank:
		case end < len(text):
			return "", &Error{"one SELECT at a time: leave out what stands behind the semicolon"}
		case text[i] == ';':
			end = i
		case first == "":
			first = strings.ToUpper(text[i : i+n])
		}
		i += n
	}
	switch first {
	case "":
		return "", &Error{"there is no query: write a SELECT"}
	case "SELECT", "WITH", "VALUES", "EXPLAIN":
		return text[:end], nil
	}
	return "", &Error{fmt.Sprintf("only SELECT is possible here, not %s", first)}
}

type tokenKind int

const (
	blank tokenKind = iota
	other
)

// token gives the length of the first token of a text that is not empty: a word, a quoted thing, a blank or comment, or one byte.
func token(s string) (int, tokenKind) {
	until := func(from int, end string) int {
		if i := strings.Index(s[from:], end); i >= 0 {
			return from + i + len(end)
		}
		return len(s)
	}
	switch c := s[0]; {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0, strings.HasPrefix(s, "\uFEFF"):
		if c == 0xEF {
			return 3, blank
		}
		return 1, blank
	case strings.HasPrefix(s, "--"):
		return until(2, "\n"), blank
	case strings.HasPrefix(s, "/*"):
		return until(2, "*/"), blank
	case c == '[':
		return until(1, "]"), other
	case c == '\'' || c == '"' || c == '`':
		for i := 1; i < len(s); i++ {
			if s[i] != c {
				continue
			}
			if i+1 < len(s) && s[i+1] == c {
				i++
				continue
			}
			return i + 1, other
		}
		return len(s), other
	case word(c):
		i := 1
		for i < len(s) && word(s[i]) {
			i++
		}
		return i, other
	}
	return 1, other
}

func word(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
