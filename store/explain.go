package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// TableGrant is a table that was granted to a person by name, or to groups that the person is in.
type TableGrant struct {
	Table   string   `json:"table"`
	Granted bool     `json:"granted,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

func (g TableGrant) by() string { return grantedBy(g.Granted, g.Groups) }

func grantedBy(name bool, groups []string) string {
	if name {
		return "granted by name"
	}
	return "granted to " + strings.Join(groups, ", ")
}

// Reason says of one dataset whether somebody reads it, and by what.
type Reason struct {
	Dataset
	Tables  int      `json:"tables"`
	May     bool     `json:"may"`               // access allows it
	Reads   bool     `json:"reads"`             // and, when it is optional, it is switched on
	Why     string   `json:"why"`               // in words
	Granted bool     `json:"granted,omitempty"` // to the person by name
	Groups  []string `json:"groups,omitempty"`  // that it is granted to and the person is in

	ByTable []TableGrant `json:"tables_granted,omitempty"` // tables of it that were granted one by one
}

// Explain says for each dataset whether a user reads it and why, by the same data as Access.
func (s *Store) Explain(ctx context.Context, userID int64) ([]Reason, error) {
	out, _, err := s.explain(ctx, userID)
	return out, err
}

// explain reads access and its reasons in one transaction, so that they belong together.
func (s *Store) explain(ctx context.Context, userID int64) ([]Reason, *Access, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	a, err := accessIn(ctx, tx, userID)
	if err != nil {
		return nil, nil, err
	}
	all, err := datasets(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	tables, err := collect(ctx, tx, scanTable, tableQuery+` WHERE removed_at = 0 ORDER BY folder, name`)
	if err != nil {
		return nil, nil, err
	}
	own, err := stringSet(ctx, tx, `SELECT dataset FROM grants WHERE user_id = ?`, userID)
	if err != nil {
		return nil, nil, err
	}
	groups, err := groupsBy[string](ctx, tx, `SELECT g.dataset, n.name FROM grants g JOIN group_members m ON m.group_id = g.group_id
		JOIN groups n ON n.id = m.group_id WHERE m.user_id = ? ORDER BY n.name`, userID)
	if err != nil {
		return nil, nil, err
	}
	ownTables, err := idSet(ctx, tx, `SELECT table_id FROM table_grants WHERE user_id = ?`, userID)
	if err != nil {
		return nil, nil, err
	}
	tableGroups, err := groupsBy[int64](ctx, tx, `SELECT g.table_id, n.name FROM table_grants g JOIN group_members m ON m.group_id = g.group_id
		JOIN groups n ON n.id = m.group_id WHERE m.user_id = ? ORDER BY n.name`, userID)
	if err != nil {
		return nil, nil, err
	}
	count, single := map[string]int{}, map[string][]TableGrant{}
	for _, t := range tables {
		count[t.Dataset]++
		if ownTables[t.ID] || len(tableGroups[t.ID]) > 0 {
			single[t.Dataset] = append(single[t.Dataset], TableGrant{t.FullName(), ownTables[t.ID], tableGroups[t.ID]})
		}
	}
	out := make([]Reason, 0, len(all))
	for _, d := range all {
		r := Reason{Dataset: d, Tables: count[d.Name], Granted: own[d.Name], Groups: groups[d.Name], ByTable: single[d.Name]}
		part := a.Partial[d.Name]
		r.May = slices.ContainsFunc(a.Datasets, func(x Dataset) bool { return x.Name == d.Name }) && !part
		r.Reads = r.May && (!d.Optional || a.Enabled[d.Name])
		r.Why = why(a.User, r)
		out = append(out, r)
	}
	return out, a, nil
}

func groupsBy[K comparable](ctx context.Context, q querier, query string, userID int64) (map[K][]string, error) {
	out := map[K][]string{}
	_, err := collect(ctx, q, func(rows *sql.Rows) (struct{}, error) {
		var key K
		var group string
		err := rows.Scan(&key, &group)
		out[key] = append(out[key], group)
		return struct{}{}, err
	}, query, userID)
	return out, err
}

// TableReason says of one table whether somebody reads it, and by what.
type TableReason struct {
	Table   string `json:"table"`
	Dataset string `json:"dataset"`
	Reads   bool   `json:"reads"`
	Why     string `json:"why"`
}

// ExplainTable says whether a user reads a table, given by folder.name, dataset.name or its short name, and why.
func (s *Store) ExplainTable(ctx context.Context, user, table string) (TableReason, error) {
	u, err := s.UserByName(ctx, user)
	if err != nil {
		return TableReason{}, err
	}
	t, err := s.TableByName(ctx, table)
	if err != nil {
		return TableReason{}, err
	}
	reasons, a, err := s.explain(ctx, u.ID)
	if err != nil {
		return TableReason{}, err
	}
	out := TableReason{Table: t.FullName(), Dataset: t.Dataset, Reads: a.CanRead(t.ID)}
	for _, r := range reasons {
		if r.Name == t.Dataset {
			out.Why = whyTable(a, r, t.FullName(), out.Reads)
		}
	}
	return out, nil
}

// whyTable is about one table of a dataset: its own grant where the dataset as a whole is not read, and what the person
// chose to carry.
func whyTable(a *Access, r Reason, table string, reads bool) string {
	by := r.Why
	if i := slices.IndexFunc(r.ByTable, func(g TableGrant) bool { return g.Table == table }); i >= 0 && !r.May && a.User.SuspendedAt.IsZero() {
		by = "this table is " + r.ByTable[i].by()
		if r.Optional && !a.Enabled[r.Name] {
			return by + ", but its dataset is optional and not switched on"
		}
	} else if !r.Reads {
		return by
	}
	if !reads {
		return by + ", but not among the tables that the person chose to carry"
	}
	return by
}

func why(u User, r Reason) string {
	var by string
	switch {
	case !u.SuspendedAt.IsZero():
		return "the account is suspended"
	case u.Role == Admin:
		by = "admins read everything"
	case r.Granted, len(r.Groups) > 0:
		by = grantedBy(r.Granted, r.Groups)
	case r.Access == OpenAccess:
		by = "open to every analyst"
	case r.Access == PrivateAccess && u.Role == PrivateAnalyst:
		by = "private analysts read it"
	case len(r.ByTable) > 0:
		return fmt.Sprintf("%d of %d tables by grant", len(r.ByTable), r.Tables)
	case r.Access == PrivateAccess:
		return "only for private analysts and by grant"
	default:
		return "only by grant"
	}
	if r.Optional && !r.Reads {
		return fmt.Sprintf("%s, but optional and not switched on", by)
	}
	return by
}
