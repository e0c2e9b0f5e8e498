package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// maxSize is the largest offset that a client may name: 1 PiB, beyond any disk and far from where sums overflow.
const maxSize = 1 << 50

// onDisk gives the place of a path that may be changed.
func (t *Tree) onDisk(p string) (*os.Root, string, error) {
	p = Clean(p)
	if err := checkPath(p); err != nil {
		return nil, "", err
	}
	root, rel := t.place(p)
	if root == nil {
		return nil, "", ErrReadOnly
	}
	return root, rel, nil
}

// deeper is onDisk for what must not be /user itself.
func (t *Tree) deeper(p string) (*os.Root, string, error) {
	root, rel, err := t.onDisk(p)
	if err == nil && rel == "." {
		return nil, "", fmt.Errorf("the folder user itself stays: %w", fs.ErrPermission)
	}
	return root, rel, err
}

// below is deeper for what cannot be one of the files beside /user, which stay plain files.
func (t *Tree) below(p string) (string, error) {
	root, rel, err := t.deeper(p)
	if err == nil && root != t.user {
		return "", fmt.Errorf("this name is for a plain file only: %w", fs.ErrPermission)
	}
	return rel, err
}

// Create opens a file for writing, with the flags of os.OpenFile but O_APPEND, for which there is Written.Append.
func (t *Tree) Create(p string, flags int) (*Written, error) {
	root, rel, err := t.deeper(p)
	if err != nil {
		return nil, err
	}
	flags &^= os.O_APPEND
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	before, err := root.Stat(rel)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err == nil && !before.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: p, Err: errNotFile}
	}
	made := 0
	if isNew && flags&os.O_CREATE != 0 {
		made = 1
	}
	if err := q.take(t.home, 0, made); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(rel, flags|noWait, 0o640)
	if err != nil {
		q.give(0, made)
		return nil, clean(err)
	}
	i, err := f.Stat()
	if err == nil && !i.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: p, Err: errNotFile}
	}
	if err != nil {
		q.give(0, made)
		return nil, errors.Join(clean(err), f.Close())
	}
	size := int64(0)
	if !isNew {
		size = before.Size()
	}
	id, _ := identify(rel, i)
	w := &Written{f: f, t: t, q: q.opened(id, size)}
	if flags&os.O_TRUNC != 0 {
		rest := w.q.cut(0)
		q.give(w.q.size-rest, 0)
		w.q.size = rest
	}
	return w, nil
}

// Written is a file of /user that is open for writing.
type Written struct {
	f    *os.File
	t    *Tree
	q    *openFile
	once sync.Once
}

// WriteAt writes within the quota.
func (w *Written) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > maxSize {
		return 0, fs.ErrInvalid
	}
	var n int
	var err error
	if full := w.t.o.Quota.write(w.t.home, w.q, off+int64(len(p)), func() { n, err = w.f.WriteAt(p, off) }); full != nil {
		return 0, full
	}
	return n, clean(err)
}

// Append writes at the end, wherever that is by now. Two that append at the same time never write over each other.
func (w *Written) Append(p []byte) error {
	q := w.t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	at := w.q.size
	if err := q.grow(w.t.home, w.q, at+int64(len(p))); err != nil {
		return err
	}
	_, err := w.f.WriteAt(p, at)
	return clean(err)
}

// ReadAt reads what is there.
func (w *Written) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Stat describes the open file.
func (w *Written) Stat() (fs.FileInfo, error) {
	i, err := w.f.Stat()
	if err != nil {
		return nil, clean(err)
	}
	return plain(filepath.Base(w.f.Name()), i), nil
}

// Sync brings the file to the disk.
func (w *Written) Sync() error { return clean(w.f.Sync()) }

// Truncate makes the file shorter, or longer within the quota.
func (w *Written) Truncate(size int64) error {
	if size < 0 || size > maxSize {
		return fs.ErrInvalid
	}
	q := w.t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.grow(w.t.home, w.q, size); err != nil {
		return err
	}
	if err := w.f.Truncate(size); err != nil {
		return clean(err)
	}
	rest := w.q.cut(size)
	q.give(w.q.size-rest, 0)
	w.q.size = rest
	return nil
}

// Close ends the handle. Calling it again does nothing.
func (w *Written) Close() (err error) {
	w.once.Do(func() {
		w.t.o.Quota.closing(w.q, w.f)
		err = clean(w.f.Close())
	})
	return err
}

// Attributes are what a client may set; nil means as it is.
type Attributes struct {
	Size         *int64
	Mode         *fs.FileMode
	Atime, Mtime *time.Time
}

func (a Attributes) times() (atime, mtime time.Time) {
	if a.Atime == nil {
		return *a.Mtime, *a.Mtime
	}
	return *a.Atime, *a.Mtime
}

// ownerMode keeps a mode within the owner's bits, and what the appliance needs to go on serving the file.
func ownerMode(mode fs.FileMode, dir bool) fs.FileMode {
	mode = mode.Perm()&0o700 | 0o600
	if dir {
		mode |= 0o700
	}
	return mode
}

// Set changes attributes of the open file, whatever its name is by now.
func (w *Written) Set(a Attributes) error {
	if a.Size != nil {
		if err := w.Truncate(*a.Size); err != nil {
			return err
		}
	}
	if a.Mode != nil {
		if err := w.f.Chmod(ownerMode(*a.Mode, false)); err != nil {
			return clean(err)
		}
	}
	if a.Mtime != nil {
		atime, mtime := a.times()
		return clean(setTimes(w.f, atime, mtime))
	}
	return nil
}

