package keboola

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Table is what a project has: found by Discover.
type Table struct {
	ID          string
	Bucket      string
	Name        string
	Description string
	PrimaryKey  []string
	Columns     []Column
	Rows        int64 // -1 = not known, as of an alias
	Bytes       int64 // -1 = not known
	Changed     time.Time
	Alias       bool
}

// Column is a column with the type that the lake would give it.
type Column struct {
	Name        string
	Type        string
	Description string
}

// Discover lists the tables that the token may read, by id.
func (s *Source) Discover(ctx context.Context) (Project, []Table, error) {
	p, err := s.Check(ctx)
	if err != nil {
		return p, nil, err
	}
	found, err := s.tables(ctx)
	if err != nil {
		return p, nil, fmt.Errorf("keboola: list of tables: %w", err)
	}
	var out []Table
	for i := range found {
		d := &found[i]
		t := Table{ID: d.ID, Bucket: d.Bucket.ID, Name: d.Name, Description: d.Metadata.describe(), PrimaryKey: d.PrimaryKey,
			Rows: -1, Bytes: -1, Changed: d.changed(), Alias: d.IsAlias}
		if d.Rows != nil {
			t.Rows = *d.Rows
		}
		if d.Bytes != nil {
			t.Bytes = *d.Bytes
		}
		for _, name := range d.Columns {
			c := Column{Name: name, Type: "string", Description: d.notes(name).describe()}
			if typ, ok := d.typeOf(name); ok {
				c.Type = typ.String()
			}
			t.Columns = append(t.Columns, c)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Table) int { return cmp.Compare(a.ID, b.ID) })
	return p, out, nil
}
