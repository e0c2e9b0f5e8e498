package datadoc

import "bytes"

// fenced is a block of YAML in a Markdown text: it stands between first and last with its fences, its content between from and to.
type fenced struct{ first, from, to, last int }

// fencedIn finds the blocks, which begin with a line "```yaml" and end with one that begins with three backticks. The place of
// an opening line without an end is open, or -1.
func fencedIn(text []byte) (blocks []fenced, open int) {
	begun := false
	var b fenced
	for at := 0; at < len(text); {
		next := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		line := text[at:next]
		switch rest := bytes.TrimLeft(line, " \t"); {
		case begun && bytes.HasPrefix(rest, []byte("```")):
			b.to, b.last = at, at+len(line)-len(rest)+len("```")
			blocks, begun = append(blocks, b), false
		case !begun && bytes.HasPrefix(line, []byte("```yaml")):
			end := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(bytes.TrimRight(end[len("```yaml"):], " \t")) == 0 {
				b, begun = fenced{first: at, from: next}, true
			}
		}
		at = next
	}
	if begun {
		return blocks, b.first
	}
	return blocks, -1
}
