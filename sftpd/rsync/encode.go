package rsync

import (
	"encoding/binary"
	"math/bits"
)

// appendVarlong codes a number in at least min bytes: the leading ones of the first byte tell how many bytes follow the
// first min, its other bits are the highest of the number, and the lower bytes follow in little-endian order.
func appendVarlong(b []byte, v int64, min int) []byte {
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(v))
	n := max((bits.Len64(uint64(v))+7)/8, min)
	extra := n - min
	if top := raw[n-1]; top < 1<<(7-extra) {
		b = append(b, ^(byte(0xff)>>extra)|top)
		return append(b, raw[:n-1]...)
	}
	b = append(b, ^(byte(0xff) >> (extra + 1)))
	return append(b, raw[:n]...)
}

func appendVarint(b []byte, v int32) []byte { return appendVarlong(b, int64(uint32(v)), 1) }

// appendLongint is the form of sizes and times before protocol 30.
func appendLongint(b []byte, v int64) []byte {
	if v >= 0 && v <= 0x7fffffff {
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xff, 0xff, 0xff, 0xff), uint64(v))
}

func appendInt(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }

// appendVstring writes a short text with its length in one or two bytes.
func appendVstring(b []byte, s string) []byte {
	if len(s) >= 0x80 {
		b = append(b, byte(len(s)>>8)|0x80)
	}
	return append(append(b, byte(len(s))), s...)
}

// Indices with a meaning of their own, where the index of a file could stand.
const (
	ndxDone      = -1
	ndxFlistEOF  = -2
	ndxDelStats  = -3
	ndxFlistBase = -101
)

// ndxState remembers the last indices of one direction: protocol 30 and newer send differences.
type ndxState struct{ positive, negative int32 }

func newNdxState() ndxState { return ndxState{-1, 1} }

func (s *ndxState) append(b []byte, ndx int32) []byte {
	if ndx == ndxDone {
		return append(b, 0)
	}
	prev, v := &s.positive, ndx
	if ndx < 0 {
		b = append(b, 0xff)
		prev, v = &s.negative, -ndx
	}
	diff := v - *prev
	*prev = v
	switch {
	case diff >= 1 && diff <= 253:
		return append(b, byte(diff))
	case diff >= 0 && diff <= 32767:
		return append(b, 0xfe, byte(diff>>8), byte(diff))
	}
	return append(b, 0xfe, byte(v>>24)|0x80, byte(v), byte(v>>8), byte(v>>16))
}

func (s *ndxState) read(r *reader) int32 {
	c := r.byte()
	if c == 0 {
		return ndxDone
	}
	prev := &s.positive
	if c == 0xff {
		prev = &s.negative
		c = r.byte()
	}
	v := *prev + int32(c)
	if c == 0xfe {
		hi, lo := r.byte(), r.byte()
		if hi&0x80 != 0 {
			v = int32(hi&0x7f)<<24 | int32(lo) | int32(r.byte())<<8 | int32(r.byte())<<16
		} else {
			v = *prev + int32(hi)<<8 + int32(lo)
		}
	}
	if v < 0 {
		r.fail(protocolError("an index is too large"))
		return ndxDone
	}
	*prev = v
	if prev == &s.negative {
		return -v
	}
	return v
}
