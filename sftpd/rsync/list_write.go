package rsync

// Flags of an entry on the wire. Some bits mean different things to folders, or by protocol.
const (
	xTopDir        = 1 << 0
	xSameMode      = 1 << 1
	xExtended      = 1 << 2
	xSameRdevOld   = 1 << 2 // protocol 27
	xSameUID       = 1 << 3
	xSameGID       = 1 << 4
	xSameName      = 1 << 5
	xLongName      = 1 << 6
	xSameTime      = 1 << 7
	xSameRdevMajor = 1 << 8
	xNoContent     = 1 << 8 // folders, protocol 30
	xHardLink      = 1 << 9
	xUserName      = 1 << 10
	xSameDev       = 1 << 10 // protocols 28 and 29
	xGroupName     = 1 << 11
	xRdevMinor8    = 1 << 11
	xLinkFirst     = 1 << 12
	xNsec          = 1 << 13
	xSameAtime     = 1 << 14
	xCrtimeIsMtime = 1 << 17
)

// listWriter codes a list: each entry tells what differs from the one before.
type listWriter struct {
	s     *session
	buf   []byte
	name  string
	mode  uint32
	mtime int64
	dev   uint64
	first bool
	sent  map[uint64]int32 // by group of hard links, the first's place in the order of sending
	n     int32
}

func newListWriter(s *session) *listWriter {
	return &listWriter{s: s, first: true, sent: map[uint64]int32{}, buf: make([]byte, 0, 8192)}
}

// end ends the list, with the names of the owner, and what went wrong while listing.
func (w *listWriter) end() error {
	s := w.s
	ioError := s.ioError.Load()
	if s.o.ignoreErrors {
		ioError = 0
	}
	safe := s.compat&compatSafeList != 0 || s.proto >= 31
	switch {
	case s.compat&compatVarint != 0:
		w.buf = appendVarint(append(w.buf, 0), ioError)
	case ioError != 0 && safe && s.proto >= 30:
		w.buf = appendVarint(append(w.buf, xExtended, xLinkFirst>>8), ioError)
	default:
		w.buf = append(w.buf, 0)
	}
	if !s.o.numericIDs {
		for _, on := range []bool{s.o.owner || s.o.acls, s.o.group || s.o.acls} {
			if !on {
				continue
			}
			w.buf = s.append30(w.buf, 0) // no names: all belongs to id 0, which stays a number
			if s.compat&compatIDZero != 0 {
				w.buf = append(w.buf, 0)
			}
		}
	}
	if s.proto < 30 {
		w.buf = appendInt(w.buf, ioError)
	} else if ioError != 0 && !safe {
		s.w.bytes(w.buf)
		w.buf = w.buf[:0]
		s.w.message(msgIOError, appendInt(nil, ioError))
	}
	s.w.bytes(w.buf)
	return s.w.flush()
}

func (s *session) append30(b []byte, v int32) []byte {
	if s.proto >= 30 {
		return appendVarint(b, v)
	}
	return appendInt(b, v)
}

func (s *session) appendLong30(b []byte, v int64, least int) []byte {
	if s.proto >= 30 {
		return appendVarlong(b, v, least)
	}
	return appendLongint(b, v)
}

