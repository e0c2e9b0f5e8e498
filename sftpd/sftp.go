package sftpd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"aida/sftpd/tree"

	"github.com/gliderlabs/ssh"
	"github.com/pkg/sftp"
)

// maxPacket is what limits@openssh.com promises for reads and writes, as OpenSSH's own server does.
const maxPacket = 255 * 1024

// sftp serves one SFTP session.
func (s *Server) sftp(sess ssh.Session, c *conn) int {
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		s.o.Log.Error("the tree cannot be built", "user", c.identity.Load().user.Name, "error", err)
		fmt.Fprintln(sess.Stderr(), "aida: the tree cannot be built just now, the reason is in the server's log")
		return 1
	}
	h := &handlers{t: t, log: s.o.Log.With("user", c.identity.Load().user.Name, "address", c.address)}
	rs := sftp.NewRequestServer(newShim(sess), sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h},
		sftp.WithRSAllocator(), sftp.WithRSMaxTxPacket(maxPacket))
	err = rs.Serve()
	// The exit status goes first: a client that sees the channel close before it takes the transfer as failed.
	if err == nil || errors.Is(err, io.EOF) {
		_ = sess.Exit(0)
	}
	_ = rs.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		h.log.Debug("sftp session ended", "error", err)
		return 1
	}
	if h.read.Load() {
		if err := s.o.Store.MarkSync(sess.Context(), c.identity.Load().user.ID); err != nil {
			h.log.Debug("the last sync cannot be noted", "error", err)
		}
	}
	return 0
}

// handlers answer the requests of one session.
type handlers struct {
	t    *tree.Tree
	log  *slog.Logger
	read atomic.Bool // a file was opened for reading
}

// safely runs a handler. They run in goroutines of the library, where a panic would end the whole process.
func safely[T any](h *handlers, op string, r *sftp.Request, fn func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic in sftp", "op", op, "path", r.Filepath, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("an internal error happened, it is in the server's log")
		}
		if err != nil {
			h.log.Debug("sftp refused", "op", op, "path", r.Filepath, "error", err)
			err = status(err)
		} else {
			h.log.Debug("sftp", "op", op, "path", r.Filepath)
		}
	}()
	return fn()
}

// status gives an error that the client shows rightly: the library knows the plain errors of package os only.
func status(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission):
		return sftp.ErrSSHFxPermissionDenied
	case errors.Is(err, sftp.ErrSSHFxOpUnsupported):
		return sftp.ErrSSHFxOpUnsupported
	}
	return errors.New(err.Error()) // a failure with its text
}

// Fileread opens a file for reading.
func (h *handlers) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return safely(h, "read", r, func() (io.ReaderAt, error) {
		f, _, err := h.t.Open(r.Filepath)
		if err != nil {
			return nil, err
		}
		h.read.Store(true)
		return &guarded{f, h.log}, nil
	})
}

// guarded keeps a fault in a file from ending the process.
type guarded struct {
	tree.File
	log *slog.Logger
}

func (g *guarded) ReadAt(p []byte, off int64) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			g.log.Error("panic in a read", "panic", r, "stack", string(debug.Stack()))
			err = errors.New("an internal error happened, it is in the server's log")
		}
	}()
	return g.File.ReadAt(p, off)
}

// Filewrite opens a file for writing.
func (h *handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) { return h.OpenFile(r) }

// OpenFile opens a file for writing, or for both.
func (h *handlers) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	return safely(h, "write", r, func() (sftp.WriterAtReaderAt, error) {
		p := r.Pflags()
		flags := os.O_WRONLY
		if p.Read {
			flags = os.O_RDWR
		}
		if p.Creat {
			flags |= os.O_CREATE
		}
		if p.Trunc {
			flags |= os.O_TRUNC
		}
		if p.Excl {
			flags |= os.O_EXCL
		}
		return h.t.Create(r.Filepath, flags)
	})
}

// Filecmd changes files.
func (h *handlers) Filecmd(r *sftp.Request) error {
	_, err := safely(h, r.Method, r, func() (struct{}, error) { return struct{}{}, h.change(r) })
	return err
}

func (h *handlers) change(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return h.t.Set(r.Filepath, attributes(r))
	case "Rename":
		return h.t.Rename(r.Filepath, r.Target, false)
	case "Rmdir":
		return h.t.Remove(r.Filepath, true)
	case "Remove":
		return h.t.Remove(r.Filepath, false)
	case "Mkdir":
		return h.t.Mkdir(r.Filepath)
	case "Symlink": // Filepath is what the link says, Target the link
		return h.t.Symlink(r.Filepath, r.Target)
	case "Link":
		return h.t.Link(r.Filepath, r.Target)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// attributes reads what a client wants to set. The flags may claim what the packet does not hold.
func attributes(r *sftp.Request) (a tree.Attributes) {
	flags, attrs := r.AttrFlags(), r.Attributes()
	if attrs == nil {
		return a
	}
	if flags.Size {
		size := int64(attrs.Size)
		a.Size = &size
	}
	if flags.Permissions {
		mode := attrs.FileMode()
		a.Mode = &mode
	}
	if flags.Acmodtime {
		at, mt := time.Unix(int64(attrs.Atime), 0), time.Unix(int64(attrs.Mtime), 0)
		a.Atime, a.Mtime = &at, &mt
	}
	return a
}

// PosixRename replaces an existing target.
func (h *handlers) PosixRename(r *sftp.Request) error {
	_, err := safely(h, "posix-rename", r, func() (struct{}, error) {
		return struct{}{}, h.t.Rename(r.Filepath, r.Target, true)
	})
	return err
}

// StatVFS reports the quota as the size of the disk.
func (h *handlers) StatVFS(r *sftp.Request) (*sftp.StatVFS, error) {
	return safely(h, "statvfs", r, func() (*sftp.StatVFS, error) {
		if _, err := h.t.Stat(r.Filepath, true); err != nil {
			return nil, err
		}
		bytes, free, files, freeFiles, err := h.t.Room()
		if err != nil {
			return nil, err
		}
		const block = 4096
		return &sftp.StatVFS{Bsize: block, Frsize: block, Blocks: uint64(bytes / block), Bfree: uint64(free / block), Bavail: uint64(free / block),
			Files: uint64(files), Ffree: uint64(freeFiles), Favail: uint64(freeFiles), Namemax: 255}, nil
	})
}

// Filelist lists folders, describes files and reads links.
func (h *handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	return safely(h, r.Method, r, func() (sftp.ListerAt, error) {
		switch r.Method {
		case "List":
			list, err := h.t.ReadDir(r.Filepath)
			return lister(list), err
		case "Stat":
			info, err := h.t.Stat(r.Filepath, true)
			return lister{info}, err
		}
		return nil, sftp.ErrSSHFxOpUnsupported
	})
}

// Lstat describes a link itself.
func (h *handlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	return safely(h, "lstat", r, func() (sftp.ListerAt, error) {
		info, err := h.t.Stat(r.Filepath, false)
		return lister{info}, err
	})
}

// Readlink reads a link of /user.
func (h *handlers) Readlink(p string) (string, error) {
	return safely(h, "readlink", &sftp.Request{Filepath: p}, func() (string, error) { return h.t.Readlink(p) })
}

type lister []fs.FileInfo

func (l lister) ListAt(out []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[offset:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}
