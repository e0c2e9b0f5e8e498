package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TokenKind tells a token for the API from the mark of a desktop app.
type TokenKind string

// The kinds of tokens.
const (
	APIToken    TokenKind = "api"
	DeviceToken TokenKind = "device"
)

// Token lets a program act for a user within its scopes.
type Token struct {
	ID           int64     `json:"id"`
	Kind         TokenKind `json:"kind"`
	UserID       int64     `json:"-"`
	Name         string    `json:"name"`
	Scopes       []string  `json:"scopes,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	LastUsedAt   time.Time `json:"last_used_at,omitzero"`
	LastUsedFrom string    `json:"last_used_from,omitempty"`
}

// Has tells whether the token may be used for something.
func (t Token) Has(scope string) bool { return slices.Contains(t.Scopes, scope) }

// maxTokens bounds the living tokens of one user, so that a script in a loop fills nothing.
const maxTokens = 100

// AddToken stores a token under the hash of its secret.
func (s *Store) AddToken(ctx context.Context, actor, secret string, n Token) (Token, error) {
	n.Name = clip(strings.TrimSpace(n.Name), 80)
	if n.Name == "" {
		return Token{}, refuse(Invalid, "say what it is for", "a token needs a name")
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		u, err := userWhere(ctx, tx, "u.id = ?", n.UserID)
		if err != nil {
			return err
		}
		if !u.SuspendedAt.IsZero() {
			return refuse(Invalid, "restore the account first", "the account %s is suspended", u.Name)
		}
		var living int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM tokens WHERE user_id = ? AND expires_at > ?`, n.UserID, nanos(s.now())).Scan(&living); err != nil {
			return fmt.Errorf("add token: %w", err)
		}
		if living >= maxTokens {
			return refuse(Conflict, "remove some that are not used", "user %s has %d tokens already", u.Name, living)
		}
		n.CreatedAt = s.now().UTC()
		res, err := tx.ExecContext(ctx, `INSERT INTO tokens (hash, kind, user_id, name, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			hashOf(secret), n.Kind, n.UserID, n.Name, strings.Join(n.Scopes, " "), nanos(n.CreatedAt), nanos(n.ExpiresAt))
		if err != nil {
			return fmt.Errorf("add token: %w", err)
		}
		if n.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		return s.audit(ctx, tx, actor, "token.add", u.Name, string(n.Kind)+" "+n.Name)
	})
	return n, err
}

// UseToken finds a living token by its secret, with its user, and notes its use. A token that has run out counts as
// living for grace longer, so that it may be exchanged.
func (s *Store) UseToken(ctx context.Context, kind TokenKind, secret, from string, grace time.Duration) (Token, User, error) {
	denied := refuse(Unauthorized, "make a new one on the account page", "the token is not valid")
	list, err := collect(ctx, s.r, scanToken, tokenQuery+` WHERE hash = ? AND kind = ?`, hashOf(secret), kind)
	if err != nil {
		return Token{}, User{}, err
	}
	now := s.now()
	if len(list) == 0 || !now.Before(list[0].ExpiresAt.Add(grace)) {
		return Token{}, User{}, denied
	}
	u, err := userWhere(ctx, s.r, "u.id = ?", list[0].UserID)
	if CodeOf(err) == NotFound || err == nil && !u.SuspendedAt.IsZero() {
		return Token{}, User{}, denied
	}
	if err != nil {
		return Token{}, User{}, err
	}
	if t := list[0]; now.Sub(t.LastUsedAt) >= seenEvery || t.LastUsedFrom != from {
		if _, err := s.w.ExecContext(ctx, `UPDATE tokens SET last_used_at = ?, last_used_from = ? WHERE id = ?`, nanos(now), from, t.ID); err != nil {
			return Token{}, User{}, fmt.Errorf("token: %w", err)
		}
	}
	return list[0], u, nil
}

// ExtendToken moves the end of a token.
func (s *Store) ExtendToken(ctx context.Context, id int64, until time.Time) error {
	_, err := s.w.ExecContext(ctx, `UPDATE tokens SET expires_at = ? WHERE id = ?`, nanos(until), id)
	return err
}

// Tokens lists a user's living tokens of one kind, newest first.
func (s *Store) Tokens(ctx context.Context, kind TokenKind, userID int64) ([]Token, error) {
	return collect(ctx, s.r, scanToken, tokenQuery+` WHERE user_id = ? AND kind = ? AND expires_at > ? ORDER BY id DESC`, userID, kind, nanos(s.now()))
}

// RevokeTokens ends tokens of a user of one kind: one by its number, or with 0 all of them. It gives how many.
func (s *Store) RevokeTokens(ctx context.Context, actor, user string, kind TokenKind, id int64) (int64, error) {
	var n int64
	err := s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, user)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE user_id = ? AND kind = ? AND (? = 0 OR id = ?)`, u.ID, kind, id, id)
		if err != nil {
			return fmt.Errorf("revoke tokens of %s: %w", u.Name, err)
		}
		if n, _ = res.RowsAffected(); n == 0 {
			return nil
		}
		return s.audit(ctx, tx, actor, "token.revoke", u.Name, fmt.Sprintf("%d of kind %s", n, kind))
	})
	return n, err
}

const tokenQuery = `SELECT id, kind, user_id, name, scopes, created_at, expires_at, last_used_at, last_used_from FROM tokens`

func scanToken(rows *sql.Rows) (Token, error) {
	var t Token
	var scopes string
	var created, expires, used int64
	err := rows.Scan(&t.ID, &t.Kind, &t.UserID, &t.Name, &scopes, &created, &expires, &used, &t.LastUsedFrom)
	t.Scopes = strings.Fields(scopes)
	t.CreatedAt, t.ExpiresAt, t.LastUsedAt = fromNanos(created), fromNanos(expires), fromNanos(used)
	return t, err
}
