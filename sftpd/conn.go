package sftpd

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"aida/sftpd/tree"
	"aida/store"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// conn is one TCP connection with what is known of it. It ends when nobody signs in within the login time, and when its
// sessions move nothing for the idle time. Only bytes of sessions count as movement: keep-alive messages show that a
// client's machine is up, not that anybody uses the connection, and each connection holds a generation.
type conn struct {
	net.Conn
	s        *Server
	address  string
	identity atomic.Pointer[identity] // nil until signed in
	version  atomic.Int64             // of access, when the identity was last checked
	sessions atomic.Int32
	busy     atomic.Int32 // open files and running commands: what a shutdown waits for
	moved    atomic.Int64 // when a session last moved bytes, Unix nanoseconds

	loginEnds time.Time
	suits     []string // ciphers for this client
	early     []byte   // read from the client before the library began
	piece     []byte   // of a packet, written with the rest of it
	greeted   int      // bytes of a greeting that the library will send once more

	mu     sync.Mutex
	tree   *tree.Tree
	closed bool
}

type identity struct {
	user store.User
	key  store.Key
}

type connKey struct{}

// admit takes a new connection, or refuses it when there are too many. Half of all places are kept for people who have
// signed in, so that silent strangers cannot fill the house.
func (s *Server) admit(raw net.Conn) *conn {
	c := &conn{Conn: raw, s: s, address: addressOf(raw.RemoteAddr())}
	s.mu.Lock()
	defer s.mu.Unlock()
	same, strangers := 0, 0
	for other := range s.conns {
		if other.address == c.address {
			same++
		}
		if other.identity.Load() == nil {
			strangers++
		}
	}
	if len(s.conns) >= s.o.MaxConnections || same >= s.o.MaxPerAddress || strangers >= (s.o.MaxConnections+1)/2 {
		s.o.Log.Warn("connection refused: too many are open", "address", c.address, "open", len(s.conns), "of_address", same, "not_signed_in", strangers)
		return nil
	}
	c.loginEnds = time.Now().Add(s.o.LoginTimeout)
	_ = raw.SetDeadline(c.loginEnds)
	s.conns[c] = struct{}{}
	return c
}

// addressOf is what the limit per address counts: an IPv4 address, or the /64 network that one IPv6 host has to itself.
func addressOf(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
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

// SetDeadline keeps the library from moving the deadlines of this package: it clears them with each read and write.
func (c *conn) SetDeadline(time.Time) error { return nil }

// move notes that a session does something.
func (c *conn) move() { c.moved.Store(time.Now().UnixNano()) }

// idle is how long no session has moved anything.
func (c *conn) idle() time.Duration { return time.Since(time.Unix(0, c.moved.Load())) }

// checkedAt tells whether key and tree are those of a version of access.
func (c *conn) checkedAt(version int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version.Load() == version && (c.tree == nil || c.tree.Access().Version == version)
}

// offered answers whether a key that a client offers could sign in. It proves nothing: the client may not own the key.
func (s *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	_, _, err := s.o.Store.Login(ctx, ctx.User(), gossh.FingerprintSHA256(key))
	if err != nil && store.CodeOf(err) != store.Unauthorized {
		s.o.Log.Error("sign-in cannot be checked", "error", err)
	}
	return err == nil
}

// noteEvery is how exact the last use of a key is: a mirror that opens many connections does not make as many writes.
const noteEvery = 10 * time.Second

// signIn is called when a client has proven that it owns a key; this key, and no other that it offered before, says who
// it is.
func (s *Server) signIn(ctx ssh.Context, meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return nil, errors.New("permission denied")
	}
	// The version is read first: a key that is taken away from here on makes watch look at this connection.
	version, err := s.o.Store.AccessVersion(ctx)
	if err != nil {
		return nil, errors.New("permission denied")
	}
	u, k, err := s.o.Store.Login(ctx, meta.User(), gossh.FingerprintSHA256(key))
	if err != nil {
		return nil, errors.New("permission denied")
	}
	c.version.Store(version)
	c.move()
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
	_ = c.Conn.SetDeadline(time.Time{}) // from here on watch looks after it
	if k.LastUsedFrom != c.address || time.Since(k.LastUsedAt) > noteEvery {
		if err := s.o.Store.KeyUsed(ctx, k.ID, c.address); err != nil {
			s.o.Log.Error("the use of a key cannot be noted", "error", err)
		}
	}
	s.o.Log.Info("signed in", "user", u.Name, "address", c.address, "key", k.Fingerprint)
	return &gossh.Permissions{Extensions: map[string]string{"user": u.Name, "fingerprint": k.Fingerprint}}, nil
}

// session counts the sessions of a connection; only shell-less ones with exec or a subsystem do anything.
func (s *Server) session(srv *ssh.Server, sc *gossh.ServerConn, ch gossh.NewChannel, ctx ssh.Context) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		_ = ch.Reject(gossh.Prohibited, "not signed in")
		return
	}
	defer c.sessions.Add(-1)
	if c.sessions.Add(1) > maxChannels {
		_ = ch.Reject(gossh.ResourceShortage, "too many sessions on this connection")
		return
	}
	ssh.DefaultSessionHandler(srv, sc, sessionChannel{ch, c}, ctx)
}
