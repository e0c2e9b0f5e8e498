package rsync

import (
	"errors"
	"io/fs"
)

// folder makes a folder, or takes over one that is there.
func (x *receiver) folder(ndx int32, e *entry, name string, info fs.FileInfo) {
	if info != nil && !info.IsDir() {
		if !x.clear(name, e, info) {
			x.dirBroken = e.name
			return
		}
		info = nil
	}
	fresh := info == nil || e.name == "." && x.created
	change := uint16(0)
	if fresh {
		change = itemLocalChange
	}
	if fresh && e.name == "." && x.created {
		x.item(ndx, e, nil, item{flags: change})
	} else {
		x.item(ndx, e, info, item{flags: change})
	}
	if fresh || x.keepsTime(e) && x.timeDiffers(e, info, false) || x.o.perms && x.modeDiffers(e, info) {
		x.name("%s/", e.name)
	}
	if info == nil && !x.o.dryRun {
		err := x.Sink.Mkdir(name)
		if err != nil && errors.Is(err, fs.ErrNotExist) && x.o.relative {
			_, err = x.makePath(name)
		}
		if err != nil {
			x.xferError("rsync: [generator] recv_generator: mkdir \"%s\" failed: %s", e.name, reason(err))
			x.xferError("*** Skipping any contents from this failed directory ***")
			x.dirBroken = e.name
			return
		}
		e.fresh = true
		_ = x.Sink.SetMode(name, x.modeFor(e, nil)|0o700)
		info, _ = x.Sink.Lstat(name)
	} else if info != nil && !x.o.dryRun && info.Mode().Perm()&0o700 != 0o700 { // touchFolders makes it right at the end
		_ = x.Sink.SetMode(name, info.Mode()|0o700)
	}
	if !e.content || info == nil && x.absent {
		return
	}
	switch x.o.delete {
	case deleteDuring:
		x.deleteIn(e)
	case deleteDelay:
		x.collect(e)
	}
}

// clear takes away what is of another kind than the entry.
func (x *receiver) clear(name string, e *entry, info fs.FileInfo) bool {
	if info.IsDir() && !x.o.force && x.o.delete == deleteNever {
		list, err := x.Sink.ReadDir(name)
		if err != nil || len(list) > 0 {
			x.info("cannot delete non-empty directory: %s", e.name)
			x.xferError("could not make way for %s: %s", x.kind(e), e.name)
			return false
		}
	}
	if !x.o.dryRun && x.o.backup && !info.IsDir() {
		if err := x.backup(name); err != nil {
			x.xferError("could not make way for %s: %s: %s", x.kind(e), e.name, reason(err))
			return false
		}
		return true
	}
	ok := true
	if info.IsDir() {
		ok = x.empty(name, e.name)
	}
	if ok && !x.o.dryRun {
		ok = x.Sink.Remove(name, info.IsDir()) == nil
	}
	if !ok {
		x.xferError("could not make way for %s: %s", x.kind(e), e.name)
	}
	return ok
}

func (x *receiver) kind(e *entry) string {
	switch {
	case e.isDir():
		return "new directory"
	case e.isLink():
		return "new symlink"
	}
	return "new regular file"
}
