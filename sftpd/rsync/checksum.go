package rsync

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"hash"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
	"golang.org/x/crypto/md4" //lint:ignore SA1019 protocols before 30 know no other
)

// algorithm is a strong checksum. Those of blocks are seeded, those of whole files are not, except MD4 before protocol 30.
type algorithm struct {
	name string
	size int
	// where the seed of a block's sum goes
	seed seeding
}

type seeding int

const (
	seedBefore seeding = iota // hashed before the block
	seedAfter                 // hashed after the block
	seedParam                 // a parameter of the hash
)

// maxDigest is the longest digest in use.
const maxDigest = 20

var algorithms = []*algorithm{
	{"xxh128", 16, seedParam}, {"xxh3", 8, seedParam}, {"xxh64", 8, seedParam}, {"md5", 16, seedBefore}, {"md4", 16, seedBefore}, {"sha1", 20, seedBefore}, {"none", 1, seedParam},
}

var (
	md5Old = &algorithm{"md5", 16, seedAfter} // of clients without the corrected order
	md4Old = &algorithm{"md4-seeded", 16, seedAfter}
)

func findAlgorithm(name string) *algorithm {
	name = strings.ToLower(name)
	if name == "xxhash" {
		name = "xxh64"
	}
	for _, a := range algorithms {
		if a.name == name {
			return a
		}
	}
	return nil
}

// newHash makes a hash for whole files.
func (a *algorithm) newHash(seed int32) hash.Hash {
	switch a.name {
	case "xxh128":
		return &xxh128{xxh3.New()}
	case "xxh3":
		return littleEndian{xxh3.New()}
	case "xxh64":
		return littleEndian{xxhash.New()}
	case "md5":
		return md5.New()
	case "md4":
		return md4.New()
	case "md4-seeded":
		h := md4.New()
		h.Write(appendInt(nil, seed))
		return h
	case "sha1":
		return sha1.New()
	}
	return noHash{}
}

// again makes a hash for the next file of one that was used, or of nil.
func (a *algorithm) again(h hash.Hash, seed int32) hash.Hash {
	if h == nil || a == md4Old {
		return a.newHash(seed)
	}
	h.Reset()
	return h
}

type xxh128 struct{ *xxh3.Hasher }

func (h *xxh128) Size() int { return 16 }
func (h *xxh128) Sum(b []byte) []byte {
	s := h.Sum128()
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, s.Lo), s.Hi)
}

type hash64 interface {
	hash.Hash
	Sum64() uint64
}

type littleEndian struct{ hash64 }

func (h littleEndian) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, h.Sum64()) }

type noHash struct{}

func (noHash) Write(p []byte) (int, error) { return len(p), nil }
func (noHash) Sum(b []byte) []byte         { return append(b, 0) }
func (noHash) Reset()                      {}
func (noHash) Size() int                   { return 1 }
func (noHash) BlockSize() int              { return 1 }

// blockHash gives the strong sums of blocks.
type blockHash struct {
	a    *algorithm
	seed int32
	h    hash.Hash
	raw  [4]byte
	out  [maxDigest]byte
}

func newBlockHash(a *algorithm, seed int32) *blockHash {
	b := &blockHash{a: a, seed: seed}
	binary.LittleEndian.PutUint32(b.raw[:], uint32(seed))
	switch a.name {
	case "md5":
		b.h = md5.New()
	case "md4", "md4-seeded":
		b.h = md4.New()
	case "sha1":
		b.h = sha1.New()
	}
	return b
}

// sum is valid until the next call.
func (b *blockHash) sum(p []byte) []byte {
	seed := uint64(int64(b.seed))
	switch b.a.name {
	case "xxh128":
		s := xxh3.Hash128Seed(p, seed)
		binary.LittleEndian.PutUint64(b.out[:], s.Lo)
		binary.LittleEndian.PutUint64(b.out[8:], s.Hi)
		return b.out[:16]
	case "xxh3":
		binary.LittleEndian.PutUint64(b.out[:], xxh3.HashSeed(p, seed))
		return b.out[:8]
	case "xxh64":
		d := xxhash.NewWithSeed(seed)
		d.Write(p)
		binary.LittleEndian.PutUint64(b.out[:], d.Sum64())
		return b.out[:8]
	case "none":
		b.out[0] = 0
		return b.out[:1]
	}
	b.h.Reset()
	if b.a.seed == seedBefore && b.seed != 0 {
		b.h.Write(b.raw[:])
	}
	b.h.Write(p)
	if b.a.seed == seedAfter && b.seed != 0 {
		b.h.Write(b.raw[:])
	}
	return b.h.Sum(b.out[:0])
}

// wrongDigest gives what cannot be the digest of the content, so that the receiver asks again for a file that could not be
// read to its end.
func wrongDigest(right []byte) []byte {
	wrong := make([]byte, len(right))
	if bytes.Equal(wrong, right) {
		wrong[len(wrong)-1] = 1
	}
	return wrong
}

// weakSum is the rolling checksum of a block: bytes are signed, a is their sum and b the sum of a over all beginnings, both
// modulo 2^16. Eight bytes go in one step: they are made unsigned by an offset of 128 that is taken out at the end, and two
// multiplications give the weighted sums of the even and of the odd ones.
func weakSum(p []byte) (a, b uint32) {
	n := uint32(len(p))
	var s1, s2 uint32
	for len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p) ^ 0x8080808080808080
		even, odd := x&0x00ff00ff00ff00ff, x>>8&0x00ff00ff00ff00ff
		s2 += 8*s1 + uint32(even*0x0008000600040002>>48) + uint32(odd*0x0007000500030001>>48)
		s1 += uint32((even + odd) * 0x0001000100010001 >> 48)
		p = p[8:]
	}
	for _, c := range p {
		s1 += uint32(c ^ 0x80)
		s2 += s1
	}
	a = s1 - 128*n
	b = s2 - 64*n*(n+1)
	return a & 0xffff, b & 0xffff
}
