package rsync

import (
	"fmt"
	"hash"
)

// Bounds of what is taken in ahead of the answers.
const (
	asksAhead = 32       // words of the client
	smallFile = 64 << 10 // bytes of a file that is read before its turn
	bundle    = 8        // of which so many are read one after the other
	loaders   = 4        // and so many bundles at once
	heavySums = 8 << 10  // blocks of a basis, of which there is one with more at a time
)

// ask is a word of the client to a sender: a file that it wants, or a mark between files.
type ask struct {
	kind  askKind
	it    item
	head  sumHead
	basis *sums
	again bool
	heavy bool    // its sums are counted in sender.heavy
	ahead *loaded // the content of a small file, on its way
	known *survey // of a large file
	stats []byte
	err   error
	fault any // a panic
}

type askKind byte

const (
	askFile  askKind = iota
	askEcho          // a file that is described but does not come
	askPhase         // the end of a phase
	askLast          // the end of the last phase
	askStats         // how much was deleted, which the client wants back
	askEnd           // the client can be listened to no more
	askAsked         // it was handed on already
)

// listen takes the client's words, until its last one or an error, and has small files read before their turn comes: what a
// disk makes wait for one file, it can do for several at once.
func (x *sender) listen() {
	defer close(x.asks)
	defer x.load()
	x.r.src.before = func() error { x.load(); return nil }
	defer func() {
		if p := recover(); p != nil {
			x.ask(ask{kind: askEnd, fault: p})
		}
	}()
	phases := 3
	if x.proto < 29 {
		phases = 2
	}
	for phase := 1; ; {
		ndx := x.r.index()
		if x.r.err != nil {
			x.ask(ask{kind: askEnd, err: x.r.err})
			return
		}
		var a ask
		var err error
		switch {
		case ndx == ndxDone && phase == phases:
			x.ask(ask{kind: askLast})
			return
		case ndx == ndxDone:
			phase++
			a.kind = askPhase
		case ndx == ndxDelStats && x.proto >= 31:
			a = ask{kind: askStats, stats: x.delStats()}
		case ndx == int32(len(x.list)) && x.proto == 29: // a client of protocol 29 keeps the connection alive in this way
			if it := x.readItem(ndx); it.flags == itemNew {
				continue
			}
			err = x.noSuchIndex(ndx)
		case ndx < 0 || int(ndx) >= len(x.list):
			err = x.noSuchIndex(ndx)
		default:
			a, err = x.wanted(ndx, phase > 1)
		}
		if err == nil {
			err = x.r.err
		}
		if err != nil {
			x.ask(ask{kind: askEnd, err: err})
			return
		}
		if a.kind != askAsked && !x.ask(a) {
			return
		}
	}
}

func (x *sender) noSuchIndex(ndx int32) error {
	return protocolError(fmt.Sprintf("index %d is not in the list of %d", ndx, len(x.list)))
}

// ask hands a word on; false means that nobody answers any more.
func (x *sender) ask(a ask) bool {
	select {
	case x.asks <- a:
		return true
	default:
	}
	x.load() // it may be what the answers wait for
	select {
	case x.asks <- a:
		return true
	case <-x.quit:
		a.known.end()
		return false
	}
}

// wanted reads what stands behind the index of a file.
func (x *sender) wanted(ndx int32, again bool) (ask, error) {
	e := x.list[ndx]
	a := ask{kind: askEcho, it: x.readItem(ndx), again: again}
	if x.r.err != nil {
		return a, x.r.err
	}
	it := a.it
	if it.flags&itemXattr != 0 && x.o.xattrs && !x.o.dryRun && !(x.proto >= 31 && x.compat&compatAvoidXattr == 0 && it.flags&itemName != 0 && it.flags&itemLocalChange != 0) {
		for x.r.varint() != 0 && x.r.err == nil { // values that are asked for, of which there are none
		}
	}
	if it.flags&itemTransfer == 0 || x.o.dryRun {
		return a, x.r.err
	}
	if !e.isFile() {
		return a, protocolError(fmt.Sprintf("%q is asked for, which is not a file", clip(e.name)))
	}
	a.kind = askFile
	if a.head = x.readHead(); x.r.err != nil {
		return a, x.r.err
	}
	if x.o.appendMode > 0 && !again {
		a.basis = &sums{sumHead: a.head}
		return a, nil
	}
	if a.head.count > heavySums {
		x.load()
		select {
		case x.heavy <- struct{}{}:
			a.heavy = true
		case <-x.quit:
			return a, errClosed
		}
		a.known = x.survey(e, a.head)
	}
	if a.known != nil {
		return x.wantedLarge(a)
	}
	if a.basis = x.readSums(a.head, nil); x.r.err == nil && len(a.basis.weak) == 0 && e.size <= smallFile {
		a.ahead = x.early(e)
	}
	return a, x.r.err
}

