//go:build unix

package rsync

import (
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// SetLinkTime sets the time of a symbolic link itself.
func (d Dir) SetLinkTime(name string, mtime time.Time) error {
	parent, err := d.Root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	t := unix.NsecToTimespec(mtime.UnixNano())
	return unix.UtimesNanoAt(int(parent.Fd()), path.Base(name), []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
