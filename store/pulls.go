package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// pullsKept is how long single pulls are remembered.
const pullsKept = 90 * 24 * time.Hour

// pullGap parts two pulls of a person. Files that follow each other closer are of one: a client may take each in a session or
// a request of its own. A pull that goes on is written down anew no sooner than pullNoted after the last time.
const (
	pullGap   = time.Minute
	pullNoted = time.Second
)

// MarkSync notes that a user took files of the tree, by whatever way: an SFTP session that read a file, scp or rsync that sent
// what was asked for and ended well, or a download over HTTPS that ended, or found that the client has the newest already. It
// is the one place where pulls are written.
func (s *Store) MarkSync(ctx context.Context, userID int64) error {
	now := s.now()
	last, err := s.lastPull(ctx, s.r, userID)
	if age := now.Sub(last.at); err != nil || age >= 0 && age < pullNoted {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		last, err := s.lastPull(ctx, tx, userID)
		if err != nil {
			return err
		}
		type step struct {
			text string
			args []any
		}
		steps := []step{{`UPDATE users SET last_sync_at = ? WHERE id = ?`, []any{nanos(now), userID}}}
		if age := now.Sub(last.at); age >= 0 && age < pullGap {
			steps = append(steps, step{`UPDATE pulls SET at = ? WHERE id = ?`, []any{nanos(now), last.id}})
		} else {
			steps = append(steps, step{`INSERT INTO pulls (user_id, at) SELECT id, ? FROM users WHERE id = ?`, []any{nanos(now), userID}},
				step{`DELETE FROM pulls WHERE user_id = ? AND at < ?`, []any{userID, nanos(now.Add(-pullsKept))}})
		}
		for _, q := range steps {
			if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
				return fmt.Errorf("pull of user %d: %w", userID, err)
			}
		}
		return nil
	})
}

type pull struct {
	id int64
	at time.Time
}

// lastPull is the newest pull of a user, or none of the year zero.
func (s *Store) lastPull(ctx context.Context, q querier, userID int64) (pull, error) {
	list, err := collect(ctx, q, func(rows *sql.Rows) (p pull, err error) {
		var at int64
		err = rows.Scan(&p.id, &at)
		p.at = fromNanos(at)
		return p, err
	}, `SELECT id, at FROM pulls WHERE user_id = ? ORDER BY at DESC LIMIT 1`, userID)
	if err != nil || len(list) == 0 {
		return pull{}, err
	}
	return list[0], nil
}

// Pulls gives when a user pulled since a moment, oldest first.
func (s *Store) Pulls(ctx context.Context, userID int64, since time.Time) ([]time.Time, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (time.Time, error) {
		var at int64
		err := rows.Scan(&at)
		return fromNanos(at), err
	}, `SELECT at FROM pulls WHERE user_id = ? AND at >= ? ORDER BY at`, userID, nanos(since))
}
