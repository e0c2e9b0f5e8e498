package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/store"
	"aida/syncer"
)

// liveRuns tells the open pages of admins how runs go on: what runs of this process read as they read it, and of all runs,
// whatever process they are of, that they began and how they ended.
type liveRuns struct {
	store   *store.Store
	publish func(v any, may func(store.User) bool) error
	log     *slog.Logger

	mu      sync.Mutex
	version int64 // of access data, when the admins were looked up
	admins  map[int64]bool
}

// runMessage is what pages get.
type runMessage struct {
	Type    string         `json:"type"` // run
	Run     int64          `json:"run"`
	Outcome store.Outcome  `json:"outcome"`
	Tables  int            `json:"tables,omitempty"` // of the run; missing when another process has it
	Done    int            `json:"done,omitempty"`   // of them, also those that failed
	Reading []readingTable `json:"reading,omitempty"`
}

type readingTable struct {
	Table string `json:"table"`
	Bytes int64  `json:"bytes"`          // that were read
	Size  int64  `json:"size,omitempty"` // in bytes; missing = it is not known
	Rows  int64  `json:"rows"`
}

// tell hands a message to the pages of those who are admins now.
func (l *liveRuns) tell(ctx context.Context, m runMessage) {
	m.Type = "run"
	admins, err := l.whoMay(ctx)
	if err == nil {
		err = l.publish(m, func(u store.User) bool { return admins[u.ID] })
	}
	if err != nil && ctx.Err() == nil {
		l.log.Warn("how a run goes on could not be told", "run", m.Run, "error", err)
	}
}

func (l *liveRuns) whoMay(ctx context.Context) (map[int64]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.store.AccessVersion(ctx)
	if err != nil || l.admins != nil && v == l.version {
		return l.admins, err
	}
	users, err := l.store.Users(ctx)
	if err != nil {
		return nil, err
	}
	l.version, l.admins = v, map[int64]bool{}
	for _, u := range users {
		l.admins[u.ID] = u.Role == store.Admin && u.SuspendedAt.IsZero()
	}
	return l.admins, nil
}

const (
	followEvery = time.Second
	followed    = 20 // newest runs that are looked at
)

// follow looks at the runs in the database and tells of those that began or ended.
func (l *liveRuns) follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var known map[int64]store.Outcome
	for {
		list, err := l.store.RunsBefore(ctx, 0, followed)
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the runs could not be read", "error", err)
		}
		if err == nil {
			now := map[int64]store.Outcome{}
			for _, r := range slices.Backward(list) {
				if now[r.ID] = r.Outcome; known != nil && known[r.ID] != r.Outcome {
					l.tell(ctx, runMessage{Run: r.ID, Outcome: r.Outcome})
				}
			}
			known = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watch is the syncer's: it gives whom a run of this process is told to.
func (l *liveRuns) watch(run int64, tables int) syncer.Progress {
	return &liveRun{l: l, run: run, tables: tables, reading: map[string]*readingTable{}}
}

// tellEvery is the least time between two messages of a run.
const tellEvery = 500 * time.Millisecond

// liveRun is one run of this process.
type liveRun struct {
	l      *liveRuns
	run    int64
	tables int

	mu      sync.Mutex
	done    int
	reading map[string]*readingTable
	told    time.Time
}

func (r *liveRun) Start(table string, size int64) {
	r.change(func() { r.reading[table] = &readingTable{Table: table, Size: max(size, 0)} })
}

func (r *liveRun) Advance(table string, bytes, rows int64) {
	r.change(func() {
		if t := r.reading[table]; t != nil {
			t.Bytes, t.Rows = bytes, rows
		}
	})
}

func (r *liveRun) Done(t store.RunTable) {
	r.change(func() { delete(r.reading, t.Table); r.done++ })
}

func (r *liveRun) change(what func()) {
	r.mu.Lock()
	what()
	if time.Since(r.told) < tellEvery {
		r.mu.Unlock()
		return
	}
	r.told = time.Now()
	m := runMessage{Run: r.run, Outcome: store.Running, Tables: r.tables, Done: r.done}
	for _, t := range r.reading {
		m.Reading = append(m.Reading, *t)
	}
	r.mu.Unlock()
	slices.SortFunc(m.Reading, func(a, b readingTable) int { return strings.Compare(a.Table, b.Table) })
	r.l.tell(context.Background(), m)
}
