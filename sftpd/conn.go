package sftpd

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"aida/sftpd/tree"
	"aida/store"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// conn is one TCP connection with what is known of it. It ends itself: when nobody signs in within the login time, and
// when nothing moves for the idle time.
type conn struct {
	net.Conn
	s        *Server
	address  string
	identity atomic.Pointer[identity] // nil until signed in
	sessions atomic.Int32
	touched  atomic.Int64 // last renewal of the deadline, Unix seconds

	mu     sync.Mutex
	tree   *tree.Tree
	closed bool
}

type identity struct {
	user store.User
	key  store.Key
}

type connKey struct{}

// admit takes a new connection, or refuses it when there are too many.
func (s *Server) admit(ctx ssh.Context, raw net.Conn) net.Conn {
	address, _, err := net.SplitHostPort(raw.RemoteAddr().String())
	if err != nil {
		address = raw.RemoteAddr().String()
	}
	c := &conn{Conn: raw, s: s, address: address}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := 0
	for other := range s.conns {
		if other.address == address {
			same++
		}
	}
	if len(s.conns) >= s.o.MaxConnections || same >= s.o.MaxPerAddress {
		s.o.Log.Warn("connection refused: too many are open", "address", address, "open", len(s.conns), "of_address", same)
		return nil
	}
	_ = raw.SetDeadline(time.Now().Add(s.o.LoginTimeout))
	s.conns[c] = struct{}{}
	ctx.SetValue(connKey{}, c)
	return c
}

// Close ends the connection and lets go of its generation.
func (c *conn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		if c.tree != nil {
			_ = c.tree.Close()
		}
		if id := c.identity.Load(); id != nil {
			c.s.o.Log.Info("signed out", "user", id.user.Name, "address", c.address)
		}
	}
	return c.Conn.Close()
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.renew()
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.renew()
	return c.Conn.Write(p)
}

// renew moves the deadline of a signed-in connection, at most once a second.
func (c *conn) renew() {
	if c.identity.Load() == nil {
		return
	}
	if now := time.Now(); c.touched.Swap(now.Unix()) != now.Unix() {
		_ = c.Conn.SetDeadline(now.Add(c.s.o.IdleTimeout))
	}
}

// offered answers whether a key that a client offers could sign in. It proves nothing: the client may not own the key.
func (s *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	_, _, err := s.o.Store.Login(ctx, ctx.User(), gossh.FingerprintSHA256(key))
	if err != nil && store.CodeOf(err) != store.Unauthorized {
		s.o.Log.Error("sign-in cannot be checked", "error", err)
	}
	return err == nil
}

// signIn is called when a client has proven that it owns a key; this key, and no other that it offered before, says who
// it is.
func (s *Server) signIn(ctx ssh.Context, meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return nil, errors.New("permission denied")
	}
	u, k, err := s.o.Store.Login(ctx, meta.User(), gossh.FingerprintSHA256(key))
	if err != nil {
		return nil, errors.New("permission denied")
	}
	s.mu.Lock()
	open := 0
	for other := range s.conns {
		if id := other.identity.Load(); other != c && id != nil && id.user.ID == u.ID {
			open++
		}
	}
	if open < s.o.MaxPerUser {
		c.identity.Store(&identity{u, k})
	}
	s.mu.Unlock()
	if open >= s.o.MaxPerUser {
		s.o.Log.Warn("sign-in refused: too many connections", "user", u.Name, "address", c.address, "open", open)
		return nil, errors.New("too many connections")
	}
	c.renew()
	if err := s.o.Store.KeyUsed(ctx, k.ID, c.address); err != nil {
		s.o.Log.Error("the use of a key cannot be noted", "error", err)
	}
	s.o.Log.Info("signed in", "user", u.Name, "address", c.address, "key", k.Fingerprint)
	return &gossh.Permissions{Extensions: map[string]string{"user": u.Name, "fingerprint": k.Fingerprint}}, nil
}

// session counts the sessions of a connection; only shell-less ones with exec or a subsystem do anything.
func (s *Server) session(srv *ssh.Server, sc *gossh.ServerConn, ch gossh.NewChannel, ctx ssh.Context) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok || c.sessions.Add(1) > maxChannels {
		if ok {
			c.sessions.Add(-1)
		}
		_ = ch.Reject(gossh.ResourceShortage, "too many sessions on this connection")
		return
	}
	defer c.sessions.Add(-1)
	ssh.DefaultSessionHandler(srv, sc, quietChannel{ch}, ctx)
}
