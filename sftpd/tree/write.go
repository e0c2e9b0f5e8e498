package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Quota bounds a home folder. It is shared by all connections of a user; what is used is counted once from disk, then
// kept.
type Quota struct {
	Bytes int64
	Files int

	mu      sync.Mutex
	counted bool
	bytes   int64
	files   int
}

// Used counts what the home folder holds.
func (t *Tree) Used() (bytes int64, files int, err error) {
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.count(t.home)
	return q.bytes, q.files, err
}

func (q *Quota) count(home *os.Root) error {
	if q.counted {
		return nil
	}
	q.bytes, q.files = 0, 0
	err := fs.WalkDir(home.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		q.files++
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			q.bytes += info.Size()
		}
		return nil
	})
	q.counted = err == nil
	return clean(err)
}

// take reserves room, or refuses.
func (t *Tree) take(bytes int64, files int) error {
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.count(t.home); err != nil {
		return err
	}
	if bytes > 0 && q.bytes+bytes > q.Bytes {
		return fmt.Errorf("quota: %d of %d MiB are used, this does not fit: remove files from user/", q.bytes>>20, q.Bytes>>20)
	}
	if files > 0 && q.files+files > q.Files {
		return fmt.Errorf("quota: %d of %d files are used: remove files from user/", q.files, q.Files)
	}
	q.bytes, q.files = max(0, q.bytes+bytes), max(0, q.files+files)
	return nil
}

// onDisk gives the place of a path that may be changed.
func (t *Tree) onDisk(p string) (string, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return "", err
	}
	rel, ok := place(p)
	if !ok {
		return "", ErrReadOnly
	}
	return rel, nil
}

// deeper is onDisk for what must not be /user itself.
func (t *Tree) deeper(p string) (string, error) {
	rel, err := t.onDisk(p)
	if err == nil && rel == "user" {
		return "", fmt.Errorf("the folder user itself stays: %w", fs.ErrPermission)
	}
	return rel, err
}

// Create opens a file for writing, with the flags of os.OpenFile (append is the caller's business).
func (t *Tree) Create(p string, flags int) (*Written, error) {
	rel, err := t.deeper(p)
	if err != nil {
		return nil, err
	}
	flags &^= os.O_APPEND
	before, err := t.home.Stat(rel)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err == nil && !before.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: p, Err: errors.New("is not a file")}
	}
	if isNew && flags&os.O_CREATE != 0 {
		if err := t.take(0, 1); err != nil {
			return nil, err
		}
	}
	f, err := t.home.OpenFile(rel, flags, 0o640)
	if err != nil {
		if isNew && flags&os.O_CREATE != 0 {
			_ = t.take(0, -1)
		}
		return nil, clean(err)
	}
	w := &Written{File: f, t: t}
	if !isNew {
		w.size = before.Size()
		if flags&os.O_TRUNC != 0 {
			_ = t.take(-w.size, 0)
			w.size = 0
		}
	}
	return w, nil
}

// Written is a file of /user that is open for writing.
type Written struct {
	*os.File
	t    *Tree
	mu   sync.Mutex
	size int64
}

// WriteAt writes within the quota.
func (w *Written) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > 1<<50 {
		return 0, fs.ErrInvalid
	}
	w.mu.Lock()
	if grow := off + int64(len(p)) - w.size; grow > 0 {
		if err := w.t.take(grow, 0); err != nil {
			w.mu.Unlock()
			return 0, err
		}
		w.size += grow
	}
	w.mu.Unlock()
	n, err := w.File.WriteAt(p, off)
	return n, clean(err)
}

// ReadAt reads what is there.
func (w *Written) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = clean(err)
	}
	return n, err
}

// Attributes are what a client may set; nil means as it is.
type Attributes struct {
	Size         *int64
	Mode         *fs.FileMode
	Atime, Mtime *time.Time
}

