package columnar

import (
	"context"
	"errors"
	"fmt"
)

// finding is what a text says of the types of inferred columns.
type finding struct {
	could []mask // types that every value could be
	seen  []bool // there was a value
	blank []bool // there was a quoted empty cell, which is a value for text alone
	wider []place
}

// place is the first value that is not what the first block made expect.
type place struct {
	file  string
	line  int64
	value string
}

func newFinding(n int) *finding {
	f := &finding{could: make([]mask, n), seen: make([]bool, n), blank: make([]bool, n), wider: make([]place, n)}
	for i := range f.could {
		f.could[i] = asAny
	}
	return f
}

// merge takes in what was found in the text behind.
func (f *finding) merge(g *finding) {
	for i := range f.could {
		f.could[i] &= g.could[i]
		f.seen[i] = f.seen[i] || g.seen[i]
		f.blank[i] = f.blank[i] || g.blank[i]
		if f.wider[i].line == 0 {
			f.wider[i] = g.wider[i]
		}
	}
}

// types decides what the inferred columns are.
func (f *finding) types(columns []column) []Type {
	out := make([]Type, len(columns))
	for i := range columns {
		out[i] = columns[i].Type
		if columns[i].inferred {
			out[i] = inferredType(f.could[i], f.seen[i])
			if out[i].Kind == Unknown && f.blank[i] {
				out[i].Kind = String
			}
		}
	}
	return out
}

// look classifies the cells of inferred columns. expected are the types that were assumed; nil = none.
func (k *converter) look(t *records, b *block, expected []Type) *finding {
	f := newFinding(len(k.columns))
	for i := range k.columns {
		c := &k.columns[i]
		if !c.inferred {
			continue
		}
		want := asAny
		if expected != nil && expected[i].Kind != Unknown {
			want = maskOf(expected[i])
		}
		could := asAny
		for row := range t.rows {
			cell := t.fields[row*t.width+c.source]
			text := cell.bytes(t.data)
			if cell.end&quoted != 0 && len(text) == 0 {
				f.blank[i] = true
				continue
			}
			if k.isNull(text, cell, c) {
				continue
			}
			f.seen[i] = true
			if could != 0 {
				could &= classify(text, c)
			}
			if could&want == 0 && f.wider[i].line == 0 {
				f.wider[i] = place{b.input, b.lineOf(int(cell.start)), clip(text)}
			}
			if could == 0 {
				break // text, whatever comes; only quoted empty cells and nulls could follow, which text can hold
			}
		}
		f.could[i] = could
	}
	return f
}

// guess sets the types of inferred columns to what the first block says; the whole input confirms or corrects that.
func (p *plan) guess(ctx context.Context) error {
	if !p.infers() {
		return nil
	}
	var found *finding
	s := p.splitter()
	for _, in := range p.c.Inputs {
		err := s.split(ctx, in, p.check(in.Name), func(b *block) error {
			defer s.free(b.buf)
			k, t := p.converter(), &p.first
			t.tokenize(b.data, &p.c.Dialect, len(p.header))
			if err := p.structure(t, b); err != nil {
				return err
			}
			found = k.look(t, b, nil)
			return errStop
		})
		if errors.Is(err, errStop) {
			break
		}
		if err != nil {
			return err
		}
	}
	if found == nil {
		found = newFinding(len(p.columns))
	}
	p.set(found.types(p.columns))
	for i := range p.columns {
		p.columns[i].blank = p.columns[i].inferred && found.blank[i] && !found.seen[i]
	}
	return nil
}

func (p *plan) infers() bool {
	for _, c := range p.columns {
		if c.inferred {
			return true
		}
	}
	return false
}

func (p *plan) set(types []Type) {
	for i := range p.columns {
		p.columns[i].Type, p.columns[i].blank = types[i], false
	}
}

// survey reads everything to decide the types, and tells which columns are wider than the first block made expect.
func (p *plan) survey(ctx context.Context, workers int) (warnings []string, err error) {
	expected := make([]Type, len(p.columns))
	for i, c := range p.columns {
		expected[i] = c.Type
	}
	found := newFinding(len(p.columns))
	tokens, converters := make([]records, workers), make([]*converter, workers)
	for w := range converters {
		converters[w] = p.converter()
	}
	err = blocks(ctx, p, workers, func(w int, b *block) (*finding, error) {
		t := &tokens[w]
		t.tokenize(b.data, &p.c.Dialect, len(p.header))
		if err := p.structure(t, b); err != nil {
			return nil, err
		}
		return converters[w].look(t, b, expected), nil
	}, func(f *finding) error {
		found.merge(f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	types := found.types(p.columns)
	for i := range p.columns {
		c := &p.columns[i]
		if c.inferred && types[i].Kind == Unknown {
			types[i].Kind = String
		}
		if w := found.wider[i]; c.inferred && expected[i].Kind != Unknown && types[i] != expected[i] && w.line > 0 {
			warnings = append(warnings, fmt.Sprintf("column %s: widened from %s to %s: %s:%d: value %q", c.Name, expected[i], types[i], w.file, w.line, w.value))
		}
	}
	p.set(types)
	return warnings, nil
}
