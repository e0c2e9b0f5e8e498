package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"strconv"

	"github.com/pkg/sftp"
)

// What a client does with files is done where its requests are read: in the library each goes through the hands of five
// goroutines, which costs more than a page of a file does. What the client has sent ahead waits in the window of its channel
// meanwhile, and is decrypted.

// Flags of a request to open a file.
const (
	openRead   = 0x01
	openWrite  = 0x02
	openAppend = 0x04
	openCreate = 0x08
	openTrunc  = 0x10
	openNew    = 0x20
)

// openFile answers a request to open a file, which is still to be read. The mode that it may bring is not heeded.
func (s *shim) openFile(left int) error {
	body := make([]byte, left)
	if _, err := io.ReadFull(s.ch, body); err != nil {
		return err
	}
	id, rest, ok := take32(body)
	if !ok {
		return errPacket
	}
	name, rest, ok := takeString(rest)
	flags, _, ok2 := take32(rest)
	if !ok || !ok2 {
		return s.reply(statusReply(id, sftp.ErrSSHFxBadMessage))
	}
	f, err := s.h.openFile(path.Join("/", name), flags)
	if err != nil {
		return s.reply(statusReply(id, err))
	}
	return s.reply(appendString(binary.BigEndian.AppendUint32([]byte{typeHandle}, id), f.handle))
}

// openFile opens a file for reading, for writing, or for both.
func (h *handlers) openFile(name string, flags uint32) (*openFile, error) {
	op := "read"
	if flags&^openRead != 0 {
		op = "write"
	}
	return safely(h, op, name, func() (*openFile, error) {
		if err := h.room(); err != nil {
			return nil, err
		}
		f := &openFile{path: name, append: flags&openAppend != 0}
		switch {
		case flags&(openWrite|openAppend|openCreate|openTrunc) != 0:
			w, err := h.t.Create(name, createFlags(flags))
			if err != nil {
				return nil, err
			}
			f.r, f.w = w, w
		case flags&openRead != 0:
			r, _, err := h.t.Open(name)
			if err != nil {
				return nil, err
			}
			h.read.Store(true)
			f.r = r
		default:
			return nil, errors.New("a file is opened for reading, for writing, or for both: none was asked for")
		}
		h.mu.Lock()
		h.opened++
		handle := "f" + strconv.Itoa(h.opened) // the library's are numbers
		h.mu.Unlock()
		return h.keep(handle, f), nil
	})
}

// createFlags are those of package os.
func createFlags(flags uint32) int {
	how := os.O_WRONLY
	if flags&openRead != 0 {
		how = os.O_RDWR
	}
	for flag, also := range map[uint32]int{openCreate: os.O_CREATE, openTrunc: os.O_TRUNC, openNew: os.O_EXCL} {
		if flags&flag != 0 {
			how |= also
		}
	}
	return how
}

// readFile answers a request for content: its offset and length are still to be read.
func (s *shim) readFile(f *openFile, id uint32, left int) error {
	at, n, ok, err := s.span(left)
	if err != nil {
		return err
	}
	if left != 12 || !ok {
		return s.refuse(id, left-12)
	}
	n = min(n, maxPacket)
	packet := s.buffer(13 + n)
	n, err = f.readAt(packet[13:], at)
	if err != nil && (err != io.EOF || n == 0) {
		return s.reply(statusReply(id, err))
	}
	binary.BigEndian.PutUint32(packet, uint32(9+n))
	packet[4] = typeData
	binary.BigEndian.PutUint32(packet[5:], id)
	binary.BigEndian.PutUint32(packet[9:], uint32(n))
	return s.put(packet[:13+n])
}

// writeFile takes content: its offset, its length and itself are still to be read.
func (s *shim) writeFile(f *openFile, id uint32, left int) error {
	at, n, ok, err := s.span(left)
	if err != nil {
		return err
	}
	if left -= 12; !ok || n > left {
		return s.refuse(id, left)
	}
	p := s.buffer(n)
	if _, err := io.ReadFull(s.ch, p); err != nil {
		return err
	}
	if err := s.skip(left - n); err != nil {
		return err
	}
	return s.reply(statusReply(id, f.write(p, at)))
}

// span reads an offset and a length, if the packet has so much left. A length beyond that of packets is as good as theirs.
func (s *shim) span(left int) (at int64, n int, ok bool, err error) {
	var b [12]byte
	if left < len(b) {
		return 0, 0, false, s.skip(left)
	}
	if _, err := io.ReadFull(s.ch, b[:]); err != nil {
		return 0, 0, false, err
	}
	offset := binary.BigEndian.Uint64(b[:])
	return int64(offset), int(min(binary.BigEndian.Uint32(b[8:]), maxIn)), offset <= math.MaxInt64, nil
}

// refuse skips what is left of a packet that means nothing.
func (s *shim) refuse(id uint32, left int) error {
	if err := s.skip(left); err != nil {
		return err
	}
	return s.reply(statusReply(id, sftp.ErrSSHFxBadMessage))
}

func (s *shim) skip(left int) error {
	if left <= 0 {
		return nil
	}
	_, err := io.CopyN(io.Discard, s.ch, int64(left))
	return err
}

func (s *shim) buffer(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, n, min(max(n, 2*cap(s.buf)), maxIn))
	}
	return s.buf[:n]
}
