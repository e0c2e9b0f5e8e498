package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// shim stands between an SFTP channel and the library's server. It answers requests that the library does not know (see
// extension.go), and all that has to do with files: open, read, write, describe, close (see content.go). Those of folders and
// names pass. Answers go out in the order of the requests. It also joins what the library writes in pieces, as each write becomes
// an SSH packet of its own.
// Wire format: draft-ietf-secsh-filexfer-02, and the file PROTOCOL of OpenSSH for the extensions.
type shim struct {
	ch io.ReadWriteCloser
	h  *handlers

	head   [13 + maxHandle]byte
	in     []byte // bytes of a packet that is passed on, not yet taken
	inLeft int    // bytes of that packet still in the channel
	buf    []byte // content of a read or a write

	mu       sync.Mutex
	settled  sync.Cond
	out      []byte // the packet's beginning, not yet sent
	outLeft  int    // bytes of the library's packet still to come
	started  bool   // the first packet is through
	passed   int    // requests that the library was given
	answered int    // of them
	broken   error  // the channel took no more
}

func newShim(ch io.ReadWriteCloser, h *handlers) *shim {
	s := &shim{ch: ch, h: h}
	s.settled.L = &s.mu
	return s
}

// Packet types of SFTP version 3.
const (
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeFstat    = 8
	typeFsetstat = 10
	typeReaddir  = 12
	typeStatus   = 101
	typeHandle   = 102
	typeData     = 103
	typeName     = 104
	typeAttrs    = 105
	typeExtended = 200
	typeReply    = 201
)

const (
	// maxIn is the longest packet that is taken; the library and OpenSSH have the same limit.
	maxIn = 256 * 1024
	// maxPacket is what limits@openssh.com promises for reads and writes, as OpenSSH's own server does.
	maxPacket = maxIn - 1024
	// sshPacket is the most that goes into one SSH packet to stock clients (RFC 4254 section 5.2).
	sshPacket = 32 * 1024
	// maxHandle is longer than any handle: those of files are numbers behind an f, those of folders, which the library gives, numbers.
	maxHandle = 20
)

var (
	errPacket = errors.New("sftp: a packet has an impossible length")
	errHandle = errors.New("the handle is not open")
)

func (s *shim) Close() error {
	err := s.ch.Close()
	s.mu.Lock()
	s.broken = io.ErrClosedPipe
	s.mu.Unlock()
	s.settled.Signal()
	return err
}

