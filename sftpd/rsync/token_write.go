package rsync

import (
	"bytes"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// tokenWriter codes the content of files: literal bytes, and blocks that the receiver has.
type tokenWriter interface {
	reset() // a file begins
	literal(p []byte)
	block(i int32, p []byte)
	end() // the file is over
	close()
}

func newTokenWriter(s *session) tokenWriter {
	switch s.codec {
	case "none":
		return &plainTokens{s: s}
	case "lz4":
		return &packedTokens{s: s, codec: &lz4Packer{}}
	case "zstd":
		return &packedTokens{s: s, codec: newZstdPacker(s)}
	}
	return &packedTokens{s: s, codec: newDeflater(s)}
}

// plainTokens are numbers: above zero a count of bytes that follow, below zero a block, zero the end.
type plainTokens struct {
	s *session
	b [8]byte
}

func (t *plainTokens) reset() {}
func (t *plainTokens) close() {}
func (t *plainTokens) literal(p []byte) {
	for len(p) > 0 {
		n := min(len(p), maxLiteral)
		t.s.w.bytes(appendInt(t.b[:0], int32(n)))
		t.s.w.bytes(p[:n])
		p = p[n:]
	}
}
func (t *plainTokens) block(i int32, _ []byte) { t.s.w.bytes(appendInt(t.b[:0], -(i + 1))) }
func (t *plainTokens) end()                    { t.s.w.bytes(appendInt(t.b[:0], 0)) }

// Flags of compressed tokens.
const (
	flagEnd     = 0x00
	flagLong    = 0x20 // a block by its number
	flagLongRun = 0x21 // and how many follow it
	flagData    = 0x40 // up to 16383 compressed bytes
	flagRel     = 0x80 // a block by its distance
	flagRelRun  = 0xc0

	maxPacked = 16383
	maxRun    = 65536 // blocks, the first included
)

// packer compresses literal bytes. It appends to out what is ready.
type packer interface {
	reset()
	pack(out, p []byte) []byte
	flush(out []byte) []byte     // all that was packed can be read then
	see(p []byte)                // bytes of a block go by
	chunk(out []byte, n int) int // how many of the n bytes in out may be sent now
	close()
}

// packedTokens are flags with compressed bytes and runs of blocks.
type packedTokens struct {
	s       *session
	codec   packer
	out     []byte
	pending bool  // bytes were packed since the last flush
	first   int32 // of the run of blocks that is not written yet, -1 for none
	count   int32
	last    int32 // block before it
	small   [8]byte
}

func (t *packedTokens) reset() {
	t.codec.reset()
	t.first, t.count, t.last, t.pending = -1, 0, 0, false
}

func (t *packedTokens) close() { t.codec.close() }

func (t *packedTokens) literal(p []byte) {
	t.run()
	for len(p) > 0 {
		n := min(len(p), maxLiteral)
		t.out = t.codec.pack(t.out, p[:n])
		p, t.pending = p[n:], true
		t.emit(false)
	}
}

// emit writes compressed bytes, all of them or full pieces only.
func (t *packedTokens) emit(all bool) {
	for len(t.out) > 0 {
		n := t.codec.chunk(t.out, min(len(t.out), maxPacked))
		if n == 0 || !all && n < maxPacked && n == len(t.out) {
			return
		}
		head := 0
		if _, self := t.codec.(*lz4Packer); self {
			head = 2 // the packer wrote the length before its bytes
		}
		t.s.w.bytes(append(t.small[:0], flagData|byte(n>>8), byte(n)))
		t.s.w.bytes(t.out[head : head+n])
		t.out = t.out[:copy(t.out, t.out[head+n:])]
	}
}

func (t *packedTokens) settle() {
	if t.pending {
		t.out = t.codec.flush(t.out)
		t.emit(true)
		t.pending = false
	}
}

func (t *packedTokens) block(i int32, p []byte) {
	t.settle()
	if t.first < 0 || i != t.first+t.count || t.count == maxRun {
		t.run()
		t.first, t.count = i, 0
	}
	t.count++
	t.codec.see(p)
}

// run writes the blocks that follow one another.
func (t *packedTokens) run() {
	if t.first < 0 {
		return
	}
	b := t.small[:0]
	more := t.count - 1
	if d := t.first - t.last; d >= 0 && d <= 63 {
		flag := byte(flagRel)
		if more > 0 {
			flag = flagRelRun
		}
		b = append(b, flag|byte(d))
	} else {
		flag := byte(flagLong)
		if more > 0 {
			flag = flagLongRun
		}
		b = appendInt(append(b, flag), t.first)
	}
	if more > 0 {
		b = append(b, byte(more), byte(more>>8))
	}
	t.s.w.bytes(b)
	t.last = t.first + more
	t.first, t.count = -1, 0
}

func (t *packedTokens) end() {
	t.run()
	t.settle()
	t.s.w.bytes([]byte{flagEnd})
}

// deflater packs with raw deflate. Each run of literal bytes ends with a sync flush, of which the last four bytes are left
// out. With the older form, zlib, blocks become part of the history, as a preset dictionary of the next run.
type deflater struct {
	w       *flate.Writer
	buf     bytes.Buffer
	inserts bool
	history []byte // with inserts: the last 32 KiB of the file
	fresh   bool   // the writer has to be set on the history
	oldBug  bool   // before protocol 31, of a block only its first 64 KiB were inserted, again and again
}

const historySize = 32 << 10

func newDeflater(s *session) *deflater {
	level := 6
	if s.o.hasLevel && s.o.compressLevel >= 1 && s.o.compressLevel <= 9 {
		level = s.o.compressLevel
	}
	d := &deflater{inserts: s.codec == "zlib", oldBug: s.proto < 31}
	d.w, _ = flate.NewWriter(&d.buf, level)
	return d
}

func (d *deflater) reset() {
	d.buf.Reset()
	d.history = d.history[:0]
	d.w.Reset(&d.buf)
	d.fresh = false
}

func (d *deflater) pack(out, p []byte) []byte {
	if d.fresh {
		d.w.ResetDict(&d.buf, d.history)
		d.fresh = false
	}
	_, _ = d.w.Write(p) // to memory, which does not fail
	if d.inserts {
		d.history = remember(d.history, p)
	}
	return d.drain(out, d.buf.Len())
}

func (d *deflater) drain(out []byte, n int) []byte {
	out = append(out, d.buf.Bytes()[:n]...)
	d.buf.Reset()
	return out
}

func (d *deflater) flush(out []byte) []byte {
	_ = d.w.Flush()
	return d.drain(out, d.buf.Len()-4)
}

func (d *deflater) see(p []byte) {
	if d.inserts {
		d.history = insertBlock(d.history, p, d.oldBug)
		d.fresh = true
	}
}

func (d *deflater) chunk(_ []byte, n int) int { return n }
func (d *deflater) close()                    {}

// remember keeps the last bytes that deflate can refer to.
func remember(history, p []byte) []byte {
	if len(p) >= historySize {
		return append(history[:0], p[len(p)-historySize:]...)
	}
	if over := len(history) + len(p) - historySize; over > 0 {
		history = history[:copy(history, history[over:])]
	}
	return append(history, p...)
}

// insertBlock puts a block in the history, with the mistake of old versions if they are spoken to.
func insertBlock(history, p []byte, oldBug bool) []byte {
	if !oldBug {
		return remember(history, p)
	}
	for n := len(p); n > 0; {
		step := min(n, 65535)
		history = remember(history, p[:step])
		n -= step
	}
	return history
}

// zstdPacker packs into one frame that lasts for the whole session.
type zstdPacker struct {
	e   *zstd.Encoder
	buf bytes.Buffer
}

func newZstdPacker(s *session) *zstdPacker {
	z := &zstdPacker{}
	level := zstd.SpeedDefault
	if s.o.hasLevel && s.o.compressLevel != 0 {
		level = zstd.EncoderLevelFromZstd(s.o.compressLevel)
	}
	level = min(level, zstd.SpeedBetterCompression)
	z.e, _ = zstd.NewWriter(&z.buf, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	return z
}

func (z *zstdPacker) reset()                    {}
func (z *zstdPacker) see([]byte)                {}
func (z *zstdPacker) chunk(_ []byte, n int) int { return n }
func (z *zstdPacker) close()                    { _ = z.e.Close() }
func (z *zstdPacker) flush(out []byte) []byte   { _ = z.e.Flush(); return z.drain(out) }
func (z *zstdPacker) pack(out, p []byte) []byte { _, _ = z.e.Write(p); return z.drain(out) }
func (z *zstdPacker) drain(out []byte) []byte {
	out = append(out, z.buf.Bytes()...)
	z.buf.Reset()
	return out
}

// lz4Packer packs pieces that stand for themselves, each behind its length in two bytes.
type lz4Packer struct {
	c   lz4.Compressor
	buf []byte
}

func (l *lz4Packer) reset()                      {}
func (l *lz4Packer) see([]byte)                  {}
func (l *lz4Packer) close()                      {}
func (l *lz4Packer) flush(out []byte) []byte     { return out }
func (l *lz4Packer) chunk(out []byte, _ int) int { return int(out[0])<<8 | int(out[1]) }

func (l *lz4Packer) pack(out, p []byte) []byte {
	if l.buf == nil {
		l.buf = make([]byte, lz4.CompressBlockBound(maxLiteral))
	}
	for len(p) > 0 {
		take := min(len(p), maxPacked)
		n, err := l.c.CompressBlock(p[:take], l.buf)
		for err != nil || n == 0 || n > maxPacked { // incompressible: as it is, in a block of literals that must fit
			if take > maxPacked-128 {
				take = maxPacked - 128
			}
			n, err = storeLZ4(l.buf, p[:take]), nil
		}
		out = append(append(out, byte(n>>8), byte(n)), l.buf[:n]...)
		p = p[take:]
	}
	return out
}

// storeLZ4 writes one sequence that has literals only: 4 bits of length, then bytes of 255 and one less.
func storeLZ4(dst, p []byte) int {
	n := 1
	if len(p) < 15 {
		dst[0] = byte(len(p)) << 4
	} else {
		dst[0] = 15 << 4
		rest := len(p) - 15
		for ; rest >= 255; rest -= 255 {
			dst[n] = 255
			n++
		}
		dst[n] = byte(rest)
		n++
	}
	return n + copy(dst[n:], p)
}
