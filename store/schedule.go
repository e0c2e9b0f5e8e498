package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Lease takes names for an owner until a time, all of them or none. A lease whose time is over, or whose owner alive says
// is gone, is free. It gives the names that others hold.
func (s *Store) Lease(ctx context.Context, owner string, names []string, ttl time.Duration, alive func(owner string) bool) (taken []string, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		taken = nil
		held, err := collect(ctx, tx, func(rows *sql.Rows) (lease, error) {
			var l lease
			return l, rows.Scan(&l.name, &l.owner, &l.until)
		}, `SELECT name, owner, until FROM leases WHERE owner <> ? AND until > ?`, owner, nanos(s.now()))
		if err != nil {
			return err
		}
		others, living := map[string]bool{}, map[string]bool{}
		for _, l := range held {
			if _, asked := living[l.owner]; !asked {
				living[l.owner] = alive(l.owner)
			}
			others[l.name] = living[l.owner]
		}
		for _, name := range names {
			if others[name] {
				taken = append(taken, name)
			}
		}
		if len(taken) > 0 {
			return nil
		}
		put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO leases (name, owner, until) VALUES (?, ?, ?)`)
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		defer put.Close()
		for _, name := range names {
			if _, err := put.ExecContext(ctx, name, owner, nanos(s.now().Add(ttl))); err != nil {
				return fmt.Errorf("lease: %w", err)
			}
		}
		return nil
	})
	return taken, err
}

type lease struct {
	name, owner string
	until       int64
}

// RenewLeases is the heartbeat: it holds all leases of an owner for longer, and tells how many it still has.
func (s *Store) RenewLeases(ctx context.Context, owner string, ttl time.Duration) (held int64, err error) {
	res, err := s.w.ExecContext(ctx, `UPDATE leases SET until = ? WHERE owner = ?`, nanos(s.now().Add(ttl)), owner)
	if err != nil {
		return 0, fmt.Errorf("lease: %w", err)
	}
	return res.RowsAffected()
}

// ReleaseLeases gives back all leases of an owner.
func (s *Store) ReleaseLeases(ctx context.Context, owner string) error {
	if _, err := s.w.ExecContext(ctx, `DELETE FROM leases WHERE owner = ?`, owner); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	return nil
}

// Scheduled is how a table's schedule stands.
type Scheduled struct {
	TableID  int64
	Spec     string    // the schedule that LastAt belongs to
	LastAt   time.Time // the planned time that was last acted upon
	Failures int       // in a row
	RetryAt  time.Time // when a failed table is tried again; zero = at its next planned time
}

// Schedule gives how all tables' schedules stand, by table.
func (s *Store) Schedule(ctx context.Context) (map[int64]Scheduled, error) {
	list, err := collect(ctx, s.r, func(rows *sql.Rows) (Scheduled, error) {
		var p Scheduled
		var last, retry int64
		err := rows.Scan(&p.TableID, &p.Spec, &last, &p.Failures, &retry)
		p.LastAt, p.RetryAt = fromNanos(last), fromNanos(retry)
		return p, err
	}, `SELECT table_id, spec, last_at, failures, retry_at FROM schedule`)
	out := make(map[int64]Scheduled, len(list))
	for _, p := range list {
		out[p.TableID] = p
	}
	return out, err
}

// SetSchedule notes how tables' schedules stand now.
func (s *Store) SetSchedule(ctx context.Context, list []Scheduled) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO schedule (table_id, spec, last_at, failures, retry_at) VALUES (?, ?, ?, ?, ?)`)
		if err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		defer put.Close()
		for _, p := range list {
			if _, err := put.ExecContext(ctx, p.TableID, p.Spec, nanos(p.LastAt), p.Failures, nanos(p.RetryAt)); err != nil {
				return fmt.Errorf("schedule: %w", err)
			}
		}
		return nil
	})
}
