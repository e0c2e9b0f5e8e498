package app_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aida/store"

	"github.com/gorilla/websocket"
)

// crowd are many clients of one server, which count what they are told.
type crowd struct {
	mu    sync.Mutex
	conns []*websocket.Conn
	got   atomic.Int64
	last  atomic.Int64 // when, Unix nanoseconds
	gone  atomic.Int64 // connections that ended
}

func (c *crowd) join(at, token string) error {
	ws, err := dialDesktop(at, token, "")
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.conns = append(c.conns, ws)
	c.mu.Unlock()
	go func() {
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				c.gone.Add(1)
				return
			}
			switch {
			case bytes.Contains(text, []byte(`"type":"notification"`)):
				c.got.Add(1)
				c.last.Store(time.Now().UnixNano())
			case bytes.Contains(text, []byte(`"ping"`)):
				_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"pong"}`))
			}
		}
	}()
	return nil
}

// wait waits until n messages came in all, and gives when the last one did.
func (c *crowd) wait(t *testing.T, n int64, most time.Duration) time.Time {
	t.Helper()
	for end := time.Now().Add(most); c.got.Load() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages came, %d connections ended", c.got.Load(), n, c.gone.Load())
		}
	}
	return time.Unix(0, c.last.Load())
}

// TestBenchGateway connects 10,000 desktop apps to the real server over loopback, and raises alerts in another process: some
// for all of them, then 1,000 for a thousand of them. The clients are in this process, so that the server's memory is its own.
func TestBenchGateway(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	clients, people, rounds := number("AIDA_BENCH_CLIENTS", 10_000), 0, number("AIDA_BENCH_ROUNDS", 5)
	const each, few, many = 4, 250, 1000 // connections of a person, people of the group, alerts for it
	people = clients / each
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if files.Cur = files.Max; files.Max < uint64(clients)+500 {
		t.Skipf("this machine lets a process open %d files, %d clients need more: raise the hard limit (ulimit -Hn)", files.Max, clients)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	c := newCompany(t)
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n"+desktopInstance)
	s, _ := c.look()
	check(t, s.AddGroup(t.Context(), "test", "few"))
	tokens := make([]string, people)
	for i := range tokens {
		u, err := s.AddUser(t.Context(), "test", store.NewUser{Name: fmt.Sprintf("p%d", i)})
		check(t, err)
		tokens[i] = device(t, s, u, "app")
		if i < few {
			check(t, s.SetMember(t.Context(), "test", "few", u.Name, true))
		}
	}
	server := c.serve()
	pid := server.cmd.Process.Pid
	idle := memoryOf(t, pid, "VmRSS")

	crowd := &crowd{}
	start := time.Now()
	var dialing sync.WaitGroup
	places := make(chan struct{}, 50)
	for i := range people * each {
		places <- struct{}{}
		dialing.Go(func() {
			defer func() { <-places }()
			if err := crowd.join(server.HTTP, tokens[i%people]); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	dialing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	connected := time.Since(start)
	time.Sleep(time.Second)
	full := memoryOf(t, pid, "VmRSS")

	raise := func(to store.Audience, text string) time.Time {
		t.Helper()
		a, err := s.RaiseAlert(t.Context(), store.Raise{Source: "bench", Dedupe: "x", Event: true, Title: text, Message: strings.Repeat("words ", 20), To: to})
		if err != nil || a == nil {
			t.Fatal(a, err)
		}
		return time.Now()
	}
	var spans []float64
	want := int64(0)
	for i := range rounds {
		raised := raise(store.Audience{Everyone: true}, fmt.Sprintf("to all, %d", i))
		want += int64(people * each)
		spans = append(spans, crowd.wait(t, want, 20*time.Second).Sub(raised).Seconds())
		time.Sleep(300 * time.Millisecond)
	}
	start = time.Now()
	for i := range many {
		raise(store.Audience{Groups: []string{"few"}}, fmt.Sprintf("to a few, %d", i))
	}
	want += int64(few * each * many)
	stream := crowd.wait(t, want, 5*time.Minute).Sub(start).Seconds()
	peak := memoryOf(t, pid, "VmHWM")
	if n := crowd.gone.Load(); n > 0 {
		t.Errorf("%d clients were cut", n)
	}
	worst := 0.0
	for _, v := range spans {
		worst = max(worst, v)
	}
	t.Logf("%d clients connected in %.1f s; memory %d MiB idle, %d MiB with them, %d MiB at its peak", people*each, connected.Seconds(), idle, full, peak)
	t.Logf("one alert to all, from its commit in another process to the last client: %.2f s median, %.2f s worst of %d", median(spans), worst, rounds)
	t.Logf("%d alerts to %d clients: %.1f s, %.0f messages/s", many, few*each, stream, float64(few*each*many)/stream)
	if worst > 1 || peak > 400 {
		t.Errorf("the target is 1 s and 400 MiB")
	}
	crowd.mu.Lock()
	defer crowd.mu.Unlock()
	for _, ws := range crowd.conns {
		ws.Close()
	}
}

// memoryOf reads a line of a process's status, in MiB.
func memoryOf(t *testing.T, pid int, key string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key+":" {
			n, err := strconv.Atoi(f[1])
			check(t, err)
			return n >> 10
		}
	}
	t.Fatalf("no %s of %d", key, pid)
	return 0
}
