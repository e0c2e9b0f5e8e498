package sftpd

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// openChannel gives both ends of a channel over a connection of this machine.
func openChannel(t *testing.T) (server, client gossh.Channel, l *lead) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	key, err := gossh.NewSignerFromKey(private)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	t.Cleanup(func() { near.Close() })
	far, err := listener.Accept()
	check(err)
	t.Cleanup(func() { far.Close() })
	opened := make(chan gossh.Channel)
	go func() {
		_, channels, requests, err := gossh.NewClientConn(near, "", &gossh.ClientConfig{HostKeyCallback: gossh.InsecureIgnoreHostKey()})
		if err != nil {
			t.Error(err)
			close(opened)
			return
		}
		go gossh.DiscardRequests(requests)
		for c := range channels {
			ch, requests, err := c.Accept()
			if err != nil {
				t.Error(err)
			}
			go gossh.DiscardRequests(requests)
			opened <- ch
		}
	}()
	config := &gossh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	conn, channels, requests, err := gossh.NewServerConn(far, config)
	check(err)
	go gossh.DiscardRequests(requests)
	go func() {
		for range channels {
			t.Error("the client opens a channel")
		}
	}()
	server, requests, err = conn.OpenChannel("session", nil)
	check(err)
	go gossh.DiscardRequests(requests)
	return server, <-opened, newLead(server, far)
}

// reaches waits until a number is at least so high, and fails after a while.
func reaches(t *testing.T, l *lead, least uint32) uint32 {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l.L.Lock()
		ahead := l.full - *l.left
		l.L.Unlock()
		if ahead >= least {
			return ahead
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes are on their way, not %d", ahead, least)
		}
	}
}

const piece = 64 << 10

// pour writes without end through a channel, and closes what it gives when the channel is gone.
func pour(ch gossh.Channel, l *lead) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		m := movingChannel{ch, &conn{}, l}
		for {
			if _, err := m.Write(make([]byte, piece)); err != nil {
				return
			}
		}
	}()
	return ended
}

func TestANearClientGetsLessAhead(t *testing.T) {
	server, client, l := openChannel(t)
	if l == nil {
		t.Fatal("the library's window was not found")
	}
	if l.full != 2<<20 {
		t.Fatalf("the client's window is %d, which it gives as 2 MiB", l.full)
	}
	l.patience = time.Hour
	ended := pour(server, l)
	reaches(t, l, nearLead)
	time.Sleep(20 * time.Millisecond) // in which more would come
	if ahead := reaches(t, l, nearLead); ahead > nearLead+piece {
		t.Errorf("%d bytes are on their way to a client that takes none", ahead)
	}
	if _, err := io.CopyN(io.Discard, client, 5<<20); err != nil { // more than a window: it goes on
		t.Fatal(err)
	}
	client.Close()
	server.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the channel does not end the waiting")
	}
}

func TestAClientThatTellsLittleGetsItsWholeWindow(t *testing.T) {
	server, client, l := openChannel(t)
	l.patience = 10 * time.Millisecond
	ended := pour(server, l)
	reaches(t, l, l.full)
	if _, err := io.CopyN(io.Discard, client, 3<<20); err != nil {
		t.Fatal(err)
	}
	client.Close()
	server.Close()
	<-ended
}

// Without the library's window, nothing is bounded.
func TestALibraryWithoutAWindowIsLeftAlone(t *testing.T) {
	for name, ch := range map[string]gossh.Channel{"a wrapper": movingChannel{}, "another type": &struct{ gossh.Channel }{}, "another window": &struct {
		gossh.Channel
		remoteWin struct {
			*sync.Cond
			win    uint64
			closed bool
		}
	}{}} {
		if l := windowOf(ch); l != nil {
			t.Errorf("%s: %v", name, l)
		}
	}
	(*lead)(nil).wait()
}
