package keboola

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// spooled is a slice on disk.
type spooled struct {
	name string // of the object
	path string
	size int64
	read atomic.Int64
}

// groupSize is how many bytes small slices are put together to, so that a table of a thousand slices does not become a
// thousand row groups.
const groupSize = 4 << 20

// group is slices that are read one after the other as one text.
type group []*spooled

// groups puts neighbours together. An export without slices is one group without any.
func groups(slices []*spooled) []group {
	out := []group{nil}
	var size int64
	for _, s := range slices {
		if size >= groupSize {
			out, size = append(out, nil), 0
		}
		last := len(out) - 1
		out[last] = append(out[last], s)
		size += s.size
	}
	return out
}

func (g group) name(table string) string {
	switch len(g) {
	case 0:
		return table
	case 1:
		return table + "/" + path.Base(g[0].name)
	}
	return table + "/" + path.Base(g[0].name) + " to " + path.Base(g[len(g)-1].name)
}

func (g group) consumed() (n int64) {
	for _, s := range g {
		n += s.read.Load()
	}
	return n
}

func (g group) open(context.Context) (io.ReadCloser, error) {
	for _, s := range g {
		s.read.Store(0)
	}
	return &joined{left: g, last: '\n'}, nil
}

// joined is the text of slices. A slice that does not end with a line end is given one, as the next row is not part of
// its last.
type joined struct {
	left group
	now  io.ReadCloser
	name string
	last byte
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.now == nil {
			if len(j.left) == 0 {
				return 0, io.EOF
			}
			if j.last != '\n' && len(p) > 0 {
				p[0], j.last = '\n', '\n'
				return 1, nil
			}
			var err error
			if j.now, err = j.left[0].open(); err != nil {
				return 0, err
			}
			j.name, j.left = j.left[0].name, j.left[1:]
		}
		n, err := j.now.Read(p)
		if n > 0 {
			j.last = p[n-1]
		}
		if err == io.EOF {
			err = j.now.Close()
			j.now = nil
		} else if err != nil {
			err = fmt.Errorf("keboola: slice %s is damaged: %w", path.Base(j.name), err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (j *joined) Close() error {
	if j.now == nil {
		return nil
	}
	return j.now.Close()
}

// open gives the slice's text. Whether it is compressed is told by its first bytes, not by its name.
func (s *spooled) open() (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("keboola: %w", err)
	}
	head := bufio.NewReaderSize(&counted{f, &s.read}, 1<<16)
	magic, err := head.Peek(2)
	if err != nil && err != io.EOF {
		return nil, errors.Join(fmt.Errorf("keboola: slice %s: %w", path.Base(s.name), err), f.Close())
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) { // RFC 1952
		return &stream{head, f}, nil
	}
	z, err := gzip.NewReader(head)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keboola: slice %s is damaged: %w", path.Base(s.name), err), f.Close())
	}
	return &stream{z, f}, nil
}

// stream is a slice's text with the file behind it.
type stream struct {
	io.Reader
	f *os.File
}

func (s *stream) Close() error { return s.f.Close() }

type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
