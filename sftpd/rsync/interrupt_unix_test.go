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
	"strconv"
	"strings"
	"testing"
)

// cutConn breaks once so many bytes went through it, both ways together.
type cutConn struct {
	Conn
	left, moved int64
}

var errCut = errors.New("cut")

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errCut
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.moved += int64(n)
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:max(0, min(int64(len(p)), c.left))])
	c.left -= int64(n)
	c.moved += int64(n)
	if err == nil && n < len(p) {
		err = errCut
	}
	return n, err
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

// TestInterruptedTransfersResume cuts the connection at random points until the file is through: it is right in the end, and
// little is sent twice. RSYNC_INTERRUPTS sets how often.
func TestInterruptedTransfersResume(t *testing.T) {
	rounds := 2
	if v := os.Getenv("RSYNC_INTERRUPTS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	const size = 6 << 20
	content := noise(11, size)
	for i := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(i), 5))
		for _, push := range []bool{false, true} {
			for _, options := range []string{"-a --partial", "-a --partial-dir=.part", "-a --inplace", "-a --append-verify"} {
				work := t.TempDir()
				remote, local, cut := filepath.Join(work, "remote"), filepath.Join(work, "local"), filepath.Join(work, "cut")
				from, to := remote, local
				args := []string{"h:f.bin", "."}
				if push {
					from, to, args = local, remote, []string{"f.bin", "h:"}
				}
				for _, dir := range []string{remote, local} {
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				write(t, filepath.Join(from, "f.bin"), content, 0o644, theTime)
				rsh := processShell(t, remote)
				moved, sessions := int64(0), 0
				for code := -1; code != 0; sessions++ {
					if sessions == 40 {
						t.Fatalf("%s, push %v: not through after %d sessions", options, push, sessions)
					}
					left := size/8 + rnd.Int64N(size/2)
					if err := os.WriteFile(cut, fmt.Appendf(nil, "%d %d\n", left, moved), 0o600); err != nil {
						t.Fatal(err)
					}
					t.Setenv("RSYNC_TEST_CUT", cut)
					_, _, code = client(t, local, rsh, append(strings.Fields(options), args...)...)
					text, err := os.ReadFile(cut)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := fmt.Sscan(string(text), &left, &moved); err != nil {
						t.Fatal(err)
					}
				}
				got, err := os.ReadFile(filepath.Join(to, "f.bin"))
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%s, push %v: the file is not right: %v", options, push, err)
				}
				// The sums of what is there already are a part of the price of each new beginning.
				if limit := int64(size*102/100) + int64(sessions)*size/2448*8; moved > limit {
					t.Errorf("%s, push %v: %d bytes in %d sessions for %d, at most %d were expected", options, push, moved, sessions, size, limit)
				}
			}
		}
	}
}
