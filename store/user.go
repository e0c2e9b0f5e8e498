package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Role says what a person is: an analyst, an analyst who may read private datasets, or an admin.
type Role string

// The roles.
const (
	Analyst        Role = "analyst"
	PrivateAnalyst Role = "private"
	Admin          Role = "admin"
)

// User is a person with an account. Email may be empty until the person signs in to the portal.
type User struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	Email       string    `json:"email,omitempty"`
	FullName    string    `json:"full_name,omitempty"`
	Role        Role      `json:"role"`
	CreatedAt   time.Time `json:"created_at"`
	SuspendedAt time.Time `json:"suspended_at,omitzero"`
	LastSyncAt  time.Time `json:"last_sync_at,omitzero"` // last complete transfer from the tree
	SignedInAt  time.Time `json:"signed_in_at,omitzero"` // last sign-in to the portal
	Groups      []string  `json:"groups,omitempty"`
}

var (
	userName = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`)

	// reservedNames are names of system accounts and of the tree's own words.
	reservedNames = strings.Fields(`root admin administrator www-data nginx apache nobody daemon bin sys sync games man lp
		mail news uucp proxy backup list irc gnats sshd systemd messagebus syslog deploy git postgres mysql redis mongodb
		elasticsearch docker ubuntu debian centos data test guest user ftp http server aida`)
)

// CheckUserName tells whether name can be a user name: lower case, 2 to 32 characters, not reserved.
func CheckUserName(name string) error {
	switch {
	case !userName.MatchString(name):
		return refuse(Invalid, "use 2 to 32 characters: a lower-case letter first, then a-z 0-9 . _ -", "user name %q is not allowed", name)
	case slices.Contains(reservedNames, name):
		return refuse(Invalid, "choose another one", "user name %q is reserved", name)
	}
	return nil
}

// NormalEmail gives the one form in which an e-mail address is stored and compared: trimmed and in lower case.
func NormalEmail(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if email == "" {
		return "", nil
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > 254 {
		return "", refuse(Invalid, "write it as name@example.com", "e-mail address %q is not valid", email)
	}
	return email, nil
}

// NewUser is what AddUser needs. Key may be empty: a person without a key cannot sign in over SSH.
type NewUser struct {
	Name, Email string
	Role        Role
	Key         string // one line as in id_ed25519.pub
}

// AddUser makes an account, with its first key when one is given, all or nothing.
func (s *Store) AddUser(ctx context.Context, actor string, n NewUser) (User, error) {
	if err := CheckUserName(n.Name); err != nil {
		return User{}, err
	}
	email, err := NormalEmail(n.Email)
	if err != nil {
		return User{}, err
	}
	if n.Role == "" {
		n.Role = Analyst
	}
	if !slices.Contains([]Role{Analyst, PrivateAnalyst, Admin}, n.Role) {
		return User{}, refuse(Invalid, "use analyst, private or admin", "role %q does not exist", n.Role)
	}
	var key *PublicKey
	if strings.TrimSpace(n.Key) != "" {
		if key, err = ParsePublicKey(n.Key); err != nil {
			return User{}, err
		}
	}
	var u User
	err = s.write(ctx, func(tx *sql.Tx) error {
		if _, err := userByName(ctx, tx, n.Name); err == nil {
			return refuse(Conflict, "choose another name, or see `aida analyst show "+n.Name+"`", "user %s exists already", n.Name)
		} else if CodeOf(err) != NotFound {
			return err
		}
		if email != "" {
			if other, err := userWhere(ctx, tx, "u.email = ?", email); err == nil {
				return refuse(Conflict, "one person has one account", "e-mail address %s belongs to user %s", email, other.Name)
			} else if CodeOf(err) != NotFound {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO users (name, email, role, created_at) VALUES (?, NULLIF(?, ''), ?, ?)`,
			n.Name, email, n.Role, nanos(s.now()))
		if err != nil {
			return fmt.Errorf("add user %s: %w", n.Name, err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			return err
		}
		if err := s.audit(ctx, tx, actor, "user.add", n.Name, "role "+string(n.Role)); err != nil {
			return err
		}
		if key != nil {
			if err := s.addKey(ctx, tx, actor, id, n.Name, key); err != nil {
				return err
			}
		}
		u, err = userWhere(ctx, tx, "u.id = ?", id)
		return err
	})
	return u, err
}

// UserByName finds a user by name, whatever its case.
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	return userByName(ctx, s.r, name)
}

// UserByEmail finds a user by e-mail address in any case.
func (s *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	normal, err := NormalEmail(email)
	if err != nil {
		return User{}, err
	}
	return userWhere(ctx, s.r, "u.email = ? AND u.email <> ''", normal)
}

// Users lists everybody by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	return collect(ctx, s.r, scanUser, userQuery+` ORDER BY u.name`)
}

// RemoveUser deletes the account with its keys, grants and subscriptions. Files of the home folder are not touched.
func (s *Store) RemoveUser(ctx context.Context, actor, name string) error {
	return s.changeUser(ctx, name, func(tx *sql.Tx, u User) error {
		return s.alter(ctx, tx, actor, "user.remove", u, "", `DELETE FROM users WHERE id = ?`)
	})
}

const userQuery = `SELECT u.id, u.name, COALESCE(u.email, ''), u.role, u.created_at, u.suspended_at, u.last_sync_at, u.full_name, u.signed_in_at,
	COALESCE((SELECT group_concat(g.name, ' ' ORDER BY g.name) FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = u.id), '')
	FROM users u`

func scanUser(rows *sql.Rows) (User, error) {
	var u User
	var created, suspended, synced, signed int64
	var groups string
	err := rows.Scan(&u.ID, &u.Name, &u.Email, &u.Role, &created, &suspended, &synced, &u.FullName, &signed, &groups)
	u.CreatedAt, u.SuspendedAt, u.LastSyncAt, u.SignedInAt = fromNanos(created), fromNanos(suspended), fromNanos(synced), fromNanos(signed)
	u.Groups = strings.Fields(groups)
	return u, err
}

func userWhere(ctx context.Context, q querier, where string, arg any) (User, error) {
	users, err := collect(ctx, q, scanUser, userQuery+` WHERE `+where, arg)
	if err != nil {
		return User{}, err
	}
	if len(users) == 0 {
		return User{}, refuse(NotFound, "see `aida analyst list`", "no such user")
	}
	return users[0], nil
}

func userByName(ctx context.Context, q querier, name string) (User, error) {
	u, err := userWhere(ctx, q, "u.name = ?", name)
	var e *Error
	if errors.As(err, &e) {
		e.Message = fmt.Sprintf("user %s does not exist", name)
	}
	return u, err
}
