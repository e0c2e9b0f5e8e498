package app_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aida/store"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/lake"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// company is a folder with an instance whose tables all hold one version: a mix of two shows.
type company struct {
	t      testing.TB
	dir    string
	tables []string
}

// rowsOfTable makes tables take long enough to be killed in the middle.
func rowsOfTable(i int) int { return 200 + i*i*500 }

func newCompany(t testing.TB) *company {
	t.Helper()
	c := &company{t: t, dir: t.TempDir(), tables: []string{"a", "b", "c", "d", "e", "f"}}
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n")
	text := "```yaml\ntables:\n"
	for _, n := range c.tables {
		text += fmt.Sprintf("  - {id: s.%s, name: %s, description: Table %s, primary_key: id, sync_strategy: full_refresh, folder: s, csv: {path: %s.csv}}\n", n, n, n, n)
	}
	c.write("config/data_description.md", text+"```\n")
	c.version(0)
	return c
}

func (c *company) write(name, text string) {
	c.t.Helper()
	file := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		c.t.Fatal(err)
	}
}

// version puts new rows into every table.
func (c *company) version(v int) {
	c.t.Helper()
	for i, n := range c.tables {
		var b strings.Builder
		b.WriteString("id,version,text\n")
		for row := range rowsOfTable(i) {
			fmt.Fprintf(&b, "%d,%d,row %d of %s\n", row, v, row, n)
		}
		c.write(filepath.Join("in", n+".csv"), b.String())
	}
}

// aida prepares a command of the real binary.
func (c *company) aida(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "aida", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "CONFIG_DIR=", "DATA_DIR=")
	return cmd
}

