package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Visibility says who may read a dataset before any grant.
type Visibility string

// The visibilities.
const (
	OpenAccess       Visibility = "open"       // every analyst
	PrivateAccess    Visibility = "private"    // private analysts and admins
	RestrictedAccess Visibility = "restricted" // people and groups with a grant, and admins
)

// Dataset is a group of tables that access is given to. Optional ones are off until an analyst opts in.
type Dataset struct {
	Name        string     `json:"name"`
	Access      Visibility `json:"access"`
	Optional    bool       `json:"optional"`
	Requires    string     `json:"requires,omitempty"`
	Label       string     `json:"label,omitempty"`
	Description string     `json:"description,omitempty"`
	SizeHint    string     `json:"size_hint,omitempty"`
}

// Datasets lists the datasets of the configuration and of the described tables, by name.
func (s *Store) Datasets(ctx context.Context) ([]Dataset, error) {
	return datasets(ctx, s.r)
}

func datasets(ctx context.Context, q querier) ([]Dataset, error) {
	return collect(ctx, q, func(rows *sql.Rows) (Dataset, error) {
		var d Dataset
		err := rows.Scan(&d.Name, &d.Access, &d.Optional, &d.Requires, &d.Label, &d.Description, &d.SizeHint)
		return d, err
	}, `SELECT name, access, optional, requires, label, description, size_hint FROM datasets ORDER BY name`)
}

// setDatasets replaces the list, touching only rows that differ, so that nothing looks changed when nothing is.
func setDatasets(ctx context.Context, tx *sql.Tx, want []Dataset) error {
	have, err := datasets(ctx, tx)
	if err != nil {
		return err
	}
	old := map[string]Dataset{}
	for _, d := range have {
		old[d.Name] = d
	}
	for _, d := range want {
		if o, ok := old[d.Name]; !ok || o != d {
			if _, err := tx.ExecContext(ctx, `INSERT INTO datasets (name, access, optional, requires, label, description, size_hint)
				VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET access = excluded.access, optional = excluded.optional,
				requires = excluded.requires, label = excluded.label, description = excluded.description, size_hint = excluded.size_hint`,
				d.Name, d.Access, d.Optional, d.Requires, d.Label, d.Description, d.SizeHint); err != nil {
				return fmt.Errorf("dataset %s: %w", d.Name, err)
			}
		}
		delete(old, d.Name)
	}
	for name := range old {
		if _, err := tx.ExecContext(ctx, `DELETE FROM datasets WHERE name = ?`, name); err != nil {
			return fmt.Errorf("dataset %s: %w", name, err)
		}
	}
	return nil
}
