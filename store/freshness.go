package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Freshness is how the data as a whole stands.
type Freshness struct {
	SyncedAt time.Time // newest sync of any table that succeeded, changed or not
	DataTime time.Time // newest data time of any table
	Tables   int
	Failing  int // tables whose newest run failed
	Never    int // tables that were never synced
}

// Freshness reads how the data as a whole stands.
func (s *Store) Freshness(ctx context.Context) (Freshness, error) {
	var f Freshness
	var synced, data int64
	err := s.r.QueryRowContext(ctx, `SELECT COALESCE(MAX(synced_at), 0), COALESCE(MAX(data_time), 0), count(*), COALESCE(SUM(synced_at = 0), 0),
		COALESCE(SUM((SELECT r.outcome FROM run_tables r WHERE r.table_id = t.id ORDER BY r.run_id DESC LIMIT 1) = 'failed'), 0)
		FROM tables t WHERE removed_at = 0`).Scan(&synced, &data, &f.Tables, &f.Never, &f.Failing)
	if err != nil {
		return f, fmt.Errorf("freshness: %w", err)
	}
	f.SyncedAt, f.DataTime = fromNanos(synced), fromNanos(data)
	return f, nil
}

// ChangedSince gives the tables, by number, of which a file came in after a moment, with when it last did. The map is shared.
func (s *Store) ChangedSince(ctx context.Context, since time.Time) (map[int64]time.Time, error) {
	return remember(ctx, s, memoChanged(nanos(since)), func() (map[int64]time.Time, error) {
		out := map[int64]time.Time{}
		_, err := collect(ctx, s.r, func(rows *sql.Rows) (struct{}, error) {
			var id, at int64
			err := rows.Scan(&id, &at)
			out[id] = fromNanos(at)
			return struct{}{}, err
		}, `SELECT f.table_id, MAX(g.created_at) FROM files f JOIN generations g ON g.id = f.valid_from
			WHERE f.valid_to IS NULL AND g.created_at > ? GROUP BY f.table_id`, nanos(since))
		return out, err
	})
}
