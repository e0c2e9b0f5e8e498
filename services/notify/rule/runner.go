package rule

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/store"
)

// Querier runs one SELECT over the newest generation with a person's access. A fault of the query is a *store.Error, which
// its author may read; anything else is an internal failure.
type Querier interface {
	Query(ctx context.Context, access *store.Access, sql string, maxRows int) (Result, error)
}

// Result is what a query gave. Values are nil, int64, float64, string or []byte.
type Result struct {
	Columns []string
	Rows    [][]any
	More    bool   // there are more rows
	Data    string // tells versions of the data that was read apart
}

// Options is what a Runner works with.
type Options struct {
	Store    *store.Store
	Query    Querier
	Home     string        // folder of all homes
	Wake     func()        // tells the outbox that there is something new
	Parallel int           // runs at once; 0 = 2
	Scan     time.Duration // how often homes are looked at; 0 = 2 s
	Log      *slog.Logger
	Now      func() time.Time
}

// Runner plans and runs everybody's rules. Its Run is the one goroutine that owns their state.
type Runner struct {
	o        Options
	kick     chan struct{}
	previews chan struct{}

	people map[int64]*person
	states map[key]store.RuleState
	synced map[int64]time.Time // when tables were last synced
	done   chan finished
	active int
}

// key names a rule.
type key struct {
	user int64
	name string
}

// person is an author with the files in the home.
type person struct {
	user    store.User
	access  *store.Access // for the names of tables; each run asks for its own
	files   map[string]*known
	running string    // name of the rule that runs, "" = none
	started time.Time // of the last run
}

// known is a rule's file as it was last seen.
type known struct {
	entry   entry
	settled bool // seen twice alike: no upload is under way
	hash    string
	rule    *Rule
	again   time.Time // not before
}

// finished is a run that is over.
type finished struct {
	key   key
	state store.RuleState
	err   error
}

// New makes a Runner.
func New(o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	o.Parallel = cmp.Or(max(o.Parallel, 0), 2)
	o.Scan = cmp.Or(max(o.Scan, 0), 2*time.Second)
	return &Runner{o: o, kick: make(chan struct{}, 1), previews: make(chan struct{}, o.Parallel), people: map[int64]*person{}, states: map[key]store.RuleState{}, done: make(chan finished, o.Parallel)}
}

// Refresh makes Run look at the homes now.
func (r *Runner) Refresh() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// pollEvery is how often due times and syncs are looked at.
const pollEvery = time.Second

// Run works until ctx is done, and ends the runs that are under way: they begin anew at the next start.
func (r *Runner) Run(ctx context.Context) error {
	states, err := r.o.Store.RuleStates(ctx, 0)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("alert rules: %w", err)
	}
	for _, s := range states {
		r.states[key{s.UserID, s.Name}] = s
	}
	var runs sync.WaitGroup
	defer runs.Wait()
	tick := time.NewTicker(min(pollEvery, r.o.Scan))
	defer tick.Stop()
	var scanned time.Time
	for {
		if time.Since(scanned) >= r.o.Scan {
			scanned = time.Now()
			if err := r.scan(ctx); err != nil && ctx.Err() == nil {
				r.o.Log.Error("alert rules cannot be read", "error", err)
			}
		}
		r.start(ctx, &runs)
		select {
		case <-ctx.Done():
			return nil
		case f := <-r.done:
			r.finish(ctx, f)
		case <-r.kick:
			scanned = time.Time{}
		case <-tick.C:
		}
	}
}

// start begins the runs that are due, as many as there is room for: of each person one at a time, first of who waited longest.
func (r *Runner) start(ctx context.Context, runs *sync.WaitGroup) {
	if ctx.Err() != nil || r.active >= r.o.Parallel {
		return
	}
	if err := r.look(ctx); err != nil {
		if ctx.Err() == nil {
			r.o.Log.Error("alert rules cannot be planned", "error", err)
		}
		return
	}
	type job struct {
		p *person
		k *known
	}
	var due []job
	for _, p := range r.people {
		if p.running == "" {
			if k := r.due(ctx, p); k != nil {
				due = append(due, job{p, k})
			}
		}
	}
	slices.SortFunc(due, func(a, b job) int {
		return cmp.Or(a.p.started.Compare(b.p.started), cmp.Compare(a.p.user.ID, b.p.user.ID))
	})
	for _, j := range due[:min(len(due), r.o.Parallel-r.active)] {
		id := key{j.p.user.ID, j.k.entry.name}
		st := r.states[id]
		j.p.running, j.p.started = id.name, r.o.Now()
		r.active++
		if j.k.rule.After != "" {
			st.SeenAt = r.seen(j.p, j.k.rule.After)
		}
		user, rule := j.p.user, j.k.rule
		runs.Go(func() {
			next, err := r.run(ctx, user, rule, st)
			r.done <- finished{id, next, err} // never blocks: it has room for all runs
		})
	}
}

// look reads when tables were synced, if any rule waits for one.
func (r *Runner) look(ctx context.Context) (err error) {
	for _, p := range r.people {
		for _, k := range p.files {
			if k.rule != nil && k.rule.After != "" {
				r.synced, err = r.o.Store.SyncTimes(ctx)
				return err
			}
		}
	}
	return nil
}

// due gives the person's rule that is to run now and waited longest, nil = none is.
func (r *Runner) due(ctx context.Context, p *person) (first *known) {
	now := r.o.Now()
	var least time.Time
	for _, k := range p.files {
		id := key{p.user.ID, k.entry.name}
		st, planned := r.states[id]
		if !k.settled || k.rule == nil || !k.rule.Enabled || !planned || now.Before(k.again) {
			continue
		}
		due := !st.NextAt.IsZero() && !now.Before(st.NextAt)
		if k.rule.After != "" {
			synced, err := r.tableSynced(ctx, p, k.rule.After)
			if err != nil {
				if store.CodeOf(err) != "" {
					err = r.broken(ctx, p, k, err.Error())
				}
				if err != nil && ctx.Err() == nil {
					r.o.Log.Error("alert rule", "user", p.user.Name, "rule", id.name, "error", err)
				}
				continue
			}
			due = due || synced.After(st.SeenAt)
		}
		if due && (first == nil || st.RanAt.Before(least)) {
			first, least = k, st.RanAt
		}
	}
	return first
}

// tableSynced tells when a table that the author may read was last synced.
func (r *Runner) tableSynced(ctx context.Context, p *person, name string) (time.Time, error) {
	if p.access == nil {
		access, err := r.o.Store.Access(ctx, p.user.ID)
		if err != nil {
			return time.Time{}, err
		}
		p.access = access
	}
	t, err := tableNamed(p.access, name)
	return r.synced[t.ID], err
}

func (r *Runner) seen(p *person, name string) time.Time {
	t, err := tableNamed(p.access, name)
	if err != nil {
		return time.Time{}
	}
	return r.synced[t.ID]
}

// tableNamed finds a table among those that a person may read, by folder.name, or by its name where that is enough.
func tableNamed(a *store.Access, name string) (found store.Table, err error) {
	n := 0
	for _, t := range a.Tables {
		if strings.EqualFold(t.FullName(), name) {
			return t, nil
		}
		if strings.EqualFold(t.Name, name) {
			found, n = t, n+1
		}
	}
	switch n {
	case 1:
		return found, nil
	case 0:
		return found, &store.Error{Code: store.Invalid, Message: "after: there is no table " + name + " that you may read", Hint: "the catalog has the names; write it as dataset.table"}
	}
	return found, &store.Error{Code: store.Invalid, Message: "after: there are several tables named " + name, Hint: "write it as dataset.table"}
}

// retryAfter is the pause when a run could not be noted.
const retryAfter = time.Minute

// finish takes the outcome of a run over.
func (r *Runner) finish(ctx context.Context, f finished) {
	r.active--
	p := r.people[f.key.user]
	if p == nil {
		return
	}
	p.running = ""
	k := p.files[f.key.name]
	switch {
	case ctx.Err() != nil:
	case f.err != nil:
		r.o.Log.Error("alert rule", "user", p.user.Name, "rule", f.key.name, "error", f.err)
		if k != nil {
			k.again = r.o.Now().Add(retryAfter)
		}
	default:
		r.states[f.key] = f.state
		r.o.Wake()
	}
}
