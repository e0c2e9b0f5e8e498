package rsync

import (
	"fmt"
	"slices"
	"strings"
)

// listReader decodes a list that a client sends.
type listReader struct {
	s     *session
	list  []*entry
	name  string
	last  entry // what the next entry may repeat
	names int64 // bytes of all names, targets and digests

	deletes string // before protocol 30: the last folder that was an argument; what is below it was listed whole
	deep    bool
	devs    map[[2]uint64]uint64
	groups  uint64
	first   map[int32]*entry
}

// maxNames bounds the texts of a list, and so does meanName for each file that it may have.
const (
	maxNames = 512 << 20
	meanName = 512
)

// readList gives a list by index, and in order.
func (s *session) readList() (byIndex, list []*entry, err error) {
	l := &listReader{s: s, devs: map[[2]uint64]uint64{}, first: map[int32]*entry{}}
	limit := s.maxFiles()
	if s.MaxPushed > 0 {
		limit = min(limit, s.MaxPushed)
	}
	held := int64(0) // of l.names
	names := min(maxNames, int64(limit)*meanName+1<<20)
	for {
		flags, end := l.flags()
		if s.r.err != nil {
			return nil, nil, s.r.err
		}
		if end {
			break
		}
		if len(l.list) >= limit {
			return nil, nil, &refusal{fmt.Sprintf("the list has more than %d files: push folders one by one", limit), ExitProtocol}
		}
		e, err := l.entry(flags)
		if err == nil {
			err = s.r.err
		}
		if err != nil {
			return nil, nil, err
		}
		if l.names += int64(len(e.name) + len(e.target) + len(e.digest)); l.names > names {
			return nil, nil, &refusal{"the list is too long: push folders one by one", ExitProtocol}
		}
		if len(l.list)%entriesPer == 0 {
			if !s.hold(entriesPer*entryCost + l.names - held) {
				return nil, nil, errNoMemory
			}
			held = l.names
		}
		l.list = append(l.list, e)
	}
	if err := l.ids(); err != nil {
		return nil, nil, err
	}
	if s.proto < 30 {
		s.ioError.Or(s.r.int() & 7)
	}
	var arrived []*entry // with --iconv, names may sort differently on the two sides: the order of arrival gives the indices
	if s.o.iconv {
		arrived = slices.Clone(l.list)
	}
	sortEntries(l.list, s.proto)
	if !s.o.iconv {
		arrived = l.list
	}
	for i, e := range arrived {
		e.ndx = int32(i)
	}
	markRepeated(l.list)
	return arrived, l.list, s.r.err
}

// flags reads the bits of the next entry, or the end.
func (l *listReader) flags() (flags uint32, end bool) {
	r := l.s.r
	if l.s.compat&compatVarint != 0 {
		flags = uint32(r.varint())
		if flags == 0 {
			l.s.ioError.Or(r.varint() & 7)
			return 0, true
		}
		return flags, false
	}
	flags = uint32(r.byte())
	if flags == 0 {
		return 0, true
	}
	if l.s.proto >= 28 && flags&xExtended != 0 {
		flags |= uint32(r.byte()) << 8
		if flags == xExtended|xLinkFirst && l.s.proto >= 30 {
			l.s.ioError.Or(r.varint() & 7)
			return 0, true
		}
	}
	return flags, false
}

