package rsync

import "fmt"

// tokenReader decodes the content of files: next gives literal bytes, valid until its next call, or a block. Both nil and -1
// is the end of the file.
type tokenReader interface {
	reset() // a file begins
	next() (literal []byte, block int32, err error)
	see(p []byte) // the bytes of the block that next gave
	close()
}

func newTokenReader(s *session) tokenReader {
	switch s.codec {
	case "none":
		return &plainReader{s: s, buf: make([]byte, 128<<10)}
	case "lz4":
		return &packedReader{s: s, codec: &unlz4{}}
	case "zstd":
		return &packedReader{s: s, codec: newUnzstd()}
	}
	return &packedReader{s: s, codec: newInflater(s)}
}

type plainReader struct {
	s    *session
	buf  []byte
	left int
}

// maxLiteralIn is more than any client sends in one token, and less than a length that was made up.
const maxLiteralIn = 1 << 24

func (t *plainReader) reset()     { t.left = 0 }
func (t *plainReader) see([]byte) {}
func (t *plainReader) close()     {}

func (t *plainReader) next() ([]byte, int32, error) {
	if t.left == 0 {
		n := t.s.r.int()
		switch {
		case t.s.r.err != nil:
			return nil, -1, t.s.r.err
		case n == 0:
			return nil, -1, nil
		case n == -1<<31:
			return nil, -1, protocolError("an impossible block")
		case n < 0:
			return nil, -n - 1, nil
		case n > maxLiteralIn:
			return nil, -1, protocolError(fmt.Sprintf("a literal of %d bytes", n))
		}
		t.left = int(n)
	}
	p := t.buf[:min(t.left, len(t.buf))]
	t.s.r.full(p)
	t.left -= len(p)
	return p, -1, t.s.r.err
}

// unpacker decompresses. give takes what came in one token; take gives what can be read of it, empty when more has to come.
type unpacker interface {
	reset()
	give(p []byte)
	flush() // all of a run has come
	take() ([]byte, error)
	see(p []byte)
	close()
}

type packedReader struct {
	s      *session
	codec  unpacker
	in     [maxPacked]byte
	taking bool // the codec may have more to give
	data   bool // the last token was data
	flag   int  // read already, -1 for none
	block  int32
	run    int32 // blocks that still follow
	last   int32
}

func (t *packedReader) reset() {
	t.codec.reset()
	t.taking, t.data, t.flag, t.block, t.run, t.last = false, false, -1, 0, 0, 0
}

func (t *packedReader) see(p []byte) { t.codec.see(p) }
func (t *packedReader) close()       { t.codec.close() }

func (t *packedReader) next() ([]byte, int32, error) {
	for {
		if t.taking {
			p, err := t.codec.take()
			if err != nil {
				return nil, -1, protocolError(fmt.Sprintf("compressed bytes cannot be read: %v", err))
			}
			if len(p) > 0 {
				return p, -1, nil
			}
			t.taking = false
		}
		if t.run > 0 {
			t.run--
			t.block++
			return nil, t.block, nil
		}
		flag := t.flag
		t.flag = -1
		if flag < 0 {
			flag = int(t.s.r.byte())
		}
		if t.s.r.err != nil {
			return nil, -1, t.s.r.err
		}
		if flag&0xc0 == flagData {
			p := t.in[:flag&0x3f<<8|int(t.s.r.byte())]
			t.s.r.full(p)
			if t.s.r.err != nil {
				return nil, -1, t.s.r.err
			}
			t.codec.give(p)
			t.taking, t.data = true, true
			continue
		}
		if t.data {
			t.codec.flush()
			t.flag, t.taking, t.data = flag, true, false
			continue
		}
		if flag == flagEnd {
			return nil, -1, nil
		}
		if err := t.blocks(flag); err != nil {
			return nil, -1, err
		}
		return nil, t.block, nil
	}
}

// blocks reads a block, or a run of them.
func (t *packedReader) blocks(flag int) error {
	from := int64(t.last)
	run := false
	switch {
	case flag&0xc0 == flagRel, flag&0xc0 == flagRelRun:
		from += int64(flag & 0x3f)
		run = flag&0xc0 == flagRelRun
	case flag == flagLong || flag == flagLongRun:
		from = int64(t.s.r.int())
		run = flag == flagLongRun
	default:
		return protocolError(fmt.Sprintf("an unknown token %#x", flag))
	}
	n := int64(0)
	if run {
		n = int64(t.s.r.short())
	}
	if t.s.r.err != nil {
		return t.s.r.err
	}
	if from < 0 || from+n > 1<<31-2 {
		return protocolError("an impossible block")
	}
	t.block, t.run, t.last = int32(from), int32(n), int32(from+n)
	return nil
}
