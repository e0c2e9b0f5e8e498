package columnar

import (
	"encoding/binary"
)

// unpackDeltas fills out and gives what lies behind the numbers.
func unpackDeltas(data []byte, out []int64) []byte {
	next := func() uint64 {
		x, n := binary.Uvarint(data)
		if n <= 0 {
			panic(errCut)
		}
		data = data[n:]
		return x
	}
	block, minis, total := next(), next(), next()
	first := next()
	value := int64(first>>1) ^ -int64(first&1)
	if total < uint64(len(out)) || minis == 0 || block%minis != 0 || block > 1<<20 {
		panic(errCut)
	}
	if len(out) == 0 {
		return data
	}
	out[0] = value
	out = out[1:]
	per := int(block / minis)
	for len(out) > 0 {
		low := next()
		least := int64(low>>1) ^ -int64(low&1)
		widths := data[:minis]
		data = data[minis:]
		for _, w := range widths {
			if len(out) == 0 {
				break // the widths of what is not there mean nothing
			}
			size := per / 8 * int(w)
			n := min(per, len(out))
			if w > 64 {
				panic(errCut)
			}
			value = undelta(data[:size], int(w), out[:n], least, value)
			data, out = data[size:], out[n:]
		}
	}
	return data
}

// undelta adds up packed differences.
func undelta(packed []byte, w int, out []int64, least, value int64) int64 {
	if w == 0 {
		for i := range out {
			value += least
			out[i] = value
		}
		return value
	}
	mask := ^uint64(0) >> (64 - w)
	whole := wholeReads(packed, w, len(out))
	for i := range out[:whole] {
		at := i * w
		value += int64(binary.LittleEndian.Uint64(packed[at>>3:])>>(at&7)&mask) + least
		out[i] = value
	}
	for i := whole; i < len(out); i++ {
		value += int64(bitsAt(packed, i*w, w)&mask) + least
		out[i] = value
	}
	return value
}

// wholeReads is how many of n numbers of w bits can be had with one read of eight bytes each.
func wholeReads(packed []byte, w, n int) int {
	if w > 57 || len(packed) < 8 {
		return 0
	}
	return min(n, (len(packed)-8)*8/w)
}

// bitsAt gives at least w bits from bit at on; what is above them is to be masked off.
func bitsAt(packed []byte, at, w int) uint64 {
	i, shift := at>>3, at&7
	if i+8 <= len(packed) {
		x := binary.LittleEndian.Uint64(packed[i:]) >> shift
		if shift+w > 64 {
			x |= uint64(packed[i+8]) << (64 - shift)
		}
		return x
	}
	var tail [16]byte
	copy(tail[:], packed[i:])
	x := binary.LittleEndian.Uint64(tail[:]) >> shift
	if shift+w > 64 {
		x |= uint64(tail[8]) << (64 - shift)
	}
	return x
}

// hybrid reads numbers of w bits that are stored as runs or packed ("RLE/Bit-Packing Hybrid").
func hybrid(data []byte, w int, out []uint32) {
	if w > 32 {
		panic(errCut)
	}
	mask := uint64(1)<<w - 1
	for len(out) > 0 {
		header, size := binary.Uvarint(data)
		if size <= 0 {
			panic(errCut)
		}
		data = data[size:]
		if header&1 == 0 {
			var value uint32
			for i := range (w + 7) / 8 {
				value |= uint32(data[i]) << (8 * i)
			}
			data = data[(w+7)/8:]
			run := int(min(header>>1, uint64(len(out))))
			for i := range out[:run] {
				out[i] = value
			}
			out = out[run:]
			continue
		}
		groups := int(min(header>>1, uint64(len(out)+7)/8))
		n := min(groups*8, len(out))
		packed := data[:min(groups*w, len(data))]
		if len(packed)*8 < n*w {
			panic(errCut)
		}
		whole := 0
		if w > 0 {
			whole = wholeReads(packed, w, n)
		}
		for i := range out[:whole] {
			at := i * w
			out[i] = uint32(binary.LittleEndian.Uint64(packed[at>>3:]) >> (at & 7) & mask)
		}
		for i := whole; i < n; i++ {
			out[i] = uint32(bitsAt(packed, i*w, w) & mask)
		}
		data, out = data[len(packed):], out[n:]
	}
}
