package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aida/syncer/lake"
)

// A run holds a lease on each of its tables and renews it while it lives. A lease that is not renewed ends by itself; that
// of a process that is gone ends at once, as its work folder is no longer locked.
const (
	leaseFor   = 2 * time.Minute
	leaseRenew = 20 * time.Second
)

func leaseName(sourceID string) string { return "table " + sourceID }

// lease takes the tables for a run and gives those that another run has.
func (s *Syncer) lease(ctx context.Context, scratch *lake.Scratch, ids []string) (busy map[string]bool, err error) {
	byName := map[string]string{}
	var names []string
	for _, id := range ids {
		byName[leaseName(id)] = id
		names = append(names, leaseName(id))
	}
	busy = map[string]bool{}
	for len(names) > 0 {
		taken, err := s.o.Store.Lease(ctx, scratch.Name(), names, leaseFor, s.o.Lake.Alive)
		if err != nil {
			return nil, err
		}
		if len(taken) == 0 {
			return busy, nil
		}
		for _, n := range taken {
			busy[byName[n]] = true
		}
		names = names[:0]
		for _, id := range ids {
			if !busy[id] {
				names = append(names, leaseName(id))
			}
		}
	}
	return busy, nil
}

// errLeaseLost ends a run whose tables may be another run's by now.
var errLeaseLost = errors.New("the lease on the tables was lost, another sync may be at them: run the sync again")

// heartbeat renews the leases of a run until ctx is done; it calls lost when they are gone.
func (s *Syncer) heartbeat(ctx context.Context, owner string, tables int, lost func(error)) {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	good := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held, err := s.o.Store.RenewLeases(ctx, owner, leaseFor)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && held == int64(tables):
			good = time.Now()
		case err == nil:
			lost(errLeaseLost)
			return
		case time.Since(good) > leaseFor/2:
			lost(fmt.Errorf("%w (%w)", errLeaseLost, err))
			return
		}
	}
}
