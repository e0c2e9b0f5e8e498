package rsync

import (
	"bytes"
	"io"
)

// transfer sends the content of one file: as blocks that the client has, and bytes that it has not.
type transfer struct {
	*sender
	f       File
	size    int64
	basis   *sums
	known   *survey // what was read of the file before, with the digest of all of it; or nil
	inplace bool    // a block may only come from behind what is written already
}

// Sizes of pieces: of what is read at once, and of one literal token.
const (
	readSize   = 256 << 10
	maxLiteral = 32 << 10
)

func (t *transfer) run(appending bool) error {
	t.out.reset()
	if appending {
		return t.tail()
	}
	var from int32
	if t.known != nil {
		from = t.ahead()
		var err error
		if t.basis, err = t.known.all(); err != nil {
			return err
		}
	}
	if t.basis == nil || len(t.basis.weak) == 0 || t.size == 0 {
		return t.whole(0, t.size)
	}
	return t.delta(from)
}

// tail sends what the client's file lacks at its end. The digest covers the beginning too, but with plain --append of
// protocol 30 and newer.
func (t *transfer) tail() error {
	have := min(t.basis.size(), t.size)
	if t.o.appendMode > 1 || t.proto < 30 {
		if _, err := io.CopyBuffer(struct{ io.Writer }{t.hash}, io.NewSectionReader(t.f, 0, have), t.buffer(readSize)); err != nil {
			return err
		}
	}
	return t.whole(have, t.size)
}

// whole sends a part of the file as it is. What cannot be read is sent as zeros, so that the count is right; the digest then
// is not.
func (t *transfer) whole(from, to int64) error {
	buf := t.buffer(readSize)
	var failed error
	for from < to {
		p := buf[:min(int64(len(buf)), to-from)]
		if failed == nil {
			n, err := t.f.ReadAt(p, from)
			if n < len(p) {
				failed = err
				clear(p[n:])
			}
		} else {
			clear(p)
		}
		t.see(p)
		t.out.literal(p)
		from += int64(len(p))
		if err := t.w.failed(); err != nil {
			return err
		}
	}
	return failed
}

// buffer gives the sender's buffer, kept from file to file.
func (x *sender) buffer(n int) []byte {
	if cap(x.window) < n {
		x.window = make([]byte, n)
	}
	return x.window[:n]
}

// see takes the bytes of the file, in order, for its digest.
func (t *transfer) see(p []byte) {
	if t.known == nil {
		t.hash.Write(p)
	}
}

// finder finds blocks by their weak sum: a bitmap turns most away, chains by hash hold the others.
type finder struct {
	shift  uint // of the hash, to an index of heads
	fshift uint // to a bit of the bitmap
	filter []uint64
	heads  []int32
	next   []int32
}

// maxChain bounds how many blocks with the same weak sum are tried at one place.
const maxChain = 256

const golden = 0x9e3779b1

