//go:build unix

package rsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// hosts are the two far ends that the tests compare: the installed rsync behind OpenSSH's sshd, and this package behind an
// SSH server of this process. The client is the same ssh for both, which keeps one connection to each.
type hosts struct {
	dir     string // of keys, configuration and control sockets
	sshd    *exec.Cmd
	ours    net.Listener
	serving sync.WaitGroup
	err     error
}

// farHosts are started by the first test that needs them.
var (
	farHosts hosts
	farOnce  sync.Once
)

// errNoPeer is a machine on which there is nothing to compare with.
var errNoPeer = errors.New("rsync, ssh and sshd are not all installed")

// remoteShells gives the two commands that a client takes for its remote shell, to the same folder on both hosts.
func remoteShells(t testing.TB, root string) (theirs, ours string) {
	t.Helper()
	h := &farHosts
	farOnce.Do(func() { h.err = h.start() })
	if errors.Is(h.err, errNoPeer) {
		t.Skip(h.err)
	} else if h.err != nil {
		t.Fatal(h.err)
	}
	script := func(name, before string) string {
		file := filepath.Join(t.TempDir(), "rsh")
		if err := os.WriteFile(file, fmt.Appendf(nil, "#!/bin/sh\nshift\nexec ssh -F %s/config %s '%s' \"$@\"\n", h.dir, name, before), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return script("theirs", "HOME="+root+"; cd &&"), script("ours", root)
}

func (h *hosts) start() (err error) {
	for _, name := range []string{"rsync", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			return errNoPeer
		}
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; !exists(sshd) {
			return errNoPeer
		}
	}
	if h.dir, err = os.MkdirTemp("", "rsync-hosts"); err != nil { // the path of a socket has to be short
		return err
	}
	for _, key := range []string{"key", "host"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(h.dir, key)).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	theirs, err := h.startTheirs(sshd)
	if err != nil {
		return err
	}
	if err := h.startOurs(); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	config := fmt.Sprintf("Host *\n HostName 127.0.0.1\n User %s\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n GlobalKnownHostsFile /dev/null\n LogLevel ERROR\n BatchMode yes\n IdentitiesOnly yes\n"+
		" IdentityFile %[2]s/key\n ControlMaster auto\n ControlPersist 20m\n ControlPath %[2]s/%%n\n", me.Username, h.dir)
	for name, addr := range map[string]net.Addr{"theirs": theirs, "ours": h.ours.Addr()} {
		config += fmt.Sprintf("Host %s\n Port %d\n", name, addr.(*net.TCPAddr).Port)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "config"), []byte(config), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"theirs", "ours"} { // the connections that all calls share
		if out, err := exec.Command("ssh", "-F", filepath.Join(h.dir, "config"), "-fN", name).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// startTheirs runs sshd with keys of its own, and a home folder in which a shell finds nothing to read first.
func (h *hosts) startTheirs(sshd string) (net.Addr, error) {
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // what the system's unit makes before it starts sshd
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr()
	l.Close()
	config := filepath.Join(h.dir, "sshd_config")
	if err := os.WriteFile(config, fmt.Appendf(nil, "Port %d\nListenAddress 127.0.0.1\nHostKey %[2]s/host\nAuthorizedKeysFile %[2]s/key.pub\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"+
		"UsePAM no\nPidFile none\nMaxSessions 1000\nSetEnv HOME=%[2]s\n", addr.(*net.TCPAddr).Port, h.dir), 0o600); err != nil {
		return nil, err
	}
	h.sshd = exec.Command(sshd, "-D", "-f", config)
	if err := h.sshd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if c, err := net.Dial("tcp", addr.String()); err == nil {
			return addr, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.New("sshd does not answer")
}

// startOurs serves this package. The first word of a command is the folder that is the root.
func (h *hosts) startOurs() error {
	text, err := os.ReadFile(filepath.Join(h.dir, "host"))
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	if h.ours, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	h.serving.Go(func() {
		for {
			tcp, err := h.ours.Accept()
			if err != nil {
				return
			}
			h.serving.Go(func() { h.connection(tcp, config) })
		}
	})
	return nil
}

func (h *hosts) connection(tcp net.Conn, config *ssh.ServerConfig) {
	defer tcp.Close()
	_, channels, requests, err := ssh.NewServerConn(tcp, config)
	if err != nil {
		return
	}
	h.serving.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		h.serving.Go(func() {
			for r := range requests {
				var exec struct{ Command string }
				ok := r.Type == "exec" && ssh.Unmarshal(r.Payload, &exec) == nil
				_ = r.Reply(ok, nil)
				if ok {
					h.serving.Go(func() { execute(channel, exec.Command) })
				}
			}
		})
	}
}

func execute(channel ssh.Channel, command string) {
	code := uint32(127)
	dir, command, _ := strings.Cut(command, " ")
	if root, err := os.OpenRoot(dir); err == nil {
		code = uint32((&Server{Source: Dir{root}, Sink: Dir{root}}).Serve(context.Background(), command, channel, channel.Stderr()))
		root.Close()
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
	_ = channel.Close()
}

// close ends what was started.
func (h *hosts) close() {
	if h.dir == "" {
		return
	}
	for _, name := range []string{"theirs", "ours"} {
		_ = exec.Command("ssh", "-F", filepath.Join(h.dir, "config"), "-O", "exit", name).Run()
	}
	if h.sshd != nil && h.sshd.Process != nil {
		_ = h.sshd.Process.Kill()
		_ = h.sshd.Wait()
	}
	if h.ours != nil {
		h.ours.Close()
	}
	h.serving.Wait()
	_ = os.RemoveAll(h.dir)
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }
