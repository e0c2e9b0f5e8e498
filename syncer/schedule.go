package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"aida/store"

	"github.com/robfig/cron/v3"
)

// Timing says when tables are synced by themselves.
type Timing struct {
	Default string         // for tables without a schedule of their own; "" = never
	Zone    *time.Location // of cron lines; nil = UTC
	Jitter  time.Duration  // a schedule's runs begin up to this much late, always by the same amount
}

// ParseSchedule reads a cron line of five fields, or "every 6h".
func ParseSchedule(text string, zone *time.Location) (cron.Schedule, error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "every "); ok {
		d, err := time.ParseDuration(strings.ReplaceAll(rest, " ", ""))
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("%q: write it as \"every 6h\" or \"every 30m\", one second at least", text)
		}
		return cron.Every(d), nil
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w: write a cron line such as \"0 6,14,19 * * *\", or \"every 6h\"", text, err)
	}
	if spec, ok := s.(*cron.SpecSchedule); ok && !strings.Contains(text, "TZ=") {
		if spec.Location = zone; zone == nil {
			spec.Location = time.UTC
		}
	}
	return s, nil
}

// plan is one table's schedule.
type plan struct {
	id   string // of the source
	spec string
	when cron.Schedule
	late time.Duration
}

// plans reads all schedules. Each mistake is told.
func (s *Syncer) plans() (out []plan, err error) {
	t := s.o.Timing
	var problems []error
	if t.Default != "" {
		if _, err := ParseSchedule(t.Default, t.Zone); err != nil {
			problems = append(problems, fmt.Errorf("schedule.default: %w", err))
		}
	}
	for _, d := range s.tables() {
		spec := cmp.Or(d.Schedule, t.Default)
		if spec == "" || spec == "never" || d.QueryMode == "remote" {
			continue
		}
		when, err := ParseSchedule(spec, t.Zone)
		if err != nil {
			if d.Schedule != "" {
				problems = append(problems, fmt.Errorf("%s:%d: table %s: schedule: %w", d.File, d.Line, d.FullName(), err))
			}
			continue
		}
		out = append(out, plan{d.ID, spec, when, t.late(spec, when)})
	}
	return out, errors.Join(problems...)
}

// late spreads schedules, so that those of the same minute do not all begin in its first second; by a tenth of the time
// between two runs at most.
func (t Timing) late(spec string, when cron.Schedule) time.Duration {
	next := when.Next(time.Now())
	most := min(t.Jitter, when.Next(next).Sub(next)/10)
	if most < time.Second {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(spec))
	return time.Duration(h.Sum64()%uint64(most/time.Second)) * time.Second
}

// CheckSchedule tells what is wrong with the schedules.
func (s *Syncer) CheckSchedule() error {
	_, err := s.plans()
	return err
}

const (
	longestSleep = time.Minute // the clock may be set, a laptop may wake up
	firstRetry   = 5 * time.Minute
	longestRetry = 2 * time.Hour
	busyRetry    = time.Minute
)

