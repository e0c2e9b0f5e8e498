// Package strict decodes YAML into structs and tells of everything that is wrong with it, each with file, line and column:
// unknown keys with the nearest known one, wrong types, keys given twice. It never guesses and knows no configuration.
//
//	problems := strict.Decode(strict.Source{Name: "instance.yaml", Text: text}, &cfg)
package strict

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Source is one YAML document. Line is the number of lines before it in its file. Each string value goes through Value,
// which may be nil, with its dotted path.
type Source struct {
	Name  string
	Text  []byte
	Line  int
	Value func(path, text string) string
}

// Problem is one thing that is wrong.
type Problem struct {
	File      string
	Line, Col int
	Text      string
}

func (p *Problem) Error() string { return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Text) }

// Node is a value that decodes itself, as it may be written in several ways.
type Node interface {
	DecodeNode(d *Decoder, path string, n ast.Node)
}

// Positioned is a struct that wants to know where it stands.
type Positioned interface {
	SetPosition(file string, line, col int)
}

// Decoder collects what is wrong.
type Decoder struct {
	src      Source
	Problems []error
}

// maxDepth bounds nesting, far beyond what any configuration needs.
const maxDepth = 50

// Decode reads one document into v, a pointer to a struct whose yaml tags name the keys.
func Decode(src Source, v any) []error { return DecodeWhen(src, v, nil) }

// DecodeWhen is Decode for a document that is read only when its top-level keys are wanted; nil wants any.
func DecodeWhen(src Source, v any, wanted func(keys map[string]bool) bool) []error {
	d := &Decoder{src: src}
	n, err := d.parse()
	if err != nil {
		return []error{err}
	}
	if n == nil || wanted != nil && !wanted(keysOf(n)) {
		return nil
	}
	d.Into("", n, reflect.ValueOf(v).Elem(), 0)
	return d.Problems
}

func keysOf(n ast.Node) map[string]bool {
	keys := map[string]bool{}
	for _, pair := range pairs(n) {
		keys[text(pair.Key)] = true
	}
	return keys
}

func (d *Decoder) parse() (n ast.Node, err error) {
	defer func() { // a parser fault on odd input must not end the program
		if p := recover(); p != nil {
			err = &Problem{d.src.Name, d.src.Line + 1, 1, "this is not YAML"}
		}
	}()
	text := bytes.TrimPrefix(d.src.Text, []byte("\uFEFF"))      // editors on Windows put a byte order mark there
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) // the parser counts their line ends twice
	if line := tooDeep(text); line > 0 {
		return nil, &Problem{d.src.Name, d.src.Line + line, 1, "nested too deep"}
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, d.syntax(err)
	}
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.DirectiveType {
			if n != nil {
				return nil, d.at(doc.Body, "there is more than one YAML document: keep one")
			}
			n = doc.Body
		}
	}
	return n, nil
}

// tooDeep gives the line on which brackets or list marks are nested deeper than any configuration needs, 0 if none is. The
// parser's time and stack grow with nesting.
func tooDeep(text []byte) int {
	const most = 500
	depth, n := 0, 0
	for line := range bytes.Lines(text) {
		n++
		depth += bytes.Count(line, []byte("[")) + bytes.Count(line, []byte("{")) - bytes.Count(line, []byte("]")) - bytes.Count(line, []byte("}"))
		depth = max(depth, 0)
		if depth > most || bytes.Count(line, []byte("- ")) > most || bytes.Count(line, []byte("? ")) > most || bytes.Count(line, []byte("!")) > most || bytes.Count(line, []byte("&")) > most {
			return n
		}
	}
	return 0
}

var place = regexp.MustCompile(`^\[(\d+):(\d+)\]\s*`)

func (d *Decoder) syntax(err error) error {
	msg := strings.SplitN(yaml.FormatError(err, false, false), "\n", 2)[0]
	p := &Problem{File: d.src.Name, Line: d.src.Line + 1, Col: 1, Text: msg}
	if m := place.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1])
		p.Col, _ = strconv.Atoi(m[2])
		p.Line, p.Text = d.src.Line+line, strings.TrimPrefix(msg, m[0])
	}
	return p
}

func (d *Decoder) at(n ast.Node, format string, args ...any) *Problem {
	p := &Problem{File: d.src.Name, Line: d.src.Line + 1, Col: 1, Text: fmt.Sprintf(format, args...)}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Col = d.src.Line+t.Position.Line, t.Position.Column
	}
	return p
}

// Fail notes a problem at a node.
func (d *Decoder) Fail(n ast.Node, format string, args ...any) {
	d.Problems = append(d.Problems, d.at(n, format, args...))
}

