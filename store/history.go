package store

import (
	"context"
	"database/sql"
	"time"
)

// FileChange is a file that a generation brought, took away or replaced. Before and After are 0 where there was none.
type FileChange struct {
	Table       string `json:"table"`
	TableID     int64  `json:"-"`
	Logical     string `json:"path"`
	RowsBefore  int64  `json:"rows_before"`
	RowsAfter   int64  `json:"rows_after"`
	BytesBefore int64  `json:"bytes_before"` // 0 = it was not there
	BytesAfter  int64  `json:"bytes_after"`  // 0 = it is gone
}

// Changes lists what a generation changed against the one before it, by path.
func (s *Store) Changes(ctx context.Context, generation int64) ([]FileChange, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (FileChange, error) {
		var c FileChange
		return c, rows.Scan(&c.Table, &c.TableID, &c.Logical, &c.RowsBefore, &c.RowsAfter, &c.BytesBefore, &c.BytesAfter)
	}, `SELECT t.folder || '.' || t.name, f.table_id, f.logical, SUM(f.rows * (COALESCE(f.valid_to, 0) = ?1)), SUM(f.rows * (f.valid_from = ?1)),
		SUM(f.size * (COALESCE(f.valid_to, 0) = ?1)), SUM(f.size * (f.valid_from = ?1))
		FROM files f JOIN tables t ON t.id = f.table_id WHERE f.valid_from = ?1 OR f.valid_to = ?1 GROUP BY f.table_id, f.logical ORDER BY f.logical`, generation)
}

// TableGeneration is a state that a table had.
type TableGeneration struct {
	Generation int64     `json:"generation"`
	CreatedAt  time.Time `json:"created_at"`
	Rows       int64     `json:"rows"`
	Bytes      int64     `json:"bytes"`
	Files      int       `json:"files"`
	Changed    int       `json:"changed"` // files that came with it
}

// TableHistory lists the generations that changed a table, newest first.
func (s *Store) TableHistory(ctx context.Context, tableID int64, limit int) ([]TableGeneration, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (TableGeneration, error) {
		var g TableGeneration
		var at int64
		err := rows.Scan(&g.Generation, &at, &g.Rows, &g.Bytes, &g.Files, &g.Changed)
		g.CreatedAt = fromNanos(at)
		return g, err
	}, `WITH mine AS (SELECT DISTINCT valid_from AS id FROM files WHERE table_id = ?1 ORDER BY valid_from DESC LIMIT ?2)
		SELECT g.id, g.created_at, COALESCE(SUM(f.rows), 0), COALESCE(SUM(f.size), 0), count(f.id), COALESCE(SUM(f.valid_from = g.id), 0)
		FROM mine m JOIN generations g ON g.id = m.id
		LEFT JOIN files f ON f.table_id = ?1 AND f.valid_from <= g.id AND (f.valid_to IS NULL OR f.valid_to > g.id)
		GROUP BY g.id ORDER BY g.id DESC`, tableID, limit)
}

// TableRuns lists how the runs of a table went, newest first.
func (s *Store) TableRuns(ctx context.Context, tableID int64, limit int) ([]RunTable, error) {
	return collect(ctx, s.r, scanRunTable, runTableQuery+` WHERE r.table_id = ? ORDER BY r.run_id DESC LIMIT ?`, tableID, limit)
}

// RunByID reads one run.
func (s *Store) RunByID(ctx context.Context, id int64) (Run, error) {
	list, err := collect(ctx, s.r, scanRun, runQuery+` WHERE id = ?`, id)
	if err == nil && len(list) == 0 {
		err = refuse(NotFound, "see the list of runs", "run %d does not exist", id)
	}
	if err != nil {
		return Run{}, err
	}
	return list[0], nil
}

// RunsBefore lists runs older than one, newest first (0 = from the newest).
func (s *Store) RunsBefore(ctx context.Context, before int64, limit int) ([]Run, error) {
	return collect(ctx, s.r, scanRun, runQuery+` WHERE id < ? ORDER BY id DESC LIMIT ?`, olderThan(before), limit)
}

// GenerationByID reads one generation.
func (s *Store) GenerationByID(ctx context.Context, id int64) (Generation, error) {
	list, err := collect(ctx, s.r, scanGeneration, generationQuery+` WHERE id = ?`, id)
	if err == nil && len(list) == 0 {
		err = refuse(NotFound, "see the list of generations", "generation %d does not exist", id)
	}
	if err != nil {
		return Generation{}, err
	}
	return list[0], nil
}
