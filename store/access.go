package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Access answers what one user may read. It is computed from role, groups, grants and subscriptions at one moment;
// Version tells whether that moment has passed. What is not in it does not exist for the user.
type Access struct {
	User      User
	Version   int64           // of all access data; compare with Store.AccessVersion
	ChangedAt time.Time       // when access data last changed
	Tables    []Table         // what the user reads, by folder and name
	Datasets  []Dataset       // what the user may read, optional ones included, by name
	Partial   map[string]bool // of each of them: whether it is only for tables that were granted one by one
	Enabled   map[string]bool // optional datasets that the user switched on

	ids    map[int64]struct{}
	single map[int64]bool // tables that were granted one by one
}

// MayRead tells whether the user would read a table with everything switched on.
func (a *Access) MayRead(t Table) bool {
	partial, known := a.Partial[t.Dataset]
	return known && (!partial || a.single[t.ID])
}

// CanRead tells whether the user reads this table.
func (a *Access) CanRead(tableID int64) bool {
	_, ok := a.ids[tableID]
	return ok
}

// AccessVersion is a number that grows with every change of who may read what. It is one cheap read.
func (s *Store) AccessVersion(ctx context.Context) (int64, error) {
	return remember(ctx, s, memoAccess{}, func() (v int64, err error) {
		if err := s.r.QueryRowContext(ctx, `SELECT access_version FROM state`).Scan(&v); err != nil {
			return 0, fmt.Errorf("database: %w", err)
		}
		return v, nil
	})
}

// Access computes what a user may read. A suspended user reads nothing.
func (s *Store) Access(ctx context.Context, userID int64) (*Access, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	return accessIn(ctx, tx, userID)
}

func accessIn(ctx context.Context, tx *sql.Tx, userID int64) (*Access, error) {
	tables, err := collect(ctx, tx, scanTable, tableQuery+` WHERE removed_at = 0 ORDER BY folder, name`)
	if err != nil {
		return nil, err
	}
	all, err := datasets(ctx, tx)
	if err != nil {
		return nil, err
	}
	return accessTo(ctx, tx, userID, tables, all)
}

// accessTo is what a user may read of some tables.
func accessTo(ctx context.Context, tx *sql.Tx, userID int64, tables []Table, all []Dataset) (a *Access, err error) {
	a = &Access{ids: map[int64]struct{}{}, Enabled: map[string]bool{}, Partial: map[string]bool{}}
	var changed int64
	if err := tx.QueryRowContext(ctx, `SELECT access_version, access_changed_at FROM state`).Scan(&a.Version, &changed); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	a.ChangedAt = fromNanos(changed)
	if a.User, err = userWhere(ctx, tx, "u.id = ?", userID); err != nil {
		return nil, err
	}
	if !a.User.SuspendedAt.IsZero() {
		return a, nil
	}
	granted, err := stringSet(ctx, tx, `SELECT dataset FROM grants WHERE user_id = ?
		UNION SELECT g.dataset FROM grants g JOIN group_members m ON m.group_id = g.group_id WHERE m.user_id = ?`, userID, userID)
	if err != nil {
		return nil, err
	}
	single, err := idSet(ctx, tx, `SELECT table_id FROM table_grants WHERE user_id = ?
		UNION SELECT g.table_id FROM table_grants g JOIN group_members m ON m.group_id = g.group_id WHERE m.user_id = ?`, userID, userID)
	if err != nil {
		return nil, err
	}
	a.single = single
	some := map[string]bool{}
	for _, t := range tables {
		some[t.Dataset] = some[t.Dataset] || single[t.ID]
	}
	on, err := stringSet(ctx, tx, `SELECT dataset FROM subscriptions WHERE user_id = ? AND enabled`, userID)
	if err != nil {
		return nil, err
	}
	may := map[string]Dataset{}
	for _, d := range all {
		whole := mayRead(a.User.Role, d, granted)
		if whole || some[d.Name] {
			may[d.Name], a.Partial[d.Name] = d, !whole
			a.Datasets = append(a.Datasets, d)
		}
	}
	for _, d := range a.Datasets {
		if d.Optional && on[d.Name] && requirementMet(d, may, on) {
			a.Enabled[d.Name] = true
		}
	}
	explicit, chosen, err := tableChoice(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if !a.MayRead(t) || (may[t.Dataset].Optional && !a.Enabled[t.Dataset]) || (explicit && !chosen[t.Name]) {
			continue
		}
		a.ids[t.ID] = struct{}{}
		a.Tables = append(a.Tables, t)
	}
	return a, nil
}

// Readers lists who reads a table now, by name.
func (s *Store) Readers(ctx context.Context, tableID int64) (out []User, err error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	tables, err := collect(ctx, tx, scanTable, tableQuery+` WHERE removed_at = 0 AND id = ?`, tableID)
	if err != nil {
		return nil, err
	}
	all, err := datasets(ctx, tx)
	if err != nil {
		return nil, err
	}
	users, err := collect(ctx, tx, scanUser, userQuery+` ORDER BY u.name`)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		a, err := accessTo(ctx, tx, u.ID, tables, all)
		if err != nil {
			return nil, err
		}
		if a.CanRead(tableID) {
			out = append(out, u)
		}
	}
	return out, nil
}

// FullAccess is that of somebody who works on the server's own command line: every table.
func (s *Store) FullAccess(ctx context.Context) (*Access, error) {
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	a := &Access{User: User{Name: "command line", Role: Admin}, Tables: tables, Enabled: map[string]bool{}, ids: map[int64]struct{}{}}
	for _, t := range tables {
		a.ids[t.ID] = struct{}{}
	}
	return a, nil
}

func mayRead(role Role, d Dataset, granted map[string]bool) bool {
	switch {
	case role == Admin, granted[d.Name]:
		return true
	case d.Access == PrivateAccess:
		return role == PrivateAnalyst
	}
	return d.Access == OpenAccess
}

// requirementMet follows `requires` to its end: a dataset counts only when all that it builds on is readable and on.
func requirementMet(d Dataset, may map[string]Dataset, on map[string]bool) bool {
	for range len(may) + 1 { // a circle of requirements ends here, unmet
		if d.Requires == "" {
			return true
		}
		next, ok := may[d.Requires]
		if !ok || (next.Optional && !on[next.Name]) {
			return false
		}
		d = next
	}
	return false
}

func tableChoice(ctx context.Context, tx *sql.Tx, userID int64) (explicit bool, chosen map[string]bool, err error) {
	var mode string
	if err := tx.QueryRowContext(ctx, `SELECT table_mode FROM users WHERE id = ?`, userID).Scan(&mode); err != nil {
		return false, nil, fmt.Errorf("database: %w", err)
	}
	chosen, err = stringSet(ctx, tx, `SELECT table_name FROM table_subscriptions WHERE user_id = ? AND enabled`, userID)
	return mode == "explicit", chosen, err
}

func stringSet(ctx context.Context, q querier, query string, args ...any) (map[string]bool, error) {
	list, err := collect(ctx, q, func(rows *sql.Rows) (string, error) {
		var v string
		return v, rows.Scan(&v)
	}, query, args...)
	return setOf(list), err
}

func idSet(ctx context.Context, q querier, query string, args ...any) (map[int64]bool, error) {
	list, err := collect(ctx, q, scanID, query, args...)
	return setOf(list), err
}

func setOf[T comparable](list []T) map[T]bool {
	set := make(map[T]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}
