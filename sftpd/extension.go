package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"runtime/debug"

	"aida/sftpd/tree"

	"github.com/pkg/sftp"
)

// extensions are announced behind the library's own (hardlink, posix-rename, statvfs), with their versions.
var extensions = []string{
	"limits@openssh.com", "1", "expand-path@openssh.com", "1", "home-directory", "1", "fsync@openssh.com", "1",
	"lsetstat@openssh.com", "1", "fstatvfs@openssh.com", "2", "copy-data", "1",
}

// announce adds the extensions to the library's greeting.
func announce(packet []byte) []byte {
	if len(packet) > 4 && packet[4] == typeVersion {
		for _, e := range extensions {
			packet = appendString(packet, e)
		}
		binary.BigEndian.PutUint32(packet, uint32(len(packet)-4))
	}
	return packet
}

// answer gives the reply to a request, without its length, or nil when the library is to answer.
func (h *handlers) answer(kind byte, body []byte) (reply []byte) {
	id, rest, ok := take32(body)
	if !ok {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic in sftp", "packet", kind, "panic", p, "stack", string(debug.Stack()))
			reply = statusReply(id, errors.New("an internal error happened, it is in the server's log"))
		}
	}()
	name, rest, ok := takeString(rest)
	if !ok {
		return nil
	}
	if kind == typeExtended {
		return h.extended(id, name, rest)
	}
	f := h.find(name)
	if f == nil || f.r == nil {
		return nil
	}
	switch kind {
	case typeFstat:
		info, err := f.stat()
		if err != nil {
			return statusReply(id, err)
		}
		return attributesReply(id, info)
	case typeFsetstat:
		if len(rest) < 4 {
			return statusReply(id, sftp.ErrSSHFxBadMessage)
		}
		a, ok := parseAttributes(rest[:4], rest[4:])
		if !ok {
			return statusReply(id, sftp.ErrSSHFxBadMessage)
		}
		if f.w == nil {
			return statusReply(id, h.set(f.path, a, h.t.Set))
		}
		return statusReply(id, h.set(f.path, a, func(_ string, a tree.Attributes) error { return f.w.Set(a) }))
	}
	return nil
}

// extended answers the extensions that the library does not know.
func (h *handlers) extended(id uint32, name string, rest []byte) []byte {
	bad := statusReply(id, sftp.ErrSSHFxBadMessage)
	first, rest, ok := takeString(rest)
	switch name {
	case "limits@openssh.com":
		out := binary.BigEndian.AppendUint32([]byte{typeReply}, id)
		for _, v := range []uint64{maxIn, maxPacket, maxPacket, maxOpen} {
			out = binary.BigEndian.AppendUint64(out, v)
		}
		return out
	case "home-directory":
		return nameReply(id, "/")
	case "expand-path@openssh.com":
		if !ok {
			return bad
		}
		return nameReply(id, tree.Clean(first))
	case "lsetstat@openssh.com":
		if !ok || len(rest) < 4 {
			return bad
		}
		a, ok := parseAttributes(rest[:4], rest[4:])
		if !ok {
			return bad
		}
		return statusReply(id, h.set(first, a, h.t.SetLink))
	case "fsync@openssh.com", "fstatvfs@openssh.com", "copy-data":
		if !ok {
			return bad
		}
		f := h.find(first)
		if f == nil {
			return statusReply(id, errHandle)
		}
		switch name {
		case "fsync@openssh.com":
			return statusReply(id, f.sync())
		case "fstatvfs@openssh.com":
			return h.fstatvfs(id)
		}
		return statusReply(id, h.copyData(f, rest))
	}
	return nil
}

func (h *handlers) fstatvfs(id uint32) []byte {
	d, err := h.disk()
	if err != nil {
		return statusReply(id, err)
	}
	out := binary.BigEndian.AppendUint32([]byte{typeReply}, id)
	for _, v := range []uint64{d.Bsize, d.Frsize, d.Blocks, d.Bfree, d.Bavail, d.Files, d.Ffree, d.Favail, d.Fsid, d.Flag, d.Namemax} {
		out = binary.BigEndian.AppendUint64(out, v)
	}
	return out
}

// copyData reads: offset, length (0 is up to the end), handle to write to, offset there.
func (h *handlers) copyData(from *openFile, rest []byte) error {
	offset, rest, ok := take64(rest)
	length, rest, ok2 := take64(rest)
	handle, rest, ok3 := takeString(rest)
	at, _, ok4 := take64(rest)
	to := h.find(handle)
	const most = 1 << 50
	if !ok || !ok2 || !ok3 || !ok4 || to == nil || offset > most || length > most || at > most {
		return sftp.ErrSSHFxBadMessage
	}
	return from.copyTo(to, int64(offset), int64(length), int64(at))
}

func nameReply(id uint32, p string) []byte {
	out := binary.BigEndian.AppendUint32([]byte{typeName}, id)
	out = binary.BigEndian.AppendUint32(out, 1)
	out = appendString(appendString(out, p), p)
	return binary.BigEndian.AppendUint32(out, 0) // no attributes
}

// statusReply tells how a request ended; nil is success.
func statusReply(id uint32, err error) []byte {
	code, text := uint32(sftp.ErrSSHFxOk), "OK"
	if err != nil {
		err = status(err)
		text = err.Error()
		code = uint32(sftp.ErrSSHFxFailure)
		for c, e := range map[uint32]error{1: io.EOF, 2: sftp.ErrSSHFxNoSuchFile, 3: sftp.ErrSSHFxPermissionDenied, 5: sftp.ErrSSHFxBadMessage, 8: sftp.ErrSSHFxOpUnsupported} {
			if errors.Is(err, e) {
				code = c
			}
		}
	}
	out := binary.BigEndian.AppendUint32([]byte{typeStatus}, id)
	out = binary.BigEndian.AppendUint32(out, code)
	return appendString(appendString(out, text), "")
}

func attributesReply(id uint32, info fs.FileInfo) []byte {
	out := binary.BigEndian.AppendUint32([]byte{typeAttrs}, id)
	out = binary.BigEndian.AppendUint32(out, hasSize|hasMode|hasTimes)
	out = binary.BigEndian.AppendUint64(out, uint64(info.Size()))
	out = binary.BigEndian.AppendUint32(out, wireMode(info.Mode()))
	t := uint32(info.ModTime().Unix())
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, t), t)
}

// wireMode writes a mode as POSIX does, which is what travels.
func wireMode(m fs.FileMode) uint32 {
	const file, dir, link = 0o100000, 0o040000, 0o120000
	switch {
	case m.IsDir():
		return dir | uint32(m.Perm())
	case m&fs.ModeSymlink != 0:
		return link | uint32(m.Perm())
	}
	return file | uint32(m.Perm())
}

func take32(b []byte) (uint32, []byte, bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

func take64(b []byte) (uint64, []byte, bool) {
	if len(b) < 8 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(b), b[8:], true
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
