package tree

import "io/fs"

// ContentHash is the SHA-256 of a lake file as the manifest has it, or "" for all else.
func (t *Tree) ContentHash(p string) string {
	if e := t.index.Load().find(Clean(p)); e != nil && e.file != nil {
		return e.file.Hash
	}
	return ""
}

// Writable is nil for a path that may be written to, and else says why not.
func (t *Tree) Writable(p string) error {
	_, err := t.onDisk(p)
	return err
}

// Mode is what Set makes of a client's permissions.
func Mode(m fs.FileMode, dir bool) fs.FileMode {
	if dir {
		return m.Perm()&0o700 | 0o700
	}
	return m.Perm()&0o700 | 0o600
}

// Truncate changes the size within the quota.
func (w *Written) Truncate(size int64) error {
	if size < 0 || size > 1<<50 {
		return fs.ErrInvalid
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.t.take(size-w.size, 0); err != nil {
		return err
	}
	w.size = size
	return clean(w.File.Truncate(size))
}
