package columnar

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// WriteParquet converts all rows. It reads the text once when the types that the first block suggests hold throughout,
// and begins again otherwise: in exact mode when quotes stand where they should not, and after a survey of the whole
// text when a column turns out to be wider.
func (c *CSV) WriteParquet(ctx context.Context, w Sink, o Options) (*Result, error) {
	res, err := c.writeParquet(ctx, w, o)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", c.Table, err)
	}
	return res, nil
}

func (c *CSV) writeParquet(ctx context.Context, w Sink, o Options) (*Result, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	p, err := c.newPlan(ctx, o)
	if err != nil {
		return nil, err
	}
	o.Workers = p.workers(o.Workers)
	var warnings []string
	guessed, surveyed := false, false
	for {
		if !guessed {
			if err = p.guess(ctx); err == nil {
				guessed = true
			}
		}
		var res *Result
		if err == nil {
			if err := w.Reset(); err != nil {
				return nil, err
			}
			res, err = p.convert(ctx, w, o)
		}
		if errors.Is(err, errWider) && !surveyed {
			surveyed = true
			warnings, err = p.survey(ctx, o.Workers)
			if err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, errIrregular) && !p.exact:
			p.exact, guessed, surveyed, warnings, err = true, false, false, nil, nil
			continue
		case errors.Is(err, errIrregular), errors.Is(err, errWider):
			return nil, errChanged
		case err != nil:
			return nil, err
		}
		res.Warnings = warnings
		return res, nil
	}
}

// errWider tells that a value does not fit what the first block made expect of its column.
var errWider = errors.New("a column is wider")

func (p *plan) converter() *converter {
	return &converter{columns: p.columns, nulls: p.c.Dialect.NullTokens, quote: p.c.Dialect.Quote, vectors: make([]Vector, len(p.columns))}
}

// piece is what became of a block.
type piece struct {
	groups []*bytes.Buffer
	rows   int
	bytes  int
	bad    []rejected
}

// rejected is a row on its way to the side file.
type rejected struct {
	err  CellError
	text string
}

type worker struct {
	tokens  records
	k       *converter
	encoder *encoder
}

func (p *plan) convert(ctx context.Context, w io.Writer, o Options) (*Result, error) {
	res := &Result{Schema: Schema{Columns: p.result()}}
	enc, err := newEncoderFor(res.Schema.Columns)
	if err != nil {
		return nil, err
	}
	out, err := newAssembler(w, enc, nil)
	if err != nil {
		return nil, err
	}
	workers := make([]worker, o.Workers)
	for i := range workers {
		workers[i] = worker{k: p.converter(), encoder: enc}
	}
	workers[0].tokens, p.first = p.first, records{}
	buffers := &sync.Pool{New: func() any { return new(bytes.Buffer) }}
	side := &sideFile{open: p.c.Quarantine}
	var textBytes int64
	err = blocks(ctx, p, o.Workers, func(i int, b *block) (*piece, error) {
		return p.block(&workers[i], b, buffers)
	}, func(pc *piece) error {
		for _, g := range pc.groups {
			if err := out.add(g.Bytes()); err != nil {
				return err
			}
			g.Reset()
			buffers.Put(g)
		}
		for _, r := range pc.bad {
			if err := side.add(r); err != nil {
				return err
			}
		}
		res.Rows += int64(pc.rows)
		res.Quarantined += int64(len(pc.bad))
		textBytes += int64(pc.bytes)
		if o.Progress != nil {
			o.Progress(p.consumed(textBytes), res.Rows)
		}
		return nil
	})
	if err := errors.Join(err, side.close()); err != nil {
		return nil, err
	}
	if err := out.close(); err != nil {
		return nil, err
	}
	res.Bytes, res.RowGroups = out.at, out.groups
	return res, nil
}

func (p *plan) consumed(text int64) int64 {
	var n int64
	for _, in := range p.c.Inputs {
		if in.Consumed == nil {
			return text
		}
		n += in.Consumed()
	}
	return n
}

