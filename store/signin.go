package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// UserNameRule makes user names of e-mail addresses.
type UserNameRule struct {
	StripDomain bool   // john.doe@acme.com is john_doe, not john_doe_acme_com
	Prefix      string // in front of each name
}

// Name gives the user name of an e-mail address, or "" when it has none.
func (r UserNameRule) Name(email string) string {
	email = strings.ToLower(strings.TrimSpace(email))
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || domain == "" {
		return ""
	}
	if r.StripDomain {
		return r.Prefix + strings.ReplaceAll(local, ".", "_")
	}
	return r.Prefix + strings.NewReplacer("@", "_", ".", "_").Replace(email)
}

// Identity is a person as a sign-in provider knows them. Issuer and Subject are empty when the provider has none.
type Identity struct {
	Email, Name     string
	Issuer, Subject string
}

// SignIn finds the user of an identity, making an analyst's account when there is none and create says so. An address
// that makes the name of another person's account is refused, never merged; and a provider's account that took over
// an address is refused as well, as it is another person's.
func (s *Store) SignIn(ctx context.Context, id Identity, rule UserNameRule, create bool) (User, error) {
	email, err := NormalEmail(id.Email)
	if err != nil {
		return User{}, err
	}
	if email == "" {
		return User{}, refuse(Invalid, "sign in with an account that has one", "the sign-in came without an e-mail address")
	}
	var u User
	err = s.write(ctx, func(tx *sql.Tx) error {
		if u, err = s.signIn(ctx, tx, id, email, rule, create); err != nil {
			return err
		}
		if !u.SuspendedAt.IsZero() {
			return refuse(Unauthorized, "ask an admin of this place", "the account %s is suspended", u.Name)
		}
		name := clip(strings.TrimSpace(id.Name), 120)
		if name == "" || name == u.FullName {
			return nil
		}
		u.FullName = name
		_, err := tx.ExecContext(ctx, `UPDATE users SET full_name = ? WHERE id = ?`, name, u.ID)
		return err
	})
	return u, err
}

func (s *Store) signIn(ctx context.Context, tx *sql.Tx, id Identity, email string, rule UserNameRule, create bool) (User, error) {
	if id.Subject != "" {
		var userID int64
		err := tx.QueryRowContext(ctx, `SELECT user_id FROM identities WHERE issuer = ? AND subject = ?`, id.Issuer, id.Subject).Scan(&userID)
		if err == nil {
			return userWhere(ctx, tx, "u.id = ?", userID)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return User{}, fmt.Errorf("sign-in: %w", err)
		}
	}
	u, err := userWhere(ctx, tx, "u.email = ?", email)
	if CodeOf(err) == NotFound && create {
		u, err = s.addSignedIn(ctx, tx, email, rule)
	}
	if err != nil || id.Subject == "" {
		return u, err
	}
	var other string
	err = tx.QueryRowContext(ctx, `SELECT subject FROM identities WHERE issuer = ? AND user_id = ?`, id.Issuer, u.ID).Scan(&other)
	if err == nil {
		return User{}, refuse(Conflict, "ask an admin of this place to check it and to forget the old sign-in", "%s was the address of another account at the sign-in provider", email)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return User{}, fmt.Errorf("sign-in: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO identities (issuer, subject, user_id, email, created_at) VALUES (?, ?, ?, ?, ?)`,
		id.Issuer, id.Subject, u.ID, email, nanos(s.now())); err != nil {
		return User{}, fmt.Errorf("sign-in: %w", err)
	}
	return u, s.audit(ctx, tx, u.Name, "identity.add", u.Name, id.Issuer)
}

func (s *Store) addSignedIn(ctx context.Context, tx *sql.Tx, email string, rule UserNameRule) (User, error) {
	name := rule.Name(email)
	if err := CheckUserName(name); err != nil {
		return User{}, refuse(Invalid, "ask an admin of this place to make the account with another name", "the address %s makes the user name %q, which is not allowed", email, name)
	}
	if _, err := userByName(ctx, tx, name); err == nil {
		return User{}, refuse(Conflict, "ask an admin of this place to make the account with another name", "the address %s makes the user name %s, which another person has", email, name)
	} else if CodeOf(err) != NotFound {
		return User{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO users (name, email, role, created_at) VALUES (?, ?, ?, ?)`, name, email, Analyst, nanos(s.now())); err != nil {
		return User{}, fmt.Errorf("add user %s: %w", name, err)
	}
	if err := s.audit(ctx, tx, name, "user.add", name, "first sign-in, role "+string(Analyst)); err != nil {
		return User{}, err
	}
	return userWhere(ctx, tx, "u.name = ?", name)
}

// ForgetIdentities lets a user's address be taken by another account at the sign-in provider.
func (s *Store) ForgetIdentities(ctx context.Context, actor, name string) error {
	return s.changeUser(ctx, name, func(tx *sql.Tx, u User) error {
		return s.alter(ctx, tx, actor, "identity.forget", u, "", `DELETE FROM identities WHERE user_id = ?`)
	})
}

// Password gives the stored hash of a user's password, or "" when there is none.
func (s *Store) Password(ctx context.Context, userID int64) (string, error) {
	var hash string
	err := s.r.QueryRowContext(ctx, `SELECT hash FROM passwords WHERE user_id = ?`, userID).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return hash, nil
}

// SetPassword stores the hash of a user's password and ends every sign-in of theirs.
func (s *Store) SetPassword(ctx context.Context, actor string, userID int64, hash string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userWhere(ctx, tx, "u.id = ?", userID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO passwords (user_id, hash, changed_at) VALUES (?, ?, ?)
			ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`, userID, hash, nanos(s.now())); err != nil {
			return fmt.Errorf("password of %s: %w", u.Name, err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ?`, userID); err != nil {
			return fmt.Errorf("password of %s: %w", u.Name, err)
		}
		return s.audit(ctx, tx, actor, "password.set", u.Name, "")
	})
}

// UserByID finds a user by number.
func (s *Store) UserByID(ctx context.Context, id int64) (User, error) {
	return remember(ctx, s, memoUser(id), func() (User, error) { return userWhere(ctx, s.r, "u.id = ?", id) })
}

// Setting reads a small fact that the appliance keeps about itself, "" when it has none.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := s.r.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("setting %s: %w", name, err)
	}
	return v, nil
}

// SetSetting keeps a small fact.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	_, err := s.w.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}