// wantedLarge reads the sums of a large file that is being read too. A client whose receiver is a process of its own, as it is from
// protocol 30 on, puts the file together while its generator still sums up the rest; but not what is copied meanwhile, as a
// backup of a file that is written in place is.
func (x *sender) wantedLarge(a ask) (ask, error) {
	known := a.known
	if known.early = x.proto >= 30 && a.it.basis != basisBackup; known.early {
		if !x.ask(a) {
			return a, errClosed
		}
		a.kind = askAsked
	}
	lost := true
	defer func() {
		known.taken(lost)
		if lost && a.kind != askAsked {
			known.end()
		}
	}()
	if theirs := x.readSums(a.head, known.take); x.r.err == nil {
		known.take(*theirs)
		lost = false
	}
	return a, x.r.err
}

// delStats reads how much the client deleted.
func (x *sender) delStats() (b []byte) {
	for range 5 {
		b = appendVarint(b, x.r.varint())
	}
	return b
}

// loaded is a small file that is read before its turn.
type loaded struct {
	e      *entry
	ready  chan struct{} // closed when it has been read, with its bundle
	whole  bool          // it is here; else the sender opens it itself, and tells what is wrong with it
	buf    []byte
	hash   hash.Hash
	digest []byte
}

// early puts a small file into the bundle that is read next.
func (x *sender) early(e *entry) *loaded {
	var l *loaded
	select {
	case l = <-x.spare:
	default:
		l = &loaded{}
	}
	if len(x.bundle) == 0 {
		x.ready = make(chan struct{})
	}
	l.e, l.ready, l.whole = e, x.ready, false
	if x.bundle = append(x.bundle, l); len(x.bundle) == bundle {
		x.load()
	}
	return l
}

// load begins to read the bundle.
func (x *sender) load() {
	if len(x.bundle) == 0 {
		return
	}
	files, ready := x.bundle, x.ready
	x.bundle = make([]*loaded, 0, bundle)
	x.loading <- struct{}{}
	go func() {
		defer func() { <-x.loading; close(ready) }()
		for _, l := range files {
			x.read(l)
		}
	}()
}

// read reads a small file. A fault in the source shows when the sender opens the file itself.
func (x *sender) read(l *loaded) {
	defer func() { _ = recover() }()
	l.buf = grown(l.buf, int(l.e.size))
	r, ok := x.Source.(SmallReader)
	n := 0
	if ok {
		n, ok = r.ReadSmall(l.e.where(), l.buf)
	}
	if ok {
		l.buf = l.buf[:n]
	} else if !x.readOpened(l) {
		return
	}
	l.hash = x.sum.again(l.hash, x.seed)
	l.hash.Write(l.buf)
	l.digest = l.hash.Sum(l.digest[:0])
	l.whole = true
}

// readOpened reads a small file of a source that has no shorter way.
func (x *sender) readOpened(l *loaded) bool {
	f, size, err := x.Source.Open(l.e.where())
	if err != nil {
		return false
	}
	defer f.Close()
	if size > smallFile {
		return false
	}
	l.buf = grown(l.buf, int(size))
	n, _ := f.ReadAt(l.buf, 0)
	return n == len(l.buf)
}

// release takes a file that was read back for the next.
func (x *sender) release(l *loaded) {
	select {
	case x.spare <- l:
	default:
	}
}
