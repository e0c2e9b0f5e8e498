package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aida/store"

	"github.com/gorilla/websocket"
)

// house is a gateway with a store, behind a real listener. A token is the user's name.
type house struct {
	t     *testing.T
	store *store.Store
	g     *Gateway
	url   string
	valid sync.Map // name -> false
	stop  func()
}

func newHouse(t *testing.T, o Options) *house {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: s}
	o.Store = s
	identify := func(ctx context.Context, name string) (Identity, error) {
		u, err := s.UserByName(ctx, name)
		if err != nil {
			return Identity{}, errors.New("bad token")
		}
		return Identity{User: u, Valid: func(context.Context) bool { _, off := h.valid.Load(name); return !off }}, nil
	}
	o.Token = identify
	o.Session = func(r *http.Request) (Identity, bool) {
		c, err := r.Cookie("session")
		if err != nil {
			return Identity{}, false
		}
		id, err := identify(r.Context(), c.Value)
		return id, err == nil
	}
	o.Origin = func(origin string) bool { return origin == "https://data.example.com" }
	h.g = New(o)
	srv := httptest.NewServer(h.g)
	h.url = "ws" + strings.TrimPrefix(srv.URL, "http")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.g.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		srv.Close()
		s.Close()
	})
	t.Cleanup(h.stop)
	return h
}

func (h *house) user(name string) store.User {
	h.t.Helper()
	u, err := h.store.AddUser(h.t.Context(), "test", store.NewUser{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// raise writes an alert and hands it out, as notify does.
func (h *house) raise(title string, to store.Audience) int64 {
	h.t.Helper()
	a, err := h.store.RaiseAlert(h.t.Context(), store.Raise{Source: "test", Dedupe: title, Title: title, To: to})
	if err != nil || a == nil {
		h.t.Fatal(a, err)
	}
	list, err := h.store.PostedAfter(h.t.Context(), a.ID-1, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	h.g.Post(list)
	return a.ID
}

type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (h *house) dial(header http.Header) *client {
	h.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(h.url, header)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ws.Close() })
	return &client{h.t, ws}
}

// connect signs a client in by token.
func (h *house) connect(name string, last int64) *client {
	h.t.Helper()
	c := h.dial(nil)
	first := map[string]any{"type": "auth", "token": name}
	if last >= 0 {
		first["last_id"] = last
	}
	if err := c.ws.WriteJSON(first); err != nil {
		h.t.Fatal(err)
	}
	if m := c.read(); m["type"] != "auth_ok" || m["username"] != name {
		h.t.Fatalf("%v", m)
	}
	return c
}

func (c *client) read() map[string]any {
	c.t.Helper()
	var m map[string]any
	_ = c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	if err := c.ws.ReadJSON(&m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *client) title() string {
	c.t.Helper()
	m := c.read()
	if m["type"] != "notification" {
		c.t.Fatalf("%v", m)
	}
	return m["title"].(string)
}

// ended waits for the server to close, and gives the reason.
func (c *client) ended() string {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				c.t.Fatal("the connection stayed open")
			}
			return err.Error()
		}
	}
}

// settled waits until all connections are past their replay.
func (h *house) settled(n int) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		live := 0
		for _, c := range h.g.all() {
			c.mu.Lock()
			if c.live {
				live++
			}
			c.mu.Unlock()
		}
		if live == n {
			return
		}
	}
	h.t.Fatalf("not %d connections are live", n)
}

func TestAlertsReachAllDevicesOfTheirRecipientsAlone(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	h.user("tom")
	laptop, phone, other := h.connect("eva", -1), h.connect("eva", -1), h.connect("tom", -1)
	h.settled(3)
	h.raise("for eva", store.Audience{User: "eva"})
	h.raise("for all", store.Audience{Everyone: true})
	for _, c := range []*client{laptop, phone} {
		if got := c.title() + ", " + c.title(); got != "for eva, for all" {
			t.Errorf("eva got %s", got)
		}
	}
	if got := other.title(); got != "for all" {
		t.Errorf("tom got %s", got)
	}
}