func (c *company) run(args ...string) string {
	c.t.Helper()
	out, err := c.aida(c.t.Context(), args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("aida %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// look opens the data folder as a reader of another process does.
func (c *company) look() (*store.Store, *lake.Lake) {
	c.t.Helper()
	s, err := store.Open(c.t.Context(), store.Options{Path: filepath.Join(c.dir, "data", "aida.db")})
	if err != nil {
		c.t.Fatal(err)
	}
	l, err := lake.Open(lake.Options{Data: filepath.Join(c.dir, "data"), Store: s})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { l.Close(); s.Close() })
	return s, l
}

// whole checks one generation: every file has the bytes of the manifest, and all tables hold one version.
func whole(ctx context.Context, t testing.TB, l *lake.Lake, snap *store.Snapshot, tables int) (version string) {
	t.Helper()
	if bad := l.Verify(ctx, snap.Files); len(bad) > 0 && ctx.Err() == nil {
		t.Errorf("generation %d: %v", snap.Generation, bad)
	}
	if len(snap.Files) != tables {
		t.Errorf("generation %d has %d files", snap.Generation, len(snap.Files))
	}
	for _, f := range snap.Files {
		file, err := l.Open(f)
		if err != nil {
			t.Error(err)
			return ""
		}
		data, err := io.ReadAll(io.NewSectionReader(file, 0, f.Size))
		file.Close()
		if err != nil {
			t.Error(err)
			return ""
		}
		v := versionOf(t, data)
		if version != "" && v != version {
			t.Errorf("generation %d mixes versions %s and %s", snap.Generation, version, v)
		}
		version = v
	}
	return version
}

// versions keeps what was read, by digest: many readers get the same files.
var versions sync.Map

func versionOf(t testing.TB, data []byte) string {
	t.Helper()
	sum := sha256.Sum256(data)
	if v, ok := versions.Load(sum); ok {
		return v.(string)
	}
	all := columnartest.Read(t, data).Column("version")
	if len(all) == 0 || slices.ContainsFunc(all, func(v string) bool { return v != all[0] }) {
		t.Errorf("%d rows of several versions", len(all))
		return ""
	}
	versions.Store(sum, all[0])
	return all[0]
}

// debris lists what no generation and no running process needs.
func (c *company) debris(s *store.Store) (out []string) {
	c.t.Helper()
	known, err := s.Physical(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	data := filepath.Join(c.dir, "data")
	for _, room := range []string{"lake", "scratch"} {
		err := fs.WalkDir(os.DirFS(filepath.Join(data, room)), ".", func(p string, d fs.DirEntry, err error) error {
			if err == nil && (!d.IsDir() && !known[p] || room == "scratch" && p != ".") {
				out = append(out, path.Join(room, p))
			}
			return err
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	for p := range known {
		if _, err := os.Stat(filepath.Join(data, "lake", p)); err != nil {
			c.t.Error(err)
		}
	}
	return out
}

// torture is how often a test repeats itself: short, or long under AIDA_TORTURE=1, or what AIDA_TORTURE says above that.
func torture(t testing.TB, short, long int) int {
	s := os.Getenv("AIDA_TORTURE")
	if s == "" {
		return short
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("AIDA_TORTURE=%s is not a number", s)
	}
	if n > 1 {
		return n
	}
	return long
}

// seeded gives random numbers by AIDA_SEED, or by a new seed that the log tells.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("AIDA_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("AIDA_SEED=%s is not a number", s)
		}
	}
	t.Logf("AIDA_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// listening is a server of a company.
type listening struct {
	c                        *company
	cmd                      *exec.Cmd
	done                     chan struct{}
	HTTP, SSH, Host_Key, Key string
}

func (c *company) serve(args ...string) *listening {
	c.t.Helper()
	if len(args) == 0 {
		args = []string{"serve"}
	}
	l := &listening{c: c, cmd: c.aida(context.Background(), append(args, "--json", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0")...), done: make(chan struct{})}
	log, err := os.Create(filepath.Join(c.dir, "server.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	l.cmd.Stderr = log
	out, err := l.cmd.StdoutPipe()
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	line, rerr := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = l.cmd.Wait()
		log.Close()
		close(l.done)
	}()
	c.t.Cleanup(func() { _ = l.cmd.Process.Kill(); <-l.done })
	if rerr != nil {
		text, _ := os.ReadFile(filepath.Join(c.dir, "server.log"))
		c.t.Fatalf("the server did not start: %v\n%s", rerr, text)
	}
	if err := json.Unmarshal([]byte(line), l); err != nil {
		c.t.Fatal(err)
	}
	return l
}

func (l *listening) stop(signal syscall.Signal) {
	l.c.t.Helper()
	if err := l.cmd.Process.Signal(signal); err != nil {
		l.c.t.Fatal(err)
	}
	select {
	case <-l.done:
	case <-time.After(40 * time.Second):
		l.c.t.Fatal("the server did not end")
	}
}

// analyst adds somebody with a fresh key and gives the way in.
func (l *listening) analyst(name string) *ssh.ClientConfig {
	l.c.t.Helper()
	key := filepath.Join(l.c.dir, name+".key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		l.c.t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		l.c.t.Fatal(err)
	}
	l.c.run("analyst", "add", name, strings.TrimSpace(string(public)))
	private, err := os.ReadFile(key)
	if err != nil {
		l.c.t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		l.c.t.Fatal(err)
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l.Host_Key))
	if err != nil {
		l.c.t.Fatal(err)
	}
	return &ssh.ClientConfig{User: name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(host), Timeout: 30 * time.Second}
}

// pull reads the manifest and every file of the tree in one connection and gives the version of all.
func pull(t testing.TB, addr string, who *ssh.ClientConfig) (version string, err error) {
	conn, err := ssh.Dial("tcp", addr, who)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		return "", err
	}
	defer client.Close()
	files := map[string][]byte{}
	walk := client.Walk("/server/parquet")
	for walk.Step() {
		if err := walk.Err(); err != nil {
			return "", err
		}
		if walk.Stat().IsDir() {
			continue
		}
		data, err := get(client, walk.Path())
		if err != nil {
			return "", err
		}
		if int64(len(data)) != walk.Stat().Size() {
			return "", fmt.Errorf("%s has %d bytes, listed were %d", walk.Path(), len(data), walk.Stat().Size())
		}
		files[strings.TrimPrefix(walk.Path(), "/")] = data
	}
	text, err := get(client, "/server/metadata/manifest.json")
	if err != nil {
		return "", err
	}
	var manifest struct {
		Generation int64
		Tables     []struct {
			Files []struct{ Path, SHA256 string }
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", err
	}
	for _, table := range manifest.Tables {
		for _, f := range table.Files {
			data, ok := files[f.Path]
			if !ok {
				return "", fmt.Errorf("%s is in the manifest of generation %d and not in the tree", f.Path, manifest.Generation)
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
				return "", fmt.Errorf("%s has another hash than in the manifest of generation %d", f.Path, manifest.Generation)
			}
			v := versionOf(t, data)
			if version != "" && v != version {
				return "", fmt.Errorf("generation %d mixes versions %s and %s", manifest.Generation, version, v)
			}
			version = v
			delete(files, f.Path)
		}
	}
	if len(files) > 0 {
		return "", fmt.Errorf("%d files of the tree are not in the manifest of generation %d", len(files), manifest.Generation)
	}
	return version, nil
}

func get(c *sftp.Client, name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
