package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Grant lets a person or a group read a dataset, or one table of it, whatever the dataset's visibility.
type Grant struct {
	Dataset string `json:"dataset,omitempty"` // the whole of it
	Table   string `json:"table,omitempty"`   // or this one alone, as folder.name
}

// Name is what Grant and Revoke are told.
func (g Grant) Name() string {
	if g.Table != "" {
		return g.Table
	}
	return g.Dataset
}

func (g Grant) String() string {
	if g.Table != "" {
		return "table " + g.Table
	}
	return "dataset " + g.Dataset
}

// Grant lets a user (or, with group set, a group) read a dataset, or a table that is named folder.table or dataset.table.
func (s *Store) Grant(ctx context.Context, actor, who string, group bool, what string) error {
	return s.changeGrant(ctx, actor, who, group, what, true)
}

// Revoke takes a grant back.
func (s *Store) Revoke(ctx context.Context, actor, who string, group bool, what string) error {
	return s.changeGrant(ctx, actor, who, group, what, false)
}

func (s *Store) changeGrant(ctx context.Context, actor, who string, group bool, what string, give bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		column, id, err := grantee(ctx, tx, who, group)
		if err != nil {
			return err
		}
		g, table, err := grantable(ctx, tx, what, !give)
		if err != nil {
			return err
		}
		place, value := "grants (dataset, ", any(g.Dataset)
		if g.Table != "" {
			place, value = "table_grants (table_id, ", table.ID
		}
		var res sql.Result
		if give {
			res, err = tx.ExecContext(ctx, `INSERT OR IGNORE INTO `+place+column+`, created_at) VALUES (?, ?, ?)`, value, id, nanos(s.now()))
		} else if g.Table != "" {
			res, err = tx.ExecContext(ctx, `DELETE FROM table_grants WHERE table_id = ? AND `+column+` = ?`, value, id)
		} else {
			res, err = tx.ExecContext(ctx, `DELETE FROM grants WHERE dataset = ? AND `+column+` = ?`, value, id)
		}
		if err != nil {
			return fmt.Errorf("grant of %s on %s: %w", who, g, err)
		}
		n, err := res.RowsAffected()
		switch {
		case err != nil:
			return err
		case n == 0 && give:
			return nil
		case n == 0:
			return refuse(NotFound, "see `aida analyst show "+who+"`", "%s has no grant on %s", who, g)
		case give:
			return s.audit(ctx, tx, actor, "grant.add", who, g.String())
		}
		return s.audit(ctx, tx, actor, "grant.remove", who, g.String())
	})
}

// grantable finds what a name stands for: a dataset, else a table. A grant on a dataset that is described no longer can still
// be taken back.
func grantable(ctx context.Context, tx *sql.Tx, what string, past bool) (Grant, Table, error) {
	all, err := datasets(ctx, tx)
	if err != nil {
		return Grant{}, Table{}, err
	}
	if slices.ContainsFunc(all, func(d Dataset) bool { return d.Name == what }) {
		return Grant{Dataset: what}, Table{}, nil
	}
	tables, err := collect(ctx, tx, scanTable, tableQuery+` WHERE removed_at = 0 ORDER BY folder, name`)
	if err != nil {
		return Grant{}, Table{}, err
	}
	var hits []Table
	for _, t := range tables {
		if t.FullName() == what {
			return Grant{Table: what}, t, nil
		}
		if t.Dataset+"."+t.Name == what {
			hits = append(hits, t)
		}
	}
	switch {
	case len(hits) == 1:
		return Grant{Table: hits[0].FullName()}, hits[0], nil
	case len(hits) > 1:
		return Grant{}, Table{}, refuse(Invalid, "write folder.table, for example "+hits[0].FullName(), "table name %s is not unique", what)
	case past:
		return Grant{Dataset: what}, Table{}, nil
	}
	return Grant{}, Table{}, refuse(NotFound, "see `aida table list` for the names", "dataset or table %s does not exist", what)
}

// Grants lists what a user was granted by name, not through groups: datasets first, then tables.
func (s *Store) Grants(ctx context.Context, user string) ([]Grant, error) {
	u, err := s.UserByName(ctx, user)
	if err != nil {
		return nil, err
	}
	return s.grants(ctx, "user_id", u.ID)
}

// GroupGrants lists what a group was granted.
func (s *Store) GroupGrants(ctx context.Context, group string) ([]Grant, error) {
	g, err := groupByName(ctx, s.r, group)
	if err != nil {
		return nil, err
	}
	return s.grants(ctx, "group_id", g.ID)
}

func (s *Store) grants(ctx context.Context, column string, id int64) ([]Grant, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (Grant, error) {
		var g Grant
		return g, rows.Scan(&g.Dataset, &g.Table)
	}, `SELECT dataset, '' AS t FROM grants WHERE `+column+` = ?1 UNION ALL
		SELECT '', t.folder || '.' || t.name FROM table_grants g JOIN tables t ON t.id = g.table_id WHERE t.removed_at = 0 AND g.`+column+` = ?1
		ORDER BY t, dataset`, id)
}

func grantee(ctx context.Context, tx *sql.Tx, who string, group bool) (column string, id int64, err error) {
	if group {
		g, err := groupByName(ctx, tx, who)
		return "group_id", g.ID, err
	}
	u, err := userByName(ctx, tx, who)
	return "user_id", u.ID, err
}
