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
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
}

// Tree is one connection's view. Its access may be swapped while it is in use.
type Tree struct {
	o     Options
	home  *os.Root
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
	t := &Tree{o: o, home: home}
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
	return t.home.Close()
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

// place tells where a clean path leads: below /user or a writable file on disk (rel is the path in the home folder), or
// into the virtual part.
func place(p string) (rel string, onDisk bool) {
	rel = strings.TrimPrefix(p, "/")
	if rel == "user" || strings.HasPrefix(rel, "user/") || slices.Contains(writable, rel) {
		return filepath.FromSlash(rel), true
	}
	return "", false
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
	if rel, onDisk := place(p); onDisk {
		if follow {
			return clean2(t.home.Stat(rel))
		}
		return clean2(t.home.Lstat(rel))
	}
	if e := t.index.Load().find(p); e != nil {
		return e.info(t), nil
	}
	return nil, notExist(p)
}

// ReadDir lists a folder by name.
func (t *Tree) ReadDir(p string) ([]fs.FileInfo, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, err
	}
	if rel, onDisk := place(p); onDisk {
		return t.readHome(rel)
	}
	e := t.index.Load().find(p)
	if e == nil {
		return nil, notExist(p)
	}
	if !e.dir {
		return nil, &fs.PathError{Op: "list", Path: p, Err: errors.New("is not a folder")}
	}
	out := make([]fs.FileInfo, 0, len(e.children)+4)
	for _, c := range e.children {
		out = append(out, c.info(t))
	}
	if p == "/" {
		for _, name := range append([]string{"user"}, writable...) {
			if info, err := t.home.Lstat(name); err == nil {
				out = append(out, info)
			}
		}
	}
	return out, nil
}

func (t *Tree) readHome(rel string) ([]fs.FileInfo, error) {
	f, err := t.home.Open(rel)
	if err != nil {
		return nil, clean(err)
	}
	defer f.Close()
	list, err := f.Readdir(-1)
	slices.SortFunc(list, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return list, clean(err)
}

// Open opens a file for reading.
func (t *Tree) Open(p string) (File, int64, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, 0, err
	}
	if rel, onDisk := place(p); onDisk {
		f, err := t.home.Open(rel)
		if err != nil {
			return nil, 0, clean(err)
		}
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			f.Close()
			return nil, 0, &fs.PathError{Op: "open", Path: p, Err: errors.New("is not a file")}
		}
		return f, info.Size(), nil
	}
	e := t.index.Load().find(p)
	switch {
	case e == nil:
		return nil, 0, notExist(p)
	case e.dir:
		return nil, 0, &fs.PathError{Op: "open", Path: p, Err: errors.New("is a folder")}
	case e.file != nil:
		if t.o.Pin.Expired() {
			return nil, 0, ErrExpired
		}
		f, err := t.o.Lake(*e.file)
		return f, e.file.Size, err
	}
	text := e.text()
	return content{strings.NewReader(text)}, int64(len(text)), nil
}

// content is a generated file.
type content struct{ *strings.Reader }

func (content) Close() error { return nil }

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

func clean2[T any](v T, err error) (T, error) { return v, clean(err) }

// entry is a file or folder of the virtual part.
type entry struct {
	name     string
	dir      bool
	children []*entry
	file     *store.File
	text     func() string
	mtime    time.Time
}

func (e *entry) info(t *Tree) fs.FileInfo { return entryInfo{e} }

type entryInfo struct{ e *entry }

func (i entryInfo) Name() string { return i.e.name }
func (i entryInfo) Size() int64 {
	switch {
	case i.e.file != nil:
		return i.e.file.Size
	case i.e.dir:
		return 0
	}
	return int64(len(i.e.text()))
}
func (i entryInfo) Mode() fs.FileMode {
	if i.e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
func (i entryInfo) ModTime() time.Time { return i.e.mtime }
func (i entryInfo) IsDir() bool        { return i.e.dir }
func (i entryInfo) Sys() any           { return nil }

// index is the virtual part for one access.
type index struct {
	access *store.Access
	byPath map[string]*entry
}

func (x *index) find(p string) *entry { return x.byPath[p] }

// put adds an entry with the folders above it.
func (x *index) put(p string, e *entry) {
	e.name = path.Base(p)
	x.byPath[p] = e
	dir := path.Dir(p)
	parent := x.byPath[dir]
	if parent == nil {
		parent = &entry{dir: true}
		x.put(dir, parent)
	}
	parent.children = append(parent.children, e)
	for e.mtime.After(parent.mtime) {
		parent.mtime = e.mtime
		if dir == "/" {
			break
		}
		dir = path.Dir(dir)
		parent = x.byPath[dir]
	}
}

func newIndex(o Options, a *store.Access) *index {
	x := &index{access: a, byPath: map[string]*entry{"/": {dir: true, name: "/"}}}
	v := &view{access: a, snapshot: o.Pin.Snapshot}
	changed := o.Pin.CreatedAt
	if a.ChangedAt.After(changed) {
		changed = a.ChangedAt
	}
	changed = changed.Truncate(time.Second)
	for i := range o.Pin.Files {
		f := &o.Pin.Files[i]
		if a.CanRead(f.TableID) {
			v.files = append(v.files, f)
			x.put("/server/parquet/"+f.Logical, &entry{file: f, mtime: f.ModTime})
		}
	}
	for _, dir := range []string{"/server/parquet", "/server/docs", "/server/scripts", "/server/examples", "/.claude_rules"} {
		if x.byPath[dir] == nil {
			x.put(dir, &entry{dir: true, mtime: changed})
		}
	}
	generated := map[string]func() string{
		"/server/docs/schema.yml": v.schema, "/server/docs/data_description.md": v.description,
		"/server/metadata/manifest.json": v.manifest, "/server/metadata/sync_state.json": v.syncState, "/server/metadata/views.sql": v.views,
		"/.sync_settings.yaml": func() string { return string(a.SettingsYAML()) },
	}
	for p, text := range generated {
		x.put(p, &entry{text: sync.OnceValue(text), mtime: changed})
	}
	if o.Kit != nil {
		x.putKit(o.Kit)
	}
	for _, e := range x.byPath {
		slices.SortFunc(e.children, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	}
	return x
}

// kitTime is the time of all kit files: they come with the binary.
var kitTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (x *index) putKit(kit fs.FS) {
	_ = fs.WalkDir(kit, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || x.byPath["/server/"+p] != nil {
			return nil
		}
		x.put("/server/"+p, &entry{mtime: kitTime, text: sync.OnceValue(func() string {
			text, err := fs.ReadFile(kit, p)
			if err != nil {
				return ""
			}
			return string(text)
		})})
		return nil
	})
}
