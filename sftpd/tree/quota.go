package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Quota bounds a home folder. It is shared by all connections of a user. What is used is counted from disk, then kept; a
// file with several names (hard links) counts its bytes once. Sizes are those that files claim, holes included.
type Quota struct {
	Bytes int64
	Files int

	mu      sync.Mutex
	counted time.Time // when from disk; zero is never
	bytes   int64
	files   int
	open    map[fileID]*openFile
}

// openFile is a file that is open for writing, in however many handles.
type openFile struct {
	id   fileID
	size int64
	refs int
	gone bool // its last name was removed, its bytes still count

	writing int   // writes that have their room and are on their way to the disk
	reach   int64 // to where these write
}

// cut is the size that a file may have once it was shortened to size: writes on their way may make it longer again.
func (o *openFile) cut(size int64) int64 { return max(size, o.reach) }

// After recountAfter what is used is counted anew at the next occasion, as others than clients may change a home; before a
// write is refused already after recountSoon. Never while files are open for writing.
const (
	recountAfter = 15 * time.Minute
	recountSoon  = 10 * time.Second
)

// count is called with the lock held.
func (q *Quota) count(home *os.Root, after time.Duration) error {
	if !q.counted.IsZero() && (len(q.open) > 0 || time.Since(q.counted) < after) {
		return nil
	}
	bytes, files := int64(0), 0
	linked := map[fileID]bool{}
	err := fs.WalkDir(home.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p != "." { // removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		files++
		if i, err := d.Info(); err == nil && i.Mode().IsRegular() {
			if id, names := identify(p, i); names > 1 {
				if linked[id] {
					return nil
				}
				linked[id] = true
			}
			bytes += i.Size()
		}
		return nil
	})
	if err != nil {
		return clean(err)
	}
	q.bytes, q.files, q.counted = bytes, files, time.Now()
	return nil
}

// take reserves room, or refuses. It is called with the lock held.
func (q *Quota) take(home *os.Root, bytes int64, files int) error {
	for _, after := range []time.Duration{recountAfter, recountSoon} {
		if err := q.count(home, after); err != nil {
			return err
		}
		if (bytes <= 0 || bytes <= q.Bytes-q.bytes) && (files <= 0 || files <= q.Files-q.files) {
			q.bytes, q.files = max(0, q.bytes+bytes), max(0, q.files+files)
			return nil
		}
	}
	if files > 0 && files > q.Files-q.files {
		return fmt.Errorf("quota: %d of %d files are used: remove files from user/", q.files, q.Files)
	}
	return fmt.Errorf("quota: %d of %d MiB are used, this does not fit: remove files from user/", q.bytes>>20, q.Bytes>>20)
}

// give takes room back. It is called with the lock held.
func (q *Quota) give(bytes int64, files int) {
	q.bytes, q.files = max(0, q.bytes-bytes), max(0, q.files-files)
}

// opened notes a handle for writing. It is called with the lock held.
func (q *Quota) opened(id fileID, size int64) *openFile {
	o := q.open[id]
	if o == nil {
		if q.open == nil {
			q.open = map[fileID]*openFile{}
		}
		o = &openFile{id: id, size: size}
		q.open[id] = o
	}
	o.refs++
	return o
}

// closing notes the end of a handle. It is called while the file is still open, as a closed one's inode may be another
// file's at once.
func (q *Quota) closing(o *openFile, f *os.File) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o.refs--; o.refs > 0 {
		return
	}
	delete(q.open, o.id)
	actual := o.size
	if i, err := f.Stat(); err == nil {
		actual = i.Size()
	}
	if o.gone {
		actual = 0
	}
	q.give(o.size-actual, 0) // what was reserved and then not written comes back
}

// write reserves what a write needs, and does it without the lock.
func (q *Quota) write(home *os.Root, o *openFile, end int64, do func()) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.grow(home, o, end); err != nil {
		return err
	}
	o.writing, o.reach = o.writing+1, max(o.reach, end)
	q.mu.Unlock()
	do()
	q.mu.Lock()
	if o.writing--; o.writing == 0 {
		o.reach = 0
	}
	return nil
}

// grow reserves what a write needs. A file's first open handle set its size. It is called with the lock held.
func (q *Quota) grow(home *os.Root, o *openFile, end int64) error {
	if end <= o.size {
		return nil
	}
	if err := q.take(home, end-o.size, 0); err != nil {
		return err
	}
	o.size = end
	return nil
}

// removed notes that a name is gone.
func (q *Quota) removed(name string, i fs.FileInfo) {
	q.files = max(0, q.files-1)
	if !i.Mode().IsRegular() {
		return
	}
	id, names := identify(name, i)
	if names > 1 {
		return
	}
	if o := q.open[id]; o != nil {
		o.gone = true
		return
	}
	q.give(i.Size(), 0)
}

// Used counts what the home folder holds.
func (t *Tree) Used() (bytes int64, files int, err error) {
	q := t.o.Quota
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.count(t.home, recountAfter)
	return q.bytes, q.files, err
}

// Room gives the quota and what is left of it, in bytes and files.
func (t *Tree) Room() (bytes, free int64, files, freeFiles int, err error) {
	used, n, err := t.Used()
	q := t.o.Quota
	return q.Bytes, max(0, q.Bytes-used), q.Files, max(0, q.Files-n), err
}
