//go:build unix

package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// A client that names more than the other sessions of its person leave memory for is told so, and all that it took is free again.
func TestListsKeepToTheBudget(t *testing.T) {
	tree := memory{fstest.MapFS{}}
	for i := range 5000 {
		tree.MapFS[fmt.Sprintf("src/%07d", i)] = &fstest.MapFile{}
	}
	d, _, _ := jail(t)
	for _, c := range []struct {
		name, command string
		srv           *Server
		said          *said
	}{
		{"pull", "rsync --server --sender -re.LsfxC . src/", &Server{Source: tree}, pulling(31)},
		{"push", pushCommand, &Server{Source: d, Sink: d}, manyEntries(5000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.srv.Idle, c.srv.Budget = time.Minute, NewBudget(3<<20)
			others := &session{Server: c.srv}
			if !others.hold(2 << 20) {
				t.Fatal("nothing was left at the beginning")
			}
			a := attack(t, c.srv, c.command, c.said, true)
			if a.code != ExitMalloc || !strings.Contains(a.told, "let the others end first") {
				t.Errorf("code %d, %q", a.code, a.told)
			}
			if others.giveBack(); c.srv.Budget.left.Load() != 3<<20 {
				t.Errorf("%d bytes are left of %d", c.srv.Budget.left.Load(), 3<<20)
			}
			if a = attack(t, c.srv, c.command, c.said, true); a.code == ExitMalloc || strings.Contains(a.told, "let the others end first") {
				t.Errorf("with all of the budget: code %d, %q", a.code, a.told)
			}
		})
	}
}

// A basis whose sums find no memory is done without: the file comes whole.
func TestSumsKeepToTheBudget(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	had := noise(5, 9<<20)
	write(t, filepath.Join(src, "big"), had, 0o644, time.Unix(1e9, 0))
	had[5] ^= 1
	root, err := os.OpenRoot(src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for bytes, literal := range map[int64]string{40 << 10: "Literal data: 9,437,184 bytes", 400 << 10: "Literal data: 700 bytes"} {
		write(t, filepath.Join(dst, "big"), had, 0o644, time.Unix(1e8, 0))
		budget := NewBudget(bytes)
		rsh := serverShell(t, &Server{Source: Dir{root}, Budget: budget})
		stdout, stderr, code := client(t, dst, rsh, "-at", "-B700", "--no-W", "--stats", "h:./", ".")
		if code != 0 || stderr != "" || !strings.Contains(stdout, literal) {
			t.Errorf("with %d bytes: exit %d: %s%s, want %s", bytes, code, stdout, stderr, literal)
		}
		if got, err := os.ReadFile(filepath.Join(dst, "big")); err != nil || string(got) != string(noise(5, 9<<20)) {
			t.Errorf("the file came as %d bytes: %v", len(got), err)
		}
		for end := time.Now().Add(5 * time.Second); budget.left.Load() != bytes; time.Sleep(10 * time.Millisecond) { // the server ends behind the client
			if time.Now().After(end) {
				t.Fatalf("%d bytes are left of %d", budget.left.Load(), bytes)
			}
		}
	}
}
