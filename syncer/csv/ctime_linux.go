package csv

import (
	"fmt"
	"io/fs"
	"syscall"
)

func changeTime(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d.%d %d", st.Ctim.Sec, st.Ctim.Nsec, st.Ino)
}
