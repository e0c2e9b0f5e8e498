package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Journal is how far a table's rows go.
type Journal struct {
	Watermark  time.Time // change times before it have been fetched, by the source's clock; zero = the table was never loaded by change time
	Reconciled time.Time // when rows that are gone at the source were last looked for
	Shape      string    // of the description that the table's files follow
}

// Journal reads a table's journal.
func (s *Store) Journal(ctx context.Context, tableID int64) (Journal, error) {
	return journalAt(ctx, s.often, tableID, 1<<62)
}

func journalAt(ctx context.Context, q querier, tableID, generation int64) (Journal, error) {
	var j Journal
	var mark, reconciled int64
	err := q.QueryRowContext(ctx, `SELECT watermark, reconciled_at, shape FROM journal WHERE table_id = ? AND generation <= ? ORDER BY generation DESC LIMIT 1`,
		tableID, generation).Scan(&mark, &reconciled, &j.Shape)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return j, fmt.Errorf("journal: %w", err)
	}
	j.Watermark, j.Reconciled = fromNanos(mark), fromNanos(reconciled)
	return j, nil
}

func setJournal(ctx context.Context, tx *sql.Tx, tableID, generation int64, j Journal) error {
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO journal (table_id, generation, watermark, reconciled_at, shape) VALUES (?, ?, ?, ?, ?)`,
		tableID, generation, nanos(j.Watermark), nanos(j.Reconciled), j.Shape); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Load is a first load or a backfill in several steps, of which some are done.
type Load struct {
	TableID      int64
	Kind         string // first or backfill
	Shape        string
	Since, Until time.Time
	Next         time.Time // where the first step that is not done begins
	StartedAt    time.Time
	Base         string // names the files that it began from
	Files        []File // what the finished steps made: all files of the table to be
}

// Load reads what is left of a table's load; nil when there is none.
func (s *Store) Load(ctx context.Context, tableID int64) (*Load, error) {
	l := &Load{TableID: tableID}
	var since, until, next, started int64
	err := s.r.QueryRowContext(ctx, `SELECT kind, shape, since, until, next, started_at, base FROM loads WHERE table_id = ?`, tableID).
		Scan(&l.Kind, &l.Shape, &since, &until, &next, &started, &l.Base)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	l.Since, l.Until, l.Next, l.StartedAt = fromNanos(since), fromNanos(until), fromNanos(next), fromNanos(started)
	l.Files, err = collect(ctx, s.r, scanFile(), `SELECT 0, table_id, logical, physical, size, rows, hash, mtime, schema, partition, key_low, key_high
		FROM load_files WHERE table_id = ? ORDER BY logical`, tableID)
	return l, err
}

// SaveLoad notes that a load has come to Next, with all its files.
func (s *Store) SaveLoad(ctx context.Context, l Load) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := dropLoad(ctx, tx, l.TableID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO loads (table_id, kind, shape, since, until, next, started_at, base) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			l.TableID, l.Kind, l.Shape, nanos(l.Since), nanos(l.Until), nanos(l.Next), nanos(l.StartedAt), l.Base); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for _, f := range l.Files {
			schema, err := json.Marshal(f.Schema)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO load_files (table_id, logical, physical, size, rows, hash, mtime, schema, partition, key_low, key_high)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, l.TableID, f.Logical, f.Physical, f.Size, f.Rows, f.Hash, nanos(f.ModTime), string(schema),
				f.Partition, f.KeyLow, f.KeyHigh); err != nil {
				return fmt.Errorf("load: %w", err)
			}
		}
		return nil
	})
}

// DropLoad forgets a load. Files of it that no generation has are removed by the next clean-up.
func (s *Store) DropLoad(ctx context.Context, tableID int64) error {
	return s.write(ctx, func(tx *sql.Tx) error { return dropLoad(ctx, tx, tableID) })
}

func dropLoad(ctx context.Context, tx *sql.Tx, tableID int64) error {
	for _, q := range []string{`DELETE FROM load_files WHERE table_id = ?`, `DELETE FROM loads WHERE table_id = ?`} {
		if _, err := tx.ExecContext(ctx, q, tableID); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	return nil
}
