package tree

import "io/fs"

// ContentHash is the SHA-256 of a lake file as the manifest has it, or "" for all else.
func (t *Tree) ContentHash(p string) string {
	if e, ok := t.index.Load().find(Clean(p)).(lakeEntry); ok {
		return e.f.Hash
	}
	return ""
}

// Writable is nil for a path that may be written to, and else says why not.
func (t *Tree) Writable(p string) error {
	_, _, err := t.onDisk(p)
	return err
}

// Mode is what Set makes of a client's permissions.
func Mode(m fs.FileMode, dir bool) fs.FileMode { return ownerMode(m, dir) }
