package rsync

import (
	"context"
	"io"
	"time"
)

// watch looks after the clock of a session: it ends one that does not get through the handshake or falls silent, and keeps
// the connection alive for a client with --timeout. The function that it gives ends it.
func (s *session) watch(ctx context.Context, conn io.Closer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.tick(ctx, conn)
	}()
	return func() { cancel(); <-done }
}

func (s *session) tick(ctx context.Context, conn io.Closer) {
	start := time.Now()
	handshake := s.Handshake
	if handshake == 0 {
		handshake = 30 * time.Second
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var in, out int64
	lastAny, lastOut := start, start
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
		if !s.established.Load() {
			if now.Sub(start) > handshake {
				s.timedOut.Store(true)
				conn.Close()
				return
			}
			continue
		}
		idle := s.Idle
		if t := s.o.timeout; t > 0 {
			if idle == 0 || t < idle {
				idle = t
			}
			// A write that waits for the client holds the writer: then there is nothing to keep alive.
			if now.Sub(lastOut) >= t/2-time.Second && s.w.mu.TryLock() {
				if s.w.mux && s.w.err == nil {
					s.w.flushLocked()
					if s.w.written.Load() == out {
						s.w.send([]byte{0, 0, 0, frameBase})
					}
				}
				s.w.mu.Unlock()
				out, lastOut = s.w.written.Load(), now
			}
		}
		if idle > 0 && now.Sub(lastAny) > idle {
			s.timedOut.Store(true)
			s.w.message(msgError, text("rsync: [%s] nothing came from the client for %v (code 30)", s.role(), idle))
			conn.Close()
			return
		}
	}
}
