package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"aida/store"
)

// Change is the new content of one table: all its files.
type Change struct {
	Table       store.Table
	Files       []Part
	Fingerprint string         // of the source's bytes
	DataTime    time.Time      // as of when the rows are
	Journal     *store.Journal // how far the rows go now; nil = no further than before
	Backfill    bool           // rows of an earlier time: fingerprint and data time stay
}

// Part is one file of a change: a finished one, or one that the lake has already.
type Part struct {
	Kept   *store.File // nothing else is used then
	Staged *Staged
	Rows   int64
	Schema []store.Column

	KeyLow, KeyHigh []byte // bounds of the first key column; nil = not known
}

// Published is what a publish did.
type Published struct {
	Generation int64
	Changed    bool           // false: every file was there already with the same bytes, and no generation was made
	Tables     map[int64]bool // the tables of the changes that have other bytes now
}

// Publish moves finished files to their final names and makes them the newest generation. The store's transaction is the
// one moment of change: a kill before it leaves the old generation and debris that Clean finds, after it the new one.
func (l *Lake) Publish(ctx context.Context, runID int64, note string, changes []Change) (Published, error) {
	out := Published{Tables: map[int64]bool{}}
	err := l.exclusive(ctx, func() error {
		var rows []store.Change
		for _, c := range changes {
			old, err := l.o.Store.TableFiles(ctx, c.Table.ID)
			if err != nil {
				return err
			}
			files, err := l.place(c, old)
			if err != nil {
				return fmt.Errorf("table %s: publish: %w", c.Table.FullName(), err)
			}
			if !same(old, files) {
				out.Tables[c.Table.ID] = true
			}
			rows = append(rows, store.Change{TableID: c.Table.ID, Files: files, Fingerprint: c.Fingerprint, DataTime: c.DataTime,
				Journal: c.Journal, Backfill: c.Backfill})
		}
		var err error
		out.Generation, out.Changed, err = l.o.Store.Publish(ctx, runID, note, rows)
		return err
	})
	return out, err
}

// Hold keeps the finished files of a load that goes on, without any reader seeing them: they have their final names, and
// the store knows of them. It gives all files of the load.
func (l *Lake) Hold(ctx context.Context, load store.Load, c Change) (files []store.File, err error) {
	err = l.exclusive(ctx, func() error {
		old, err := l.o.Store.TableFiles(ctx, c.Table.ID)
		if err != nil {
			return err
		}
		if load.Files, err = l.place(c, old); err != nil {
			return fmt.Errorf("table %s: hold: %w", c.Table.FullName(), err)
		}
		files = load.Files
		return l.o.Store.SaveLoad(ctx, load)
	})
	return files, err
}

// Forget publishes that tables which are no longer described have left. It does nothing when there are none.
func (l *Lake) Forget(ctx context.Context, runID int64) (Published, error) {
	return l.Publish(ctx, runID, "tables removed", nil)
}

func same(old, files []store.File) bool {
	hashes := map[string]string{}
	for _, f := range old {
		hashes[f.Logical] = f.Hash
	}
	for _, f := range files {
		if hashes[f.Logical] != f.Hash {
			return false
		}
	}
	return len(old) == len(files)
}

func (l *Lake) place(c Change, old []store.File) ([]store.File, error) {
	if err := errors.Join(checkPart(c.Table.Folder), checkPart(c.Table.Name)); err != nil {
		return nil, err
	}
	var files []store.File
	dirs := map[string]bool{}
	times := map[string]time.Time{}
	for _, f := range old {
		times[f.Logical] = f.ModTime
	}
	for _, p := range c.Files {
		if p.Kept != nil {
			files = append(files, *p.Kept)
			continue
		}
		if p.Staged.Partition != "" {
			if err := checkPart(p.Staged.Partition); err != nil {
				return nil, err
			}
		}
		if p.Staged.err != nil {
			return nil, p.Staged.err
		}
		hash := p.Staged.hashHex()
		f := store.File{
			TableID:  c.Table.ID,
			Logical:  logicalName(c.Table.Folder, c.Table.Name, p.Staged.Partition),
			Physical: physicalName(c.Table.Folder, c.Table.Name, p.Staged.Partition, hash),
			Size:     p.Staged.size, Rows: p.Rows, Hash: hash, Schema: p.Schema,
			Partition: p.Staged.Partition, KeyLow: p.KeyLow, KeyHigh: p.KeyHigh,
		}
		f.ModTime = modTime(times[f.Logical], time.Now())
		if err := l.move(p.Staged, f); err != nil {
			return nil, err
		}
		dirs[path.Dir(f.Physical)] = true
		files = append(files, f)
	}
	for dir := range dirs {
		if err := l.syncDirs(dir); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// move gives a staged file its final name. A file that has the name already has the same bytes, unless the disk has
// damaged it: replacing it heals that, and readers that have it open keep theirs.
func (l *Lake) move(s *Staged, f store.File) error {
	name := filepath.FromSlash(f.Physical)
	if err := l.root.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	if err := os.Rename(s.name, filepath.Join(l.o.Data, "lake", name)); err != nil {
		return err
	}
	l.did("move", l.relative(s.name), filepath.Join("lake", name))
	return nil
}

func (l *Lake) relative(name string) string {
	if rel, err := filepath.Rel(l.o.Data, name); err == nil {
		return rel
	}
	return name
}

// modTime gives a changed file a time that clients which compare whole seconds see as different from the last one.
func modTime(last, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	if !now.After(last) {
		return last.Truncate(time.Second).Add(time.Second)
	}
	return now
}

// syncDirs makes the names in dir and in the folders above it durable.
func (l *Lake) syncDirs(dir string) error {
	for {
		d, err := l.root.Open(filepath.FromSlash(dir))
		if err != nil {
			return err
		}
		if err := errors.Join(syncDir(d), d.Close()); err != nil {
			return fmt.Errorf("folder %s: %w", dir, err)
		}
		l.did("sync folder", filepath.Join("lake", dir))
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}
