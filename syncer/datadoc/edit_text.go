package datadoc

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// mapping is a map of keys in a YAML text, as it stands there.
type mapping struct {
	text []byte
	node ast.Node
}

// findTable gives the map that describes a table.
func findTable(block []byte, id string) ast.Node { return placeOf(block, id).item }

// place is where a table stands in a block: the keys of the block, the list of tables, and the table in it.
type place struct {
	keys []*ast.MappingValueNode
	pair *ast.MappingValueNode
	list *ast.SequenceNode
	item ast.Node // nil = it is not in the block
}

func placeOf(block []byte, id string) (found place) {
	defer func() { _ = recover() }() // a parser fault on odd input finds nothing
	f, err := parser.ParseBytes(block, 0)
	if err != nil {
		return place{}
	}
	for _, doc := range f.Docs {
		keys := pairsOf(doc.Body)
		for _, pair := range keys {
			list, ok := pair.Value.(*ast.SequenceNode)
			if keyOf(pair) != "tables" || !ok {
				continue
			}
			for _, item := range list.Values {
				for _, p := range pairsOf(item) {
					if keyOf(p) == "id" && scalarOf(p.Value) == id {
						return place{keys, pair, list, item}
					}
				}
			}
		}
	}
	return place{}
}

// cutTable takes the entry of a table out, with its list or its block when nothing else is in there.
func cutTable(text []byte, id string) []byte {
	mark := 0
	if bytes.HasPrefix(text, []byte("\uFEFF")) {
		mark = len("\uFEFF")
	}
	blocks, _ := fencedIn(text[mark:])
	for _, b := range blocks {
		from, to := mark+b.from, mark+b.to
		block := text[from:to]
		at := placeOf(block, id)
		switch {
		case at.item == nil:
			continue
		case len(at.list.Values) == 1 && len(at.keys) == 1:
			first, last := mark+b.first, endOfLine(text, mark+b.last)
			if bytes.HasSuffix(text[:first], []byte("\n\n")) && (last == len(text) || text[last] == '\n') {
				first-- // one of the empty lines around it is enough
			}
			return slices.Concat(text[:first], text[last:])
		case len(at.list.Values) == 1:
			s := mapping{block, at.item}.span(at.pair)
			return slices.Concat(text[:from+startOfLine(block, s.key)], text[from+s.last:])
		}
		key := offset(block, pairsOf(at.item)[0].Key.GetToken())
		first := startOfLine(block, key)
		dash := bytes.IndexByte(block[first:key], '-')
		if dash < 0 || len(bytes.TrimSpace(block[first:first+dash])) > 0 {
			return text // the dash stands on another line
		}
		last := endOfLine(block, key)
		for next := last; next < len(block); {
			line := block[next:endOfLine(block, next)]
			next += len(line)
			trimmed := bytes.TrimLeft(line, " ")
			depth := len(line) - len(trimmed)
			switch {
			case len(bytes.TrimSpace(line)) == 0:
			case depth > dash:
				last = next
			case trimmed[0] != '#':
				return slices.Concat(text[:from+first], text[from+last:])
			}
		}
		return slices.Concat(text[:from+first], text[from+last:])
	}
	return text
}

func pairsOf(n ast.Node) []*ast.MappingValueNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	}
	return nil
}

