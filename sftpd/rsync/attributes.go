package rsync

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// umask is taken from the permissions of new files where a client does not ask for its own.
const umask = 0o022

// modeFor gives the permissions that a file or folder gets; old is what is there.
func (x *receiver) modeFor(e *entry, old fs.FileInfo) fs.FileMode {
	mode := goMode(e.mode)
	switch {
	case x.o.perms:
	case old != nil && old.IsDir() == e.isDir() && old.Mode()&fs.ModeSymlink == 0:
		mode = old.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
		if x.o.executability && !e.isDir() {
			mode = executable(mode, e.mode&0o111 != 0)
		}
	default:
		mode = mode.Perm() &^ umask
	}
	return x.Sink.Mode(mode, e.isDir())
}

// executable makes a file executable for those who may read it, or for nobody.
func executable(mode fs.FileMode, on bool) fs.FileMode {
	if !on {
		return mode &^ 0o111
	}
	if mode&0o111 != 0 {
		return mode
	}
	return mode | mode&0o444>>2
}

func (e *entry) time() time.Time { return time.Unix(e.mtime, int64(e.nsec)) }

// setFile gives a new file its permissions and its time.
func (x *receiver) setFile(e *entry, name string, old fs.FileInfo) error {
	if err := x.Sink.SetMode(name, x.modeFor(e, old)); err != nil {
		return err
	}
	if x.o.times {
		return x.Sink.SetTime(name, e.time())
	}
	return nil
}

// timeDiffers compares times: to the second, within the window of --modify-window, or exactly.
func (x *receiver) timeDiffers(e *entry, info fs.FileInfo, exactly bool) bool {
	t := info.ModTime()
	if exactly || x.o.modifyWindow < 0 {
		return t.Unix() != e.mtime || uint32(t.Nanosecond()) != e.nsec
	}
	d, w := t.Unix()-e.mtime, int64(x.o.modifyWindow)
	return d > w || d < -w
}

func (x *receiver) modeDiffers(e *entry, info fs.FileInfo) bool {
	const all = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return info.Mode()&all != x.modeFor(e, old(e, info))&all
}

// old is what an entry takes its permissions from: nothing, where the entry was made a moment ago.
func old(e *entry, info fs.FileInfo) fs.FileInfo {
	if e.fresh {
		return nil
	}
	return info
}

// touch brings the attributes of what is there up to date, and tells whether anything was to be done.
func (x *receiver) touch(e *entry, name string, info fs.FileInfo) (changed bool) {
	if x.o.dryRun {
		return false
	}
	if !e.isLink() && x.modeDiffers(e, info) {
		changed = true
		if err := x.Sink.SetMode(name, x.modeFor(e, old(e, info))); err != nil {
			x.xferError("rsync: [generator] failed to set permissions on \"%s\": %s", e.name, reason(err))
		}
	}
	if !x.keepsTime(e) || !x.timeDiffers(e, info, x.o.checksum && e.isFile() || e.fresh) {
		return changed
	}
	var err error
	if !e.isLink() {
		err = x.Sink.SetTime(name, e.time())
	} else if l, ok := x.Sink.(LinkTimer); ok {
		err = l.SetLinkTime(name, e.time())
	}
	if err != nil {
		x.xferError("rsync: [generator] failed to set times on \"%s\": %s", e.name, reason(err))
	}
	return true
}

// keepsTime tells whether the time of an entry is taken over.
func (x *receiver) keepsTime(e *entry) bool {
	switch {
	case !x.o.times:
		return false
	case e.isDir():
		return !x.o.omitDirTimes
	case e.isLink():
		_, can := x.Sink.(LinkTimer)
		return can && !x.o.omitLinkTimes
	}
	return true
}

// touchFolders sets the permissions and times of folders, once nothing more changes in them.
func (x *receiver) touchFolders() {
	for i := len(x.list) - 1; i >= 0; i-- {
		e := x.list[i]
		if !e.isDir() || e.skip || e.implied && x.o.noImplied || x.below(e.name) {
			continue
		}
		if info, err := x.Sink.Lstat(x.place(e)); err == nil && info.IsDir() {
			x.touch(e, x.place(e), info)
		}
	}
}

// backupName is where an old file goes.
func (x *receiver) backupName(name string) string {
	if x.o.backupDir == "" {
		return name + x.o.suffix
	}
	rel := name
	if x.root != "." {
		rel = strings.TrimPrefix(name, x.root+"/")
	}
	return path.Join(x.root, x.o.backupDir, rel) + x.o.suffix
}

// backup moves an old file away.
func (x *receiver) backup(name string) error {
	to := x.backupName(name)
	if _, err := x.makePath(path.Dir(to)); err != nil {
		return err
	}
	if info, err := x.Sink.Lstat(to); err == nil && info.IsDir() {
		return errors.New("a folder stands where the backup goes")
	}
	return x.Sink.Rename(name, to)
}

// copyToBackup keeps a copy of a file that is about to be changed in place.
func (x *receiver) copyToBackup(name string) error {
	from, size, err := x.Sink.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := x.Sink.Lstat(name)
	if err != nil {
		return err
	}
	to := x.backupName(name)
	if _, err := x.makePath(path.Dir(to)); err != nil {
		return err
	}
	if old, err := x.Sink.Lstat(to); err == nil && old.Mode()&fs.ModeSymlink != 0 { // it is replaced, not written through
		if err := x.Sink.Remove(to, false); err != nil {
			return err
		}
	}
	out, err := x.Sink.Create(to, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(out, 0)}, io.NewSectionReader(from, 0, size), make([]byte, writeSize))
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return errors.Join(x.Sink.SetMode(to, info.Mode()), x.Sink.SetTime(to, info.ModTime()))
}
