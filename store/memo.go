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

// remember gives what read gave before while nothing changed. What it gives is shared: nobody writes to it.
func remember[T any](ctx context.Context, s *Store, key any, read func() (T, error)) (T, error) {
	before, ok := s.memo.now(ctx, s.r)
	if ok {
		if v, hit := s.memo.get(before, key); hit {
			return v.(T), nil
		}
	}
	v, err := read()
	if err == nil && ok {
		s.memo.put(before, key, v)
	}
	return v, err
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
		m.conn, m.kept = nil, nil // the next connection counts from another number
		return 0, false
	}
	if version != m.version || m.kept == nil || len(m.kept) >= maxKept {
		m.version, m.kept = version, map[any]any{}
	}
	return version, true
}

func (m *memo) get(version int64, key any) (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version != version {
		return nil, false
	}
	v, ok := m.kept[key]
	return v, ok
}

func (m *memo) put(version int64, key, v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == version && m.kept != nil {
		m.kept[key] = v
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
