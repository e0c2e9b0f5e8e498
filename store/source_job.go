package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// sourceJobFor is how long what a source has under way, or keeps as a result, is worth asking for.
const sourceJobFor = 12 * time.Hour

// SourceJob gives the job that was begun at a table's source for what key names; "" when there is none, or none that is
// recent.
func (s *Store) SourceJob(ctx context.Context, tableID int64, key string) (job string, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT job FROM source_jobs WHERE table_id = ? AND key = ? AND begun_at > ?`, tableID, key, nanos(s.now().Add(-sourceJobFor))).Scan(&job)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("source job: %w", err)
	}
	return job, nil
}

// SetSourceJob notes a job; "" = it is done with. Old jobs of the table go.
func (s *Store) SetSourceJob(ctx context.Context, tableID int64, key, job string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM source_jobs WHERE table_id = ? AND (key = ? OR begun_at <= ?)`, tableID, key, nanos(s.now().Add(-sourceJobFor)))
		if err == nil && job != "" {
			_, err = tx.ExecContext(ctx, `INSERT INTO source_jobs (table_id, key, job, begun_at) VALUES (?, ?, ?, ?)`, tableID, key, job, nanos(s.now()))
		}
		if err != nil {
			return fmt.Errorf("source job: %w", err)
		}
		return nil
	})
}
