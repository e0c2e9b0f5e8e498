package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is written into a group that was handed to us, by the kernel's words (Documentation/admin-guide/cgroup-v2.rst). The folder
// stands in for the kernel's, which tests have no group of.
func TestAGroupOfARunIsBounded(t *testing.T) {
	own := t.TempDir()
	file := func(dir, name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	put := func(dir, name, text string) {
		t.Helper()
		if err := write(dir, name, text); err != nil {
			t.Fatal(err)
		}
	}
	put(own, "cgroup.controllers", "cpu io pids\n")
	if _, err := groupsIn(own, os.Getpid()); err == nil || !strings.Contains(err.Error(), "the memory controller is not handed to us (systemd: Delegate=yes)") {
		t.Errorf("%v", err)
	}
	put(own, "cgroup.controllers", "cpu io memory pids\n")
	g, err := groupsIn(own, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if file(own, "cgroup.subtree_control") != "+memory +pids" || file(g.dir, "cgroup.subtree_control") != "+memory +pids" || filepath.Dir(g.dir) != own {
		t.Errorf("%+v", g)
	}
	run, err := g.make(Limits{Memory: 256 << 20, Processes: 64})
	if err != nil {
		t.Fatal(err)
	}
	dir := run.dir.Name()
	for name, want := range map[string]string{"memory.max": "335544320", "pids.max": "96", "memory.swap.max": "0"} { // with room for the guard
		if got := file(dir, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for events, want := range map[string]bool{"low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\noom_group_kill 0\n": false, "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n": true} {
		put(dir, "memory.events", events)
		if run.exhausted() != want {
			t.Errorf("%q: %v", events, !want)
		}
	}
	if (*group)(nil).exhausted() {
		t.Error("a run without a group has used it up")
	}
	// A folder with files is not taken away, unlike the kernel's; what is in it was told to end.
	if err := run.remove(); !errors.Is(err, unix.ENOTEMPTY) || file(dir, "cgroup.kill") != "1" {
		t.Errorf("%v", err)
	}
}
