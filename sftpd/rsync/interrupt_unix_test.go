//go:build unix

package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// cutConn breaks once so many bytes went through it, both ways together.
type cutConn struct {
	Conn
	mu          sync.Mutex
	left, moved int64
}

var errCut = errors.New("cut")

func (c *cutConn) Read(p []byte) (int, error) {
	n := c.may(len(p))
	if n == 0 {
		return 0, errCut
	}
	n, err := c.Conn.Read(p[:n])
	c.went(n)
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:c.may(len(p))])
	c.went(n)
	if err == nil && n < len(p) {
		err = errCut
	}
	return n, err
}

func (c *cutConn) may(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(max(0, min(int64(n), c.left)))
}

func (c *cutConn) went(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left -= int64(n)
	c.moved += int64(n)
}

// serveUntil serves until the bytes in the file cut are used up, and adds what went through to its second number.
func serveUntil(srv *Server, cut, command string, conn Conn) int {
	var left, moved int64
	text, err := os.ReadFile(cut)
	if err != nil {
		return 127
	}
	if _, err := fmt.Sscan(string(text), &left, &moved); err != nil {
		return 127
	}
	c := &cutConn{Conn: conn, left: left}
	code := srv.Serve(context.Background(), command, c, io.Discard)
	if err := os.WriteFile(cut, fmt.Appendf(nil, "%d %d\n", left, moved+c.moved), 0o600); err != nil {
		return 127
	}
	return code
}

// ways are those to keep what came before the connection broke.
var ways = []string{"-a --partial", "-a --partial-dir=.part", "-a --inplace", "-a --append-verify"}

// TestInterruptedTransfersResume cuts the connection at random points, until each way had its share of AIDA_TORTURE cuts (of 8
// without it) in both directions: the tree is right in the end, and no more than 1.02 times its size went over the wire.
func TestInterruptedTransfersResume(t *testing.T) {
	const size = 16 << 20
	cuts, rnd := torture(t, 8), seeded(t)
	source := t.TempDir()
	write(t, filepath.Join(source, "f.bin"), noise(11, size), 0o644, theTime)
	for i := range 20 {
		write(t, filepath.Join(source, "sub", fmt.Sprint(i)), noise(uint64(i), 1000), 0o644, theTime)
	}
	settle(t, source)
	want := snapshot(t, source)
	for _, push := range []bool{false, true} {
		done, worst := 0, 0.0
		for _, way := range ways {
			for n := 0; n < (cuts+len(ways)-1)/len(ways); {
				sessions, moved := untilThrough(t, rnd, source, want, size, way, push)
				n, done = n+sessions-1, done+sessions-1
				worst = max(worst, float64(moved)/size)
				if moved > size*102/100 {
					t.Errorf("%s, push %v: %d bytes in %d sessions for %d", way, push, moved, sessions, size)
				}
			}
		}
		t.Logf("push %v: %d cuts, at most %.4f times the size", push, done, worst)
	}
}

// untilThrough begins a transfer again until it comes to its end, and gives how many sessions that took and what went over the wire.
func untilThrough(t *testing.T, rnd *rand.Rand, source, want string, size int64, way string, push bool) (sessions int, moved int64) {
	t.Helper()
	to := t.TempDir()
	root, args := source, []string{"h:", to}
	if push {
		root, args = to, []string{source + "/", "h:"}
	}
	rsh, cut := processShell(t, root), filepath.Join(t.TempDir(), "cut")
	for code := -1; code != 0; sessions++ {
		if sessions == 40 {
			t.Fatalf("%s, push %v: not through after %d sessions", way, push, sessions)
		}
		left := size/8 + rnd.Int64N(size/2)
		if err := os.WriteFile(cut, fmt.Appendf(nil, "%d %d\n", left, moved), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("RSYNC_TEST_CUT", cut)
		_, _, code = client(t, to, rsh, append(strings.Fields(way), args...)...)
		text, err := os.ReadFile(cut)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(string(text), &left, &moved); err != nil {
			t.Fatal(err)
		}
	}
	if got := snapshot(t, to); got != want {
		t.Fatalf("%s, push %v: the tree is not right:\n%s", way, push, difference(want, got))
	}
	return sessions, moved
}

// A large file that changed is answered while its sums come: cut anywhere, the next pull makes it right.
func TestCutPullsOfALargeFileComeRight(t *testing.T) {
	source := t.TempDir()
	now := noise(11, 8<<20)
	write(t, filepath.Join(source, "big"), now, 0o644, theTime)
	had, rnd := slices.Clone(now), seeded(t)
	for range 100 {
		clear(had[rnd.IntN(len(had)-2000):][:2000])
	}
	rsh := processShell(t, source)
	cuts := 0
	for _, way := range []string{"", "--partial", "--partial-dir=.part", "--inplace", "--inplace --backup"} {
		for range (torture(t, 5) + 4) / 5 {
			to, cut := t.TempDir(), filepath.Join(t.TempDir(), "cut")
			write(t, filepath.Join(to, "big"), had, 0o644, theTime.Add(-time.Hour))
			t.Setenv("RSYNC_TEST_CUT", cut)
			for code, sessions := -1, 0; code != 0; sessions++ {
				if sessions == 40 {
					t.Fatalf("%q: not through after %d sessions", way, sessions)
				}
				if err := os.WriteFile(cut, fmt.Appendf(nil, "%d 0\n", 20<<10+rnd.Int64N(256<<10)+int64(sessions)<<18), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, _, code = client(t, to, rsh, append(strings.Fields("-a -B700 "+way), "h:big", to+"/")...); code != 0 {
					cuts++
				}
			}
			if got, err := os.ReadFile(filepath.Join(to, "big")); err != nil || !bytes.Equal(got, now) {
				t.Fatalf("%q: %d bytes came, which are not the file: %v", way, len(got), err)
			}
		}
	}
	if t.Logf("%d cuts", cuts); cuts == 0 {
		t.Error("no pull was cut")
	}
}
