package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProfilesVersion is the form of profiles.json.
const ProfilesVersion = "1.0"

// ProfilesChangedAt is when a profile last changed. It is one cheap read.
func (s *Store) ProfilesChangedAt(ctx context.Context) (time.Time, error) {
	var at int64
	if err := s.r.QueryRowContext(ctx, `SELECT COALESCE(MAX(changed_at), 0) FROM profiles`).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("database: %w", err)
	}
	return fromNanos(at), nil
}

// Profile gives the profile of one table as a user sees it: nothing of tables outside the access, no values of columns
// that are sensitive now. It is a NotFound error when the user does not read the table or it has no profile yet.
func (s *Store) Profile(ctx context.Context, a *Access, tableID int64) (*Profile, error) {
	var out *Profile
	err := s.profiles(ctx, a, func(t Table, p *Profile) error {
		if t.ID == tableID {
			out = p
		}
		return nil
	})
	if err == nil && out == nil {
		err = refuse(NotFound, "it is made after the next sync of the table", "there is no profile")
	}
	return out, err
}

// profiles gives the profiles of all tables that a user reads, in the order of the access.
func (s *Store) profiles(ctx context.Context, a *Access, each func(Table, *Profile) error) error {
	links, err := s.profileLinks(ctx, a)
	if err != nil {
		return err
	}
	uses, err := s.metricUses(ctx, a)
	if err != nil {
		return err
	}
	for _, t := range a.Tables {
		var text string
		var at int64
		var stale bool
		err := s.r.QueryRowContext(ctx, `SELECT stats, changed_at, stale FROM profiles WHERE table_id = ?`, t.ID).Scan(&text, &at, &stale)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		p := &Profile{}
		if err := json.Unmarshal([]byte(text), p); err != nil {
			return fmt.Errorf("table %s: profile: %w", t.FullName(), err)
		}
		p.SourceID, p.Description, p.SyncStrategy = t.SourceID, t.Definition.Description, t.Definition.SyncStrategy
		p.PrimaryKey, p.ProfiledAt, p.Stale = strings.Join(t.Definition.PrimaryKey, ", "), fromNanos(at), stale
		p.RelatedTables = append([]RelatedTable{}, links[t.ID]...)
		p.UsedByMetrics = append([]MetricUse{}, uses[t.ID]...)
		p.hide(t.Definition)
		if err := each(t, p); err != nil {
			return err
		}
	}
	return nil
}

// profileLinks gives the joins of each table, in both directions, between tables that the user reads.
func (s *Store) profileLinks(ctx context.Context, a *Access) (map[int64][]RelatedTable, error) {
	bySource := map[string]Table{}
	byID := map[int64]Table{}
	for _, t := range a.Tables {
		bySource[t.SourceID], byID[t.ID] = t, t
	}
	type row struct {
		id   int64
		text string
	}
	rows, err := collect(ctx, s.r, func(r *sql.Rows) (row, error) {
		var v row
		return v, r.Scan(&v.id, &v.text)
	}, `SELECT p.table_id, p.links FROM profiles p JOIN tables t ON t.id = p.table_id WHERE p.links <> '[]' ORDER BY t.folder, t.name`)
	if err != nil {
		return nil, err
	}
	out := map[int64][]RelatedTable{}
	for _, r := range rows {
		child, ok := byID[r.id]
		if !ok {
			continue
		}
		var links []RelatedTable
		if err := json.Unmarshal([]byte(r.text), &links); err != nil {
			return nil, fmt.Errorf("table %s: profile: %w", child.FullName(), err)
		}
		for _, l := range links {
			parent, ok := bySource[l.SourceID]
			if !ok {
				continue
			}
			l.Table, l.Direction = parent.Name, "belongs_to"
			out[child.ID] = append(out[child.ID], l)
			back := l
			back.Table, back.SourceID, back.Direction = child.Name, child.SourceID, "has_many"
			back.JoinColumn, back.ForeignColumn = l.ForeignColumn, l.JoinColumn
			out[parent.ID] = append(out[parent.ID], back)
		}
	}
	return out, nil
}

// hide takes the values of columns that are sensitive out: also of those that became so after the profile was made.
func (p *Profile) hide(d Definition) {
	for _, doc := range d.Columns {
		if !doc.Sensitive {
			continue
		}
		for i := range p.Columns {
			if c := &p.Columns[i]; c.Name == doc.Name {
				p.HideColumn(i)
			}
		}
	}
}

// HiddenValue stands in sample rows for the value of a sensitive column.
const HiddenValue = "(hidden)"

// HideColumn leaves only counts of a column.
func (p *Profile) HideColumn(i int) {
	c := &p.Columns[i]
	c.Sensitive, c.SampleValues = true, []string{}
	if c.Dates != nil && p.DateRange != nil && p.DateRange.Earliest == c.Dates.Earliest && p.DateRange.Latest == c.Dates.Latest {
		p.DateRange = nil
	}
	c.Numbers, c.Texts, c.Dates, c.Booleans = nil, nil, nil, nil
	keep := func(kind string) bool { return kind != "imbalance" && kind != "zeros" && kind != "skew" } // they tell of values
	c.Alerts = slices.DeleteFunc(slices.Clone(c.Alerts), func(a string) bool { return !keep(a) })
	p.Alerts = slices.DeleteFunc(slices.Clone(p.Alerts), func(a ProfileAlert) bool { return a.Column == c.Name && !keep(a.Type) })
	for _, row := range p.SampleRows {
		if row[c.Name] != nil {
			row[c.Name] = HiddenValue
		}
	}
}

// ProfilesJSON is profiles.json for a user.
func (s *Store) ProfilesJSON(ctx context.Context, a *Access) (string, error) {
	changed, err := s.ProfilesChangedAt(ctx)
	if err != nil {
		return "", err
	}
	names := map[string]int{}
	for _, t := range a.Tables {
		names[strings.ToLower(t.Name)]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n \"generated_at\": %q,\n \"version\": %q,\n \"tables\": {", changed.UTC().Format("2006-01-02T15:04:05Z"), ProfilesVersion)
	comma := "\n"
	err = s.profiles(ctx, a, func(t Table, p *Profile) error {
		name := t.Name
		if names[strings.ToLower(name)] > 1 {
			name = t.Folder + "_" + t.Name
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(p, "  ", " ")
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s: %s", comma, key, text)
		comma = ",\n"
		return nil
	})
	b.WriteString("\n }\n}\n")
	return b.String(), err
}
