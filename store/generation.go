package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Generation is one published state of all tables.
type Generation struct {
	ID         int64     `json:"generation"`
	CreatedAt  time.Time `json:"created_at"`
	RunID      int64     `json:"run,omitempty"`
	RollbackOf int64     `json:"rollback_of,omitempty"`
	Note       string    `json:"note,omitempty"`
	Swept      bool      `json:"swept,omitempty"` // files of it may be gone, it cannot be rolled back to
	Added      int       `json:"files_added"`
	Dropped    int       `json:"files_dropped"`
}

// File is one immutable Parquet file of the lake.
type File struct {
	ID       int64     `json:"-"`
	TableID  int64     `json:"-"`
	Logical  string    `json:"path"` // under parquet/, as readers see it
	Physical string    `json:"-"`    // under lake/
	Size     int64     `json:"size"`
	Rows     int64     `json:"rows"`
	Hash     string    `json:"sha256"`
	ModTime  time.Time `json:"mtime"`
	Schema   []Column  `json:"schema"`

	Partition string `json:"partition,omitempty"` // the file's name in its table's folder; "" = the table is one file
	KeyLow    []byte `json:"-"`                   // bounds of the first key column, comparable as bytes; nil = not known
	KeyHigh   []byte `json:"-"`
}

// Column is one column of a file's schema.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Change is what a publish does to one table: afterwards Files are all files of it.
type Change struct {
	TableID     int64
	Files       []File // all but ID and TableID are used
	Fingerprint string
	DataTime    time.Time
	Journal     *Journal // how far the rows go now; nil = no further than before
	Backfill    bool     // rows of an earlier time: fingerprint and data time stay
}

// Publish makes a new generation of changes, in one transaction, or none at all when every file is there already with
// the same bytes. Files of tables that are no longer described leave with it. It gives the newest generation.
func (s *Store) Publish(ctx context.Context, runID int64, note string, changes []Change) (generation int64, changed bool, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		generation, changed = 0, false
		drop := map[int64]bool{}
		var add []File
		for _, c := range changes {
			if err := dropLoad(ctx, tx, c.TableID); err != nil {
				return err
			}
			d, a, err := difference(ctx, tx, c)
			if err != nil {
				return err
			}
			add = append(add, a...)
			for _, id := range d {
				drop[id] = true
			}
			if c.Backfill {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE tables SET fingerprint = ?, data_time = ?, synced_at = ? WHERE id = ?`,
				c.Fingerprint, nanos(c.DataTime), nanos(s.now()), c.TableID); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
		gone, err := collect(ctx, tx, scanID, `SELECT f.id FROM files f JOIN tables t ON t.id = f.table_id WHERE f.valid_to IS NULL AND t.removed_at <> 0`)
		if err != nil {
			return err
		}
		for _, id := range gone {
			drop[id] = true
		}
		if len(drop)+len(add) == 0 {
			err = tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM generations`).Scan(&generation)
		} else {
			changed = true
			generation, err = s.newGeneration(ctx, tx, runID, 0, note, slices.Sorted(maps.Keys(drop)), add)
		}
		if err != nil {
			return err
		}
		for _, c := range changes {
			if c.Journal != nil {
				if err := setJournal(ctx, tx, c.TableID, generation, *c.Journal); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return generation, changed, err
}

// Unchanged notes that a table's source was read and had nothing new.
func (s *Store) Unchanged(ctx context.Context, tableID int64) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, setSynced, nanos(s.now()), tableID)
		return err
	})
}

const setSynced = `UPDATE tables SET synced_at = ? WHERE id = ?`

