package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// pullsKept is how long single pulls are remembered.
const pullsKept = 90 * 24 * time.Hour

// MarkSync notes that a complete transfer from the tree ended for the user.
func (s *Store) MarkSync(ctx context.Context, userID int64) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		for _, q := range []struct {
			text string
			args []any
		}{
			{`UPDATE users SET last_sync_at = ? WHERE id = ?`, []any{nanos(now), userID}},
			{`INSERT INTO pulls (user_id, at) SELECT id, ? FROM users WHERE id = ?`, []any{nanos(now), userID}},
			{`DELETE FROM pulls WHERE user_id = ? AND at < ?`, []any{userID, nanos(now.Add(-pullsKept))}},
		} {
			if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
				return fmt.Errorf("pull of user %d: %w", userID, err)
			}
		}
		return nil
	})
}

// Pulls gives when a user pulled since a moment, oldest first.
func (s *Store) Pulls(ctx context.Context, userID int64, since time.Time) ([]time.Time, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (time.Time, error) {
		var at int64
		err := rows.Scan(&at)
		return fromNanos(at), err
	}, `SELECT at FROM pulls WHERE user_id = ? AND at >= ? ORDER BY at`, userID, nanos(since))
}

// CatalogVersion is another text whenever what is known of the tables changed: what is described, published, run, synced or
// paused. It is one cheap read.
func (s *Store) CatalogVersion(ctx context.Context) (string, error) {
	var v string
	err := s.r.QueryRowContext(ctx, `SELECT access_version || '/' || (SELECT COALESCE(MAX(id), 0) FROM generations) || '/' || (SELECT COALESCE(MAX(id), 0) || ':' || count(*) FROM runs) || '/' ||
		(SELECT COALESCE(MAX(rowid), 0) || ':' || count(*) FROM run_tables) || '/' || (SELECT COALESCE(SUM(synced_at / 1000 % 1000000007), 0) || ':' || COALESCE(SUM(data_time / 1000 % 1000000007), 0) || ':' ||
		COALESCE(SUM(paused_at / 1000 % 1000000007), 0) || ':' || count(*) FROM tables) FROM state`).Scan(&v)
	if err != nil {
		return "", fmt.Errorf("database: %w", err)
	}
	return v, nil
}

// TableState is a described table with how much of it there is now and how its newest run went.
type TableState struct {
	Table
	Rows, Bytes int64
	Outcome     Outcome // "" = there was no run yet
}

// TableStates lists all described tables with their state, by folder and name.
func (s *Store) TableStates(ctx context.Context) ([]TableState, error) {
	snap, err := s.Newest(ctx)
	if err != nil {
		return nil, err
	}
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	last, err := s.LastRuns(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]TableState, len(tables))
	at := make(map[int64]int, len(tables))
	for i, t := range tables {
		out[i], at[t.ID] = TableState{Table: t, Outcome: last[t.ID].Outcome}, i
	}
	for _, f := range snap.Files {
		if i, ok := at[f.TableID]; ok {
			out[i].Rows, out[i].Bytes = out[i].Rows+f.Rows, out[i].Bytes+f.Size
		}
	}
	return out, nil
}
