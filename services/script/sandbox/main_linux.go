package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ourselves is our own program inside, where no path leads to it.
const ourselves = "/proc/self/fd/200"

// Descriptors inside: what we are told, what we answer, and as root the user namespace of mapped mounts.
const (
	fdControl = 3
	fdAnswers = 4
	fdMap     = 5
	fdSelf    = 200 // our own program; high, as the runtime takes low ones
)

// Main is what our program does when it was started as one of the stages; args begin with the stage.
func Main(args []string) int {
	switch {
	case len(args) == 1 && args[0] == stageBuild:
		return build()
	case len(args) == 2 && args[0] == stageGuard:
		return guard(args[1])
	case len(args) > 2 && args[0] == stageExec:
		return become(args[1], args[2:])
	case len(args) == 1 && args[0] == stageHold:
		return hold()
	}
	fmt.Fprintln(os.Stderr, "aida: this command is aida's own business")
	return 2
}

// build is the first stage, with rights: it makes the root, gives up all rights, and becomes the guard. Rights belong to a
// thread, so all of it happens on one, and the exec at the end leaves only that one.
func build() int {
	runtime.LockOSThread()
	answers := os.NewFile(fdAnswers, "answers")
	fail := func(what string, err error) int {
		_, _ = answers.Write(encode(answer{Failed: fmt.Sprintf("%s: %v", what, err)}))
		return 1
	}
	var sp spec
	line, err := readLine(fdControl)
	if err == nil {
		err = json.Unmarshal(line, &sp)
	}
	if err != nil {
		return fail("the order", err)
	}
	if err := closeOnExec(fdMap + 1); err != nil {
		return fail("the start", err)
	}
	// A descriptor of it outlives the new root and the exec: the guard and the last stage are started from there.
	exe, err := unix.Open("/proc/self/exe", unix.O_PATH, 0)
	if err == nil {
		err = unix.Dup3(exe, fdSelf, 0)
	}
	if err != nil {
		return fail("our own program", err)
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return fail("host name", err)
	}
	if err := newRoot(&sp); err != nil {
		return fail("file system", err)
	}
	if err := giveUpRights(sp.UID); err != nil {
		return fail("rights", err)
	}
	sp.Mounts, sp.Folders = nil, nil
	err = syscall.Exec(ourselves, []string{"aida", stageGuard, string(encode(sp))}, []string{"GOMAXPROCS=2"})
	return fail("the guard", err)
}

// readLine reads one line and nothing behind it, as the next stage goes on reading there.
func readLine(fd int) ([]byte, error) {
	const most = 8 << 20
	var out []byte
	b := make([]byte, 1)
	for len(out) < most {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return nil, fmt.Errorf("the other end is closed")
		case b[0] == '\n':
			return out, nil
		}
		out = append(out, b[0])
	}
	return nil, fmt.Errorf("a line is too long")
}

// lines reads messages of the process outside.
func lines() *bufio.Reader { return bufio.NewReader(os.NewFile(fdControl, "control")) }
