package rsync

import (
	"bufio"
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

func readerOf(b []byte) *reader {
	return &reader{br: bufio.NewReaderSize(bytes.NewReader(b), 64), src: &input{}, ndx: newNdxState(), proto: 31}
}

func TestNumbersAreCodedAsRecorded(t *testing.T) {
	for _, c := range []struct {
		v    int32
		want string
	}{{0, "\x00"}, {0x7f, "\x7f"}, {0x1fe, "\x81\xfe"}, {0x9a, "\x80\x9a"}, {0x201a, "\xa0\x1a"}, {0x2c01, "\xac\x01"}, {500000000, "\xf0\x00\x65\xcd\x1d"}, {-1, "\xf0\xff\xff\xff\xff"}} {
		if got := appendVarint(nil, c.v); string(got) != c.want {
			t.Errorf("varint %d is %x, want %x", c.v, got, c.want)
		}
		if got := readerOf([]byte(c.want)).varint(); got != c.v {
			t.Errorf("%x reads as %d, want %d", c.want, got, c.v)
		}
	}
	for _, c := range []struct {
		v     int64
		least int
		want  string
	}{{4096, 3, "\x00\x00\x10"}, {12, 3, "\x00\x0c\x00"}, {300009, 3, "\x04\xe9\x93"}, {0x65937d20, 4, "\x65\x20\x7d\x93"}} {
		if got := appendVarlong(nil, c.v, c.least); string(got) != c.want {
			t.Errorf("varlong %d is %x, want %x", c.v, got, c.want)
		}
	}
}

func TestNumbersReadBackAsWritten(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		v := int64(rnd.Uint64() >> rnd.IntN(64))
		for _, least := range []int{3, 4} {
			if r := readerOf(appendVarlong(nil, v, least)); r.varlong(least) != v || r.err != nil {
				t.Fatalf("varlong(%d) of %d does not read back: %v", least, v, r.err)
			}
		}
		if r := readerOf(appendVarint(nil, int32(v))); r.varint() != int32(v) || r.err != nil {
			t.Fatalf("varint of %d does not read back: %v", int32(v), r.err)
		}
		if r := readerOf(appendLongint(nil, v)); r.longint() != v || r.err != nil {
			t.Fatalf("longint of %d does not read back: %v", v, r.err)
		}
	}
	var b []byte
	w := newNdxState()
	list := []int32{0, 1, 2, 255, 256, 257, 70000, 69999, ndxDone, ndxDelStats, 69998, ndxFlistBase, math.MaxInt32, 0}
	for _, n := range list {
		b = w.append(b, n)
	}
	r := readerOf(b)
	for _, n := range list {
		if got := r.index(); got != n || r.err != nil {
			t.Fatalf("index %d reads as %d: %v", n, got, r.err)
		}
	}
}

func TestWeakSumIsThatOfRsync(t *testing.T) {
	a, b := weakSum(bytes.Repeat([]byte{'z'}, 700))
	if got := appendInt(nil, int32(a|b<<16)); string(got) != "\x98\x4d\x9c\xbc" {
		t.Errorf("700 times z gives %x", got)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		var wa, wb uint32
		for i, c := range p {
			wa += uint32(int32(int8(c)))
			wb += uint32(n-i) * uint32(int32(int8(c)))
		}
		if a, b := weakSum(p); a != wa&0xffff || b != wb&0xffff {
			t.Fatalf("of %d bytes: %x %x, want %x %x", n, a, b, wa&0xffff, wb&0xffff)
		}
	}
}
