package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// TestBenchSSH compares the built-in SSH server with OpenSSH's sshd on this machine: the same stock clients with their
// default options, the same files, in turn (A B A B ...). AIDA_BENCH_SSH_MIB sets the big file's size (default 512),
// AIDA_BENCH_SSH_FILES the number of small files (5,000), AIDA_BENCH_ROUNDS the rounds (5). AIDA_BENCH_FULL takes the sizes of
// the targets: 2 GiB and 20,000 files.
func TestBenchSSH(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	b := newSSHBench(t, 1)
	mib, files, rounds := benchSize("AIDA_BENCH_SSH_MIB", 512, 2048), benchSize("AIDA_BENCH_SSH_FILES", 5000, 20_000), number("AIDA_BENCH_ROUNDS", 5)
	b.makeFiles(mib, files)

	transfers := []struct {
		what      string
		batch     string // REMOTE is the remote folder, NEW a name that is not there
		must, aim float64
	}{
		{fmt.Sprintf("sftp get %d MiB", mib), "get REMOTE/big " + filepath.Join(b.work, "got"), 0.95, 0.8},
		{fmt.Sprintf("sftp put %d MiB", mib), "put " + filepath.Join(b.work, "local/big") + " REMOTE/up", 0.95, 0.8},
		{fmt.Sprintf("sftp get -r %d x 4 KiB", files), "get -r REMOTE/many " + filepath.Join(b.work, "NEW"), 1.05, 0.8},
		{fmt.Sprintf("sftp put -r %d x 4 KiB", files), "put -r " + filepath.Join(b.work, "local/many") + " REMOTE/NEW", 1.05, 0.8},
	}
	only := os.Getenv("AIDA_BENCH_SSH_ONLY")
	for _, x := range transfers {
		if only != "" && !strings.Contains(x.what, only) {
			continue
		}
		var ours, peer, oursCPU, peerCPU []float64
		for range rounds {
			for _, p := range []struct {
				host, remote, disk string
				pid                int
				out, cpu           *[]float64
			}{{"ours", "user", b.home, b.oursPID, &ours, &oursCPU}, {"peer", b.peerDir, b.peerDir, b.peerPID, &peer, &peerCPU}} {
				for _, file := range []string{filepath.Join(b.work, "got"), filepath.Join(p.disk, "up")} {
					check(t, os.RemoveAll(file))
				}
				syncDisk()
				batch := strings.NewReplacer("REMOTE", p.remote, "NEW", filepath.Base(freshFolder(t, b.work))).Replace(x.batch)
				before := cpuSeconds(t, p.pid)
				*p.out = append(*p.out, b.sftp(p.host, batch))
				time.Sleep(100 * time.Millisecond) // sshd has waited for its child by then
				*p.cpu = append(*p.cpu, cpuSeconds(t, p.pid)-before)
			}
		}
		b.report(x.what+", wall s", median(ours), median(peer), x.must, x.aim)
		t.Logf("%-34s ours %9.4f  peer %9.4f  ratio %.3f", "  of the server's processor, s", median(oursCPU), median(peerCPU), median(oursCPU)/median(peerCPU))
	}
	if only != "" && !strings.Contains("logins", only) {
		return
	}
	var ours, peer []float64
	for range rounds {
		ours, peer = append(ours, 1/b.logins(b.ours)), append(peer, 1/b.logins(b.peer))
	}
	b.report("one login, s (4 at a time)", median(ours), median(peer), 1./8, 1./10)
	b.report("500 idle connections, MiB", b.idle(b.ours, b.oursPID, 500), b.idle(b.peer, b.peerPID, 500), 1./15, 1./25)
}

var folders atomic.Int32

// freshFolder gives the path of a folder that was never there. None is deleted while a bench runs: for a minute after so many
// files were deleted, ext4 looks for new ones at each place that they had, which costs more than a transfer.
func freshFolder(t *testing.T, in string) string {
	t.Helper()
	return filepath.Join(in, fmt.Sprintf("got-%d", folders.Add(1)))
}

// syncDisk lets the disk end what was written before, so that nothing pays for it but who wrote it.
func syncDisk() { _ = exec.Command("sync").Run() }

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// sshBench is both servers with the clients' configuration.
type sshBench struct {
	t                *testing.T
	work             string
	home, peerDir    string // the files on disk that the servers serve
	ours, peer       string // addresses
	oursPID, peerPID int
	signer           gossh.Signer
}

