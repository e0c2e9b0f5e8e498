//go:build linux

package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFullDisk lets the data folder's disk fill up: a sync fails with a sentence, the old state stays whole, and the
// next one works when there is room again.
func TestAFullDisk(t *testing.T) {
	c := newCompany(t)
	data := filepath.Join(c.dir, "data")
	if err := os.Mkdir(data, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=90m"); err != nil {
		t.Skipf("a small disk cannot be made here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	c.run("sync")
	s, l := c.look()
	defer s.Close()
	defer l.Close()
	check := func(version string) {
		t.Helper()
		snap, err := s.Newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := whole(t.Context(), t, l, snap, len(c.tables)); got != version {
			t.Errorf("version %s, want %s", got, version)
		}
	}
	check("0")
	c.version(1)
	for _, left := range []int64{30 << 20, 64 << 10, 0} {
		fill(t, filepath.Join(data, "ballast"), left)
		out, err := c.aida(t.Context(), "sync").CombinedOutput()
		if err == nil {
			t.Errorf("%d bytes left: the sync worked", left)
		}
		if text := string(out); !strings.Contains(text, "MiB free") && !strings.Contains(text, "disk is full") && !strings.Contains(text, "no space left") || strings.Contains(text, "goroutine") {
			t.Errorf("%d bytes left: it says\n%s", left, text)
		}
		check("0")
		if err := os.Remove(filepath.Join(data, "ballast")); err != nil {
			t.Fatal(err)
		}
	}
	c.run("sync")
	check("1")
	server := c.serve()
	if left := c.debris(s); len(left) > 0 {
		t.Errorf("the start left %v", left)
	}
	server.stop(syscall.SIGTERM)
}

// fill takes all space of a disk but left bytes.
func fill(t *testing.T, name string, left int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 4096; size /= 4 {
		for block := make([]byte, size); ; {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(max(0, info.Size()-left)); err != nil {
		t.Fatal(err)
	}
}

// TestAFileThatCannotGrow breaks a sync in the middle of its file, by the limit that the system sets on file sizes.
func TestAFileThatCannotGrow(t *testing.T) {
	c := newCompany(t)
	c.run("sync")
	s, l := c.look()
	var b bytes.Buffer
	b.WriteString("id,version,text\n")
	for i := range 60_000 {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), 3))
		b.WriteString(",1," + hex64(i) + hex64(i*7919+3) + "\n")
	}
	c.write("in/f.csv", b.String())
	cmd := c.aida(t.Context(), "sync")
	cmd.Args = append([]string{"prlimit", "--fsize=2000000"}, cmd.Args...)
	cmd.Path = "/usr/bin/prlimit"
	if _, err := os.Stat(cmd.Path); err != nil {
		t.Skip(err)
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "s.f: failed") || !strings.Contains(string(out), "file too large") || strings.Contains(string(out), "goroutine") {
		t.Errorf("got %v\n%s", err, out)
	}
	snap, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t.Context(), t, l, snap, len(c.tables)); got != "0" {
		t.Errorf("version %s", got)
	}
	if left := c.debris(s); len(left) > 0 {
		t.Errorf("the sync left %v", left)
	}
	c.run("sync")
}

// hex64 is text that does not compress.
func hex64(seed int) string {
	x, out := uint64(seed)*0x9e3779b97f4a7c15+1, make([]byte, 0, 64)
	for len(out) < 64 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out = append(out, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[x>>58])
	}
	return string(out)
}
