package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Outcome is how a table's sync or a whole run ended.
type Outcome string

// Changed, Unchanged, Failed, Skipped (another sync was at it) and Remote (it is never copied) are outcomes of a table; Running, Done, Partial, Failed and Interrupted of a run.
const (
	Changed     Outcome = "changed"
	Unchanged   Outcome = "unchanged"
	Failed      Outcome = "failed"
	Skipped     Outcome = "skipped"
	Remote      Outcome = "remote"
	Running     Outcome = "running"
	Done        Outcome = "done"
	Partial     Outcome = "partial"
	Interrupted Outcome = "interrupted"
)

// SchemaChange is a difference between the columns that a table had and those that came from its source.
type SchemaChange struct {
	Change string            `json:"change"` // added, dropped, renamed (a guess), moved (renamed, as described), widened, narrowed, changed
	Column string            `json:"column"`
	From   string            `json:"from,omitempty"` // type, or the name before for one with another name
	To     string            `json:"to,omitempty"`
	Sample map[string]string `json:"sample,omitempty"` // a record that shows it, without sensitive columns
}

// Run is one sync of some tables.
type Run struct {
	ID         int64     `json:"run"`
	Trigger    string    `json:"trigger"` // who or what asked for it: command, schedule, demo, ...
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Outcome    Outcome   `json:"outcome"`
}

// String says what happened, for people.
func (c SchemaChange) String() string {
	switch c.Change {
	case "added":
		return fmt.Sprintf("column %s (%s) was added", c.Column, c.To)
	case "dropped":
		return fmt.Sprintf("column %s (%s) was dropped", c.Column, c.From)
	case "renamed":
		return fmt.Sprintf("column %s seems to be named %s now", c.From, c.Column)
	case "moved":
		return fmt.Sprintf("column %s is named %s now, as described", c.From, c.Column)
	}
	return fmt.Sprintf("column %s %s from %s to %s", c.Column, c.Change, c.From, c.To)
}

// RunTable is how one table fared in a run. Rows and Bytes are those of the table's files afterwards.
type RunTable struct {
	RunID       int64          `json:"run"`
	TableID     int64          `json:"-"`
	Table       string         `json:"table"`
	Outcome     Outcome        `json:"outcome"`
	Reason      string         `json:"reason,omitempty"`
	Rows        int64          `json:"rows"`
	Bytes       int64          `json:"bytes"`
	Quarantined int64          `json:"quarantined,omitempty"`
	Warnings    []string       `json:"warnings,omitempty"`
	Strategy    string         `json:"strategy,omitempty"` // what was done: replace, merge, reconcile, backfill
	Schema      []SchemaChange `json:"schema_changes,omitempty"`
	Generation  int64          `json:"generation,omitempty"`
	DataTime    time.Time      `json:"data_time,omitzero"`
	StartedAt   time.Time      `json:"started_at"`
	Duration    time.Duration  `json:"-"`
}

// MarshalJSON writes the duration in seconds.
func (t RunTable) MarshalJSON() ([]byte, error) {
	type plain RunTable
	return json.Marshal(struct {
		plain
		Seconds float64 `json:"duration_seconds"`
	}{plain(t), t.Duration.Seconds()})
}

// StartRun opens a run of a process that owner names.
func (s *Store) StartRun(ctx context.Context, trigger, owner string) (int64, error) {
	res, err := s.w.ExecContext(ctx, `INSERT INTO runs (trigger, started_at, owner) VALUES (?, ?, ?)`, trigger, nanos(s.now()), owner)
	if err != nil {
		return 0, fmt.Errorf("start run: %w", err)
	}
	return res.LastInsertId()
}

