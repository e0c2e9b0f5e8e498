package profile

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"aida/store"
	"aida/syncer/columnar"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// part is what some files of a table are known to hold. It is kept, so that it need not be found out again as long as the
// files stay.
type part struct {
	Columns  []partColumn
	Rows     int64
	RowTexts [][]rowText // the first rows, by column
}

// rowText is a value of a sample row.
type rowText struct {
	Text string
	Null bool
}

type partColumn struct {
	Name     string
	Type     columnar.Type
	Stats    stats
	Distinct *distinct
}

// task is one row group of a file.
type task struct {
	file  *columnar.Reader
	group int
	first bool // of the part
	out   chan found
}

type found struct {
	stats []*stats
	rows  [][]rowText
	err   error
}

// precision is that of the estimate of distinct values. A table of very many columns has a coarser one, so that memory
// stays bounded.
func precision(columns int) uint8 {
	if columns > 500 {
		return 11
	}
	return 14
}

// readPart looks at all rows of some files of a table. The files are in the order of their logical paths. Columns that are
// sensitive are only counted.
func (p *Profiler) readPart(ctx context.Context, files []store.File, schema []columnar.Column, sensitive map[string]bool, rate float64) (_ *part, err error) {
	readers := make([]*columnar.Reader, 0, len(files))
	var closers []io.Closer
	defer func() {
		for _, c := range closers {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, f := range files {
		src, err := p.o.Open(f)
		if err != nil {
			return nil, err
		}
		closers = append(closers, src)
		r, err := columnar.OpenReader(src, f.Size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Logical, err)
		}
		for i, c := range r.Schema().Columns {
			if i >= len(schema) || len(r.Schema().Columns) != len(schema) || schema[i] != c {
				return nil, fmt.Errorf("%s: its columns are not those of the table: sync it with --full", f.Logical)
			}
		}
		readers = append(readers, r)
	}
	out := &part{Columns: make([]partColumn, len(schema))}
	for i, c := range schema {
		out.Columns[i] = partColumn{Name: c.Name, Type: c.Type}
	}
	seed := seedOf(files)
	group, ctx := errgroup.WithContext(ctx)
	tasks, order := make(chan *task), make(chan *task, p.o.Workers)
	group.Go(func() error {
		defer close(tasks)
		defer close(order)
		first := true
		for _, r := range readers {
			for g := range r.RowGroups() {
				t := &task{file: r, group: g, first: first, out: make(chan found, 1)}
				first = false
				for _, to := range []chan *task{order, tasks} {
					select {
					case to <- t:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
		}
		return nil
	})
	workers := make([]*worker, p.o.Workers)
	for i := range workers {
		w := newWorker(schema, sensitive, rate, p.o.Limits, seed)
		workers[i] = w
		group.Go(func() error {
			for t := range tasks {
				t.out <- w.do(t)
			}
			return nil
		})
	}
	group.Go(func() error { // in the order of the rows, so that sums and samples come out the same each time
		thinning := rand.New(rand.NewPCG(seed, 1))
		for t := range order {
			select {
			case f := <-t.out:
				if f.err != nil {
					return f.err
				}
				for i := range out.Columns {
					c := &out.Columns[i]
					c.Stats.merge(f.stats[i], c.Type.Kind, p.o.Limits.SampleValues, thinning)
				}
				if f.rows != nil {
					out.RowTexts = f.rows
				}
				out.Rows += t.file.GroupRows(t.group)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range out.Columns {
		c := &out.Columns[i]
		c.Distinct = workers[0].distinct[i]
		for _, w := range workers[1:] {
			if err := c.Distinct.merge(w.distinct[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func seedOf(files []store.File) uint64 {
	h := fnv.New64a()
	for _, f := range files {
		h.Write([]byte(f.Hash))
	}
	return h.Sum64()
}

// worker looks at row groups, one column at a time, so that it holds one column of one row group in memory.
type worker struct {
	schema    []columnar.Column
	sensitive map[string]bool
	distinct  []*distinct
	look      look
	limits    Limits
	seed      uint64
	batch     columnar.Batch
}

func newWorker(schema []columnar.Column, sensitive map[string]bool, rate float64, limits Limits, seed uint64) *worker {
	w := &worker{schema: schema, sensitive: sensitive, limits: limits, seed: seed, look: look{rate: rate, firsts: limits.SampleValues}}
	for range schema {
		w.distinct = append(w.distinct, newDistinct(precision(len(schema))))
	}
	return w
}

func (w *worker) do(t *task) (f found) {
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("internal error in row group %d: %v", t.group, p)
		}
	}()
	r := rand.New(rand.NewPCG(w.seed, uint64(t.group)<<1))
	w.look.positions = take(r, w.look.rate, int(t.file.GroupRows(t.group)), w.look.positions)
	for i, c := range w.schema {
		if err := t.file.Read(t.group, []int{i}, columnar.ReadOptions{Dictionaries: true}, &w.batch); err != nil {
			return found{err: err}
		}
		v := &w.batch.Columns[0]
		w.look.distinct = w.distinct[i]
		s := w.look.of(v)
		if w.sensitive[c.Name] {
			*s = stats{Rows: s.Rows, Nulls: s.Nulls, Count: s.Count, Sample: sample{Rate: s.Sample.Rate}}
		}
		f.stats = append(f.stats, s)
		if t.first {
			f.rows = append(f.rows, firstRows(v, w.limits.SampleRows, w.sensitive[c.Name]))
		}
	}
	return f
}

// firstRows gives the first rows of a column as text.
func firstRows(v *columnar.Vector, n int, hidden bool) []rowText {
	out := make([]rowText, min(n, len(v.Levels)))
	next := 0
	for row := range out {
		if v.Levels[row] == 0 {
			out[row].Null = true
			continue
		}
		out[row].Text = store.HiddenValue
		if !hidden {
			out[row].Text = shown([]byte(v.Text(next)))
		}
		next++
	}
	return out
}

// merge takes in a part with the files behind.
func (p *part) merge(o *part, limits Limits, r *rand.Rand) error {
	if p.Columns == nil {
		*p = *o
		return nil
	}
	for i := range p.Columns {
		a, b := &p.Columns[i], &o.Columns[i]
		a.Stats.merge(&b.Stats, a.Type.Kind, limits.SampleValues, r)
		if err := a.Distinct.merge(b.Distinct); err != nil {
			return err
		}
	}
	for i := range p.RowTexts {
		p.RowTexts[i] = append(p.RowTexts[i], o.RowTexts[i]...)[:min(len(p.RowTexts[i])+len(o.RowTexts[i]), limits.SampleRows)]
	}
	if p.RowTexts == nil {
		p.RowTexts = o.RowTexts
	}
	p.Rows += o.Rows
	return nil
}

// encode makes the bytes of a part that are kept.
func (p *part) encode() ([]byte, error) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(gob.NewEncoder(z).Encode(p), z.Close()); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return b.Bytes(), nil
}

func decodePart(state []byte) (*part, error) {
	z, err := zstd.NewReader(bytes.NewReader(state), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	p := &part{}
	if err := gob.NewDecoder(z).Decode(p); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.Stats.Quarters == nil && (c.Type.Kind == columnar.Date || c.Type.Kind == columnar.Timestamp) {
			c.Stats.Quarters = map[int32]int64{}
		}
	}
	return p, nil
}
