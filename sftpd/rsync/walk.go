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
	out     *listWriter
	atOnce  bool // an entry is sent when it is found
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

// sendList lists the arguments and sends the list, and gives it in the order in which the client will have it. What one argument
// stands for has no name twice, so that it goes out while more of it is still being looked at.
func (s *session) sendList() ([]*entry, error) {
	w := &walker{session: s, limit: s.maxFiles(), implied: map[string]bool{}, links: map[[2]uint64]*entry{}, out: newListWriter(s)}
	several := s.o.filesFrom != "" || len(s.o.paths) > 1 || s.o.paths[0].wild
	w.atOnce = !several
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
	if several {
		markRepeated(w.list)
		w.list = slices.DeleteFunc(w.list, func(e *entry) bool { return e.skip })
		for _, e := range w.list {
			w.out.entry(e)
		}
	}
	return w.list, w.out.end()
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
	return climbs(target, strings.Count(cleanRel(at), "/"))
}

// climbs tells whether a path that is walked from a folder of some depth leaves the root on its way.
func climbs(p string, depth int) bool {
	for part := range strings.SplitSeq(p, "/") {
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

// wanted tells why nobody waits for the list any more, if so.
func (w *walker) wanted() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	return w.w.failed()
}

// folder lists what is in a folder.
func (w *walker) folder(sc *scope, at, name string) error {
	if err := w.wanted(); err != nil {
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
	if !w.hold(int64(len(list)) * int64(entryCost+len(name)+32)) {
		return errNoMemory
	}
	sc = sc.enter(w.Source, name, at)
	var dirs []*entry
	w.list = slices.Grow(w.list, min(len(list), w.limit))
	made := make([]entry, len(list)) // in one piece, as their names are: a folder may have a hundred thousand
	names := joiner(name, list)
	for i, info := range list {
		if i%256 == 255 || w.o.checksum {
			if err := w.wanted(); err != nil {
				return err
			}
		}
		e := &made[i]
		e.name = names(info.Name())
		if at != name {
			e.path, e.inside = at, true
		}
		if info.Mode()&fs.ModeSymlink != 0 && (w.o.copyLinks || w.follows(e.where())) {
			real, err := w.Source.Stat(e.where())
			if err != nil {
				w.ioError.Or(ioGeneral)
				w.xferError("symlink has no referent: \"%s\"", e.where())
				continue
			}
			info = real
		}
		if sc.check(e.name, info.IsDir(), true) == excluded {
			continue
		}
		if !w.describe(e, info) {
			if w.o.verbose > 0 {
				w.info("skipping non-regular file \"%s\"", e.name)
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

// joiner gives a function that puts the name of a folder before the names of what is in it, all in one piece of memory.
func joiner(folder string, list []fs.FileInfo) func(name string) string {
	if folder == "." {
		return func(name string) string { return name }
	}
	size := 0
	for _, info := range list {
		size += len(folder) + 1 + len(info.Name())
	}
	var b strings.Builder
	b.Grow(size)
	return func(name string) string {
		from := b.Len()
		b.WriteString(folder)
		b.WriteByte('/')
		b.WriteString(name)
		return b.String()[from:]
	}
}

// entry makes an entry of a file; nil is one of a kind that is not sent.
func (w *walker) entry(info fs.FileInfo, name, at string) *entry {
	e := &entry{name: name}
	if at != name {
		e.path = at
	}
	if !w.describe(e, info) {
		return nil
	}
	return e
}

// describe puts into an entry what is known of its file, and tells whether it is of a kind that is sent.
func (w *walker) describe(e *entry, info fs.FileInfo) bool {
	if e.mode = wireMode(info.Mode()); e.mode == 0 {
		return false
	}
	if t := info.ModTime(); !t.IsZero() {
		e.mtime, e.nsec = t.Unix(), uint32(t.Nanosecond())
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
		target, err := w.Source.Readlink(e.where())
		if err != nil {
			w.ioError.Or(ioGeneral)
			w.xferError("rsync: [sender] readlink_stat(\"%s\") failed: %s", e.name, reason(err))
			return false
		}
		e.target, e.size = target, int64(len(target))
	}
	return true
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
	if w.atOnce {
		w.out.entry(e)
	}
	return nil
}
