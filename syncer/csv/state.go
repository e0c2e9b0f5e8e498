package csv

import (
	"fmt"
	"io/fs"
)

// stateOf names one state of a file. The status-change time moves with every write, also with one that sets the
// modification time back.
func stateOf(name string, info fs.FileInfo) string {
	return fmt.Sprintf("%s %d %d %s", name, info.Size(), info.ModTime().UnixNano(), changeTime(info))
}
