package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
)

// Group is a named set of users that datasets can be granted to.
type Group struct {
	ID      int64    `json:"-"`
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

var groupName = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,63}$`)

// AddGroup makes an empty group.
func (s *Store) AddGroup(ctx context.Context, actor, name string) error {
	if !groupName.MatchString(name) {
		return refuse(Invalid, "use 2 to 64 characters: a lower-case letter first, then a-z 0-9 . _ -", "group name %q is not allowed", name)
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := groupByName(ctx, tx, name); err == nil {
			return refuse(Conflict, "choose another name", "group %s exists already", name)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO groups (name) VALUES (?)`, name); err != nil {
			return fmt.Errorf("add group %s: %w", name, err)
		}
		return s.audit(ctx, tx, actor, "group.add", name, "")
	})
}

// SetMember puts a user into a group, or with in false takes the user out.
func (s *Store) SetMember(ctx context.Context, actor, group, user string, in bool) error {
	return s.changeUser(ctx, user, func(tx *sql.Tx, u User) error { return s.setMember(ctx, tx, actor, group, u, in) })
}

func (s *Store) setMember(ctx context.Context, tx *sql.Tx, actor, group string, u User, in bool) error {
	g, err := groupByName(ctx, tx, group)
	if err != nil {
		return err
	}
	query, action := `INSERT OR IGNORE INTO group_members (group_id, user_id) VALUES (?, ?)`, "group.join"
	if !in {
		query, action = `DELETE FROM group_members WHERE group_id = ? AND user_id = ?`, "group.leave"
	}
	res, err := tx.ExecContext(ctx, query, g.ID, u.ID)
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", action, group, u.Name, err)
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return err
	}
	return s.audit(ctx, tx, actor, action, u.Name, "group "+g.Name)
}

// RemoveGroup deletes a group and the grants that it had.
func (s *Store) RemoveGroup(ctx context.Context, actor, name string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		g, err := groupByName(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM groups WHERE id = ?`, g.ID); err != nil {
			return fmt.Errorf("remove group %s: %w", name, err)
		}
		return s.audit(ctx, tx, actor, "group.remove", g.Name, "")
	})
}

// Groups lists all groups with their members, by name.
func (s *Store) Groups(ctx context.Context) ([]Group, error) {
	groups, err := collect(ctx, s.r, scanGroup, `SELECT id, name FROM groups ORDER BY name`)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		groups[i].Members, err = collect(ctx, s.r, func(rows *sql.Rows) (string, error) {
			var v string
			return v, rows.Scan(&v)
		}, `SELECT u.name FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = ? ORDER BY u.name`, groups[i].ID)
		if err != nil {
			return nil, err
		}
	}
	return groups, nil
}

func scanGroup(rows *sql.Rows) (Group, error) {
	var g Group
	return g, rows.Scan(&g.ID, &g.Name)
}

func groupByName(ctx context.Context, q querier, name string) (Group, error) {
	groups, err := collect(ctx, q, scanGroup, `SELECT id, name FROM groups WHERE name = ?`, name)
	if err != nil {
		return Group{}, err
	}
	if len(groups) == 0 {
		return Group{}, refuse(NotFound, "make it first", "group %s does not exist", name)
	}
	return groups[0], nil
}
