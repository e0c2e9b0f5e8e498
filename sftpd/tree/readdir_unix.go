//go:build unix

package tree

import (
	"io/fs"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// noWait keeps the opening of a pipe from waiting for its other end.
const noWait = unix.O_NONBLOCK

// batch is how many files of a folder one goroutine describes in one go.
const batch = 256

// describe lists an open folder by name. A folder of many files is asked about by several goroutines at once: each file costs a
// call of the system, which is most of what a pull costs that finds nothing new. Names are looked up in the open folder itself,
// so that nothing that is renamed meanwhile leads elsewhere, and links are not followed. A file that went away is left out.
func describe(dir *os.File) ([]fs.FileInfo, error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	infos := make([]info, len(names))
	var failed error
	err = raw.Control(func(fd uintptr) {
		var g errgroup.Group
		g.SetLimit(min(runtime.GOMAXPROCS(0), 8))
		for from := 0; from < len(names); from += batch {
			to := min(from+batch, len(names))
			part := func() error { return describeAll(int(fd), names[from:to], infos[from:to]) }
			if len(names) <= batch {
				failed = part()
				return
			}
			g.Go(part)
		}
		failed = g.Wait()
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	list := make([]fs.FileInfo, 0, len(infos))
	for i := range infos {
		if infos[i].name != "" {
			list = append(list, &infos[i])
		}
	}
	return list, nil
}

// describeAll describes files of a folder; one that is no more keeps an empty name.
func describeAll(fd int, names []string, infos []info) error {
	var st unix.Stat_t
	for i, name := range names {
		err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		for err == unix.EINTR {
			err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
		switch {
		case err == unix.ENOENT:
			continue
		case err != nil:
			return &fs.PathError{Op: "lstat", Path: name, Err: err}
		}
		x := &infos[i]
		x.name, x.size, x.mode, x.mtime = name, st.Size, modeOf(uint32(st.Mode)), time.Unix(st.Mtim.Unix())
		if x.mode.IsRegular() && st.Nlink > 1 {
			x.sys = &syscall.Stat_t{Dev: st.Dev, Ino: st.Ino, Nlink: st.Nlink}
		}
	}
	return nil
}

// modeOf is a mode of the system without what plain leaves out.
func modeOf(m uint32) fs.FileMode {
	out := fs.FileMode(m) & fs.ModePerm
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
		return out
	case unix.S_IFDIR:
		return out | fs.ModeDir
	case unix.S_IFLNK:
		return out | fs.ModeSymlink
	case unix.S_IFIFO:
		return out | fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return out | fs.ModeSocket
	case unix.S_IFBLK:
		return out | fs.ModeDevice
	case unix.S_IFCHR:
		return out | fs.ModeDevice | fs.ModeCharDevice
	}
	return out | fs.ModeIrregular
}