func difference(ctx context.Context, tx *sql.Tx, c Change) (drop []int64, add []File, err error) {
	have, err := collect(ctx, tx, scanFile(), fileQuery+` WHERE table_id = ? AND valid_to IS NULL`, c.TableID)
	if err != nil {
		return nil, nil, err
	}
	old := map[string]File{}
	for _, f := range have {
		old[f.Logical] = f
	}
	for _, f := range c.Files {
		f.TableID = c.TableID
		if o, ok := old[f.Logical]; ok && o.Hash == f.Hash && o.Size == f.Size {
			delete(old, f.Logical)
			continue
		}
		add = append(add, f)
	}
	for _, f := range have {
		if _, still := old[f.Logical]; still {
			drop = append(drop, f.ID)
		}
	}
	place, err := tx.PrepareContext(ctx, `SELECT id FROM files WHERE logical = ? AND valid_to IS NULL AND table_id <> ?`)
	if err != nil {
		return nil, nil, fmt.Errorf("publish: %w", err)
	}
	defer place.Close()
	for _, f := range add { // a table that took another one's name takes its place too
		var taken int64
		switch err := place.QueryRowContext(ctx, f.Logical, c.TableID).Scan(&taken); {
		case err == nil:
			drop = append(drop, taken)
		case !errors.Is(err, sql.ErrNoRows):
			return nil, nil, fmt.Errorf("publish: %w", err)
		}
	}
	return drop, add, nil
}

func (s *Store) newGeneration(ctx context.Context, tx *sql.Tx, runID, rollbackOf int64, note string, drop []int64, add []File) (int64, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO generations (created_at, run_id, rollback_of, note) VALUES (?, ?, ?, ?)`, nanos(s.now()), runID, rollbackOf, note)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, err
	}
	end, err := tx.PrepareContext(ctx, `UPDATE files SET valid_to = ? WHERE id = ?`)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	defer end.Close()
	for _, f := range drop {
		if _, err := end.ExecContext(ctx, id, f); err != nil {
			return 0, fmt.Errorf("publish: %w", err)
		}
	}
	begin, err := tx.PrepareContext(ctx, `INSERT INTO files (table_id, logical, physical, size, rows, hash, mtime, schema, partition, key_low, key_high, valid_from)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	defer begin.Close()
	for _, f := range add {
		schema, err := json.Marshal(f.Schema)
		if err != nil {
			return 0, err
		}
		if _, err := begin.ExecContext(ctx, f.TableID, f.Logical, f.Physical, f.Size, f.Rows, f.Hash, nanos(f.ModTime), string(schema),
			f.Partition, f.KeyLow, f.KeyHigh, id); err != nil {
			return 0, fmt.Errorf("publish %s: %w", f.Logical, err)
		}
	}
	return id, nil
}

// Rollback publishes what generation to held as the newest generation.
func (s *Store) Rollback(ctx context.Context, actor string, to int64) (generation int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		var swept bool
		err := tx.QueryRowContext(ctx, `SELECT swept FROM generations WHERE id = ?`, to).Scan(&swept)
		if errors.Is(err, sql.ErrNoRows) {
			return refuse(NotFound, "see `aida generations`", "generation %d does not exist", to)
		}
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		if swept {
			return refuse(Invalid, "choose one that `aida generations` shows as kept", "the files of generation %d have been swept", to)
		}
		then, err := collect(ctx, tx, scanFile(), fileQuery+` JOIN tables t ON t.id = table_id WHERE t.removed_at = 0 AND valid_from <= ? AND (valid_to IS NULL OR valid_to > ?)`, to, to)
		if err != nil {
			return err
		}
		now, err := collect(ctx, tx, scanFile(), fileQuery+` WHERE valid_to IS NULL`)
		if err != nil {
			return err
		}
		want := map[string]File{}
		for _, f := range then {
			want[f.Logical] = f
		}
		var drop []int64
		var add []File
		touched := map[int64]bool{}
		for _, f := range now {
			if w, ok := want[f.Logical]; ok && w.Hash == f.Hash && w.TableID == f.TableID {
				delete(want, f.Logical)
				continue
			}
			drop, touched[f.TableID] = append(drop, f.ID), true
		}
		for _, f := range then {
			if _, missing := want[f.Logical]; missing {
				add, touched[f.TableID] = append(add, f), true
			}
		}
		if len(drop)+len(add) == 0 {
			return refuse(Conflict, "nothing to do", "generation %d is what readers see already", to)
		}
		for id := range touched { // the next sync must look at the source again, from where these rows end
			if _, err := tx.ExecContext(ctx, `UPDATE tables SET fingerprint = '' WHERE id = ?`, id); err != nil {
				return fmt.Errorf("rollback: %w", err)
			}
		}
		generation, err = s.newGeneration(ctx, tx, 0, to, fmt.Sprintf("rollback to generation %d", to), drop, add)
		if err != nil {
			return err
		}
		for id := range touched {
			j, err := journalAt(ctx, tx, id, to)
			if err != nil {
				return err
			}
			if err := errors.Join(setJournal(ctx, tx, id, generation, j), dropLoad(ctx, tx, id)); err != nil {
				return err
			}
		}
		return s.audit(ctx, tx, actor, "generation.rollback", fmt.Sprint(to), fmt.Sprintf("published as generation %d", generation))
	})
	return generation, err
}

