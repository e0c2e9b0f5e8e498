package telegram

import (
	"strings"
	"unicode/utf16"

	tg "github.com/go-telegram/bot"
)

// Limits of the Bot API, in UTF-16 units of the text that people see.
const (
	maxText    = 4096
	maxCaption = 1024
)

// escape writes any text so that MarkdownV2 shows it as it is.
func escape(s string) string { return tg.EscapeMarkdown(strings.ReplaceAll(s, `\`, `\\`)) }

// escapeCode does the same inside of `code`.
func escapeCode(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s)
}

// units is the length of a text as Telegram counts it.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(max(r, 0))
	}
	return n
}

// split cuts a text into pieces of at most limit units: at an empty line, else at a line end, else at a blank, else anywhere
// between two runes.
func split(s string, limit int) []string {
	var out []string
	for units(s) > limit {
		end, n := 0, 0
		for i, r := range s {
			if n += utf16.RuneLen(r); n > limit {
				end = i
				break
			}
		}
		cut, skip := end, 0
		for _, sep := range []string{"\n\n", "\n", " "} {
			if i := strings.LastIndex(s[:end], sep); i > end/2 {
				cut, skip = i, len(sep)
				break
			}
		}
		out = append(out, s[:cut])
		s = s[cut+skip:]
	}
	return append(out, s)
}

// format turns the light Markdown that scripts write (*bold*, _italic_, `code`, ```block```, [text](url)) into MarkdownV2. A mark
// that is not closed in its line, or stands inside of a word, is shown as it is; so any text comes out right.
func format(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		if t, n := block(s[i:]); n > 0 {
			out.WriteString(t)
			i += n
			continue
		}
		if t, n := span(s, i); n > 0 {
			out.WriteString(t)
			i += n
			continue
		}
		next := i + 1
		for next < len(s) && s[next]&0xC0 == 0x80 {
			next++
		}
		out.WriteString(escape(s[i:next]))
		i = next
	}
	return out.String()
}

func block(s string) (string, int) {
	rest, ok := strings.CutPrefix(s, "```")
	if !ok {
		return "", 0
	}
	body, _, ok := strings.Cut(rest, "```")
	if !ok || strings.TrimSpace(body) == "" {
		return "", 0
	}
	return "```" + escapeCode(body) + "```", len(body) + 6
}

// span reads a marked piece of a line that begins at i.
func span(s string, i int) (string, int) {
	line, _, _ := strings.Cut(s[i:], "\n")
	mark := line[:min(1, len(line))]
	switch mark {
	case "`":
		if end := strings.IndexByte(line[1:], '`'); end > 0 {
			return "`" + escapeCode(line[1:1+end]) + "`", end + 2
		}
	case "*", "_":
		if i > 0 && word(s[i-1]) {
			return "", 0
		}
		end := strings.Index(line[1:], mark)
		if end < 1 || line[1] == ' ' || line[end] == ' ' || len(line) > end+2 && word(line[end+2]) {
			return "", 0
		}
		return mark + escape(line[1:1+end]) + mark, end + 2
	case "[":
		mid := strings.Index(line, "](")
		if mid < 2 {
			return "", 0
		}
		end := strings.IndexByte(line[mid:], ')')
		if end < 0 {
			return "", 0
		}
		address := line[mid+2 : mid+end]
		if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
			return "", 0
		}
		address = strings.NewReplacer(`\`, `\\`, ")", `\)`).Replace(address)
		return "[" + escape(line[1:mid]) + "](" + address + ")", mid + end + 1
	}
	return "", 0
}

func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
