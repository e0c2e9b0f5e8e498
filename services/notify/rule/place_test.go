package rule

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aida/store"
)

// place is a store, homes, and a database that stands for the lake.
type place struct {
	t     *testing.T
	store *store.Store
	data  *sql.DB
	home  string
	now   atomic.Int64 // the clock, in nanoseconds
	gate  func(sql string)
	fault error
	runs  atomic.Int64
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, home: t.TempDir()}
	p.now.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixNano())
	var err error
	if p.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: p.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	if p.data, err = sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "lake.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.data.Close() })
	p.exec("CREATE TABLE orders (id INTEGER, amount REAL)")
	if err := p.store.SetCatalog(t.Context(), []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}},
		[]store.Table{{SourceID: "o", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "p", Name: "pay", Folder: "hr", Dataset: "hr"}}); err != nil {
		t.Fatal(err)
	}
	p.user("eva")
	return p
}

func (p *place) clock() time.Time     { return time.Unix(0, p.now.Load()).UTC() }
func (p *place) pass(d time.Duration) { p.now.Add(int64(d)) }
func (p *place) exec(q string, args ...any) {
	p.t.Helper()
	if _, err := p.data.Exec(q, args...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) user(name string) store.User {
	p.t.Helper()
	u, err := p.store.AddUser(p.t.Context(), "test", store.NewUser{Name: name})
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

// Query is the Querier: it knows only the tables that the person may read.
func (p *place) Query(ctx context.Context, access *store.Access, text string, limit int) (Result, error) {
	p.runs.Add(1)
	if p.gate != nil {
		p.gate(text)
	}
	if p.fault != nil {
		return Result{}, p.fault
	}
	for _, t := range []string{"orders", "pay"} {
		if _, err := tableNamed(access, t); err != nil && strings.Contains(text, t) {
			return Result{}, &store.Error{Code: store.Invalid, Message: "no such table: " + t}
		}
	}
	rows, err := p.data.QueryContext(ctx, text)
	if err != nil {
		return Result{}, &store.Error{Code: store.Invalid, Message: err.Error()}
	}
	defer rows.Close()
	res := Result{}
	if res.Columns, err = rows.Columns(); err != nil {
		return res, err
	}
	for rows.Next() {
		row, to := make([]any, len(res.Columns)), make([]any, len(res.Columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return res, err
		}
		res.Rows = append(res.Rows, row)
	}
	err = p.data.QueryRow("SELECT count(*) || ' ' || COALESCE(sum(amount), 0) FROM orders").Scan(&res.Data)
	return res, err
}

func (p *place) write(user, file, text string) {
	p.t.Helper()
	dir := filepath.Join(p.home, user, "user", "notifications")
	if err := errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(filepath.Join(dir, file), []byte(text), 0o640)); err != nil {
		p.t.Fatal(err)
	}
}

// run starts a Runner; the func ends it.
func (p *place) run() (r *Runner, stop func()) {
	p.t.Helper()
	r = New(Options{Store: p.store, Query: p, Home: p.home, Scan: 10 * time.Millisecond, Now: p.clock})
	ctx, cancel := context.WithCancel(p.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := r.Run(ctx); err != nil {
			p.t.Error(err)
		}
	})
	return r, sync.OnceFunc(func() { cancel(); wait.Wait() })
}

// inbox gives the person's alerts, oldest first, as "state title".
func (p *place) inbox(user string) (out []string) {
	p.t.Helper()
	u, err := p.store.UserByName(p.t.Context(), user)
	if err != nil {
		p.t.Fatal(err)
	}
	list, err := p.store.Inbox(p.t.Context(), u.ID, 0, 100)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, a := range list {
		out = append(out, string(a.State)+" "+a.Title)
	}
	return out
}

// wait waits until the person has these alerts and no more.
func (p *place) wait(user string, want ...string) {
	p.t.Helper()
	var got []string
	for range 500 {
		if got = p.inbox(user); strings.Join(got, "\n") == strings.Join(want, "\n") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Fatalf("alerts of %s:\n%s\nwant:\n%s", user, strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// ran waits until the rule's newest run has this outcome and began at the clock's time.
func (p *place) ran(user, name string, want store.RuleOutcome) store.RuleRun {
	p.t.Helper()
	u, err := p.store.UserByName(p.t.Context(), user)
	if err != nil {
		p.t.Fatal(err)
	}
	var list []store.RuleRun
	for range 500 {
		if list, err = p.store.RuleRuns(p.t.Context(), u.ID, name, 5); err != nil {
			p.t.Fatal(err)
		}
		if len(list) > 0 && list[0].Outcome == want && list[0].At.Equal(p.clock()) {
			return list[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Fatalf("rule %s of %s: %+v, want %s at %v", name, user, list, want, p.clock())
	return store.RuleRun{}
}
