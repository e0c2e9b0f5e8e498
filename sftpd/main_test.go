package sftpd_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"aida/sftpd"
	"aida/sftpd/tree"
	"aida/store"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

// house is a server on loopback with a database, two tables and one analyst, eva. Table sales.orders is open, hr.payroll
// is restricted.
type house struct {
	t      *testing.T
	dir    string
	st     *store.Store
	srv    *sftpd.Server
	addr   string
	log    *logBook
	tables map[string]store.Table
	eva    gossh.Signer
	stop   func() error // ends the server in order
}

// logBook keeps what the server logs.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHouse(t *testing.T, change func(*sftpd.Options)) *house {
	t.Helper()
	dir := t.TempDir()
	st := must(store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "aida.db")}))
	h := &house{t: t, dir: dir, st: st, log: &logBook{}, tables: map[string]store.Table{}}
	ok(t, os.MkdirAll(filepath.Join(dir, "lake"), 0o750))
	o := sftpd.Options{
		Addr: "127.0.0.1:0", HostKey: filepath.Join(dir, "ssh", "host"), Home: filepath.Join(dir, "home"), Store: st,
		Lake: func(f store.File) (tree.File, error) { return os.Open(filepath.Join(dir, "lake", f.Physical)) },
		Kit:  fstest.MapFS{"scripts/sync.sh": {Data: []byte("#!/bin/sh\n")}},
		Log:  slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), IdleTimeout: time.Minute, LoginTimeout: 10 * time.Second, Drain: 10 * time.Second,
		MaxPerUser: 20, MaxPerAddress: 50, MaxConnections: 100, HomeQuota: 64 << 20, HomeFiles: 1000,
	}
	if change != nil {
		change(&o)
	}
	ok(t, st.SetCatalog(t.Context(), []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}}, []store.Table{
		{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales", Definition: store.Definition{Description: "Orders", PrimaryKey: []string{"id"},
			ForeignKeys: []store.ForeignKey{{Column: "paid_by", References: "payroll.id"}}}},
		{SourceID: "h.payroll", Name: "payroll", Folder: "hr", Dataset: "hr", Definition: store.Definition{Description: "Wages"}},
	}))
	h.publish(map[string]string{"sales/orders.parquet": "orders of today", "hr/payroll.parquet": "secret wages"})
	h.eva = newSigner(t)
	h.addUser("eva", h.eva)

	h.srv = must(sftpd.New(o))
	h.addr = must(h.srv.Listen()).String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.srv.Serve(ctx) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := errors.Join(h.stop(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// publish makes a generation in which the tables hold these files.
func (h *house) publish(files map[string]string) {
	h.t.Helper()
	changes := map[int64]*store.Change{}
	for _, table := range must(h.st.Tables(h.t.Context())) {
		h.tables[table.Name] = table
		changes[table.ID] = &store.Change{TableID: table.ID, DataTime: time.Unix(1_700_000_000, 0)}
	}
	for logical, text := range files {
		folder, name, _ := strings.Cut(logical, "/")
		table, _, _ := strings.Cut(strings.TrimSuffix(name, ".parquet"), "/")
		sum := sha256.Sum256([]byte(text))
		physical := hex.EncodeToString(sum[:]) + ".parquet"
		ok(h.t, os.WriteFile(filepath.Join(h.dir, "lake", physical), []byte(text), 0o640))
		t, known := h.tables[table]
		if !known || t.Folder != folder {
			h.t.Fatalf("no table for %s", logical)
		}
		changes[t.ID].Files = append(changes[t.ID].Files, store.File{Logical: logical, Physical: physical, Size: int64(len(text)), Rows: 1,
			Hash: hex.EncodeToString(sum[:]), ModTime: time.Unix(1_700_000_000, 0), Schema: []store.Column{{Name: "id", Type: "int64"}}})
	}
	var list []store.Change
	for _, c := range changes {
		list = append(list, *c)
	}
	if _, _, err := h.st.Publish(h.t.Context(), 0, "", list); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) addUser(name string, key gossh.Signer) {
	h.t.Helper()
	if _, err := h.st.AddUser(h.t.Context(), "test", store.NewUser{Name: name, Key: string(gossh.MarshalAuthorizedKey(key.PublicKey()))}); err != nil {
		h.t.Fatal(err)
	}
}

func newSigner(t *testing.T) gossh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	return must(gossh.NewSignerFromKey(private))
}

func (h *house) config(user string, keys ...gossh.Signer) *gossh.ClientConfig {
	return &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(keys...)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second}
}

// dial signs in as eva.
func (h *house) dial() *gossh.Client {
	h.t.Helper()
	c, err := gossh.Dial("tcp", h.addr, h.config("eva", h.eva))
	ok(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c
}

// sftp opens an SFTP session as eva.
func (h *house) sftp() *sftp.Client {
	h.t.Helper()
	c, err := sftp.NewClient(h.dial())
	ok(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c
}

// run runs a command and gives what it prints on both outputs, and its exit code.
func (h *house) run(c *gossh.Client, command string) (string, int) {
	h.t.Helper()
	s, err := c.NewSession()
	ok(h.t, err)
	defer s.Close()
	out, err := s.CombinedOutput(command)
	var exit *gossh.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitStatus()
	}
	h.t.Fatalf("%s: %v", command, err)
	return "", 0
}

// client writes an ssh_config for stock clients, in which the host "aida" is this server and eva signs in. It gives the
// client's folder, in which commands run.
func (h *house) client() string {
	h.t.Helper()
	dir := h.t.TempDir()
	key := newKeyFile(h.t, filepath.Join(dir, "key"))
	if _, err := h.st.AddKey(h.t.Context(), "test", "eva", key); err != nil {
		h.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(h.addr)
	ok(h.t, err)
	ok(h.t, os.WriteFile(filepath.Join(dir, "known_hosts"), fmt.Appendf(nil, "[%s]:%s %s\n", host, port, h.srv.HostKey()), 0o600))
	ok(h.t, os.WriteFile(filepath.Join(dir, "ssh_config"), fmt.Appendf(nil, "Host aida\n HostName %s\n Port %s\n User eva\n IdentityFile %s\n UserKnownHostsFile %s\n GlobalKnownHostsFile /dev/null\n IdentitiesOnly yes\n BatchMode yes\n",
		host, port, filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")), 0o600))
	return dir
}

func newKeyFile(t *testing.T, path string) (public string) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	block := must(gossh.MarshalPrivateKey(private, ""))
	ok(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	return string(gossh.MarshalAuthorizedKey(must(gossh.NewPublicKey(pub))))
}

// stock runs a stock client in its folder and gives what it prints, and its exit code.
func stock(t *testing.T, dir, stdin string, args ...string) (string, int) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%q hangs\n%s", args, out)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within waits until a condition holds.
func within(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %v: %s", d, what)
}

// ended tells whether the server closes the connection within d.
func ended(c net.Conn, d time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, c)
	return err == nil || !errors.Is(err, os.ErrDeadlineExceeded)
}