func keyOf(p *ast.MappingValueNode) string {
	if t := p.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func scalarOf(n ast.Node) string {
	if t := n.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// offset is where a token begins in the text.
func offset(text []byte, t *token.Token) int {
	at := 0
	for range t.Position.Line - 1 {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return len(text)
		}
		at += i + 1
	}
	for range t.Position.Column - 1 {
		_, n := utf8.DecodeRune(text[at:])
		at += n
	}
	return min(at, len(text))
}

func (m mapping) flow() bool {
	n, ok := m.node.(*ast.MappingNode)
	return ok && n.IsFlowStyle
}

func (m mapping) pair(key string) *ast.MappingValueNode {
	for _, p := range pairsOf(m.node) {
		if keyOf(p) == key {
			return p
		}
	}
	return nil
}

// span is a key with its value: from the key's first byte to the value's last.
type span struct {
	key, value, end int
	last            int // the end of the last line, or the value's own in a flow
	several         bool
}

func (m mapping) span(p *ast.MappingValueNode) span {
	s := span{key: offset(m.text, p.Key.GetToken())}
	colon := s.key
	if c := m.text[s.key]; c == '"' || c == '\'' {
		colon = endOfValue(m.text, s.key, m.flow())
	}
	colon += bytes.IndexByte(m.text[colon:], ':') + 1
	s.value = colon
	for s.value < len(m.text) && (m.text[s.value] == ' ' || m.text[s.value] == '\t') {
		s.value++
	}
	s.end = endOfValue(m.text, s.value, m.flow())
	if m.flow() {
		s.last = s.end
		return s
	}
	s.last = endOfLine(m.text, max(s.end, s.key))
	indent := s.key - startOfLine(m.text, s.key)
	for at := s.last; at < len(m.text); {
		next := endOfLine(m.text, at)
		line := m.text[at:next]
		trimmed := bytes.TrimLeft(line, " ")
		depth := len(line) - len(trimmed)
		switch {
		case len(bytes.TrimSpace(line)) == 0, trimmed[0] == '#': // belongs to what follows, unless the value goes on
		case depth > indent || depth == indent && bytes.HasPrefix(trimmed, []byte("- ")):
			s.last, s.several = next, true
		default:
			return s
		}
		at = next
	}
	return s
}

func startOfLine(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

// endOfLine is behind the line's own end.
func endOfLine(text []byte, at int) int {
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(text)
}

// endOfValue is behind a value that begins there, on its line.
func endOfValue(text []byte, at int, flow bool) int {
	if at >= len(text) {
		return at
	}
	switch text[at] {
	case '"':
		for i := at + 1; i < len(text); i++ {
			if text[i] == '\\' {
				i++
			} else if text[i] == '"' {
				return i + 1
			}
		}
		return len(text)
	case '\'':
		for i := at + 1; i < len(text); i++ {
			if text[i] == '\'' {
				if i+1 < len(text) && text[i+1] == '\'' {
					i++
					continue
				}
				return i + 1
			}
		}
		return len(text)
	case '[', '{':
		for i := at + 1; i < len(text); {
			switch text[i] {
			case ']', '}':
				return i + 1
			case '"', '\'', '[', '{':
				i = endOfValue(text, i, true)
			default:
				i++
			}
		}
		return len(text)
	}
	end := at
	for i := at; i < len(text) && text[i] != '\n'; i++ {
		if text[i] == '#' && i > at && (text[i-1] == ' ' || text[i-1] == '\t') || text[i] == '#' && i == at {
			break
		}
		if flow && (text[i] == ',' || text[i] == '}' || text[i] == ']') {
			break
		}
		if c := text[i]; c != ' ' && c != '\t' && c != '\r' {
			end = i + 1
		}
	}
	return end
}

func (m mapping) replace(from, to int, with string) []byte {
	return slices.Concat(m.text[:from], []byte(with), m.text[to:])
}

// set gives a key a value, or takes it out. A new key goes behind the one that order puts before it.
func (m mapping) set(key, value string, order []string) []byte {
	p := m.pair(key)
	switch {
	case p == nil && value == "":
		return m.text
	case p == nil:
		return m.insert(key, value, order)
	case value == "":
		return m.remove(p)
	}
	s := m.span(p)
	if !s.several {
		if s.value == s.end { // there was no value, maybe a comment
			if m.text[s.value-1] == ':' {
				value = " " + value
			}
			if s.end < len(m.text) && m.text[s.end] == '#' {
				value += " "
			}
		}
		return m.replace(s.value, s.end, value)
	}
	comment := ""
	head := m.text[s.value:endOfLine(m.text, s.key)]
	if i := bytes.Index(head, []byte(" #")); i >= 0 && head[0] != '"' && head[0] != '\'' {
		comment = strings.TrimRight(string(head[i:]), "\r\n")
	}
	return m.replace(s.value, s.last, value+comment+"\n")
}

func (m mapping) insert(key, value string, order []string) []byte {
	pairs := pairsOf(m.node)
	anchor := pairs[0]
	at := slices.Index(order, key)
	for _, p := range pairs {
		if i := slices.Index(order, keyOf(p)); i >= 0 && i < at {
			anchor = p
		}
	}
	s := m.span(anchor)
	if m.flow() {
		return m.replace(s.end, s.end, ", "+key+": "+value)
	}
	return m.replace(s.last, s.last, strings.Repeat(" ", m.depth())+key+": "+value+"\n")
}

// depth is the indentation of a block's keys.
func (m mapping) depth() int {
	key := offset(m.text, pairsOf(m.node)[0].Key.GetToken())
	return key - startOfLine(m.text, key)
}

func (m mapping) remove(p *ast.MappingValueNode) []byte {
	s, pairs := m.span(p), pairsOf(m.node)
	if !m.flow() {
		if p == pairs[0] {
			return nil // it stands behind the dash
		}
		return m.replace(startOfLine(m.text, s.key), s.last, "")
	}
	if p == pairs[0] {
		if len(pairs) == 1 {
			return nil
		}
		return m.replace(s.key, offset(m.text, pairs[1].Key.GetToken()), "")
	}
	before := m.span(pairs[slices.Index(pairs, p)-1])
	return m.replace(before.end, s.end, "")
}

// column lets fn change the map of a column.
func (m mapping) column(name string, fn func(mapping) []byte) []byte {
	p := m.pair("columns")
	if p == nil {
		return nil
	}
	list, ok := p.Value.(*ast.SequenceNode)
	if !ok {
		return nil
	}
	for _, item := range list.Values {
		for _, q := range pairsOf(item) {
			if keyOf(q) == "name" && scalarOf(q.Value) == name {
				return fn(mapping{m.text, item})
			}
		}
	}
	return nil
}

// addColumn declares a column that the table does not have yet.
func (m mapping) addColumn(c ColumnEdit) []byte {
	item := "- {name: " + encodeScalar("", c.Name)
	for _, k := range [][2]string{{"type", c.Type}, {"description", c.Description}, {"sensitive", yes(c.Sensitive)}} {
		if k[1] != "" {
			item += ", " + k[0] + ": " + encodeScalar(k[0], k[1])
		}
	}
	item += "}" + "\n"
	if m.flow() {
		return nil
	}
	p := m.pair("columns")
	if p == nil {
		pairs := pairsOf(m.node)
		s := m.span(pairs[len(pairs)-1])
		pad := strings.Repeat(" ", m.depth())
		return m.replace(s.last, s.last, pad+"columns:"+"\n"+pad+"  "+item)
	}
	list, ok := p.Value.(*ast.SequenceNode)
	if !ok || list.IsFlowStyle || len(list.Values) == 0 {
		return nil
	}
	s := m.span(p)
	dash := endOfLine(m.text, s.key)
	for dash < s.last && m.text[dash] != '-' { // over blanks, and comments before the first column
		if c := m.text[dash]; c == '#' {
			dash = endOfLine(m.text, dash)
			continue
		}
		dash++
	}
	pad := strings.Repeat(" ", dash-startOfLine(m.text, dash))
	return m.replace(s.last, s.last, pad+item)
}
