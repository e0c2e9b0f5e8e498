//go:build unix

package rsync

import (
	"bytes"
	"fmt"
	"testing"
)

// inMemory is a file as a Source opens it.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// told keeps the tokens of a file, one word each.
type told struct{ words []string }

func (t *told) reset()                  {}
func (t *told) literal(p []byte)        { t.words = append(t.words, fmt.Sprintf("+%d", len(p))) }
func (t *told) block(i int32, p []byte) { t.words = append(t.words, fmt.Sprintf("=%d", i)) }
func (t *told) end()                    {}
func (t *told) close()                  {}

// sumsOf are those that a client gives of its copy, as far as its content goes.
func sumsOf(content []byte, head sumHead, strong *blockHash) *sums {
	b := &sums{sumHead: head}
	for i := range head.count {
		block := content[:min(head.length(i), len(content))]
		content = content[len(block):]
		x, y := weakSum(block)
		b.weak, b.strong = append(b.weak, x|y<<16), append(b.strong, strong.sum(block)[:head.strongLen]...)
	}
	return b
}

// wire codes those of some blocks.
func (b *sums) wire(from, to int32) (out []byte) {
	for i := from; i < to; i++ {
		out = append(appendInt(out, int32(b.weak[i])), b.sum(i)...)
	}
	return out
}

// The block behind a match is known by its strong sum alone if that has four bytes, as for files of gigabytes; a shorter one
// speaks only together with the weak sum. Whatever does not follow is looked for everywhere, as before.
func TestTheBlockBehindAMatchIsKnownByItsStrongSum(t *testing.T) {
	const blockLen = 700
	had := noise(9, 8*blockLen+100)
	now := bytes.Clone(had)
	now[3*blockLen+5] ^= 1                                                                   // block 3 is another
	now = append(now[:6*blockLen:6*blockLen], append([]byte("new"), now[6*blockLen:]...)...) // block 6 is further on
	for _, c := range []struct {
		strongLen   int32
		falseWeakOf int32 // of whom the client tells a wrong weak sum
		want        string
	}{
		{4, -1, "[=0 =1 =2 +700 =4 =5 +3 =6 =7 =8]"},
		{3, -1, "[=0 =1 =2 +700 =4 =5 +3 =6 =7 =8]"},
		{16, 1, "[=0 =1 =2 +700 =4 =5 +3 =6 =7 =8]"},
		{4, 1, "[=0 =1 =2 +700 =4 =5 +3 =6 =7 =8]"},
		{3, 1, "[=0 +700 =2 +700 =4 =5 +3 =6 =7 =8]"},
		{4, 4, "[=0 =1 =2 +1400 =5 +3 =6 =7 =8]"}, // it follows no match
	} {
		s := testSession(&options{}, 31, nil, true)
		s.sum, s.seed = findAlgorithm("xxh128"), 77
		basis := sumsOf(had, sumHead{9, blockLen, c.strongLen, 100}, newBlockHash(s.sum, s.seed))
		if c.falseWeakOf >= 0 {
			basis.weak[c.falseWeakOf]++
		}
		out := &told{}
		x := &sender{session: s, out: out, hash: s.sum.newHash(s.seed)}
		if err := (&transfer{sender: x, f: inMemory{bytes.NewReader(now)}, size: int64(len(now)), basis: basis}).run(false); err != nil {
			t.Fatal(err)
		}
		whole := s.sum.newHash(s.seed)
		whole.Write(now)
		if got := fmt.Sprint(out.words); got != c.want {
			t.Errorf("%d bytes of strong sum, a wrong weak sum of block %d: the tokens are %s, want %s", c.strongLen, c.falseWeakOf, got, c.want)
		}
		if got, want := fmt.Sprintf("%x", x.hash.Sum(nil)), fmt.Sprintf("%x", whole.Sum(nil)); got != want {
			t.Errorf("the digest is %s, want %s", got, want)
		}
	}
}
