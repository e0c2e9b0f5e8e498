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
		return -compareNames(a.Name(), b.Name(), a.IsDir(), b.IsDir(), x.proto)
	})
	return list
}

// inFolder is a folder on the way to the one that was looked at last, with its rules.
type inFolder struct {
	name string
	sc   *scope
}

// scopeOf gives the rules of a folder, with those of merge files above and in it. Merge files are read when a folder is come to.
func (x *receiver) scopeOf(name string) *scope {
	if len(x.filter.merges) == 0 {
		return x.sc
	}
	for n := len(x.way); n > 0 && !isWithin(x.way[n-1].name, name); n-- {
		x.way = x.way[:n-1]
	}
	if len(x.way) == 0 {
		x.way = append(x.way, inFolder{".", x.sc.enter(x.Sink, ".", x.root)})
	}
	last := x.way[len(x.way)-1]
	for last.name != name {
		next, from := name, 0
		if last.name != "." {
			from = len(last.name) + 1
		}
		if i := strings.IndexByte(name[from:], '/'); i >= 0 {
			next = name[:from+i]
		}
		at := path.Join(x.root, next)
		if info, err := x.Sink.Stat(at); err != nil || !info.IsDir() {
			return last.sc // there is nothing to read in it, nor further on
		}
		last = inFolder{next, last.sc.enter(x.Sink, next, at)}
		x.way = append(x.way, last)
	}
	return last.sc
}

// isWithin tells whether a folder is another one or above it.
func isWithin(above, name string) bool {
	return above == "." || above == name || strings.HasPrefix(name, above+"/")
}

// remove deletes a file, or a folder with all that is in it and not protected.
func (x *receiver) remove(at, name string, info fs.FileInfo) bool {
	if info.IsDir() && !x.empty(at, name) {
		return false
	}
	return x.removeOne(at, name, info)
}

// removeMissing deletes what an argument that the sender has not stands for; without --delete or --force only an empty folder.
func (x *receiver) removeMissing(e *entry, name string, info fs.FileInfo) {
	if x.scopeOf(path.Dir(e.name)).check(e.name, info.IsDir(), true) == excluded {
		return
	}
	if info.IsDir() && !x.o.force && x.o.delete == deleteNever {
		if list, err := x.Sink.ReadDir(name); err != nil || len(list) > 0 {
			x.info("cannot delete non-empty directory: %s", e.name)
			return
		}
	}
	x.remove(name, e.name, info)
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
