package columnar

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"
)

// sorter puts rows in order with bounded memory: full buffers go to disk as sorted runs, and all runs are merged at the end.
type sorter struct {
	dir     string
	rows    atomic.Int64
	arrival bool // rows with the same key stay in the order in which they came, from one goroutine; their number ends the key
	last    bool // of rows with the same key only the last one is given

	mu    sync.Mutex
	files []string     // runs on disk
	held  []*runBuffer // runs in memory
}

// maxOpenRuns bounds the open files and buffers of a merge; more runs are merged into one first.
const maxOpenRuns = 128

// entry is where a row and its key are in a buffer.
type entry struct {
	prefix       uint64 // first bytes of the key: most comparisons end here
	at, key, end uint32
}

// runBuffer gathers rows in memory. It belongs to one goroutine.
type runBuffer struct {
	sorter  *sorter
	limit   int
	data    []byte
	entries []entry
	cells   []int
}

// add appends a row, and writes the buffer to disk when it is full.
func (r *runBuffer) add(order *rowOrder, cells []cellReader, row int) error {
	at := len(r.data)
	r.cells = r.cells[:0]
	var err error
	for _, read := range cells {
		r.cells = append(r.cells, len(r.data)-at)
		if r.data, err = read(r.data, row); err != nil {
			return err
		}
	}
	key := len(r.data)
	r.data = order.appendKey(r.data, r.data[at:key], r.cells)
	if r.sorter.arrival {
		r.data = binary.BigEndian.AppendUint64(r.data, uint64(r.sorter.rows.Load()))
	}
	if len(r.data) > 2<<30 {
		return errors.New("a row is larger than 1 GiB")
	}
	r.entries = append(r.entries, entry{prefix: prefixOf(r.data[key:]), at: uint32(at), key: uint32(key), end: uint32(len(r.data))})
	r.sorter.rows.Add(1)
	if len(r.data)+len(r.entries)*24 < r.limit {
		return nil
	}
	return r.spill()
}

// prefixOf skips the mark of the first column, which keys without nulls share.
func prefixOf(key []byte) uint64 {
	if len(key) == 0 || key[0] == nullCell {
		return 0
	}
	var b [8]byte
	copy(b[:], key[1:])
	return binary.BigEndian.Uint64(b[:])
}

func (r *runBuffer) row(e entry) []byte      { return r.data[e.at:e.key] }
func (r *runBuffer) keyBytes(e entry) []byte { return r.data[e.key:e.end] }

func (r *runBuffer) sort() {
	slices.SortFunc(r.entries, func(a, b entry) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		if c := bytes.Compare(r.keyBytes(a), r.keyBytes(b)); c != 0 {
			return c
		}
		return bytes.Compare(r.row(a), r.row(b))
	})
}

func (r *runBuffer) spill() error {
	r.sort()
	at := 0
	err := r.sorter.writeRun(func() (key, row []byte, err error) {
		if at == len(r.entries) {
			return nil, nil, io.EOF
		}
		e := r.entries[at]
		at++
		return r.keyBytes(e), r.row(e), nil
	})
	r.data, r.entries = r.data[:0], r.entries[:0]
	return err
}

// keep takes over what a buffer still holds at the end of its stream.
func (s *sorter) keep(r *runBuffer) error {
	if len(r.entries) == 0 {
		return nil
	}
	r.sort()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, r)
	return nil
}

// writeRun writes sorted rows to a new file.
func (s *sorter) writeRun(next func() (key, row []byte, err error)) error {
	f, err := os.CreateTemp(s.dir, "run-*")
	if err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	s.mu.Lock()
	s.files = append(s.files, f.Name())
	s.mu.Unlock()
	z := s2.NewWriter(f, s2.WriterConcurrency(1), s2.WriterBlockSize(256<<10))
	w := bufio.NewWriterSize(z, 64<<10)
	var head [2 * binary.MaxVarintLen64]byte
	for {
		key, row, nextErr := next()
		if errors.Is(nextErr, io.EOF) {
			break
		}
		err = nextErr
		if err == nil {
			_, err = w.Write(binary.AppendUvarint(binary.AppendUvarint(head[:0], uint64(len(key))), uint64(len(row))))
		}
		if err == nil {
			_, err = w.Write(key)
		}
		if err == nil {
			_, err = w.Write(row)
		}
		if err != nil {
			break
		}
	}
	if err := errors.Join(err, w.Flush(), z.Close(), f.Close()); err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	return nil
}

