package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Pin holds one generation for a reader: its files stay until Release, at most for the pin's longest life.
type Pin struct {
	*Snapshot
	s       *Store
	expires time.Time
}

// Pin holds the newest generation.
func (s *Store) Pin(ctx context.Context) (*Pin, error) {
	// The place among the pins is taken before the snapshot is read, so that no sweep can come between.
	p := &Pin{s: s, Snapshot: &Snapshot{}, expires: s.now().Add(s.pinMax)}
	s.pinMu.Lock()
	s.pins[p] = struct{}{}
	s.pinMu.Unlock()
	snap, err := s.Newest(ctx)
	if err != nil {
		p.Release()
		return nil, err
	}
	s.pinMu.Lock()
	defer s.pinMu.Unlock()
	p.Snapshot = snap
	return p, nil
}

// PinAt holds an older generation, as long as its files are kept; 0 is the newest.
func (s *Store) PinAt(ctx context.Context, generation int64) (*Pin, error) {
	p, err := s.Pin(ctx)
	if err != nil || generation == 0 || generation == p.Generation {
		return p, err
	}
	// The newest one holds nothing of the past. A pin without a snapshot holds everything, until it is known to be there.
	old := &Pin{s: s, Snapshot: &Snapshot{}, expires: p.expires}
	s.pinMu.Lock()
	s.pins[old] = struct{}{}
	s.pinMu.Unlock()
	p.Release()
	snap, err := s.snapshotAt(ctx, generation)
	if err != nil {
		old.Release()
		return nil, err
	}
	s.pinMu.Lock()
	defer s.pinMu.Unlock()
	old.Snapshot = snap
	return old, nil
}

// Expired tells whether the pin's longest life is over; its files may be swept from then on.
func (p *Pin) Expired() bool { return p.s.now().After(p.expires) }

// Release ends the pin. Calling it again does nothing.
func (p *Pin) Release() {
	p.s.pinMu.Lock()
	defer p.s.pinMu.Unlock()
	delete(p.s.pins, p)
}

// oldestPinned gives the lowest generation that a living pin of this process holds. A pin whose snapshot is still being
// read counts as holding everything.
func (s *Store) oldestPinned() (generation int64, any bool) {
	s.pinMu.Lock()
	defer s.pinMu.Unlock()
	for p := range s.pins {
		if p.Expired() {
			continue
		}
		if !any || p.Generation < generation {
			generation, any = p.Generation, true
		}
	}
	return generation, any
}

// Sweep says which lake files no reader needs any more: those that left before the oldest generation to keep, which is
// the oldest of: the last keep generations, everything younger than age, every pinned one. It marks the generations
// before it as swept, forgets their files, and gives the physical paths that nothing refers to any more.
func (s *Store) Sweep(ctx context.Context, keep int, age time.Duration) (physical []string, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		physical = nil
		var bound sql.NullInt64 // generations below it may go
		if err := tx.QueryRowContext(ctx, `SELECT MIN(id) FROM (SELECT id FROM generations ORDER BY id DESC LIMIT ?)`, max(1, keep)).Scan(&bound); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		if !bound.Valid {
			return nil
		}
		// A generation is needed as long as it was the newest one at some moment within age: its successor is young.
		var young sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT MAX(id) FROM generations WHERE id < (SELECT COALESCE(MIN(id), (SELECT MAX(id) + 1 FROM generations)) FROM generations WHERE created_at > ?)`,
			nanos(s.now().Add(-age))).Scan(&young); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		if !young.Valid {
			return nil
		}
		oldest := min(bound.Int64, young.Int64)
		if pinned, any := s.oldestPinned(); any {
			oldest = min(oldest, pinned)
		}
		dead, err := collect(ctx, tx, func(rows *sql.Rows) (string, error) {
			var v string
			return v, rows.Scan(&v)
		}, `SELECT DISTINCT physical FROM files f WHERE valid_to <= ? AND NOT EXISTS
			(SELECT 1 FROM files g WHERE g.physical = f.physical AND (g.valid_to IS NULL OR g.valid_to > ?))`, oldest, oldest)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM files WHERE valid_to <= ?`, oldest); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE generations SET swept = 1 WHERE id < ? AND NOT swept`, oldest); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		physical = dead
		return nil
	})
	return physical, err
}

// Physical lists every lake path that any kept generation or load under way refers to.
func (s *Store) Physical(ctx context.Context) (map[string]bool, error) {
	return stringSet(ctx, s.r, `SELECT physical FROM files UNION SELECT physical FROM load_files`)
}

// Referenced tells whether any kept generation or load under way refers to a lake path, read on the writer and so after every commit.
func (s *Store) Referenced(ctx context.Context, physical string) (bool, error) {
	var n int
	if err := s.w.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM files WHERE physical = ?) + (SELECT count(*) FROM load_files WHERE physical = ?)`, physical, physical).Scan(&n); err != nil {
		return false, fmt.Errorf("database: %w", err)
	}
	return n > 0, nil
}
