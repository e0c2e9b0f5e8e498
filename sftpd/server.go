// Package sftpd is the built-in SSH server: it signs people in by public key and serves each their own tree over SFTP and
// legacy scp, with a few commands. There is no shell, no forwarding and no system account. What a path means and who may
// read what, packages tree and store know.
//
//	srv, err := sftpd.New(sftpd.Options{Addr: ":2222", HostKey: "data/ssh/host_ed25519", Store: st, Lake: lk})
//	addr, err := srv.Listen()
//	err = srv.Serve(ctx)
package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/sftpd/rsync"
	"aida/sftpd/tree"
	"aida/store"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// Options is what a server works with.
type Options struct {
	Addr         string
	HostKey      string // file; made at the first start
	Home         string // folder of the users' home folders
	Store        *store.Store
	Lake         tree.Lake
	Kit          fs.FS
	Log          *slog.Logger
	IdleTimeout  time.Duration
	LoginTimeout time.Duration
	Drain        time.Duration // how long running transfers may go on at the end

	MaxPerUser, MaxPerAddress, MaxConnections int

	HomeQuota int64
	HomeFiles int
}

// maxChannels bounds sessions per connection.
const maxChannels = 10

// Server is the SSH server.
type Server struct {
	o        Options
	signer   gossh.Signer
	cache    *tree.Cache
	srv      *ssh.Server
	listener net.Listener

	running  sync.WaitGroup // connections and sessions
	mu       sync.Mutex
	conns    map[*conn]struct{}
	quotas   map[int64]*tree.Quota
	budgets  map[int64]*rsync.Budget
	draining bool

	digests digests
}

// New makes a server, and its host key when there is none.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	signer, err := hostKey(o.HostKey)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, signer: signer, cache: tree.NewCache(), conns: map[*conn]struct{}{}, quotas: map[int64]*tree.Quota{}, budgets: map[int64]*rsync.Budget{}}
	s.srv = &ssh.Server{
		HostSigners:      []ssh.Signer{signer},
		Version:          version,
		PublicKeyHandler: s.offered,
		ConnCallback: func(ctx ssh.Context, c net.Conn) net.Conn {
			ctx.SetValue(connKey{}, c)
			return c
		},
		ServerConfigCallback: func(ctx ssh.Context) *gossh.ServerConfig {
			cfg := serverConfig()
			if c, ok := ctx.Value(connKey{}).(*conn); ok && hasAES {
				cfg.Ciphers = c.suits
			}
			cfg.VerifiedPublicKeyCallback = func(meta gossh.ConnMetadata, key gossh.PublicKey, _ *gossh.Permissions, _ string) (*gossh.Permissions, error) {
				return s.signIn(ctx, meta, key)
			}
			return cfg
		},
		ChannelHandlers:   map[string]ssh.ChannelHandler{"session": s.session},
		RequestHandlers:   map[string]ssh.RequestHandler{},
		SubsystemHandlers: map[string]ssh.SubsystemHandler{"sftp": s.guard(s.sftp)},
		Handler:           s.guard(s.command),
		PtyCallback:       func(ssh.Context, ssh.Pty) bool { return false },
	}
	return s, nil
}

// hasAES tells whether the processor does AES itself.
var hasAES = cpu.X86.HasAES || cpu.ARM64.HasAES

// serverConfig names the algorithms: those that Go does in hardware. ChaCha20, which stock OpenSSH asks for first, is
// offered only where the processor has no AES.
func serverConfig() *gossh.ServerConfig {
	cfg := &gossh.ServerConfig{MaxAuthTries: 6}
	cfg.KeyExchanges = []string{"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"}
	cfg.Ciphers = []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"}
	cfg.MACs = []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"}
	return cfg
}

// Listen opens the address.
func (s *Server) Listen() (net.Addr, error) {
	l, err := net.Listen("tcp", s.o.Addr)
	if err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	s.listener = l
	return l.Addr(), nil
}

// HostKey is the public host key as known_hosts has it.
func (s *Server) HostKey() string {
	return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(s.signer.PublicKey())))
}

// Serve answers until ctx is done; then it takes no more connections and sessions, lets running transfers end within the
// drain time, cuts what is left, and returns when nothing of it runs any more.
func (s *Server) Serve(ctx context.Context) error {
	var background sync.WaitGroup
	watching, stop := context.WithCancel(context.Background())
	background.Go(func() { s.watch(watching) })
	accepted := make(chan error, 1)
	background.Go(func() { accepted <- s.accept(ctx) })

	var err error
	select {
	case err = <-accepted:
	case <-ctx.Done():
	}
	err = errors.Join(err, ignoreClosed(s.listener.Close()))
	s.drain()
	s.running.Wait()
	stop()
	background.Wait()
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	return nil
}