func TestTheFieldsAreThoseOfTheReferenceAndMore(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	c := h.connect("eva", -1)
	h.settled(1)
	a, err := h.store.RaiseAlert(t.Context(), store.Raise{Source: "script:eva/stale.py", Dedupe: "x", Title: "T", Message: "M", Script: "stale", Image: "a.png", Severity: store.Critical, To: store.Audience{User: "eva"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := h.store.PostedAfter(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	h.g.Post(list)
	m := c.read()
	want := map[string]any{"type": "notification", "id": a.UID, "title": "T", "message": "M", "script": "stale", "timestamp": a.CreatedAt.Format("2006-01-02T15:04:05Z"),
		"image_url": "/api/notifications/images/a.png", "seq": float64(a.ID), "severity": "critical", "state": "fired"}
	if fmt.Sprint(m) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", m, want)
	}
}

func TestAClientThatComesBackGetsWhatItMissedOnceAndInOrder(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	c := h.connect("eva", -1)
	h.settled(1)
	last := h.raise("0", store.Audience{User: "eva"})
	if c.title() != "0" {
		t.Fatal("live alert")
	}
	c.ws.Close()
	for i := 1; i <= 250; i++ { // more than one batch of the replay, and than the queue's usual need
		h.raise(fmt.Sprint(i), store.Audience{User: "eva"})
	}
	back := h.connect("eva", last)
	go func() { // alerts go on during the replay
		for i := 251; i <= 300; i++ {
			h.raise(fmt.Sprint(i), store.Audience{User: "eva"})
		}
	}()
	for i := 1; i <= 300; i++ {
		if got := back.title(); got != fmt.Sprint(i) {
			t.Fatalf("alert %d is %s", i, got)
		}
	}
}

func TestASlowClientIsCutAndCatchesUp(t *testing.T) {
	h := newHouse(t, Options{Queue: 4})
	h.user("eva")
	c := h.connect("eva", 0)
	h.settled(1)
	long := strings.Repeat("x", 15<<10)
	const n = 1500 // far more than the buffers of a loopback connection hold
	for i := range n {
		a, err := h.store.RaiseAlert(t.Context(), store.Raise{Source: "test", Dedupe: fmt.Sprint(i), Title: fmt.Sprint(i), Message: long, To: store.Audience{User: "eva"}})
		if err != nil {
			t.Fatal(err)
		}
		h.g.Post([]store.Posted{{Alert: *a, Users: []int64{1}}})
	}
	seen := map[string]bool{}
	var last int64
	for i := 0; len(seen) < n; i++ {
		if i > 5*n {
			t.Fatalf("only %d of %d alerts came", len(seen), n)
		}
		var m struct {
			ID  string `json:"id"`
			Seq int64  `json:"seq"`
		}
		_ = c.ws.SetReadDeadline(time.Now().Add(time.Minute))
		if err := c.ws.ReadJSON(&m); err != nil {
			c = h.connect("eva", last)
			continue
		}
		if m.Seq == 0 {
			continue
		}
		if m.Seq != last+1 || seen[m.ID] {
			t.Fatalf("alert %d came after %d", m.Seq, last)
		}
		seen[m.ID], last = true, m.Seq
	}
}

func TestWhoIsNotSignedInGetsAWordAndTheEnd(t *testing.T) {
	h := newHouse(t, Options{AuthTimeout: 200 * time.Millisecond})
	h.user("eva")
	for what, send := range map[string]string{
		"not JSON": "hello", "wrong type": `{"type":"hello","token":"eva"}`, "no token": `{"type":"auth"}`, "bad token": `{"type":"auth","token":"nobody"}`, "silence": "",
	} {
		c := h.dial(nil)
		if send != "" {
			if err := c.ws.WriteMessage(websocket.TextMessage, []byte(send)); err != nil {
				t.Fatal(err)
			}
		}
		if m := c.read(); m["type"] != "auth_error" || m["message"] == "" {
			t.Errorf("%s: %v", what, m)
		}
		c.ended()
	}
	c := h.dial(nil)
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", maxMessage+1))); err != nil {
		t.Fatal(err)
	}
	c.ended()
}

func TestAPageOfThePortalConnectsByItsSessionAndOtherPagesDoNot(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	c := h.dial(http.Header{"Origin": {"https://data.example.com"}, "Cookie": {"session=eva"}})
	if m := c.read(); m["type"] != "auth_ok" {
		t.Fatalf("%v", m)
	}
	_, res, err := websocket.DefaultDialer.Dial(h.url, http.Header{"Origin": {"https://evil.example"}, "Cookie": {"session=eva"}})
	if err == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("another page: %v %v", res, err)
	}
	app := h.dial(http.Header{"Cookie": {"session=eva"}}) // without an origin a cookie counts for nothing
	if err := app.ws.WriteMessage(websocket.TextMessage, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if m := app.read(); m["type"] != "auth_error" {
		t.Errorf("a cookie without an origin: %v", m)
	}
}

func TestConnectionsOfAUserAreBounded(t *testing.T) {
	h := newHouse(t, Options{MaxPerUser: 2})
	h.user("eva")
	h.connect("eva", -1)
	h.connect("eva", -1)
	c := h.dial(nil)
	if err := c.ws.WriteJSON(map[string]string{"type": "auth", "token": "eva"}); err != nil {
		t.Fatal(err)
	}
	if m := c.read(); m["type"] != "auth_error" || m["message"] != "too many connections" {
		t.Errorf("%v", m)
	}
	for range 20 { // pages take no app's place, and apps no page's
		h.page("eva")
	}
	last := h.dial(http.Header{"Origin": {"https://data.example.com"}, "Cookie": {"session=eva"}})
	if m := last.read(); m["type"] != "auth_error" {
		t.Errorf("the page number 21: %v", m)
	}
}

// page opens a page of the portal as somebody.
func (h *house) page(name string) *client {
	h.t.Helper()
	c := h.dial(http.Header{"Origin": {"https://data.example.com"}, "Cookie": {"session=" + name}})
	if m := c.read(); m["type"] != "auth_ok" {
		h.t.Fatalf("%v", m)
	}
	return c
}

func TestWhatIsOfTheMomentGoesToThePagesOfWhoMayKnowAlone(t *testing.T) {
	h := newHouse(t, Options{})
	eva := h.user("eva")
	h.user("tom")
	page, other, app := h.page("eva"), h.page("tom"), h.connect("eva", -1)
	h.settled(3)
	if err := h.g.Publish(map[string]any{"type": "run", "run": 7}, func(u store.User) bool { return u.ID == eva.ID }); err != nil {
		t.Fatal(err)
	}
	h.raise("behind it", store.Audience{Everyone: true})
	if m := page.read(); m["type"] != "run" || m["run"] != 7.0 {
		t.Errorf("%v", m)
	}
	for who, c := range map[string]*client{"page": page, "another one's page": other, "app": app} {
		if got := c.title(); got != "behind it" {
			t.Errorf("%s got %s", who, got)
		}
	}
}

func TestAClientThatAnswersNoHeartbeatIsCutAndOneThatDoesStays(t *testing.T) {
	h := newHouse(t, Options{Heartbeat: 50 * time.Millisecond, Missed: 40}) // two seconds for an answer, on a slow machine
	h.user("eva")
	silent, alive := h.connect("eva", -1), h.connect("eva", -1)
	var pings atomic.Int64
	go func() {
		for {
			var m map[string]any
			if alive.ws.ReadJSON(&m) != nil {
				return
			}
			if m["type"] == "ping" {
				pings.Add(1)
				_ = alive.ws.WriteJSON(map[string]string{"type": "pong"})
			}
		}
	}()
	if why := silent.ended(); !strings.Contains(why, "heartbeats") {
		t.Errorf("%s", why)
	}
	for end := time.Now().Add(time.Minute); pings.Load() < 60 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := h.g.Connections()["eva"]; n != 1 || pings.Load() < 60 {
		t.Errorf("%d connections, %d pings", n, pings.Load())
	}
}

func TestAChangeOfAccessEndsConnectionsThatAreNoLongerValid(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	h.user("tom")
	eva, tom := h.connect("eva", -1), h.connect("tom", -1)
	h.settled(2)
	time.Sleep(1200 * time.Millisecond) // the first check is over
	h.valid.Store("eva", false)
	if err := h.store.Suspend(t.Context(), "test", "eva", true); err != nil {
		t.Fatal(err)
	}
	if why := eva.ended(); !strings.Contains(why, "no longer valid") {
		t.Errorf("%s", why)
	}
	h.raise("still here", store.Audience{User: "tom"})
	if tom.title() != "still here" {
		t.Error("tom was cut")
	}
}

func TestTheEndOfTheServerIsSaid(t *testing.T) {
	h := newHouse(t, Options{})
	h.user("eva")
	c := h.connect("eva", -1)
	go h.stop()
	if why := c.ended(); !strings.Contains(why, "restarts") {
		t.Errorf("%s", why)
	}
}

// Many clients in the test's own process; the ten thousand of another one are in TestBenchGateway.
func TestManyClients(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 50
	}
	h := newHouse(t, Options{MaxPerUser: n})
	h.user("eva")
	var got atomic.Int64
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = h.connect("eva", -1)
	}
	h.settled(n)
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			_ = c.ws.SetReadDeadline(time.Now().Add(time.Minute)) // the first ones connected long ago
			for {
				var m map[string]any
				if c.ws.ReadJSON(&m) != nil {
					return
				}
				if m["type"] == "notification" {
					got.Add(1)
					return
				}
			}
		})
	}
	begin := time.Now()
	h.raise("hello", store.Audience{Everyone: true})
	all.Wait()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d clients got an alert within %v; heap and stacks %d MiB", got.Load(), time.Since(begin).Round(time.Millisecond), (m.HeapInuse+m.StackInuse)>>20)
	if got.Load() != int64(n) {
		t.Errorf("%d of %d clients got it", got.Load(), n)
	}
}
