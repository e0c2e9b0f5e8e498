package query

import (
	"context"
	"fmt"
	"sync"

	"aida/syncer/columnar"

	"modernc.org/sqlite/vtab"
)

// cursor walks over the rows of a table. A reader goroutine of its own decodes the next row group while SQLite works on one.
type cursor struct {
	t       *table
	used    []int // columns that are read, by their place in the table
	place   []int // column of the table -> place in used, -1 = not read
	filters []filter

	cancel  context.CancelFunc
	reading sync.WaitGroup
	chunks  chan *chunk
	free    chan *chunk

	found []uint64 // rows of an index, when the walk is a look-up: chunk and row
	index *index

	now   *chunk
	at    int // in now.rows, or in found
	row   int32
	rowid int64
	eof   bool
}

// chunk is one decoded row group with the rows of it that pass.
type chunk struct {
	batch   columnar.Batch
	places  [][]int32 // row -> value, nil = the same
	scratch [][]int32
	boxed   [][]vtab.Value // of columns that came with a dictionary: its values, ready to be given
	rows    []int32
	err     error
}

// Filter begins a walk.
func (c *cursor) Filter(_ int, plan string, vals []vtab.Value) error {
	c.release()
	used, conditions := parsePlan(plan, len(c.t.types))
	c.used, c.filters = used, c.filters[:0]
	c.place = make([]int, len(c.t.types))
	for i := range c.place {
		c.place[i] = -1
	}
	for i, u := range used {
		c.place[u] = i
	}
	for i, cond := range conditions {
		var v vtab.Value
		if i < len(vals) {
			v = vals[i]
		}
		if c.place[cond[0]] < 0 {
			c.place[cond[0]] = len(c.used)
			c.used = append(c.used, cond[0])
		}
		c.filters = append(c.filters, newFilter(cond[0], vtab.ConstraintOp(cond[1]), c.t.types[cond[0]], v))
	}
	c.now, c.at, c.rowid, c.eof = nil, -1, 0, false
	if x, err := c.lookUp(plan); err != nil {
		return c.t.s.fail(err)
	} else if x != nil {
		c.index = x
		return c.Next()
	}
	ctx, cancel := context.WithCancel(c.t.s.ctx)
	c.cancel = cancel
	c.chunks, c.free = make(chan *chunk, 1), make(chan *chunk, 3)
	for range cap(c.free) {
		c.free <- &chunk{}
	}
	c.reading.Go(func() { c.read(ctx) })
	return c.Next()
}