// newSSHBench starts both servers. Ours has one table, b.t, in so many files.
func newSSHBench(t *testing.T, tableFiles int) *sshBench {
	work := t.TempDir()
	b := &sshBench{t: t, work: work, home: filepath.Join(work, "data", "home", "bench", "user"), peerDir: filepath.Join(work, "peer")}
	for _, dir := range []string{b.peerDir, filepath.Join(work, "config"), filepath.Join(work, "in"), filepath.Join(work, "local", "many")} {
		check(t, os.MkdirAll(dir, 0o755))
	}
	for _, name := range []string{"key", "hostkey"} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(work, name))
	}
	text, err := os.ReadFile(filepath.Join(work, "key"))
	check(t, err)
	b.signer, err = gossh.ParsePrivateKey(text)
	check(t, err)
	b.startOurs(tableFiles)
	b.startPeer()
	config := "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n BatchMode yes\n IdentitiesOnly yes\n IdentityFile " + filepath.Join(work, "key") + "\n"
	for name, addr := range map[string]string{"ours": b.ours, "peer": b.peer} {
		host, port, err := net.SplitHostPort(addr)
		check(t, err)
		user := map[string]string{"ours": "bench", "peer": os.Getenv("USER")}[name]
		if user == "" {
			user = "root"
		}
		config += fmt.Sprintf("Host %s\n HostName %s\n Port %s\n User %s\n", name, host, port, user)
	}
	check(t, os.WriteFile(filepath.Join(work, "ssh_config"), []byte(config), 0o600))
	return b
}

func (b *sshBench) startOurs(tableFiles int) {
	t := b.t
	check(t, os.WriteFile(filepath.Join(b.work, "config", "instance.yaml"), fmt.Appendf(nil, `instance: {name: B}
auth: {allowed_domain: e.com, webapp_secret_key: x}
server: {host: h, hostname: h}
listen: {http: "127.0.0.1:0"}
data_source: {csv: {root: %q}}
quota: {home: 64GiB, home_files: 1000000}
ssh: {max_connections: 2000, max_connections_per_user: 2000, max_connections_per_address: 2000}
`, filepath.Join(b.work, "in")), 0o600))
	check(t, os.WriteFile(filepath.Join(b.work, "config", "data_description.md"), []byte("```yaml\ntables:\n  - {id: b.t, name: t, description: T, primary_key: id, sync_strategy: partitioned, partition_by: part, partition_granularity: value, folder: b, csv: {path: t.csv}}\n```\n"), 0o600))
	rows := "id,part\n"
	for i := range tableFiles {
		rows += fmt.Sprintf("%d,v%05d\n", i, i)
	}
	check(t, os.WriteFile(filepath.Join(b.work, "in", "t.csv"), []byte(rows), 0o600))
	places := []string{"--config", filepath.Join(b.work, "config"), "--data", filepath.Join(b.work, "data")}
	aida := os.Getenv("AIDA_BINARY")
	run(t, aida, append([]string{"sync", "--no-profile"}, places...)...)
	pub, err := os.ReadFile(filepath.Join(b.work, "key.pub"))
	check(t, err)
	run(t, aida, append([]string{"analyst", "add", "bench", strings.TrimSpace(string(pub))}, places...)...)
	cmd := exec.Command(aida, append([]string{"serve", "--ssh", "127.0.0.1:0", "--json"}, places...)...)
	cmd.Env = append(os.Environ(), os.Getenv("AIDA_BENCH_SERVER_ENV"))
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	check(t, err)
	var ready struct{ SSH string }
	check(t, json.Unmarshal(line, &ready))
	b.ours, b.oursPID = ready.SSH, cmd.Process.Pid
	check(t, os.MkdirAll(b.home, 0o750))
}

