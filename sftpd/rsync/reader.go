package rsync

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Codes of a frame: what the payload is. Only data and messages to people go both ways.
const (
	msgData      = 0
	msgErrorXfer = 1
	msgInfo      = 2
	msgError     = 3
	msgWarning   = 4
	msgIOError   = 22
	msgNoop      = 42
	msgErrorExit = 86
	msgSuccess   = 100
	msgDeleted   = 101
	msgNoSend    = 102

	frameBase = 7 // is added to a code on the wire
	maxText   = 64 << 10
)

// protocolError is what a peer did that no client does.
type protocolError string

func (e protocolError) Error() string { return "protocol error: " + string(e) }

// reader reads the client's bytes, in frames once the handshake of protocol 30 and newer is over. Its error sticks: after
// one, everything reads as zero, so that callers check r.err at the end of a piece and in every loop.
type reader struct {
	br      *bufio.Reader
	src     *input
	mux     bool
	left    int // bytes of the current data frame still to come
	message func(code byte, payload []byte) error
	proto   int
	ndx     ndxState
	small   [16]byte
	err     error
}

// input counts what arrives, and lets the session send what waits before a read may block.
type input struct {
	in     io.Reader
	before func() error
	n      atomic.Int64
}

func (i *input) Read(p []byte) (int, error) {
	if i.before != nil {
		if err := i.before(); err != nil {
			return 0, err
		}
	}
	n, err := i.in.Read(p)
	i.n.Add(int64(n))
	return n, err
}

func newReader(in io.Reader) *reader {
	src := &input{in: in}
	return &reader{br: bufio.NewReaderSize(src, 64<<10), src: src, ndx: newNdxState()}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errClosed
		}
		r.err = err
	}
}

// errClosed is the end of the client's bytes where more had to come.
var errClosed = errors.New("connection unexpectedly closed by the client")

// full fills p, with zeros after an error.
func (r *reader) full(p []byte) {
	for len(p) > 0 {
		if r.err != nil {
			clear(p)
			return
		}
		if r.mux && r.left == 0 {
			r.frame()
			continue
		}
		n := len(p)
		if r.mux {
			n = min(n, r.left)
		}
		m, err := io.ReadFull(r.br, p[:n])
		if r.mux {
			r.left -= m
		}
		if err != nil {
			clear(p[m:])
			r.fail(err)
			return
		}
		p = p[n:]
	}
}

// frame reads heads of frames until one of data begins; messages are handed on.
func (r *reader) frame() {
	for r.err == nil {
		if _, err := io.ReadFull(r.br, r.small[:4]); err != nil {
			r.fail(err)
			return
		}
		head := binary.LittleEndian.Uint32(r.small[:])
		code, size := int(head>>24)-frameBase, int(head&0xffffff)
		if code == msgData {
			if r.left = size; size > 0 {
				return
			}
			continue // an empty frame keeps the connection alive
		}
		switch code {
		case msgErrorXfer, msgInfo, msgError, msgWarning, msgIOError, msgNoop, msgErrorExit, msgSuccess, msgNoSend:
		default:
			r.fail(protocolError(fmt.Sprintf("unknown message %d of %d bytes", code, size)))
			return
		}
		if size > maxText {
			r.fail(protocolError(fmt.Sprintf("message %d of %d bytes is too long", code, size)))
			return
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r.br, payload); err != nil {
			r.fail(err)
			return
		}
		if r.message != nil {
			if err := r.message(byte(code), payload); err != nil {
				r.fail(err)
			}
		}
	}
}

// discard reads n bytes and forgets them.
func (r *reader) discard(n int64) {
	for n > 0 && r.err == nil {
		if r.mux && r.left == 0 {
			r.frame()
			continue
		}
		step := int(min(n, 1<<20))
		if r.mux {
			step = min(step, r.left)
		}
		m, err := r.br.Discard(step)
		if r.mux {
			r.left -= m
		}
		if n -= int64(m); err != nil {
			r.fail(err)
		}
	}
}

func (r *reader) byte() byte {
	if r.err == nil && (!r.mux || r.left > 0) {
		b, err := r.br.ReadByte()
		if err != nil {
			r.fail(err)
			return 0
		}
		if r.mux {
			r.left--
		}
		return b
	}
	r.full(r.small[8:9])
	return r.small[8]
}

func (r *reader) short() uint16 {
	r.full(r.small[8:10])
	return binary.LittleEndian.Uint16(r.small[8:])
}

func (r *reader) int() int32 {
	r.full(r.small[8:12])
	return int32(binary.LittleEndian.Uint32(r.small[8:]))
}

func (r *reader) long() int64 {
	r.full(r.small[8:16])
	return int64(binary.LittleEndian.Uint64(r.small[8:]))
}

func (r *reader) varlong(least int) int64 {
	first := r.byte()
	extra := 0
	for extra < 6 && first&(0x80>>extra) != 0 {
		extra++
	}
	n := least + extra // bytes in all
	if least == 1 && extra > 4 || n > 9 {
		r.fail(protocolError("a number is too long"))
		return 0
	}
	var raw [9]byte
	r.full(raw[:n-1])
	raw[n-1] = first & (1<<(8-extra) - 1)
	if extra == 0 {
		raw[n-1] = first
	}
	if raw[8] != 0 || least == 1 && raw[4] != 0 {
		r.fail(protocolError("a number is too large"))
		return 0
	}
	return int64(binary.LittleEndian.Uint64(raw[:]))
}

func (r *reader) varint() int32 { return int32(r.varlong(1)) }

func (r *reader) longint() int64 {
	if v := r.int(); v != -1 {
		return int64(v)
	}
	return r.long()
}

// varint30 and varlong30 are numbers whose form changed with protocol 30.
func (r *reader) varint30() int32 {
	if r.proto < 30 {
		return r.int()
	}
	return r.varint()
}

func (r *reader) varlong30(least int) int64 {
	if r.proto < 30 {
		return r.longint()
	}
	return r.varlong(least)
}

func (r *reader) vstring(limit int) string {
	n := int(r.byte())
	if n&0x80 != 0 {
		n = n&0x7f<<8 | int(r.byte())
	}
	return r.text(n, limit)
}

// text reads n bytes, which must not be more than limit.
func (r *reader) text(n, limit int) string {
	if n < 0 || n > limit {
		r.fail(protocolError(fmt.Sprintf("a text of %d bytes, %d are allowed", n, limit)))
		return ""
	}
	b := make([]byte, n)
	r.full(b)
	return string(b)
}

// zeroEnded reads a text up to its zero byte.
func (r *reader) zeroEnded(limit int) string {
	var b []byte
	for r.err == nil {
		c := r.byte()
		if c == 0 || r.err != nil {
			break
		}
		if b = append(b, c); len(b) > limit {
			r.fail(protocolError(fmt.Sprintf("a text of more than %d bytes", limit)))
		}
	}
	return string(b)
}

func (r *reader) index() int32 {
	if r.proto < 30 {
		return r.int()
	}
	return r.ndx.read(r)
}
