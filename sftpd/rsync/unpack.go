package rsync

import (
	"errors"
	"io"
	"iter"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// feed hands compressed bytes to a decoder, which runs as a coroutine: when it wants more than has come, it is left where it
// is until there is more.
type feed struct {
	in      []byte
	yield   func([]byte) bool
	restart bool
	next    func() ([]byte, bool)
	stop    func()
	err     error
}

var (
	errRestart = errors.New("another file begins")
	errStopped = errors.New("the session is over")
)

// start runs a decoder that writes what it decodes with f.yield.
func (f *feed) start(decode func() error) {
	f.next, f.stop = iter.Pull(func(yield func([]byte) bool) {
		f.yield = yield
		f.err = decode()
	})
}

func (f *feed) wait() error {
	for {
		switch {
		case f.restart:
			return errRestart
		case len(f.in) > 0:
			return nil
		case !f.yield(nil):
			return errStopped
		}
	}
}

func (f *feed) Read(p []byte) (int, error) {
	if err := f.wait(); err != nil {
		return 0, err
	}
	n := copy(p, f.in)
	f.in = f.in[n:]
	return n, nil
}

func (f *feed) ReadByte() (byte, error) {
	if err := f.wait(); err != nil {
		return 0, err
	}
	b := f.in[0]
	f.in = f.in[1:]
	return b, nil
}

func (f *feed) Write(p []byte) (int, error) {
	if len(p) > 0 && !f.yield(p) {
		return 0, errStopped
	}
	return len(p), nil
}

func (f *feed) take() ([]byte, error) {
	p, ok := f.next()
	if !ok {
		if f.err == nil {
			f.err = io.ErrUnexpectedEOF
		}
		return nil, f.err
	}
	return p, nil
}

func (f *feed) give(p []byte) { f.in = p } // is all taken before the next comes
func (f *feed) close()        { f.stop() }

// inflater reads raw deflate. The four bytes at the end of each run's sync flush were left out on the way, and are put back.
// With the older form, each run is read anew, with a dictionary of what came before it.
type inflater struct {
	feed
	inserts bool
	oldBug  bool
	history []byte
	buf     []byte
}

var (
	syncEnd  = []byte{0, 0, 0xff, 0xff}
	lastEnd  = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff} // and an empty last block
	errAfter = errors.New("bytes came after the end of the compressed ones")
)

func newInflater(s *session) *inflater {
	f := &inflater{inserts: s.codec == "zlib", oldBug: s.proto < 31, buf: make([]byte, 64<<10)}
	f.start(f.decode)
	return f
}

func (f *inflater) decode() error {
	var r io.ReadCloser
	for {
		f.restart = false
		if err := f.wait(); errors.Is(err, errRestart) {
			continue
		} else if err != nil {
			return err
		}
		if r == nil {
			r = flate.NewReaderDict(f, f.history)
		} else if err := r.(flate.Resetter).Reset(f, f.history); err != nil {
			return err
		}
		for {
			n, err := r.Read(f.buf)
			if n > 0 {
				if f.inserts {
					f.history = remember(f.history, f.buf[:n])
				}
				if !f.yield(f.buf[:n]) {
					return errStopped
				}
			}
			if errors.Is(err, io.EOF) && f.inserts && len(f.in) == 0 || errors.Is(err, errRestart) {
				break
			}
			if errors.Is(err, io.EOF) {
				return errAfter
			}
			if err != nil {
				return err
			}
		}
	}
}

func (f *inflater) reset() {
	f.in, f.history, f.restart = nil, f.history[:0], true
}

func (f *inflater) flush() {
	if f.inserts {
		f.give(lastEnd)
	} else {
		f.give(syncEnd)
	}
}

func (f *inflater) see(p []byte) {
	if f.inserts {
		f.history = insertBlock(f.history, p, f.oldBug)
	}
}

// unzstd reads the one frame of the session.
type unzstd struct{ feed }

// maxWindow is what a client's zstd may make the server keep.
const maxWindow = 32 << 20

func newUnzstd() *unzstd {
	z := &unzstd{}
	z.start(func() error {
		d, err := zstd.NewReader(z, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = d.WriteTo(z)
		return err
	})
	return z
}

func (z *unzstd) reset()     {}
func (z *unzstd) flush()     {}
func (z *unzstd) see([]byte) {}

// unlz4 reads pieces that stand for themselves.
type unlz4 struct {
	in, buf []byte
}

func (l *unlz4) reset()        { l.in = nil }
func (l *unlz4) flush()        {}
func (l *unlz4) see([]byte)    {}
func (l *unlz4) close()        {}
func (l *unlz4) give(p []byte) { l.in = p }

func (l *unlz4) take() ([]byte, error) {
	if len(l.in) == 0 {
		return nil, nil
	}
	if l.buf == nil {
		l.buf = make([]byte, 64<<10)
	}
	n, err := lz4.UncompressBlock(l.in, l.buf)
	l.in = nil
	return l.buf[:n], err
}
