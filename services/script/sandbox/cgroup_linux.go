package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// groups makes cgroups (version 2) for runs, below the one that we are in. They need a group that is handed to us: with
// systemd, Delegate=yes.
type groups struct {
	dir string // of the groups of runs
}

const groupRoot = "/sys/fs/cgroup"

func newGroups() (*groups, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var own string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			own = filepath.Join(groupRoot, strings.TrimSpace(rest))
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(groupRoot, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC || own == "" {
		return nil, errors.New("there is no unified cgroup hierarchy")
	}
	return groupsIn(own, os.Getpid())
}

// groupsIn makes room for groups of runs in our own one. A group that has groups with limits below it holds no process itself,
// so ours moves to a leaf.
func groupsIn(own string, pid int) (*groups, error) {
	have, err := os.ReadFile(filepath.Join(own, "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	for _, c := range []string{"memory", "pids"} {
		if !strings.Contains(" "+strings.TrimSpace(string(have))+" ", " "+c+" ") {
			return nil, fmt.Errorf("the %s controller is not handed to us (systemd: Delegate=yes)", c)
		}
	}
	const on = "+memory +pids"
	err = write(own, "cgroup.subtree_control", on)
	if errors.Is(err, unix.EBUSY) {
		leaf := filepath.Join(own, "serve")
		if err = os.Mkdir(leaf, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			if err = write(leaf, "cgroup.procs", strconv.Itoa(pid)); err == nil {
				err = write(own, "cgroup.subtree_control", on)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(own, "scripts-")
	if err != nil {
		return nil, err
	}
	if err := write(dir, "cgroup.subtree_control", on); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &groups{dir: dir}, nil
}

func write(dir, file, text string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644)
}

func (g *groups) close() { _ = os.Remove(g.dir) }

// group is that of one run.
type group struct{ dir *os.File }

func (g *groups) make(l Limits) (*group, error) {
	dir, err := os.MkdirTemp(g.dir, "run-")
	if err != nil {
		return nil, err
	}
	for _, set := range [][2]string{{"memory.max", strconv.FormatInt(l.Memory+guardMemory, 10)}, {"pids.max", strconv.Itoa(l.Processes + 32)}} {
		if err := write(dir, set[0], set[1]); err != nil {
			return nil, errors.Join(err, os.Remove(dir))
		}
	}
	_ = write(dir, "memory.swap.max", "0") // not there without swap
	_ = write(dir, "memory.oom.group", "0")
	f, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &group{f}, nil
}

// guardMemory is what the guard itself needs beside the program.
const guardMemory = 64 << 20

// exhausted tells whether the kernel ended a process of the run for its memory.
func (g *group) exhausted() bool {
	if g == nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(g.dir.Name(), "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" && f[1] != "0" {
			return true
		}
	}
	return false
}

// remove ends what may be left in the group and takes it away, which the kernel lets happen a moment after the last process went.
func (g *group) remove() error {
	_ = write(g.dir.Name(), "cgroup.kill", "1") // Linux 5.14
	var err error
	for range 50 {
		if err = os.Remove(g.dir.Name()); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(err, g.dir.Close())
}
