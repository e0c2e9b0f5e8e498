package rsync

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// generate goes through the list and asks for what is needed; then it sees to what did not come right, deletes what is left
// to delete, and says goodbye.
func (x *receiver) generate(ctx context.Context) error {
	if x.o.delete == deleteBefore {
		x.deleteAll()
	}
	if x.o.verbose > 1 {
		how := "enabled"
		if x.o.wholeFile {
			how = "disabled for local transfer or --whole-file"
		}
		x.info("delta-transmission %s", how)
	}
	for _, e := range x.list {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := x.w.failed(); err != nil {
			return err
		}
		if !e.skip {
			x.consider(e.ndx, e)
		}
	}
	x.w.index(ndxDone)
	if err := x.await(ctx); err != nil {
		return err
	}
	x.linkAll()
	x.mu.Lock()
	redo := x.redo
	x.redo = nil
	x.mu.Unlock()
	for _, ndx := range redo {
		x.again(ndx)
	}
	x.w.index(ndxDone)
	early := len(redo) == 0 && !x.o.delayUpdates // nothing else can come: all that is left is said at once
	if !early || x.proto < 29 {
		if err := x.await(ctx); err != nil {
			return err
		}
	}
	x.moveAll()
	if x.proto >= 29 {
		x.w.index(ndxDone)
		if !early {
			if err := x.await(ctx); err != nil {
				return err
			}
		}
	}
	x.lateDeletes()
	x.touchFolders()
	if x.proto >= 31 {
		if x.o.delete != deleteNever || x.o.force {
			x.w.index(ndxDelStats)
			for _, n := range x.deleted {
				x.w.bytes(appendVarint(nil, n))
			}
		}
		x.w.index(ndxDone)
		if err := x.await(ctx); err != nil {
			return err
		}
	}
	if early && x.proto >= 29 {
		for range 2 {
			if err := x.await(ctx); err != nil {
				return err
			}
		}
	}
	x.w.index(ndxDone)
	return x.w.flush()
}

func (x *receiver) lateDeletes() {
	x.way = nil // merge files may be others by now
	switch x.o.delete {
	case deleteDelay:
		for _, f := range x.later {
			f()
		}
	case deleteAfter:
		x.deleteAll()
	}
	if x.skipped > 0 {
		x.warn("Deletions stopped due to --max-delete limit (%d skipped)", x.skipped)
		x.delLimit.Store(true)
	}
}

// below tells whether a name is in a folder that could not be made, or is not to be made.
func (x *receiver) below(name string) bool {
	return x.dirBroken != "" && (name == x.dirBroken || strings.HasPrefix(name, x.dirBroken+"/"))
}

// consider decides about one entry.
func (x *receiver) consider(ndx int32, e *entry) {
	if x.below(e.name) {
		return
	}
	if x.o.relative && x.o.noImplied && !x.o.dryRun {
		if e.isDir() && e.implied {
			return
		}
		_, _ = x.makePath(path.Dir(x.place(e))) // what does not work shows with the entry itself
	}
	name := x.place(e)
	info := x.look(e, name)
	if e.mode == 0 { // --delete-missing-args: the argument is not there
		if info != nil {
			x.removeMissing(e, name, info)
		}
		return
	}
	if x.o.existing && info == nil {
		if e.isDir() {
			x.dirBroken = e.name
		}
		if x.o.verbose > 1 {
			kind := "file"
			if e.isDir() {
				kind = "directory"
			}
			x.info("not creating new %s \"%s\"", kind, e.name)
		}
		return
	}
	if e.isDir() {
		x.folder(ndx, e, name, info)
		return
	}
	if x.o.ignoreExisting && info != nil {
		if x.o.verbose > 1 {
			x.info("%s exists", e.name)
		}
		return
	}
	switch {
	case e.isLink() && x.o.links:
		x.symlink(ndx, e, name, info)
	case e.isFile():
		x.file(ndx, e, name, info)
	default:
		if !x.o.quiet {
			x.info("skipping non-regular file \"%s\"", e.name)
		}
	}
}

// look finds what is at a place; nil is nothing.
func (x *receiver) look(e *entry, name string) fs.FileInfo {
	if x.absent {
		return nil
	}
	info, err := x.Sink.Lstat(name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && e.isDir() && (x.o.keepDirlinks || e.name == ".") {
		if real, err := x.Sink.Stat(name); err == nil && real.IsDir() {
			return real
		}
	}
	if err != nil {
		return nil
	}
	return info
}

// item tells the client what is done about an entry. Without a transfer, that is worth a word only if something differs.
func (x *receiver) item(ndx int32, e *entry, info fs.FileInfo, it item) {
	it.ndx = ndx
	if info == nil {
		it.flags |= itemNew
	} else {
		if e.isFile() && e.size != info.Size() {
			it.flags |= itemSize
		}
		if x.keepsTime(e) {
			if x.timeDiffers(e, info, false) {
				it.flags |= itemTime
			}
		} else if it.flags&(itemTransfer|itemLocalChange) != 0 && it.name == "" {
			it.flags |= itemTime
		}
		if (x.o.perms || x.o.executability && e.isFile()) && !e.isLink() && x.modeDiffers(e, info) {
			it.flags |= itemPerms
		}
	}
	if it.flags&^itemUnremarkable == 0 && x.o.verbose < 2 && x.o.itemize < 2 && it.name == "" {
		return
	}
	if x.proto < 29 && it.flags&itemTransfer == 0 {
		return
	}
	x.w.index(ndx)
	x.w.bytes(x.appendItem(nil, it))
}

// name tells a client of protocol 28 and older of what is done without a transfer. Later ones learn it from the item.
func (x *receiver) name(format string, args ...any) {
	if x.proto < 29 && x.o.verbose > 0 {
		x.info(format, args...)
	}
}

// sent tells a client with --remove-source-files that a file is here.
func (x *receiver) sent(ndx int32) {
	if x.o.removeSource && !x.o.dryRun {
		x.w.message(msgSuccess, appendInt(nil, ndx))
	}
}

// report tells the very curious of a file that does not have to come.
func (x *receiver) report(e *entry, changed bool) {
	switch {
	case x.o.verbose < 2 || x.o.itemize > 0:
	case changed:
		x.info("%s", e.name)
	default:
		x.info("%s is uptodate", e.name)
	}
}

// moveAll puts the files of --delay-updates in their places.
func (x *receiver) moveAll() {
	x.mu.Lock()
	moves := x.moves
	x.moves = nil
	x.mu.Unlock()
	for _, m := range moves {
		info, err := x.Sink.Lstat(m[1])
		if err != nil {
			info = nil
		}
		if err := x.replace(m[0], m[1], info); err != nil {
			x.xferError("rsync: [generator] rename failed for \"%s\" (from %s): %s", m[1], m[0], reason(err))
			continue
		}
		_ = x.Sink.Remove(path.Dir(m[0]), true)
	}
}
