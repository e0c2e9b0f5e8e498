package rsync

import (
	"errors"
	"hash"
	"io/fs"
	"sync"
	"time"
)

// Flags of an item: what a receiver found about a file.
const (
	itemChange      = 0x0002 // checksum or value differs
	itemSize        = 0x0004
	itemTime        = 0x0008
	itemPerms       = 0x0010
	itemXattr       = 0x0100
	itemBasisType   = 0x0800
	itemName        = 0x1000
	itemNew         = 0x2000
	itemLocalChange = 0x4000
	itemTransfer    = 0x8000

	itemUnremarkable = itemBasisType | itemName | itemLocalChange
)

// Types of a basis that is not the file itself.
const (
	basisFile    = 0x80
	basisPartial = 0x81
	basisBackup  = 0x82
	basisFuzzy   = 0x83
)

// item is a receiver's word on one file.
type item struct {
	ndx   int32
	flags uint16
	basis byte
	name  string
}

// readItem reads what stands behind an index.
func (s *session) readItem(ndx int32) item {
	it := item{ndx: ndx, flags: itemTransfer, basis: basisFile}
	if s.proto >= 29 {
		it.flags = s.r.short()
	}
	if it.flags&itemBasisType != 0 {
		it.basis = s.r.byte()
	}
	if it.flags&itemName != 0 {
		it.name = s.r.vstring(maxArg)
	}
	return it
}

// appendItem codes an item behind its index.
func (s *session) appendItem(b []byte, it item) []byte {
	if s.proto < 29 {
		return b
	}
	b = append(b, byte(it.flags), byte(it.flags>>8))
	if it.flags&itemBasisType != 0 {
		b = append(b, it.basis)
	}
	if it.flags&itemName != 0 {
		b = appendVstring(b, it.name)
	}
	return b
}

// sendFiles is a pull: the list goes out, then each file that the client asks for.
func (s *session) sendFiles() error {
	var err error
	if s.filter, err = s.readFilter(); err != nil {
		return err
	}
	start := time.Now()
	list, err := s.sendList()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	x := &sender{session: s, list: list, out: newTokenWriter(s), buildTime: time.Since(start),
		asks: make(chan ask, asksAhead), quit: make(chan struct{}), heavy: make(chan struct{}, 1), loading: make(chan struct{}, loaders), spare: make(chan *loaded, asksAhead)}
	defer x.close()
	return x.serve()
}

// sender answers the requests of one client. One goroutine listens to it, another answers, in the order in which it asked.
type sender struct {
	*session
	list    []*entry
	out     tokenWriter
	errorAt int32 // I/O error that the client knows of
	window  []byte
	head    []byte
	finder  finder
	hash    hash.Hash // of the file under way

	asks    chan ask      // what the client said
	quit    chan struct{} // closed when nobody answers any more
	heavy   chan struct{} // taken by what is large in asks
	loading chan struct{} // taken by each bundle of small files that is being read
	spare   chan *loaded
	bundle  []*loaded // to be read next; of the goroutine that listens
	ready   chan struct{}

	buildTime time.Duration // of the list, with its sending
}

func (x *sender) close() { x.out.close() }

func (x *sender) serve() error {
	x.errorAt = x.ioError.Load()
	go x.listen()
	last, err := x.answerAll()
	if !last || err != nil {
		return err
	}
	return x.goodbye()
}

// answerAll answers up to the client's last word, or to an error, from where on nobody listens to the client but the caller.
func (x *sender) answerAll() (last bool, err error) {
	quit := sync.OnceFunc(func() { close(x.quit) })
	defer quit() // after a panic, which nobody waits for
	for err == nil && !last {
		last, err = x.next()
	}
	quit()
	if x.w.failed() != nil {
		x.conn.Close() // which ends the listening
	}
	for a := range x.asks {
		if a.ahead != nil {
			<-a.ahead.ready
		}
		a.known.end()
	}
	return last, err
}

// next answers one word of the client. What is ready goes out when no other is there yet.
func (x *sender) next() (last bool, err error) {
	var a ask
	select {
	case a = <-x.asks:
	default:
		if err := x.w.flush(); err != nil {
			return false, err
		}
		a = <-x.asks
	}
	switch a.kind {
	case askEnd:
		if a.fault != nil {
			panic(a.fault) // here, where it is looked after
		}
		return false, a.err
	case askLast:
		return true, x.w.failed()
	case askPhase:
		x.w.index(ndxDone)
	case askStats:
		x.w.index(ndxDelStats)
		x.w.bytes(a.stats)
	case askEcho:
		x.echo(a.it)
	case askFile:
		x.answer(a)
	}
	return false, x.w.failed()
}

