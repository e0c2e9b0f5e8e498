// Package tree is the one place that resolves a path of the tree over SSH: /server, read-only and built for one user from
// a pinned generation and the user's access, and /user, the user's own folder on disk. It speaks no protocol.
//
//	t, err := tree.Open(tree.Options{Pin: pin, Access: access, Lake: lake, Home: "data/home/eva", Kit: kit})
package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"aida/store"
)

// File is an open lake file.
type File interface {
	io.ReaderAt
	io.Closer
}

// Lake opens the bytes of a file of the pinned generation.
type Lake func(f store.File) (File, error)

// Options is what a tree is made of. Home is the user's folder on disk, made when missing.
type Options struct {
	Pin    *store.Pin
	Access *store.Access
	Lake   Lake
	Home   string
	Kit    fs.FS // docs/, scripts/ and examples/ that every analyst gets; may be nil
	Quota  *Quota
	Cache  *Cache // shared by the trees of a server; nil means one of its own

	Profiles Profiles // what is known of tables' values; nil means nothing
	Metrics  Metrics  // business metrics; nil means none
}

// Tree is one connection's view. Its access may be swapped while it is in use.
type Tree struct {
	o     Options
	home  *os.Root // holds user/ and the few files beside it that clients write
	user  *os.Root // /user; links in it cannot leave it, not even for the rest of home
	dir   *os.File // the folder of user
	index atomic.Pointer[index]
}

// userFolders are made in a new home.
var userFolders = []string{"notifications", "artifacts", "scripts", "parquet", "sessions", "duckdb"}

// writable are the files of the home folder, beside /user, that clients write.
var writable = []string{"CLAUDE.local.md", ".analyst_requirements.txt"}

// Errors that are not of package fs. Their texts reach the person.
var (
	ErrReadOnly = fmt.Errorf("this part of the tree is read-only, write below user/: %w", fs.ErrPermission)
	ErrExpired  = errors.New("this connection has been open for too long: connect again")
)

// Open builds the tree of a user.
func Open(o Options) (*Tree, error) {
	for _, dir := range append([]string{"."}, userFolders...) {
		if err := os.MkdirAll(filepath.Join(o.Home, "user", dir), 0o750); err != nil {
			return nil, fmt.Errorf("home folder: %w", err)
		}
	}
	home, err := os.OpenRoot(o.Home)
	if err != nil {
		return nil, fmt.Errorf("home folder: %w", err)
	}
	user, err := home.OpenRoot("user")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("home folder: %w", err), home.Close())
	}
	dir, err := user.Open(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("home folder: %w", err), user.Close(), home.Close())
	}
	if o.Cache == nil {
		o.Cache = NewCache()
	}
	if o.Quota == nil {
		o.Quota = &Quota{Bytes: math.MaxInt64, Files: math.MaxInt}
	}
	t := &Tree{o: o, home: home, user: user, dir: dir}
	t.SetAccess(o.Access)
	return t, nil
}

// SetAccess makes the tree show what an access allows from now on.
func (t *Tree) SetAccess(a *store.Access) { t.index.Store(newIndex(t.o, a)) }

// Access is what the tree shows.
func (t *Tree) Access() *store.Access { return t.index.Load().access }

// Snapshot is the generation that the tree shows.
func (t *Tree) Snapshot() *store.Snapshot { return t.o.Pin.Snapshot }

// Close lets go of the home folder and of the generation.
func (t *Tree) Close() error {
	t.o.Pin.Release()
	return errors.Join(t.dir.Close(), t.user.Close(), t.home.Close())
}

// Clean gives the one form of a path: absolute, without . and .., which never leave the root. A leading ~ is the root, as
// the tree's root is the user's home.
func Clean(p string) string {
	p = strings.TrimPrefix(p, "/")
	if p == "~" {
		p = ""
	}
	p = strings.TrimPrefix(p, "~/")
	return path.Clean("/" + p)
}

// place tells where a clean path leads: below /user or to a writable file on disk (rel is the path below root), or into
// the virtual part (root is nil).
func (t *Tree) place(p string) (root *os.Root, rel string) {
	rel = strings.TrimPrefix(p, "/")
	switch {
	case rel == "user":
		return t.user, "."
	case strings.HasPrefix(rel, "user/"):
		return t.user, filepath.FromSlash(rel[len("user/"):])
	case slices.Contains(writable, rel):
		return t.home, rel
	}
	return nil, ""
}

// Limits of a path that a client may name.
const (
	maxPath  = 4096
	maxDepth = 100
)

func checkPath(p string) error {
	if len(p) > maxPath || strings.Count(p, "/") > maxDepth || strings.ContainsRune(p, 0) {
		return fmt.Errorf("the path is too long or not allowed: %w", fs.ErrInvalid)
	}
	return nil
}

// Stat describes what a path leads to. With follow, a symbolic link of /user is followed.
func (t *Tree) Stat(p string, follow bool) (fs.FileInfo, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, err
	}
	if root, rel := t.place(p); root != nil {
		stat := root.Lstat
		if follow {
			stat = root.Stat
		}
		i, err := stat(rel)
		if err != nil {
			return nil, clean(err)
		}
		return plain(path.Base(p), i), nil
	}
	if i := t.index.Load().find(p); i != nil {
		return i, nil
	}
	return nil, notExist(p)
}

