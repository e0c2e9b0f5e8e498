package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Table is a table of the company as the appliance keeps it. Name is unique within its folder; SourceID is unique.
type Table struct {
	ID       int64  `json:"-"`
	SourceID string `json:"id"`
	Name     string `json:"name"`
	Folder   string `json:"folder"`  // place in the tree: parquet/<folder>/<name>.parquet
	Dataset  string `json:"dataset"` // what access is asked for

	Definition Definition `json:"definition"`

	Fingerprint string    `json:"-"`                   // of the source's bytes at the last publish
	DataTime    time.Time `json:"data_time,omitzero"`  // as of when the source's rows are
	SyncedAt    time.Time `json:"synced_at,omitzero"`  // last sync that succeeded, changed or not
	CreatedAt   time.Time `json:"registered,omitzero"` // when the appliance first saw it
	Removed     bool      `json:"removed,omitempty"`   // no longer described; its files left the newest generation
	PausedAt    time.Time `json:"paused_at,omitzero"`  // since when no scheduled run takes it
	PausedBy    string    `json:"paused_by,omitempty"`
}

// FullName is folder and name, as people and commands write a table.
func (t Table) FullName() string { return t.Folder + "." + t.Name }

// Definition is what data_description.md says of a table and an analyst may read.
type Definition struct {
	Description          string       `json:"description,omitempty"`
	PrimaryKey           []string     `json:"primary_key,omitempty"`
	SyncStrategy         string       `json:"sync_strategy,omitempty"`
	PartitionBy          string       `json:"partition_by,omitempty"`
	PartitionGranularity string       `json:"partition_granularity,omitempty"`
	QueryMode            string       `json:"query_mode,omitempty"`
	HowToQuery           string       `json:"how_to_query,omitempty"` // Markdown on how to query a remote or hybrid table at its source
	Columns              []ColumnDoc  `json:"columns,omitempty"`
	ForeignKeys          []ForeignKey `json:"foreign_keys,omitempty"`
}

// ColumnDoc is what is said of a column beyond its type.
type ColumnDoc struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Sensitive   bool   `json:"sensitive,omitempty"`
}

// ForeignKey tells that a column holds keys of another table.
type ForeignKey struct {
	Column      string `json:"column"`
	References  string `json:"references"` // table.column, by the table's short name
	Description string `json:"description,omitempty"`
}

// SetCatalog makes datasets and tables what the configuration says. A table that is no longer described is marked
// removed; the next publish takes its files out of the newest generation.
func (s *Store) SetCatalog(ctx context.Context, datasets []Dataset, tables []Table) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := setDatasets(ctx, tx, datasets); err != nil {
			return err
		}
		old, err := collect(ctx, tx, scanTable, tableQuery)
		if err != nil {
			return err
		}
		bySource := map[string]Table{}
		for _, t := range old {
			bySource[t.SourceID] = t
		}
		described := map[string]bool{}
		for _, t := range tables {
			described[t.SourceID] = true
		}
		for _, t := range old { // first, as a new table may take the place of one that is gone
			if !t.Removed && !described[t.SourceID] {
				if _, err := tx.ExecContext(ctx, `UPDATE tables SET removed_at = ?, fingerprint = '' WHERE id = ?`, nanos(s.now()), t.ID); err != nil {
					return fmt.Errorf("table %s: %w", t.FullName(), err)
				}
			}
		}
		// A swap of two names would trip over the unique place: free the places of moved tables before they are taken.
		for _, t := range tables {
			if o, ok := bySource[t.SourceID]; ok && !o.Removed && (o.Folder != t.Folder || o.Name != t.Name) {
				if _, err := tx.ExecContext(ctx, `UPDATE tables SET removed_at = 1 WHERE id = ?`, o.ID); err != nil {
					return fmt.Errorf("table %s: %w", t.FullName(), err)
				}
				o.Removed = true
				bySource[t.SourceID] = o
			}
		}
		for _, t := range tables {
			if err := s.setTable(ctx, tx, bySource, t); err != nil {
				return fmt.Errorf("table %s: %w", t.FullName(), err)
			}
		}
		return nil
	})
}

func (s *Store) setTable(ctx context.Context, tx *sql.Tx, bySource map[string]Table, t Table) error {
	text, err := json.Marshal(t.Definition)
	if err != nil {
		return err
	}
	o, known := bySource[t.SourceID]
	if !known {
		_, err := tx.ExecContext(ctx, `INSERT INTO tables (source_id, name, folder, dataset, definition, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
			t.SourceID, t.Name, t.Folder, t.Dataset, string(text), nanos(s.now()))
		return err
	}
	was, err := json.Marshal(o.Definition)
	if err != nil {
		return err
	}
	if !o.Removed && o.Dataset == t.Dataset && string(was) == string(text) {
		return nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE tables SET name = ?, folder = ?, dataset = ?, definition = ?, removed_at = 0,
		fingerprint = CASE WHEN ? THEN '' ELSE fingerprint END WHERE id = ?`, t.Name, t.Folder, t.Dataset, string(text), o.Removed, o.ID)
	return err
}

// Tables lists all tables that are described, by folder and name.
func (s *Store) Tables(ctx context.Context) ([]Table, error) {
	return collect(ctx, s.r, scanTable, tableQuery+` WHERE removed_at = 0 ORDER BY folder, name`)
}

// TableByName finds a described table by source id, by folder.name, or by a name that only one table has.
func (s *Store) TableByName(ctx context.Context, name string) (Table, error) {
	tables, err := s.Tables(ctx)
	if err != nil {
		return Table{}, err
	}
	return FindTable(tables, name)
}

// FindTable finds a table in a list by source id, by folder.name, or by a name that only one table has.
func FindTable(tables []Table, name string) (Table, error) {
	var hits []Table
	for _, t := range tables {
		if t.SourceID == name || t.FullName() == name {
			return t, nil
		}
		if t.Name == name {
			hits = append(hits, t)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return Table{}, refuse(NotFound, "see `aida table list`", "table %s does not exist", name)
	}
	return Table{}, refuse(Invalid, "write folder.name, for example "+hits[0].FullName(), "table name %s is not unique", name)
}

const tableQuery = `SELECT id, source_id, name, folder, dataset, definition, fingerprint, data_time, synced_at, created_at, removed_at, paused_at, paused_by FROM tables`

func scanTable(rows *sql.Rows) (Table, error) {
	var t Table
	var definition string
	var data, synced, created, removed, paused int64
	if err := rows.Scan(&t.ID, &t.SourceID, &t.Name, &t.Folder, &t.Dataset, &definition, &t.Fingerprint, &data, &synced, &created, &removed, &paused, &t.PausedBy); err != nil {
		return t, err
	}
	t.DataTime, t.SyncedAt, t.CreatedAt, t.Removed, t.PausedAt = fromNanos(data), fromNanos(synced), fromNanos(created), removed != 0, fromNanos(paused)
	if err := json.Unmarshal([]byte(definition), &t.Definition); err != nil {
		return t, fmt.Errorf("table %s: definition: %w", t.FullName(), err)
	}
	return t, nil
}
