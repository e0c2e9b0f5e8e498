package tree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// beneath opens a file below a folder with one call of the system, openat2(2), where os.Root takes one for each folder on
// the way. The kernel keeps to the folder by the same rules: links that lead out of it, and absolute ones, are not followed.
// Whoever gets an error but errNotFile asks os.Root, which knows what it means: old kernels and some sandboxes have no such call.
func beneath(folder *os.File, rel string, use func(fd int, size int64) (keep bool, err error)) error {
	raw, err := folder.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(dir uintptr) {
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_LARGEFILE | unix.O_NONBLOCK | unix.O_NOCTTY, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
		var fd int
		if fd, err = unix.Openat2(int(dir), rel, &how); err != nil {
			return
		}
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = errNotFile
		}
		keep := false
		if err == nil {
			keep, err = use(fd, st.Size)
		}
		if !keep {
			err = errors.Join(err, unix.Close(fd))
		}
	})
	return errors.Join(err, cerr)
}

// openBeneath opens a file below a folder, and gives its size.
func openBeneath(folder *os.File, rel string) (f *os.File, size int64, err error) {
	err = beneath(folder, rel, func(fd int, n int64) (bool, error) {
		f, size = os.NewFile(uintptr(fd), rel), n
		return true, nil
	})
	return f, size, err
}

// readBeneath reads a file below a folder whole, if it is not longer than buf, and gives its size.
func readBeneath(folder *os.File, rel string, buf []byte) (size int64, err error) {
	err = beneath(folder, rel, func(fd int, n int64) (bool, error) {
		size = n
		for got := 0; size <= int64(len(buf)) && got < int(size); {
			m, err := unix.Pread(fd, buf[got:size], int64(got))
			switch {
			case err == unix.EINTR:
				continue
			case err != nil:
				return false, err
			case m == 0: // it was cut meanwhile
				size = int64(got)
			}
			got += m
		}
		return false, nil
	})
	return size, err
}
