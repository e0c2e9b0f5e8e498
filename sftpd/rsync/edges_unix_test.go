//go:build unix

package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edges are trees at the ends of what there is. AIDA_TORTURE gives them their full size.
var edges = []struct {
	name string
	make func(t *testing.T, dir string)
}{
	{"an empty folder", func(*testing.T, string) {}},
	{"one file of zero bytes", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "zero"), nil, 0o644, theTime) }},
	{"everything odd", func(t *testing.T, dir string) { sourceTree(t, dir) }},
	{"a file in many folders", func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, strings.Repeat("way/", 150), "down.txt"), []byte("d"), 0o644, theTime)
	}},
	{"many files", func(t *testing.T, dir string) {
		for i := range sized(5_000, 100_000) {
			write(t, filepath.Join(dir, fmt.Sprintf("%03d", i/500), fmt.Sprintf("file %d.txt", i)), fmt.Appendf(nil, "content of %d", i), 0o644, theTime.Add(time.Duration(i)*time.Millisecond))
		}
	}},
	{"a large file that is mostly holes", func(t *testing.T, dir string) {
		f, err := os.Create(filepath.Join(dir, "sparse"))
		if err != nil {
			t.Fatal(err)
		}
		size := int64(sized(64<<20, 5<<30))
		for _, at := range []int64{0, size / 3, size - 5000} {
			if _, err := f.WriteAt(noise(uint64(at), 5000), at); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}},
}

func sized(short, long int) int {
	if os.Getenv("AIDA_TORTURE") != "" {
		return long
	}
	return short
}

// TestEdgesOfTreesGoBothWays takes each tree over the wire, and once more, when nothing is left to do.
func TestEdgesOfTreesGoBothWays(t *testing.T) {
	for _, e := range edges {
		t.Run(e.name, func(t *testing.T) {
			source := t.TempDir()
			e.make(t, source)
			settle(t, source)
			want := snapshot(t, source)
			for _, push := range []bool{false, true} {
				to := t.TempDir()
				root, args := source, []string{"-aHi", "h:", to}
				if push {
					root, args = to, []string{"-aHi", source + "/", "h:"}
				}
				_, ours := remoteShells(t, root)
				start := time.Now()
				if _, errs, code := client(t, to, ours, args...); code != 0 {
					t.Fatalf("push %v: code %d, %s", push, code, errs)
				}
				first := time.Since(start)
				if got := snapshot(t, to); got != want {
					t.Fatalf("push %v:\n%s", push, difference(want, got))
				}
				start = time.Now()
				if out, errs, code := client(t, to, ours, args...); code != 0 || strings.TrimSpace(out) != "" {
					t.Errorf("push %v, again: code %d, %s%s", push, code, out, errs)
				}
				t.Logf("push %v: %v, again %v", push, first.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
				if err := os.RemoveAll(to); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
