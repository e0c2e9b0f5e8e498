package rsync

import "fmt"

// sumHead describes the sums of a basis: its blocks all have blockLen bytes, but the last, which has remainder when that is
// not zero.
type sumHead struct {
	count, blockLen, strongLen, remainder int32
}

func (s *session) readHead() (h sumHead) {
	h = sumHead{s.r.int(), s.r.int(), s.r.int(), s.r.int()}
	most := int32(1 << 17)
	if s.proto < 30 {
		most = 1 << 29
	}
	switch {
	case s.r.err != nil:
	case h.count < 0, h.blockLen < 0 || h.blockLen > most, h.count > 0 && h.blockLen == 0, h.remainder < 0 || h.remainder > h.blockLen,
		h.strongLen < 0 || int(h.strongLen) > s.sum.size && h.count > 0:
		s.r.fail(protocolError(fmt.Sprintf("impossible sums: %d blocks of %d bytes, %d bytes of strong sum, remainder %d", h.count, h.blockLen, h.strongLen, h.remainder)))
	}
	return h
}

func (h sumHead) append(b []byte) []byte {
	return appendInt(appendInt(appendInt(appendInt(b, h.count), h.blockLen), h.strongLen), h.remainder)
}

// size is that of the basis.
func (h sumHead) size() int64 {
	n := int64(h.count) * int64(h.blockLen)
	if h.remainder > 0 && h.count > 0 {
		n -= int64(h.blockLen - h.remainder)
	}
	return n
}

// length is that of one block.
func (h sumHead) length(i int32) int {
	if i == h.count-1 && h.remainder > 0 {
		return int(h.remainder)
	}
	return int(h.blockLen)
}

// sums are those of a basis, as a sender looks for them.
type sums struct {
	sumHead
	weak   []uint32
	strong []byte
}

// sum is the strong sum of one block.
func (b *sums) sum(i int32) []byte { return b.strong[int(i)*int(b.strongLen):][:b.strongLen] }

// maxSumBytes is what a sender keeps of the sums of one file, and maxBlock the longest block that it looks for, of which it holds
// several; a client with more gets the whole file, as does one whose other sessions leave no memory for its sums. Clients choose blocks that long from 64 TiB on.
const (
	maxSumBytes = 96 << 20
	maxBlock    = 8 << 20
)

// sumsAtOnce is of how many blocks it is told at once that their sums came.
const sumsAtOnce = 64

// readSums reads what the client's basis has; tell, if there is one, hears of it on the way.
func (s *session) readSums(h sumHead, tell func(sums)) *sums {
	per := int64(4 + h.strongLen)
	if int64(h.count)*per > maxSumBytes || h.blockLen > maxBlock || h.count > heavySums && !s.holdSums(int64(h.count)*per) {
		s.r.discard(int64(h.count) * per)
		return &sums{sumHead: h}
	}
	// What is kept grows with what has come, not with what was announced.
	in := &sums{sumHead: h, weak: make([]uint32, 0, min(h.count, 1<<16)), strong: make([]byte, 0, min(int64(h.count)*int64(h.strongLen), 1<<20))}
	var one [4 + maxDigest]byte
	for range h.count {
		s.r.full(one[:per])
		if s.r.err != nil {
			return nil
		}
		in.weak = append(in.weak, uint32(one[0])|uint32(one[1])<<8|uint32(one[2])<<16|uint32(one[3])<<24)
		in.strong = append(in.strong, one[4:per]...)
		if tell != nil && len(in.weak)%sumsAtOnce == 0 {
			tell(*in)
		}
	}
	return in
}
