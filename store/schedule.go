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
		for _, name := range names {
			held, err := collect(ctx, tx, func(rows *sql.Rows) (lease, error) {
				var l lease
				return l, rows.Scan(&l.owner, &l.until)
			}, `SELECT owner, until FROM leases WHERE name = ?`, name)
			if err != nil {
				return err
			}
			if len(held) > 0 && held[0].owner != owner && held[0].until > nanos(s.now()) && alive(held[0].owner) {
				taken = append(taken, name)
			}
		}
		if len(taken) > 0 {
			return nil
		}
		for _, name := range names {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO leases (name, owner, until) VALUES (?, ?, ?)`, name, owner, nanos(s.now().Add(ttl))); err != nil {
				return fmt.Errorf("lease: %w", err)
			}
		}
		return nil
	})
	return taken, err
}

type lease struct {
	owner string
	until int64
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
		for _, p := range list {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO schedule (table_id, spec, last_at, failures, retry_at) VALUES (?, ?, ?, ?, ?)`,
				p.TableID, p.Spec, nanos(p.LastAt), p.Failures, nanos(p.RetryAt)); err != nil {
				return fmt.Errorf("schedule: %w", err)
			}
		}
		return nil
	})
}
