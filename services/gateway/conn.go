package gateway

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Limits of a connection.
const (
	maxMessage   = 8 << 10 // of a client; tokens are the longest thing that it sends
	writeTimeout = 10 * time.Second
	replayBatch  = 100
)

// message is one text on its way to clients; all of them share its frame.
type message struct {
	seq   int64 // of an alert; 0 = of the moment
	text  []byte
	frame *websocket.PreparedMessage
}

// conn is one client. It has one goroutine that reads, and while something waits to be written one that writes.
type conn struct {
	g    *Gateway
	ws   *websocket.Conn
	id   Identity // set once, before the connection joins its user's
	page bool     // of the portal, and not an app

	mu      sync.Mutex
	joined  bool
	live    bool  // replay is over, what is queued may be written
	cursor  int64 // the newest alert that was written or passed over
	queue   []*message
	writing bool
	ended   bool
	missed  int

	wmu sync.Mutex // one writer at a time
}

func (c *conn) member() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined
}

// run is the connection from its first message to its end.
func (c *conn) run(who *Identity, since string) {
	defer func() {
		if p := recover(); p != nil {
			c.g.o.Log.Error("panic in a WebSocket connection", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.ws.SetReadLimit(maxMessage)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if who == nil {
		id, last, ok := c.signIn(ctx)
		if !ok {
			return
		}
		who = &id
		if last != "" {
			since = last
		}
	}
	if !c.g.join(c, *who) {
		c.refuse("too many connections")
		return
	}
	c.mu.Lock()
	c.joined = true
	c.mu.Unlock()
	if c.send(map[string]string{"type": "auth_ok", "username": who.User.Name}) != nil {
		return
	}
	done := make(chan struct{})
	c.g.owned.Add(1)
	go func() { // reading goes on meanwhile, so that a client that leaves is seen
		defer c.g.owned.Done()
		defer close(done)
		if err := c.replay(ctx, since); err != nil {
			c.ws.Close()
		}
	}()
	c.read()
	cancel()
	<-done
}

// signIn takes the first message: {"type":"auth","token":"...","last_id":17}.
func (c *conn) signIn(ctx context.Context) (id Identity, last string, ok bool) {
	if err := c.ws.SetReadDeadline(time.Now().Add(c.g.o.AuthTimeout)); err != nil {
		return id, "", false
	}
	kind, text, err := c.ws.ReadMessage()
	if err != nil {
		if e, timeout := err.(interface{ Timeout() bool }); timeout && e.Timeout() {
			c.refuse("authentication timeout")
		}
		return id, "", false
	}
	var first struct {
		Type   string      `json:"type"`
		Token  string      `json:"token"`
		LastID json.Number `json:"last_id"`
	}
	if kind != websocket.TextMessage || json.Unmarshal(text, &first) != nil || first.Type != "auth" || first.Token == "" {
		c.refuse("the first message must be {\"type\":\"auth\",\"token\":\"...\"}")
		return id, "", false
	}
	if c.g.o.Token == nil {
		c.refuse("tokens are not taken here")
		return id, "", false
	}
	if id, err = c.g.o.Token(ctx, first.Token); err != nil {
		c.refuse("the token is not valid or has expired")
		return id, "", false
	}
	return id, first.LastID.String(), c.ws.SetReadDeadline(time.Time{}) == nil
}

func (c *conn) refuse(text string) {
	_ = c.send(map[string]string{"type": "auth_error", "message": text})
	c.end(websocket.ClosePolicyViolation, text)
}

// read takes answers to heartbeats until the client is gone; everything else that it sends is passed over.
func (c *conn) read() {
	for {
		_, text, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(text, &m) == nil && m.Type == "pong" {
			c.mu.Lock()
			c.missed = 0
			c.mu.Unlock()
		}
	}
}

// replay writes the alerts behind the last one that the client has seen, then lets the live ones through. Those that were
// posted meanwhile wait in the queue; which of them the replay had already, the cursor tells.
func (c *conn) replay(ctx context.Context, since string) error {
	last, err := strconv.ParseInt(since, 10, 64)
	if err != nil || last < 0 { // a client that does not say begins with what comes next
		if last, err = c.g.o.Store.LastAlert(ctx); err != nil {
			return err
		}
	}
	for {
		list, err := c.g.o.Store.Inbox(ctx, c.id.User.ID, last, replayBatch)
		if err != nil {
			return err
		}
		for _, a := range list {
			if err := c.writeText(encode(a)); err != nil {
				return err
			}
			last = a.ID
		}
		if len(list) < replayBatch {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live, c.cursor = true, last
	c.startWriting()
	return nil
}

// post queues a message. A client that lets too many wait is cut; it gets them when it is back.
func (c *conn) post(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.joined || m.seq != 0 && m.seq <= c.cursor {
		return
	}
	if len(c.queue) >= c.g.o.Queue {
		if m.seq == 0 {
			return // of the moment: the next one will do
		}
		c.ended, c.queue = true, nil
		c.g.o.Log.Info("slow client cut", "user", c.id.User.Name)
		c.ws.Close()
		return
	}
	c.queue = append(c.queue, m)
	c.startWriting()
}

// startWriting is called with the lock held.
func (c *conn) startWriting() {
	if c.writing || !c.live || len(c.queue) == 0 || c.ended {
		return
	}
	c.writing = true
	c.g.owned.Add(1)
	go func() {
		defer c.g.owned.Done()
		c.write()
	}()
}

// write empties the queue.
func (c *conn) write() {
	for {
		c.mu.Lock()
		list := c.queue
		c.queue = nil
		if len(list) == 0 || c.ended {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		for _, m := range list {
			if m.seq != 0 && m.seq <= c.seen() {
				continue
			}
			if err := c.writeFrame(m.frame); err != nil {
				c.mu.Lock()
				c.ended, c.writing, c.queue = true, false, nil
				c.mu.Unlock()
				c.ws.Close()
				return
			}
			if m.seq != 0 {
				c.mu.Lock()
				c.cursor = m.seq
				c.mu.Unlock()
			}
		}
	}
}

func (c *conn) seen() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor
}

func (c *conn) writeFrame(m *websocket.PreparedMessage) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.ws.WritePreparedMessage(m)
}

func (c *conn) writeText(text []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, text)
}

func (c *conn) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.writeText(text)
}

var pingMessage = func() *message {
	text := []byte(`{"type":"ping"}`)
	frame, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err != nil {
		panic(err) // a constant
	}
	return &message{text: text, frame: frame}
}()

// beat sends a heartbeat; false = too many were left unanswered, and the connection is to end.
func (c *conn) beat(limit int) bool {
	c.mu.Lock()
	gone := c.joined && c.missed >= limit
	if c.joined {
		c.missed++
	}
	c.mu.Unlock()
	if !gone {
		c.post(pingMessage)
	}
	return !gone
}

// end closes the connection with a reason.
func (c *conn) end(code int, reason string) {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	c.ws.Close()
}
