//go:build !unix

package tree

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// fileID is a file; hard links are not told apart here, as such systems run the client alone.
type fileID struct{ name string }

func identify(name string, _ fs.FileInfo) (id fileID, names uint64) { return fileID{name}, 1 }

func linked(fs.FileInfo) any { return nil }

func setTimes(f *os.File, atime, mtime time.Time) error { return os.Chtimes(f.Name(), atime, mtime) }

func setLinkTimes(*os.Root, string, time.Time, time.Time) error { return errors.ErrUnsupported }

// describe lists an open folder by name.
func describe(dir *os.File) ([]fs.FileInfo, error) {
	list, err := dir.Readdir(-1)
	for i, x := range list {
		list[i] = plain(x.Name(), x)
	}
	slices.SortFunc(list, byName)
	return list, err
}

const noWait = 0
