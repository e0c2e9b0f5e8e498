package rsync

import "strings"

// glob is a compiled wildcard pattern: * and ? do not cross a slash, ** does. It runs all its states side by side, so that
// the time for a name is at most its length times the pattern's stars, whatever the pattern.
type glob struct {
	tokens   []token
	on, next []int32  // scratch of match: states that are alive
	seen     []uint32 // by state, the step in which it was last reached
	step     uint32
}

type token struct {
	kind tokenKind
	ch   byte
	set  *bytesSet
}

// bytesSet is a set of bytes.
type bytesSet [4]uint64

func (s *bytesSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

type tokenKind byte

const (
	tokenByte tokenKind = iota
	tokenAny            // ?
	tokenSet            // [...]
	tokenStar           // *
	tokenDeep           // **
)

// compileGlob reads a pattern; one that makes no sense matches nothing that its text does not.
func compileGlob(p string) *glob {
	g := &glob{}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case '*':
			kind := tokenStar
			for i+1 < len(p) && p[i+1] == '*' {
				kind, i = tokenDeep, i+1
			}
			g.tokens = append(g.tokens, token{kind: kind})
		case '?':
			g.tokens = append(g.tokens, token{kind: tokenAny})
		case '[':
			set, end := parseSet(p[i:])
			if set == nil { // without an end it can match nothing
				set, end = new(bytesSet), len(p)-i
			}
			i += end - 1
			g.tokens = append(g.tokens, token{kind: tokenSet, set: set})
		case '\\':
			if i+1 < len(p) {
				i++
			}
			fallthrough
		default:
			g.tokens = append(g.tokens, token{kind: tokenByte, ch: p[i]})
		}
	}
	g.seen = make([]uint32, len(g.tokens)+1)
	return g
}

// parseSet reads [...] and gives its length.
func parseSet(p string) (packed *bytesSet, n int) {
	var set [256]bool
	i, negate := 1, false
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		negate, i = true, i+1
	}
	for first := true; ; first = false {
		if i >= len(p) {
			return nil, 0
		}
		c := p[i]
		if c == ']' && !first {
			break
		}
		if c == '[' && i+1 < len(p) && p[i+1] == ':' {
			end := strings.Index(p[i+2:], ":]")
			if end < 0 {
				return nil, 0
			}
			in := classes[p[i+2:i+2+end]]
			if in == nil {
				return nil, 0
			}
			for b := range 256 {
				set[b] = set[b] || b < 128 && in(byte(b))
			}
			i += end + 4
			continue
		}
		if c == '\\' {
			if i++; i >= len(p) {
				return nil, 0
			}
			c = p[i]
		}
		i++
		to := c
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			if to, i = p[i+1], i+2; to == '\\' {
				if i >= len(p) {
					return nil, 0
				}
				to, i = p[i], i+1
			}
		}
		for b := int(c); b <= int(to); b++ {
			set[b] = true
		}
	}
	if negate {
		for b := range set {
			set[b] = !set[b]
		}
	}
	set['/'] = false
	packed = new(bytesSet)
	for b, on := range set {
		if on {
			packed[b>>6] |= 1 << (b & 63)
		}
	}
	return packed, i + 1
}

var classes = map[string]func(c byte) bool{
	"alpha":  func(c byte) bool { return isLower(c) || isUpper(c) },
	"digit":  isDigit,
	"alnum":  func(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) },
	"upper":  isUpper,
	"lower":  isLower,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"space":  func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 127 },
	"graph":  func(c byte) bool { return c > ' ' && c < 127 },
	"print":  func(c byte) bool { return c >= ' ' && c < 127 },
	"punct":  func(c byte) bool { return c > ' ' && c < 127 && !isLower(c) && !isUpper(c) && !isDigit(c) },
	"xdigit": func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' },
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// match tells whether the whole of name fits.
func (g *glob) match(name string) bool {
	on, next := g.on[:0], g.next[:0]
	g.advance()
	on = g.reach(on, 0)
	for i := 0; i < len(name) && len(on) > 0; i++ {
		c := name[i]
		next = next[:0]
		g.advance()
		for _, t := range on {
			if int(t) == len(g.tokens) {
				continue
			}
			tok := &g.tokens[t]
			switch tok.kind {
			case tokenByte:
				if c == tok.ch {
					next = g.reach(next, t+1)
				}
			case tokenAny:
				if c != '/' {
					next = g.reach(next, t+1)
				}
			case tokenSet:
				if tok.set.has(c) {
					next = g.reach(next, t+1)
				}
			case tokenStar:
				if c != '/' {
					next = g.reach(next, t)
				}
			case tokenDeep:
				next = g.reach(next, t)
			}
		}
		on, next = next, on
	}
	g.on, g.next = on, next
	return len(on) > 0 && g.seen[len(g.tokens)] == g.step
}

// advance begins a step, in which no state was reached yet.
func (g *glob) advance() {
	if g.step++; g.step == 0 {
		clear(g.seen)
		g.step = 1
	}
}

// reach adds a state, and those behind it that need no byte.
func (g *glob) reach(on []int32, t int32) []int32 {
	for g.seen[t] != g.step {
		g.seen[t] = g.step
		on = append(on, t)
		if int(t) == len(g.tokens) || g.tokens[t].kind != tokenStar && g.tokens[t].kind != tokenDeep {
			break
		}
		t++
	}
	return on
}