const putRunTable = `INSERT OR REPLACE INTO run_tables
	(run_id, table_id, outcome, reason, rows, bytes, quarantined, warnings, generation, data_time, started_at, duration, strategy, schema_changes)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (t RunTable) record(ctx context.Context, put *sql.Stmt) error {
	warnings, err := json.Marshal(append([]string{}, t.Warnings...))
	if err != nil {
		return err
	}
	changes, err := json.Marshal(append([]SchemaChange{}, t.Schema...))
	if err != nil {
		return err
	}
	if _, err := put.ExecContext(ctx, t.RunID, t.TableID, t.Outcome, t.Reason, t.Rows, t.Bytes, t.Quarantined,
		string(warnings), t.Generation, nanos(t.DataTime), nanos(t.StartedAt), int64(t.Duration), t.Strategy, string(changes)); err != nil {
		return fmt.Errorf("run %d table %s: %w", t.RunID, t.Table, err)
	}
	return nil
}

// FinishRun notes how the tables of a run fared and closes it, all at once, as each commit waits for the disk. The outcome is
// what the tables add up to: done when none failed, failed when none worked, partial otherwise; interrupted when the run was
// stopped before its end. Tables of which nothing changed are as fresh as those that did.
func (s *Store) FinishRun(ctx context.Context, runID int64, tables []RunTable, interrupted bool) (Outcome, error) {
	outcome := Interrupted
	err := s.write(ctx, func(tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, putRunTable)
		if err != nil {
			return fmt.Errorf("finish run: %w", err)
		}
		defer put.Close()
		fresh, err := tx.PrepareContext(ctx, setSynced)
		if err != nil {
			return fmt.Errorf("finish run: %w", err)
		}
		defer fresh.Close()
		for _, t := range tables {
			if err := t.record(ctx, put); err != nil {
				return err
			}
			if t.Outcome != Unchanged {
				continue
			}
			if _, err := fresh.ExecContext(ctx, nanos(s.now()), t.TableID); err != nil {
				return fmt.Errorf("finish run: %w", err)
			}
		}
		var all, failed int
		if err := tx.QueryRowContext(ctx, `SELECT count(*), COALESCE(SUM(outcome = 'failed'), 0) FROM run_tables WHERE run_id = ?`, runID).Scan(&all, &failed); err != nil {
			return fmt.Errorf("finish run: %w", err)
		}
		if !interrupted {
			switch {
			case failed == 0:
				outcome = Done
			case failed == all:
				outcome = Failed
			default:
				outcome = Partial
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE runs SET finished_at = ?, outcome = ? WHERE id = ?`, nanos(s.now()), outcome, runID)
		return err
	})
	return outcome, err
}

// InterruptRuns closes the runs that a crash left open: those whose owner alive says is gone.
func (s *Store) InterruptRuns(ctx context.Context, alive func(owner string) bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		type openRun struct {
			id    int64
			owner string
		}
		open, err := collect(ctx, tx, func(rows *sql.Rows) (openRun, error) {
			var r openRun
			return r, rows.Scan(&r.id, &r.owner)
		}, `SELECT id, owner FROM runs WHERE outcome = 'running'`)
		if err != nil {
			return err
		}
		for _, r := range open {
			if alive(r.owner) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE runs SET outcome = 'interrupted', finished_at = ? WHERE id = ?`, nanos(s.now()), r.id); err != nil {
				return fmt.Errorf("interrupt run: %w", err)
			}
		}
		return nil
	})
}

// Runs lists the newest runs first.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) {
	return s.RunsBefore(ctx, 0, limit)
}

const runQuery = `SELECT id, trigger, started_at, finished_at, outcome FROM runs`

func scanRun(rows *sql.Rows) (Run, error) {
	var r Run
	var started, finished int64
	err := rows.Scan(&r.ID, &r.Trigger, &started, &finished, &r.Outcome)
	r.StartedAt, r.FinishedAt = fromNanos(started), fromNanos(finished)
	return r, err
}

// RunTables lists how the tables of a run fared, by name.
func (s *Store) RunTables(ctx context.Context, runID int64) ([]RunTable, error) {
	return collect(ctx, s.r, scanRunTable, runTableQuery+` WHERE r.run_id = ? ORDER BY t.folder, t.name`, runID)
}

// LastRuns gives for each table its newest line of any run, by table id.
func (s *Store) LastRuns(ctx context.Context) (map[int64]RunTable, error) {
	list, err := collect(ctx, s.r, scanRunTable, runTableQuery+` WHERE r.run_id = (SELECT MAX(run_id) FROM run_tables l WHERE l.table_id = r.table_id)`)
	out := make(map[int64]RunTable, len(list))
	for _, t := range list {
		out[t.TableID] = t
	}
	return out, err
}

const runTableQuery = `SELECT r.run_id, r.table_id, t.folder || '.' || t.name, r.outcome, r.reason, r.rows, r.bytes, r.quarantined,
	r.warnings, r.generation, r.data_time, r.started_at, r.duration, r.strategy, r.schema_changes FROM run_tables r JOIN tables t ON t.id = r.table_id`

func scanRunTable(rows *sql.Rows) (RunTable, error) {
	var t RunTable
	var warnings, changes string
	var data, started, duration int64
	if err := rows.Scan(&t.RunID, &t.TableID, &t.Table, &t.Outcome, &t.Reason, &t.Rows, &t.Bytes, &t.Quarantined, &warnings,
		&t.Generation, &data, &started, &duration, &t.Strategy, &changes); err != nil {
		return t, err
	}
	t.DataTime, t.StartedAt, t.Duration = fromNanos(data), fromNanos(started), time.Duration(duration)
	return t, errors.Join(json.Unmarshal([]byte(warnings), &t.Warnings), json.Unmarshal([]byte(changes), &t.Schema))
}