// answer sends a file that the client wants.
func (x *sender) answer(a ask) {
	if a.heavy {
		defer func() { <-x.heavy }()
	}
	if a.ahead == nil {
		x.file(a)
		return
	}
	<-a.ahead.ready
	defer x.release(a.ahead)
	if !a.ahead.whole {
		x.file(a)
		return
	}
	x.begin(a)
	x.out.reset()
	x.out.literal(a.ahead.buf)
	x.out.end()
	x.w.bytes(a.ahead.digest)
}

// echo repeats an item, as each answer begins.
func (x *sender) echo(it item) {
	x.w.index(it.ndx)
	x.head = x.appendItem(x.head[:0], it)
	if it.flags&itemXattr != 0 && x.o.xattrs && !x.o.dryRun {
		x.head = append(x.head, 0)
	}
	x.w.bytes(x.head)
}

// begin begins the answer to a request for a file.
func (x *sender) begin(a ask) {
	x.echo(a.it)
	x.head = a.head.append(x.head[:0])
	x.w.bytes(x.head)
}

// file opens a file, if that was not done before, and sends it.
func (x *sender) file(a ask) {
	e := x.list[a.it.ndx]
	t := &transfer{sender: x, basis: a.basis, known: a.known, inplace: x.o.inplace && a.it.basis == basisFile}
	if a.known != nil {
		defer a.known.end()
		t.f, t.size = a.known.f, a.known.size
	} else {
		var err error
		if t.f, t.size, err = x.Source.Open(e.where()); err != nil {
			x.unreadable(e, a.it.ndx, err)
			return
		}
		defer t.f.Close()
	}
	x.begin(a)
	x.hash = x.sum.again(x.hash, x.seed)
	if x.sum.name == "none" {
		t.basis = &sums{sumHead: a.head}
	}
	err := t.run(x.o.appendMode > 0 && !a.again)
	if err == errSums {
		return // as the next word of the client tells
	}
	x.out.end()
	whole := x.hash
	if t.known != nil {
		var unread error
		if whole, unread = t.known.whole(); err == nil {
			err = unread
		}
	}
	digest := whole.Sum(x.head[:0])
	if err != nil {
		x.ioError.Or(ioGeneral)
		x.xferError("rsync: [sender] read errors mapping \"%s\": %s", e.name, reason(err))
		digest = wrongDigest(digest)
	}
	x.w.bytes(digest)
}

// unreadable tells that a file which is in the list does not come.
func (x *sender) unreadable(e *entry, ndx int32, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		x.ioError.Or(ioVanished)
		x.warn("file has vanished: \"%s\"", e.name)
	} else {
		x.ioError.Or(ioGeneral)
		x.xferError("rsync: [sender] send_files failed to open \"%s\": %s", e.name, reason(err))
	}
	if x.proto >= 30 {
		x.w.message(msgNoSend, appendInt(nil, ndx))
	}
}

// goodbye ends a pull: what went wrong, the numbers, and the client's last word.
func (x *sender) goodbye() error {
	x.r.src.before = x.w.flush
	if e := x.ioError.Load(); e != x.errorAt && x.proto >= 30 {
		x.w.message(msgIOError, appendInt(nil, e))
	}
	x.w.index(ndxDone)
	b := x.appendLong30(nil, x.r.src.n.Load(), 3)
	b = x.appendLong30(b, x.w.written.Load(), 3)
	b = x.appendLong30(b, totalSize(x.list), 3)
	if x.proto >= 29 {
		b = x.appendLong30(b, x.buildTime.Milliseconds(), 3)
		b = x.appendLong30(b, 0, 3) // of sending it, which went on at the same time
	}
	x.w.bytes(b)
	if err := x.w.flush(); err != nil {
		return err
	}
	last := 1
	if x.proto >= 31 {
		last = 2
	}
	for n := 0; n < last; {
		ndx := x.r.index()
		switch {
		case x.r.err != nil:
			if n > 0 && errors.Is(x.r.err, errClosed) {
				return nil
			}
			return x.r.err
		case ndx == ndxDelStats && x.proto >= 31:
			x.w.index(ndxDelStats)
			x.w.bytes(x.delStats())
		case ndx != ndxDone:
			return protocolError("a request came after the last")
		default:
			if n++; n < last {
				x.w.index(ndxDone)
				if err := x.w.flush(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