// read decodes row groups in order until all are read or ctx ends.
func (c *cursor) read(ctx context.Context) {
	defer close(c.chunks)
	err := c.walk(func() (*chunk, error) {
		select {
		case ch := <-c.free:
			return ch, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, func(ch *chunk) error {
		if len(ch.rows) == 0 {
			c.free <- ch // never blocks: it has room for all chunks
			return nil
		}
		select {
		case c.chunks <- ch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil && ctx.Err() == nil {
		select {
		case c.chunks <- &chunk{err: err}:
		case <-ctx.Done():
		}
	}
}

// walk decodes all row groups that may hold rows which pass, each into the chunk that take gives.
func (c *cursor) walk(take func() (*chunk, error), give func(*chunk) error) error {
	for i := range c.t.files {
		if err := c.walkFile(i, take, give); err != nil {
			return fmt.Errorf("table %s: %w", c.t.name, err)
		}
	}
	return nil
}

func (c *cursor) walkFile(i int, take func() (*chunk, error), give func(*chunk) error) (err error) {
	defer func() { // bytes that are damaged yet decode must not end the process
		if p := recover(); p != nil {
			err = fmt.Errorf("file %s is damaged (%v): run `aida verify`", c.t.files[i].Logical, p)
		}
	}()
	meta := c.t.files[i]
	f, err := c.t.s.open(meta)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := columnar.OpenReader(f, meta.Size)
	if err != nil {
		return err
	}
	columns := make([]int, len(c.used))
	for n, u := range c.used {
		if columns[n] = r.Column(meta.Schema[u].Name); columns[n] < 0 {
			return fmt.Errorf("file %s has no column %s: run `aida verify`", meta.Logical, meta.Schema[u].Name)
		}
	}
	for g := range r.RowGroups() {
		if skip, err := c.skips(r, g, columns); err != nil {
			return err
		} else if skip {
			continue
		}
		ch, err := take()
		if err != nil {
			return err
		}
		if err := c.decode(r, g, columns, ch); err != nil {
			return err
		}
		if err := give(ch); err != nil {
			return err
		}
	}
	return nil
}

// skips tells by the statistics that no row of a row group passes.
func (c *cursor) skips(r *columnar.Reader, g int, columns []int) (bool, error) {
	for i := range c.filters {
		f := &c.filters[i]
		b, err := r.Bounds(g, columns[c.place[f.column]])
		if err != nil {
			return false, err
		}
		if f.never(b, r.GroupRows(g)) {
			return true, nil
		}
	}
	return false, nil
}

// decode reads the columns of conditions first, and the others only when rows are left.
func (c *cursor) decode(r *columnar.Reader, g int, columns []int, ch *chunk) error {
	n := int(r.GroupRows(g))
	ch.batch.Rows = n
	if len(ch.batch.Columns) != len(columns) {
		ch.batch.Columns = make([]columnar.Vector, len(columns))
		ch.places, ch.scratch, ch.boxed = make([][]int32, len(columns)), make([][]int32, len(columns)), make([][]vtab.Value, len(columns))
	}
	done := make([]bool, len(columns))
	load := func(i int) error {
		if done[i] {
			return nil
		}
		done[i] = true
		one := columnar.Batch{Columns: ch.batch.Columns[i : i+1 : i+1]}
		if err := r.Read(g, columns[i:i+1], columnar.ReadOptions{Dictionaries: true}, &one); err != nil {
			return err
		}
		v := &ch.batch.Columns[i]
		ch.places[i] = v.Places(ch.scratch[i])
		if ch.places[i] != nil {
			ch.scratch[i] = ch.places[i]
		}
		ch.boxed[i] = ch.boxed[i][:0]
		if v.Dict != nil {
			for k := range length(v.Dict) {
				ch.boxed[i] = append(ch.boxed[i], valueAt(v.Dict, k))
			}
		}
		return nil
	}
	ch.rows = ch.rows[:0]
	for row := range n {
		ch.rows = append(ch.rows, int32(row))
	}
	for k := range c.filters {
		f := &c.filters[k]
		i := c.place[f.column]
		if err := load(i); err != nil {
			return err
		}
		if ch.rows = f.pass(&ch.batch.Columns[i], ch.places[i], ch.rows); len(ch.rows) == 0 {
			return nil
		}
	}
	for i := range columns {
		if err := load(i); err != nil {
			return err
		}
	}
	return nil
}

// Next goes to the next row that passes.
func (c *cursor) Next() error {
	c.rowid++
	c.at++
	if c.index != nil {
		if c.at == len(c.found) {
			c.eof = true
			return c.t.s.ctx.Err()
		}
		c.now, c.row = c.index.chunks[c.found[c.at]>>32], int32(uint32(c.found[c.at]))
		return nil
	}
	if c.now != nil && c.at < len(c.now.rows) {
		c.row = c.now.rows[c.at]
		return nil
	}
	if c.now != nil {
		c.free <- c.now
		c.now = nil
	}
	ch, ok := <-c.chunks
	switch {
	case !ok:
		c.eof = true
		return c.t.s.ctx.Err()
	case ch.err != nil:
		c.eof = true
		return c.t.s.fail(ch.err)
	}
	c.now, c.at, c.row = ch, 0, ch.rows[0]
	return nil
}

// Eof tells whether the walk is over.
func (c *cursor) Eof() bool { return c.eof }

// Rowid is the row's number in this walk.
func (c *cursor) Rowid() (int64, error) { return c.rowid, nil }

// Column gives a value of the row.
func (c *cursor) Column(col int) (vtab.Value, error) {
	if col < 0 || col >= len(c.place) || c.place[col] < 0 || c.now == nil {
		return nil, nil
	}
	return c.now.value(c.place[col], c.row), nil
}

// value gives column i of a row.
func (ch *chunk) value(i int, row int32) vtab.Value {
	if p := ch.places[i]; p != nil {
		if row = p[row]; row < 0 {
			return nil
		}
	}
	v := &ch.batch.Columns[i]
	if v.Dict != nil {
		return ch.boxed[i][v.Codes[row]]
	}
	return valueAt(v, int(row))
}

// Close ends the cursor.
func (c *cursor) Close() error {
	c.release()
	c.t.s.mu.Lock()
	defer c.t.s.mu.Unlock()
	delete(c.t.s.cursors, c)
	return nil
}

// release ends the reader goroutine and waits for it.
func (c *cursor) release() {
	c.index, c.found = nil, nil
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.reading.Wait()
	c.cancel, c.now, c.eof = nil, nil, true
}
