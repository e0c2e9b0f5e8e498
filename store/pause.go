package store

import (
	"context"
	"database/sql"
	"fmt"
)

// PausedTables names the tables that are kept out of runs, by source id.
func (s *Store) PausedTables(ctx context.Context) (map[string]bool, error) {
	ids, err := collect(ctx, s.r, scanText, `SELECT source_id FROM tables WHERE paused_at <> 0 AND removed_at = 0`)
	out := make(map[string]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, err
}

// PauseTable keeps a table out of scheduled runs and of runs over all tables, or lets it in again. A sync that names the
// table still runs. Its rows stay as they are, and age.
func (s *Store) PauseTable(ctx context.Context, actor, name string, pause bool) error {
	t, err := s.TableByName(ctx, name)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		at, by, action := int64(0), "", "table.resume"
		if pause {
			at, by, action = nanos(s.now()), actor, "table.pause"
		}
		res, err := tx.ExecContext(ctx, `UPDATE tables SET paused_at = ?, paused_by = ? WHERE id = ? AND (paused_at <> 0) <> ?`, at, by, t.ID, pause)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.FullName(), err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return nil
		}
		return s.audit(ctx, tx, actor, action, t.FullName(), "")
	})
}
