package sftpd_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"aida/sftpd"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

func TestTheSecondOfTwoOfferedKeysSignsItsOwnerIn(t *testing.T) {
	h := newHouse(t, nil)
	ann := newSigner(t)
	h.addUser("ann", ann)
	for name, first := range map[string]gossh.Signer{"an unknown key first": newSigner(t), "another person's key first": ann, "a key first that is not owned": forger{ann.PublicKey()}} {
		c, err := gossh.Dial("tcp", h.addr, h.config("eva", first, h.eva))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out, _ := h.run(c, "whoami"); !strings.HasPrefix(out, "eva\n") || !strings.Contains(out, gossh.FingerprintSHA256(h.eva.PublicKey())) {
			t.Errorf("%s: signed in as %q", name, out)
		}
		c.Close()
	}
}

// Who it is comes from the key that is proven, never from one that was only offered before.
func TestAKeyThatIsOfferedButNotProvenSaysNothing(t *testing.T) {
	h := newHouse(t, nil)
	ann := newSigner(t)
	h.addUser("ann", ann)
	for name, cfg := range map[string]*gossh.ClientConfig{
		"ann's key offered, eva's proven, as ann": h.config("ann", forger{ann.PublicKey()}, h.eva),
		"the right key under another name":        h.config("ann", h.eva),
		"the right key under no one's name":       h.config("nobody-here", h.eva),
		"the right key under another case":        h.config("EVA", h.eva),
		"a key that was never added":              h.config("eva", newSigner(t)),
		"no key":                                  {User: "eva", HostKeyCallback: gossh.InsecureIgnoreHostKey()},
		"a password":                              {User: "eva", Auth: []gossh.AuthMethod{gossh.Password("secret")}, HostKeyCallback: gossh.InsecureIgnoreHostKey()},
	} {
		if c, err := gossh.Dial("tcp", h.addr, cfg); err == nil {
			out, _ := h.run(c, "whoami")
			t.Errorf("%s: signed in as %q", name, out)
			c.Close()
		}
	}
}

// forger offers a public key whose private half it does not have.
type forger struct{ key gossh.PublicKey }

func (f forger) PublicKey() gossh.PublicKey { return f.key }
func (f forger) Sign(io.Reader, []byte) (*gossh.Signature, error) {
	return &gossh.Signature{Format: f.key.Type(), Blob: make([]byte, 64)}, nil
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Run("per user", func(t *testing.T) {
		h := newHouse(t, func(o *sftpd.Options) { o.MaxPerUser = 2 })
		first := h.dial()
		h.dial()
		if _, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva)); err == nil {
			t.Fatal("a third connection was taken")
		}
		ann := newSigner(t)
		h.addUser("ann", ann)
		c, err := gossh.Dial("tcp", h.addr, h.config("ann", ann))
		if err != nil {
			t.Fatalf("another user pays for it: %v", err)
		}
		c.Close()
		first.Close()
		within(t, 5*time.Second, "a place is free again", func() bool {
			c, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	})
	t.Run("per address", func(t *testing.T) {
		h := newHouse(t, func(o *sftpd.Options) { o.MaxPerAddress = 2 })
		h.dial()
		h.dial()
		if _, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva)); err == nil {
			t.Error("a third connection was taken")
		}
		other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
		raw, err := other.DialContext(t.Context(), "tcp", h.addr)
		if err != nil {
			t.Skipf("this machine has one loopback address only: %v", err)
		}
		defer raw.Close()
		if _, _, _, err := gossh.NewClientConn(raw, h.addr, h.config("eva", h.eva)); err != nil {
			t.Errorf("another address pays for it: %v", err)
		}
	})
	t.Run("in all, and half of the places are kept for people who sign in", func(t *testing.T) {
		h := newHouse(t, func(o *sftpd.Options) { o.MaxConnections = 4 })
		var silent []net.Conn
		for range 3 {
			c, err := net.Dial("tcp", h.addr)
			ok(t, err)
			defer c.Close()
			silent = append(silent, c)
		}
		if !ended(silent[2], 2*time.Second) {
			t.Error("three of four places went to strangers")
		}
		silent[1].Close()
		within(t, 5*time.Second, "the stranger's place is free", func() bool { return strings.Contains(h.log.String(), "connection refused") })
		time.Sleep(100 * time.Millisecond)
		h.dial()
		h.dial()
		h.dial()
		if _, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva)); err == nil {
			t.Error("a fifth connection was taken")
		}
	})
	t.Run("sessions of one connection", func(t *testing.T) {
		h := newHouse(t, nil)
		c := h.dial()
		for i := range 10 {
			if _, err := c.NewSession(); err != nil {
				t.Fatalf("session %d: %v", i+1, err)
			}
		}
		if _, err := c.NewSession(); err == nil {
			t.Error("an eleventh session was taken")
		}
	})
	t.Run("open files of one session", func(t *testing.T) {
		h := newHouse(t, nil)
		c := h.sftp()
		var open []*sftp.File
		for {
			f, err := c.Open("/server/parquet/sales/orders.parquet")
			if err != nil {
				if !strings.Contains(err.Error(), "close some first") {
					t.Errorf("refused with %v", err)
				}
				break
			}
			if open = append(open, f); len(open) > 1000 {
				t.Fatal("a thousand files are open at once")
			}
		}
		ok(t, open[0].Close())
		f, err := c.Open("/server/parquet/sales/orders.parquet")
		if err != nil {
			t.Errorf("after one was closed: %v", err)
		} else {
			f.Close()
		}
	})
}