// Schedule syncs tables when they are due, until ctx is done: those of one schedule that are due together in one run, whose
// tables readers then see change together, and none that is still being synced. What was missed while nothing ran is made up for once. A table that failed is tried again after a
// while, sooner than its next planned time. One that is paused is not due.
func (s *Syncer) Schedule(ctx context.Context) error {
	plans, err := s.plans()
	if err != nil {
		return err
	}
	of := s.described.Load()
	var mu sync.Mutex
	running := map[string]bool{}
	var runs sync.WaitGroup
	defer runs.Wait()
	ended := make(chan struct{}, 1)
	for {
		if now := s.described.Load(); now != of { // the description was changed meanwhile
			of = now
			if plans, err = s.plans(); err != nil {
				s.o.Log.Error("schedule", "error", err)
			}
		}
		mu.Lock()
		due, next, err := s.due(ctx, plans, running)
		for _, p := range due {
			running[p.id] = true
		}
		mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.o.Log.Error("schedule", "error", err)
		}
		for _, together := range bySpec(due) {
			runs.Go(func() {
				s.scheduled(ctx, together)
				mu.Lock()
				for _, p := range together {
					delete(running, p.id)
				}
				mu.Unlock()
				select {
				case ended <- struct{}{}:
				default:
				}
			})
		}
		timer := time.NewTimer(min(longestSleep, max(time.Until(next), 10*time.Millisecond)))
		select {
		case <-ctx.Done():
		case <-ended:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func bySpec(plans []plan) (groups [][]plan) {
	at := map[string]int{}
	for _, p := range plans {
		i, known := at[p.spec]
		if !known {
			i = len(groups)
			at[p.spec], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// due gives the plans whose time has come, and when the next one's comes.
func (s *Syncer) due(ctx context.Context, plans []plan, running map[string]bool) (due []plan, next time.Time, err error) {
	now := time.Now()
	next = now.Add(longestSleep)
	tables, state, err := s.scheduleState(ctx)
	if err != nil {
		return nil, next, err
	}
	for _, p := range plans {
		if running[p.id] {
			continue
		}
		t := tables[p.id]
		if !t.PausedAt.IsZero() {
			continue
		}
		at := p.at(t, state[t.ID])
		if !at.After(now) {
			due = append(due, p)
		} else if at.Before(next) {
			next = at
		}
	}
	return due, next, nil
}

func (s *Syncer) scheduleState(ctx context.Context) (map[string]store.Table, map[int64]store.Scheduled, error) {
	list, err := s.o.Store.Tables(ctx)
	if err != nil {
		return nil, nil, err
	}
	tables := map[string]store.Table{}
	for _, t := range list {
		tables[t.SourceID] = t
	}
	state, err := s.o.Store.Schedule(ctx)
	return tables, state, err
}

// at is when a table is to be synced next. One that was never synced is due at once.
func (p plan) at(t store.Table, st store.Scheduled) time.Time {
	last := st.LastAt
	if st.Spec != p.spec || last.IsZero() {
		last = t.SyncedAt
	}
	if last.IsZero() {
		return time.Time{}
	}
	at := p.when.Next(last).Add(p.late)
	if !st.RetryAt.IsZero() && st.RetryAt.Before(at) {
		return st.RetryAt
	}
	return at
}

// scheduled runs one sync of tables that are due and notes how it went.
func (s *Syncer) scheduled(ctx context.Context, due []plan) {
	tables, state, err := s.scheduleState(ctx)
	if err != nil {
		s.o.Log.Error("schedule", "error", err)
		return
	}
	now := time.Now().UTC()
	var names []string
	var before []store.Scheduled
	for _, p := range due {
		t := tables[p.id]
		names = append(names, t.FullName())
		// Until the run has ended the table counts as one to be tried again, for the case that the process is killed.
		before = append(before, store.Scheduled{TableID: t.ID, Spec: p.spec, LastAt: now, RetryAt: now, Failures: state[t.ID].Failures})
	}
	if err := s.o.Store.SetSchedule(ctx, before); err != nil {
		s.o.Log.Error("schedule", "error", err)
		return
	}
	report, err := s.Sync(ctx, Request{Tables: names, Trigger: "schedule"})
	if ctx.Err() != nil {
		return // it goes on at the next start
	}
	if err != nil {
		s.o.Log.Error("scheduled sync failed", "error", err)
	}
	outcome := map[string]store.Outcome{}
	if report != nil {
		for _, t := range report.Tables {
			outcome[t.Table] = t.Outcome
		}
	}
	for i := range before {
		st := &before[i]
		switch o := outcome[names[i]]; {
		case o == store.Changed, o == store.Unchanged:
			st.Failures, st.RetryAt = 0, time.Time{}
		case o == store.Skipped, errors.Is(err, ErrBusy):
			st.RetryAt = time.Now().UTC().Add(busyRetry)
		default:
			st.Failures++
			st.RetryAt = time.Now().UTC().Add(retryAfter(st.Failures))
		}
	}
	if err := s.o.Store.SetSchedule(ctx, before); err != nil {
		s.o.Log.Error("schedule", "error", err)
	}
}

// retryAfter is 5 minutes, 15, 45, and 2 hours from then on.
func retryAfter(failures int) time.Duration {
	d := firstRetry
	for range failures - 1 {
		if d *= 3; d > longestRetry {
			return longestRetry
		}
	}
	return d
}
