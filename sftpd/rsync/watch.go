package rsync

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watch looks after the clock of a session: it ends one that does not get through the handshake, falls silent or does not
// read, and keeps the connection alive for a client with --timeout. The function that it gives ends it.
func (s *session) watch(ctx context.Context) (stop func()) {
	watching, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		s.tick(watching)
		if ctx.Err() != nil { // nobody is there to wait for
			s.conn.Close()
		}
	})
	return func() { cancel(); running.Wait() }
}

// stalls is how many times its own --timeout a client may leave what is written to it unread.
const stalls = 5

// tick never waits for the writer: one that is held up by the client is what it has to end.
func (s *session) tick(ctx context.Context) {
	start := time.Now()
	handshake := s.Handshake
	if handshake == 0 {
		handshake = 30 * time.Second
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var in, out int64
	lastAny, lastOut := start, start
	var keeping sync.WaitGroup
	defer keeping.Wait()
	var kept atomic.Bool // a keep-alive is on its way
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if n := s.w.written.Load(); n != out {
			out, lastOut, lastAny = n, now, now
		}
		if n := s.r.src.n.Load(); n != in {
			in, lastAny = n, now
		}
		if !s.asked.Load() {
			if now.Sub(start) > handshake {
				s.cut(fmt.Sprintf("the client did not say within %v what it wants", handshake))
				return
			}
			continue
		}
		idle, stalled := s.Idle, s.Idle
		if t := s.o.timeout; t > 0 {
			if idle == 0 || t < idle {
				idle = t
			}
			stalled = max(stalled, stalls*t)
			if now.Sub(lastOut) >= t/2-time.Second && kept.CompareAndSwap(false, true) {
				lastOut = now
				keeping.Go(func() { s.keepAlive(out); kept.Store(false) })
			}
		}
		since := s.w.since.Load()
		switch {
		case idle > 0 && now.Sub(lastAny) > idle:
			s.cut(fmt.Sprintf("nothing came from the client for %v (code 30)", idle))
			return
		case stalled > 0 && since != 0 && now.Sub(time.Unix(0, since)) > stalled:
			s.cut(fmt.Sprintf("the client has read nothing for %v (code 30)", stalled))
			return
		}
	}
}

// keepAlive sends what waits, or an empty frame. A write that waits for the client holds the writer: then there is nothing to
// keep alive.
func (s *session) keepAlive(written int64) {
	if !s.w.mu.TryLock() {
		return
	}
	defer s.w.mu.Unlock()
	if s.w.mux && s.w.err == nil {
		s.w.flushLocked()
		if s.w.written.Load() == written {
			s.w.send([]byte{0, 0, 0, frameBase})
		}
	}
}

// cut ends a session from the outside. The client is told, if it reads.
func (s *session) cut(text string) {
	s.timedOut.Store(true)
	late := time.AfterFunc(readTime, func() { s.conn.Close() })
	defer late.Stop()
	switch {
	case !s.established.Load():
		s.complain(ExitTimeout, "%s", text)
	case s.w.mu.TryLock():
		if s.w.mux {
			s.w.flushLocked()
			s.w.send(frame(msgError, []byte("rsync: ["+s.role()+"] "+text+"\n")))
			if s.proto >= 31 {
				s.w.send(frame(msgErrorExit, appendInt(nil, ExitTimeout)))
			}
		}
		s.w.mu.Unlock()
	}
	s.conn.Close()
}
