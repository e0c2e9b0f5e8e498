package store

import (
	"context"
	"database/sql"
	"sync"
)

// memo keeps answers of small reads for as long as nothing in the database changes, whoever changes it: SQLite tells a
// connection of the commits of all others, in any process, without reading a page.
type memo struct {
	mu      sync.Mutex
	conn    *sql.Conn // it writes nothing, so every commit is another's
	version int64
	kept    map[any]any
	flying  map[stateKey]*flight
}

// What is kept, by the kind of its key.
type (
	memoAccess  struct{}
	memoCatalog struct{}
	memoUser    int64
	memoSession struct{ hash, name string }
	memoChanged int64
)

const maxKept = 10_000

// flight is a read that is under way, and what came of it once done is closed.
type flight struct {
	done chan struct{}
	v    any
	err  error
}

// stateKey is a question to one state of the database.
type stateKey struct {
	version int64
	key     any
}

// remember gives what read gave before while nothing changed. Who asks the same of the same state at the same time waits for one
// read, as after a commit everybody asks at once. What it gives is shared: nobody writes to it.
func remember[T any](ctx context.Context, s *Store, key any, read func() (T, error)) (T, error) {
	before, ok := s.memo.now(ctx, s.r)
	if !ok {
		return read()
	}
	v, other, mine := s.memo.get(before, key)
	switch {
	case mine != nil:
		var out T
		mine.err = context.Canceled // stands when read does not return
		defer func() { s.memo.put(before, key, mine) }()
		out, mine.err = read()
		mine.v = out
		return out, mine.err
	case other != nil:
		select {
		case <-other.done:
			if other.err != nil { // which may have been its own request's alone
				return read()
			}
			v = other.v
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
	return v.(T), nil
}

// now is the state of the database as a number. What is read after it is of that state or a later one.
func (m *memo) now(ctx context.Context, db *sql.DB) (version int64, ok bool) {
	ctx = context.WithoutCancel(ctx) // it takes no time, and the connection is everybody's
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == nil {
		c, err := db.Conn(ctx)
		if err != nil {
			return 0, false
		}
		m.conn = c
	}
	if err := m.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		_ = m.conn.Close()
		m.conn, m.kept, m.flying = nil, nil, nil // the next connection counts from another number
		return 0, false
	}
	if version != m.version || m.kept == nil || len(m.kept) >= maxKept {
		m.version, m.kept = version, map[any]any{}
	}
	return version, true
}

// get gives what is kept, or the read that is under way, or a flight that the caller is to land with put.
func (m *memo) get(version int64, key any) (kept any, other, mine *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == version {
		if v, ok := m.kept[key]; ok {
			return v, nil, nil
		}
	}
	at := stateKey{version, key}
	if f := m.flying[at]; f != nil {
		return nil, f, nil
	}
	f := &flight{done: make(chan struct{})}
	if m.flying == nil {
		m.flying = map[stateKey]*flight{}
	}
	m.flying[at] = f
	return nil, nil, f
}

func (m *memo) put(version int64, key any, f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flying, stateKey{version, key})
	close(f.done)
	if f.err == nil && m.version == version && m.kept != nil {
		m.kept[key] = f.v
	}
}

func (m *memo) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == nil {
		return nil
	}
	c := m.conn
	m.conn = nil
	return c.Close()
}
