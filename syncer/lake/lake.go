// Package lake keeps the immutable Parquet files on disk and is the only place that publishes, opens and sweeps them.
// Which generation holds which file is the store's knowledge; the lake never decides who may read.
//
//	l, err := lake.Open(lake.Options{Data: "data", Store: s})
//	scratch, err := l.Scratch()         // leased work space
//	out, err := l.Publish(ctx, runID, "sync", changes)
package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"aida/store"

	"github.com/gofrs/flock"
)

// Options says where the lake is and how long it keeps what readers no longer see.
type Options struct {
	Data      string // the data folder; the lake is <data>/lake, work space <data>/scratch
	Store     *store.Store
	Keep      time.Duration // how long an old generation is kept, by age
	KeepCount int           // and by number, the newest one included
	Log       *slog.Logger
	Trace     func(Op) // told of each thing that changes what a power cut would leave; may be nil
}

// Op is something that was done to the disk: a file or a folder was synced, made, moved or removed. Paths are relative to
// the data folder.
type Op struct{ Did, Path, To string }

func (l *Lake) did(what string, path ...string) {
	if l.o.Trace == nil {
		return
	}
	op := Op{Did: what, Path: filepath.ToSlash(path[0])}
	if len(path) > 1 {
		op.To = filepath.ToSlash(path[1])
	}
	l.o.Trace(op)
}

// Lake is the folder of Parquet files. It is safe for concurrent use, also by several processes.
type Lake struct {
	o    Options
	root *os.Root
	mu   sync.Mutex
	lock *flock.Flock
}