// entry codes one entry. Owner and group are 0 for all.
func (w *listWriter) entry(e *entry) {
	s := w.s
	if len(w.buf) > 3500 {
		s.w.bytes(w.buf)
		w.buf = w.buf[:0]
	}
	flags := uint32(0)
	if e.isDir() {
		switch {
		case s.proto < 30:
			flags |= bit(e.topDir, xTopDir)
		case e.content:
			flags |= bit(e.topDir, xTopDir)
		case e.implied:
			flags |= xTopDir | xNoContent
		default:
			flags |= xNoContent
		}
	}
	if !w.first || !s.o.owner {
		flags |= xSameUID
	}
	if !w.first || !s.o.group {
		flags |= xSameGID
	}
	w.first = false
	flags |= bit(e.mode == w.mode, xSameMode) | bit(e.mtime == w.mtime, xSameTime)
	flags |= bit(s.proto >= 31 && e.nsec != 0, xNsec)
	flags |= bit(s.o.atimes && !e.isDir() && e.mtime == w.mtime, xSameAtime)
	flags |= bit(s.o.crtimes && s.compat&compatVarint != 0, xCrtimeIsMtime)
	follower := int32(-1)
	if s.o.hardLinks && !e.isDir() && e.link != 0 && s.proto >= 28 {
		flags |= xHardLink
		if s.proto >= 30 {
			if at, ok := w.sent[e.link]; ok {
				follower = at
			} else {
				flags |= xLinkFirst
				w.sent[e.link] = w.n
			}
		} else {
			flags |= bit(e.dev == w.dev, xSameDev)
		}
	}
	w.n++
	same := 0
	for n := min(len(e.name), len(w.name), 255); same < n && e.name[same] == w.name[same]; {
		same++
	}
	rest := e.name[same:]
	flags |= bit(same > 0, xSameName) | bit(len(rest) > 255, xLongName)
	w.flags(flags, e.isDir())
	if w.long(flags, e.isDir()) {
		flags |= xLongName
	}
	if same > 0 {
		w.buf = append(w.buf, byte(same))
	}
	if flags&xLongName != 0 {
		w.buf = s.append30(w.buf, int32(len(rest)))
	} else {
		w.buf = append(w.buf, byte(len(rest)))
	}
	w.buf = append(w.buf, rest...)
	w.name = e.name
	if follower >= 0 {
		w.buf = appendVarint(w.buf, follower)
		return // the receiver has it all with the first of the group
	}
	w.buf = s.appendLong30(w.buf, e.size, 3)
	if flags&xSameTime == 0 {
		if s.proto >= 30 {
			w.buf = appendVarlong(w.buf, e.mtime, 4)
		} else {
			w.buf = appendInt(w.buf, int32(uint32(e.mtime)))
		}
	}
	if flags&xNsec != 0 {
		w.buf = appendVarint(w.buf, int32(e.nsec))
	}
	if s.o.crtimes && flags&xCrtimeIsMtime == 0 {
		w.buf = appendVarlong(w.buf, e.mtime, 4)
	}
	if flags&xSameMode == 0 {
		w.buf = appendInt(w.buf, int32(e.mode))
	}
	if s.o.atimes && !e.isDir() && flags&xSameAtime == 0 {
		w.buf = appendVarlong(w.buf, e.mtime, 4)
	}
	if s.o.owner && flags&xSameUID == 0 {
		w.buf = s.append30(w.buf, 0)
	}
	if s.o.group && flags&xSameGID == 0 {
		w.buf = s.append30(w.buf, 0)
	}
	w.mode, w.mtime = e.mode, e.mtime
	if e.isLink() && s.o.links {
		w.buf = append(s.append30(w.buf, int32(len(e.target))), e.target...)
	}
	if s.o.hardLinks && (s.proto == 28 || s.proto == 29) && flags&xHardLink != 0 || s.o.hardLinks && s.proto < 28 && e.isFile() {
		if flags&xSameDev == 0 || s.proto < 28 {
			w.buf = appendLongint(w.buf, int64(e.dev)+1)
		}
		w.buf = appendLongint(w.buf, int64(e.ino))
		w.dev = e.dev
	}
	if s.o.checksum && (e.isFile() || s.proto < 28) {
		sum := e.digest
		if sum == nil {
			sum = make([]byte, s.listSum.size)
		}
		w.buf = append(w.buf, sum...)
	}
	if s.o.acls && !e.isLink() { // nothing beyond the permissions; folders say so of what is made in them too
		w.buf = append(w.buf, 0, 0)
		if e.isDir() {
			w.buf = append(w.buf, 0, 0)
		}
	}
	if s.o.xattrs {
		w.buf = append(w.buf, 0, 0)
	}
}

// flags writes the bits; none at all would be the end of the list.
func (w *listWriter) flags(flags uint32, dir bool) {
	switch {
	case w.s.compat&compatVarint != 0:
		if flags == 0 {
			flags = xExtended
		}
		w.buf = appendVarint(w.buf, int32(flags))
	case w.s.proto >= 28:
		if flags == 0 && !dir {
			flags = xTopDir
		}
		if flags&0xff00 != 0 || flags == 0 {
			w.buf = append(w.buf, byte(flags)|xExtended, byte(flags>>8))
		} else {
			w.buf = append(w.buf, byte(flags))
		}
	case byte(flags) == 0:
		w.buf = append(w.buf, byte(bit(dir, xLongName)|bit(!dir, xTopDir)))
	default:
		w.buf = append(w.buf, byte(flags))
	}
}

// long tells that flags has said a long name where none is, as protocol 27 has no other bit to set for a folder.
func (w *listWriter) long(flags uint32, dir bool) bool {
	return w.s.proto < 28 && byte(flags) == 0 && dir
}

func bit(on bool, v uint32) uint32 {
	if on {
		return v
	}
	return 0
}

// totalSize is what the client is told of the size of all files.
func totalSize(list []*entry) (n int64) {
	for _, e := range list {
		if e.isFile() || e.isLink() {
			n += e.size
		}
	}
	return n
}
