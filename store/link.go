package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"fmt"
	"time"
)

// LinkKind says what a link is good for.
type LinkKind string

// The kinds of links.
const (
	SignInLink  LinkKind = "signin"  // signs its user in, or the owner of an address that may have an account
	AdminLink   LinkKind = "admin"   // makes the first admin
	InviteLink  LinkKind = "invite"  // sets a first password
	ResetLink   LinkKind = "reset"   // sets a new password
	EnrolLink   LinkKind = "enrol"   // connects one SSH key
	DesktopLink LinkKind = "desktop" // gives a desktop app its token
)

// Link is a secret for one use. Only its hash is stored.
type Link struct {
	ID        int64
	Kind      LinkKind
	UserID    int64  // 0 = somebody without an account
	Email     string // of somebody without an account
	Bound     bool   // only the browser or app that asked for it can use it
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// NewLink is what AddLink needs. Bind, when given, has to be shown again with the link.
type NewLink struct {
	Kind   LinkKind
	UserID int64
	Email  string
	Bind   string
	Life   time.Duration
}

// AddLink stores a link under the hash of its secret. An unused link of the same kind for the same user or address ends
// with it, so that the newest one is the only one.
func (s *Store) AddLink(ctx context.Context, actor, secret string, n NewLink) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		subject := n.Email
		if n.UserID != 0 {
			u, err := userWhere(ctx, tx, "u.id = ?", n.UserID)
			if err != nil {
				return err
			}
			if !u.SuspendedAt.IsZero() {
				return refuse(Invalid, "restore the account first", "the account %s is suspended", u.Name)
			}
			subject = u.Name
		}
		if _, err := tx.ExecContext(ctx, `UPDATE links SET expires_at = ? WHERE kind = ? AND COALESCE(user_id, 0) = ? AND email = ? AND used_at = 0 AND expires_at > ?`,
			nanos(now), n.Kind, n.UserID, n.Email, nanos(now)); err != nil {
			return fmt.Errorf("add link: %w", err)
		}
		var bound []byte
		if n.Bind != "" {
			bound = hashOf(n.Bind)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO links (hash, kind, user_id, email, bound, created_at, expires_at) VALUES (?, ?, NULLIF(?, 0), ?, ?, ?, ?)`,
			hashOf(secret), n.Kind, n.UserID, n.Email, bound, nanos(now), nanos(now.Add(n.Life))); err != nil {
			return fmt.Errorf("add link: %w", err)
		}
		return s.audit(ctx, tx, actor, "link."+string(n.Kind), subject, "valid for "+n.Life.String())
	})
}

// Link looks at a link without using it. Its life is told by ExpiresAt and UsedAt.
func (s *Store) Link(ctx context.Context, kind LinkKind, secret string) (Link, error) {
	l, _, err := linkOf(ctx, s.r, kind, secret)
	return l, err
}

// UseLink spends a link: of several that try, one succeeds. A link that is bound needs what it was bound to.
func (s *Store) UseLink(ctx context.Context, kind LinkKind, secret, bind string) (l Link, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		var bound []byte
		if l, bound, err = linkOf(ctx, tx, kind, secret); err != nil {
			return err
		}
		now := s.now()
		switch {
		case !l.UsedAt.IsZero():
			return refuse(Conflict, "ask for a new one", "this link was used already")
		case !now.Before(l.ExpiresAt):
			return refuse(Unauthorized, "ask for a new one", "this link is too old")
		case bound != nil && subtle.ConstantTimeCompare(bound, hashOf(bind)) != 1:
			return refuse(Unauthorized, "open it in the browser in which you asked for it", "this link belongs to another browser")
		}
		if _, err := tx.ExecContext(ctx, `UPDATE links SET used_at = ? WHERE id = ?`, nanos(now), l.ID); err != nil {
			return fmt.Errorf("use link: %w", err)
		}
		return nil
	})
	return l, err
}

func linkOf(ctx context.Context, q querier, kind LinkKind, secret string) (Link, []byte, error) {
	var bound []byte
	list, err := collect(ctx, q, func(rows *sql.Rows) (Link, error) {
		var l Link
		var created, expires, used int64
		err := rows.Scan(&l.ID, &l.Kind, &l.UserID, &l.Email, &bound, &created, &expires, &used)
		l.Bound, l.CreatedAt, l.ExpiresAt, l.UsedAt = bound != nil, fromNanos(created), fromNanos(expires), fromNanos(used)
		return l, err
	}, `SELECT id, kind, COALESCE(user_id, 0), email, bound, created_at, expires_at, used_at FROM links WHERE hash = ? AND kind = ?`, hashOf(secret), kind)
	if err != nil {
		return Link{}, nil, err
	}
	if len(list) == 0 {
		return Link{}, nil, refuse(NotFound, "ask for a new one", "this link is not known")
	}
	return list[0], bound, nil
}
