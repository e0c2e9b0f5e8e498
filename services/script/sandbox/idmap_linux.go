package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// holdMap gives a user namespace in which what root owns on disk belongs to uid. A root that runs programs as a user without
// rights shows them its files through it: the files stay root's, and the program reads them as its own.
func holdMap(exe string, uid int) (*os.File, error) {
	cmd := exec.Command(exe)
	cmd.Args, cmd.Env = []string{"aida", stageHold}, []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("a user namespace: %w", err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	in.Close()
	_ = cmd.Wait()
	return f, err
}

// hold waits until its namespace was taken.
func hold() int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
