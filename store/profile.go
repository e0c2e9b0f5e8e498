package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Profile is what is known of a table's values, of all rows unless a name in Approximate says otherwise. It is kept as
// JSON and read by analysts as part of profiles.json.
type Profile struct {
	SourceID       string           `json:"table_id"`
	Description    string           `json:"description"`
	PrimaryKey     string           `json:"primary_key"` // columns with ", " between
	SyncStrategy   string           `json:"sync_strategy"`
	RowCount       int64            `json:"row_count"`
	ColumnCount    int              `json:"column_count"`
	FileSizeMB     float64          `json:"file_size_mb"`
	Completeness   float64          `json:"avg_completeness"` // percent
	MissingCells   int64            `json:"missing_cells"`
	MissingPct     float64          `json:"missing_cells_pct"`
	DuplicateRows  *int64           `json:"duplicate_rows"` // rows less distinct primary keys; null = not known
	VariableTypes  map[string]int   `json:"variable_types"` // category to number of columns
	DateRange      *DateRange       `json:"date_range"`
	Alerts         []ProfileAlert   `json:"alerts"`
	Sampled        bool             `json:"sampled"` // always false: every row is read
	Approximate    []string         `json:"approximate,omitempty"`
	LastSync       time.Time        `json:"last_sync,omitzero"`
	RelatedTables  []RelatedTable   `json:"related_tables"`
	UsedByMetrics  []MetricUse      `json:"used_by_metrics"`
	Columns        []ColumnProfile  `json:"columns"`
	SampleRows     []map[string]any `json:"sample_rows"` // values are text or null
	Stale          bool             `json:"_stale,omitempty"`
	ProfiledAt     time.Time        `json:"profiled_at,omitzero"`
	PartitionCount int              `json:"file_count"`
}

// DateRange is the span of a table's first date column that has values.
type DateRange struct {
	Earliest string `json:"earliest"`
	Latest   string `json:"latest"`
	SpanDays int64  `json:"span_days"`
}

// ProfileAlert is something about a column that a reader should know: constant, unique, high_missing, missing, imbalance,
// high_cardinality, zeros or skew.
type ProfileAlert struct {
	Column  string `json:"column"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

// RelatedTable is a join with another table, as declared or as names suggest it.
type RelatedTable struct {
	Table         string `json:"table"`
	SourceID      string `json:"table_id"`
	JoinColumn    string `json:"join_column"`
	ForeignColumn string `json:"foreign_column"`
	Direction     string `json:"direction"` // belongs_to or has_many
	Description   string `json:"description"`
	Suggested     bool   `json:"suggested,omitempty"`      // by its name, nobody declared it
	Checked       int64  `json:"checked_values,omitempty"` // of the referring column
	Orphans       int64  `json:"orphan_values,omitempty"`  // checked ones that the other table does not have
	Unchecked     string `json:"unchecked_because,omitempty"`
}

// MetricUse names a business metric that reads a table.
type MetricUse struct {
	Name string `json:"name"`
	File string `json:"file"`
}

// ColumnProfile is what is known of a column's values. Of Numbers, Texts, Dates and Booleans at most one is set. A
// sensitive column has counts alone.
type ColumnProfile struct {
	Name         string        `json:"name"`
	Type         string        `json:"type"`          // as DuckDB calls it
	Category     string        `json:"type_category"` // BOOLEAN, DATE, TIMESTAMP, NUMERIC or STRING
	Completeness float64       `json:"completeness_pct"`
	Nulls        int64         `json:"null_count"`
	Unique       int64         `json:"unique_count"`
	UniquePct    float64       `json:"unique_pct"` // of values that are not null
	SampleValues []string      `json:"sample_values"`
	IsPrimaryKey bool          `json:"is_primary_key"`
	Sensitive    bool          `json:"sensitive,omitempty"`
	Approximate  []string      `json:"approximate,omitempty"` // fields that are estimates
	Alerts       []string      `json:"alerts"`
	Numbers      *NumberStats  `json:"numeric_stats,omitempty"`
	Texts        *TextStats    `json:"string_stats,omitempty"`
	Dates        *DateStats    `json:"date_stats,omitempty"`
	Booleans     *BooleanStats `json:"boolean_stats,omitempty"`
}

// NumberStats are of the finite values of a numeric column. Min and Max are exact, with all their digits.
type NumberStats struct {
	Min         json.Number `json:"min,omitempty"`
	Max         json.Number `json:"max,omitempty"`
	Mean        *float64    `json:"mean"`
	Median      *float64    `json:"median"`
	StdDev      *float64    `json:"stddev"`
	P5          *float64    `json:"p5"`
	P25         *float64    `json:"p25"`
	P75         *float64    `json:"p75"`
	P95         *float64    `json:"p95"`
	Zeros       int64       `json:"zeros"`
	ZerosPct    float64     `json:"zeros_pct"`
	Negative    int64       `json:"negative"`
	NegativePct float64     `json:"negative_pct"`
	NonFinite   int64       `json:"non_finite,omitempty"` // NaN and infinities, which the other figures leave out
	Histogram   *Histogram  `json:"histogram"`
}

// Histogram has a count for each bin; a bin's name is its bounds, or a quarter such as 2024-Q1.
type Histogram struct {
	Bins   []string `json:"bins"`
	Counts []int64  `json:"counts"`
}

// TextStats are of text columns; lengths are in characters. Top values come where there are few distinct ones, or where
// some stand out.
type TextStats struct {
	MinLength int64      `json:"min_length"`
	MaxLength int64      `json:"max_length"`
	AvgLength float64    `json:"avg_length"`
	TopValues []TopValue `json:"top_values"`
}

// TopValue is a frequent text.
type TopValue struct {
	Value string  `json:"value"`
	Count int64   `json:"count"`
	Pct   float64 `json:"pct"` // of values that are not null
}

// DateStats are of date and timestamp columns.
type DateStats struct {
	Earliest  string     `json:"earliest"`
	Latest    string     `json:"latest"`
	SpanDays  int64      `json:"span_days"`
	Histogram *Histogram `json:"histogram"`
}

// BooleanStats are of boolean columns.
type BooleanStats struct {
	True    int64   `json:"true_count"`
	False   int64   `json:"false_count"`
	TruePct float64 `json:"true_pct"`
}

// ProfileState tells what a stored profile was made of.
type ProfileState struct {
	Key      string // of the files and what was asked of them
	LinksKey string // of the related tables' files, too
	Stale    bool
}

// ProfileState gives what the profile of a table was made of; the zero state when there is none.
func (s *Store) ProfileState(ctx context.Context, tableID int64) (st ProfileState, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT key, links_key, stale FROM profiles WHERE table_id = ?`, tableID).Scan(&st.Key, &st.LinksKey, &st.Stale)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return st, fmt.Errorf("database: %w", err)
	}
	return st, nil
}