// ReadDir lists a folder by name. The list is shared: it must not be changed.
func (t *Tree) ReadDir(p string) ([]fs.FileInfo, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, err
	}
	if root, rel := t.place(p); root != nil {
		return readDisk(root, rel)
	}
	found := t.index.Load().find(p)
	if found == nil {
		return nil, notExist(p)
	}
	e, ok := found.(*entry)
	if !ok || !e.IsDir() {
		return nil, &fs.PathError{Op: "list", Path: p, Err: errors.New("is not a folder")}
	}
	for _, c := range e.children {
		c.Size() // writes a document that was never asked for, here where a fault in it is caught
	}
	if p != "/" {
		return e.children, nil
	}
	out := slices.Clone(e.children)
	for _, name := range append([]string{"user"}, writable...) {
		if i, err := t.home.Lstat(name); err == nil {
			out = append(out, plain(name, i))
		}
	}
	return out, nil
}

func readDisk(root *os.Root, rel string) ([]fs.FileInfo, error) {
	f, err := root.OpenFile(rel, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, clean(err)
	}
	defer f.Close()
	list, err := describe(f)
	if err != nil {
		return nil, clean(err)
	}
	return list, nil
}

func byName(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) }

// Open opens a file for reading.
func (t *Tree) Open(p string) (File, int64, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, 0, err
	}
	if root, rel := t.place(p); root != nil {
		return t.openDisk(p, root, rel)
	}
	switch i := t.index.Load().find(p).(type) {
	case lakeEntry:
		if t.o.Pin.Expired() {
			return nil, 0, ErrExpired
		}
		f, err := t.o.Lake(*i.f)
		if err != nil {
			return nil, 0, err
		}
		return &lakeFile{f, t, i}, i.Size(), nil
	case *entry:
		if i.IsDir() {
			return nil, 0, &fs.PathError{Op: "open", Path: p, Err: errors.New("is a folder")}
		}
		text := i.doc.text()
		return content{strings.NewReader(text), i}, int64(len(text)), nil
	}
	return nil, 0, notExist(p)
}

func (t *Tree) openDisk(p string, root *os.Root, rel string) (File, int64, error) {
	if root == t.user {
		f, size, err := openBeneath(t.dir, rel)
		switch {
		case err == nil:
			return f, size, nil
		case errors.Is(err, errNotFile):
			return nil, 0, &fs.PathError{Op: "open", Path: p, Err: errNotFile}
		}
	}
	f, err := root.OpenFile(rel, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, 0, clean(err)
	}
	i, err := f.Stat()
	if err != nil || !i.Mode().IsRegular() {
		f.Close()
		return nil, 0, &fs.PathError{Op: "open", Path: p, Err: errNotFile}
	}
	return f, i.Size(), nil
}

// errNotFile is what is said of folders, pipes and devices; nothing waits for their other end.
var errNotFile = errors.New("is not a file")

// ReadSmall reads a whole file of /user into the beginning of buf, in fewer steps than Open, and gives how long it is. False
// means that it must be opened, because it is longer, or not there, or elsewhere.
func (t *Tree) ReadSmall(p string, buf []byte) (int, bool) {
	p = Clean(p)
	root, rel := t.place(p)
	if root != t.user || checkPath(p) != nil {
		return 0, false
	}
	n, err := readBeneath(t.dir, rel, buf)
	return int(n), err == nil && n <= int64(len(buf))
}

// lakeFile is an open file of the lake. It ends with the right to read its table.
type lakeFile struct {
	File
	t *Tree
	e lakeEntry
}

// ReadAt reads, as long as the user may.
func (f *lakeFile) ReadAt(p []byte, off int64) (int, error) {
	if !f.t.Access().CanRead(f.e.f.TableID) {
		return 0, fmt.Errorf("you may no longer read this table: %w", fs.ErrPermission)
	}
	return f.File.ReadAt(p, off)
}

// Stat describes the file.
func (f *lakeFile) Stat() (fs.FileInfo, error) { return f.e, nil }

// content is a generated file.
type content struct {
	*strings.Reader
	e *entry
}

func (content) Close() error { return nil }

// Stat describes the file.
func (c content) Stat() (fs.FileInfo, error) {
	return plain(c.e.name, sized{c.e, c.Reader.Size()}), nil
}

// sized is a description with the size of a text that is open.
type sized struct {
	fs.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }

func notExist(p string) error {
	return &fs.PathError{Op: "find", Path: p, Err: fs.ErrNotExist}
}

// clean takes the paths of this machine out of an error of the disk.
func clean(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	if strings.Contains(err.Error(), "escapes") {
		return fmt.Errorf("the path leaves the tree: %w", fs.ErrPermission)
	}
	return err
}

// info describes a file without what is this machine's own business, such as its owner.
type info struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
	sys   any // of a file with several names, which they are
}

func plain(name string, i fs.FileInfo) fs.FileInfo {
	return &info{name, i.Size(), i.Mode() & (fs.ModeType | fs.ModePerm), i.ModTime(), linked(i)}
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.mtime }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return i.sys }
