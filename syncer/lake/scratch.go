package lake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Scratch is a leased folder for work in progress. The lease is a lock on a file in it: when the process ends, however
// it ends, the lease is over and the next Clean removes the folder.
type Scratch struct {
	Dir   string
	lease *flock.Flock
	lake  *Lake
}

const leaseName = ".lease"

// Scratch leases a new work folder.
func (l *Lake) Scratch() (s *Scratch, err error) {
	err = l.leasing(func() error {
		s, err = l.newScratch()
		return err
	})
	return s, err
}

// leasing runs fn while no other process makes or clears work folders, so that one without a held lease is a dead one.
func (l *Lake) leasing(fn func() error) (err error) {
	lock := flock.New(filepath.Join(l.o.Data, "scratch.lock"))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("scratch lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return fn()
}

func (l *Lake) newScratch() (*Scratch, error) {
	dir, err := os.MkdirTemp(filepath.Join(l.o.Data, "scratch"), "work-")
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	lease := flock.New(filepath.Join(dir, leaseName))
	if ok, err := lease.TryLock(); err != nil || !ok {
		return nil, fmt.Errorf("scratch lease %s: %w", dir, errors.Join(err, os.RemoveAll(dir)))
	}
	return &Scratch{Dir: dir, lease: lease, lake: l}, nil
}

// Name tells this work folder from every other one.
func (s *Scratch) Name() string { return filepath.Base(s.Dir) }

// Alive tells whether the process that leased the work folder of that name still runs.
func (l *Lake) Alive(name string) bool {
	dir := filepath.Join(l.o.Data, "scratch", name)
	if name == "" || name != filepath.Base(name) {
		return false
	}
	_, err := os.Stat(dir)
	return err == nil && leased(dir)
}

// Release removes the folder and all that was not published from it.
func (s *Scratch) Release() error {
	err := os.RemoveAll(s.Dir)
	return errors.Join(err, s.lease.Close())
}

// cleanScratch removes the work folders of processes that are gone and gives the number of files in them.
func cleanScratch(parent string) (removed int, err error) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return 0, fmt.Errorf("scratch: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		if e.IsDir() && leased(dir) {
			continue
		}
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != leaseName {
				removed++
			}
			return nil
		})
		if err := os.RemoveAll(dir); err != nil {
			return removed, fmt.Errorf("scratch: %w", err)
		}
	}
	return removed, nil
}

func leased(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, leaseName)); err != nil {
		return false
	}
	lease := flock.New(filepath.Join(dir, leaseName))
	defer lease.Close()
	free, err := lease.TryLock()
	return err == nil && !free
}

// Staged is a Parquet file in scratch that is being written; it counts and hashes what goes through it.
type Staged struct {
	Partition string // "" for a table of one file
	name      string
	f         *os.File // nil while it is parked and after it is finished
	sum       hash.Hash
	size      int64
	err       error
	lake      *Lake
}

// Stage begins a file of a table.
func (s *Scratch) Stage(partition string) (*Staged, error) {
	f, err := os.CreateTemp(s.Dir, "part-*.parquet")
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	return &Staged{Partition: partition, name: f.Name(), f: f, sum: sha256.New(), lake: s.lake}, nil
}

// Write appends to the file. The first error stays: Finish gives it again, as some writers lose one on their way.
func (s *Staged) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.f.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	s.err = err
	return n, err
}

// Reset takes back all that was written, also an error: its writer begins again.
func (s *Staged) Reset() error {
	s.sum.Reset()
	s.size, s.err = 0, nil
	_, err := s.f.Seek(0, io.SeekStart)
	if err := errors.Join(err, s.f.Truncate(0)); err != nil {
		s.err = err
		return fmt.Errorf("scratch: %w", err)
	}
	return nil
}

// Park closes the file for now; it can still be opened, finished or discarded. Tables of many files would otherwise hold
// a descriptor for each.
func (s *Staged) Park() error {
	if s.err == nil && s.f != nil {
		s.err = s.f.Close()
		s.f = nil
	}
	if s.err != nil {
		return fmt.Errorf("scratch: %w", s.err)
	}
	return nil
}

// Open reads what was written.
func (s *Staged) Open() (File, error) {
	if s.err != nil {
		return nil, fmt.Errorf("scratch: %w", s.err)
	}
	f, err := os.Open(s.name)
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	return f, nil
}

// Size is the number of bytes written.
func (s *Staged) Size() int64 { return s.size }

// Discard closes and removes the file.
func (s *Staged) Discard() error {
	if s.f != nil {
		s.f.Close() // nobody needs what it would lose
		s.f = nil
	}
	if err := os.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("scratch: %w", err)
	}
	return nil
}

// Finish makes the file durable and closes it. It must be called once, also after an error.
func (s *Staged) Finish() error {
	err := s.err
	if err == nil && s.f == nil {
		s.f, err = os.OpenFile(s.name, os.O_RDWR, 0)
	}
	if err == nil {
		err = s.f.Chmod(0o640)
	}
	if err == nil {
		err = s.f.Sync()
		s.lake.did("sync", s.lake.relative(s.name))
	}
	if s.f != nil {
		err = errors.Join(err, s.f.Close())
		s.f = nil
	}
	if err != nil {
		s.err = err
		return fmt.Errorf("scratch: %w", err)
	}
	return nil
}

func (s *Staged) hashHex() string { return hex.EncodeToString(s.sum.Sum(nil)) }
