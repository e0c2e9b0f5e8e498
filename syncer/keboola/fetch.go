package keboola

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/source"
)

// Fetch asks for the table's detail, and tells by its change times whether there is anything new. Rows are exported when
// the answer's Data is read, so that a dry run costs the project nothing.
func (s *Source) Fetch(ctx context.Context, r source.Request) (*source.Result, error) {
	return s.fetch(ctx, r, nil)
}

// Keys is Fetch with the primary key's columns alone, which makes a small export.
func (s *Source) Keys(ctx context.Context, r source.Request) (*source.Result, error) {
	if len(r.Table.PrimaryKey) == 0 {
		return nil, fmt.Errorf("keboola: table %s: keys cannot be listed without a primary_key", r.Table.FullName())
	}
	return s.fetch(ctx, r, r.Table.PrimaryKey)
}

// CanWindow is nil for every table: Keboola keeps the import time of each row.
func (s *Source) CanWindow(datadoc.Table) error { return nil }

// CanFilter refuses row_filter, which is SQL. max_history_days is by import time, as windows are.
func (s *Source) CanFilter(t datadoc.Table) error {
	if t.RowFilter != "" {
		return errors.New("row_filter is SQL, which the Storage API does not take: write the condition as where_filters")
	}
	return nil
}

func (s *Source) fetch(ctx context.Context, r source.Request, only []string) (*source.Result, error) {
	res, err := s.look(ctx, r, only)
	if err != nil {
		return nil, fmt.Errorf("keboola: table %s: %w", r.Table.FullName(), err)
	}
	return res, nil
}

func (s *Source) look(ctx context.Context, r source.Request, only []string) (*source.Result, error) {
	if err := s.CanFilter(r.Table); err != nil {
		return nil, err
	}
	if _, err := s.Check(ctx); err != nil {
		return nil, err
	}
	d, err := s.table(ctx, r.Table.ID)
	if err != nil {
		return nil, err
	}
	columns, err := d.columnsOf(r.Table, r.Types, only)
	if err != nil {
		return nil, err
	}
	filters, err := d.filters(r.Table)
	if err != nil {
		return nil, err
	}
	oldest := oldest(r.Table, time.Now())
	res := &source.Result{DataTime: cmp.Or(d.changed(), d.Created.Time, time.Now().UTC()), Size: -1}
	if res.Fingerprint, err = s.digest(d, columns, filters, oldest, r.Table.OnBadRow); err != nil {
		return nil, err
	}
	if oldest.After(r.Window.Since) {
		r.Window.Since = oldest
	}
	if d.Bytes != nil && r.Window.All() && only == nil && len(filters) == 0 {
		res.Size = *d.Bytes
	}
	if r.Window.All() && len(filters) == 0 {
		res.Rows = d.Rows
	}
	if res.Fingerprint == r.Known {
		return res, nil
	}
	res.Data = &data{s: s, r: r, detail: d, columns: columns, form: form(columns, filters, r.Window), size: res.Size}
	return res, nil
}

// oldest is the beginning of the day before which max_history_days wants nothing; zero without a limit. It moves once a
// day, and the fingerprint with it.
func oldest(t datadoc.Table, now time.Time) time.Time {
	if t.MaxHistoryDays == 0 {
		return time.Time{}
	}
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -t.MaxHistoryDays)
}

// layoutVersion is part of every fingerprint; raising it makes each table convert anew, as the writer has changed.
const layoutVersion = 1

// digest names the state of a table together with all that decides how it becomes Parquet. A table that does not say
// when it changed, as some aliases, is in a new state each time.
func (s *Source) digest(d *detail, columns []columnar.Column, filters []filter, oldest time.Time, onBad string) (string, error) {
	state := []any{layoutVersion, s.base.Host, d.ID, d.LastImport.Time, d.LastChange.Time, d.Created.Time, d.Rows, filters, oldest, onBad}
	for _, c := range columns {
		state = append(state, c.Name, c.Type.String(), c.Format)
	}
	if d.changed().IsZero() && d.IsAlias {
		state = append(state, time.Now().UnixNano())
	}
	text, err := json.Marshal(state)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(text)
	return "keboola:" + hex.EncodeToString(sum[:16]), nil
}

// filter is a where filter as the API takes it.
type filter struct {
	Column, Operator string
	Values           []string
	DataType         string // what numbers are compared as; "" = as text
}

// filters checks the description's filters. They hold together, values of one are alternatives.
func (d *detail) filters(t datadoc.Table) ([]filter, error) {
	var out []filter
	for _, f := range t.WhereFilters {
		if !slices.Contains(d.Columns, f.Column) {
			return nil, fmt.Errorf("where_filters: %w", d.missing(f.Column, "filtered by"))
		}
		g := filter{Column: f.Column, Operator: f.Operator, Values: f.Values}
		if f.Operator != "eq" && f.Operator != "ne" {
			if len(f.Values) != 1 {
				return nil, fmt.Errorf("where_filters: column %s: operator %s compares with one value, there are %d", f.Column, f.Operator, len(f.Values))
			}
			typ, err := d.column(f.Column, t.Columns, nil)
			if err != nil {
				return nil, err
			}
			g.DataType = comparedAs(typ.Type.Kind)
		}
		out = append(out, g)
	}
	return out, nil
}

// comparedAs: without a data type the API compares text, for which 9 is larger than 10.
func comparedAs(k columnar.Kind) string {
	switch k {
	case columnar.Int64:
		return "INTEGER"
	case columnar.Float64, columnar.Decimal:
		return "DOUBLE"
	}
	return ""
}

// form is the body of an export request. Columns are always named, so that their order and number are ours even when
// the table gets another column before the export runs.
func form(columns []columnar.Column, filters []filter, w source.Window) map[string][]string {
	out := map[string][]string{"gzip": {"1"}, "format": {"rfc"}}
	names := ""
	for i, c := range columns {
		if i > 0 {
			names += ","
		}
		names += c.Name
	}
	out["columns"] = []string{names}
	for i, f := range filters {
		key := "whereFilters[" + strconv.Itoa(i) + "]"
		out[key+"[column]"] = []string{f.Column}
		out[key+"[operator]"] = []string{f.Operator}
		for j, v := range f.Values {
			out[key+"[values]["+strconv.Itoa(j)+"]"] = []string{v}
		}
		if f.DataType != "" {
			out[key+"[dataType]"] = []string{f.DataType}
		}
	}
	// Both bounds are whole seconds: rather a row twice than one not at all.
	if !w.Since.IsZero() {
		out["changedSince"] = []string{strconv.FormatInt(w.Since.Unix(), 10)}
	}
	if !w.Until.IsZero() {
		until := w.Until
		if until.Nanosecond() > 0 {
			until = until.Add(time.Second)
		}
		out["changedUntil"] = []string{strconv.FormatInt(until.Unix(), 10)}
	}
	return out
}
