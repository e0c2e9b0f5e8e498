package lake

import (
	"os"

	"golang.org/x/sys/windows"
)

// syncDir does nothing: NTFS journals names, and a folder handle cannot be flushed.
func syncDir(*os.File) error { return nil }

// Free gives the bytes that are free to this process on the disk of a folder.
func Free(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return int64(free), nil
}
