package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/syncer/lake"
)

// TestBenchRsync compares a stock rsync against the built-in server with the same rsync against OpenSSH's, in turn, on the
// same files. The settings are those of TestBenchSSH; the small files are AIDA_BENCH_RSYNC_FILES (20,000), in user/ and as the
// files of one table. Many small files, and a large one that changed, are pulled onto the disk and into memory, as writing them can take
// a client longer than the transfer does; of the small ones it is told too what rsync takes for them without a server. That a pull without news opens no lake file is a test of package sftpd, as the server itself looks at its
// lake now and then.
func TestBenchRsync(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	mib, files, rounds := benchSize("AIDA_BENCH_SSH_MIB", 512, 2048), number("AIDA_BENCH_RSYNC_FILES", 20_000), number("AIDA_BENCH_ROUNDS", 5)
	b := newSSHBench(t, files)
	b.makeFiles(mib, files)
	got, local := filepath.Join(b.work, "got"), filepath.Join(b.work, "local")
	fresh := func(string) { check(t, os.RemoveAll(got)) }
	other := func(string) { got = freshFolder(t, b.work) }
	memory := memoryFolder(t, int64(3*mib+1024)<<20, b.work)
	inMemory := func(string) { got = freshFolder(t, memory) }
	changed := func(disk, at string) {
		got = at
		fresh("")
		changeOnePercent(t, filepath.Join(disk, "big"), got)
	}
	shell := "ssh -F " + filepath.Join(b.work, "ssh_config")
	for host, remote := range map[string]string{"ours": "user", "peer": b.peerDir} { // copies of each host's files, with their times
		run(t, "rsync", "-a", "-e", shell, host+":"+remote+"/many/", got+"-"+host)
	}
	const table = "server/parquet/b/t/"
	run(t, "rsync", "-a", "-e", shell, "ours:"+table, got+"-table")
	run(t, "cp", "-a", got+"-table", filepath.Join(b.peerDir, "table"))
	only := os.Getenv("AIDA_BENCH_SSH_ONLY")
	for _, x := range []struct {
		what      string
		must, aim float64
		before    func(disk string)
		args      func(host, remote string) []string
	}{
		{fmt.Sprintf("rsync pull cold, %d MiB", mib), 1, 0.85, fresh, func(h, r string) []string { return []string{h + ":" + r + "/big", got} }},
		{fmt.Sprintf("rsync pull cold, %d files, into memory", files), 0.8, 0.6, inMemory, func(h, r string) []string { return []string{h + ":" + r + "/many/", got} }},
		{fmt.Sprintf("rsync pull cold, %d files", files), 0.8, 0.6, other, func(h, r string) []string { return []string{h + ":" + r + "/many/", got} }},
		{fmt.Sprintf("rsync pull unchanged, %d lake files", files), 0.35, 0.25, func(string) {}, func(h, r string) []string {
			return []string{h + ":" + map[string]string{"ours": table, "peer": r + "/table/"}[h], got + "-table"}
		}},
		{fmt.Sprintf("rsync pull unchanged, %d files of user/", files), 0.35, 0.25, func(string) {}, func(h, r string) []string { return []string{h + ":" + r + "/many/", got + "-" + h} }},
		{fmt.Sprintf("rsync pull 1%% changed, %d MiB, into memory", mib), 1, 0.8, func(disk string) {
			changed(disk, filepath.Join(memory, "changed"))
			warm(t, filepath.Join(memory, "warm"), mib)
		}, func(h, r string) []string { return []string{h + ":" + r + "/big", got} }},
		{fmt.Sprintf("rsync pull 1%% changed, %d MiB", mib), 1, 0.8, func(disk string) { fresh(""); changed(disk, filepath.Join(b.work, "changed")) },
			func(h, r string) []string { return []string{h + ":" + r + "/big", got} }},
		{fmt.Sprintf("rsync push cold, %d MiB", mib), 1.1, 0.9, func(disk string) { check(t, os.RemoveAll(filepath.Join(disk, "pushed"))) },
			func(h, r string) []string { return []string{filepath.Join(local, "big"), h + ":" + r + "/pushed"} }},
	} {
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
				x.before(p.disk)
				syncDisk()
				before := cpuSeconds(t, p.pid)
				start := time.Now()
				run(t, "rsync", append([]string{"-a", "-e", shell}, x.args(p.host, p.remote)...)...)
				*p.out = append(*p.out, time.Since(start).Seconds())
				time.Sleep(100 * time.Millisecond) // sshd has waited for its child by then
				*p.cpu = append(*p.cpu, cpuSeconds(t, p.pid)-before)
			}
		}
		b.report(x.what+", wall s", median(ours), median(peer), x.must, x.aim)
		t.Logf("%-34s ours %9.4f  peer %9.4f  ratio %.3f", "  of the server's processor, s", median(oursCPU), median(peerCPU), median(oursCPU)/median(peerCPU))
		if strings.HasPrefix(x.what, "rsync pull cold") && strings.HasSuffix(x.what, " files") {
			var alone []float64
			for range rounds {
				other("")
				syncDisk()
				start := time.Now()
				run(t, "rsync", "-a", filepath.Join(local, "many")+"/", got)
				alone = append(alone, time.Since(start).Seconds())
			}
			t.Logf("%-34s %.4f", "  of the client without a server, s", median(alone))
		}
	}
}

// memoryFolder is one in memory, where the machine has such and so many bytes of it are free; else the other.
func memoryFolder(t *testing.T, bytes int64, otherwise string) string {
	t.Helper()
	const shared = "/dev/shm"
	if free, err := lake.Free(shared); err != nil || free < bytes {
		return otherwise
	}
	dir, err := os.MkdirTemp(shared, "aida-bench-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// warm has the machine hold so much memory, and lets it go: a virtual one gives free memory back to its host, and who takes it next pays
// for that, which can be more than a transfer.
func warm(t *testing.T, path string, mib int) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	block := make([]byte, 1<<20)
	for range mib {
		_, err := f.Write(block)
		check(t, err)
	}
	check(t, f.Close())
	check(t, os.Remove(path))
}

// changeOnePercent copies a file, writes over one MiB in each hundred, and makes it old.
func changeOnePercent(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	f, err := os.OpenFile(to, os.O_WRONLY, 0)
	check(t, err)
	info, err := f.Stat()
	check(t, err)
	for at := int64(50 << 20); at < info.Size(); at += 100 << 20 {
		_, err := f.WriteAt(make([]byte, 1<<20), at)
		check(t, err)
	}
	check(t, f.Close())
	old := time.Unix(1e9, 0)
	check(t, os.Chtimes(to, old, old))
}
