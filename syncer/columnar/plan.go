package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"aida/config/strict"
)

// plan is what a conversion knows before it reads rows: the header, and for each column of the result where it is found
// and what it must be.
type plan struct {
	c       *CSV
	header  []string
	columns []column
	size    int  // of a block
	exact   bool // how blocks are cut

	texts sync.Pool // of blocks' text
	first records   // of the first block, whose memory is used again
}

// errStop ends a read early, on purpose.
var errStop = errors.New("stop")

// newPlan reads the header of the first input.
func (c *CSV) newPlan(ctx context.Context, o Options) (*plan, error) {
	if len(c.Inputs) == 0 {
		return nil, errors.New("there is no input")
	}
	p := &plan{c: c, size: o.BlockSize}
	p.texts.New = func() any { return new([]byte) }
	if p.size <= 0 {
		p.size = defaultBlockSize
	}
	if err := p.readHeader(ctx); err != nil {
		return nil, err
	}
	if o.BlockSize <= 0 { // a row group of a wide table would otherwise hold few values of each column
		p.size = min(max(p.size, 16<<10*len(p.header)), maxBlockSize)
	}
	return p, p.resolve()
}

// workers bounds how many blocks are worked on at a time by their bytes: where they are larger, fewer.
func (p *plan) workers(n int) int {
	if p.size <= defaultBlockSize {
		return n
	}
	return max(1, (n*defaultBlockSize+p.size/2)/p.size)
}

func (p *plan) readHeader(ctx context.Context) error {
	for _, in := range p.c.Inputs {
		s := p.splitter()
		s.dialect.Header = true // without a header, the first record tells how many cells there are
		err := s.split(ctx, in, func(rec []byte, line int64) error {
			var err error
			if p.header, err = p.names(in.Name, line, rec); err != nil {
				return err
			}
			return errStop
		}, func(*block) error { return errStop })
		if errors.Is(err, errStop) {
			return nil
		}
		if !errors.Is(err, errNoHeader) || p.c.Dialect.Header {
			return err
		}
	}
	for _, d := range p.c.Declared { // no input has a row
		p.header = append(p.header, d.Name)
	}
	if p.header == nil {
		return fmt.Errorf("%s: the file is empty and has no header: declare the columns, so that an empty table has some", p.c.Inputs[0].Name)
	}
	return nil
}

var errNoHeader = errors.New("the file is empty, a header line was expected: wait for its writer, or take the file away")

// names reads the header record, or makes names where there is none.
func (p *plan) names(file string, line int64, rec []byte) ([]string, error) {
	cells, err := p.cells(rec)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: header: %w", file, line, err)
	}
	if !p.c.Dialect.Header {
		for i := range cells {
			cells[i] = fmt.Sprintf("column_%d", i+1)
			if i < len(p.c.Declared) {
				cells[i] = p.c.Declared[i].Name
			}
		}
		return cells, nil
	}
	seen := map[string]int{}
	for i, name := range cells {
		if strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%s:%d: header: column %d has no name: give it one", file, line, i+1)
		}
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("%s:%d: header: the name of column %d is not valid UTF-8: is the encoding right?", file, line, i+1)
		}
		if strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("%s:%d: header: the name of column %d holds a NUL byte: if the file is UTF-16, set encoding: utf-16le", file, line, i+1)
		}
		if first, twice := seen[strings.ToLower(name)]; twice {
			return nil, fmt.Errorf("%s:%d: header: columns %d and %d are both named %q: rename one", file, line, first+1, i+1, name)
		}
		seen[strings.ToLower(name)] = i
	}
	return cells, nil
}

func (p *plan) cells(rec []byte) ([]string, error) {
	t := &records{data: rec, open: -1}
	if len(rec) == 0 {
		return []string{""}, nil
	}
	if i := bytes.IndexByte(rec, '\r'); i >= 0 && !p.inQuotes(rec, i) && (p.c.Dialect.Header || bytes.Count(rec, []byte{'\r'}) > 1) {
		return nil, errors.New("the lines end with a carriage return alone: rewrite the file with line feeds, for example with tr '\\r' '\\n'")
	}
	_, garbage := t.record(0, &p.c.Dialect)
	if t.open >= 0 {
		return nil, errors.New("a quote is not closed")
	}
	if garbage {
		return nil, errors.New("there is text after a closing quote")
	}
	var out []string
	for _, f := range t.fields {
		cell := string(f.bytes(rec))
		if f.end&escaped != 0 {
			q := string(p.c.Dialect.Quote)
			cell = strings.ReplaceAll(cell, q+q, q)
		}
		out = append(out, cell)
	}
	return out, nil
}

