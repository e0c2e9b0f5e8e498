package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"aida/sftpd/tree"
)

// shim stands between an SFTP channel and the library's server. It adds the extensions of OpenSSH that the library does
// not know, of which limits@openssh.com matters most: without it clients ask for 32 KiB at a time. All other packets pass.
// Wire format: draft-ietf-secsh-filexfer-02, and PROTOCOL of OpenSSH for the extensions.
type shim struct {
	ch io.ReadWriteCloser

	in     []byte // bytes of a packet that is passed on, not yet taken
	inLeft int    // bytes of that packet still in the channel

	mu      sync.Mutex
	outLeft int      // bytes of the library's packet still to come
	head    []byte   // of the library's first packet, held back to be extended
	started bool     // the first packet is through
	waiting [][]byte // answers of ours that wait for a packet's end
}

func newShim(ch io.ReadWriteCloser) *shim { return &shim{ch: ch} }

// Packet types of SFTP version 3.
const (
	typeVersion  = 2
	typeStatus   = 101
	typeName     = 104
	typeExtended = 200
	typeReply    = 201

	// maxIn is the longest packet that is taken: the largest write, with room for its path and header.
	maxIn = maxPacket + 32*1024
)

var errPacket = errors.New("sftp: a packet has an impossible length")

func (s *shim) Close() error { return s.ch.Close() }

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

// next reads a packet's head, and the whole packet when it is a request for an extension.
func (s *shim) next() error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(s.ch, head); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head)
	if length < 1 || length > maxIn {
		return errPacket
	}
	if head[4] != typeExtended {
		s.in, s.inLeft = head, int(length)-1
		return nil
	}
	body := make([]byte, length-1)
	if _, err := io.ReadFull(s.ch, body); err != nil {
		return err
	}
	if reply := answer(body); reply != nil {
		return s.reply(reply)
	}
	s.in = append(head, body...)
	return nil
}

// answer gives the reply to a request that the shim knows, without its length, or nil.
func answer(body []byte) []byte {
	id, rest, ok := take32(body)
	name, rest, ok2 := takeString(rest)
	if !ok || !ok2 {
		return nil
	}
	switch name {
	case "limits@openssh.com":
		out := binary.BigEndian.AppendUint32([]byte{typeReply}, id)
		for _, v := range []uint64{maxIn, maxPacket, maxPacket, 0} { // packet, read, write, open handles (0 = not said)
			out = binary.BigEndian.AppendUint64(out, v)
		}
		return out
	case "expand-path@openssh.com":
		p, _, ok := takeString(rest)
		if !ok {
			return failure(id, 5, "bad message")
		}
		return nameReply(id, tree.Clean(p))
	case "home-directory":
		return nameReply(id, "/")
	}
	return nil
}

func nameReply(id uint32, p string) []byte {
	out := binary.BigEndian.AppendUint32([]byte{typeName}, id)
	out = binary.BigEndian.AppendUint32(out, 1)
	out = appendString(appendString(out, p), p)
	return binary.BigEndian.AppendUint32(out, 0) // no attributes
}

func failure(id, code uint32, text string) []byte {
	out := binary.BigEndian.AppendUint32([]byte{typeStatus}, id)
	out = binary.BigEndian.AppendUint32(out, code)
	return appendString(appendString(out, text), "")
}

func take32(b []byte) (uint32, []byte, bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

func takeString(b []byte) (string, []byte, bool) {
	n, rest, ok := take32(b)
	if !ok || uint64(n) > uint64(len(rest)) {
		return "", nil, false
	}
	return string(rest[:n]), rest[n:], true
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// reply sends a packet of the shim's own between two of the library's.
func (s *shim) reply(body []byte) error {
	packet := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || s.outLeft > 0 || len(s.head) > 0 {
		if len(s.waiting) > 64 {
			return errPacket
		}
		s.waiting = append(s.waiting, packet)
		return nil
	}
	_, err := s.ch.Write(packet)
	return err
}

// extensions are announced behind the library's own.
var extensions = []string{"limits@openssh.com", "1", "expand-path@openssh.com", "1", "home-directory", "1"}

// Write takes the library's packets, in whatever pieces they come.
func (s *shim) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := len(p)
	for len(p) > 0 {
		if s.outLeft == 0 { // at a packet's beginning: its length decides where the next one begins
			take := min(4-len(s.head), len(p))
			s.head, p = append(s.head, p[:take]...), p[take:]
			if len(s.head) < 4 {
				break
			}
			s.outLeft = int(binary.BigEndian.Uint32(s.head))
			if s.started {
				if len(p) == 0 { // hold the length back until its packet comes, as one write is one SSH packet
					break
				}
				take := min(s.outLeft, len(p))
				if _, err := s.ch.Write(append(s.head, p[:take]...)); err != nil {
					return 0, err
				}
				s.outLeft -= take
				s.head, p = s.head[:0], p[take:]
			}
			if err := s.flush(); err != nil {
				return 0, err
			}
			continue
		}
		take := min(s.outLeft, len(p))
		var err error
		switch {
		case !s.started:
			s.head = append(s.head, p[:take]...)
		case len(s.head) > 0:
			_, err = s.ch.Write(append(s.head, p[:take]...))
			s.head = s.head[:0]
		default:
			_, err = s.ch.Write(p[:take])
		}
		if err != nil {
			return 0, err
		}
		s.outLeft -= take
		p = p[take:]
		if s.outLeft == 0 && !s.started {
			if err := s.version(); err != nil {
				return 0, err
			}
		}
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// version sends the first packet with our extensions added.
func (s *shim) version() error {
	packet := s.head
	if len(packet) > 4 && packet[4] == typeVersion {
		for _, e := range extensions {
			packet = appendString(packet, e)
		}
		binary.BigEndian.PutUint32(packet, uint32(len(packet)-4))
	}
	s.started, s.head = true, nil
	_, err := s.ch.Write(packet)
	return err
}

// flush sends answers that waited, when no packet is half sent.
func (s *shim) flush() error {
	if s.outLeft > 0 || len(s.head) > 0 || !s.started {
		return nil
	}
	for _, w := range s.waiting {
		if _, err := s.ch.Write(w); err != nil {
			return err
		}
	}
	s.waiting = nil
	return nil
}
