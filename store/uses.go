package store

import (
	"context"
	"database/sql"
	"fmt"
)

// TableUses is what people set up that names one table.
type TableUses struct {
	Granted  []string // people and groups that the table was granted to by name
	Chosen   []string // people who chose the tables that they carry, and this one among them
	Watching []string // people who are told of new versions
}

// TableUses reads who was granted, chose or watches a table. Each list is by name.
func (s *Store) TableUses(ctx context.Context, t Table) (u TableUses, err error) {
	name := func(rows *sql.Rows) (v string, err error) { return v, rows.Scan(&v) }
	for _, q := range []struct {
		into  *[]string
		query string
		args  []any
	}{
		{&u.Granted, `SELECT COALESCE(p.name, 'group ' || g.name) AS who FROM table_grants x LEFT JOIN users p ON p.id = x.user_id LEFT JOIN groups g ON g.id = x.group_id WHERE x.table_id = ? ORDER BY who`, []any{t.ID}},
		{&u.Chosen, `SELECT p.name FROM table_subscriptions x JOIN users p ON p.id = x.user_id WHERE x.enabled AND p.table_mode = 'explicit' AND x.table_name IN (?, ?) ORDER BY p.name`, []any{t.Name, t.FullName()}},
		{&u.Watching, `SELECT p.name FROM table_watches x JOIN users p ON p.id = x.user_id WHERE x.table_id = ? ORDER BY p.name`, []any{t.ID}},
	} {
		if *q.into, err = collect(ctx, s.r, name, q.query, q.args...); err != nil {
			return u, fmt.Errorf("uses of table %s: %w", t.FullName(), err)
		}
	}
	return u, nil
}
