package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"aida/store"
)

// Lay writes the read-only part, server/, into a folder: generated documents as files, and files of the lake by link, which
// takes no room. What is laid out stays whole after the tree is closed.
func (t *Tree) Lay(dir string, link func(f store.File, to string) error) error {
	x := t.index.Load()
	for p, e := range x.byPath {
		rest, ok := strings.CutPrefix(p, "/server/")
		if !ok {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(rest))
		if e.IsDir() {
			if err := os.MkdirAll(to, 0o750); err != nil {
				return fmt.Errorf("lay out %s: %w", p, err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return fmt.Errorf("lay out %s: %w", p, err)
		}
		if err := os.WriteFile(to, []byte(e.doc.text()), 0o640); err != nil {
			return fmt.Errorf("lay out %s: %w", p, err)
		}
	}
	for p := range x.catalog.dirs {
		if err := os.MkdirAll(filepath.Join(dir, "parquet", filepath.FromSlash(p)), 0o750); err != nil {
			return fmt.Errorf("lay out parquet/%s: %w", p, err)
		}
	}
	for _, f := range x.catalog.files {
		if t.o.Pin.Expired() {
			return ErrExpired
		}
		if err := link(*f, filepath.Join(dir, "parquet", filepath.FromSlash(f.Logical))); err != nil {
			return err
		}
	}
	return nil
}
