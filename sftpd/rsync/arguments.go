package rsync

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// argument lists one word of the command line, or what it stands for as a pattern.
func (w *walker) argument(p word) error {
	text := p.text
	if p.tilde && (text == "~" || strings.HasPrefix(text, "~/")) {
		p.pattern = strings.TrimPrefix(p.pattern[1:], "/")
		text = strings.TrimPrefix(text[1:], "/")
	}
	if p.wild {
		names, err := expand(w.ctx, w.Source, p.pattern, &w.looks)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			for _, n := range names {
				if err := w.root(n); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return w.root(text)
}

// root lists one argument. What is sent of its path: without --relative the last part, and nothing of a path that ends with
// a slash or a dot; with it, all of the path or what is behind /./.
func (w *walker) root(arg string) error {
	if arg == "" {
		arg = "."
	}
	if len(arg) > maxArg {
		return &refusal{"a path is too long", ExitSyntax}
	}
	contents := strings.HasSuffix(arg, "/") || arg == "." || strings.HasSuffix(arg, "/.") || arg == ".." || strings.HasSuffix(arg, "/..")
	if escapes(arg) {
		w.xferError("rsync: [sender] link_stat %q failed: Permission denied (13)", arg)
		w.ioError.Or(ioGeneral)
		return nil
	}
	at := cleanRel(arg)
	if w.o.relative {
		return w.relativeRoot(arg, at, contents)
	}
	name := path.Base(at)
	if contents || at == "." {
		name, contents = ".", true
	}
	return w.top(at, name, contents, arg)
}

// escapes tells whether a path climbs out of the root.
func escapes(p string) bool { return climbs(p, 0) }

func (w *walker) relativeRoot(arg, at string, contents bool) error {
	base, active := "", arg
	if i := strings.Index(arg, "/./"); i >= 0 {
		base, active = arg[:i], arg[i+3:]
	}
	for part := range strings.SplitSeq(active, "/") {
		if part == ".." {
			return &refusal{fmt.Sprintf("found \"..\" in the middle of a relative path %q", clip(arg)), ExitSyntax}
		}
	}
	name := cleanRel("./" + active)
	base = cleanRel("./" + base)
	arg = path.Join(base, name)
	if _, err := w.Source.Lstat(at); err == nil {
		if err := w.wayTo(base, name); err != nil {
			return err
		}
	}
	return w.top(at, name, contents, arg)
}

// wayTo lists the folders above a name.
func (w *walker) wayTo(base, name string) error {
	if w.o.noImplied && w.proto < 30 {
		return nil // later clients leave them alone, but want to have them in the list
	}
	for i := 0; i < len(name); i++ {
		if name[i] != '/' || w.implied[name[:i]] {
			continue
		}
		dir := name[:i]
		w.implied[dir] = true
		info, err := w.Source.Lstat(path.Join(base, dir))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && (w.o.copyLinks || w.o.copyDirlinks) {
			info, err = w.Source.Stat(path.Join(base, dir))
		}
		if err != nil {
			return nil // what stands below is told of by itself
		}
		e := w.entry(info, dir, path.Join(base, dir))
		if e == nil {
			continue
		}
		e.implied = true
		if err := w.put(e); err != nil {
			return err
		}
	}
	return nil
}

// top lists an argument that is at a place in the tree and is sent under a name.
func (w *walker) top(at, name string, contents bool, arg string) error {
	info, err := w.Source.Lstat(at)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && (contents || w.o.copyLinks || w.follows(at)) {
		info, err = w.Source.Stat(at)
	}
	if err != nil {
		return w.missing(arg, name, err)
	}
	if contents && !info.IsDir() {
		w.xferError("rsync: [sender] change_dir %q failed: Not a directory (20)", arg)
		w.ioError.Or(ioGeneral)
		return nil
	}
	sc := w.filter.top()
	if name != "." && sc.check(name, info.IsDir(), true) == excluded {
		return nil
	}
	e := w.entry(info, name, at)
	if e == nil {
		w.info("skipping non-regular file \"%s\"", name)
		return nil
	}
	if !info.IsDir() {
		return w.put(e)
	}
	if !w.o.recurse && !w.o.dirs {
		w.info("skipping directory %s", name)
		return nil
	}
	descend := w.o.recurse || contents
	e.topDir, e.content = true, descend
	if err := w.put(e); err != nil || !descend {
		return err
	}
	if w.o.relative { // merge files of the folders above count too
		for i, c := range name {
			if c == '/' {
				sc = sc.enter(w.Source, name[:i], strings.TrimSuffix(at, name)+name[:i])
			}
		}
	}
	return w.folder(sc, at, name)
}

// missing answers for an argument that is not there.
func (w *walker) missing(arg, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if w.o.deleteMissing {
			return w.put(&entry{name: name})
		}
		if !w.o.ignoreMissing {
			w.xferError("rsync: [sender] link_stat \"%s\" failed: %s", arg, reason(err))
		}
		return nil
	}
	w.ioError.Or(ioGeneral)
	w.xferError("rsync: [sender] link_stat \"%s\" failed: %s", arg, reason(err))
	return nil
}