// Generations lists the newest first.
func (s *Store) Generations(ctx context.Context, limit int) ([]Generation, error) {
	return s.GenerationsBefore(ctx, 0, limit)
}

// GenerationsBefore lists generations older than one, newest first (0 = from the newest).
func (s *Store) GenerationsBefore(ctx context.Context, before int64, limit int) ([]Generation, error) {
	return collect(ctx, s.r, scanGeneration, generationQuery+` WHERE id < ? ORDER BY id DESC LIMIT ?`, olderThan(before), limit)
}

const generationQuery = `SELECT id, created_at, run_id, rollback_of, note, swept, (SELECT count(*) FROM files WHERE valid_from = g.id),
	(SELECT count(*) FROM files WHERE valid_to = g.id) FROM generations g`

func scanGeneration(rows *sql.Rows) (Generation, error) {
	var g Generation
	var at int64
	err := rows.Scan(&g.ID, &at, &g.RunID, &g.RollbackOf, &g.Note, &g.Swept, &g.Added, &g.Dropped)
	g.CreatedAt = fromNanos(at)
	return g, err
}

// TableFiles lists a table's files in the newest generation.
func (s *Store) TableFiles(ctx context.Context, tableID int64) ([]File, error) {
	return collect(ctx, s.often, scanFile(), fileQuery+` WHERE table_id = ? AND valid_to IS NULL ORDER BY logical`, tableID)
}

const fileQuery = `SELECT files.id, table_id, logical, physical, size, rows, hash, mtime, schema, partition, key_low, key_high FROM files`

// scanFile makes a scanner for many files, of which most have the same schema: it is read once and shared.
func scanFile() func(*sql.Rows) (File, error) {
	schemas := map[string][]Column{}
	return func(rows *sql.Rows) (File, error) {
		var f File
		var mtime int64
		var schema sql.RawBytes
		if err := rows.Scan(&f.ID, &f.TableID, &f.Logical, &f.Physical, &f.Size, &f.Rows, &f.Hash, &mtime, &schema, &f.Partition, &f.KeyLow, &f.KeyHigh); err != nil {
			return f, err
		}
		f.ModTime = fromNanos(mtime)
		known, ok := schemas[string(schema)]
		if !ok {
			if err := json.Unmarshal(schema, &known); err != nil {
				return f, fmt.Errorf("file %s: schema: %w", f.Logical, err)
			}
			schemas[string(schema)] = known
		}
		f.Schema = known
		return f, nil
	}
}

func scanText(rows *sql.Rows) (string, error) {
	var v string
	return v, rows.Scan(&v)
}

func scanID(rows *sql.Rows) (int64, error) {
	var id int64
	return id, rows.Scan(&id)
}
