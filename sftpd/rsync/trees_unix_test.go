//go:build unix

package rsync

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func write(t testing.TB, path string, content []byte, mode fs.FileMode, at time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, text, 0o644, time.Unix(1.7e9, 0))
}

// noise is the same for the same seed.
func noise(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

var theTime = time.Unix(1_700_000_000, 123_456_789)

// sourceTree has what trees can have: empty files and folders, names of all kinds, times before 1970 and with nanoseconds,
// links of all kinds, permissions, holes, merge files.
func sourceTree(t testing.TB, dir string) {
	t.Helper()
	text := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog\n", 2000))
	write(t, filepath.Join(dir, "b.bin"), noise(1, 300_000), 0o644, theTime)
	write(t, filepath.Join(dir, "text.txt"), text, 0o644, theTime.Truncate(time.Second))
	write(t, filepath.Join(dir, "empty"), nil, 0o644, theTime)
	write(t, filepath.Join(dir, "one"), []byte("1"), 0o600, time.Unix(-86400*365*5, 0))
	write(t, filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\n"), 0o755, theTime)
	write(t, filepath.Join(dir, "times", "before.txt"), []byte("b"), 0o644, time.Unix(-2, 500_000_001))
	write(t, filepath.Join(dir, "times", "first.txt"), []byte("f"), 0o644, time.Unix(0, 999_999_999))
	write(t, filepath.Join(dir, "times", "late.txt"), []byte("l"), 0o644, time.Unix(1<<32-2, 1))
	write(t, filepath.Join(dir, strings.Repeat("a-long-way-down/", 15), "down.txt"), []byte("d"), 0o644, theTime)
	write(t, filepath.Join(dir, "sparse.bin"), append(make([]byte, 1<<20), noise(2, 5000)...), 0o640, theTime)
	write(t, filepath.Join(dir, "sub", "a.bin"), noise(3, 5000), 0o644, theTime)
	write(t, filepath.Join(dir, "sub", "x.txt"), text[:999], 0o444, theTime)
	write(t, filepath.Join(dir, "sub", "deep", "er", "and", "deeper", "x"), []byte("deep"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub", "deep", "keep.tmp"), []byte("tmp"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub-b", "c.bin"), noise(4, 70_000), 0o644, theTime)
	write(t, filepath.Join(dir, "sub.c", "core"), []byte("a core"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub.c", "y.o"), []byte("object"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub.c", "run.sh", "folder"), []byte("in a folder whose name is that of a file above"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub", ".rules"), []byte("# a comment\n- x.txt\n- /deep/er\n"), 0o644, theTime)
	write(t, filepath.Join(dir, "sub", "deep", ".rules"), []byte("!\n- *.tmp\n"), 0o644, theTime)
	for name, rules := range map[string]string{
		".words": "include b.bin\nexclude,p *.bin\nhide one\nshow one\nprotect gone*\nrisk gone.tmp\nmerge .more\ndir-merge .inner\n", ".more": "- run.sh\n",
		"sub/.inner": "exclude x.txt\n", "sub/deep/.inner": "clear\n- keep.tmp\n", "sub/deep/er/.inner": "dir-merge .inmost\n", "sub/deep/er/and/.inmost": "- deeper/\n",
	} {
		write(t, filepath.Join(dir, name), []byte(rules), 0o644, theTime)
	}
	write(t, filepath.Join(dir, "sub-b", ".cvsignore"), []byte("c.bin other\n"), 0o644, theTime)
	for _, name := range []string{"it's.txt", "with blank", "-dash", "star*", "tab\there", "line\nbreak", "ünïcödé ☃", "back\\slash", "q\"uote", "~tilde", "#hash", "[set]", strings.Repeat("long", 60), strings.Repeat("\u2603", 85), "not\xffUTF\xc3-8", "\x01\x02\a\b\v\f\r\x1b[31m\x7f"} {
		write(t, filepath.Join(dir, "names", name), []byte(name), 0o644, theTime)
	}
	write(t, filepath.Join(dir, "names0"), []byte("b.bin\x00sub/x.txt\x00sub/deep\x00"), 0o644, theTime)
	if err := os.Rename(filepath.Join(dir, "names"), filepath.Join(dir, "odd")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "names"), []byte("b.bin\nsub/x.txt\nsub/deep/\n# no\nnames\nmissing\n"), 0o644, theTime)
	for link, target := range map[string]string{"link": "b.bin", "dirlink": "sub", "dangling": "nowhere", "sub/up": "../b.bin", "sub/out": "../../../nosuch/hosts", "sub/abs": "/nosuch/hosts"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "sub", "a.bin"), filepath.Join(dir, "zhard")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "emptydir"), 0o700); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
}

// settle gives all folders and symbolic links a fixed time.
func settle(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir():
			err = os.Chtimes(p, theTime, theTime)
		case d.Type()&fs.ModeSymlink != 0:
			when := unix.NsecToTimespec(theTime.UnixNano())
			err = unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// older fills a destination with what is not quite the source: changed, of another time or permission, or the same.
func older(t testing.TB, dir string) {
	sourceTree(t, dir)
	b := noise(1, 300_000)
	write(t, filepath.Join(dir, "b.bin"), slicesJoin(b[:100_000], []byte("in between"), b[100_000:]), 0o644, theTime.Add(-time.Hour))
	text, _ := os.ReadFile(filepath.Join(dir, "text.txt"))
	write(t, filepath.Join(dir, "text.txt"), bytes.Replace(text, []byte("fox"), []byte("cat"), 1), 0o600, theTime.Truncate(time.Second).Add(2*time.Second))
	write(t, filepath.Join(dir, "run.sh"), []byte("#!/bin/zz\n"), 0o640, theTime.Add(-time.Minute))
	write(t, filepath.Join(dir, "sub", "a.bin"), noise(3, 5000), 0o600, theTime.Add(400))
	write(t, filepath.Join(dir, "sub-b", "c.bin"), noise(4, 69_000), 0o644, theTime)
	for _, name := range []string{"link", "empty"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "emptydir"), 0o755); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
}

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// newer has some files that are later than the source's.
func newer(t testing.TB, dir string) {
	older(t, dir)
	write(t, filepath.Join(dir, "b.bin"), []byte("mine"), 0o644, theTime.Add(time.Hour))
	write(t, filepath.Join(dir, "one"), []byte("2"), 0o644, theTime)
	settle(t, dir)
}

// extra has what the source has not.
func extra(t testing.TB, dir string) {
	older(t, dir)
	for _, name := range []string{"gone", "gone.tmp", "extra/a", "extra/keep", "extra/k.tmp", "extra/deep/b", "sub/gone", "sub/gone.o", "sub/deep/z/y", ".hidden", "b.bin~", "sub.c/more.o"} {
		write(t, filepath.Join(dir, name), []byte(name), 0o644, theTime)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "extralink")); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
}

