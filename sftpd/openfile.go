package sftpd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"runtime/debug"
	"time"

	"aida/sftpd/tree"

	"github.com/pkg/sftp"
)

// openFile is a handle of a session: a file, or a folder that is being listed (then r is nil).
type openFile struct {
	h            *handlers
	handle, path string
	r            tree.File
	w            *tree.Written // nil when it is open for reading alone
	append       bool
	closed       bool
}

// maxOpen bounds the handles of one session, as each costs the process a descriptor.
const maxOpen = 256

// room refuses a handle too many.
func (h *handlers) room() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) >= maxOpen {
		return fmt.Errorf("%d files are open in this session: close some first", maxOpen)
	}
	return nil
}

// keep remembers what stands behind a handle, for requests that the library does not know.
func (h *handlers) keep(handle string, f *openFile) *openFile {
	f.h, f.handle = h, handle
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[f.handle] = f
	h.busy.Add(1)
	return f
}

// handleOf reads the handle that the library has given to a folder. It does not export it, and no other way leads from a
// handle, which is all that a client brings, to what a handler opened.
func handleOf(r *sftp.Request) string {
	return reflect.ValueOf(r).Elem().FieldByName("handle").String()
}

func (h *handlers) find(handle string) *openFile {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open[handle]
}

// closeAll closes what a client left open.
func (h *handlers) closeAll() {
	h.mu.Lock()
	var left []*openFile
	for _, f := range h.open {
		left = append(left, f)
	}
	h.mu.Unlock()
	for _, f := range left {
		_ = f.Close()
	}
}

// Close ends a handle.
func (f *openFile) Close() (err error) {
	defer f.recover("close", &err)
	h := f.h
	h.mu.Lock()
	again := f.closed
	f.closed = true
	if !again {
		delete(h.open, f.handle)
		h.busy.Add(-1)
	}
	h.mu.Unlock()
	if again || f.r == nil {
		return nil
	}
	return status(f.r.Close())
}

// recover keeps a fault in a file from ending the process: the library calls these methods in goroutines of its own.
func (f *openFile) recover(op string, err *error) {
	if p := recover(); p != nil {
		f.h.log.Error("panic in sftp", "op", op, "path", f.path, "panic", p, "stack", string(debug.Stack()))
		*err = errors.New("an internal error happened, it is in the server's log")
	}
}

// readAt reads.
func (f *openFile) readAt(p []byte, off int64) (n int, err error) {
	defer f.recover("read", &err)
	return f.r.ReadAt(p, off)
}

// write writes content, at the end if it was opened so: the offset means nothing then, as with O_APPEND.
func (f *openFile) write(p []byte, off int64) (err error) {
	defer f.recover("write", &err)
	if f.append {
		return f.w.Append(p)
	}
	_, err = f.w.WriteAt(p, off)
	return err
}

// stat describes the open file itself, whatever its name is by now.
func (f *openFile) stat() (fs.FileInfo, error) {
	if s, ok := f.r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		return s.Stat()
	}
	return f.h.t.Stat(f.path, true)
}

// sync brings what was written to the disk.
func (f *openFile) sync() error {
	if f.w == nil {
		return nil
	}
	return f.w.Sync()
}

// copyTo copies within the server. Nothing else of the session is answered meanwhile, as with OpenSSH.
func (f *openFile) copyTo(to *openFile, from, length, at int64) (err error) {
	if f.r == nil || to.w == nil || f == to {
		return sftp.ErrSSHFxBadMessage
	}
	if length == 0 {
		length = 1<<62 - from
	}
	buf := make([]byte, maxPacket)
	for length > 0 {
		select {
		case <-f.h.done:
			return io.ErrClosedPipe
		default:
		}
		n, err := f.r.ReadAt(buf[:min(length, int64(len(buf)))], from)
		if n > 0 {
			if _, werr := to.w.WriteAt(buf[:n], at); werr != nil {
				return werr
			}
		}
		from, at, length = from+int64(n), at+int64(n), length-int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attributes are those of a packet; owner tells that a user or group was named.
type attributes struct {
	tree.Attributes
	owner bool
}

// Flags of an attribute block in SFTP version 3.
const (
	hasSize  = 1
	hasOwner = 2
	hasMode  = 4
	hasTimes = 8
)

// parseAttributes reads an attribute block, given as its flags and the rest. A block that is shorter than its flags say is refused.
func parseAttributes(flags, rest []byte) (a attributes, ok bool) {
	set, _, ok := take32(flags)
	if ok && set&hasSize != 0 {
		var size uint64
		size, rest, ok = take64(rest)
		v := int64(min(size, 1<<62))
		a.Size = &v
	}
	if ok && set&hasOwner != 0 {
		_, rest, ok = take64(rest)
		a.owner = true
	}
	if ok && set&hasMode != 0 {
		var mode uint32
		mode, rest, ok = take32(rest)
		v := fs.FileMode(mode & 0o777)
		a.Mode = &v
	}
	if ok && set&hasTimes != 0 {
		var at, mt uint32
		if at, rest, ok = take32(rest); ok {
			mt, _, ok = take32(rest)
		}
		atime, mtime := time.Unix(int64(at), 0), time.Unix(int64(mt), 0)
		a.Atime, a.Mtime = &atime, &mtime
	}
	return a, ok
}
