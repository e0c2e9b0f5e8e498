package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aida/store"

	"github.com/gorilla/websocket"
	"golang.org/x/crypto/ssh"
)

// memoryLimit is what the whole appliance may use under the load of the soak, in MiB.
const memoryLimit = 512

// soakInstance is a company behind a proxy that says where its visitors come from: each analyst has an address of their own.
const soakInstance = `instance: {name: Test}
auth: {allowed_domain: example.com, webapp_secret_key: x}
server: {host: h, hostname: h}
data_source: {csv: {root: in}}
listen: {trusted_proxies: [127.0.0.1]}
ssh: {max_connections_per_address: 200}
`

// TestSoak lets analysts pull, browse and listen while syncs publish and alerts go out. Nobody may see an error, a mix of
// two versions, or an alert twice or not at all; memory stays flat, and when all are gone nothing of them is left.
// AIDA_SOAK says how long it takes (30m for the target, with 50 analysts).
func TestSoak(t *testing.T) {
	lasts, people := 12*time.Second, 8
	if s := os.Getenv("AIDA_SOAK"); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatalf("AIDA_SOAK: %v", err)
		}
		people = 50
	}
	c := newCompany(t)
	c.write("config/instance.yaml", soakInstance)
	c.run("sync")
	server := c.serve()
	s, _ := c.look()
	pid := server.cmd.Process.Pid

	keys, browsers, listeners := make([]*ssh.ClientConfig, people), make([]visitor, people), make([]*listener, people)
	for i := range people {
		name := fmt.Sprintf("analyst%d", i)
		keys[i], browsers[i] = server.analyst(name), server.signIn(name, fmt.Sprintf("192.0.2.%d", i+1))
		listeners[i] = listen(t, server.HTTP, browsers[i])
	}
	settled := measure(t, pid)

	// Past the deadline nobody begins anything, and what was begun may end.
	until := time.Now().Add(lasts)
	going := func() bool { return time.Now().Before(until) && !t.Failed() }
	var load sync.WaitGroup
	var written, published, pulls, pages, syncs atomic.Int64 // written and published are versions
	var raised []string                                      // UIDs, by the one goroutine that raises
	for i := range people {
		load.Go(func() {
			for going() {
				soakPull(t, server.SSH, keys[i], &written, &published)
				pulls.Add(1)
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			}
		})
		load.Go(func() {
			for going() {
				for _, page := range []string{"/", "/catalog", "/catalog/s.c", "/alerts", "/account"} {
					browsers[i].read(t, server.HTTP+page)
					pages.Add(1)
				}
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
			}
		})
	}
	load.Go(func() {
		for v := 1; going(); v++ {
			c.version(v)
			written.Store(int64(v))
			c.run("sync")
			published.Store(int64(v))
			syncs.Add(1)
			time.Sleep(2 * time.Second)
		}
	})
	load.Go(func() {
		for i := 0; going(); i++ {
			a, err := s.RaiseAlert(t.Context(), store.Raise{Source: "soak", Dedupe: fmt.Sprint(i), Severity: store.Info, Title: fmt.Sprintf("Alert %d", i), Message: "Of the soak.", To: store.Audience{Everyone: true}})
			if err != nil {
				t.Errorf("alert %d: %v", i, err)
				return
			}
			raised = append(raised, a.UID)
			time.Sleep(500 * time.Millisecond)
		}
	})
	var samples []usage
	for going() {
		time.Sleep(max(lasts/200, 200*time.Millisecond))
		samples = append(samples, measure(t, pid))
	}
	load.Wait()
	t.Logf("%d analysts, %s: %d pulls, %d pages, %d syncs, %d alerts", people, lasts, pulls.Load(), pages.Load(), syncs.Load(), len(raised))
	for i, l := range listeners {
		if err := l.hasEach(raised); err != nil {
			t.Errorf("analyst%d: %v", i, err)
		}
		l.close()
	}
	if peak := measure(t, pid).peak; peak > memoryLimit {
		t.Errorf("the appliance used %.0f MiB, more than %d", peak, memoryLimit)
	}
	if quarter := len(samples) / 4; os.Getenv("AIDA_SOAK") != "" && quarter > 0 {
		early, late := typical(samples[quarter:2*quarter]), typical(samples[3*quarter:])
		t.Logf("memory %.0f MiB in the second quarter, %.0f MiB in the last, %.0f MiB at the most", early, late, measure(t, pid).peak)
		if late > early*1.15+16 {
			t.Errorf("memory grew from %.0f to %.0f MiB", early, late)
		}
	}
	nothingIsLeft(t, server, settled)
}

