package rsync

import (
	"errors"
	"fmt"
	"io/fs"
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
	x := &sender{session: s, list: list, out: newTokenWriter(s), buildTime: time.Since(start)}
	defer x.close()
	s.r.src.before = s.w.flush
	return x.serve()
}

// sender answers the requests of one client.
type sender struct {
	*session
	list    []*entry
	out     tokenWriter
	errorAt int32 // I/O error that the client knows of
	window  []byte
	head    []byte
	finder  finder

	buildTime time.Duration // of the list, with its sending
}

func (x *sender) close() { x.out.close() }

func (x *sender) serve() error {
	x.errorAt = x.ioError.Load()
	phases := 3
	if x.proto < 29 {
		phases = 2
	}
	for phase := 1; ; {
		ndx := x.r.index()
		if x.r.err != nil {
			return x.r.err
		}
		switch {
		case ndx == ndxDone:
			if phase == phases {
				return x.goodbye()
			}
			phase++
			x.w.index(ndxDone)
		case ndx == ndxDelStats && x.proto >= 31:
			x.delStats()
		case ndx == int32(len(x.list)) && x.proto == 29: // a client of protocol 29 keeps the connection alive in this way
			if it := x.readItem(ndx); it.flags != itemNew {
				return protocolError(fmt.Sprintf("index %d is not in the list of %d", ndx, len(x.list)))
			}
		case ndx < 0 || int(ndx) >= len(x.list):
			return protocolError(fmt.Sprintf("index %d is not in the list of %d", ndx, len(x.list)))
		default:
			if err := x.answer(ndx, phase); err != nil {
				return err
			}
		}
		if err := x.w.failed(); err != nil {
			return err
		}
	}
}

// delStats passes over how much the client deleted, and gives it back, as it expects.
func (x *sender) delStats() {
	x.w.index(ndxDelStats)
	for range 5 {
		x.w.bytes(appendVarint(nil, x.r.varint()))
	}
}

func (x *sender) answer(ndx int32, phase int) error {
	e := x.list[ndx]
	it := x.readItem(ndx)
	if x.r.err != nil {
		return x.r.err
	}
	if it.flags&itemXattr != 0 && x.o.xattrs && !x.o.dryRun && !(x.proto >= 31 && x.compat&compatAvoidXattr == 0 && it.flags&itemName != 0 && it.flags&itemLocalChange != 0) {
		for x.r.varint() != 0 && x.r.err == nil { // values that are asked for, of which there are none
		}
	}
	if it.flags&itemTransfer == 0 || x.o.dryRun {
		x.echo(it)
		return x.r.err
	}
	if !e.isFile() {
		return protocolError(fmt.Sprintf("%q is asked for, which is not a file", clip(e.name)))
	}
	head := x.readHead()
	if x.r.err != nil {
		return x.r.err
	}
	again := phase > 1
	var basis *sums
	if x.o.appendMode > 0 && !again {
		basis = &sums{sumHead: head}
	} else if basis = x.readSums(head); x.r.err != nil {
		return x.r.err
	}
	return x.file(e, it, head, basis, again)
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

// file sends one file.
func (x *sender) file(e *entry, it item, head sumHead, basis *sums, again bool) error {
	f, size, err := x.Source.Open(e.where())
	if err != nil {
		x.unreadable(e, it.ndx, err)
		return nil
	}
	defer f.Close()
	x.echo(it)
	x.head = head.append(x.head[:0])
	x.w.bytes(x.head)
	t := &transfer{sender: x, f: f, size: size, basis: basis, hash: x.sum.newHash(x.seed), inplace: x.o.inplace && it.basis == basisFile}
	if x.sum.name == "none" {
		t.basis = &sums{sumHead: head}
	}
	err = t.run(x.o.appendMode > 0 && !again)
	x.out.end()
	digest := t.hash.Sum(x.head[:0])
	if err != nil {
		x.ioError.Or(ioGeneral)
		x.xferError("rsync: [sender] read errors mapping \"%s\": %s", e.name, reason(err))
		digest = wrongDigest(digest)
	}
	x.w.bytes(digest)
	return nil
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
			x.delStats()
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
