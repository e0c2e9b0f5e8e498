// Package query runs read-only SQL over the tables of one generation that one person may read. The dialect is SQLite's; each
// table is a virtual table over its Parquet files, which reads only the columns and row groups that a query needs. It opens
// no file itself and decides nothing about access: it is handed a snapshot and the answer of store.Access.
//
//	e := query.New(query.Options{Open: lake.Open})
//	res, err := e.Query(ctx, query.Request{Snapshot: pin.Snapshot, Access: access, SQL: "SELECT count(*) FROM orders"})
//
// Dates, times and timestamps are text as ISO 8601 writes it (timestamps in UTC, with a blank between date and time), so that
// SQLite's date functions take them; booleans are 0 and 1; decimals with a fraction are REAL.
package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aida/store"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// File is an open lake file.
type File interface {
	io.ReaderAt
	io.Closer
}

// Options is what an Engine works with. Zero numbers mean the defaults that stand beside them.
type Options struct {
	Open    func(f store.File) (File, error)
	Timeout time.Duration // 30 s for one query
	MaxRows int           // 10,000 rows in a result
	MaxSize int           // 64 MiB of texts in a result
}

// Engine runs queries. It is safe for concurrent use.
type Engine struct {
	o        Options
	driver   *sqlite.Driver
	sessions sync.Map // string -> *session
	next     atomic.Int64
}

// New makes an Engine.
func New(o Options) (*Engine, error) {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxRows <= 0 {
		o.MaxRows = 10_000
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 20
	}
	e := &Engine{o: o, driver: &sqlite.Driver{}}
	if err := e.driver.RegisterModule("lake", module{e}); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return e, nil
}

// Request is one query.
type Request struct {
	Snapshot *store.Snapshot
	Access   *store.Access
	SQL      string
	Args     []any
	MaxRows  int // 0 = the engine's
}

// Result is what a query gave. Values are nil, int64, float64, string or []byte.
type Result struct {
	Columns   []string `json:"columns"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated"` // there are more rows than were asked for
	Data      string   `json:"-"`         // tells versions of the data that was read apart
}

// Error is a fault of the query itself, which its author can mend.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// Limits of one query beside rows and time.
const (
	maxSQL    = 1 << 20
	maxValue  = 16 << 20
	maxFolder = 10 // folders that a query may name
)

// Query runs one SELECT.
func (e *Engine) Query(ctx context.Context, r Request) (*Result, error) {
	text, err := statement(r.SQL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	limit := e.o.MaxRows
	if r.MaxRows > 0 {
		limit = min(limit, r.MaxRows)
	}
	s := &session{ctx: ctx, open: e.o.Open, tables: map[string]*table{}, collated: strings.Contains(strings.ToLower(text), "collate")}
	token := fmt.Sprint(e.next.Add(1))
	e.sessions.Store(token, s)
	defer e.sessions.Delete(token)
	out, err := e.run(ctx, s, token, text, limit, r)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() == context.DeadlineExceeded:
		return nil, &Error{fmt.Sprintf("the query took longer than %v: narrow it down, or ask for fewer columns", e.o.Timeout)}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.failed() != nil: // of the lake, not of the query
		return nil, fmt.Errorf("query: %w", s.failed())
	}
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		return nil, &Error{readable(fault, r.Access)}
	}
	return nil, err
}

var codeTail = regexp.MustCompile(` \(\d+\)$`)

func readable(err *sqlite.Error, access *store.Access) string {
	text := codeTail.ReplaceAllString(err.Error(), "")
	text = strings.TrimPrefix(text, "SQL logic error: ")
	_, name, missing := strings.Cut(text, "no such table: ")
	if !missing {
		return text
	}
	var full []string
	for _, t := range access.Tables {
		if strings.EqualFold(t.Name, name) {
			full = append(full, t.FullName())
		}
		if strings.EqualFold(t.FullName(), name) {
			return fmt.Sprintf("%s: write %s.%s, as folder and name are two words to SQL", text, quote(t.Folder), quote(t.Name))
		}
	}
	switch len(full) {
	case 0:
		return text + ": it does not exist, or you may not read it; the catalog has the names"
	case 1:
		return text + ": " + full[0] + " was not synced yet"
	}
	slices.Sort(full)
	return fmt.Sprintf("%s: %d tables have this name, write %s", text, len(full), strings.Join(full, " or "))
}

