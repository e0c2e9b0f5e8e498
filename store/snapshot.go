package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Snapshot is one whole generation: every file of every table, by logical path. It never changes.
type Snapshot struct {
	Generation int64
	CreatedAt  time.Time
	Files      []File
}

// Find gives the file of a logical path.
func (s *Snapshot) Find(logical string) (File, bool) {
	i, ok := slices.BinarySearchFunc(s.Files, logical, func(f File, l string) int { return strings.Compare(f.Logical, l) })
	if !ok {
		return File{}, false
	}
	return s.Files[i], true
}

// Newest reads the whole newest generation. Its cost follows the number of files in it, not of past generations; as long
// as no other one is published it is read once.
func (s *Store) Newest(ctx context.Context) (*Snapshot, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	snap := &Snapshot{}
	var at int64
	err = tx.QueryRowContext(ctx, `SELECT id, created_at FROM generations ORDER BY id DESC LIMIT 1`).Scan(&snap.Generation, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return snap, nil
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s.pinMu.Lock()
	cached := s.snapshot
	s.pinMu.Unlock()
	if cached != nil && cached.Generation == snap.Generation {
		return cached, nil
	}
	snap.CreatedAt = fromNanos(at)
	if snap.Files, err = collect(ctx, tx, scanFile(), fileQuery+` WHERE valid_to IS NULL ORDER BY logical`); err != nil {
		return nil, err
	}
	s.pinMu.Lock()
	defer s.pinMu.Unlock()
	if s.snapshot == nil || s.snapshot.Generation < snap.Generation {
		s.snapshot = snap
	}
	return snap, nil
}

// snapshotAt reads an older generation, and keeps the one that was read last: who pulls one asks for it file by file.
func (s *Store) snapshotAt(ctx context.Context, generation int64) (*Snapshot, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	snap := &Snapshot{Generation: generation}
	var at int64
	var swept bool
	err = tx.QueryRowContext(ctx, `SELECT created_at, swept FROM generations WHERE id = ?`, generation).Scan(&at, &swept)
	if errors.Is(err, sql.ErrNoRows) || swept {
		return nil, refuse(Gone, "take the newest one", "generation %d is not kept", generation)
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s.pinMu.Lock()
	cached := s.past
	s.pinMu.Unlock()
	if cached != nil && cached.Generation == generation {
		return cached, nil
	}
	snap.CreatedAt = fromNanos(at)
	if snap.Files, err = collect(ctx, tx, scanFile(), fileQuery+` WHERE valid_from <= ? AND (valid_to IS NULL OR valid_to > ?) ORDER BY logical`, generation, generation); err != nil {
		return nil, err
	}
	s.pinMu.Lock()
	defer s.pinMu.Unlock()
	s.past = snap
	return snap, nil
}
