package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Session is one browser's state on the portal. A session with a user is a sign-in; one without is a sign-in on its way.
type Session struct {
	ID        int64             `json:"id"`
	Name      string            `json:"-"` // which cookie it belongs to
	UserID    int64             `json:"-"`
	Provider  string            `json:"provider"`
	Data      map[string]string `json:"-"`
	Address   string            `json:"address"`
	Agent     string            `json:"agent"`
	CreatedAt time.Time         `json:"created_at"`
	SeenAt    time.Time         `json:"seen_at"`
	Idle      time.Duration     `json:"-"` // unused for this long, it ends
	ExpiresAt time.Time         `json:"expires_at"`
}

// seenEvery bounds how often the use of a session is written down.
const seenEvery = time.Minute

// hashOf is the form in which a secret is stored. The secrets are 256 random bits, so no salt is needed.
func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// AddSession stores a session under the hash of its secret id. One with a user notes the sign-in of that user.
func (s *Store) AddSession(ctx context.Context, id string, n Session) error {
	data, err := json.Marshal(n.Data)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		if n.UserID != 0 {
			u, err := userWhere(ctx, tx, "u.id = ?", n.UserID)
			if err != nil {
				return err
			}
			if !u.SuspendedAt.IsZero() {
				return refuse(Unauthorized, "ask an admin of this place", "the account %s is suspended", u.Name)
			}
			if _, err := tx.ExecContext(ctx, `UPDATE users SET signed_in_at = ? WHERE id = ?`, nanos(now), n.UserID); err != nil {
				return fmt.Errorf("add session: %w", err)
			}
			if err := s.audit(ctx, tx, u.Name, "session.start", u.Name, clip(n.Provider+" from "+n.Address, 100)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, name, user_id, provider, data, address, agent, created_at, seen_at, idle, expires_at)
			VALUES (?, ?, NULLIF(?, 0), ?, ?, ?, ?, ?, ?, ?, ?)`, hashOf(id), n.Name, n.UserID, n.Provider, string(data), n.Address, clip(n.Agent, 300),
			nanos(now), nanos(now), int64(n.Idle), nanos(n.ExpiresAt))
		if err != nil {
			return fmt.Errorf("add session: %w", err)
		}
		return nil
	})
}

// UseSession finds a living session by its secret id and notes its use.
func (s *Store) UseSession(ctx context.Context, name, id string) (Session, error) {
	hash := hashOf(id)
	list, err := remember(ctx, s, memoSession{string(hash), name}, func() ([]Session, error) {
		return collect(ctx, s.r, scanSession, sessionQuery+` WHERE hash = ? AND name = ?`, hash, name)
	})
	if err != nil {
		return Session{}, err
	}
	now := s.now()
	if len(list) == 0 || !now.Before(list[0].ExpiresAt) || now.Sub(list[0].SeenAt) >= list[0].Idle {
		return Session{}, refuse(NotFound, "sign in again", "there is no such session")
	}
	if now.Sub(list[0].SeenAt) >= seenEvery && s.seen.TryLock() { // many requests may come at once: one of them waits for the disk
		defer s.seen.Unlock()
		if _, err := s.w.ExecContext(ctx, `UPDATE sessions SET seen_at = ? WHERE id = ?`, nanos(now), list[0].ID); err != nil {
			return Session{}, fmt.Errorf("session: %w", err)
		}
	}
	return list[0], nil
}

// SetSession replaces what a session holds.
func (s *Store) SetSession(ctx context.Context, id string, data map[string]string) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	_, err = s.w.ExecContext(ctx, `UPDATE sessions SET data = ? WHERE hash = ?`, string(text), hashOf(id))
	return err
}

// EndSession removes a session by its secret id, and tells whether it was there: of two that end it, one is told so.
func (s *Store) EndSession(ctx context.Context, id string) (bool, error) {
	res, err := s.w.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, hashOf(id))
	if err != nil {
		return false, fmt.Errorf("end session: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Sessions lists a user's living sign-ins, newest first.
func (s *Store) Sessions(ctx context.Context, userID int64) ([]Session, error) {
	now := nanos(s.now())
	return collect(ctx, s.r, scanSession, sessionQuery+` WHERE user_id = ? AND expires_at > ? AND seen_at + idle > ? ORDER BY id DESC`, userID, now, now)
}

// RevokeSessions ends sign-ins of a user: one by its number, or with 0 all of them but the one to keep.
func (s *Store) RevokeSessions(ctx context.Context, actor, user string, id, keep int64) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, user)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ? AND (? = 0 OR id = ?) AND id <> ?`, u.ID, id, id, keep)
		if err != nil {
			return fmt.Errorf("revoke sessions of %s: %w", u.Name, err)
		}
		n, _ := res.RowsAffected()
		if n == 0 {
			return nil
		}
		return s.audit(ctx, tx, actor, "session.revoke", u.Name, fmt.Sprintf("%d sessions", n))
	})
}

// PrunePortal forgets sessions, links and limits whose time is over.
func (s *Store) PrunePortal(ctx context.Context) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		for _, q := range []struct {
			query string
			arg   int64
		}{
			{`DELETE FROM sessions WHERE expires_at <= ?`, nanos(now)},
			{`DELETE FROM sessions WHERE seen_at + idle <= ?`, nanos(now)},
			{`DELETE FROM links WHERE expires_at <= ?`, nanos(now.Add(-7 * 24 * time.Hour))}, // kept so that an old link can say so
			{`DELETE FROM tokens WHERE expires_at <= ?`, nanos(now.Add(-30 * 24 * time.Hour))},
			{`DELETE FROM rate_limits WHERE full <= ?`, nanos(now)},
		} {
			if _, err := tx.ExecContext(ctx, q.query, q.arg); err != nil {
				return fmt.Errorf("prune: %w", err)
			}
		}
		return nil
	})
}

const sessionQuery = `SELECT id, name, COALESCE(user_id, 0), provider, data, address, agent, created_at, seen_at, idle, expires_at FROM sessions`

func scanSession(rows *sql.Rows) (Session, error) {
	var v Session
	var data string
	var created, seen, expires int64
	if err := rows.Scan(&v.ID, &v.Name, &v.UserID, &v.Provider, &data, &v.Address, &v.Agent, &created, &seen, &v.Idle, &expires); err != nil {
		return v, err
	}
	v.CreatedAt, v.SeenAt, v.ExpiresAt = fromNanos(created), fromNanos(seen), fromNanos(expires)
	return v, json.Unmarshal([]byte(data), &v.Data)
}
