package sftpd_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"aida/sftpd"
	"aida/sftpd/tree"
	"aida/store"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

func TestGarbageHarmsNobody(t *testing.T) {
	h := newHouse(t, nil)
	other := h.sftp()
	for range 20 {
		c, err := net.Dial("tcp", h.addr)
		ok(t, err)
		_, _ = io.CopyN(c, rand.Reader, 4096)
		c.Close()
		c, err = net.Dial("tcp", h.addr)
		ok(t, err)
		_, _ = c.Write([]byte("SSH-2.0-x\r\n"))
		_, _ = io.CopyN(c, rand.Reader, 4096)
		c.Close()
	}
	client := h.dial()
	for _, bytes := range []string{"\xff\xff\xff\xff\x01", "\x00\x00\x00\x00", "\x00\x00\x00\x05\x01\x00\x00\x00\x03\x00\x00\x00\x09\x03\x00\x00\x00\x01\xff\xff\xff\xff", strings.Repeat("\x00\x00\x00\x01\xc8", 100)} {
		s, err := client.NewSession()
		ok(t, err)
		in, err := s.StdinPipe()
		ok(t, err)
		ok(t, s.RequestSubsystem("sftp"))
		_, _ = in.Write([]byte(bytes))
		in.Close()
		_ = s.Wait()
		s.Close()
	}
	if _, err := other.Stat("/server"); err != nil {
		t.Errorf("another session suffered: %v", err)
	}
	if _, err := client.NewSession(); err != nil {
		t.Errorf("the connection suffered: %v", err)
	}
}

type panicking struct{}

func (panicking) ReadAt([]byte, int64) (int, error) { panic("a fault in reading") }
func (panicking) Close() error                      { panic("a fault in closing") }

func TestAFaultInAHandlerIsOneRequestsBusiness(t *testing.T) {
	h := newHouse(t, func(o *sftpd.Options) {
		open := o.Lake
		o.Lake = func(f store.File) (tree.File, error) {
			switch f.Logical {
			case "sales/orders/open.parquet":
				panic("a fault in opening")
			case "sales/orders/read.parquet":
				return panicking{}, nil
			}
			return open(f)
		}
	})
	h.publish(map[string]string{"sales/orders/open.parquet": "a", "sales/orders/read.parquet": "b", "sales/orders/well.parquet": "c"})
	c := h.sftp()
	if _, err := c.Open("/server/parquet/sales/orders/open.parquet"); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("a fault in opening gave %v", err)
	}
	f, err := c.Open("/server/parquet/sales/orders/read.parquet")
	ok(t, err)
	if _, err := f.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("a fault in reading gave %v", err)
	}
	if err := f.Close(); err == nil {
		t.Error("a fault in closing gave no error")
	}
	if text := read(t, c, "/server/parquet/sales/orders/well.parquet"); text != "c" {
		t.Errorf("the session goes on with %q", text)
	}
	if !strings.Contains(h.log.String(), "a fault in reading") {
		t.Error("the log does not know of the fault")
	}
	client := h.dial()
	s, err := client.NewSession()
	ok(t, err)
	s.Stdin = strings.NewReader("\x00\x00\x00")
	if out, err := s.CombinedOutput("scp -f /server/parquet/sales/orders/open.parquet"); err == nil || !strings.Contains(string(out), "internal error") {
		t.Errorf("scp of it: %v, %q", err, out)
	}
	if out, code := h.run(client, "whoami"); code != 0 {
		t.Errorf("the connection goes on with %d %q", code, out)
	}
}

func read(t *testing.T, c *sftp.Client, path string) string {
	t.Helper()
	f, err := c.Open(path)
	ok(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	ok(t, err)
	return string(text)
}

func TestAnSSHClientGetsNoMoreThanCommandsAndFiles(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	for _, x := range []struct {
		command, want string
		code          int
	}{
		{"whoami", "role    analyst", 0}, {"help", "There is no shell here", 0}, {"tables", "sales.orders", 0}, {"tables --json", `"name":"sales.orders"`, 0}, {"status --json", `"generation":1`, 0},
		{"ls", `unknown command "ls"`, 127}, {"/bin/sh -c id", "unknown command", 127}, {"whoami; id", "unknown command", 127}, {"echo ok", "ok", 0}, {"'", "cannot be read", 2}, {"", "There is no shell", 1},
	} {
		if out, code := h.run(c, x.command); code != x.code || !strings.Contains(out, x.want) {
			t.Errorf("%q: exit %d, want %d; printed %q, want %q", x.command, code, x.code, out, x.want)
		}
	}
	s, err := c.NewSession()
	ok(t, err)
	defer s.Close()
	for _, request := range []string{"pty-req", "x11-req", "auth-agent-req@openssh.com", "env", "window-change", "no-such-request"} {
		if granted, err := s.SendRequest(request, true, gossh.Marshal(struct {
			Term          string
			A, B, C, D    uint32
			Modes         string
			Padding, More string
		}{"xterm", 80, 24, 0, 0, "", "", ""})); err != nil || granted {
			t.Errorf("%s: granted %t, %v", request, granted, err)
		}
	}
	if err := s.RequestSubsystem("netconf"); err == nil {
		t.Error("a subsystem that does not exist was granted")
	}
	if out, err := s.CombinedOutput("whoami"); err != nil || !strings.HasPrefix(string(out), "eva\n") {
		t.Errorf("after all these the session gave %q, %v", out, err)
	}
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "x11", "auth-agent@openssh.com"} {
		if _, _, err := c.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel %s was opened", kind)
		}
	}
	for _, request := range []string{"tcpip-forward", "streamlocal-forward@openssh.com"} {
		if granted, _, err := c.SendRequest(request, true, gossh.Marshal(struct {
			Host string
			Port uint32
		}{"127.0.0.1", 0})); err != nil || granted {
			t.Errorf("%s: granted %t, %v", request, granted, err)
		}
	}
}

