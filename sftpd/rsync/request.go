package rsync

import (
	"io/fs"
	"math"
	"math/bits"
	"path"
)

// request asks the sender for a file, with the sums of what is here already.
func (x *receiver) request(ndx int32, e *entry, info, basis fs.FileInfo, from string, kind byte, again bool) {
	it := item{flags: itemTransfer, basis: kind}
	if x.o.checksum {
		it.flags |= itemChange
	}
	if kind != basisFile {
		it.flags |= itemBasisType
	}
	w := &wanted{kind: kind, again: again, partial: kind == basisPartial}
	var f File
	var size int64
	if basis != nil && basis.Size() > 0 && !x.o.dryRun {
		whole := x.o.wholeFile || x.sum.name == "none"
		w.append = x.o.appendMode > 0 && !again && kind == basisFile
		if !whole || w.append {
			var err error
			if f, size, err = x.Sink.Open(from); err != nil {
				f = nil
				w.append = false
				x.warn("rsync: [generator] failed to open \"%s\", continuing: %s", e.name, reason(err))
			}
		}
	}
	if f != nil {
		defer f.Close()
		w.basis, w.head = from, x.headFor(size, again)
		if w.head.count == 0 {
			w.basis = ""
		}
	} else if kind == basisPartial {
		w.basis = from // to be taken away when the file is there
	}
	if !x.o.dryRun {
		x.mu.Lock()
		x.wanted[ndx] = w
		x.mu.Unlock()
	}
	if x.proto < 29 {
		x.w.index(ndx)
	} else {
		x.item(ndx, e, info, it)
	}
	if x.o.dryRun {
		return
	}
	x.w.bytes(w.head.append(nil))
	if f != nil && !w.append {
		x.sendSums(f, w.head)
	}
}

// headFor chooses the size of the blocks, so that the sums take about as many bytes as a block: the square root of the size,
// in steps of 8, but 700 at least.
func (x *receiver) headFor(size int64, again bool) sumHead {
	const least, most = 700, 1 << 17
	block := int64(x.o.blockSize)
	switch {
	case block > 0:
	case size <= least*least:
		block = least
	default:
		root := int64(math.Sqrt(float64(size)))
		block = min(max(root&^7, least), most)
	}
	longest := min(16, x.sum.size)
	strong := longest
	if !again {
		b := 10 + 2*(bits.Len64(uint64(size))-1) - (bits.Len64(uint64(block)) - 1)
		strong = min(max((b+1-32+7)/8, 2), longest)
	}
	count := (size + block - 1) / block
	if size <= 0 || count > math.MaxInt32 {
		return sumHead{}
	}
	return sumHead{count: int32(count), blockLen: int32(block), strongLen: int32(strong), remainder: int32(size % block)}
}

// sendSums reads the basis once. What cannot be read gets the sums of zeros, which match nothing for long.
func (x *receiver) sendSums(f File, h sumHead) {
	strong := newBlockHash(x.sum, x.seed)
	per := max(1, (256<<10)/int(h.blockLen))
	buf := make([]byte, per*int(h.blockLen))
	out := make([]byte, 0, per*(4+int(h.strongLen)))
	size := h.size()
	for at := int64(0); at < size && x.w.failed() == nil; {
		p := buf[:min(int64(len(buf)), size-at)]
		if n, err := f.ReadAt(p, at); err != nil && n < len(p) {
			clear(p[n:])
		}
		at += int64(len(p))
		out = out[:0]
		for len(p) > 0 {
			block := p[:min(len(p), int(h.blockLen))]
			a, b := weakSum(block)
			out = appendInt(out, int32(a|b<<16))
			out = append(out, strong.sum(block)[:h.strongLen]...)
			p = p[len(block):]
		}
		x.w.bytes(out)
	}
}

// follower tells whether a file is to become another name of one of its group.
func (x *receiver) follower(e *entry) bool {
	return e.link != 0 && x.o.hardLinks && x.leader(e) != e
}

// leader is the one of a group of hard links that the others become names of: the first that is here as it should be, else
// the last, whose content comes.
func (x *receiver) leader(e *entry) *entry {
	if x.leaders == nil {
		x.leaders, x.groups = map[uint64]*entry{}, map[uint64][]*entry{}
		for _, c := range x.list {
			if c.link != 0 && !c.skip {
				x.groups[c.link] = append(x.groups[c.link], c)
			}
		}
	}
	if have := x.leaders[e.link]; have != nil {
		return have
	}
	group := x.groups[e.link]
	lead := group[len(group)-1]
	for _, c := range group[:len(group)-1] {
		if info := x.look(c, x.place(c)); info != nil && info.Mode().IsRegular() && x.same(c, x.place(c), info) {
			lead = c
			break
		}
	}
	x.leaders[e.link] = lead
	delete(x.groups, e.link)
	return lead
}

// linkAll makes the further names of files that have several.
func (x *receiver) linkAll() {
	if !x.o.hardLinks {
		return
	}
	for _, e := range x.list {
		if e.skip || !e.isFile() || x.below(e.name) || !x.follower(e) {
			continue
		}
		leader := x.leader(e)
		name, first := x.place(e), x.place(leader)
		info := x.look(e, name)
		if x.o.existing && info == nil || x.o.ignoreExisting && info != nil {
			continue
		}
		target, err := x.Sink.Lstat(first)
		if err != nil && x.o.existing {
			continue
		}
		if err != nil && !x.o.dryRun {
			x.xferError("rsync: [generator] link \"%s\" => %s failed: %s", e.name, leader.name, reason(err))
			continue
		}
		if info != nil && target != nil && sameFile(info, target) {
			x.item(e.ndx, e, info, item{})
			x.sent(e.ndx)
			continue
		}
		if info != nil && info.IsDir() {
			if !x.clear(name, e, info) {
				continue
			}
			info = nil
		}
		if !x.o.dryRun {
			if err := x.makeHardLink(first, name, info); err != nil {
				x.xferError("rsync: [generator] link \"%s\" => %s failed: %s", e.name, leader.name, reason(err))
				continue
			}
		}
		x.item(e.ndx, e, info, item{flags: itemLocalChange | itemName, name: leader.name})
		x.name("%s => %s", e.name, leader.name)
		x.sent(e.ndx)
	}
}

func sameFile(a, b fs.FileInfo) bool {
	d1, i1, n := identity(a)
	d2, i2, _ := identity(b)
	return n > 1 && d1 == d2 && i1 == i2
}

func (x *receiver) makeHardLink(first, name string, old fs.FileInfo) error {
	if old == nil {
		return x.Sink.Link(first, name)
	}
	temp := path.Join(path.Dir(name), "."+path.Base(name)+"."+randomName())
	if err := x.Sink.Link(first, temp); err != nil {
		return err
	}
	err := x.replace(temp, name, old)
	if err != nil {
		_ = x.Sink.Remove(temp, false)
	}
	return err
}