// block converts one block into row groups.
func (p *plan) block(w *worker, b *block, buffers *sync.Pool) (*piece, error) {
	t := &w.tokens
	t.tokenize(b.data, &p.c.Dialect, len(p.header))
	if err := p.structure(t, b); err != nil {
		return nil, err
	}
	w.k.valid = utf8.Valid(b.data)
	out := &piece{bytes: len(b.data)}
	bad := slices.Clone(t.bad)
	for {
		groups, cells, err := p.groups(w, t, buffers)
		if err != nil {
			return nil, err
		}
		if p.c.OnBadRow != Quarantine && len(bad)+len(cells) > 0 {
			first := slices.MinFunc(append(bad, cells...), byPlace)
			return nil, p.explain(b, first)
		}
		if len(cells) == 0 {
			out.groups, out.rows = groups, t.rows
			break
		}
		bad = append(bad, p.drop(t, cells)...)
	}
	slices.SortFunc(bad, byPlace)
	for _, r := range bad {
		out.bad = append(out.bad, rejected{*p.explain(b, r), string(trimLineEnd(b.data[r.start:r.end]))})
	}
	return out, nil
}

func byPlace(a, b badRow) int { return cmp.Compare(a.at, b.at) }

// groups converts and encodes the rows of a block. When cells do not fit, it only looks for all of them.
func (p *plan) groups(w *worker, t *records, buffers *sync.Pool) (groups []*bytes.Buffer, bad []badRow, err error) {
	parts := (t.rows + maxRowGroupRows - 1) / maxRowGroupRows
	for i := range parts {
		from, to := t.rows*i/parts, t.rows*(i+1)/parts
		cells, miss := w.k.convert(t, from, to)
		if miss != nil {
			return nil, nil, errWider
		}
		bad = append(bad, cells...)
		if len(bad) > 0 {
			continue
		}
		buf := buffers.Get().(*bytes.Buffer)
		if err := w.encoder.encode(buf, w.k.vectors); err != nil {
			return nil, nil, err
		}
		groups = append(groups, buf)
	}
	return groups, bad, nil
}

// drop takes the rows of bad cells out of the records, and gives each once, with its text's place in the block.
func (p *plan) drop(t *records, cells []badRow) (rows []badRow) {
	slices.SortFunc(cells, byPlace)
	last := -1
	for _, c := range cells {
		if c.start == last {
			continue
		}
		last = c.start
		first := t.fields[c.start*t.width]
		c.start = int(first.start)
		if first.end&quoted != 0 {
			c.start--
		}
		again := records{data: t.data, open: -1}
		c.end, _ = again.record(c.start, &p.c.Dialect)
		rows = append(rows, c)
	}
	gone := map[int]bool{}
	for _, r := range cells {
		gone[r.start] = true
	}
	kept := t.fields[:0]
	for row := range t.rows {
		if !gone[row] {
			kept = append(kept, t.fields[row*t.width:(row+1)*t.width]...)
		}
	}
	t.fields, t.rows = kept, t.rows-len(gone)
	return rows
}

func (p *plan) explain(b *block, r badRow) *CellError {
	e := &CellError{File: b.input, Line: b.lineOf(r.at), Reason: r.reason}
	if r.column >= 0 {
		c := &p.columns[r.column]
		e.Column, e.ColumnNo = c.Name, c.source+1
		t := &records{data: b.data, open: -1}
		at := r.at
		if at > 0 && p.c.Dialect.Quote != 0 && b.data[at-1] == p.c.Dialect.Quote {
			at--
		}
		if _, _ = t.record(at, &p.c.Dialect); len(t.fields) > 0 {
			e.Value = clip(t.fields[0].bytes(b.data))
		}
	}
	return e
}

// sideFile keeps the rows that were not taken, as CSV.
type sideFile struct {
	open func() (io.WriteCloser, error)
	f    io.WriteCloser
	w    *csv.Writer
}

func (s *sideFile) add(r rejected) error {
	if s.f == nil {
		if s.open == nil {
			return errors.New("quarantine: there is no side file to keep rows in")
		}
		f, err := s.open()
		if err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		s.f, s.w = f, csv.NewWriter(f)
		if err := s.w.Write([]string{"file", "line", "column", "reason", "value", "row"}); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
	}
	if err := s.w.Write([]string{r.err.File, strconv.FormatInt(r.err.Line, 10), r.err.Column, r.err.Reason, r.err.Value, r.text}); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return nil
}

func (s *sideFile) close() error {
	if s.f == nil {
		return nil
	}
	s.w.Flush()
	if err := errors.Join(s.w.Error(), s.f.Close()); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return nil
}
