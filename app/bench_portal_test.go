package app_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aida/portal/auth"
	"aida/store"
)

// manyTables writes the configuration of a company of n tables with a row each.
func manyTables(t *testing.T, n int) (config string) {
	t.Helper()
	config = filepath.Join(t.TempDir(), "conf")
	in := filepath.Join(config, "in")
	if err := os.MkdirAll(in, 0o755); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("```yaml\ntables:\n")
	for i := range n {
		name := fmt.Sprintf("table_%04d", i)
		fmt.Fprintf(&b, "  - {id: s.%s, name: %s, folder: area_%02d, description: \"What is known of %d, in a sentence of usual length\", primary_key: id, sync_strategy: full_refresh, csv: {path: %s.csv}}\n", name, name, i%25, i, name)
		if err := os.WriteFile(filepath.Join(in, name+".csv"), []byte("id,name,amount\n"+strconv.Itoa(i)+",a,1.5\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString("```\n")
	for name, text := range map[string]string{"data_description.md": b.String(), "instance.yaml": "instance: {name: Bench}\nauth: {allowed_domain: example.com, webapp_secret_key: 0123456789abcdef0123456789abcdef}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: " + in + "}}\n"} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// TestBenchPortal asks for the catalog of 1,000 tables 200 times a second, as a signed-in analyst's browser does.
func TestBenchPortal(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	config := manyTables(t, 1000)
	data := filepath.Join(filepath.Dir(config), "data")
	binary := benchBinary(t)
	if out, err := exec.Command(binary, "sync", "--quiet", "--config", config, "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ready, stop := served(t, binary, config, data)
	defer stop()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(data, "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u, err := s.AddUser(t.Context(), "bench", store.NewUser{Name: "eva", Email: "eva@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	secret := auth.NewSecret()
	if err := s.AddLink(t.Context(), "bench", secret, store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	get := func(ctx context.Context, method, path string) (wire int64, text string, err error) {
		r, err := http.NewRequestWithContext(ctx, method, ready.HTTP+path, nil)
		if err != nil {
			return 0, "", err
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept-Encoding", "gzip")
		res, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, res.Status)
		}
		if res.Header.Get("Content-Encoding") != "gzip" {
			return int64(len(raw)), string(raw), err
		}
		z, zipErr := gzip.NewReader(strings.NewReader(string(raw)))
		if zipErr != nil {
			return 0, "", zipErr
		}
		plain, zipErr := io.ReadAll(z)
		if err == nil {
			err = zipErr
		}
		return int64(len(raw)), string(plain), err
	}
	for _, method := range []string{"GET", "POST"} {
		if _, _, err := get(t.Context(), method, "/login/email/verify/"+secret); err != nil {
			t.Fatal(err)
		}
	}
	wire, page, err := get(t.Context(), "GET", "/catalog")
	if err != nil || !strings.Contains(page, "table_0000") { // what a browser paints first needs no script
		t.Fatalf("%v %.300s", err, page)
	}
	for _, part := range strings.Split(page, `"/static/`)[1:] { // what the page loads besides, once
		n, _, err := get(t.Context(), "GET", "/static/"+part[:strings.IndexByte(part, '"')])
		if err != nil {
			t.Fatal(err)
		}
		wire += n
	}
	const rate, seconds = 200, 15
	var mu sync.Mutex
	var took []time.Duration
	var failed []error
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for range rate * seconds {
		<-tick.C
		begun := time.Now()
		all.Go(func() {
			_, _, err := get(t.Context(), "GET", "/catalog")
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, time.Since(begun)); err != nil {
				failed = append(failed, err)
			}
		})
	}
	all.Wait()
	if len(failed) > 0 {
		t.Fatalf("%d of %d failed: %v", len(failed), len(took), failed[0])
	}
	slices.Sort(took)
	p := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
	t.Logf("catalog of 1,000 tables at %d requests/s for %d s: p50 %v, p90 %v, p99 %v (must 25 ms, aim 10 ms), max %v", rate, seconds, p(0.5), p(0.9), p(0.99), p(1))
	t.Logf("over the wire with style and script: %d KiB (must 150 KiB)", wire>>10)
}

// TestBenchStart measures how long a start takes with 1,000 tables, what memory the idle process holds, and how large the binary is.
func TestBenchStart(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	config := manyTables(t, 1000)
	data := filepath.Join(filepath.Dir(config), "data")
	binary := benchBinary(t)
	if out, err := exec.Command(binary, "sync", "--quiet", "--config", config, "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var starts, memory []float64
	for range number("AIDA_BENCH_ROUNDS", 5) {
		begun := time.Now()
		ready, stop := served(t, binary, config, data)
		starts = append(starts, time.Since(begun).Seconds()*1000)
		time.Sleep(5 * time.Second)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ready.pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil {
					t.Fatal(err)
				}
				memory = append(memory, kib/1024)
			}
		}
		stop()
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(starts)
	slices.Sort(memory)
	t.Logf("start to serving with 1,000 tables: median %.0f ms of %.0f (must 200 ms, aim 80 ms)", starts[len(starts)/2], starts)
	t.Logf("memory of the idle process: median %.0f MiB of %.0f (must 60 MiB, aim 30 MiB)", memory[len(memory)/2], memory)
	t.Logf("binary: %.1f MB (must 70 MB, aim 45 MB)", float64(info.Size())/1e6)
}

func benchBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("AIDA_BINARY")
	if binary == "" {
		t.Fatal("AIDA_BINARY names the program: run make bench")
	}
	return binary
}

// process is a running server of a benchmark.
type process struct {
	appliance
	pid int
}

// served starts the program on a configuration and waits until it says that it serves.
func served(t *testing.T, binary, config, data string) (p process, stop func()) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--json", "--config", config, "--data", data, "--http", "127.0.0.1:0", "--ssh", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(out).Decode(&p.appliance); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	return p, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
}
