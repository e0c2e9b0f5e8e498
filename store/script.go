package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Script is what is known of the runs of a notification script. Its text is the author's file; nothing of it is kept here.
type Script struct {
	UserID   int64         `json:"-"`
	Name     string        `json:"name"` // file name
	RanAt    time.Time     `json:"ran_at,omitzero"`
	Took     time.Duration `json:"took,omitzero"`
	Error    string        `json:"error,omitempty"` // of the last run, a sentence; empty = it went well
	SentAt   time.Time     `json:"sent_at,omitzero"`
	Cooldown time.Duration `json:"cooldown,omitzero"` // as it said when it was sent last
}

// MutedUntil is when it may run again, as its cool-down goes on until then; zero = now.
func (s Script) MutedUntil() time.Time {
	if s.SentAt.IsZero() {
		return time.Time{}
	}
	return s.SentAt.Add(s.Cooldown)
}

// Scripts lists what is known of a person's scripts, by name.
func (s *Store) Scripts(ctx context.Context, userID int64) ([]Script, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (Script, error) {
		var x Script
		var ran, sent int64
		err := rows.Scan(&x.UserID, &x.Name, &ran, &x.Took, &x.Error, &sent, &x.Cooldown)
		x.RanAt, x.SentAt = fromNanos(ran), fromNanos(sent)
		return x, err
	}, `SELECT user_id, name, ran_at, took, error, sent_at, cooldown FROM scripts WHERE user_id = ? ORDER BY name`, userID)
}

// NoteScript writes down how a run went.
func (s *Store) NoteScript(ctx context.Context, x Script) error {
	_, err := s.w.ExecContext(ctx, `INSERT INTO scripts (user_id, name, ran_at, took, error, sent_at, cooldown) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (user_id, name) DO UPDATE SET ran_at = excluded.ran_at, took = excluded.took, error = excluded.error, sent_at = excluded.sent_at, cooldown = excluded.cooldown`,
		x.UserID, x.Name, nanos(x.RanAt), x.Took, cutText(x.Error, maxScriptError), nanos(x.SentAt), x.Cooldown)
	if err != nil {
		return fmt.Errorf("script %s: %w", x.Name, err)
	}
	return nil
}

const maxScriptError = 6 << 10

// ForgetScript removes what is known of a script that is gone.
func (s *Store) ForgetScript(ctx context.Context, userID int64, name string) error {
	if _, err := s.w.ExecContext(ctx, `DELETE FROM scripts WHERE user_id = ? AND name = ?`, userID, name); err != nil {
		return fmt.Errorf("script %s: %w", name, err)
	}
	return nil
}

// Pictures lists the pictures that alerts have.
func (s *Store) Pictures(ctx context.Context) (map[string]bool, error) {
	list, err := collect(ctx, s.r, func(rows *sql.Rows) (string, error) {
		var v string
		return v, rows.Scan(&v)
	}, `SELECT DISTINCT image FROM alerts WHERE image <> ''`)
	out := make(map[string]bool, len(list))
	for _, name := range list {
		out[name] = true
	}
	return out, err
}

// DropPicture takes a picture away from the alerts that have it; their texts stay.
func (s *Store) DropPicture(ctx context.Context, name string) error {
	if _, err := s.w.ExecContext(ctx, `UPDATE alerts SET image = '' WHERE image = ?`, name); err != nil {
		return fmt.Errorf("picture %s: %w", name, err)
	}
	return nil
}
