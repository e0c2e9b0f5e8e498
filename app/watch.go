package app

import (
	"context"
	"fmt"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/lake"
)

// outbox raises alerts from any process: the serving one hands them out.
type outbox struct{ store *store.Store }

func (o outbox) Raise(ctx context.Context, r store.Raise) error {
	_, err := o.store.RaiseAlert(ctx, r)
	return err
}

const (
	watchEvery = time.Minute
	dayBetween = 24 * time.Hour // repetitions of a condition that goes on
)

// watch takes up metrics and tables whose files changed, and tells admins of what no run tells: a disk that fills up, and data that does
// not come when it should.
func (p *program) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := p.loadMetrics(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the metrics could not be read", "error", err)
		}
		if err := p.declared.follow(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the description of the tables could not be read", "error", err)
		}
		p.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look checks each condition and raises what it finds.
func (p *program) look(ctx context.Context) {
	for _, look := range []func(context.Context) (store.Raise, error){p.watchDisk, p.watchAge, p.watchToken} {
		r, err := look(ctx)
		if err == nil && r.Title != "" {
			r.Source, r.To, r.Cooldown, r.Link = "system", store.Audience{Admins: true}, dayBetween, "/admin/health"
			err = outbox{p.store}.Raise(ctx, r)
		}
		if err != nil && ctx.Err() == nil {
			p.log.Error("a check for alerts failed", "error", err)
		}
	}
}

func (p *program) watchDisk(context.Context) (store.Raise, error) {
	free, err := lake.Free(p.cfg.DataDir)
	r := store.Raise{Dedupe: "disk", Severity: store.Critical, Title: "The disk is nearly full", Message: sizeOf(free) + " are free where the data is. Syncs and uploads fail when it is full."}
	if free >= lowDisk {
		r.Title, r.Message, r.Recovered = "The disk has room again", sizeOf(free)+" are free.", true
	}
	return r, err
}

// watchAge compares the newest sync with the schedule: one that was missed may run late, a second one is a fault.
func (p *program) watchAge(ctx context.Context) (store.Raise, error) {
	due := p.due()
	if due == nil {
		return store.Raise{}, nil
	}
	f, err := p.store.Freshness(ctx)
	if err != nil || f.SyncedAt.IsZero() {
		return store.Raise{}, err
	}
	r := store.Raise{Dedupe: "late", Severity: store.Warning, Title: "The data is late", Message: fmt.Sprintf("The newest sync was at %s.", f.SyncedAt.UTC().Format("2006-01-02 15:04 MST"))}
	if !time.Now().After(due(due(f.SyncedAt))) {
		r.Title, r.Message, r.Recovered = "The data is on time again", "", true
	}
	return r, nil
}

const (
	tokenNotice = 7 * 24 * time.Hour
	tokenEvery  = 6 * time.Hour
)

// watchToken asks sources whose credentials end when that is, now and then. One that cannot be asked is told of by its syncs.
func (p *program) watchToken(ctx context.Context) (store.Raise, error) {
	if time.Since(p.tokenAsked) < tokenEvery {
		return store.Raise{}, nil
	}
	p.tokenAsked = time.Now()
	for name, s := range p.from {
		ending, ok := s.(interface {
			TokenExpires(ctx context.Context) (time.Time, error)
		})
		if !ok {
			continue
		}
		at, err := ending.TokenExpires(ctx)
		if err != nil {
			p.log.Warn("when a source's token ends is not known", "source", name, "error", err)
			continue
		}
		r := store.Raise{Dedupe: "token of " + name, Severity: store.Critical, Title: "The token of " + name + " ends soon",
			Message: "It ends at " + at.UTC().Format("2006-01-02 15:04 MST") + ". Syncs fail from then on: make a new one there and put it into .env."}
		if at.IsZero() || time.Until(at) > tokenNotice {
			r.Title, r.Message, r.Recovered = "The token of "+name+" is good again", "", true
		}
		return r, nil
	}
	return store.Raise{}, nil
}

// starter begins syncs that people ask for in the portal, one after another.
type starter struct {
	p    *program
	jobs chan syncer.Request
}

func newStarter(p *program) *starter { return &starter{p, make(chan syncer.Request, 16)} }

// Start queues a sync.
func (s *starter) Start(tables []string, trigger string) error {
	select {
	case s.jobs <- syncer.Request{Tables: tables, Trigger: trigger}:
		return nil
	default:
		return &store.Error{Code: store.Conflict, Message: "many syncs wait already", Hint: "look at the runs, and try again in a while"}
	}
}

func (s *starter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-s.jobs:
			if _, err := s.p.sync.Sync(ctx, r); err != nil && ctx.Err() == nil {
				s.p.log.Error("a sync that was asked for did not run", "by", r.Trigger, "error", err)
			}
		}
	}
}