func (l *listReader) entry(flags uint32) (*entry, error) {
	s, r := l.s, l.s.r
	same := 0
	if flags&xSameName != 0 {
		same = int(r.byte())
	}
	rest := 0
	if flags&xLongName != 0 {
		rest = int(r.varint30())
	} else {
		rest = int(r.byte())
	}
	if r.err != nil || same > len(l.name) || rest < 0 || same+rest > maxArg {
		r.fail(protocolError("an impossible file name"))
		return nil, r.err
	}
	l.name = l.name[:same] + r.text(rest, maxArg)
	if r.err != nil {
		return nil, r.err
	}
	name, err := checkName(l.name, s.o.relative)
	if err != nil {
		return nil, err
	}
	if s.o.hardLinks && s.proto >= 30 && flags&(xHardLink|xLinkFirst) == xHardLink {
		first := l.first[r.varint()]
		if first == nil {
			r.fail(protocolError("a hard link to what is not in the list"))
			return nil, r.err
		}
		e := *first
		e.name, e.linkFirst = name, false
		if name == "." {
			r.fail(protocolError("a hard link in the place of the destination"))
			return nil, r.err
		}
		l.last.mode, l.last.mtime = e.mode, e.mtime
		return &e, nil
	}
	e := &entry{name: name, size: r.varlong30(3), mtime: l.last.mtime, mode: l.last.mode}
	if flags&xSameTime == 0 {
		if s.proto >= 30 {
			e.mtime = r.varlong(4)
		} else {
			e.mtime = int64(uint32(r.int()))
		}
	}
	if s.proto >= 31 && flags&xNsec != 0 {
		e.nsec = uint32(r.varint())
	}
	if s.o.crtimes && flags&xCrtimeIsMtime == 0 {
		r.varlong(4)
	}
	if flags&xSameMode == 0 {
		e.mode = uint32(r.int())
	}
	kind := e.mode & modeType
	if s.o.atimes && kind != modeDir && flags&xSameAtime == 0 {
		r.varlong(4)
	}
	if s.o.owner && flags&xSameUID == 0 {
		l.id(flags&xUserName != 0)
	}
	if s.o.group && flags&xSameGID == 0 {
		l.id(flags&xGroupName != 0)
	}
	l.device(flags, kind)
	if kind == modeLink && s.o.links {
		if e.target = r.text(int(r.varint30()), maxArg); strings.ContainsRune(e.target, 0) || e.target == "" && r.err == nil {
			r.fail(protocolError("an impossible symbolic link"))
		}
	}
	l.hardLink(e, flags, kind)
	if s.o.checksum && (kind == modeFile || s.proto < 28) {
		e.digest = []byte(r.text(s.listSum.size, maxDigest))
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := checkEntry(e, s.o.deleteMissing); err != nil {
		return nil, err
	}
	l.last.mode, l.last.mtime = e.mode, e.mtime
	if e.isDir() {
		l.folder(e, flags)
	}
	if flags&xLinkFirst != 0 && s.o.hardLinks && s.proto >= 30 {
		l.groups++
		e.link, e.linkFirst = l.groups, true
		l.first[int32(len(l.list))] = e
	}
	return e, nil
}

// checkEntry refuses what no file has.
func checkEntry(e *entry, missing bool) error {
	ok := e.size >= 0 && e.nsec < 1e9 && e.mtime > -1<<55 && e.mtime < 1<<55 && e.mode&^(modeType|modePermish) == 0
	switch e.mode & modeType {
	case modeFile, modeDir, modeLink, modeChar, modeBlock, modeFIFO, modeSocket:
	case 0:
		ok = ok && missing && e.mode == 0
	default:
		ok = false
	}
	if !ok || e.name == "." && !e.isDir() {
		return protocolError(fmt.Sprintf("an impossible entry %q of mode %o and size %d", clip(e.name), e.mode, e.size))
	}
	return nil
}

// folder notes whether all that is in a folder is in the list.
func (l *listReader) folder(e *entry, flags uint32) {
	e.topDir = flags&xTopDir != 0
	switch {
	case l.s.proto >= 30:
		e.content = flags&xNoContent == 0
		e.implied = e.topDir && !e.content
	case e.topDir:
		e.content = l.s.o.recurse || l.s.o.dirs && e.name == "."
		l.deletes, l.deep = e.name, l.s.o.recurse
	case l.deep:
		e.content = l.deletes == "." || strings.HasPrefix(e.name, l.deletes+"/")
	}
}

func (l *listReader) id(named bool) {
	if l.s.proto < 30 {
		l.s.r.int()
		return
	}
	l.s.r.varint()
	if named {
		l.s.r.text(int(l.s.r.byte()), 255)
	}
}

// device passes over the numbers of devices, which are not made here.
func (l *listReader) device(flags, kind uint32) {
	s, r := l.s, l.s.r
	special := kind == modeFIFO || kind == modeSocket
	device := kind == modeChar || kind == modeBlock
	if !(s.o.devices && device || s.o.specials && special && s.proto < 31) {
		return
	}
	if s.proto < 28 {
		if flags&xSameRdevOld == 0 {
			r.int()
		}
		return
	}
	if flags&xSameRdevMajor == 0 {
		r.varint30()
	}
	switch {
	case s.proto >= 30:
		r.varint()
	case flags&xRdevMinor8 != 0:
		r.byte()
	default:
		r.int()
	}
}

// hardLink reads the numbers by which older protocols tell files that are one and the same.
func (l *listReader) hardLink(e *entry, flags, kind uint32) {
	s, r := l.s, l.s.r
	if !s.o.hardLinks || s.proto >= 30 || s.proto >= 28 && flags&xHardLink == 0 || s.proto < 28 && kind != modeFile {
		return
	}
	dev := l.last.dev
	if s.proto < 28 || flags&xSameDev == 0 {
		dev = uint64(r.longint())
	}
	ino := uint64(r.longint())
	l.last.dev = dev
	key := [2]uint64{dev, ino}
	if l.devs[key] == 0 {
		l.groups++
		l.devs[key] = l.groups
	}
	e.link = l.devs[key]
}

// ids passes over the names of owners and groups: here all belongs to one person.
func (l *listReader) ids() error {
	s, r := l.s, l.s.r
	if s.o.numericIDs {
		return r.err
	}
	for _, on := range []bool{s.o.owner, s.o.group} {
		if !on {
			continue
		}
		for n := 0; ; n++ {
			id := r.varint30()
			if r.err != nil {
				return r.err
			}
			if n > 1<<20 {
				return protocolError("too many owners")
			}
			if id == 0 && s.compat&compatIDZero == 0 {
				break
			}
			r.text(int(r.byte()), 255)
			if id == 0 {
				break
			}
		}
	}
	return r.err
}