func (e *Engine) run(ctx context.Context, s *session, token, text string, limit int, r Request) (out *Result, err error) {
	db := sql.OpenDB(connector{e.driver})
	db.SetMaxOpenConns(1)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer conn.Close()
	defer s.close() // before the connection, whose cursors it serves
	if err := e.prepare(ctx, conn, s, token, text, r); err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, text, r.Args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out = &Result{Rows: [][]any{}}
	size := 0
	if out.Columns, err = rows.Columns(); err != nil {
		return nil, err
	}
	for rows.Next() {
		if len(out.Rows) == limit {
			out.Truncated = true
			break
		}
		row, to := make([]any, len(out.Columns)), make([]any, len(out.Columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		for _, v := range row {
			switch v := v.(type) {
			case string:
				size += len(v)
			case []byte:
				size += len(v)
			}
		}
		if size > e.o.MaxSize {
			return nil, &Error{fmt.Sprintf("the result is larger than %d MiB: ask for fewer rows or columns", e.o.MaxSize>>20)}
		}
		out.Rows = append(out.Rows, row)
	}
	if !out.Truncated {
		err = rows.Err()
	}
	out.Data = s.version()
	return out, err
}

// connector opens empty databases in memory by the engine's own driver, whose module no other database of the process has.
type connector struct{ d *sqlite.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.d.Open(":memory:") }
func (c connector) Driver() driver.Driver                        { return c.d }

// prepare makes the virtual tables that the text may mean, then takes away all that a SELECT does not need.
func (e *Engine) prepare(ctx context.Context, conn *sql.Conn, s *session, token, text string, r Request) error {
	lower := strings.ToLower(text)
	short := map[string]int{}
	for _, t := range r.Access.Tables {
		short[strings.ToLower(t.Name)]++
	}
	files := map[int64][]store.File{}
	for _, f := range r.Snapshot.Files {
		if r.Access.CanRead(f.TableID) {
			files[f.TableID] = append(files[f.TableID], f)
		}
	}
	exec := func(format string, args ...any) error {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf(format, args...)); err != nil {
			return fmt.Errorf("query: %w", err)
		}
		return nil
	}
	folders := map[string]bool{}
	for _, t := range r.Access.Tables {
		if len(files[t.ID]) == 0 || !strings.Contains(lower, strings.ToLower(t.Name)) {
			continue // never synced, or not meant
		}
		key := fmt.Sprint(t.ID)
		s.tables[key] = &table{s: s, name: t.FullName(), files: files[t.ID]}
		if short[strings.ToLower(t.Name)] == 1 {
			if err := exec(`CREATE VIRTUAL TABLE main.%s USING lake('%s', '%s')`, quote(t.Name), token, key); err != nil {
				return err
			}
		}
		if !strings.Contains(lower, strings.ToLower(t.Folder)) || reserved[strings.ToLower(t.Folder)] {
			continue
		}
		if !folders[t.Folder] {
			if len(folders) == maxFolder {
				return &Error{fmt.Sprintf("a query may name tables of %d folders at most", maxFolder)}
			}
			folders[t.Folder] = true
			if err := exec(`ATTACH ':memory:' AS %s`, quote(t.Folder)); err != nil {
				return err
			}
		}
		if err := exec(`CREATE VIRTUAL TABLE %s.%s USING lake('%s', '%s')`, quote(t.Folder), quote(t.Name), token, key); err != nil {
			return err
		}
	}
	if err := exec(`PRAGMA query_only = 1`); err != nil {
		return err
	}
	for _, l := range []struct{ id, value int }{{sqlite3.SQLITE_LIMIT_ATTACHED, len(folders)}, {sqlite3.SQLITE_LIMIT_LENGTH, maxValue}, {sqlite3.SQLITE_LIMIT_SQL_LENGTH, maxSQL}} {
		if _, err := sqlite.Limit(conn, l.id, l.value); err != nil {
			return fmt.Errorf("query: %w", err)
		}
	}
	return nil
}

// reserved are SQLite's own schema names.
var reserved = map[string]bool{"main": true, "temp": true}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
