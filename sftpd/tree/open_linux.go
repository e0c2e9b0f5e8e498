package tree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openBeneath opens a file below a folder with one call of the system, openat2(2), where os.Root takes one for each folder on
// the way. The kernel keeps to the folder by the same rules: links that lead out of it, and absolute ones, are not followed.
// Whoever gets an error asks os.Root, which knows what it means: old kernels and some sandboxes have no such call.
func openBeneath(folder *os.File, rel string) (*os.File, error) {
	raw, err := folder.SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	cerr := raw.Control(func(fd uintptr) {
		var n int
		n, err = unix.Openat2(int(fd), rel, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_LARGEFILE, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
		if err == nil {
			f = os.NewFile(uintptr(n), rel)
		}
	})
	return f, errors.Join(err, cerr)
}
