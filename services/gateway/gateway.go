// Package gateway hands alerts to desktop apps and portal pages over WebSocket: live, and after a break everything behind the
// last one that the client has seen. The outbox in the store is the truth; a connection is only a window on it, so a slow
// client is cut and catches up when it is back. It signs nobody in itself: app hands in who a token or a session belongs to.
//
//	g := gateway.New(gateway.Options{Store: st, Token: tokens.Identify, Session: sessions.Identify, Origin: origins.Allowed})
//	mux.Handle("GET /ws", g)
//	notify.Watch(g.Post)
//	err := g.Run(ctx)
package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"aida/store"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
)

// Identity is whom a connection belongs to. Valid tells later whether that still holds; it is asked when access changes
// and once a minute.
type Identity struct {
	User  store.User
	Valid func(ctx context.Context) bool
}

// Options is what a Gateway works with. Zero numbers mean the defaults that stand beside them.
type Options struct {
	Store   *store.Store
	Token   func(ctx context.Context, token string) (Identity, error) // of the first message; nil = none are taken
	Session func(r *http.Request) (Identity, bool)                    // of a signed-in browser; nil = none
	Origin  func(origin string) bool                                  // may a page from there connect; nil = no page may
	Log     *slog.Logger

	Heartbeat      time.Duration // 30 s between pings
	Missed         int           // 3 pings without an answer end a connection
	AuthTimeout    time.Duration // 10 s for the first message
	MaxPerUser     int           // 5 apps of a person, as in the reference
	MaxPages       int           // 20 open pages of a person, which take no app's place
	MaxConnections int           // 20,000
	Queue          int           // 256 messages wait for a slow client at most
}

// Gateway is the WebSocket server.
type Gateway struct {
	o        Options
	upgrader websocket.Upgrader
	owned    sync.WaitGroup // goroutines of connections

	mu     sync.Mutex
	conns  map[*conn]struct{}
	byUser map[int64]map[*conn]struct{}
	closed bool
}

// New makes a Gateway.
func New(o Options) *Gateway {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Heartbeat = positive(o.Heartbeat, 30*time.Second)
	o.AuthTimeout = positive(o.AuthTimeout, 10*time.Second)
	o.Missed = positive(o.Missed, 3)
	o.MaxPerUser = positive(o.MaxPerUser, 5)
	o.MaxPages = positive(o.MaxPages, 20)
	o.MaxConnections = positive(o.MaxConnections, 20_000)
	o.Queue = positive(o.Queue, 256)
	g := &Gateway{o: o, conns: map[*conn]struct{}{}, byUser: map[int64]map[*conn]struct{}{}}
	g.upgrader = websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: o.AuthTimeout, CheckOrigin: g.allowed}
	return g
}

func positive[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// allowed lets apps connect, which send no origin, and pages of the portal.
func (g *Gateway) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || g.o.Origin != nil && g.o.Origin(origin)
}

// ServeHTTP takes a connection. A browser is known by its session; everybody else sends a token as the first message.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	full := g.closed || len(g.conns) >= g.o.MaxConnections
	g.mu.Unlock()
	if full {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "there are too many connections: try again in a while", http.StatusServiceUnavailable)
		return
	}
	var who *Identity
	if g.o.Session != nil && r.Header.Get("Origin") != "" && g.allowed(r) {
		if id, ok := g.o.Session(r); ok {
			who = &id
		}
	}
	ws, err := g.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &conn{g: g, ws: ws, page: who != nil}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		ws.Close()
		return
	}
	g.conns[c] = struct{}{}
	g.owned.Add(1)
	g.mu.Unlock()
	since := r.URL.Query().Get("last_id")
	go func() {
		defer g.owned.Done()
		defer g.drop(c)
		c.run(who, since)
	}()
}

// join makes a connection one of a user's; false when the user has too many of its kind.
func (g *Gateway) join(c *conn, id Identity) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	list, limit, alike := g.byUser[id.User.ID], g.o.MaxPerUser, 0
	if c.page {
		limit = g.o.MaxPages
	}
	for other := range list {
		if other.page == c.page {
			alike++
		}
	}
	if g.closed || alike >= limit {
		return false
	}
	if list == nil {
		list = map[*conn]struct{}{}
		g.byUser[id.User.ID] = list
	}
	c.id = id
	list[c] = struct{}{}
	return true
}

