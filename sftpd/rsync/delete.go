package rsync

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// deleteAll goes through all folders whose whole content is in the list.
func (x *receiver) deleteAll() {
	for _, e := range x.list {
		if e.isDir() && e.content && !e.skip && !x.below(e.name) {
			x.deleteIn(e)
		}
	}
}

// deleteIn takes out of a folder what the sender has not.
func (x *receiver) deleteIn(e *entry) {
	for _, d := range x.extra(e) {
		d()
	}
}

// collect remembers for the end what is to go.
func (x *receiver) collect(e *entry) { x.later = append(x.later, x.extra(e)...) }

// extra gives a deletion for each name of a folder that is not in the list and that no rule protects.
func (x *receiver) extra(e *entry) (out []func()) {
	if x.ioError.Load()&ioGeneral != 0 && !x.o.ignoreErrors {
		if !x.warned {
			x.warned = true
			x.info("IO error encountered -- skipping file deletion")
		}
		return nil
	}
	if x.absent {
		return nil
	}
	dir := x.place(e)
	info, err := x.Sink.Lstat(dir)
	if err != nil || !info.IsDir() && !x.o.keepDirlinks && e.name != "." {
		return nil
	}
	sc := x.scopeOf(e.name)
	for _, info := range x.contents(dir) {
		name := info.Name()
		if e.name != "." {
			name = e.name + "/" + name
		}
		if x.byName[name] != nil || sc.check(name, info.IsDir(), true) == excluded {
			continue
		}
		at := path.Join(dir, info.Name())
		out = append(out, func() { x.remove(at, name, info) })
	}
	return out
}

// contents lists a folder in the order of deletion: the reverse of the list's.
func (x *receiver) contents(dir string) []fs.FileInfo {
	list, err := x.Sink.ReadDir(dir)
	if err != nil {
		x.xferError("rsync: [generator] opendir \"%s\" failed: %s", dir, reason(err))
	}
	slices.SortFunc(list, func(a, b fs.FileInfo) int {
		return -compareNames(a.Name(), b.Name(), a.IsDir(), b.IsDir(), max(29, x.proto))
	})
	return list
}

// scopeOf gives the rules of a folder, with those of merge files above and in it.
func (x *receiver) scopeOf(name string) *scope {
	sc := x.sc
	if len(x.filter.merges) == 0 {
		return sc
	}
	sc = sc.enter(x.Sink, ".", x.root)
	if name == "." {
		return sc
	}
	at := 0
	for part := range strings.SplitSeq(name, "/") {
		at += len(part)
		sc = sc.enter(x.Sink, name[:at], path.Join(x.root, name[:at]))
		at++
	}
	return sc
}

// remove deletes a file, or a folder with all that is in it and not protected.
func (x *receiver) remove(at, name string, info fs.FileInfo) bool {
	if info.IsDir() && !x.empty(at, name) {
		return false
	}
	return x.removeOne(at, name, info)
}

// removeOne deletes a file or an empty folder, within the limit.
func (x *receiver) removeOne(at, name string, info fs.FileInfo) bool {
	if x.atLimit() {
		x.skipped++
		return false
	}
	if !x.o.dryRun {
		var err error
		if x.o.backup && !info.IsDir() && (x.o.backupDir != "" || !strings.HasSuffix(name, x.o.suffix)) {
			err = x.backup(at)
		} else {
			err = x.Sink.Remove(at, info.IsDir())
		}
		if err != nil && info.IsDir() {
			if list, lerr := x.Sink.ReadDir(at); lerr == nil && len(list) > 0 {
				x.info("cannot delete non-empty directory: %s", name)
				return false
			}
		}
		if err != nil {
			x.xferError("rsync: [generator] delete_file: unlink(%s) failed: %s", name, reason(err))
			return false
		}
	}
	x.tellDeleted(name, info)
	return true
}

func (x *receiver) atLimit() bool {
	n := 0
	for _, d := range x.deleted {
		n += int(d)
	}
	return x.o.hasMaxDelete && n >= max(0, x.o.maxDelete)
}

func (x *receiver) tellDeleted(name string, info fs.FileInfo) {
	switch {
	case info.IsDir():
		x.deleted[1]++
	case info.Mode()&fs.ModeSymlink != 0:
		x.deleted[2]++
	default:
		x.deleted[0]++
	}
	if x.proto < 29 {
		if x.o.verbose > 0 {
			slash := ""
			if info.IsDir() {
				slash = "/"
			}
			x.info("deleting %s%s", name, slash)
		}
		return
	}
	text := []byte(name)
	if info.IsDir() {
		text = append(text, 0)
	}
	x.w.message(msgDeleted, text)
}

// empty deletes what is in a folder. It is false when something stays.
func (x *receiver) empty(at, name string) bool {
	whole := true
	sc := x.scopeOf(name)
	for _, info := range x.contents(at) {
		child, childAt := name+"/"+info.Name(), path.Join(at, info.Name())
		if sc.check(child, info.IsDir(), false) == excluded {
			whole = false
			continue
		}
		if info.IsDir() && !x.empty(childAt, child) {
			whole = false
			if x.o.dryRun && !x.atLimit() {
				continue
			}
		}
		whole = x.removeOne(childAt, child, info) && whole
	}
	if !whole {
		x.info("cannot delete non-empty directory: %s", name)
	}
	return whole
}
