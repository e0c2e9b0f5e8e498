package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Subscription is an analyst's own choice of what to carry: optional datasets, and with Explicit only chosen tables.
type Subscription struct {
	Datasets map[string]bool
	Explicit bool
	Tables   map[string]bool
}

// Subscribe merges a choice of optional datasets over the stored one, then checks what each requires. Opting in never
// widens what a user may read: a dataset outside the user's access is refused as unknown.
func (s *Store) Subscribe(ctx context.Context, actor, user string, choice map[string]bool) error {
	u, err := s.UserByName(ctx, user)
	if err != nil {
		return err
	}
	a, err := s.Access(ctx, u.ID)
	if err != nil {
		return err
	}
	known := map[string]Dataset{}
	for _, d := range a.Datasets {
		known[d.Name] = d
	}
	for name := range choice {
		if d, ok := known[name]; !ok || !d.Optional {
			return refuse(Invalid, "choose one of the optional datasets", "dataset %s does not exist", name)
		}
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		on, err := stringSet(ctx, tx, `SELECT dataset FROM subscriptions WHERE user_id = ? AND enabled`, u.ID)
		if err != nil {
			return err
		}
		for name, enabled := range choice {
			on[name] = enabled
		}
		for name := range on {
			if d := known[name]; on[name] && d.Requires != "" && known[d.Requires].Optional && !on[d.Requires] {
				return refuse(Invalid, "switch both on", "%s requires %s to be enabled", name, d.Requires)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(choice)) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO subscriptions (user_id, dataset, enabled) VALUES (?, ?, ?)
				ON CONFLICT (user_id, dataset) DO UPDATE SET enabled = excluded.enabled`, u.ID, name, choice[name]); err != nil {
				return fmt.Errorf("subscribe %s: %w", name, err)
			}
			if err := s.audit(ctx, tx, actor, "subscription.set", u.Name, fmt.Sprintf("dataset %s %t", name, choice[name])); err != nil {
				return err
			}
		}
		return nil
	})
}

// SubscribeTables chooses between all tables and an explicit choice of them by name.
func (s *Store) SubscribeTables(ctx context.Context, actor, user string, explicit bool, tables map[string]bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, user)
		if err != nil {
			return err
		}
		mode := "all"
		if explicit {
			mode = "explicit"
		}
		if _, err := tx.ExecContext(ctx, `UPDATE users SET table_mode = ? WHERE id = ?`, mode, u.ID); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		for name, enabled := range tables {
			if _, err := tx.ExecContext(ctx, `INSERT INTO table_subscriptions (user_id, table_name, enabled) VALUES (?, ?, ?)
				ON CONFLICT (user_id, table_name) DO UPDATE SET enabled = excluded.enabled`, u.ID, name, enabled); err != nil {
				return fmt.Errorf("subscribe %s: %w", name, err)
			}
		}
		return s.audit(ctx, tx, actor, "subscription.tables", u.Name, mode)
	})
}

// ForgetChoices takes a table that is described no more out of everybody's choice, so that nobody carries it unasked when it
// comes back. A name that another table has stays.
func (s *Store) ForgetChoices(ctx context.Context, sourceID string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM table_subscriptions WHERE table_name IN
			(SELECT name FROM tables WHERE source_id = ?1 AND removed_at <> 0 UNION SELECT folder || '.' || name FROM tables WHERE source_id = ?1 AND removed_at <> 0)
			AND table_name NOT IN (SELECT name FROM tables WHERE removed_at = 0)`, sourceID); err != nil {
			return fmt.Errorf("choices of table %s: %w", sourceID, err)
		}
		return nil
	})
}

// Subscription reads a user's choice.
func (s *Store) Subscription(ctx context.Context, user string) (Subscription, error) {
	sub := Subscription{}
	u, err := s.UserByName(ctx, user)
	if err != nil {
		return sub, err
	}
	var mode string
	if err := s.r.QueryRowContext(ctx, `SELECT table_mode FROM users WHERE id = ?`, u.ID).Scan(&mode); err != nil {
		return sub, fmt.Errorf("database: %w", err)
	}
	sub.Explicit = mode == "explicit"
	if sub.Datasets, err = s.switches(ctx, `SELECT dataset, enabled FROM subscriptions WHERE user_id = ?`, u.ID); err != nil {
		return sub, err
	}
	sub.Tables, err = s.switches(ctx, `SELECT table_name, enabled FROM table_subscriptions WHERE user_id = ?`, u.ID)
	return sub, err
}

func (s *Store) switches(ctx context.Context, query string, userID int64) (map[string]bool, error) {
	type pair struct {
		name string
		on   bool
	}
	list, err := collect(ctx, s.r, func(rows *sql.Rows) (pair, error) {
		var p pair
		return p, rows.Scan(&p.name, &p.on)
	}, query, userID)
	out := map[string]bool{}
	for _, p := range list {
		out[p.name] = p.on
	}
	return out, err
}

// SettingsYAML writes a choice as the .sync_settings.yaml that sync scripts read line by line: keep its shape.
func (a *Access) SettingsYAML() []byte {
	var b strings.Builder
	b.WriteString("# Which optional datasets are synced. Managed by the portal; changes made here are not read.\ndatasets:\n")
	none := true
	for _, d := range a.Datasets {
		if d.Optional {
			none = false
			fmt.Fprintf(&b, "  %s: %t\n", d.Name, a.Enabled[d.Name])
		}
	}
	if none {
		return []byte(strings.Replace(b.String(), "datasets:\n", "datasets: {}\n", 1))
	}
	return []byte(b.String())
}