// inQuotes tells whether a quoted cell is open at a position of a record.
func (p *plan) inQuotes(rec []byte, at int) bool {
	return p.c.Dialect.Quote != 0 && bytes.Count(rec[:at], []byte{p.c.Dialect.Quote})%2 == 1
}

// check compares the header of a further input with the first one's.
func (p *plan) check(file string) func([]byte, int64) error {
	return func(rec []byte, line int64) error {
		names, err := p.names(file, line, rec)
		if err != nil {
			return err
		}
		if !slices.Equal(names, p.header) {
			return fmt.Errorf("%s:%d: header: the columns are %s, those of %s are %s: all files of a table need the same header",
				file, line, list(names), p.c.Inputs[0].Name, list(p.header))
		}
		return nil
	}
}

func list(names []string) string {
	if len(names) > 20 {
		return strings.Join(names[:20], ", ") + fmt.Sprintf(" and %d more", len(names)-20)
	}
	return strings.Join(names, ", ")
}

// resolve finds the declared and the chosen columns in the header.
func (p *plan) resolve() error {
	declared := map[string]Column{}
	var problems []error
	for _, d := range p.c.Declared {
		if !slices.Contains(p.header, d.Name) {
			problems = append(problems, p.missing(d.Name))
		}
		declared[d.Name] = d
	}
	chosen := p.c.Only
	if chosen == nil {
		chosen = p.header
	}
	for _, name := range chosen {
		source := slices.Index(p.header, name)
		if source < 0 {
			problems = append(problems, p.missing(name))
			continue
		}
		d, typed := declared[name]
		known := false
		if !typed {
			d, known = p.known(name)
		}
		col := column{Column: d, source: source, inferred: !typed && !known, known: known, point: p.c.Dialect.point()}
		if err := col.setLayout(&p.c.Dialect); err != nil {
			problems = append(problems, fmt.Errorf("column %s: %w", name, err))
		}
		p.columns = append(p.columns, col)
	}
	return errors.Join(problems...)
}

func (p *plan) known(name string) (Column, bool) {
	for _, k := range p.c.Known {
		if k.Name == name && k.Type.Kind != Unknown {
			return Column{Name: name, Type: k.Type}, true
		}
	}
	return Column{Name: name}, false
}

func (c *column) setLayout(d *Dialect) error {
	pattern := c.Format
	switch {
	case pattern != "":
	case c.Type.Kind == Date:
		pattern = d.DateFormat
	case c.Type.Kind == Timestamp:
		pattern = d.TimestampFormat
	}
	if pattern == "" {
		return nil
	}
	if c.Type.Kind != Date && c.Type.Kind != Timestamp && c.Type.Kind != Time {
		return fmt.Errorf("format %q belongs to a date, timestamp or time column: declare its type", pattern)
	}
	var err error
	c.layout, err = parseLayout(pattern)
	return err
}

func (p *plan) missing(name string) error {
	near := strict.Nearest(name, p.header)
	if near != "" {
		near = fmt.Sprintf(": did you mean %q", near)
	}
	if near == "" {
		near = ": the header has " + list(p.header)
	}
	return fmt.Errorf("column %s is described but %s does not have it%s", name, p.c.Inputs[0].Name, near)
}

// result gives the columns as they will be stored.
func (p *plan) result() []Column {
	var out []Column
	for _, c := range p.columns {
		if c.Type.Kind == Unknown {
			c.Type.Kind = String
		}
		out = append(out, c.Column)
	}
	return out
}

// lineOf gives the physical line of a position in a block.
func (b *block) lineOf(at int) int64 {
	return b.line + int64(bytes.Count(b.data[:min(at, len(b.data))], newline))
}

func clip(b []byte) string {
	if len(b) > 200 {
		b = b[:200]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