// SaveProfile stores a table's profile in place of the last one, and of the parts it was put together from those that
// are given; others are dropped.
func (s *Store) SaveProfile(ctx context.Context, tableID int64, key string, p *Profile, parts map[string][]byte) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO profiles (table_id, key, stats, changed_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (table_id) DO UPDATE SET key = excluded.key, stats = excluded.stats, changed_at = excluded.changed_at, stale = 0`,
			tableID, key, string(text), nanos(s.now())); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		have, err := stringSet(ctx, tx, `SELECT key FROM profile_parts WHERE table_id = ?`, tableID)
		if err != nil {
			return err
		}
		for k := range have {
			if _, keep := parts[k]; !keep {
				if _, err := tx.ExecContext(ctx, `DELETE FROM profile_parts WHERE table_id = ? AND key = ?`, tableID, k); err != nil {
					return fmt.Errorf("profile: %w", err)
				}
			}
		}
		for k, state := range parts {
			if state == nil || have[k] {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO profile_parts (table_id, key, state) VALUES (?, ?, ?)`, tableID, k, state); err != nil {
				return fmt.Errorf("profile: %w", err)
			}
		}
		return nil
	})
}

// ProfilePart gives what is kept of a part of a table; nil when nothing is.
func (s *Store) ProfilePart(ctx context.Context, tableID int64, key string) (state []byte, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT state FROM profile_parts WHERE table_id = ? AND key = ?`, tableID, key).Scan(&state)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("database: %w", err)
	}
	return state, nil
}

// SaveProfileLinks stores the joins that a profiled table has with others as the one that refers to them.
func (s *Store) SaveProfileLinks(ctx context.Context, tableID int64, key string, links []RelatedTable) error {
	text, err := json.Marshal(links)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	_, err = s.w.ExecContext(ctx, `UPDATE profiles SET links_key = ?, changed_at = CASE WHEN links = ? THEN changed_at ELSE ? END, links = ? WHERE table_id = ?`,
		key, string(text), nanos(s.now()), string(text), tableID)
	return err
}

// StaleProfile notes that a table's profile could not be renewed and tells of older rows.
func (s *Store) StaleProfile(ctx context.Context, tableID int64) error {
	_, err := s.w.ExecContext(ctx, `UPDATE profiles SET stale = 1, changed_at = ? WHERE table_id = ? AND NOT stale`, nanos(s.now()), tableID)
	return err
}