// Set changes attributes of what a path leads to. Modes are kept within the owner's bits.
func (t *Tree) Set(p string, a Attributes) error {
	root, rel, err := t.onDisk(p)
	if err != nil {
		return err
	}
	if a.Size != nil {
		w, err := t.Create(p, os.O_WRONLY)
		if err != nil {
			return err
		}
		if err := errors.Join(w.Truncate(*a.Size), w.Close()); err != nil {
			return err
		}
	}
	if a.Mode != nil && rel != "." {
		i, err := root.Stat(rel)
		if err != nil {
			return clean(err)
		}
		if err := root.Chmod(rel, ownerMode(*a.Mode, i.IsDir())); err != nil {
			return clean(err)
		}
	}
	if a.Mtime != nil {
		atime, mtime := a.times()
		return clean(root.Chtimes(rel, atime, mtime))
	}
	return nil
}

// SetLink is Set for a symbolic link itself, of which only the times can be changed.
func (t *Tree) SetLink(p string, a Attributes) error {
	root, rel, err := t.onDisk(p)
	if err != nil {
		return err
	}
	i, err := root.Lstat(rel)
	if err != nil {
		return clean(err)
	}
	if i.Mode()&fs.ModeSymlink == 0 {
		return t.Set(p, a)
	}
	if a.Mtime == nil {
		return fmt.Errorf("of a link only the times can be changed: %w", errors.ErrUnsupported)
	}
	atime, mtime := a.times()
	return clean(setLinkTimes(root, rel, atime, mtime))
}

// Mkdir makes a folder.
func (t *Tree) Mkdir(p string) error {
	rel, err := t.below(p)
	if err != nil {
		return err
	}
	return t.counted(func() error { return t.user.Mkdir(rel, 0o750) })
}

// counted makes one file that holds no bytes.
func (t *Tree) counted(makeIt func() error) error {
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.take(t.home, 0, 1); err != nil {
		return err
	}
	if err := makeIt(); err != nil {
		q.give(0, 1)
		return clean(err)
	}
	return nil
}

// Remove removes a file, or an empty folder when dir is set.
func (t *Tree) Remove(p string, dir bool) error {
	root, rel, err := t.deeper(p)
	if err != nil {
		return err
	}
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	i, err := root.Lstat(rel)
	if err != nil {
		return clean(err)
	}
	if i.IsDir() != dir {
		return errors.New(map[bool]string{true: "is not a folder", false: "is a folder"}[dir])
	}
	if err := root.Remove(rel); err != nil {
		return clean(err)
	}
	q.removed(rel, i)
	return nil
}

// Rename moves a file or folder within /user. Without replace an existing target is refused.
func (t *Tree) Rename(from, to string, replace bool) error {
	rootA, a, err := t.deeper(from)
	if err != nil {
		return err
	}
	rootB, b, err := t.deeper(to)
	if err != nil {
		return err
	}
	if rootA != rootB {
		return fmt.Errorf("files move within user/ only, copy it instead: %w", fs.ErrPermission)
	}
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	old, err := rootB.Lstat(b)
	exists := err == nil
	if exists && !replace {
		return fs.ErrExist
	}
	moved, err := rootA.Lstat(a)
	if err != nil {
		return clean(err)
	}
	if rootA == t.home && !moved.Mode().IsRegular() {
		return fs.ErrInvalid
	}
	if err := rootA.Rename(a, b); err != nil {
		return clean(err)
	}
	// Two names of one file stay both (POSIX rename), everything else that was there is gone.
	if exists && !os.SameFile(old, moved) {
		q.removed(b, old)
	}
	return nil
}

// Symlink makes a symbolic link that stays below /user. Whatever a link says, nothing is reached through it that is not
// below /user: that is checked at each use.
func (t *Tree) Symlink(target, link string) error {
	rel, err := t.below(link)
	if err != nil {
		return err
	}
	to := path.Join(path.Dir("/user/"+filepath.ToSlash(rel)), target)
	if target == "" || len(target) > maxPath || path.IsAbs(target) || !strings.HasPrefix(to+"/", "/user/") || strings.ContainsRune(target, 0) {
		return fmt.Errorf("a link must be relative and stay below user/: %w", fs.ErrPermission)
	}
	return t.counted(func() error { return t.user.Symlink(target, rel) })
}

// Readlink reads a symbolic link.
func (t *Tree) Readlink(p string) (string, error) {
	root, rel, err := t.onDisk(p)
	if err == nil {
		target, err := root.Readlink(rel)
		return target, clean(err)
	}
	if _, serr := t.Stat(p, false); serr != nil {
		return "", serr
	}
	return "", fmt.Errorf("is not a link: %w", fs.ErrInvalid)
}

// Link makes a hard link below /user.
func (t *Tree) Link(target, link string) error {
	a, err := t.below(target)
	if err != nil {
		return err
	}
	b, err := t.below(link)
	if err != nil {
		return err
	}
	return t.counted(func() error {
		if i, err := t.user.Lstat(a); err != nil || !i.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("only a file can have a second name: %w", fs.ErrInvalid))
		}
		return t.user.Link(a, b)
	})
}
