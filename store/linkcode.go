package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Life and limits of link codes: short codes are safe only while few guesses are possible.
const (
	LinkCodeLife    = 10 * time.Minute
	linkGuesses     = 5
	linkGuessWindow = 10 * time.Minute
	linkCodesMax    = 10_000 // pending at once; a code has a million values
)

// NewLinkCode makes a six-digit code by which the owner of an address proves in the portal that it is theirs. It replaces
// the address's last one, lives for LinkCodeLife and works once.
func (s *Store) NewLinkCode(ctx context.Context, channel, address string) (string, error) {
	var code string
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		if _, err := tx.ExecContext(ctx, `DELETE FROM link_codes WHERE expires_at <= ? OR channel = ? AND address = ?`, nanos(now), channel, address); err != nil {
			return fmt.Errorf("link code: %w", err)
		}
		var pending int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM link_codes WHERE channel = ?`, channel).Scan(&pending); err != nil {
			return fmt.Errorf("link code: %w", err)
		}
		if pending >= linkCodesMax {
			return refuse(Conflict, "try again in ten minutes", "too many codes are waiting to be used")
		}
		for {
			n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
			if err != nil {
				return err
			}
			code = fmt.Sprintf("%06d", n)
			res, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO link_codes (channel, code, address, expires_at) VALUES (?, ?, ?, ?)`,
				channel, hashCode(code), address, nanos(now.Add(LinkCodeLife)))
			if err != nil {
				return fmt.Errorf("link code: %w", err)
			}
			if n, _ := res.RowsAffected(); n == 1 {
				return nil
			}
		}
	})
	return code, err
}

func hashCode(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// UseLinkCode links the address of a code to a person, and gives the address. After a few wrong codes a person waits.
func (s *Store) UseLinkCode(ctx context.Context, actor string, userID int64, channel, code string) (string, error) {
	var address string
	wrong := false
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		var guesses int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM link_attempts WHERE user_id = ? AND at > ?`, userID, nanos(now.Add(-linkGuessWindow))).Scan(&guesses); err != nil {
			return fmt.Errorf("link code: %w", err)
		}
		if guesses >= linkGuesses {
			return refuse(Unauthorized, "wait ten minutes, then ask the bot for a new one", "too many wrong codes")
		}
		err := tx.QueryRowContext(ctx, `DELETE FROM link_codes WHERE channel = ? AND code = ? AND expires_at > ? RETURNING address`,
			channel, hashCode(strings.TrimSpace(code)), nanos(now)).Scan(&address)
		if errors.Is(err, sql.ErrNoRows) {
			wrong = true
			_, err = tx.ExecContext(ctx, `INSERT INTO link_attempts (user_id, at) VALUES (?, ?)`, userID, nanos(now))
			return err // what failed is remembered, so the transaction stands
		}
		if err != nil {
			return fmt.Errorf("link code: %w", err)
		}
		// A right code does not make up for wrong ones: everybody can have right ones, of a chat of their own.
		if _, err := tx.ExecContext(ctx, `DELETE FROM link_attempts WHERE at <= ?`, nanos(now.Add(-linkGuessWindow))); err != nil {
			return fmt.Errorf("link code: %w", err)
		}
		return s.linkChannel(ctx, tx, actor, userID, channel, address)
	})
	if err == nil && wrong {
		err = refuse(NotFound, "send /start to the bot for a new one", "the code is wrong or has expired")
	}
	if err != nil {
		return "", err
	}
	return address, nil
}

// Cursor is how far a service has read something outside; 0 = not at all.
func (s *Store) Cursor(ctx context.Context, name string) (v int64, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT value FROM cursors WHERE name = ?`, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return v, err
}

// SetCursor notes how far a service has read.
func (s *Store) SetCursor(ctx context.Context, name string, v int64) error {
	_, err := s.w.ExecContext(ctx, `INSERT INTO cursors (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, v)
	return err
}