// Set changes attributes. Modes are kept within the owner's bits.
func (t *Tree) Set(p string, a Attributes) error {
	rel, err := t.onDisk(p)
	if err != nil {
		return err
	}
	if a.Size != nil {
		if err := t.truncate(rel, *a.Size); err != nil {
			return err
		}
	}
	if a.Mode != nil && rel != "user" {
		info, err := t.home.Stat(rel)
		if err != nil {
			return clean(err)
		}
		mode := a.Mode.Perm()&0o700 | 0o600
		if info.IsDir() {
			mode |= 0o700
		}
		if err := t.home.Chmod(rel, mode); err != nil {
			return clean(err)
		}
	}
	if a.Mtime != nil {
		atime := *a.Mtime
		if a.Atime != nil {
			atime = *a.Atime
		}
		return clean(t.home.Chtimes(rel, atime, *a.Mtime))
	}
	return nil
}

func (t *Tree) truncate(rel string, size int64) error {
	f, err := t.home.OpenFile(rel, os.O_WRONLY, 0)
	if err != nil {
		return clean(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return clean(err)
	}
	if size < 0 || size > 1<<50 || !info.Mode().IsRegular() {
		return fs.ErrInvalid
	}
	if err := t.take(size-info.Size(), 0); err != nil {
		return err
	}
	return clean(f.Truncate(size))
}

// Mkdir makes a folder.
func (t *Tree) Mkdir(p string) error {
	rel, err := t.deeper(p)
	if err != nil {
		return err
	}
	if err := t.take(0, 1); err != nil {
		return err
	}
	if err := t.home.Mkdir(rel, 0o750); err != nil {
		_ = t.take(0, -1)
		return clean(err)
	}
	return nil
}

// Remove removes a file, or an empty folder when dir is set.
func (t *Tree) Remove(p string, dir bool) error {
	rel, err := t.deeper(p)
	if err != nil {
		return err
	}
	info, err := t.home.Lstat(rel)
	if err != nil {
		return clean(err)
	}
	if info.IsDir() != dir {
		return errors.New(map[bool]string{true: "is not a folder", false: "is a folder"}[dir])
	}
	if err := t.home.Remove(rel); err != nil {
		return clean(err)
	}
	size := int64(0)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return t.take(-size, -1)
}

// Rename moves a file or folder within the writable part. Without replace an existing target is refused.
func (t *Tree) Rename(from, to string, replace bool) error {
	a, err := t.deeper(from)
	if err != nil {
		return err
	}
	b, err := t.deeper(to)
	if err != nil {
		return err
	}
	old, err := t.home.Lstat(b)
	if err == nil && !replace {
		return fs.ErrExist
	}
	if err := t.home.Rename(a, b); err != nil {
		return clean(err)
	}
	if err == nil && old.Mode().IsRegular() && a != b {
		return t.take(-old.Size(), -1)
	}
	return nil
}

// Symlink makes a symbolic link that stays below /user.
func (t *Tree) Symlink(target, link string) error {
	rel, err := t.deeper(link)
	if err != nil {
		return err
	}
	to := path.Join(path.Dir("/"+filepath.ToSlash(rel)), target)
	if path.IsAbs(target) || !strings.HasPrefix(to+"/", "/user/") || strings.Count(target, "../") > maxDepth {
		return fmt.Errorf("a link must be relative and stay below user/: %w", fs.ErrPermission)
	}
	if err := t.take(0, 1); err != nil {
		return err
	}
	return clean(t.home.Symlink(target, rel))
}

// Readlink reads a symbolic link.
func (t *Tree) Readlink(p string) (string, error) {
	rel, err := t.onDisk(p)
	if err != nil {
		return "", err
	}
	return clean2(t.home.Readlink(rel))
}

// Link makes a hard link below /user.
func (t *Tree) Link(target, link string) error {
	a, err := t.deeper(target)
	if err != nil {
		return err
	}
	b, err := t.deeper(link)
	if err != nil {
		return err
	}
	if err := t.take(0, 1); err != nil {
		return err
	}
	return clean(t.home.Link(a, b))
}

// Room gives the quota and what is left of it, in bytes and files.
func (t *Tree) Room() (bytes, free int64, files, freeFiles int, err error) {
	used, n, err := t.Used()
	q := t.o.Quota
	return q.Bytes, max(0, q.Bytes-used), q.Files, max(0, q.Files-n), err
}
