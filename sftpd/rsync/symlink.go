package rsync

import (
	"io/fs"
	"path"
)

// symlink makes a symbolic link as it came. Where it leads matters to nobody here: the sink follows none out of itself.
func (x *receiver) symlink(ndx int32, e *entry, name string, info fs.FileInfo) {
	if x.o.safeLinks && unsafeLink(e.target, e.name) {
		if x.o.verbose > 0 {
			x.info("ignoring unsafe symlink \"%s\" -> \"%s\"", e.name, e.target)
		}
		return
	}
	if info != nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := x.Sink.Readlink(name); err == nil && target == e.target {
			x.item(ndx, e, info, item{})
			x.report(e, x.touch(e, name, info))
			x.sent(ndx)
			return
		}
	}
	if info != nil && info.IsDir() {
		if !x.clear(name, e, info) {
			return
		}
		info = nil
	}
	if !x.o.dryRun {
		if err := x.makeLink(e, name, info); err != nil {
			x.xferError("rsync: [generator] symlink \"%s\" -> \"%s\" failed: %s", e.name, e.target, reason(err))
			return
		}
		e.fresh = true
		if made, err := x.Sink.Lstat(name); err == nil {
			x.touch(e, name, made)
		}
	}
	x.item(ndx, e, info, item{flags: itemLocalChange | itemChange})
	x.name("%s -> %s", e.name, e.target)
	x.sent(ndx)
}

// makeLink puts a link in the place of what is there, in one step.
func (x *receiver) makeLink(e *entry, name string, old fs.FileInfo) error {
	if old == nil {
		return x.Sink.Symlink(e.target, name)
	}
	temp := path.Join(path.Dir(name), "."+path.Base(name)+"."+randomName())
	if err := x.Sink.Symlink(e.target, temp); err != nil {
		return err
	}
	err := x.replace(temp, name, old)
	if err != nil {
		_ = x.Sink.Remove(temp, false)
	}
	return err
}
