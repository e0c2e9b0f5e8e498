package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// survey reads a large file while its client still sums up the copy that it has, block by block, for which both sides take about as
// long: what the client says of each block can then be compared without reading, and answered while the next are on their way. It
// also takes the digest of the whole.
type survey struct {
	f        File
	size     int64
	head     sumHead // of the client's copy
	blockLen int
	strong   *blockHash
	newHash  func() hash.Hash
	digest   hash.Hash
	per      int   // bytes of a strong sum
	weakToo  bool  // strong sums are too short to speak for themselves
	most     int32 // blocks that both may have
	early    bool  // it is answered while the client's sums come

	stop  atomic.Bool
	ended chan struct{}

	mu      sync.Mutex
	more    sync.Cond
	strongs []byte // what is known so far
	weaks   []uint32
	over    bool // nothing is added to it
	err     error
	theirs  *sums // what came from the client so far
	came    bool  // no more comes
	lost    bool  // although more should have
}

// survey begins to read a file whose sums are on their way, if that pays and there is memory for it; else it gives nil. What is wrong
// with a file that cannot be opened shows when the sender tries it.
func (x *sender) survey(e *entry, head sumHead) *survey {
	if x.codec == "zlib" || x.sum.name == "none" || head.strongLen == 0 || head.blockLen > maxBlock || int64(head.count)*int64(4+head.strongLen) > maxSumBytes ||
		!x.holdSums(2*int64(head.count)*int64(4+head.strongLen)) {
		return nil // the older zlib has to see what is in the blocks
	}
	f, size, err := x.Source.Open(e.where())
	if err != nil {
		return nil
	}
	most := min(int64(head.count), (size+int64(head.blockLen)-1)/int64(head.blockLen))
	s := &survey{f: f, head: head, theirs: &sums{sumHead: head}, size: size, blockLen: int(head.blockLen), strong: newBlockHash(x.sum, x.seed),
		newHash: func() hash.Hash { return x.sum.newHash(x.seed) }, per: int(head.strongLen), weakToo: head.strongLen < enough, most: int32(most), ended: make(chan struct{})}
	s.more.L, s.digest = &s.mu, s.newHash()
	go func() {
		defer close(s.ended)
		err := s.read(x.ctx)
		s.mu.Lock()
		s.over, s.err = true, err
		s.mu.Unlock()
		s.more.Broadcast()
	}()
	return s
}

// read goes through the file.
func (s *survey) read(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	buf := make([]byte, max(1, readSize/s.blockLen)*s.blockLen)
	for at := int64(0); at < s.size; {
		if s.stop.Load() || ctx.Err() != nil {
			return errClosed
		}
		p := buf[:min(int64(len(buf)), s.size-at)]
		if n, err := s.f.ReadAt(p, at); n < len(p) {
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
	for room := int(s.most) - len(s.strongs)/s.per; len(p) > 0 && room > 0; room-- {
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

// take is told what came from the client so far.
func (s *survey) take(theirs sums) {
	s.mu.Lock()
	s.theirs = &theirs
	s.mu.Unlock()
	s.more.Broadcast()
}

// taken is told that no more comes.
func (s *survey) taken(lost bool) {
	s.mu.Lock()
	s.came, s.lost = true, lost
	s.mu.Unlock()
	s.more.Broadcast()
}

// errSums means that not all sums of a copy came.
var errSums = errors.New("the sums of the client's copy ended before their time")

// all waits for what comes from the client.
func (s *survey) all() (*sums, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.came {
		s.more.Wait()
	}
	if s.lost {
		return nil, errSums
	}
	return s.theirs, nil
}

// upTo waits until n blocks are known of both sides, or no more will be, and gives how many are. It calls idle before it waits.
func (s *survey) upTo(n int32, idle func() error) (known int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for told := false; ; {
		ours, theirs := int32(len(s.strongs)/s.per), int32(len(s.theirs.weak))
		known = min(ours, theirs, s.most)
		if known >= min(n, s.most) || s.over && known == ours || s.came && known == theirs {
			return known
		}
		if !told {
			s.mu.Unlock()
			_ = idle() // a fault of it shows when something is written
			s.mu.Lock()
			told = true
			continue
		}
		s.more.Wait()
	}
}

// same tells how many blocks from i on, up to most, are at the same place in the client's copy, of those that are known.
func (s *survey) same(i, most, known int32) (n int32) {
	s.mu.Lock()
	strongs, weaks, b := s.strongs, s.weaks, s.theirs
	s.mu.Unlock()
	for ; n < most && i < known; i++ {
		length := min(int64(s.blockLen), s.size-int64(i)*int64(s.blockLen))
		if int64(b.length(i)) != length || s.weakToo && weaks[i] != b.weak[i] || !bytes.Equal(strongs[int(i)*s.per:][:s.per], b.sum(i)) {
			break
		}
		n++
	}
	return n
}

// gap tells how many blocks from i on, up to most, are not at the same place before one that is; 0 if there are more.
func (s *survey) gap(i, most int32, idle func() error) int32 {
	for n := int32(1); n <= most; n++ {
		if s.upTo(i+n+1, idle) <= i+n {
			return 0
		}
		if s.same(i+n, 1, i+n+1) > 0 {
			return n
		}
	}
	return 0
}

// whole gives the digest of the file: of what was read, or, when that came to no end, of what can be read now.
func (s *survey) whole() (hash.Hash, error) {
	<-s.ended
	if s.err == nil {
		return s.digest, nil
	}
	h := s.newHash()
	return h, hashPrefix(h, s.f, s.size)
}

// end ends the reading, and closes the file.
func (s *survey) end() {
	if s != nil {
		s.stop.Store(true)
		<-s.ended
		s.f.Close()
	}
}

// blocks tells of n blocks of the client's copy, and gives the one behind them.
func (t *transfer) blocks(from, n int32) int32 {
	for i := range n {
		t.out.block(from+i, nil)
	}
	return from + n
}

// Bounds of what is told before all sums are here.
const (
	runOfSame = 1024 // blocks that are told at once
	stepAhead = 64   // blocks that are waited for
	loosely   = 32   // a part of so many of the file may come although it may be elsewhere in the client's copy
)

// ahead tells what is at the same place in the client's copy while the sums of the rest are on their way, and sends what is
// between two such places, as long as that is little. It gives the block where all sums are needed: whatever comes there may be
// from any other place.
func (t *transfer) ahead() (next int32) {
	s := t.known
	var loose int32
	if s.early {
		loose = s.head.count / loosely
	}
	buf := t.buffer(max(1, readSize/s.blockLen) * s.blockLen)
	for next < s.most && t.w.failed() == nil {
		known := s.upTo(next+stepAhead, t.w.flush)
		if known <= next {
			break
		}
		if n := s.same(next, runOfSame, known); n > 0 {
			next = t.blocks(next, n)
			continue
		}
		gap := s.gap(next, loose, t.w.flush)
		if gap == 0 {
			break
		}
		for loose -= gap; gap > 0; {
			n := min(gap, int32(len(buf)/s.blockLen))
			p := buf[:int(n)*s.blockLen]
			if m, _ := t.f.ReadAt(p, int64(next)*int64(s.blockLen)); m < len(p) {
				return next // delta tries it again, and tells what is wrong
			}
			t.out.literal(p)
			next, gap = next+n, gap-n
		}
	}
	return next
}
