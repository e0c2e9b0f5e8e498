//go:build !unix

package rsync

import "io/fs"

func identity(fs.FileInfo) (dev, ino uint64, links int) { return 0, 0, 1 }