func TestWhoDoesNotSignInIsCut(t *testing.T) {
	h := newHouse(t, func(o *sftpd.Options) { o.LoginTimeout = 400 * time.Millisecond })
	for name, talk := range map[string]func(net.Conn){
		"silent":           func(net.Conn) {},
		"greets only":      func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n")) },
		"a byte at a time": drip,
	} {
		c, err := net.Dial("tcp", h.addr)
		ok(t, err)
		defer c.Close()
		go talk(c)
		if !ended(c, 5*time.Second) {
			t.Errorf("%s: still connected", name)
		}
	}
	raw, err := net.Dial("tcp", h.addr)
	ok(t, err)
	defer raw.Close()
	never := make(chan struct{})
	defer close(never)
	cfg := h.config("eva")
	cfg.Auth = []gossh.AuthMethod{gossh.PublicKeysCallback(func() ([]gossh.Signer, error) { <-never; return nil, nil })}
	c := &watched{Conn: raw, gone: make(chan struct{})}
	go func() { _, _, _, _ = gossh.NewClientConn(c, h.addr, cfg) }()
	select {
	case <-c.gone:
	case <-time.After(5 * time.Second):
		t.Error("a client that stops after the key exchange is still connected")
	}
}

// watched tells when the other side has closed.
type watched struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(func() { close(w.gone) })
	}
	return n, err
}

func drip(c net.Conn) {
	for _, b := range []byte(strings.Repeat("SSH-2.0-slow", 20)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Keep-alive messages show that a machine is up, not that anybody uses the connection.
func TestIdleConnectionsEndWhateverTheirKeepAlives(t *testing.T) {
	h := newHouse(t, func(o *sftpd.Options) { o.IdleTimeout = 1500 * time.Millisecond })
	idle, used := h.dial(), h.sftp()
	gone := make(chan struct{})
	go func() { _ = idle.Wait(); close(gone) }()
	end := time.After(6 * time.Second)
	for {
		select {
		case <-gone:
			if _, err := used.Stat("/server"); err != nil {
				t.Errorf("the one that is used was cut too: %v", err)
			}
			return
		case <-end:
			t.Fatal("keep-alives kept an idle connection open")
		case <-time.After(100 * time.Millisecond):
			_, _, _ = idle.SendRequest("keepalive@openssh.com", true, nil)
			if _, err := used.Stat("/server"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