// Into decodes a node into a settable value.
func (d *Decoder) Into(path string, n ast.Node, v reflect.Value, depth int) {
	if depth > maxDepth {
		d.Fail(n, "%s: nested too deep", path)
		return
	}
	switch x := n.(type) {
	case *ast.AnchorNode:
		n = x.Value
	case *ast.TagNode:
		n = x.Value
	case *ast.AliasNode:
		d.Fail(n, "%s: YAML aliases are not read here: write the value out", path)
		return
	}
	if n == nil || n.Type() == ast.NullType {
		return // a key without a value is as if it was not there
	}
	if v.CanAddr() {
		switch x := v.Addr().Interface().(type) {
		case Node:
			x.DecodeNode(d, path, n)
			return
		case encoding.TextUnmarshaler:
			if s, ok := d.scalar(path, n); ok {
				if err := x.UnmarshalText([]byte(s)); err != nil {
					d.Fail(n, "%s: %v", path, err)
				}
			}
			return
		}
	}
	d.plain(path, n, v, depth)
}

func (d *Decoder) plain(path string, n ast.Node, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.Into(path, n, v.Elem(), depth+1)
	case reflect.String:
		if s, ok := d.scalar(path, n); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		if s, ok := d.scalar(path, n); ok {
			b, err := strconv.ParseBool(s)
			if err != nil {
				d.Fail(n, "%s: %q is not true or false", path, s)
			}
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int64:
		if s, ok := d.scalar(path, n); ok {
			i, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				d.Fail(n, "%s: %q is not a whole number", path, s)
			}
			v.SetInt(i)
		}
	case reflect.Float64:
		if s, ok := d.scalar(path, n); ok {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				d.Fail(n, "%s: %q is not a number", path, s)
			}
			v.SetFloat(f)
		}
	case reflect.Slice:
		d.list(path, n, v, depth)
	case reflect.Map:
		d.table(path, n, v, depth)
	case reflect.Struct:
		d.object(path, n, v, depth)
	}
}

// scalar gives the text of a single value.
func (d *Decoder) scalar(path string, n ast.Node) (string, bool) {
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.Fail(n, "%s: a single value is expected here", path)
		return "", false
	}
	t := text(s)
	if d.src.Value != nil {
		t = d.src.Value(path, t)
	}
	return t, true
}

// Scalar gives the text of a single value, for a Node that decodes itself.
func (d *Decoder) Scalar(path string, n ast.Node) (string, bool) { return d.scalar(path, n) }

func text(n ast.Node) string {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value
	case *ast.LiteralNode:
		return s.Value.Value
	case *ast.NullNode:
		return ""
	}
	if t := n.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func (d *Decoder) list(path string, n ast.Node, v reflect.Value, depth int) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.Fail(n, "%s: a list is expected here", path)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		d.Into(fmt.Sprintf("%s[%d]", path, i), item, out.Index(i), depth+1)
	}
	v.Set(out)
}

func (d *Decoder) table(path string, n ast.Node, v reflect.Value, depth int) {
	if !isMap(n) {
		d.Fail(n, "%s: a map is expected here", path)
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, pair := range pairs(n) {
		key := text(pair.Key)
		if out.MapIndex(reflect.ValueOf(key)).IsValid() {
			d.Fail(pair.Key, "%s: key %q is given twice", path, key)
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.Into(join(path, key), pair.Value, item, depth+1)
		out.SetMapIndex(reflect.ValueOf(key), item)
	}
	v.Set(out)
}

func (d *Decoder) object(path string, n ast.Node, v reflect.Value, depth int) {
	if !isMap(n) {
		where := path
		if where == "" {
			where = "the document"
		}
		d.Fail(n, "%s: keys with values are expected here", where)
		return
	}
	list := pairs(n)
	if p, ok := v.Addr().Interface().(Positioned); ok && len(list) > 0 {
		at := d.at(list[0].Key, "")
		p.SetPosition(d.src.Name, at.Line, at.Col)
	}
	fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	for _, pair := range list {
		key := text(pair.Key)
		switch i, known := fields[key]; {
		case seen[key]:
			d.Fail(pair.Key, "key %q is given twice", join(path, key))
		case !known:
			d.Fail(pair.Key, "unknown key %q%s", join(path, key), suggestion(key, fields))
		default:
			seen[key] = true
			d.Into(join(path, key), pair.Value, v.FieldByIndex(i), depth+1)
		}
	}
}

// Object decodes a node into a struct, for a Node that decodes itself.
func (d *Decoder) Object(path string, n ast.Node, v any) {
	d.object(path, n, reflect.ValueOf(v).Elem(), 1)
}

func isMap(n ast.Node) bool {
	return n.Type() == ast.MappingType || n.Type() == ast.MappingValueType
}

func pairs(n ast.Node) []*ast.MappingValueNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldMaps keeps what fieldsOf found, as a description may have thousands of objects of a type.
var fieldMaps sync.Map // map[reflect.Type]map[string][]int

// fieldsOf maps keys to fields; a struct that is embedded or tagged ",inline" lends its keys. The map is not to be changed.
func fieldsOf(t reflect.Type) map[string][]int {
	if known, ok := fieldMaps.Load(t); ok {
		return known.(map[string][]int)
	}
	out := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			out[name] = f.Index
		}
	}
	fieldMaps.Store(t, out)
	return out
}

// Join makes one error of all problems, a line each.
func Join(problems []error) error { return errors.Join(problems...) }
