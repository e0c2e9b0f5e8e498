package rsync

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Dir is a folder on disk as Source and Sink. Nothing outside it is reached, whatever links are in it.
type Dir struct{ Root *os.Root }

func (d Dir) Lstat(name string) (fs.FileInfo, error)     { return d.Root.Lstat(name) }
func (d Dir) Stat(name string) (fs.FileInfo, error)      { return d.Root.Stat(name) }
func (d Dir) Readlink(name string) (string, error)       { return d.Root.Readlink(name) }
func (d Dir) Mkdir(name string) error                    { return d.Root.Mkdir(name, 0o777) }
func (d Dir) Rename(from, to string) error               { return d.Root.Rename(from, to) }
func (d Dir) Symlink(target, name string) error          { return d.Root.Symlink(target, name) }
func (d Dir) Link(old, name string) error                { return d.Root.Link(old, name) }
func (d Dir) SetMode(name string, m fs.FileMode) error   { return d.Root.Chmod(name, m) }
func (d Dir) Mode(m fs.FileMode, _ bool) fs.FileMode     { return m }
func (d Dir) SetTime(name string, mtime time.Time) error { return d.Root.Chtimes(name, mtime, mtime) }

func (d Dir) ReadDir(name string) ([]fs.FileInfo, error) {
	f, err := d.Root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.Readdir(-1)
	slices.SortFunc(list, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

func (d Dir) Open(name string) (File, int64, error) {
	f, err := d.Root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait for its writer
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a file")}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d Dir) Create(name string, flags int) (Writable, error) {
	f, err := d.Root.OpenFile(name, os.O_RDWR|flags, 0o666)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d Dir) Remove(name string, dir bool) error {
	info, err := d.Root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() != dir {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("is of another kind")}
	}
	return d.Root.Remove(name)
}
