package rsync

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// survey reads a large file while its client still sums up the copy that it has, block by block, for which both sides take about as
// long: what the client says of each block can then be compared without reading. It also takes the digest of the whole.
type survey struct {
	size     int64
	blockLen int
	strong   *blockHash
	newHash  func() hash.Hash
	digest   hash.Hash
	per      int  // bytes of a strong sum
	weakToo  bool // strong sums are too short to speak for themselves
	most     int  // blocks that are kept

	stop  atomic.Bool
	ended chan struct{}

	mu      sync.Mutex
	more    sync.Cond
	strongs []byte // what is known so far
	weaks   []uint32
	over    bool
	err     error
}

// survey begins to read a file whose sums are on their way, if that pays and there is memory for it; else it gives nil.
func (x *sender) survey(e *entry, head sumHead) *survey {
	most := min(int64(head.count), (e.size+int64(head.blockLen)-1)/int64(max(head.blockLen, 1)))
	if x.codec == "zlib" || x.sum.name == "none" || head.strongLen == 0 || head.blockLen > maxBlock || int64(head.count)*int64(4+head.strongLen) > maxSumBytes ||
		!x.holdSums(2*int64(head.count)*int64(4+head.strongLen)) {
		return nil // the older zlib has to see what is in the blocks
	}
	s := &survey{size: e.size, blockLen: int(head.blockLen), strong: newBlockHash(x.sum, x.seed), newHash: func() hash.Hash { return x.sum.newHash(x.seed) },
		per: int(head.strongLen), weakToo: head.strongLen < enough, most: int(most), ended: make(chan struct{})}
	s.more.L, s.digest = &s.mu, s.newHash()
	go func() {
		defer close(s.ended)
		err := s.read(x, e)
		s.mu.Lock()
		s.over, s.err = true, err
		s.mu.Unlock()
		s.more.Broadcast()
	}()
	return s
}

// read goes through the file. A fault of the source shows when the sender opens the file itself.
func (s *survey) read(x *sender, e *entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	f, size, err := x.Source.Open(e.where())
	if err != nil {
		return err
	}
	defer f.Close()
	if size != s.size {
		return errors.New("the file has another size by now")
	}
	buf := make([]byte, max(1, readSize/s.blockLen)*s.blockLen)
	for at := int64(0); at < size; {
		if s.stop.Load() || x.ctx.Err() != nil {
			return errClosed
		}
		p := buf[:min(int64(len(buf)), size-at)]
		if n, err := f.ReadAt(p, at); n < len(p) {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		s.digest.Write(p)
		s.learn(p)
		at += int64(len(p))
	}
	return nil
}

// learn takes the sums of whole blocks, the last of the file being a shorter one.
func (s *survey) learn(p []byte) {
	var strongs []byte
	var weaks []uint32
	for room := s.most - len(s.strongs)/s.per; len(p) > 0 && room > 0; room-- {
		block := p[:min(len(p), s.blockLen)]
		strongs = append(strongs, s.strong.sum(block)[:s.per]...)
		if s.weakToo {
			a, b := weakSum(block)
			weaks = append(weaks, a|b<<16)
		}
		p = p[len(block):]
	}
	s.mu.Lock()
	s.strongs, s.weaks = append(s.strongs, strongs...), append(s.weaks, weaks...)
	s.mu.Unlock()
	s.more.Broadcast()
}

// same tells how many blocks from i on, up to most, are at the same place in the client's copy. It waits until the first of them
// is known, and gives less than there may be when more has to be waited for.
func (s *survey) same(b *sums, i, most int32) (n int32) {
	s.mu.Lock()
	for !s.over && int(i) < s.most && int(i) >= len(s.strongs)/s.per {
		s.more.Wait()
	}
	strongs, weaks := s.strongs, s.weaks
	s.mu.Unlock()
	for known := int32(len(strongs) / s.per); n < most && i < known && i < b.count; i++ {
		length := min(int64(s.blockLen), s.size-int64(i)*int64(s.blockLen))
		if int64(b.length(i)) != length || s.weakToo && weaks[i] != b.weak[i] || !bytes.Equal(strongs[int(i)*s.per:][:s.per], b.sum(i)) {
			break
		}
		n++
	}
	return n
}

// whole gives the digest of the file: of what was read, or, when that came to no end, of what can be read now.
func (s *survey) whole(f File) (hash.Hash, error) {
	<-s.ended
	if s.err == nil {
		return s.digest, nil
	}
	h := s.newHash()
	return h, hashPrefix(h, f, s.size)
}

// end ends the reading and waits for it.
func (s *survey) end() {
	if s != nil {
		s.stop.Store(true)
		<-s.ended
	}
}
