package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Limit is a budget of attempts: Burst at once, and one more each Every.
type Limit struct {
	Name  string // what is limited and for whom, such as "password addr 192.0.2.7"
	Burst int
	Every time.Duration
}

// Allow takes one attempt from each limit, or from none when any of them is spent; then wait tells for how long. The
// budgets survive a restart. The rule is the generic cell rate algorithm of ITU-T I.371: one time per limit.
func (s *Store) Allow(ctx context.Context, limits ...Limit) (wait time.Duration, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		full := make([]time.Time, len(limits))
		for i, l := range limits {
			var n int64
			err := tx.QueryRowContext(ctx, `SELECT full FROM rate_limits WHERE name = ?`, l.Name).Scan(&n)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("rate limit: %w", err)
			}
			if full[i] = fromNanos(n); full[i].Before(now) {
				full[i] = now
			}
			full[i] = full[i].Add(l.Every)
			wait = max(wait, full[i].Sub(now)-time.Duration(l.Burst)*l.Every)
		}
		if wait > 0 {
			return nil
		}
		for i, l := range limits {
			if _, err := tx.ExecContext(ctx, `INSERT INTO rate_limits (name, full) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET full = excluded.full`,
				l.Name, nanos(full[i])); err != nil {
				return fmt.Errorf("rate limit: %w", err)
			}
		}
		return nil
	})
	return max(wait, 0), err
}

// Forgive gives a limit its whole budget back, as after a success.
func (s *Store) Forgive(ctx context.Context, name string) error {
	_, err := s.w.ExecContext(ctx, `DELETE FROM rate_limits WHERE name = ?`, name)
	return err
}