// soakPull reads all tables in one connection. A pull that began after a version was published shows no older one.
func soakPull(t *testing.T, addr string, who *ssh.ClientConfig, written, published *atomic.Int64) {
	oldest := published.Load()
	got, err := pull(t, addr, who)
	if err != nil {
		t.Errorf("%s: %v", who.User, err)
		return
	}
	var v int64
	if _, err := fmt.Sscan(got, &v); err != nil || v < oldest || v > written.Load() {
		t.Errorf("%s got version %q; version %d was published when the pull began, and %d is the newest", who.User, got, oldest, written.Load())
	}
}

// nothingIsLeft waits until descriptors are as they were before the load, and counts goroutines in the stack dump that Go
// prints at its end.
func nothingIsLeft(t *testing.T, server *listening, before usage) {
	t.Helper()
	var now usage
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if now = measure(t, server.cmd.Process.Pid); now.files <= before.files+5 {
			break
		}
	}
	if now.files > before.files+5 {
		t.Errorf("%d descriptors are open, before the load there were %d", now.files, before.files)
	}
	server.stop(syscall.SIGQUIT)
	text, err := os.ReadFile(filepath.Join(server.c.dir, "server.log"))
	check(t, err)
	if n := bytes.Count(text, []byte("\ngoroutine ")); n == 0 || n > 60 {
		t.Errorf("%d goroutines are left:\n%s", n, text[:min(len(text), 20_000)])
	}
	if bytes.Contains(text, []byte("panic")) {
		t.Error("the server's log tells of a panic")
	}
}

// usage is what a process holds: memory now and at the most in MiB, and open descriptors.
type usage struct {
	rss, peak float64
	files     int
}

func measure(t *testing.T, pid int) (u usage) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			u.rss = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			u.peak = kib / 1024
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	check(t, err)
	u.files = len(files)
	return u
}

func typical(all []usage) float64 {
	rss := make([]float64, len(all))
	for i, u := range all {
		rss[i] = u.rss
	}
	slices.Sort(rss)
	return rss[len(rss)/2]
}

// behindProxy says where a request comes from, as a proxy does.
type behindProxy string

func (from behindProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", string(from))
	return http.DefaultTransport.RoundTrip(r)
}

// visitor is a signed-in browser.
type visitor struct{ *http.Client }

// signIn uses a printed link as a browser does: it shows what the link does, and a button does it.
func (l *listening) signIn(name, from string) visitor {
	t := l.c.t
	t.Helper()
	var printed struct{ Link string }
	if err := json.Unmarshal([]byte(l.c.run("analyst", "link", name, "--json")), &printed); err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := visitor{&http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: behindProxy(from)}}
	v.read(t, printed.Link)
	reply, err := v.PostForm(printed.Link, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK || strings.Contains(reply.Request.URL.Path, "/login") {
		t.Fatalf("%s could not sign in: %s at %s", name, reply.Status, reply.Request.URL.Path)
	}
	return v
}

func (v visitor) read(t testing.TB, address string) {
	reply, err := v.Get(address)
	if err != nil {
		t.Error(err)
		return
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil || reply.StatusCode != http.StatusOK {
		t.Errorf("%s: %s %v", address, reply.Status, err)
	}
}

// listener is a page that is open: it counts the alerts that it is told of.
type listener struct {
	ws   *websocket.Conn
	done chan struct{}
	mu   sync.Mutex
	seen map[string]int
}

func listen(t *testing.T, base string, v visitor) *listener {
	t.Helper()
	at, err := url.Parse(base)
	check(t, err)
	header := http.Header{"Origin": {base}}
	for _, cookie := range v.Jar.Cookies(at) {
		header.Add("Cookie", cookie.String())
	}
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+at.Host+"/ws", header)
	check(t, err)
	l := &listener{ws: ws, done: make(chan struct{}), seen: map[string]int{}}
	go func() {
		defer close(l.done)
		for {
			var m struct{ Type, ID string }
			if l.ws.ReadJSON(&m) != nil {
				return
			}
			if m.Type == "notification" {
				l.mu.Lock()
				l.seen[m.ID]++
				l.mu.Unlock()
			}
			if m.Type == "ping" {
				_ = l.ws.WriteJSON(map[string]string{"type": "pong"})
			}
		}
	}()
	return l
}

// hasEach waits for the last alerts, which are on their way.
func (l *listener) hasEach(uids []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		err := l.count(uids)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *listener) count(uids []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, uid := range uids {
		if n := l.seen[uid]; n != 1 {
			return fmt.Errorf("alert %d of %d came %d times", i, len(uids), n)
		}
	}
	return nil
}

func (l *listener) close() {
	_ = l.ws.Close()
	<-l.done
}
