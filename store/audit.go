package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"
)

// AuditEntry is one line of the audit log: who did what to whom. Detail never holds a secret.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail,omitempty"`
}

// Audit lists the newest entries first, at most limit of them, older than the entry before (0 = from the newest).
func (s *Store) Audit(ctx context.Context, before int64, limit int) ([]AuditEntry, error) {
	return s.SearchAudit(ctx, "", before, limit)
}

func scanAudit(rows *sql.Rows) (AuditEntry, error) {
	var e AuditEntry
	var at int64
	err := rows.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.Subject, &e.Detail)
	e.At = fromNanos(at)
	return e, err
}

// audit writes an entry in the transaction of the change that it tells of.
func (s *Store) audit(ctx context.Context, tx *sql.Tx, actor, action, subject, detail string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)`,
		nanos(s.now()), actor, action, subject, detail); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Note writes a line into the audit log about a change that was made outside the database.
func (s *Store) Note(ctx context.Context, actor, action, subject, detail string) error {
	return s.write(ctx, func(tx *sql.Tx) error { return s.audit(ctx, tx, actor, action, subject, detail) })
}

// olderThan is the bound of a page that begins before an entry, 0 = the newest one. It is one comparison, so that a page far
// back costs no look at all that is newer.
func olderThan(before int64) int64 {
	if before == 0 {
		return math.MaxInt64
	}
	return before
}

// SearchAudit lists the newest entries that contain a text anywhere, at most limit of them, older than the entry before
// (0 = from the newest).
func (s *Store) SearchAudit(ctx context.Context, text string, before int64, limit int) ([]AuditEntry, error) {
	return collect(ctx, s.r, scanAudit, `SELECT id, at, actor, action, subject, detail FROM audit WHERE id < ?
		AND (? = '' OR instr(lower(actor || ' ' || action || ' ' || subject || ' ' || detail), lower(?)) > 0) ORDER BY id DESC LIMIT ?`, olderThan(before), text, text, limit)
}
