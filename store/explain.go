package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// Reason says of one dataset whether somebody reads it, and by what.
type Reason struct {
	Dataset
	Tables  int      `json:"tables"`
	May     bool     `json:"may"`               // access allows it
	Reads   bool     `json:"reads"`             // and, when it is optional, it is switched on
	Why     string   `json:"why"`               // in words
	Granted bool     `json:"granted,omitempty"` // to the person by name
	Groups  []string `json:"groups,omitempty"`  // that it is granted to and the person is in
}

// Explain says for each dataset whether a user reads it and why, by the same data as Access.
func (s *Store) Explain(ctx context.Context, userID int64) ([]Reason, error) {
	a, err := s.Access(ctx, userID)
	if err != nil {
		return nil, err
	}
	all, err := s.Datasets(ctx)
	if err != nil {
		return nil, err
	}
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	own, err := stringSet(ctx, s.r, `SELECT dataset FROM grants WHERE user_id = ?`, userID)
	if err != nil {
		return nil, err
	}
	groups := map[string][]string{}
	if _, err := collect(ctx, s.r, func(rows *sql.Rows) (struct{}, error) {
		var dataset, group string
		err := rows.Scan(&dataset, &group)
		groups[dataset] = append(groups[dataset], group)
		return struct{}{}, err
	}, `SELECT g.dataset, n.name FROM grants g JOIN group_members m ON m.group_id = g.group_id JOIN groups n ON n.id = m.group_id
		WHERE m.user_id = ? ORDER BY n.name`, userID); err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, t := range tables {
		count[t.Dataset]++
	}
	out := make([]Reason, 0, len(all))
	for _, d := range all {
		r := Reason{Dataset: d, Tables: count[d.Name], Granted: own[d.Name], Groups: groups[d.Name]}
		r.May = slices.ContainsFunc(a.Datasets, func(x Dataset) bool { return x.Name == d.Name })
		r.Reads = r.May && (!d.Optional || a.Enabled[d.Name])
		r.Why = why(a.User, r)
		out = append(out, r)
	}
	return out, nil
}

func why(u User, r Reason) string {
	var by string
	switch {
	case !u.SuspendedAt.IsZero():
		return "the account is suspended"
	case u.Role == Admin:
		by = "admins read everything"
	case r.Granted:
		by = "granted by name"
	case len(r.Groups) > 0:
		by = "granted to " + strings.Join(r.Groups, ", ")
	case r.Access == OpenAccess:
		by = "open to every analyst"
	case r.Access == PrivateAccess && u.Role == PrivateAnalyst:
		by = "private analysts read it"
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

// GroupGrants lists the datasets that a group was granted.
func (s *Store) GroupGrants(ctx context.Context, group string) ([]string, error) {
	g, err := groupByName(ctx, s.r, group)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.r, func(rows *sql.Rows) (string, error) {
		var v string
		return v, rows.Scan(&v)
	}, `SELECT dataset FROM grants WHERE group_id = ? ORDER BY dataset`, g.ID)
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