// Read gives the library the client's packets, without those that the shim answers.
func (s *shim) Read(p []byte) (int, error) {
	for {
		if len(s.in) > 0 {
			n := copy(p, s.in)
			s.in = s.in[n:]
			return n, nil
		}
		if s.inLeft > 0 {
			n, err := s.ch.Read(p[:min(len(p), s.inLeft)])
			s.inLeft -= n
			return n, err
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
}

// next reads a packet's head, and the whole packet when it may be one for the shim.
func (s *shim) next() error {
	if _, err := io.ReadFull(s.ch, s.head[:5]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(s.head[:])
	if length < 1 || length > maxIn {
		return errPacket
	}
	left := int(length) - 1
	switch kind := s.head[4]; kind {
	case typeOpen, typeClose, typeRead, typeWrite, typeFstat, typeFsetstat, typeReaddir, typeExtended:
		if err := s.settle(); err != nil {
			return err
		}
		switch kind {
		case typeOpen:
			return s.openFile(left)
		case typeExtended:
			return s.whole(kind, 5, left)
		}
		return s.onHandle(kind, left)
	}
	s.pass(s.head[:5], left)
	return nil
}

// onHandle reads a packet that acts on a handle. The library sees only handles that its client was given: while it opens a
// file, it changes what stands behind the handle without a lock, and a client may guess the next one.
func (s *shim) onHandle(kind byte, left int) error {
	if left < 8 {
		return errPacket
	}
	if _, err := io.ReadFull(s.ch, s.head[5:13]); err != nil {
		return err
	}
	id, n := binary.BigEndian.Uint32(s.head[5:]), int(binary.BigEndian.Uint32(s.head[9:]))
	left -= 8
	var f *openFile
	if n <= min(left, maxHandle) {
		if _, err := io.ReadFull(s.ch, s.head[13:13+n]); err != nil {
			return err
		}
		left -= n
		f = s.h.find(string(s.head[13 : 13+n]))
	}
	switch {
	case f == nil:
		if err := s.skip(left); err != nil {
			return err
		}
		return s.reply(statusReply(id, errHandle))
	case f.r != nil && kind == typeRead:
		return s.readFile(f, id, left)
	case f.w != nil && kind == typeWrite:
		return s.writeFile(f, id, left)
	case f.r != nil && kind == typeClose:
		if err := s.skip(left); err != nil {
			return err
		}
		return s.reply(statusReply(id, f.Close()))
	case f.r != nil && (kind == typeFstat || kind == typeFsetstat):
		return s.whole(kind, 13+n, left)
	}
	s.pass(s.head[:13+n], left)
	return nil
}

// whole reads the rest of a packet, of which head holds the first bytes, and answers it or passes it on.
func (s *shim) whole(kind byte, head, left int) error {
	packet := make([]byte, head+left)
	copy(packet, s.head[:head])
	if _, err := io.ReadFull(s.ch, packet[head:]); err != nil {
		return err
	}
	if reply := s.h.answer(kind, packet[5:]); reply != nil {
		return s.reply(reply)
	}
	s.pass(packet, 0)
	return nil
}

// pass gives a packet to the library: its beginning, and so many bytes that are still in the channel.
func (s *shim) pass(head []byte, left int) {
	s.in, s.inLeft = head, left
	s.mu.Lock()
	s.passed++
	s.mu.Unlock()
}

// settle waits until the library has answered all that it was given: a client may make a folder and open a file in it without
// waiting in between, and the library works in goroutines of its own.
func (s *shim) settle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.passed > s.answered && s.broken == nil {
		s.settled.Wait()
	}
	return s.broken
}

// reply sends an answer of the shim's own, behind all that the library had to say.
func (s *shim) reply(body []byte) error {
	return s.put(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
}

// put is reply for a packet with its length.
func (s *shim) put(packet []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return errPacket // a request before the greeting
	}
	if s.broken != nil {
		return s.broken
	}
	return s.send(packet)
}

func (s *shim) send(p []byte) error {
	_, err := s.ch.Write(p)
	if err != nil {
		s.broken = err
		s.settled.Signal()
	}
	return err
}

// Write takes the library's packets, in whatever pieces they come.
func (s *shim) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := len(p)
	for len(p) > 0 {
		n, err := s.take(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
		if s.outLeft > 0 || len(s.out) > 0 {
			continue
		}
		s.answered++
		s.settled.Signal()
	}
	return total, nil
}

// take takes a piece of the current packet and sends what fills an SSH packet, or ends this one.
func (s *shim) take(p []byte) (int, error) {
	if s.outLeft == 0 { // at a packet's beginning: its length decides where the next one begins
		n := min(4-len(s.out), len(p))
		s.out = append(s.out, p[:n]...)
		if len(s.out) == 4 {
			s.outLeft = int(binary.BigEndian.Uint32(s.out))
		}
		return n, nil
	}
	if len(s.out) == 0 { // the rest of a long packet
		n := min(s.outLeft, len(p))
		s.outLeft -= n
		return n, s.send(p[:n])
	}
	n := min(s.outLeft, len(p), sshPacket-len(s.out))
	s.out = append(s.out, p[:n]...)
	s.outLeft -= n
	if s.outLeft > 0 && len(s.out) < sshPacket {
		return n, nil
	}
	if !s.started {
		s.started = true
		s.out = announce(s.out)
	}
	err := s.send(s.out)
	s.out = s.out[:0]
	return n, err
}
