package rsync

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// generate goes through the list and asks for what is needed; then it sees to what did not come right, deletes what is left
// to delete, and says goodbye.
func (x *receiver) generate(ctx context.Context) error {
	x.lost = func(ndx int32) {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.wanted, ndx)
		x.failed[ndx] = true
	}
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
	for i, e := range x.list {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := x.w.failed(); err != nil {
			return err
		}
		if !e.skip {
			x.consider(int32(i), e)
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
			x.remove(name, e.name, info)
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
	if x.o.dryRun || fresh || x.keepsTime(e) && x.timeDiffers(e, info, false) || x.o.perms && x.modeDiffers(e, info) {
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
		if info.IsDir() {
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
		sum, err := digestOf(x.Sink, name, x.listSum)
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
	e := x.list[ndx]
	name := x.place(e)
	info := x.look(e, name)
	basis, kind, from := info, byte(basisFile), name
	if info != nil && !info.Mode().IsRegular() {
		basis = nil
	}
	x.request(ndx, e, info, basis, from, kind, true)
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
