//go:build unix

package rsync

import (
	"io/fs"
	"syscall"
)

// identity tells files apart that are one and the same under several names.
func identity(info fs.FileInfo) (dev, ino uint64, links int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), uint64(st.Ino), int(st.Nlink)
	}
	return 0, 0, 1
}