func TestStockSSHThatAsksForForwardingStillRunsCommands(t *testing.T) {
	h := newHouse(t, nil)
	dir := h.client()
	for _, options := range [][]string{{"-A"}, {"-X"}, {"-Y"}, {"-t"}, {"-A", "-X", "-t"}, {"-o", "ForwardX11=yes", "-o", "ForwardAgent=yes", "-o", "SendEnv=*", "-o", "SetEnv=A=b"}} {
		out, code := stock(t, dir, "", append(append([]string{"ssh", "-F", "ssh_config"}, options...), "aida", "whoami")...)
		if code != 0 || !strings.Contains(out, "role    analyst") {
			t.Errorf("ssh %v: exit %d, %s", options, code, out)
		}
	}
	for _, options := range [][]string{{"-W", "127.0.0.1:1"}, {"-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes", "-N"}} {
		if out, code := stock(t, dir, "", append(append([]string{"ssh", "-F", "ssh_config"}, options...), "aida")...); code == 0 {
			t.Errorf("ssh %v: something is forwarded: %s", options, out)
		}
	}
	if out, code := stock(t, dir, "", "ssh", "-F", "ssh_config", "aida", "no-such-command"); code != 127 {
		t.Errorf("an unknown command ends with %d: %s", code, out)
	}
}

// The faster cipher wins whatever the order in which a client asks, and who knows only the slower one is served too.
func TestClientsEndUpOnTheFastestAES(t *testing.T) {
	h := newHouse(t, nil)
	dir := h.client()
	for option, want := range map[string]string{"Ciphers=^chacha20-poly1305@openssh.com": "aes128-gcm@openssh.com", "Ciphers=aes256-ctr": "aes256-ctr", "Ciphers=aes256-ctr,aes256-gcm@openssh.com": "aes256-gcm@openssh.com"} {
		out, code := stock(t, dir, "", "ssh", "-v", "-F", "ssh_config", "-o", option, "aida", "whoami")
		if code != 0 || !strings.Contains(out, "server->client cipher: "+want) {
			t.Errorf("-o %s: exit %d, want %s\n%s", option, code, want, out)
		}
	}
	if !strings.Contains(must2(stock(t, dir, "", "ssh", "-v", "-F", "ssh_config", "aida", "whoami")), "cipher: aes128-gcm") {
		t.Error("a stock client with its own defaults does not end up on AES-GCM")
	}
	for name, cfg := range map[string]gossh.Config{"other ciphers to than from the server": {Ciphers: []string{"aes256-ctr", "aes128-gcm@openssh.com"}}, "defaults": {}} {
		c := h.config("eva", h.eva)
		c.Config = cfg
		client, err := gossh.Dial("tcp", h.addr, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client.Close()
	}
	// A client that waits for the server's offer before it makes its own is not left waiting.
	c, err := net.Dial("tcp", h.addr)
	ok(t, err)
	defer c.Close()
	_, err = c.Write([]byte("SSH-2.0-patient\r\n"))
	ok(t, err)
	ok(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	got := make([]byte, 0, 4096)
	for !strings.Contains(string(got), "aes256-ctr") {
		b := make([]byte, 1024)
		n, err := c.Read(b)
		if got = append(got, b[:n]...); err != nil {
			t.Fatalf("no offer came: %v, %q", err, got)
		}
	}
	if strings.Count(string(got), "SSH-2.0-") != 1 {
		t.Errorf("the server greets more than once: %q", got)
	}
	// And those who say nothing hold up nobody else.
	for range 20 {
		c, err := net.Dial("tcp", h.addr)
		ok(t, err)
		defer c.Close()
	}
	start := time.Now()
	h.dial()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("a sign-in beside twenty silent clients took %v", took)
	}
}

func must2(out string, _ int) string { return out }

func TestAccessThatIsTakenAwayActsOnOpenConnections(t *testing.T) {
	cut := func(name string, takeAway func(*house) error) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, nil)
			c := h.dial()
			gone := make(chan struct{})
			go func() { _ = c.Wait(); close(gone) }()
			ok(t, takeAway(h))
			select {
			case <-gone:
			case <-time.After(5 * time.Second):
				t.Error("the connection is still open")
			}
			if _, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva)); err == nil {
				t.Error("and one may sign in again")
			}
		})
	}
	cut("the key", func(h *house) error {
		_, err := h.st.RemoveKey(t.Context(), "test", "eva", gossh.FingerprintSHA256(h.eva.PublicKey()))
		return err
	})
	cut("the account, for a while", func(h *house) error { return h.st.Suspend(t.Context(), "test", "eva", true) })
	cut("the account, for good", func(h *house) error { return h.st.RemoveUser(t.Context(), "test", "eva") })

	t.Run("a grant, from open files too", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, nil)
		c := h.sftp()
		const path = "/server/parquet/hr/payroll.parquet"
		if _, err := c.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("without a grant: %v", err)
		}
		ok(t, h.st.Grant(t.Context(), "test", "eva", false, "hr"))
		within(t, 5*time.Second, "the grant shows", func() bool { _, err := c.Stat(path); return err == nil })
		f, err := c.Open(path)
		ok(t, err)
		defer f.Close()
		one := make([]byte, 1)
		if _, err := f.ReadAt(one, 0); err != nil {
			t.Fatal(err)
		}
		ok(t, h.st.Revoke(t.Context(), "test", "eva", false, "hr"))
		within(t, 5*time.Second, "the file is gone", func() bool { _, err := c.Stat(path); return errors.Is(err, os.ErrNotExist) })
		if _, err := f.ReadAt(one, 0); !errors.Is(err, os.ErrPermission) {
			t.Errorf("the open file can still be read: %v", err)
		}
		if text := read(t, c, "/server/parquet/sales/orders.parquet"); text != "orders of today" {
			t.Errorf("what stays allowed gives %q", text)
		}
	})
}

