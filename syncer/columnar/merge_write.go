package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/parquet/metadata"
	"golang.org/x/sync/errgroup"
)

// Piece is a run of rows of a file to be: either a row group of another file, with edits, or rows in memory.
type Piece struct {
	File  *Reader
	Group int
	Edits []Edit // by Row, each at most once

	Rows *Rows
	Pick []int32 // which of Rows, in order
}

// Edit changes one row of a row group: it takes the values of row With of Layout.Patch, or goes when With is negative.
type Edit struct{ Row, With int32 }

// Layout is a Parquet file to be: its columns, and the rows of each row group. A row group that is taken over as it is
// costs no more than copying its bytes; so does a column of one that no edit changes.
type Layout struct {
	Columns []Column
	Groups  [][]Piece
	Patch   *Rows // where edits take their values from
}

// Written is what became of a Layout.
type Written struct {
	Rows    int64
	Bytes   int64
	Groups  int
	Copied  int  // row groups whose bytes were taken over whole
	Changed bool // some value is not as it was in the files it came from, or rows came or went
}

// WriteParquet writes the file. The same layout gives the same bytes, whatever the number of workers.
func (l *Layout) WriteParquet(ctx context.Context, w io.Writer, workers int) (*Written, error) {
	enc, err := newEncoderFor(l.Columns)
	if err != nil {
		return nil, err
	}
	encoders := make([]*encoder, len(l.Columns)) // one per column: chunks are made one at a time
	for i := range l.Columns {
		if encoders[i], err = newEncoderFor(l.Columns[i : i+1]); err != nil {
			return nil, err
		}
	}
	a, err := newAssembler(w, enc, nil)
	if err != nil {
		return nil, err
	}
	out := &Written{}
	buffers := &sync.Pool{New: func() any { return new(bytes.Buffer) }}
	err = inOrder(ctx, len(l.Groups), workers, func() func(int) (*chunks, error) {
		g := &columnMaker{l: l, encoders: encoders, buffers: buffers}
		return g.group
	}, func(c *chunks) error {
		out.Rows += int64(c.rows)
		out.Changed = out.Changed || c.changed
		if c.copied {
			out.Copied++
		}
		err := a.addChunks(c)
		for _, b := range c.buffers {
			b.Reset()
			buffers.Put(b)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := a.close(); err != nil {
		return nil, err
	}
	out.Bytes, out.Groups = a.at, a.groups
	return out, nil
}

// inOrder runs n jobs on several goroutines, each with a function of its own, and hands on the results by number. At most
// twice as many results as workers wait.
func inOrder[R any](ctx context.Context, n, workers int, worker func() func(int) (R, error), collect func(R) error) error {
	type outcome struct {
		r   R
		err error
	}
	workers = max(1, min(workers, n))
	group, ctx := errgroup.WithContext(ctx)
	slots := make([]chan outcome, n)
	for i := range slots {
		slots[i] = make(chan outcome, 1)
	}
	next, room := make(chan int), make(chan struct{}, 2*workers)
	group.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range workers {
		work := worker()
		group.Go(func() error {
			for i := range next {
				var o outcome
				func() {
					defer recovered(&o.err)
					o.r, o.err = work(i)
				}()
				slots[i] <- o
			}
			return nil
		})
	}
	group.Go(func() error {
		for i := range n {
			select {
			case o := <-slots[i]:
				<-room
				if o.err != nil {
					return o.err
				}
				if err := collect(o.r); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// chunks are the columns of one row group, as bytes.
type chunks struct {
	rows    int
	changed bool // by its edits
	copied  bool // byte by byte
	columns []chunk
	buffers []*bytes.Buffer
}

// chunk is one column's bytes and where its description is.
type chunk struct {
	footer        *metadata.FileMetaData
	group, column int
	body          []byte
	name          string
}

type columnMaker struct {
	l        *Layout
	encoders []*encoder
	buffers  *sync.Pool
	src, dst Vector
}

func (g *columnMaker) group(i int) (*chunks, error) {
	pieces := g.l.Groups[i]
	out := &chunks{columns: make([]chunk, len(g.l.Columns)), copied: true}
	for _, p := range pieces {
		out.rows += p.rows()
		out.changed = out.changed || !dropsNone(p.Edits) || len(p.Pick) > 0
	}
	if out.rows == 0 {
		return out, nil
	}
	for c := range g.l.Columns {
		kept, err := g.column(out, pieces, c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", g.l.Columns[c].Name, err)
		}
		out.copied = out.copied && kept
	}
	return out, nil
}

func (p *Piece) rows() int {
	if p.File == nil {
		return len(p.Pick)
	}
	n := int(p.File.GroupRows(p.Group))
	for _, e := range p.Edits {
		if e.With < 0 {
			n--
		}
	}
	return n
}

// column makes one column of the row group; kept tells that its bytes are those that its only piece had.
func (g *columnMaker) column(out *chunks, pieces []Piece, c int) (kept bool, err error) {
	col := g.l.Columns[c]
	if raw := takeOver(pieces, col); raw >= 0 {
		if len(pieces[0].Edits) == 0 {
			return true, g.copy(out, pieces[0], raw, c)
		}
		if err := pieces[0].File.readOne(pieces[0].Group, raw, &g.src); err != nil {
			return false, err
		}
		if dropsNone(pieces[0].Edits) {
			if !g.differs(&g.src, pieces[0].Edits, c) {
				return true, g.copy(out, pieces[0], raw, c)
			}
			out.changed = true
		}
		g.dst.Reset()
		g.dst.Type = col.Type
		g.dst.edit(&g.src, pieces[0].Edits, g.patch(c), g.patchPos(c))
		return false, g.encode(out, c)
	}
	g.dst.Reset()
	g.dst.Type = col.Type
	for _, p := range pieces {
		if p.File == nil {
			i, err := p.Rows.column(col.Name)
			if err != nil {
				g.src.setNulls(len(p.Pick))
				g.dst.append(&g.src)
				continue
			}
			if !SameStorage(p.Rows.columns[i].Type, col.Type) {
				return false, fmt.Errorf("rows in memory have type %s, the file has %s", p.Rows.columns[i].Type, col.Type)
			}
			g.dst.pick(&p.Rows.vectors[i], p.Rows.pos[i], p.Pick)
			continue
		}
		if err := p.File.readAs(p.Group, col, &g.src); err != nil {
			return false, err
		}
		i := p.File.Column(col.Name)
		_, _, two := p.File.both(col.Name)
		out.changed = out.changed || i < 0 || two || !SameStorage(p.File.schema.Columns[i].Type, col.Type) || g.differs(&g.src, p.Edits, c)
		g.dst.edit(&g.src, p.Edits, g.patch(c), g.patchPos(c))
	}
	return false, g.encode(out, c)
}

// takeOver gives the column of the only piece whose bytes could be used as they are, or -1.
func takeOver(pieces []Piece, col Column) int {
	if len(pieces) != 1 || pieces[0].File == nil {
		return -1
	}
	i := pieces[0].File.Column(col.Name)
	if _, _, two := pieces[0].File.both(col.Name); two {
		return -1
	}
	if i >= 0 && !SameStorage(pieces[0].File.schema.Columns[i].Type, col.Type) {
		return -1
	}
	return i
}

func dropsNone(edits []Edit) bool {
	return !slices.ContainsFunc(edits, func(e Edit) bool { return e.With < 0 })
}

func (g *columnMaker) patch(c int) *Vector {
	if g.l.Patch == nil {
		return nil
	}
	return &g.l.Patch.vectors[c]
}

func (g *columnMaker) patchPos(c int) []int32 {
	if g.l.Patch == nil {
		return nil
	}
	return g.l.Patch.pos[c]
}

func (g *columnMaker) copy(out *chunks, p Piece, from, c int) error {
	meta := p.File.meta()
	m := meta.RowGroups[p.Group].Columns[from].MetaData
	start := m.DataPageOffset
	if m.DictionaryPageOffset != nil {
		start = min(start, *m.DictionaryPageOffset)
	}
	buf := g.buffers.Get().(*bytes.Buffer)
	buf.Grow(int(m.TotalCompressedSize))
	body := buf.AvailableBuffer()[:m.TotalCompressedSize]
	if _, err := p.File.at.ReadAt(body, start); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	out.buffers = append(out.buffers, buf)
	out.columns[c] = chunk{meta, p.Group, from, body, g.l.Columns[c].Name}
	return nil
}

func (g *columnMaker) encode(out *chunks, c int) error {
	buf := g.buffers.Get().(*bytes.Buffer)
	if err := g.encoders[c].encode(buf, []Vector{g.dst}); err != nil {
		return err
	}
	body, footer, err := splitFile(buf.Bytes())
	if err != nil {
		return err
	}
	out.buffers = append(out.buffers, buf)
	out.columns[c] = chunk{footer, 0, 0, body, g.l.Columns[c].Name}
	return nil
}

// addChunks appends a row group that is put together from column chunks of several files.
func (a *assembler) addChunks(c *chunks) error {
	if c.rows == 0 {
		return nil
	}
	first := c.columns[0]
	group := *first.footer.RowGroups[first.group]
	group.Columns = slices.Clone(group.Columns[:0:0])
	group.NumRows, group.TotalByteSize, group.Ordinal, group.SortingColumns = int64(c.rows), 0, nil, nil
	start, compressed := a.at, int64(0)
	for _, ch := range c.columns {
		col := *ch.footer.RowGroups[ch.group].Columns[ch.column]
		m := *col.MetaData
		old := m.DataPageOffset
		if m.DictionaryPageOffset != nil {
			old = min(old, *m.DictionaryPageOffset)
			moved := *m.DictionaryPageOffset + a.at - old
			m.DictionaryPageOffset = &moved
		}
		m.DataPageOffset += a.at - old
		m.PathInSchema = []string{ch.name} // the file that it comes from may have another one
		col.FileOffset += a.at - old
		col.MetaData = &m
		if m.NumValues != int64(c.rows) {
			return errors.New("parquet: columns of a row group have different numbers of rows")
		}
		group.TotalByteSize += m.TotalUncompressedSize
		compressed += m.TotalCompressedSize
		group.Columns = append(group.Columns, &col)
		if err := a.write(ch.body); err != nil {
			return err
		}
	}
	group.FileOffset, group.TotalCompressedSize = &start, &compressed
	a.footer.RowGroups = append(a.footer.RowGroups, &group)
	a.footer.NumRows += int64(c.rows)
	a.groups++
	return nil
}