func (g *Gateway) drop(c *conn) {
	g.mu.Lock()
	delete(g.conns, c)
	if list := g.byUser[c.id.User.ID]; list != nil {
		if delete(list, c); len(list) == 0 {
			delete(g.byUser, c.id.User.ID)
		}
	}
	g.mu.Unlock()
	c.ws.Close()
}

// Connections counts open connections by user name, for the health page.
func (g *Gateway) Connections() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]int{}
	for _, list := range g.byUser {
		for c := range list {
			out[c.id.User.Name]++
		}
	}
	return out
}

// notification is an alert as clients get it: the reference's fields, and behind them what is new.
type notification struct {
	Type      string `json:"type"`
	ID        string `json:"id"`
	Title     string `json:"title"`
	Message   string `json:"message"`
	Script    string `json:"script"`
	Timestamp string `json:"timestamp"`
	ImageURL  string `json:"image_url,omitempty"`
	Seq       int64  `json:"seq"` // send it as last_id to go on behind this alert
	Severity  string `json:"severity"`
	State     string `json:"state"`
	Link      string `json:"link,omitempty"`
}

func encode(a store.Alert) []byte {
	n := notification{Type: "notification", ID: a.UID, Title: a.Title, Message: a.Message, Script: a.Script, Timestamp: a.CreatedAt.UTC().Format("2006-01-02T15:04:05Z"),
		Seq: a.ID, Severity: string(a.Severity), State: string(a.State), Link: a.Link}
	if a.Image != "" {
		n.ImageURL = "/api/notifications/images/" + a.Image
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return text
}

// Post hands new alerts to those of their recipients who are connected. It does not block.
func (g *Gateway) Post(list []store.Posted) {
	for _, p := range list {
		m := &message{seq: p.ID, text: encode(p.Alert)}
		var err error
		if m.frame, err = websocket.NewPreparedMessage(websocket.TextMessage, m.text); err != nil {
			g.o.Log.Error("alert cannot be framed", "alert", p.ID, "error", err)
			continue
		}
		g.mu.Lock()
		var to []*conn
		for _, u := range p.Users {
			for c := range g.byUser[u] {
				to = append(to, c)
			}
		}
		g.mu.Unlock()
		for _, c := range to {
			c.post(m)
		}
	}
}

// Publish hands a message that is of the moment alone, such as the progress of a run, to the open pages of the people that may
// says. Apps do not get it: theirs is the reference's protocol.
func (g *Gateway) Publish(v any, may func(store.User) bool) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	m := &message{text: text}
	if m.frame, err = websocket.NewPreparedMessage(websocket.TextMessage, text); err != nil {
		return err
	}
	for _, c := range g.all() {
		if c.page && c.member() && may(c.id.User) {
			c.post(m)
		}
	}
	return nil
}

func (g *Gateway) all() []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		out = append(out, c)
	}
	return out
}

// Run sends heartbeats and ends connections that are no longer allowed, until ctx is done; then it closes all.
func (g *Gateway) Run(ctx context.Context) error {
	beat := time.NewTicker(g.o.Heartbeat)
	defer beat.Stop()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	var version int64
	var checked time.Time
	for {
		select {
		case <-ctx.Done():
			g.mu.Lock()
			g.closed = true
			g.mu.Unlock()
			g.end(g.all(), websocket.CloseGoingAway, "the server restarts: connect again")
			g.owned.Wait()
			return nil
		case <-beat.C:
			var gone []*conn
			for _, c := range g.all() {
				if !c.beat(g.o.Missed) {
					gone = append(gone, c)
				}
			}
			g.end(gone, websocket.CloseNormalClosure, "no answer to heartbeats")
		case <-check.C:
			v, err := g.o.Store.AccessVersion(ctx)
			if err != nil {
				if ctx.Err() == nil {
					g.o.Log.Error("access cannot be checked", "error", err)
				}
				continue
			}
			if v == version && time.Since(checked) < time.Minute {
				continue
			}
			version, checked = v, time.Now()
			var out []*conn
			for _, c := range g.all() {
				if c.member() && c.id.Valid != nil && !c.id.Valid(ctx) && ctx.Err() == nil {
					out = append(out, c)
				}
			}
			g.end(out, websocket.ClosePolicyViolation, "the sign-in is no longer valid")
		}
	}
}

// end closes connections side by side: one that takes nothing any more holds its farewell up for a second.
func (g *Gateway) end(list []*conn, code int, reason string) {
	group := new(errgroup.Group)
	group.SetLimit(endTogether)
	for _, c := range list {
		group.Go(func() error { c.end(code, reason); return nil })
	}
	_ = group.Wait() // none of them fails
}

const endTogether = 256
