package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// block is a run of whole records of one input.
type block struct {
	input string
	line  int64 // physical line of its first byte, from 1
	data  []byte
	buf   []byte // what data lies in, to be used again
}

// splitter cuts an input into blocks. A block ends with the first record that ends at or after BlockSize, so where it ends
// follows from the text alone. In the fast mode the end of a record is found by the parity of quotes, which holds as long
// as quotes stand only around cells and doubled inside them; parsers tell when that fails, and the input is read again
// in the exact mode, which walks through the text as the parser does.
type splitter struct {
	dialect Dialect
	size    int
	exact   bool
	pool    *sync.Pool
}

// errIrregular tells that quotes stand where the fast mode cannot follow them.
var errIrregular = errors.New("irregular quoting")

// split reads an input and gives each block to emit. header receives the first record, when the dialect has one; it may
// change the block size, as wide tables want larger blocks.
func (s *splitter) split(ctx context.Context, in Input, header func(rec []byte, line int64) error, emit func(*block) error) error {
	r, err := in.Open(ctx)
	if err != nil {
		return err
	}
	err = s.read(ctx, in.Name, r, header, emit)
	return errors.Join(err, r.Close())
}

func (s *splitter) read(ctx context.Context, name string, r io.Reader, header func([]byte, int64) error, emit func(*block) error) error {
	buf := s.buffer(nil)
	line, eof := int64(1), false
	first := s.dialect.Header
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		target := s.size
		if first {
			target = 1 // the header record alone decides the first cut
		}
		var err error
		if buf, eof, err = fill(r, buf, max(target, min(s.size, 64<<10)), eof); err != nil {
			return err
		}
		scan := s.newScan()
		cut := -1
		for {
			if cut = scan.end(buf, target); cut >= 0 || eof {
				break
			}
			if len(buf) > maxRecord {
				return fmt.Errorf("%s:%d: a record is longer than %d MiB: a quote is probably not closed", name, line, maxRecord>>20)
			}
			if buf, eof, err = fill(r, buf, len(buf)+min(max(len(buf)/2, 64<<10), 64<<20), eof); err != nil {
				return err
			}
		}
		if cut < 0 {
			cut = len(buf)
		}
		if cut == 0 {
			if first { // a file that was cut off before its first line is not one without rows
				return fmt.Errorf("%s: %w", name, errNoHeader)
			}
			return nil // the end of the input
		}
		rest := s.buffer(buf[cut:])
		switch {
		case first && len(trimLineEnd(buf[:cut])) == 0: // empty lines before the header
			line++
			s.free(buf)
		case first:
			if err := header(trimLineEnd(buf[:cut]), line); err != nil {
				return err
			}
			first = false
			line += int64(bytes.Count(buf[:cut], newline))
			s.free(buf)
		default:
			b := &block{input: name, line: line, data: buf[:cut], buf: buf}
			line += int64(bytes.Count(b.data, newline)) // before emit: the block is then another goroutine's
			if err := emit(b); err != nil {
				return err
			}
		}
		buf = rest
	}
}

var newline = []byte{'\n'}

// buffer takes a buffer that begins with head.
func (s *splitter) buffer(head []byte) []byte {
	buf := (*s.pool.Get().(*[]byte))[:0]
	return append(buf, head...)
}

func (s *splitter) free(buf []byte) { s.pool.Put(&buf) }

// fill reads until buf holds want bytes or the input ends.
func fill(r io.Reader, buf []byte, want int, eof bool) ([]byte, bool, error) {
	for len(buf) < want && !eof {
		if len(buf) == cap(buf) { // by doubling, as most tables are far smaller than a block
			buf = append(make([]byte, 0, min(max(2*len(buf), 64<<10), want+want/8)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			eof = true
		} else if err != nil {
			return buf, eof, err
		}
	}
	return buf, eof, nil
}

func trimLineEnd(rec []byte) []byte {
	rec = bytes.TrimSuffix(rec, newline)
	return bytes.TrimSuffix(rec, []byte{'\r'})
}

// scan finds the end of a record in a buffer that grows between calls.
type scan struct {
	s     *splitter
	at    int // what lies before has been looked at
	odd   bool
	state byte // exact mode: where in a cell
}

const (
	atStart  byte = iota // of a cell
	inPlain              // in an unquoted cell
	inQuotes             // between quotes
	atQuote              // after a quote in a quoted cell: the end of the cell, or half of a doubled one
)

func (s *splitter) newScan() *scan { return &scan{s: s} }

// end gives the position after the first record that ends at or after target, or -1 when buf does not hold it yet.
func (c *scan) end(buf []byte, target int) int {
	if c.s.exact {
		return c.endExact(buf, target)
	}
	quote := c.s.dialect.Quote
	if c.at < target-1 {
		if len(buf) < target-1 {
			return -1
		}
		if quote != 0 {
			c.odd = bytes.Count(buf[:target-1], []byte{quote})%2 == 1
		}
		c.at = target - 1
	}
	for c.at < len(buf) {
		next := bytes.IndexByte(buf[c.at:], '\n')
		stop := len(buf)
		if next >= 0 {
			stop = c.at + next
		}
		if quote != 0 && bytes.Count(buf[c.at:stop], []byte{quote})%2 == 1 {
			c.odd = !c.odd
		}
		if next < 0 {
			c.at = stop
			return -1
		}
		c.at = stop + 1
		if !c.odd {
			return c.at
		}
	}
	return -1
}

func (c *scan) endExact(buf []byte, target int) int {
	quote, delimiter := c.s.dialect.Quote, c.s.dialect.Delimiter
	for i := c.at; i < len(buf); i++ {
		b := buf[i]
		switch {
		case c.state == inQuotes:
			if b == quote {
				c.state = atQuote
			}
		case c.state == atQuote && b == quote:
			c.state = inQuotes
		case b == '\n':
			c.state = atStart
			if i+1 >= target {
				return i + 1
			}
		case b == delimiter:
			c.state = atStart
		case c.state == atStart && quote != 0 && b == quote:
			c.state = inQuotes
		default:
			c.state = inPlain
		}
	}
	c.at = len(buf)
	return -1
}
