package columnar

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"
	"golang.org/x/sync/errgroup"
)

// Arrow is a table's rows as streams of Arrow records. The rows are sorted before they are written, so that the same rows
// give the same bytes however the source cut them into streams and batches.
type Arrow struct {
	Table   string // as errors show it; "" = the caller says it
	Columns []ArrowColumn
	Order   []string       // columns that rows are sorted by; rows that are equal in them are sorted by all columns
	Streams []RecordStream // read side by side
	Scratch string         // folder for sorted runs that memory does not hold
	Memory  int            // bytes of rows that are held before they go to Scratch; 0 = 128 MiB
}

// ArrowColumn is a column of the file and where its values come from. Without Text the Arrow type must be the natural one
// of Type: Int64, Float64, Bool, String, Date32, Timestamp and Time64 in microseconds; or a decimal, whose values must fit.
type ArrowColumn struct {
	Column
	From     string // the record's field; "" = Name
	Required bool   // a null is a fault of the source
	// Text appends a value that is not null as text, which is then read as a cell of Type. Nil = the natural value.
	Text func(to []byte, values arrow.Array, row int) ([]byte, error)
}

// RecordStream gives records until io.EOF. It belongs to one goroutine.
type RecordStream interface {
	Next(ctx context.Context) (arrow.Record, error)
	// Consumed is how many bytes of the source were read so far; it is asked from the goroutine that calls Next.
	Consumed() int64
}

const (
	defaultSortMemory = 128 << 20
	groupBytes        = 16 << 20 // of rows in a row group
)

// WriteParquet reads all streams to their end, sorts the rows and writes them.
func (a *Arrow) WriteParquet(ctx context.Context, w Sink, o Options) (*Result, error) {
	res, err := a.writeParquet(ctx, w, o)
	if err != nil && a.Table != "" {
		return nil, fmt.Errorf("table %s: %w", a.Table, err)
	}
	return res, err
}

func (a *Arrow) writeParquet(ctx context.Context, w Sink, o Options) (*Result, error) {
	columns := make([]Column, len(a.Columns))
	for i, c := range a.Columns {
		columns[i] = c.Column
	}
	order := &rowOrder{columns: columns}
	for _, name := range a.Order {
		i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("rows cannot be sorted by column %s: it is not read", name)
		}
		order.key = append(order.key, i)
	}
	enc, err := newEncoderFor(columns)
	if err != nil {
		return nil, err
	}
	if err := w.Reset(); err != nil {
		return nil, err
	}
	sorter := &sorter{dir: a.Scratch}
	defer sorter.close()
	if err := a.read(ctx, order, sorter, o); err != nil {
		return nil, err
	}
	out, err := newAssembler(w, enc, nil)
	if err != nil {
		return nil, err
	}
	p := &groupWriter{columns: columns, encoder: enc, out: out, workers: o.Workers, size: o.BlockSize}
	rows, err := p.write(ctx, sorter)
	if err != nil {
		return nil, err
	}
	if rows != sorter.rows.Load() {
		return nil, fmt.Errorf("internal error: %d rows were read and %d written", sorter.rows.Load(), rows)
	}
	if err := out.close(); err != nil {
		return nil, err
	}
	return &Result{Rows: rows, Bytes: out.at, Schema: Schema{Columns: columns}, RowGroups: out.groups}, nil
}

// read takes in all streams, each by its own goroutine.
func (a *Arrow) read(ctx context.Context, order *rowOrder, s *sorter, o Options) error {
	memory := cmp.Or(a.Memory, defaultSortMemory) / max(len(a.Streams), 1)
	var mu sync.Mutex
	var consumed int64
	group, ctx := errgroup.WithContext(ctx)
	for _, stream := range a.Streams {
		group.Go(func() (err error) {
			defer func() { // Arrow panics where it should give errors
				if p := recover(); p != nil {
					err = fmt.Errorf("damaged Arrow data: %v", p)
				}
			}()
			run := &runBuffer{sorter: s, limit: memory}
			var last int64
			for {
				record, err := stream.Next(ctx)
				if errors.Is(err, io.EOF) {
					return s.keep(run)
				}
				if err != nil {
					return err
				}
				err = a.add(ctx, record, order, run)
				record.Release()
				if err != nil {
					return err
				}
				if o.Progress != nil {
					mu.Lock()
					now := stream.Consumed()
					consumed, last = consumed+now-last, now
					o.Progress(consumed, s.rows.Load())
					mu.Unlock()
				}
			}
		})
	}
	return group.Wait()
}