// accept takes connections. When the process has no descriptors left it waits, as the next one may come free.
func (s *Server) accept(ctx context.Context) error {
	pause := time.Duration(0)
	for {
		raw, err := s.listener.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				raw.Close()
			}
			return nil
		}
		if err != nil {
			pause = min(2*pause+5*time.Millisecond, time.Second)
			s.o.Log.Error("no connection can be taken", "error", err, "again_in", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		c := s.admit(raw)
		if c == nil {
			raw.Close()
			continue
		}
		s.running.Go(func() {
			defer c.Close()
			defer func() {
				if p := recover(); p != nil {
					s.o.Log.Error("panic in a connection", "address", c.address, "panic", p, "stack", string(debug.Stack()))
				}
			}()
			if hasAES {
				c.suits = c.ciphers() // here, as the library holds a lock while it asks for the configuration
			}
			s.srv.HandleConn(c)
		})
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// quiet is how long a connection without an open file or a running command must have moved nothing before the drain takes
// it for one that only waits, such as a client at its prompt.
const quiet = time.Second

// drain lets transfers that run come to their end.
func (s *Server) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	end := time.Now().Add(s.o.Drain)
	for time.Now().Before(end) {
		s.cut(func(c *conn) bool { return c.identity.Load() == nil || (c.busy.Load() == 0 && c.idle() > quiet) })
		s.mu.Lock()
		left := len(s.conns)
		s.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := s.cut(func(*conn) bool { return true }); n > 0 {
		s.o.Log.Warn("transfers were cut: they did not end within the drain time", "connections", n)
	}
}

// cut ends connections and tells how many.
func (s *Server) cut(which func(*conn) bool) int {
	s.mu.Lock()
	var list []*conn
	for c := range s.conns {
		if which(c) {
			list = append(list, c)
		}
	}
	s.mu.Unlock()
	for _, c := range list {
		c.Close()
	}
	return len(list)
}

// blind is how long access may stay unreadable before every connection is cut: who may read what is then unknown.
const blind = 15 * time.Second

// watch makes changes of access act on open connections within a second or two: who lost the key is cut, who lost or won
// a table sees that. It also ends connections on which nothing moves.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	known := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.cut(func(c *conn) bool {
			if c.identity.Load() == nil || c.idle() < s.o.IdleTimeout {
				return false
			}
			s.o.Log.Info("connection cut: nothing moved for the idle time", "user", c.identity.Load().user.Name, "address", c.address)
			return true
		})
		v, err := s.o.Store.AccessVersion(ctx)
		if err == nil {
			known = time.Now()
			s.recheck(ctx, v)
			continue
		}
		s.o.Log.Error("access cannot be checked", "error", err)
		if time.Since(known) > blind {
			s.cut(func(c *conn) bool { return c.identity.Load() != nil })
		}
	}
}

// recheck checks the connections that were last checked at another version of access.
func (s *Server) recheck(ctx context.Context, version int64) {
	s.mu.Lock()
	list := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range list {
		if c.identity.Load() != nil && !c.checkedAt(version) && !s.stillAllowed(ctx, c, version) {
			c.Close()
		}
	}
}

// stillAllowed checks a connection's key again and renews its tree. When that cannot be known, the connection ends.
func (s *Server) stillAllowed(ctx context.Context, c *conn, version int64) bool {
	id := c.identity.Load()
	if _, _, err := s.o.Store.Login(ctx, id.user.Name, id.key.Fingerprint); err != nil {
		s.o.Log.Warn("connection cut: its key is no longer allowed", "user", id.user.Name, "address", c.address)
		return false
	}
	c.version.Store(version)
	c.mu.Lock()
	t := c.tree
	c.mu.Unlock()
	if t == nil || t.Access().Version == version {
		return true
	}
	a, err := s.o.Store.Access(ctx, id.user.ID)
	if err != nil {
		s.o.Log.Error("access cannot be read, connection cut", "user", id.user.Name, "error", err)
		return false
	}
	t.SetAccess(a)
	return true
}

// guard keeps a fault in a handler from ending the appliance.
func (s *Server) guard(h func(ssh.Session, *conn) int) func(ssh.Session) {
	return func(sess ssh.Session) {
		code := 1
		defer func() {
			if p := recover(); p != nil {
				s.o.Log.Error("panic in a session", "panic", p, "stack", string(debug.Stack()))
				fmt.Fprintln(sess.Stderr(), "aida: an internal error happened, it is in the server's log")
			}
			_ = sess.Exit(code)
		}()
		c, ok := sess.Context().Value(connKey{}).(*conn)
		if !ok || c.identity.Load() == nil || !s.begin() {
			return
		}
		defer s.running.Done()
		code = h(sess, c)
	}
}

// begin counts a session that Serve waits for; none begins when the server is about to end.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.running.Add(1)
	return true
}

// treeOf gives the connection's tree, built at its first use; all sessions of a connection share it.
func (s *Server) treeOf(ctx context.Context, c *conn) (*tree.Tree, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tree != nil {
		return c.tree, nil
	}
	if c.closed {
		return nil, io.ErrClosedPipe
	}
	// A change of access from here on is seen by watch: the tree's version is then another one than the newest.
	a, err := s.o.Store.Access(ctx, c.identity.Load().user.ID)
	if err != nil {
		return nil, err
	}
	t, err := s.Tree(ctx, a, 0)
	if err != nil {
		return nil, err
	}
	c.tree = t
	return t, nil
}

// Tree opens the tree of the person of an access at a generation, 0 being the newest, for a reader that does not come by
// SSH. Whoever holds it renews its access and closes it.
func (s *Server) Tree(ctx context.Context, a *store.Access, generation int64) (*tree.Tree, error) {
	pin, err := s.o.Store.PinAt(ctx, generation)
	if err != nil {
		return nil, err
	}
	t, err := tree.Open(tree.Options{Pin: pin, Access: a, Lake: s.o.Lake, Home: filepath.Join(s.o.Home, a.User.Name), Kit: s.o.Kit, Quota: s.quota(a.User.ID), Cache: s.cache,
		Profiles: s.o.Store, Metrics: s.o.Store})
	if err != nil {
		pin.Release()
		return nil, err
	}
	return t, nil
}

func (s *Server) quota(userID int64) *tree.Quota {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quotas[userID] == nil {
		s.quotas[userID] = &tree.Quota{Bytes: s.o.HomeQuota, Files: s.o.HomeFiles}
	}
	return s.quotas[userID]
}
