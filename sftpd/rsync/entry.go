package rsync

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bits of a mode as it is on the wire.
const (
	modeType    = 0o170000
	modeDir     = 0o040000
	modeFile    = 0o100000
	modeLink    = 0o120000
	modeChar    = 0o020000
	modeBlock   = 0o060000
	modeFIFO    = 0o010000
	modeSocket  = 0o140000
	modePermish = 0o7777
)

// entry is one line of a list of files.
type entry struct {
	name    string // as it is sent
	path    string // in the tree, where that is another; with inside, of the folder that it is in
	size    int64
	mtime   int64
	nsec    uint32
	mode    uint32
	target  string // of a symbolic link
	digest  []byte // with --checksum
	ndx     int32  // of a receiver: how both sides call it
	inside  bool
	topDir  bool
	content bool // a folder whose content is in the list
	implied bool // a folder that is only on the way to something
	fresh   bool // of a receiver: was made in this session
	skip    bool // a repeated name: it keeps its index and is nothing else

	linkFirst bool   // is the one of its group that came with all that they share
	link      uint64 // with --hard-links: number of the group, from 1
	dev, ino  uint64
}

func (e *entry) isDir() bool  { return e.mode&modeType == modeDir }
func (e *entry) isFile() bool { return e.mode&modeType == modeFile }
func (e *entry) isLink() bool { return e.mode&modeType == modeLink }

// where is the entry's place in the tree.
func (e *entry) where() string {
	switch {
	case e.path == "":
		return e.name
	case !e.inside:
		return e.path
	case e.path == ".":
		return path.Base(e.name)
	}
	return e.path + "/" + path.Base(e.name)
}

// wireMode gives a mode as it is on the wire; 0 is a kind of file that is not sent.
func wireMode(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	out |= bit(m&fs.ModeSetuid != 0, 0o4000) | bit(m&fs.ModeSetgid != 0, 0o2000) | bit(m&fs.ModeSticky != 0, 0o1000)
	switch {
	case m.IsRegular():
		return out | modeFile
	case m.IsDir():
		return out | modeDir
	case m&fs.ModeSymlink != 0:
		return out | modeLink
	}
	return 0
}

func goMode(m uint32) fs.FileMode {
	out := fs.FileMode(m & 0o777)
	if m&0o4000 != 0 {
		out |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		out |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		out |= fs.ModeSticky
	}
	return out
}

// compareNames is the order that both sides give the list, from which the indices follow. Before protocol 29 it is that of
// the bytes. Later, "." comes first, then in each folder all that are not folders, then the folders, each with what is in
// it, as if its name ended with a slash.
func compareNames(a, b string, aDir, bDir bool, proto int) int {
	if proto < 29 {
		return strings.Compare(a, b)
	}
	if a == "." && aDir || b == "." && bDir {
		switch {
		case a == b:
			return 0
		case a == "." && aDir:
			return -1
		}
		return 1
	}
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	start := strings.LastIndexByte(a[:i], '/') + 1 // of the first parts that differ
	aFolder := aDir || strings.IndexByte(a[start:], '/') >= 0
	bFolder := bDir || strings.IndexByte(b[start:], '/') >= 0
	if aFolder != bFolder {
		if bFolder {
			return -1
		}
		return 1
	}
	x, y := 0, 0 // the bytes at i; the end of a folder is a slash, behind it is nothing
	if i < len(a) {
		x = int(a[i]) + 1
	} else if aFolder {
		x = '/' + 1
	}
	if i < len(b) {
		y = int(b[i]) + 1
	} else if bFolder {
		y = '/' + 1
	}
	if x == y { // one is a folder, the other in it
		return len(a) - len(b)
	}
	return x - y
}

// sortEntries puts a list in order and marks repeated names: a folder wins over a file, else the first. The order among
// equals is that of their arrival.
func sortEntries(list []*entry, proto int) {
	cmp := func(a, b *entry) int { return compareNames(a.name, b.name, a.isDir(), b.isDir(), proto) }
	if !slices.IsSortedFunc(list, cmp) {
		slices.SortStableFunc(list, cmp)
	}
}

// markRepeated does what a receiver does with repeated names.
func markRepeated(list []*entry) {
	seen := make(map[string]*entry, len(list))
	for _, e := range list {
		have := seen[e.name]
		switch {
		case have == nil:
			seen[e.name] = e
		case e.isDir() && !have.isDir():
			have.skip = true
			seen[e.name] = e
		default:
			if have.isDir() && e.isDir() {
				have.topDir, have.content = have.topDir || e.topDir, have.content || e.content
				have.implied = have.implied && e.implied
			}
			e.skip = true
		}
	}
}

// maxNesting is how many folders a name that a client sends may be in: some of what is kept grows with the folders of each name.
const maxNesting = 256

// checkName gives the form of a name that a client sends, or an error: it must stay below the destination.
func checkName(name string, relative bool) (string, error) {
	if len(name) == 0 || len(name) > maxArg || strings.IndexByte(name, 0) >= 0 {
		return "", protocolError(fmt.Sprintf("an impossible file name %q", clip(name)))
	}
	if name[0] == '/' && !relative {
		return "", protocolError(fmt.Sprintf("an absolute file name %q", clip(name)))
	}
	if strings.Count(name, "/") > maxNesting {
		return "", &refusal{fmt.Sprintf("%q is nested too deep", clip(name)), ExitFileSelect}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." || len(part) > 255 {
			return "", protocolError(fmt.Sprintf("an impossible file name %q", clip(name)))
		}
	}
	return path.Clean(strings.TrimLeft(name, "/")), nil
}

// escape makes a name fit for a person's screen, in the way of rsync: bytes that a terminal could act on as \#ooo.
func escape(name string) string {
	clean := true
	for i := 0; i < len(name); i++ {
		clean = clean && name[i] >= ' ' && name[i] != 127
	}
	if clean {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < ' ' && c != '\t' || c == 127 {
			fmt.Fprintf(&b, "\\#%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