func (a *Arrow) add(ctx context.Context, record arrow.Record, order *rowOrder, run *runBuffer) error {
	cells := make([]cellReader, len(a.Columns))
	for i, c := range a.Columns {
		from := cmp.Or(c.From, c.Name)
		at := record.Schema().FieldIndices(from)
		if len(at) != 1 {
			return fmt.Errorf("column %s: the source sent %d fields of this name", from, len(at))
		}
		read, err := newCellReader(c, record.Column(at[0]))
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		cells[i] = read
	}
	for row := range int(record.NumRows()) {
		if row%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := run.add(order, cells, row); err != nil {
			return err
		}
	}
	return nil
}

// groupWriter turns sorted rows into row groups on several goroutines.
type groupWriter struct {
	columns []Column
	encoder *encoder
	out     *assembler
	workers int
	size    int
}

// rowGroup is the rows of one row group on their way.
type rowGroup struct {
	rows  []byte
	count int
	out   chan encodedGroup
}

type encodedGroup struct {
	buf   *bytes.Buffer
	count int
	err   error
}

func (g *groupWriter) write(ctx context.Context, s *sorter) (int64, error) {
	workers, size := g.workers, g.size
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if size <= 0 {
		size = groupBytes
	}
	var written atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	jobs, order := make(chan *rowGroup), make(chan *rowGroup, workers)
	free := sync.Pool{New: func() any { return new([]byte) }}
	buffers := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	group.Go(func() error {
		defer close(order)
		defer close(jobs)
		var now *rowGroup
		send := func() error {
			for _, to := range []chan *rowGroup{order, jobs} {
				select {
				case to <- now:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			now = nil
			return nil
		}
		err := s.merge(ctx, func(row []byte) error {
			if now != nil && (now.count == maxRowGroupRows || len(now.rows)+len(row) > size) {
				if err := send(); err != nil {
					return err
				}
			}
			if now == nil {
				now = &rowGroup{rows: (*free.Get().(*[]byte))[:0], out: make(chan encodedGroup, 1)}
			}
			now.rows = append(now.rows, row...)
			now.count++
			return nil
		})
		if err == nil && now != nil {
			err = send()
		}
		return err
	})
	for range workers {
		group.Go(func() error {
			vectors := make([]Vector, len(g.columns))
			for job := range jobs {
				e := encodedGroup{buf: buffers.Get().(*bytes.Buffer), count: job.count}
				e.err = g.encode(job, vectors, e.buf)
				free.Put(&job.rows)
				job.out <- e
			}
			return nil
		})
	}
	group.Go(func() error {
		for job := range order {
			select {
			case e := <-job.out:
				if e.err != nil {
					return e.err
				}
				if err := g.out.add(e.buf.Bytes()); err != nil {
					return err
				}
				written.Add(int64(e.count))
				e.buf.Reset()
				buffers.Put(e.buf)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	err := group.Wait()
	return written.Load(), err
}

func (g *groupWriter) encode(job *rowGroup, vectors []Vector, buf *bytes.Buffer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: a row group cannot be read back: %v", p)
		}
	}()
	for i := range vectors {
		vectors[i].Reset()
	}
	rest := job.rows
	for range job.count {
		for i, c := range g.columns {
			rest = appendVector(&vectors[i], c.Type, rest)
		}
	}
	if len(rest) != 0 {
		return fmt.Errorf("internal error: %d bytes are left of a row group", len(rest))
	}
	return g.encoder.encode(buf, vectors)
}
