//go:build unix

package lake

import (
	"os"

	"golang.org/x/sys/unix"
)

func syncDir(d *os.File) error { return d.Sync() }

// Free gives the bytes that are free to this process on the disk of a folder.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
