//go:build unix

package tree_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A large folder of /user is described by several goroutines: what comes is what the system says of each file by itself.
func TestALargeFolderIsListedWhole(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.user, "many")
	ok(t, os.Mkdir(dir, 0o750))
	const files = 2000
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("f %d\n\xff", i))
		ok(t, os.WriteFile(name, make([]byte, i%7), 0o600|fs.FileMode(i%8)))
		at := time.Unix(int64(i)*1e6-5e8, int64(i)) // some before 1970
		ok(t, os.Chtimes(name, at, at))
	}
	ok(t, os.Symlink(w.dir, filepath.Join(dir, "out")))
	ok(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	ok(t, os.Link(filepath.Join(dir, "f 1\n\xff"), filepath.Join(dir, "hard")))
	ok(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	list, err := w.ReadDir("/user/many")
	ok(t, err)
	if len(list) != files+5 {
		t.Fatalf("%d files are listed", len(list))
	}
	for i, x := range list {
		if i > 0 && list[i-1].Name() >= x.Name() {
			t.Fatalf("%q stands before %q", list[i-1].Name(), x.Name())
		}
		want, err := w.Stat("/user/many/"+x.Name(), false)
		ok(t, err)
		if x.Name() != want.Name() || x.Size() != want.Size() || x.Mode() != want.Mode() || !x.ModTime().Equal(want.ModTime()) || x.IsDir() != want.IsDir() || (x.Sys() == nil) != (want.Sys() == nil) {
			t.Fatalf("%q is listed as %v %v %v, and is %v %v %v", x.Name(), x.Size(), x.Mode(), x.ModTime(), want.Size(), want.Mode(), want.ModTime())
		}
		if x.Sys() != nil && *x.Sys().(*syscall.Stat_t) != *want.Sys().(*syscall.Stat_t) {
			t.Errorf("%q is another file with several names", x.Name())
		}
	}
}

// Files that go away while their folder is listed are left out, and a folder that is replaced by a link out of the tree is not
// followed.
func TestAFolderThatChangesIsListed(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.user, "many")
	ok(t, os.Mkdir(dir, 0o750))
	for i := range 1000 {
		ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("stays-%d", i)), nil, 0o600))
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { // files come and go
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(dir, fmt.Sprintf("goes-%d", i%100))
			_ = os.WriteFile(name, nil, 0o600)
			_ = os.Remove(name)
		}
	})
	all.Go(func() { // the folder is a link to a folder outside, now and then
		aside := filepath.Join(w.user, "aside")
		for {
			select {
			case <-stop:
				return
			default:
			}
			if os.Rename(dir, aside) == nil {
				_ = os.Symlink(filepath.Join(w.dir, "outside"), dir)
				_ = os.Remove(dir)
				_ = os.Rename(aside, dir)
			}
		}
	})
	for listed := 0; listed < 100; {
		list, err := w.ReadDir("/user/many")
		if err != nil {
			continue // it was not there, or a link
		}
		stay := 0
		for _, x := range list {
			switch {
			case x.Name() == "secret":
				t.Fatal("a folder outside of the tree was listed")
			case len(x.Name()) > 6 && x.Name()[:6] == "stays-":
				stay++
			}
		}
		if stay != 1000 {
			t.Fatalf("%d of 1000 files are listed", stay)
		}
		listed++
	}
	close(stop)
	all.Wait()
}

// A pipe in /user has no other end: whoever opens it for reading or writing, or as a folder, is told so and does not wait for
// one; nor does a link lead to one.
func TestAPipeIsNoFile(t *testing.T) {
	w := newWorld(t)
	ok(t, syscall.Mkfifo(filepath.Join(w.user, "pipe"), 0o600))
	ok(t, os.Symlink("pipe", filepath.Join(w.user, "link")))
	for _, p := range []string{"/user/pipe", "/user/link"} {
		if _, _, err := w.Open(p); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("Open %s: %v", p, err)
		}
		if _, err := w.Create(p, os.O_WRONLY); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("Create %s: %v", p, err)
		}
		if _, known := w.ReadSmall(p, make([]byte, 10)); known {
			t.Errorf("ReadSmall %s reads", p)
		}
		if _, err := w.ReadDir(p); err == nil {
			t.Errorf("ReadDir %s lists", p)
		}
	}
}

// ReadSmall reads what fits, and leaves all else to Open.
func TestReadSmall(t *testing.T) {
	w := newWorld(t)
	ok(t, os.WriteFile(filepath.Join(w.user, "scripts", "five"), []byte("12345"), 0o600))
	ok(t, os.WriteFile(filepath.Join(w.user, "empty"), nil, 0o600))
	ok(t, os.Symlink("scripts/five", filepath.Join(w.user, "inside")))
	ok(t, os.Symlink("/etc/passwd", filepath.Join(w.user, "absolute")))
	ok(t, os.Symlink("../../../../../etc/passwd", filepath.Join(w.user, "outside")))
	for _, x := range []struct {
		path string
		room int
		want string
		ok   bool
	}{
		{"/user/scripts/five", 5, "12345", runtime.GOOS == "linux"},
		{"/user/scripts/five", 100, "12345", runtime.GOOS == "linux"},
		{"/user/inside", 5, "12345", runtime.GOOS == "linux"},
		{"/user/empty", 0, "", runtime.GOOS == "linux"},
		{"/user/scripts/five", 4, "", false},
		{"/user/absolute", 9999, "", false},
		{"/user/outside", 9999, "", false},
		{"/user/none", 5, "", false},
		{"/user/scripts", 5, "", false},
		{"/server/docs/README.md", 9999, "", false},
		{"/", 5, "", false},
	} {
		buf := make([]byte, x.room)
		n, known := w.ReadSmall(x.path, buf)
		if known != x.ok || known && string(buf[:n]) != x.want {
			t.Errorf("%s into %d bytes: %d, %v", x.path, x.room, n, known)
		}
	}
}
