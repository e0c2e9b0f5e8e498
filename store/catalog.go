package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// CatalogVersion is another text whenever what is known of the tables changed: what is described, published, run, synced or
// paused. It is one cheap read.
func (s *Store) CatalogVersion(ctx context.Context) (string, error) {
	return remember(ctx, s, memoCatalog{}, func() (string, error) { return s.catalogVersion(ctx) })
}

func (s *Store) catalogVersion(ctx context.Context) (string, error) {
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

// trendShown is how many versions of a table RowTrends tells of.
const trendShown = 12

// RowTrends gives how many rows each table had in its last versions, oldest first, by number of the table. It is one query, and
// its cost does not grow with the number of past runs.
func (s *Store) RowTrends(ctx context.Context) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	_, err := collect(ctx, s.r, func(rows *sql.Rows) (struct{}, error) {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return struct{}{}, err
		}
		newest := strings.Fields(text)
		list := make([]int64, len(newest))
		for i, v := range newest {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return struct{}{}, err
			}
			list[len(newest)-1-i] = n
		}
		out[id] = list
		return struct{}{}, nil
	}, `SELECT t.id, COALESCE((SELECT group_concat(rows, ' ') FROM
		(SELECT r.rows FROM run_tables r WHERE r.table_id = t.id AND r.generation > 0 ORDER BY r.run_id DESC LIMIT ?)), '') FROM tables t WHERE t.removed_at = 0`, trendShown)
	return out, err
}