func TestAConnectionSeesOneGenerationUntilItEnds(t *testing.T) {
	h := newHouse(t, nil)
	old := h.sftp()
	if text := read(t, old, "server/parquet/sales/orders.parquet"); text != "orders of today" {
		t.Fatal(text)
	}
	h.publish(map[string]string{"sales/orders.parquet": "orders of tomorrow", "hr/payroll.parquet": "secret wages"})
	if text := read(t, old, "server/parquet/sales/orders.parquet"); text != "orders of today" {
		t.Errorf("the open connection reads %q", text)
	}
	if text := read(t, h.sftp(), "server/parquet/sales/orders.parquet"); text != "orders of tomorrow" {
		t.Errorf("a new connection reads %q", text)
	}
}

func TestShutdownLetsTransfersEnd(t *testing.T) {
	h := newHouse(t, nil)
	running, prompt := h.sftp(), h.sftp()
	f, err := running.Open("/server/parquet/sales/orders.parquet")
	ok(t, err)
	if _, err := prompt.Stat("/server"); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = prompt.Wait(); close(gone) }()
	stopped := make(chan error, 1)
	start := time.Now()
	go func() { stopped <- h.stop() }()
	within(t, 5*time.Second, "no more connections are taken", func() bool {
		c, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("who only waits at a prompt is not let go")
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "orders of today" {
		t.Errorf("the running transfer got %q, %v", text, err)
	}
	ok(t, f.Close())
	select {
	case err := <-stopped:
		ok(t, err)
	case <-time.After(8 * time.Second):
		t.Error("the server does not end after the last transfer")
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	h := newHouse(t, func(o *sftpd.Options) { o.Drain = 300 * time.Millisecond })
	f, err := h.sftp().Open("/server/parquet/sales/orders.parquet")
	ok(t, err)
	start := time.Now()
	ok(t, h.stop())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a file that stays open held the end up for %v", took)
	}
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func TestTheHostKeyStaysAndIsKeptFromOthers(t *testing.T) {
	h := newHouse(t, nil)
	path := h.dir + "/ssh/host"
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := sftpd.New(sftpd.Options{HostKey: path})
	ok(t, err)
	if again.HostKey() != h.srv.HostKey() {
		t.Error("a second start has another key")
	}
	ok(t, os.Chmod(path, 0o644))
	if _, err := sftpd.New(sftpd.Options{HostKey: path}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	ok(t, os.WriteFile(path, []byte("rubbish"), 0o600))
	ok(t, os.Chmod(path, 0o600))
	if _, err := sftpd.New(sftpd.Options{HostKey: path}); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a damaged key: %v", err)
	}
}
