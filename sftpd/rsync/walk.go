package rsync

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// walker makes the list of what a client asked for.
type walker struct {
	*session
	list    []*entry
	limit   int
	implied map[string]bool
	links   map[[2]uint64]*entry
	groups  uint64
}

// maxFiles is how long a list may be.
func (s *session) maxFiles() int {
	if s.MaxFiles > 0 {
		return s.MaxFiles
	}
	return defaultMaxFiles
}

const defaultMaxFiles = 2_000_000

var errTooMany = errors.New("the list of files is too long: ask for folders one by one")

// buildList lists the arguments in the order in which the client will have them.
func (s *session) buildList() ([]*entry, error) {
	w := &walker{session: s, limit: s.maxFiles(), implied: map[string]bool{}, links: map[[2]uint64]*entry{}}
	var err error
	if s.o.filesFrom != "" {
		err = w.fromList()
	} else {
		for _, p := range s.o.paths {
			if err = w.argument(p); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	sortEntries(w.list, s.proto)
	markRepeated(w.list)
	if len(w.list) > 0 {
		w.list = slices.DeleteFunc(w.list, func(e *entry) bool { return e.skip })
	}
	return w.list, nil
}

// follows tells whether a symbolic link is sent as what it leads to.
func (w *walker) follows(at string) bool {
	switch {
	case w.o.copyUnsafe:
		target, err := w.Source.Readlink(at)
		return err == nil && unsafeLink(target, at)
	case w.o.copyDirlinks:
		info, err := w.Source.Stat(at)
		return err == nil && info.IsDir()
	}
	return false
}

// unsafeLink tells whether a link that stands at a place leads out of the tree.
func unsafeLink(target, at string) bool {
	if target == "" || target[0] == '/' {
		return true
	}
	depth := strings.Count(cleanRel(at), "/")
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// reason gives an error in the words of an operating system, where it has such.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory (2)"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied (13): " + strings.TrimSuffix(rootCause(err), ": permission denied")
	}
	return rootCause(err)
}

func rootCause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return escape(err.Error())
}

// folder lists what is in a folder.
func (w *walker) folder(sc *scope, at, name string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if strings.Count(name, "/") > 200 {
		w.xferError("rsync: [sender] %q is nested too deep", name)
		w.ioError.Or(ioGeneral)
		return nil
	}
	list, err := w.Source.ReadDir(at)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			w.ioError.Or(ioVanished)
			w.warn("directory has vanished: \"%s\"", name)
			return nil
		}
		w.ioError.Or(ioGeneral)
		w.xferError("rsync: [sender] opendir \"%s\" failed: %s", name, reason(err))
		if len(list) == 0 {
			return nil
		}
	}
	sc = sc.enter(w.Source, name, at)
	var dirs []*entry
	for _, info := range list {
		childName, childAt := info.Name(), info.Name()
		if name != "." {
			childName = name + "/" + childName
		}
		if at != "." {
			childAt = at + "/" + childAt
		}
		if info.Mode()&fs.ModeSymlink != 0 && (w.o.copyLinks || w.follows(childAt)) {
			real, err := w.Source.Stat(childAt)
			if err != nil {
				w.ioError.Or(ioGeneral)
				w.xferError("symlink has no referent: \"%s\"", childAt)
				continue
			}
			info = real
		}
		if sc.check(childName, info.IsDir(), true) == excluded {
			continue
		}
		e := w.entry(info, childName, childAt)
		if e == nil {
			if w.o.verbose > 0 {
				w.info("skipping non-regular file \"%s\"", childName)
			}
			continue
		}
		if e.isDir() {
			e.content = w.o.recurse
			dirs = append(dirs, e)
			continue
		}
		if err := w.put(e); err != nil {
			return err
		}
	}
	if len(dirs) > 1 {
		sortEntries(dirs, 29)
	}
	for _, e := range dirs {
		if err := w.put(e); err != nil {
			return err
		}
		if w.o.recurse {
			if err := w.folder(sc, e.where(), e.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry describes a file; nil is one of a kind that is not sent.
func (w *walker) entry(info fs.FileInfo, name, at string) *entry {
	mode := wireMode(info.Mode())
	if mode == 0 {
		return nil
	}
	t := info.ModTime()
	e := &entry{name: name, mode: mode, mtime: t.Unix(), nsec: uint32(t.Nanosecond())}
	if t.IsZero() {
		e.mtime, e.nsec = 0, 0
	}
	if at != name {
		e.path = at
	}
	switch {
	case e.isDir():
		e.size = max(0, info.Size())
	case e.isFile():
		e.size = info.Size()
		if w.o.hardLinks {
			w.hardLink(e, info)
		}
	case e.isLink():
		if target, err := w.Source.Readlink(at); err == nil {
			e.target, e.size = target, int64(len(target))
		} else {
			w.ioError.Or(ioGeneral)
			w.xferError("rsync: [sender] readlink_stat(\"%s\") failed: %s", name, reason(err))
			return nil
		}
	}
	return e
}

// hardLink finds the files that are one and the same.
func (w *walker) hardLink(e *entry, info fs.FileInfo) {
	dev, ino, n := identity(info)
	e.dev, e.ino = dev, ino
	if n < 2 {
		if w.proto >= 28 {
			e.ino = 0
		}
		return
	}
	key := [2]uint64{dev, ino}
	if first := w.links[key]; first != nil {
		e.link = first.link
		return
	}
	w.groups++
	e.link = w.groups
	w.links[key] = e
}

func (w *walker) put(e *entry) error {
	if len(w.list) >= w.limit {
		return errTooMany
	}
	if w.o.checksum && e.isFile() {
		sum, err := w.digest(e)
		if err != nil {
			w.ioError.Or(ioGeneral)
			w.xferError("rsync: [sender] read error of \"%s\": %s", e.name, reason(err))
		}
		e.digest = sum
	}
	w.list = append(w.list, e)
	return nil
}