// shorter has the beginnings of files.
func shorter(t testing.TB, dir string) {
	write(t, filepath.Join(dir, "b.bin"), noise(1, 300_000)[:123_456], 0o644, theTime.Add(-time.Hour))
	write(t, filepath.Join(dir, "sub", "a.bin"), noise(3, 5000)[:700], 0o644, theTime.Add(-time.Hour))
	write(t, filepath.Join(dir, "sub-b", "c.bin"), append(noise(4, 70_000), "longer"...), 0o644, theTime.Add(-time.Hour))
	settle(t, dir)
}

func shorterWrong(t testing.TB, dir string) {
	shorter(t, dir)
	write(t, filepath.Join(dir, "b.bin"), noise(9, 123_456), 0o644, theTime.Add(-time.Hour))
	settle(t, dir)
}

// partials has unfinished files in a partial dir.
func partials(t testing.TB, dir string) {
	older(t, dir)
	write(t, filepath.Join(dir, ".part", "b.bin"), noise(1, 300_000)[:200_000], 0o600, theTime)
	write(t, filepath.Join(dir, ".part", "stray"), []byte("stray"), 0o600, theTime)
	write(t, filepath.Join(dir, "sub-b", ".part", "c.bin"), noise(4, 50_000), 0o600, theTime)
	write(t, filepath.Join(dir, "gone"), []byte("x"), 0o600, theTime)
	settle(t, dir)
}

// linked has a link to a folder where the source has the folder.
func linked(t testing.TB, dir string) {
	write(t, filepath.Join(dir, "elsewhere", "x.txt"), []byte("x"), 0o644, theTime)
	if err := os.Symlink("elsewhere", filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
}

// linkedBackup has a link where the backup of a file goes.
func linkedBackup(t testing.TB, dir string) {
	older(t, dir)
	if err := os.Symlink("run.sh", filepath.Join(dir, "b.bin~")); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
}

// otherKinds has folders, files and links in each other's places.
func otherKinds(t testing.TB, dir string) {
	write(t, filepath.Join(dir, "sub"), []byte("a file"), 0o644, theTime)
	write(t, filepath.Join(dir, "b.bin", "inside"), []byte("x"), 0o644, theTime)
	write(t, filepath.Join(dir, "link", "inside"), []byte("x"), 0o644, theTime)
	if err := os.MkdirAll(filepath.Join(dir, "dangling"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"sub-b": "nowhere", "text.txt": "run.sh"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, dir)
}