func (f *finder) build(weak []uint32) {
	bits := uint(10)
	for 1<<bits < len(weak)*2 && bits < 22 {
		bits++
	}
	f.shift, f.fshift = 32-bits, 32-min(bits+4, 26)
	f.heads = grown(f.heads, 1<<bits)
	f.filter = grown(f.filter, 1<<(32-f.fshift)/64)
	f.next = grown(f.next, len(weak))
	for i := range f.heads {
		f.heads[i] = -1
	}
	clear(f.filter)
	for i := len(weak) - 1; i >= 0; i-- { // so that a chain has the first block first
		h := weak[i] * golden
		b := h >> f.fshift
		f.filter[b>>6] |= 1 << (b & 63)
		f.next[i] = f.heads[h>>f.shift]
		f.heads[h>>f.shift] = int32(i)
	}
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// delta looks for the client's blocks in the file, from the place of one of them on.
func (t *transfer) delta(from int32) error {
	b := t.basis
	blockLen := int(b.blockLen)
	start := min(int64(from)*int64(blockLen), t.size)
	if start == t.size {
		return nil
	}
	t.finder.build(b.weak)
	// The window holds what was not sent yet, and at least one block ahead.
	buf := t.buffer(max(4*readSize, 4*blockLen) + maxLiteral)
	strong := newBlockHash(t.sum, t.seed)
	var (
		base    = start // place of buf[0] in the file
		held    int     // bytes in buf
		at      int     // where a block is looked for
		sent    int     // up to where it has been sent
		want    = from  // block that would follow the last match
		failed  error   // of reading
		a, c    uint32  // rolling sum at at, of n bytes
		n       int
		rolling bool
	)
	fill := func() {
		if sent > 0 {
			copy(buf, buf[sent:held])
			base, held, at, sent = base+int64(sent), held-sent, at-sent, 0
		}
		p := buf[held:min(int64(len(buf)), int64(held)+t.size-base-int64(held))]
		if failed == nil {
			m, err := t.f.ReadAt(p, base+int64(held))
			if m < len(p) {
				failed = err
				clear(p[m:])
			}
		} else {
			clear(p)
		}
		held += len(p)
	}
	literal := func(to int) {
		if to > sent {
			t.see(buf[sent:to])
			t.out.literal(buf[sent:to])
			sent = to
		}
	}
	atEnd := func() bool { return base+int64(held) == t.size }
	for {
		if !rolling && t.known != nil && base+int64(at) == int64(want)*int64(blockLen) {
			if n := t.known.same(want, runOfSame, t.known.upTo(want+1, t.w.flush)); n > 0 {
				literal(at)
				want = t.blocks(want, n)
				base, held, at, sent = min(int64(want)*int64(blockLen), t.size), 0, 0, 0 // none of them was read
				if err := t.w.failed(); err != nil {
					return err
				}
				continue
			}
		}
		if held-at < blockLen && !atEnd() {
			literal(at) // whatever it was looked through for; the block ahead stays
			fill()
			if err := t.w.failed(); err != nil {
				return err
			}
		}
		n = min(blockLen, held-at)
		if n == 0 {
			break
		}
		if !rolling && want > 0 && t.follows(b, strong, buf[at:at+n], base+int64(at), want) {
			literal(at)
			t.see(buf[at : at+n])
			t.out.block(want, buf[at:at+n])
			at += n
			sent, want = at, want+1
			continue
		}
		if !rolling {
			a, c = weakSum(buf[at : at+n])
			rolling = true
		}
		// Roll on until a sum is known, or more has to be read.
		last := held - blockLen // the last place of a whole block in the buffer
		h := (a&0xffff | c<<16) * golden
		bitAt := h >> t.finder.fshift
		if t.finder.filter[bitAt>>6]&(1<<(bitAt&63)) == 0 {
			if n == blockLen && at < last {
				at, a, c = t.roll(buf, at, last, a, c, blockLen)
				if at-sent >= maxLiteral {
					literal(sent + (at-sent)/maxLiteral*maxLiteral)
				}
				continue
			}
		} else if i := t.find(b, strong, a&0xffff|c<<16, h, buf[at:at+n], base+int64(at), want); i >= 0 {
			literal(at)
			t.see(buf[at : at+n])
			t.out.block(i, buf[at:at+n])
			at += n
			sent, want, rolling = at, i+1, false
			continue
		}
		// One byte on.
		out := uint32(int32(int8(buf[at])))
		if at+n < held {
			in := uint32(int32(int8(buf[at+n])))
			a += in - out
			c += a - uint32(n)*out
		} else if !atEnd() {
			rolling = false // the block at the next place is not read yet
		} else {
			a -= out
			c -= uint32(n) * out
		}
		at++
		if at-sent >= maxLiteral {
			literal(at)
		}
	}
	literal(held)
	return failed
}

// roll goes on, byte by byte, to the next place whose weak sum may be known, at most to last.
func (t *transfer) roll(buf []byte, at, last int, a, c uint32, blockLen int) (int, uint32, uint32) {
	filter, shift := t.finder.filter, t.finder.fshift
	n := uint32(blockLen)
	old, young := buf[at:last], buf[at+blockLen:last+blockLen]
	young = young[:len(old)]
	for i, o := range old {
		out, in := uint32(int32(int8(o))), uint32(int32(int8(young[i])))
		a += in - out
		c += a - n*out
		b := (a&0xffff | c<<16) * golden >> shift
		if filter[b>>6]&(1<<(b&63)) != 0 {
			return at + i + 1, a, c
		}
	}
	return last, a, c
}

// enough is how long a strong sum has to be to speak for the block behind a match without its weak sum. A client of a file of
// 2 GiB gives 4 bytes, and rsync itself then takes 64 bits of both sums for enough for each block at each byte; here 32 bits
// are for one block at one place. A match that is none costs a second turn of the file, as the digest of the whole tells it.
const enough = 4

// follows says whether p is the block behind the last match, by its strong sum alone if that is long enough.
func (t *transfer) follows(b *sums, strong *blockHash, p []byte, at int64, want int32) bool {
	return b.strongLen >= enough && want < b.count && b.length(want) == len(p) && t.mayUse(b, want, at) && bytes.Equal(b.sum(want), strong.sum(p)[:b.strongLen])
}

// find gives the block that is the same as p, or -1. The one that follows the last is tried first.
func (t *transfer) find(b *sums, strong *blockHash, weak, h uint32, p []byte, at int64, want int32) int32 {
	var sum []byte
	same := func(i int32) bool {
		if b.weak[i] != weak || b.length(i) != len(p) || !t.mayUse(b, i, at) {
			return false
		}
		if sum == nil {
			sum = strong.sum(p)[:b.strongLen]
		}
		return bytes.Equal(b.sum(i), sum)
	}
	if want < b.count && same(want) {
		return want
	}
	tries := 0
	for i := t.finder.heads[h>>t.finder.shift]; i >= 0 && tries < maxChain; i = t.finder.next[i] {
		if same(i) {
			return i
		}
		tries++
	}
	return -1
}

// mayUse holds back blocks that a client that writes in place has overwritten by then.
func (t *transfer) mayUse(b *sums, i int32, at int64) bool {
	return !t.inplace || int64(i)*int64(b.blockLen) >= at
}
