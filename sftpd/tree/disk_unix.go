//go:build unix

package tree

import (
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileID is a file, whatever its names.
type fileID struct{ device, inode uint64 }

// identify gives a file's identity and the number of its names.
func identify(_ string, i fs.FileInfo) (id fileID, names uint64) {
	st, ok := i.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, 1
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, uint64(st.Nlink)
}

// linked keeps of a file with several names what tells that they are one, for rsync --hard-links.
func linked(i fs.FileInfo) any {
	if st, ok := i.Sys().(*syscall.Stat_t); ok && i.Mode().IsRegular() && st.Nlink > 1 {
		return &syscall.Stat_t{Dev: st.Dev, Ino: st.Ino, Nlink: st.Nlink}
	}
	return nil
}

// setTimes sets the times of an open file.
func setTimes(f *os.File, atime, mtime time.Time) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.Futimes(int(fd), []unix.Timeval{unix.NsecToTimeval(atime.UnixNano()), unix.NsecToTimeval(mtime.UnixNano())})
	})
	if err != nil {
		return err
	}
	return serr
}

// setLinkTimes sets the times of a symbolic link itself.
func setLinkTimes(root *os.Root, rel string, atime, mtime time.Time) error {
	dir, err := root.Open(path.Dir(rel))
	if err != nil {
		return err
	}
	defer dir.Close()
	raw, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		times := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
		serr = unix.UtimesNanoAt(int(fd), path.Base(rel), times, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return err
	}
	return serr
}
