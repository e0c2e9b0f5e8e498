package rsync

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// writeSize is how much is written to the sink at once.
const writeSize = 256 << 10

// storer writes the files that come, one after another.
type storer struct {
	*receiver
	tokens tokenReader
	buf    []byte // of the file's bytes, those that wait to be written
	block  []byte

	out    Writable
	at     int64 // place of buf in the file
	failed error // of the sink; the rest of the file is read and dropped
	hash   hash.Hash
}

// store takes one file. What goes wrong with the file itself is told to the client, and the next one can come; an error is
// the end of the session.
func (st *storer) store(ndx int32, e *entry, w *wanted) (err error) {
	name := st.place(e)
	inplace := st.o.inplace
	st.buf, st.at, st.failed, st.out = st.buf[:0], 0, nil, nil
	st.hash = st.sum.newHash(st.seed)
	var basis File
	if w.basis != "" {
		if f, _, err := st.Sink.Open(w.basis); err == nil {
			basis = f
			defer f.Close()
		}
	}
	temp := name
	if inplace {
		if st.o.backup && w.kind == basisFile && w.basis != "" && !w.again {
			if err := st.copyToBackup(name); err != nil {
				st.failed = err
			}
		}
		if st.failed == nil {
			st.out, st.failed = st.Sink.Create(name, os.O_CREATE)
		}
	} else {
		temp, st.out, st.failed = st.createTemp(name)
	}
	done := false
	literal := int64(0)
	defer func() {
		if st.out != nil {
			_ = st.out.Close()
		}
		if !done && !inplace && st.out != nil {
			st.keepOrDrop(e, name, temp, literal)
		}
	}()
	if w.append {
		if err := st.prefix(w, basis); err != nil {
			st.fail(err)
		}
	}
	if literal, err = st.content(e, w, basis); err != nil {
		return err
	}
	size := st.at
	var sent [maxDigest]byte
	st.r.full(sent[:st.sum.size])
	if st.r.err != nil {
		return st.r.err
	}
	right := bytes.Equal(st.hash.Sum(nil), sent[:st.sum.size])
	if st.failed == nil && inplace {
		st.failed = st.out.Truncate(size)
	}
	if st.failed == nil && st.o.fsync {
		st.failed = st.out.Sync()
	}
	if st.out != nil {
		if err := st.out.Close(); st.failed == nil {
			st.failed = err
		}
	}
	switch {
	case st.failed != nil:
		st.xferError("rsync: [receiver] write failed on \"%s\": %s", e.name, reason(st.failed))
		return nil
	case !right:
		st.wrong(ndx, e, w)
		return nil
	}
	done = true
	if err := st.finish(e, name, temp, w); err != nil {
		st.xferError("rsync: [receiver] rename \"%s\" -> \"%s\" failed: %s", path.Base(temp), e.name, reason(err))
		_ = st.Sink.Remove(temp, false)
		return nil
	}
	if st.o.removeSource {
		st.w.message(msgSuccess, appendInt(nil, ndx))
	}
	return nil
}

func (st *storer) fail(err error) {
	if st.failed == nil {
		st.failed = err
	}
}

// prefix goes over what the file has already, with --append.
func (st *storer) prefix(w *wanted, basis File) error {
	have := w.head.size()
	if st.o.appendMode > 1 || st.proto < 30 {
		if basis == nil {
			return errors.New("the file to append to cannot be read")
		}
		if err := hashPrefix(st.hash, basis, have); err != nil {
			return err
		}
	}
	st.at = have
	return nil
}

func hashPrefix(h hash.Hash, f File, n int64) error {
	buf := make([]byte, 256<<10)
	for at := int64(0); at < n; {
		p := buf[:min(int64(len(buf)), n-at)]
		if m, err := f.ReadAt(p, at); m < len(p) {
			return err
		}
		h.Write(p)
		at += int64(len(p))
	}
	return nil
}

// maxDropped is how much more than it was told to be a file may be that cannot be stored: a few bytes can name gigabytes of blocks.
const maxDropped = 64 << 20

// content takes the tokens of one file.
func (st *storer) content(e *entry, w *wanted, basis File) (literal int64, err error) {
	st.tokens.reset()
	for {
		p, i, err := st.tokens.next()
		if err != nil {
			if st.out != nil {
				st.flush() // for what is kept of a file whose end does not come
			}
			return literal, err
		}
		switch {
		case p != nil:
			literal += int64(len(p))
			st.hash.Write(p)
			st.write(p)
		case i >= 0:
			if i >= w.head.count {
				return literal, protocolError(fmt.Sprintf("block %d of %d", i, w.head.count))
			}
			if st.failed != nil && st.at > e.size+maxDropped {
				return literal, &refusal{fmt.Sprintf("%q cannot be stored and goes on without an end: %s", clip(e.name), reason(st.failed)), ExitFileIO}
			}
			if err := st.copyBlock(w, basis, i); err != nil {
				return literal, err
			}
		default:
			st.flush()
			return literal, nil
		}
	}
}

