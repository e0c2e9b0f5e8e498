package tree_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"aida/sftpd/tree"
)

// used is what the tree counts; it must be what a fresh count from disk gives.
func used(t *testing.T, w *world) (int64, int) {
	t.Helper()
	bytes, files, err := w.Used()
	ok(t, err)
	fresh := w.o
	fresh.Quota = &tree.Quota{Bytes: 1 << 40, Files: 1 << 20}
	other := &world{st: w.st, eva: w.eva, o: fresh}
	b, f, err := other.open(t).Used()
	ok(t, err)
	if b != bytes || f != files {
		t.Errorf("counted %d bytes in %d files, on disk are %d in %d", bytes, files, b, f)
	}
	return bytes, files
}

func TestQuotaFollowsEveryChange(t *testing.T) {
	w := newWorld(t)
	_, files0 := used(t, w)
	want := func(step string, bytes int64, files int) {
		t.Helper()
		if b, f := used(t, w); b != bytes || f != files0+files {
			t.Errorf("%s: %d bytes, %d more files; want %d and %d", step, b, f-files0, bytes, files)
		}
	}
	write(t, w.Tree, "/user/a", strings.Repeat("x", 1000))
	want("a file", 1000, 1)
	write(t, w.Tree, "/user/a", strings.Repeat("x", 400))
	want("written anew, shorter", 400, 1)
	f, err := w.Create("/user/a", os.O_WRONLY)
	ok(t, err)
	g, err := w.Create("/user/a", os.O_WRONLY)
	ok(t, err)
	_, err = f.WriteAt(make([]byte, 100), 900)
	ok(t, err)
	_, err = g.WriteAt(make([]byte, 100), 900)
	ok(t, err)
	ok(t, f.Close())
	ok(t, g.Close())
	want("the same bytes through two handles, behind a hole", 1000, 1)
	size := int64(50)
	ok(t, w.Set("/user/a", tree.Attributes{Size: &size}))
	want("truncated by path", 50, 1)
	ok(t, w.Link("/user/a", "/user/b"))
	want("a second name costs no bytes", 50, 2)
	ok(t, w.Remove("/user/a", false))
	want("its removal frees none", 50, 1)
	write(t, w.Tree, "/user/c", "12345")
	ok(t, w.Rename("/user/c", "/user/b", true))
	want("a rename over the last name frees its bytes", 5, 1)
	ok(t, w.Link("/user/b", "/user/d"))
	ok(t, w.Rename("/user/b", "/user/d", true))
	want("two names of one file both stay, as POSIX says", 5, 2)
	ok(t, w.Mkdir("/user/dir"))
	ok(t, w.Symlink("b", "/user/link"))
	want("folders and links count as files", 5, 4)
	for _, p := range []string{"/user/b", "/user/d", "/user/link"} {
		ok(t, w.Remove(p, false))
	}
	ok(t, w.Remove("/user/dir", true))
	want("all removed", 0, 0)

	f, err = w.Create("/user/gone", os.O_WRONLY|os.O_CREATE)
	ok(t, err)
	ok(t, w.Remove("/user/gone", false))
	_, err = f.WriteAt(make([]byte, 5000), 0)
	ok(t, err)
	if b, _, _ := w.Used(); b != 5000 {
		t.Errorf("a removed file that is still written to counts %d bytes, want 5000", b)
	}
	ok(t, f.Close())
	want("until it is closed", 0, 0)
}

func TestQuotaRefusesWhatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	f, err := w.Create("/user/a", os.O_WRONLY|os.O_CREATE)
	ok(t, err)
	defer f.Close()
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "quota: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a hole of a terabyte", justErr(f.WriteAt([]byte("x"), 1<<40)))
	refused("a byte too many", justErr(f.WriteAt([]byte("x"), 1<<20)))
	refused("growth by truncate", f.Truncate(1<<20+1))
	ok(t, f.Truncate(1<<20))
	refused("appending to a full home", f.Append([]byte("x")))
	if _, err := f.WriteAt([]byte("over"), 10); err != nil {
		t.Errorf("writing over what is there, in a full home: %v", err)
	}
	ok(t, f.Truncate(0))
	for i := range 300 {
		if err = w.Mkdir("/user/d" + strings.Repeat("x", i)); err != nil {
			break
		}
	}
	refused("too many folders", err)
	refused("a file too many", justErr(w.Create("/user/new", os.O_WRONLY|os.O_CREATE)))
	refused("a link too many", w.Symlink("a", "/user/l"))
	refused("a name too many", w.Link("/user/a", "/user/l"))
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Error("a negative offset was taken")
	}
	if _, err := f.WriteAt([]byte("x"), 1<<62); err == nil {
		t.Error("an offset beyond all disks was taken")
	}
}

// Many at once: the count is exact in the end, and never above the quota meanwhile.
func TestQuotaHoldsUnderConcurrentWriters(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 8 {
		x := w.open(t)
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 60 {
				p := "/user/" + string(rune('a'+r.IntN(6)))
				switch r.IntN(6) {
				case 0:
					_ = x.Remove(p, false)
				case 1:
					_ = x.Rename(p, "/user/"+string(rune('a'+r.IntN(6))), true)
				case 2:
					_ = x.Link(p, "/user/"+string(rune('a'+r.IntN(6))))
				default:
					f, err := x.Create(p, os.O_WRONLY|os.O_CREATE|[]int{0, os.O_TRUNC}[r.IntN(2)])
					if err != nil {
						continue
					}
					for range 4 {
						_, _ = f.WriteAt(make([]byte, r.IntN(100_000)), int64(r.IntN(300_000)))
					}
					_ = f.Close()
				}
				if b, _, err := x.Used(); err != nil || b > 1<<20 {
					t.Errorf("%d bytes are used: %v", b, err)
					return
				}
			}
		})
	}
	all.Wait()
	used(t, w)
}
