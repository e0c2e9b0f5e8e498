package sftpd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"aida/sftpd/tree"

	"github.com/gliderlabs/ssh"
	"github.com/pkg/sftp"
)

// sftp serves one SFTP session.
func (s *Server) sftp(sess ssh.Session, c *conn) int {
	log := s.o.Log.With("user", c.identity.Load().user.Name, "address", c.address)
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		log.Error("the tree cannot be built", "error", err)
		fmt.Fprintln(sess.Stderr(), "aida: the tree cannot be built just now, the reason is in the server's log")
		return 1
	}
	h := &handlers{t: t, log: log, busy: &c.busy, done: sess.Context().Done(), open: map[string]*openFile{}}
	rs := sftp.NewRequestServer(newShim(sess, h), sftp.Handlers{FileCmd: h, FileList: h},
		sftp.WithRSAllocator(), sftp.WithRSMaxTxPacket(maxPacket))
	err = rs.Serve()
	// The exit status goes first: a client that sees the channel close before it takes the transfer as failed.
	if err == nil || errors.Is(err, io.EOF) {
		_ = sess.Exit(0)
	}
	_ = rs.Close()
	h.closeAll()
	if h.read.Load() {
		s.noteSync(sess.Context(), c)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		log.Debug("sftp session ended", "error", err)
		return 1
	}
	return 0
}

// noteSync notes that a person took files. The client may have gone already, which takes nothing back.
func (s *Server) noteSync(ctx context.Context, c *conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.o.Store.MarkSync(ctx, c.identity.Load().user.ID); err != nil {
		s.o.Log.Error("the last sync cannot be noted", "error", err)
	}
}

// handlers answer the requests of one session.
type handlers struct {
	t    *tree.Tree
	log  *slog.Logger
	read atomic.Bool // a file was opened for reading
	busy *atomic.Int32
	done <-chan struct{} // closed when the connection ends

	mu     sync.Mutex
	open   map[string]*openFile // by handle
	opened int                  // files so far
}

// safely runs a handler. Most run in goroutines of the library, where a panic would end the whole process.
func safely[T any](h *handlers, op, path string, fn func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic in sftp", "op", op, "path", path, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("an internal error happened, it is in the server's log")
		}
		if err != nil {
			h.log.Debug("sftp refused", "op", op, "path", path, "error", err)
			err = status(err)
		} else {
			h.log.Debug("sftp", "op", op, "path", path)
		}
	}()
	return fn()
}

// status gives an error that the client shows rightly: the library knows the plain errors of package os only.
func status(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sftp.ErrSSHFxNoSuchFile):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission), errors.Is(err, sftp.ErrSSHFxPermissionDenied):
		return sftp.ErrSSHFxPermissionDenied
	case errors.Is(err, sftp.ErrSSHFxOpUnsupported):
		return sftp.ErrSSHFxOpUnsupported
	case errors.Is(err, sftp.ErrSSHFxBadMessage):
		return sftp.ErrSSHFxBadMessage
	}
	return errors.New(err.Error()) // a failure with its text
}

// Filecmd changes files.
func (h *handlers) Filecmd(r *sftp.Request) error {
	_, err := safely(h, r.Method, r.Filepath, func() (struct{}, error) { return struct{}{}, h.change(r) })
	return err
}

func (h *handlers) change(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		a, ok := parseAttributes(binary.BigEndian.AppendUint32(nil, r.Flags), r.Attrs)
		if !ok {
			return sftp.ErrSSHFxBadMessage
		}
		return h.set(r.Filepath, a, h.t.Set)
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

// set changes attributes by path. The owner of a file is never changed: who asks for nothing else is told.
func (h *handlers) set(p string, a attributes, set func(string, tree.Attributes) error) error {
	if a.owner && a.Size == nil && a.Mode == nil && a.Mtime == nil {
		return fmt.Errorf("the owner of a file stays: %w", fs.ErrPermission)
	}
	return set(p, a.Attributes)
}

// PosixRename replaces an existing target.
func (h *handlers) PosixRename(r *sftp.Request) error {
	_, err := safely(h, "posix-rename", r.Filepath, func() (struct{}, error) {
		return struct{}{}, h.t.Rename(r.Filepath, r.Target, true)
	})
	return err
}

// StatVFS reports the quota as the size of the disk.
func (h *handlers) StatVFS(r *sftp.Request) (*sftp.StatVFS, error) {
	return safely(h, "statvfs", r.Filepath, func() (*sftp.StatVFS, error) {
		if _, err := h.t.Stat(r.Filepath, true); err != nil {
			return nil, err
		}
		return h.disk()
	})
}

func (h *handlers) disk() (*sftp.StatVFS, error) {
	bytes, free, files, freeFiles, err := h.t.Room()
	if err != nil {
		return nil, err
	}
	const block = 4096
	return &sftp.StatVFS{Bsize: block, Frsize: block, Blocks: uint64(bytes / block), Bfree: uint64(free / block), Bavail: uint64(free / block),
		Files: uint64(files), Ffree: uint64(freeFiles), Favail: uint64(freeFiles), Namemax: 255}, nil
}

// Filelist lists folders, describes files and reads links.
func (h *handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	return safely(h, r.Method, r.Filepath, func() (sftp.ListerAt, error) {
		switch r.Method {
		case "List":
			if err := h.room(); err != nil {
				return nil, err
			}
			list, err := h.t.ReadDir(r.Filepath)
			if err != nil {
				return nil, err
			}
			return &listing{lister(list), h.keep(handleOf(r), &openFile{path: r.Filepath})}, nil
		case "Stat":
			info, err := h.t.Stat(r.Filepath, true)
			return lister{info}, err
		}
		return nil, sftp.ErrSSHFxOpUnsupported
	})
}

// Lstat describes a link itself.
func (h *handlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	return safely(h, "lstat", r.Filepath, func() (sftp.ListerAt, error) {
		info, err := h.t.Stat(r.Filepath, false)
		return lister{info}, err
	})
}

// RealPath gives the one form of a path.
func (h *handlers) RealPath(p string) (string, error) {
	return safely(h, "realpath", p, func() (string, error) { return tree.Clean(p), nil })
}

// Readlink reads a link of /user.
func (h *handlers) Readlink(p string) (string, error) {
	return safely(h, "readlink", p, func() (string, error) { return h.t.Readlink(p) })
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

// listing is a folder that is being listed.
type listing struct {
	lister
	open *openFile
}

// Close ends it.
func (l *listing) Close() error { return l.open.Close() }