// copyBlock takes a block from the basis.
func (st *storer) copyBlock(w *wanted, basis File, i int32) error {
	n := w.head.length(i)
	from := int64(i) * int64(w.head.blockLen)
	if cap(st.block) < n {
		st.block = make([]byte, n)
	}
	p := st.block[:n]
	if basis == nil {
		clear(p)
		st.fail(errors.New("the basis cannot be read"))
	} else if m, err := basis.ReadAt(p, from); m < n {
		clear(p[m:])
		st.fail(fmt.Errorf("the basis has become shorter: %w", err))
	}
	st.hash.Write(p)
	st.tokens.see(p)
	if st.o.inplace && w.kind == basisFile && from == st.at+int64(len(st.buf)) { // it is there already
		st.flush()
		st.at += int64(n)
		return nil
	}
	st.write(p)
	return nil
}

func (st *storer) write(p []byte) {
	for len(p) > 0 {
		if len(st.buf) == 0 && len(p) >= writeSize {
			st.put(p)
			return
		}
		n := min(len(p), cap(st.buf)-len(st.buf))
		st.buf, p = append(st.buf, p[:n]...), p[n:]
		if len(st.buf) == cap(st.buf) {
			st.flush()
		}
	}
}

func (st *storer) flush() {
	st.put(st.buf)
	st.buf = st.buf[:0]
}

func (st *storer) put(p []byte) {
	if st.failed == nil && len(p) > 0 {
		_, st.failed = st.out.WriteAt(p, st.at)
	}
	st.at += int64(len(p))
}

// createTemp opens a hidden file beside the one that it will become.
func (x *receiver) createTemp(name string) (temp string, out Writable, err error) {
	dir, base := path.Dir(name), strings.TrimPrefix(path.Base(name), ".")
	if t, ok := x.Sink.(TempDirs); ok {
		dir = t.TempDir(dir)
	}
	for len(base) > 255-8 {
		_, size := utf8.DecodeLastRuneInString(base)
		base = base[:len(base)-size]
	}
	for range 20 {
		temp = path.Join(dir, "."+base+"."+randomName())
		out, err = x.Sink.Create(temp, os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return temp, nil, err
	}
	return temp, out, nil
}

func randomName() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b [6]byte
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b[:])
}

// keepOrDrop decides about a file that did not come to its end.
func (st *storer) keepOrDrop(e *entry, name, temp string, literal int64) {
	if !st.o.partial || literal == 0 {
		_ = st.Sink.Remove(temp, false)
		return
	}
	to := name
	if st.o.partialDir != "" {
		to = st.partialName(name)
		if _, err := st.makePath(path.Dir(to)); err != nil {
			_ = st.Sink.Remove(temp, false)
			return
		}
	} else if st.o.times {
		_ = st.Sink.SetTime(temp, time.Unix(0, 0)) // never the time of the whole file
	}
	_ = st.Sink.SetMode(temp, st.modeFor(e, nil))
	if err := st.Sink.Rename(temp, to); err != nil {
		_ = st.Sink.Remove(temp, false)
	}
}

// partialName is where an unfinished file is kept.
func (x *receiver) partialName(name string) string {
	return path.Join(path.Dir(name), x.o.partialDir, path.Base(name))
}

// wrong deals with a file whose digest does not fit: it is asked for once more.
func (st *storer) wrong(ndx int32, e *entry, w *wanted) {
	kept := "discarded"
	switch {
	case st.o.inplace || st.o.partial && st.o.partialDir == "":
		kept = "retained"
	case st.o.partial:
		kept = "put into partial-dir"
	}
	if w.again {
		st.xferError("ERROR: %s failed verification -- update %s.", e.name, kept)
		return
	}
	st.warn("WARNING: %s failed verification -- update %s (will try again).", e.name, kept)
	st.mu.Lock()
	st.redo = append(st.redo, ndx)
	st.mu.Unlock()
}

// finish puts a file in its place.
func (st *storer) finish(e *entry, name, temp string, w *wanted) error {
	info, err := st.Sink.Lstat(name)
	if err != nil {
		info = nil
	}
	if err := st.setFile(e, temp, info); err != nil {
		return err
	}
	if !st.o.inplace {
		switch {
		case st.o.delayUpdates:
			to := st.partialName(name)
			if _, err := st.makePath(path.Dir(to)); err != nil {
				return err
			}
			if err := st.Sink.Rename(temp, to); err != nil {
				return err
			}
			st.mu.Lock()
			st.moves = append(st.moves, [2]string{to, name})
			st.mu.Unlock()
			return nil
		default:
			if err := st.replace(temp, name, info); err != nil {
				return err
			}
		}
	}
	if w.partial {
		_ = st.Sink.Remove(w.basis, false)
		_ = st.Sink.Remove(path.Dir(w.basis), true)
	}
	return nil
}

// replace renames a new file over the old one, which may be kept as a backup.
func (x *receiver) replace(temp, name string, old fs.FileInfo) error {
	if old != nil && x.o.backup {
		if err := x.backup(name); err != nil {
			return err
		}
	}
	if old != nil && old.IsDir() {
		return errors.New("a folder is in the way")
	}
	return x.Sink.Rename(temp, name)
}