// startPeer runs sshd with its stock settings for ciphers and its external sftp-server. The home folder that it gives is an
// empty one, as what a person's shell reads when it starts is none of the peer's business.
func (b *sshBench) startPeer() {
	t := b.t
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		t.Skip("sshd is not installed")
	}
	if os.Getuid() == 0 {
		check(t, os.MkdirAll("/run/sshd", 0o755)) // what the system's unit makes before it starts sshd
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	b.peer = l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(b.peer)
	check(t, err)
	config := filepath.Join(b.work, "sshd_config")
	check(t, os.WriteFile(config, fmt.Appendf(nil, "Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\nMaxStartups 1000\nMaxSessions 1000\nSetEnv HOME=%s\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
		port, filepath.Join(b.work, "hostkey"), filepath.Join(b.work, "key.pub"), b.peerDir), 0o600))
	cmd := exec.Command(sshd, "-D", "-f", config)
	check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", b.peer); err == nil {
			c.Close()
			b.peerPID = cmd.Process.Pid
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("sshd does not answer")
}

func (b *sshBench) makeFiles(mib, files int) {
	t := b.t
	block := make([]byte, 1<<20)
	_, _ = rand.Read(block)
	f, err := os.Create(filepath.Join(b.work, "local", "big"))
	check(t, err)
	for i := range mib {
		block[0], block[1] = byte(i), byte(i>>8)
		_, err := f.Write(block)
		check(t, err)
	}
	check(t, f.Close())
	for i := range files {
		check(t, os.WriteFile(filepath.Join(b.work, "local", "many", fmt.Sprintf("file-%05d", i)), block[i%1000:i%1000+4096], 0o644))
	}
	for _, dir := range []string{b.home, b.peerDir} {
		run(t, "cp", "-r", filepath.Join(b.work, "local", "big"), filepath.Join(b.work, "local", "many"), dir)
	}
}

// sftp runs one batch and gives its wall time.
func (b *sshBench) sftp(host, batch string) float64 {
	cmd := exec.Command("sftp", "-q", "-F", filepath.Join(b.work, "ssh_config"), "-b", "-", host)
	cmd.Stdin = strings.NewReader(batch + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = nil, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("sftp %s: %v\n%s", host, err, out.String())
	}
	return time.Since(start).Seconds()
}

func (b *sshBench) clientConfig(addr string) *gossh.ClientConfig {
	user := "bench"
	if addr == b.peer {
		if user = os.Getenv("USER"); user == "" {
			user = "root"
		}
	}
	return &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(b.signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second,
		Config: gossh.Config{KeyExchanges: []string{"curve25519-sha256"}}}
}

// logins gives the rate of sign-ins, four at a time, each by a client of x/crypto.
func (b *sshBench) logins(addr string) float64 {
	var n atomic.Int64
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	start := time.Now()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := gossh.Dial("tcp", addr, b.clientConfig(addr))
				if err != nil {
					b.t.Errorf("login at %s: %v", addr, err)
					return
				}
				c.Close()
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}

// idle gives what n signed-in connections add to a server's memory, its child processes included, in MiB.
func (b *sshBench) idle(addr string, pid, n int) float64 {
	before := memory(b.t, pid)
	var open []*gossh.Client
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range n {
		c, err := gossh.Dial("tcp", addr, b.clientConfig(addr))
		if err != nil {
			b.t.Fatalf("connection %d at %s: %v", len(open)+1, addr, err)
		}
		open = append(open, c)
	}
	time.Sleep(2 * time.Second)
	return memory(b.t, pid) - before
}

// cpuSeconds is the processor time of a process and of its children that have ended.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	ticks := 0
	for _, f := range strings.Fields(rest)[11:15] { // utime, stime, cutime, cstime of proc_pid_stat(5)
		n, err := strconv.Atoi(f)
		check(t, err)
		ticks += n
	}
	return float64(ticks) / 100 // USER_HZ
}

// memory is the proportional memory of a process and its descendants, in MiB.
func memory(t *testing.T, pid int) float64 {
	t.Helper()
	total := 0.0
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			check(t, err)
			total += kib / 1024
		}
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			id, err := strconv.Atoi(child)
			check(t, err)
			total += memory(t, id)
		}
	}
	return total
}

func (b *sshBench) report(what string, ours, peer, must, aim float64) {
	verdict := "pass"
	switch ratio := ours / peer; {
	case ratio > must:
		verdict = "FAIL"
	case ratio <= aim:
		verdict = "pass (aim)"
	}
	b.t.Logf("%-34s ours %9.4f  peer %9.4f  ratio %.3f  must %.3f  aim %.3f  %s", what, ours, peer, ours/peer, must, aim, verdict)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
