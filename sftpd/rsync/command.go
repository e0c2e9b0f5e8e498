package rsync

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// word is one word of a command line. Its pattern is the text with what was quoted escaped, for words with wildcards.
type word struct {
	text    string
	pattern string
	wild    bool // has an unquoted wildcard
	tilde   bool // begins with an unquoted ~
}

// IsCommand tells whether a program name of a command line means rsync.
func IsCommand(name string) bool {
	base := path.Base(name)
	return base == "rsync" || base == "openrsync"
}

// maxCommand bounds command lines and the arguments that come over the connection.
const (
	maxCommand = 64 << 10
	maxArgs    = 1000
	maxArg     = 4096
)

// split takes a command line apart by POSIX quoting. There is no shell, so that nothing is expanded here, and what only a
// shell could do is refused.
func split(line string) ([]word, error) {
	if len(line) > maxCommand {
		return nil, fmt.Errorf("the command is longer than %d bytes", maxCommand)
	}
	if strings.ContainsRune(line, 0) {
		return nil, errors.New("the command has a zero byte")
	}
	var out []word
	var text, pattern strings.Builder
	var cur word
	quote, open := byte(0), false
	add := func(ch byte, quoted bool) {
		if quoted && strings.IndexByte(`*?[]\`, ch) >= 0 {
			pattern.WriteByte('\\')
		} else if !quoted && (ch == '*' || ch == '?' || ch == '[') {
			cur.wild = true
		}
		cur.tilde = cur.tilde || ch == '~' && !quoted && text.Len() == 0
		text.WriteByte(ch)
		pattern.WriteByte(ch)
		open = true
	}
	end := func() {
		if open {
			cur.text, cur.pattern = text.String(), pattern.String()
			out = append(out, cur)
			text.Reset()
			pattern.Reset()
			cur, open = word{}, false
		}
	}
	for i := 0; i < len(line); i++ {
		ch := line[i]
		switch {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == '\'', quote == '"' && ch != '\\':
			add(ch, true)
		case ch == '\\':
			if i++; i == len(line) {
				return nil, errors.New("the command ends with a backslash")
			}
			if quote == '"' && strings.IndexByte("\"\\$`", line[i]) < 0 {
				add('\\', true)
			}
			add(line[i], true)
		case ch == '\'' || ch == '"':
			quote, open = ch, true
		case ch == ' ' || ch == '\t' || ch == '\r':
			end()
		case strings.IndexByte(";|&<>\n", ch) >= 0:
			return nil, fmt.Errorf("there is no shell here, so that %q has no meaning: quote it when it belongs to a name", ch)
		default:
			add(ch, false)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote of the command is not closed")
	}
	end()
	if len(out) > maxArgs {
		return nil, fmt.Errorf("the command has more than %d words", maxArgs)
	}
	return out, nil
}

// readSecluded reads the arguments that come over the connection with --secluded-args. They were never quoted, and the
// names among them may still be patterns.
func readSecluded(r *reader) ([]word, error) {
	var out []word
	total := 0
	for {
		text := r.zeroEnded(maxArg)
		if r.err != nil {
			return nil, r.err
		}
		if text == "" {
			break
		}
		total += len(text)
		if len(out) >= maxArgs || total > maxCommand {
			return nil, protocolError("too many arguments were sent")
		}
		out = append(out, word{text: text, pattern: text, wild: strings.ContainsAny(text, "*?["), tilde: text[0] == '~'})
	}
	if len(out) == 0 {
		return nil, protocolError("no arguments were sent")
	}
	return out[1:], nil // the first is the program's name
}
