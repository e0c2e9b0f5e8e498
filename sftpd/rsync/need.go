package rsync

import (
	"bytes"
	"io/fs"
	"path"
)

// file decides whether a file has to come.
func (x *receiver) file(ndx int32, e *entry, name string, info fs.FileInfo) {
	switch {
	case x.o.maxSize >= 0 && e.size > x.o.maxSize:
		if x.o.verbose > 1 {
			x.info("%s is over max-size", e.name)
		}
		return
	case e.size < x.o.minSize:
		if x.o.verbose > 1 {
			x.info("%s is under min-size", e.name)
		}
		return
	case x.follower(e):
		return // linkAll makes it, once the first of its group is there
	}
	if x.o.update && info != nil && info.Mode().IsRegular() && x.newer(info, e) {
		if x.o.verbose > 1 {
			x.info("%s is newer", e.name)
		}
		return
	}
	if info != nil && !info.Mode().IsRegular() {
		if info.IsDir() || x.o.inplace { // what is written in place would go where a link leads
			if !x.clear(name, e, info) {
				return
			}
		}
		info = nil
	}
	basis, kind := info, byte(basisFile)
	from := name
	if info != nil && x.same(e, name, info) {
		x.item(ndx, e, info, item{})
		x.report(e, x.touch(e, name, info))
		if x.o.partialDir != "" && !x.o.dryRun {
			x.dropPartial(name)
		}
		x.sent(ndx)
		return
	}
	if x.o.partialDir != "" {
		p := x.partialName(name)
		if in, err := x.Sink.Lstat(p); err == nil && in.Mode().IsRegular() {
			basis, kind, from = in, basisPartial, p
		}
	}
	if x.o.appendMode > 0 && info != nil && info.Size() >= e.size {
		return
	}
	x.request(ndx, e, info, basis, from, kind, false)
}

// newer tells whether what is there has a later time, by more than the window.
func (x *receiver) newer(info fs.FileInfo, e *entry) bool {
	t := info.ModTime()
	if d := t.Unix() - e.mtime; d != 0 {
		return d > int64(max(0, x.o.modifyWindow))
	}
	return x.o.modifyWindow < 0 && uint32(t.Nanosecond()) > e.nsec
}

// same is the quick check, or with --checksum the thorough one.
func (x *receiver) same(e *entry, name string, info fs.FileInfo) bool {
	if info.Size() != e.size {
		return false
	}
	switch {
	case x.o.checksum:
		sum, err := digestOf(x.ctx, x.Sink, name, x.listSum)
		return err == nil && bytes.Equal(sum, e.digest)
	case x.o.sizeOnly:
		return true
	case x.o.ignoreTimes:
		return false
	}
	return !x.timeDiffers(e, info, false)
}

func (x *receiver) dropPartial(name string) {
	p := x.partialName(name)
	if info, err := x.Sink.Lstat(p); err == nil && info.Mode().IsRegular() {
		_ = x.Sink.Remove(p, false)
		_ = x.Sink.Remove(path.Dir(p), true)
	}
}

// again asks once more for a file that came out wrong.
func (x *receiver) again(ndx int32) {
	e := x.byIndex[ndx]
	name := x.place(e)
	info := x.look(e, name)
	basis, kind, from := info, byte(basisFile), name
	if info != nil && !info.Mode().IsRegular() {
		basis = nil
	}
	x.request(ndx, e, info, basis, from, kind, true)
}
