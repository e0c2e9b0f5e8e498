package sftpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"aida/sftpd/rsync"
	"aida/sftpd/tree"

	"github.com/gliderlabs/ssh"
)

// rsync serves a stock rsync client. A pull that went well counts as a sync of the user.
func (s *Server) rsync(sess ssh.Session, c *conn, command string) int {
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		return s.fail(sess, err)
	}
	user := c.identity.Load().user
	rt := rsyncTree{t, &s.digests}
	srv := &rsync.Server{Source: rt, Sink: rt, Refuse: func(name string, deletes bool) error { return refusePush(t, name, deletes) }, Log: s.o.Log.With("user", user.Name),
		MaxPushed: s.o.HomeFiles, Budget: s.budget(user.ID), Idle: s.o.IdleTimeout}
	code := srv.Serve(sess.Context(), command, sess, sess.Stderr())
	if code == rsync.ExitOK && strings.Contains(command, " --sender ") {
		if err := s.o.Store.MarkSync(sess.Context(), user.ID); err != nil {
			return s.fail(sess, err)
		}
	}
	return code
}

// rsyncMemory is what all rsync sessions of one person may hold for lists of files and sums. A list of a million names takes a
// third of it.
const rsyncMemory = 1 << 30

func (s *Server) budget(userID int64) *rsync.Budget {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.budgets[userID] == nil {
		s.budgets[userID] = rsync.NewBudget(rsyncMemory)
	}
	return s.budgets[userID]
}

// refusePush says why a destination cannot be pushed to. The root can, for the few files of it that are written; but a mirror
// into it would empty the person's folder.
func refusePush(t *tree.Tree, name string, deletes bool) error {
	p := tree.Clean(name)
	switch {
	case p != "/":
		return t.Writable(p)
	case deletes:
		return errors.New("push with --delete into a folder of user/, not into the root")
	}
	return nil
}

// rsyncTree is a user's tree as the rsync server takes it.
type rsyncTree struct {
	t       *tree.Tree
	digests *digests
}

func (r rsyncTree) Lstat(name string) (fs.FileInfo, error)     { return r.t.Stat("/"+name, false) }
func (r rsyncTree) Stat(name string) (fs.FileInfo, error)      { return r.t.Stat("/"+name, true) }
func (r rsyncTree) ReadDir(name string) ([]fs.FileInfo, error) { return r.t.ReadDir("/" + name) }
func (r rsyncTree) ReadSmall(name string, buf []byte) (int, bool) {
	return r.t.ReadSmall("/"+name, buf)
}
func (r rsyncTree) Readlink(name string) (string, error) { return r.t.Readlink("/" + name) }
func (r rsyncTree) Open(name string) (rsync.File, int64, error) {
	f, size, err := r.t.Open("/" + name)
	return f, size, err
}

func (r rsyncTree) Create(name string, flags int) (rsync.Writable, error) {
	w, err := r.t.Create("/"+name, os.O_RDWR|flags)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (r rsyncTree) Mkdir(name string) error                     { return r.t.Mkdir("/" + name) }
func (r rsyncTree) Remove(name string, dir bool) error          { return r.t.Remove("/"+name, dir) }
func (r rsyncTree) Symlink(target, name string) error           { return r.t.Symlink(target, "/"+name) }
func (r rsyncTree) Link(old, name string) error                 { return r.t.Link("/"+old, "/"+name) }
func (r rsyncTree) Mode(mode fs.FileMode, dir bool) fs.FileMode { return tree.Mode(mode, dir) }
func (r rsyncTree) SetMode(name string, mode fs.FileMode) error {
	return r.t.Set("/"+name, tree.Attributes{Mode: &mode})
}
func (r rsyncTree) SetTime(name string, mtime time.Time) error {
	return r.t.Set("/"+name, tree.Attributes{Mtime: &mtime})
}

// Rename moves within user/. A file that came whole for one of the few names beside it is copied there, as nothing moves
// between the two.
func (r rsyncTree) Rename(from, to string) error {
	if path.Dir(to) != "." || path.Dir(from) == "." {
		return r.t.Rename("/"+from, "/"+to, true)
	}
	info, err := r.t.Stat("/"+from, false)
	if err != nil {
		return err
	}
	in, size, err := r.t.Open("/" + from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := r.t.Create("/"+to, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(out, 0), io.NewSectionReader(in, 0, size))
	if err == nil {
		err = out.Truncate(size)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	mode, mtime := info.Mode(), info.ModTime()
	return errors.Join(r.t.Set("/"+to, tree.Attributes{Mode: &mode, Mtime: &mtime}), r.t.Remove("/"+from, false))
}

// TempDir keeps unfinished files out of the root, where only a few names can be written.
func (rsyncTree) TempDir(dir string) string {
	if dir == "." {
		return "user"
	}
	return dir
}

// Hashes are the digests that are kept; clients agree to the first that they know.
func (rsyncTree) Hashes() []string { return []string{"xxh128", "md5"} }

// Hash gives the digest of a lake file for --checksum. The file is read once in the life of the server, as its content never
// changes: it is found again by the hash that the manifest has.
func (r rsyncTree) Hash(ctx context.Context, name, algorithm string) ([]byte, bool) {
	content := r.t.ContentHash("/" + name)
	if content == "" {
		return nil, false
	}
	key := digestKey{content, algorithm}
	if sum, ok := r.digests.get(key); ok {
		return sum, true
	}
	sum, err := rsync.Digest(ctx, r, name, algorithm)
	if err != nil {
		return nil, false
	}
	r.digests.put(key, sum)
	return sum, true
}

type digestKey struct{ content, algorithm string }

// digests are checksums of lake files, for all users.
type digests struct {
	mu   sync.Mutex
	sums map[digestKey][]byte
}

// maxDigests bounds what is kept, at about 150 bytes each.
const maxDigests = 200_000

func (d *digests) get(k digestKey) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, ok := d.sums[k]
	return sum, ok
}

func (d *digests) put(k digestKey, sum []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sums == nil || len(d.sums) >= maxDigests {
		d.sums = map[digestKey][]byte{}
	}
	d.sums[k] = sum
}
