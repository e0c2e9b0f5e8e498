// Package store is the appliance's memory: one SQLite file that holds people, keys, access, tables, generations, runs
// and the audit log. It owns the project's nouns and every line of SQL; it never opens lake files and knows no protocol.
//
//	s, err := store.Open(ctx, store.Options{Path: "data/aida.db"})
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver named "sqlite"
)

// Options says where the database is and how it behaves.
type Options struct {
	Path   string           // file name of the database; its folder is made when missing
	PinMax time.Duration    // longest life of a pin; 0 means 6 h
	Now    func() time.Time // the clock; nil means time.Now
}

// Store is one open database: a single writer and a pool of readers. It is safe for concurrent use.
type Store struct {
	w, r   *sql.DB
	often  *often // r, for what is asked for each table of a run
	path   string
	now    func() time.Time
	pinMax time.Duration

	memo memo
	seen sync.Mutex // held by who writes down that a session is used

	pinMu    sync.Mutex
	pins     map[*Pin]struct{}
	snapshot *Snapshot // the newest one read, shared by all pins of its generation
	past     *Snapshot // the older one that was read last
}

// Open opens the database, making it when missing, and brings its schema up to date. Before a migration of an existing
// database a copy named <path>.before-<version> is taken beside it.
func Open(ctx context.Context, o Options) (*Store, error) { return open(ctx, o, migrations) }

func open(ctx context.Context, o Options, schema fs.FS) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", filepath.Dir(o.Path), err)
	}
	if err := touchPrivate(o.Path); err != nil {
		return nil, fmt.Errorf("database %s: %w", o.Path, err)
	}
	s := &Store{path: o.Path, now: o.Now, pinMax: o.PinMax, pins: map[*Pin]struct{}{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.pinMax <= 0 {
		s.pinMax = 6 * time.Hour
	}
	var err error
	if s.w, err = sql.Open("sqlite", dsn(o.Path, "immediate")); err != nil {
		return nil, fmt.Errorf("database %s: %w", o.Path, err)
	}
	s.w.SetMaxOpenConns(1)
	if err := s.migrate(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", o.Path, err), s.w.Close())
	}
	if s.r, err = sql.Open("sqlite", dsn(o.Path, "deferred")+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", o.Path, err), s.w.Close())
	}
	s.r.SetMaxOpenConns(5) // one of them is the memo's
	s.r.SetMaxIdleConns(4)
	s.often = &often{db: s.r}
	return s, nil
}

// Close ends all use of the database and folds the write-ahead log into it.
func (s *Store) Close() error {
	err := errors.Join(s.memo.close(), s.r.Close())
	_, cerr := s.w.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(err, cerr, s.w.Close())
}

// Path is the file name of the database.
func (s *Store) Path() string { return s.path }

// Check runs SQLite's own consistency checks and reports the first thing that is wrong.
func (s *Store) Check(ctx context.Context) error {
	var answer string
	if err := s.r.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&answer); err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	if answer != "ok" {
		return fmt.Errorf("database %s is damaged: %s", s.path, answer)
	}
	rows, err := s.r.QueryContext(ctx, `PRAGMA foreign_key_check`)
	if err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	defer rows.Close()
	if rows.Next() {
		return fmt.Errorf("database %s: a row refers to one that does not exist", s.path)
	}
	return rows.Err()
}

func dsn(path, lock string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_txlock=" + lock +
		"&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=temp_store(memory)&_pragma=cache_size(-16000)"
}

// touchPrivate makes the file readable by its owner alone before SQLite would make it with the process's umask.
func touchPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// write runs fn in one transaction on the single writer and commits it when fn returns nil.
func (s *Store) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback() // after Commit this does nothing
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// often is a querier that keeps its statements, so that SQLite reads each query's text once. They are closed with the database.
type often struct {
	db   *sql.DB
	kept sync.Map // query: *sql.Stmt
}

func (o *often) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := o.kept.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := o.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if other, first := o.kept.LoadOrStore(query, st); first {
		return other.(*sql.Stmt), st.Close()
	}
	return st, nil
}

func (o *often) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := o.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (o *often) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	st, err := o.prepared(ctx, query)
	if err != nil {
		return o.db.QueryRowContext(ctx, query, args...) // which gives the error
	}
	return st.QueryRowContext(ctx, args...)
}

// collect reads all rows of a query through scan.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Times are stored as UTC Unix nanoseconds; 0 means never.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