// merge gives all rows in order.
func (s *sorter) merge(ctx context.Context, give func(row []byte) error) error {
	for len(s.files) > maxOpenRuns {
		first := s.files[:maxOpenRuns]
		runs, err := s.open(first)
		if err != nil {
			return err
		}
		rest := slices.Clone(s.files[maxOpenRuns:])
		err = s.writeRun(runs.next(ctx))
		err = errors.Join(err, runs.close())
		for _, name := range first {
			err = errors.Join(err, os.Remove(name))
		}
		s.files = append(rest, s.files[len(s.files)-1])
		if err != nil {
			return err
		}
	}
	runs, err := s.open(s.files)
	if err != nil {
		return err
	}
	defer runs.close()
	for _, h := range s.held {
		runs.add(&heldRun{r: h})
	}
	next := runs.next(ctx)
	var heldKey, held []byte
	for begun := false; ; begun = true {
		key, row, err := next()
		if errors.Is(err, io.EOF) {
			if s.last && begun {
				return give(held)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if !s.last {
			if err := give(row); err != nil {
				return err
			}
			continue
		}
		if key = key[:len(key)-8]; begun && !bytes.Equal(key, heldKey) {
			if err := give(held); err != nil {
				return err
			}
		}
		heldKey, held = append(heldKey[:0], key...), append(held[:0], row...)
	}
}

// close removes what is left on disk.
func (s *sorter) close() {
	for _, name := range s.files {
		_ = os.Remove(name) // the scratch folder goes away with the run anyway
	}
	s.held = nil
}

// run is a sorted run being read: its first row, and how to go on.
type run interface {
	key() []byte
	row() []byte
	advance() error // io.EOF at the end
	close() error
}

// runs is a heap of runs by their first rows.
type runs struct {
	heap []run
	all  []run
	err  error
}

func (s *sorter) open(names []string) (*runs, error) {
	rs := &runs{}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sort: %w", err), rs.close())
		}
		rs.add(&fileRun{f: f, r: bufio.NewReaderSize(s2.NewReader(f, s2.ReaderMaxBlockSize(256<<10)), 64<<10)})
	}
	return rs, nil
}

func (rs *runs) add(r run) {
	rs.all = append(rs.all, r)
	if err := r.advance(); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		rs.err = errors.Join(rs.err, err)
		return
	}
	rs.heap = append(rs.heap, r)
	for i := len(rs.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !less(rs.heap[i], rs.heap[up]) {
			break
		}
		rs.heap[i], rs.heap[up] = rs.heap[up], rs.heap[i]
		i = up
	}
}

func less(a, b run) bool {
	if c := bytes.Compare(a.key(), b.key()); c != 0 {
		return c < 0
	}
	return bytes.Compare(a.row(), b.row()) < 0
}

// next gives an iterator; what it gives is good until it is called again.
func (rs *runs) next(ctx context.Context) func() (key, row []byte, err error) {
	begun, n := false, 0
	return func() ([]byte, []byte, error) {
		if rs.err != nil {
			return nil, nil, rs.err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if begun {
			if err := rs.pop(); err != nil {
				return nil, nil, err
			}
		}
		begun = true
		if len(rs.heap) == 0 {
			return nil, nil, io.EOF
		}
		return rs.heap[0].key(), rs.heap[0].row(), nil
	}
}

// pop goes on with the run that is first, and finds the new first.
func (rs *runs) pop() error {
	err := rs.heap[0].advance()
	last := len(rs.heap) - 1
	if errors.Is(err, io.EOF) {
		rs.heap[0] = rs.heap[last]
		rs.heap, err = rs.heap[:last], nil
	}
	for i := 0; ; {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(rs.heap) && less(rs.heap[child], rs.heap[least]) {
				least = child
			}
		}
		if least == i {
			return err
		}
		rs.heap[i], rs.heap[least] = rs.heap[least], rs.heap[i]
		i = least
	}
}

func (rs *runs) close() (err error) {
	for _, r := range rs.all {
		err = errors.Join(err, r.close())
	}
	return err
}

type heldRun struct {
	r  *runBuffer
	at int
}

func (h *heldRun) key() []byte { return h.r.keyBytes(h.r.entries[h.at-1]) }
func (h *heldRun) row() []byte { return h.r.row(h.r.entries[h.at-1]) }

func (h *heldRun) advance() error {
	if h.at++; h.at > len(h.r.entries) {
		return io.EOF
	}
	return nil
}

func (h *heldRun) close() error { return nil }

type fileRun struct {
	f    *os.File
	r    *bufio.Reader
	buf  []byte
	keys int
}

func (r *fileRun) key() []byte { return r.buf[:r.keys] }
func (r *fileRun) row() []byte { return r.buf[r.keys:] }

func (r *fileRun) advance() error {
	key, err := binary.ReadUvarint(r.r)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	var row uint64
	if err == nil {
		row, err = binary.ReadUvarint(r.r)
	}
	if err == nil {
		r.keys = int(key)
		r.buf = slices.Grow(r.buf[:0], int(key+row))[:key+row]
		_, err = io.ReadFull(r.r, r.buf)
	}
	if err != nil {
		return fmt.Errorf("sort: a run cannot be read back: %w", noEOF(err))
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *fileRun) close() error { return r.f.Close() }
