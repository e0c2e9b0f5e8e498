package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// UserChange is what changes of a person. What is nil stays.
type UserChange struct {
	Role      *Role
	Email     *string
	FullName  *string
	Groups    *[]string // all that the person is in from then on
	Suspended *bool     // ends, or restores, access without losing anything of the person's
}

// ChangeUser makes a change whole or not at all. Each part that is another one than before stands in the audit log.
func (s *Store) ChangeUser(ctx context.Context, actor, name string, c UserChange) error {
	if c.Role != nil && !slices.Contains([]Role{Analyst, PrivateAnalyst, Admin}, *c.Role) {
		return refuse(Invalid, "use analyst, private or admin", "role %q does not exist", *c.Role)
	}
	email := ""
	if c.Email != nil {
		var err error
		if email, err = NormalEmail(*c.Email); err != nil {
			return err
		}
	}
	return s.changeUser(ctx, name, func(tx *sql.Tx, u User) error {
		if c.Groups != nil {
			if err := s.setGroups(ctx, tx, actor, u, *c.Groups); err != nil {
				return err
			}
		}
		if c.Role != nil && *c.Role != u.Role {
			if err := s.alter(ctx, tx, actor, "user.role", u, string(*c.Role), `UPDATE users SET role = ? WHERE id = ?`, *c.Role); err != nil {
				return err
			}
		}
		if c.Email != nil && email != u.Email {
			err := s.alter(ctx, tx, actor, "user.email", u, email, `UPDATE users SET email = NULLIF(?, '') WHERE id = ?`, email)
			if err != nil && strings.Contains(err.Error(), "UNIQUE") {
				return refuse(Conflict, "one person has one account", "e-mail address %s belongs to another user", email)
			}
			if err != nil {
				return err
			}
		}
		if c.FullName != nil {
			if full := clip(strings.TrimSpace(*c.FullName), 120); full != u.FullName {
				if err := s.alter(ctx, tx, actor, "user.name", u, full, `UPDATE users SET full_name = ? WHERE id = ?`, full); err != nil {
					return err
				}
			}
		}
		if c.Suspended == nil || *c.Suspended == !u.SuspendedAt.IsZero() {
			return nil
		}
		action, at := "user.restore", int64(0)
		if *c.Suspended {
			action, at = "user.suspend", nanos(s.now())
		}
		return s.alter(ctx, tx, actor, action, u, "", `UPDATE users SET suspended_at = ? WHERE id = ?`, at)
	})
}

// SetRole changes what a user is.
func (s *Store) SetRole(ctx context.Context, actor, name string, role Role) error {
	return s.ChangeUser(ctx, actor, name, UserChange{Role: &role})
}

// SetEmail changes a user's e-mail address.
func (s *Store) SetEmail(ctx context.Context, actor, name, email string) error {
	return s.ChangeUser(ctx, actor, name, UserChange{Email: &email})
}

// SetFullName changes how a user is called.
func (s *Store) SetFullName(ctx context.Context, actor, name, full string) error {
	return s.ChangeUser(ctx, actor, name, UserChange{FullName: &full})
}

// Suspend ends (or, with on false, restores) a user's access without losing anything of theirs.
func (s *Store) Suspend(ctx context.Context, actor, name string, on bool) error {
	return s.ChangeUser(ctx, actor, name, UserChange{Suspended: &on})
}

// setGroups makes somebody a member of these groups and of no other.
func (s *Store) setGroups(ctx context.Context, tx *sql.Tx, actor string, u User, want []string) error {
	for _, name := range want {
		if err := s.setMember(ctx, tx, actor, name, u, true); err != nil {
			return err
		}
	}
	for _, name := range u.Groups {
		if slices.Contains(want, name) {
			continue
		}
		if err := s.setMember(ctx, tx, actor, name, u, false); err != nil {
			return err
		}
	}
	return nil
}

// changeUser runs a change of one user in one transaction.
func (s *Store) changeUser(ctx context.Context, name string, change func(*sql.Tx, User) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, name)
		if err != nil {
			return err
		}
		return change(tx, u)
	})
}

// alter runs a statement whose last argument is the user's number, and notes it.
func (s *Store) alter(ctx context.Context, tx *sql.Tx, actor, action string, u User, detail, query string, args ...any) error {
	if _, err := tx.ExecContext(ctx, query, append(args, u.ID)...); err != nil {
		return fmt.Errorf("%s %s: %w", action, u.Name, err)
	}
	return s.audit(ctx, tx, actor, action, u.Name, detail)
}