// Open opens the lake, making its folders when missing.
func Open(o Options) (*Lake, error) {
	for _, dir := range []string{"lake", "scratch"} {
		if err := os.MkdirAll(filepath.Join(o.Data, dir), 0o750); err != nil {
			return nil, fmt.Errorf("lake: %w", err)
		}
	}
	root, err := os.OpenRoot(filepath.Join(o.Data, "lake"))
	if err != nil {
		return nil, fmt.Errorf("lake: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Lake{o: o, root: root, lock: flock.New(filepath.Join(o.Data, "lake.lock"))}, nil
}

// Close lets go of the folder.
func (l *Lake) Close() error { return errors.Join(l.lock.Close(), l.root.Close()) }

// File is an open lake file.
type File interface {
	io.ReaderAt
	io.Closer
}

// Open opens the bytes of a file of a pinned generation. A size that differs from the manifest is an error, never short data.
func (l *Lake) Open(f store.File) (File, error) {
	file, err := l.root.Open(filepath.FromSlash(f.Physical))
	if err != nil {
		return nil, fmt.Errorf("lake file %s: %w", f.Logical, err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != f.Size {
		return nil, errors.Join(fmt.Errorf("lake file %s: the file on disk is not the one in the manifest: run `aida verify`", f.Logical), err, file.Close())
	}
	return file, nil
}

// Has tells whether the bytes of a file are where the manifest says, judged by their size.
func (l *Lake) Has(f store.File) bool {
	info, err := l.root.Stat(filepath.FromSlash(f.Physical))
	return err == nil && info.Size() == f.Size
}

// Wrong gives the first of many files that is not where the manifest says, judged by size. A folder is opened once for all
// files in a row that are in it.
func (l *Lake) Wrong(files []store.File) (wrong store.File, any bool) {
	var dir *os.Root
	defer func() {
		if dir != nil {
			dir.Close()
		}
	}()
	at := ""
	for _, f := range files {
		folder, base := path.Split(f.Physical)
		if dir == nil || folder != at {
			if dir != nil {
				dir.Close()
			}
			var err error
			if dir, err = l.root.OpenRoot(filepath.FromSlash(path.Clean(folder))); err != nil {
				dir = nil
				return f, true
			}
			at = folder
		}
		if info, err := dir.Stat(base); err != nil || info.Size() != f.Size {
			return f, true
		}
	}
	return store.File{}, false
}

// Lost gives a file of one table that is not where the manifest says. A single file is judged by its size too, many by one look
// at each folder, as a table that did not change should cost little; opening a file judges its size in any case.
func (l *Lake) Lost(files []store.File) (lost store.File, any bool) {
	if len(files) == 1 {
		return files[0], !l.Has(files[0])
	}
	there := map[string]map[string]bool{}
	for _, f := range files {
		dir, base := path.Split(f.Physical)
		names, known := there[dir]
		if !known {
			names = l.names(dir)
			there[dir] = names
		}
		if !names[base] {
			return f, true
		}
	}
	return store.File{}, false
}

func (l *Lake) names(dir string) map[string]bool {
	d, err := l.root.Open(filepath.FromSlash(path.Clean(dir)))
	if err != nil {
		return nil
	}
	defer d.Close()
	list, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	out := make(map[string]bool, len(list))
	for _, name := range list {
		out[name] = true
	}
	return out
}

// Link gives a file of a pinned generation a second name on the same file system: its bytes stay as long as that name does.
func (l *Lake) Link(f store.File, to string) error {
	if !l.Has(f) {
		return fmt.Errorf("lake file %s: the file on disk is not the one in the manifest: run `aida verify`", f.Logical)
	}
	if err := os.Link(filepath.Join(l.o.Data, "lake", filepath.FromSlash(f.Physical)), to); err != nil {
		return fmt.Errorf("lake file %s: %w", f.Logical, err)
	}
	return nil
}

// exclusive runs fn while no other publish or sweep runs, in this process or another one. Both need it: a file's name is
// its content, so a publish may take up again a file that a sweep is about to remove.
func (l *Lake) exclusive(ctx context.Context, fn func() error) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok, err := l.lock.TryLockContext(ctx, 20*time.Millisecond); err != nil || !ok {
		return fmt.Errorf("lake lock %s: %w", l.lock.Path(), err)
	}
	defer func() { err = errors.Join(err, l.lock.Unlock()) }()
	return fn()
}

// Sweep removes the files that no kept generation and no pinned reader of this process needs. Only the process that
// serves readers may call it, as pins are known to that process alone.
func (l *Lake) Sweep(ctx context.Context) (removed int, err error) {
	err = l.exclusive(ctx, func() error {
		dead, err := l.o.Store.Sweep(ctx, l.o.KeepCount, l.o.Keep)
		if err != nil {
			return err
		}
		for _, physical := range dead {
			if used, err := l.o.Store.Referenced(ctx, physical); err != nil {
				return err
			} else if used {
				continue
			}
			if err := l.root.Remove(filepath.FromSlash(physical)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("sweep: %w", err)
			}
			l.did("remove", filepath.Join("lake", physical))
			removed++
		}
		return nil
	})
	return removed, err
}

// Clean removes what a killed process left: work space that nobody leases, and lake files that no generation refers to.
// It gives the number of files removed.
func (l *Lake) Clean(ctx context.Context) (removed int, err error) {
	err = l.leasing(func() error {
		removed, err = cleanScratch(filepath.Join(l.o.Data, "scratch"))
		return err
	})
	if err != nil {
		return removed, err
	}
	err = l.exclusive(ctx, func() error {
		known, err := l.o.Store.Physical(ctx)
		if err != nil {
			return err
		}
		used := map[string]bool{".": true} // folders that hold known files
		for p := range known {
			for dir := path.Dir(p); !used[dir]; dir = path.Dir(dir) {
				used[dir] = true
			}
		}
		var empty []string
		err = fs.WalkDir(l.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			if d.IsDir() {
				if !used[p] {
					empty = append(empty, p)
				}
				return nil
			}
			if known[p] {
				return nil
			}
			removed++
			return l.root.Remove(filepath.FromSlash(p))
		})
		for i := len(empty) - 1; i >= 0; i-- {
			_ = l.root.Remove(filepath.FromSlash(empty[i])) // fails on folders that came into use, as it should
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("clean lake: %w", err)
	}
	return removed, nil
}

// physicalName gives a file's place in the lake: folder, table, partition and the first 16 bytes of its SHA-256.
func physicalName(folder, name, partition, hash string) string {
	base := hash[:32] + ".parquet"
	if partition != "" {
		base = partition + "-" + base
	}
	return path.Join(folder, name, base)
}

// logicalName gives the path that readers see, under parquet/.
func logicalName(folder, name, partition string) string {
	if partition == "" {
		return path.Join(folder, name+".parquet")
	}
	return path.Join(folder, name, partition+".parquet")
}

// checkPart refuses a path part that could leave its folder; names come from configuration and from column values.
func checkPart(part string) error {
	if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "/\\\x00") || len(part) > 200 {
		return fmt.Errorf("lake: %q cannot be part of a file name", part)
	}
	return nil
}
