package bigquery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"aida/config/strict"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/source"

	bq "google.golang.org/api/bigquery/v2"
)

// plan is what a read of a table comes to.
type plan struct {
	name      string // folder.name
	ref       reference
	meta      *bq.Table
	fields    []*bq.TableFieldSchema // chosen, in the order of the file
	columns   []columnar.ArrowColumn
	order     []string
	condition string // of rows, in SQL; "" = all
	rowFilter string
	query     string // "" = the table is read directly
	warnings  []string

	fingerprint string
	dataTime    time.Time
}

func newPlan(r source.Request, ref reference, meta *bq.Table, only []string, now time.Time) (*plan, error) {
	if meta.Schema == nil || len(meta.Schema.Fields) == 0 {
		return nil, fmt.Errorf("BigQuery table %s has no columns", ref)
	}
	t := r.Table
	p := &plan{name: t.FullName(), ref: ref, meta: meta, rowFilter: t.RowFilter}
	if err := errors.Join(p.choose(t, only), p.conditions(t, r.Window, now)); err != nil {
		return nil, err
	}
	if t.RowFilter != "" {
		if err := checkFilter(t.RowFilter); err != nil {
			return nil, fmt.Errorf("row_filter: %w", err)
		}
	}
	stored := meta.Type == "TABLE" || meta.Type == "SNAPSHOT" || meta.Type == ""
	if !stored || t.RowFilter != "" {
		p.query = p.sql()
	}
	if meta.RequirePartitionFilter && p.condition == "" && p.query == "" {
		return nil, fmt.Errorf("BigQuery table %s can only be read with a condition on its partition column: set max_history_days with partition_by, or row_filter", ref)
	}
	p.dataTime = time.UnixMilli(int64(meta.LastModifiedTime)).UTC()
	lasting := stored && meta.StreamingBuffer == nil && lastingFilter(t.RowFilter)
	if !lasting || meta.LastModifiedTime == 0 {
		p.dataTime = now.UTC()
	}
	return p, p.sign(t, lasting, now)
}

func (p *plan) wholeTable() bool { return p.query == "" && p.condition == "" }

// sql is the query that gives the plan's rows.
func (p *plan) sql() string {
	var names, conditions []string
	for _, f := range p.fields {
		names = append(names, quoteName(f.Name))
	}
	if p.condition != "" {
		conditions = append(conditions, "("+p.condition+")")
	}
	if p.rowFilter != "" { // a comment at its end must not swallow the parenthesis
		conditions = append(conditions, "(\n"+p.rowFilter+"\n)")
	}
	q := "SELECT " + strings.Join(names, ", ") + " FROM " + p.ref.sql()
	if len(conditions) > 0 {
		q += " WHERE " + strings.Join(conditions, " AND ")
	}
	return q
}

// choose finds the columns and their types.
func (p *plan) choose(t datadoc.Table, only []string) error {
	declared := map[string]datadoc.Column{}
	chosen := only
	for _, c := range t.Columns {
		if c.Plain && only == nil {
			chosen = append(chosen, c.Name)
		}
		declared[c.Name] = c
	}
	if chosen == nil {
		for _, f := range p.meta.Schema.Fields {
			chosen = append(chosen, f.Name)
		}
	}
	var problems []error
	for _, c := range t.Columns {
		if _, err := p.field(c.Name); err != nil && !slices.Contains(chosen, c.Name) {
			problems = append(problems, err)
		}
	}
	for _, name := range chosen {
		f, err := p.field(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c, warning, err := arrowColumn(f, declared[name])
		if err != nil {
			problems = append(problems, fmt.Errorf("column %s: %w", name, err))
			continue
		}
		if warning != "" {
			p.warnings = append(p.warnings, "column "+name+": "+warning)
		}
		p.fields, p.columns = append(p.fields, f), append(p.columns, c)
	}
	for _, name := range t.PrimaryKey {
		if slices.Contains(chosen, name) {
			p.order = append(p.order, name)
		} else if _, err := p.field(name); err != nil {
			p.warnings = append(p.warnings, "primary_key: "+err.Error())
		}
	}
	return errors.Join(problems...)
}

func (p *plan) field(name string) (*bq.TableFieldSchema, error) {
	var names []string
	for _, f := range p.meta.Schema.Fields {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	err := fmt.Errorf("column %s is described but BigQuery table %s does not have it", name, p.ref)
	if near := strict.Nearest(name, names); near != "" {
		err = fmt.Errorf("%w: did you mean %q", err, near)
	}
	return nil, err
}

// layoutVersion is part of every fingerprint; raising it makes each table be read anew, as the writer has changed.
const layoutVersion = 1

// sign names one state of the table together with all that decides which of its rows are taken and how they are written.
// The window is no part of it: a table that is as it was has no changes in any window.
func (p *plan) sign(t datadoc.Table, lasting bool, now time.Time) error {
	var types []string
	for _, c := range p.columns {
		types = append(types, c.Name, c.Type.String(), c.Format)
	}
	history := ""
	if t.MaxHistoryDays > 0 {
		history = historyStart(t, now).Format(time.DateOnly)
	}
	state := stateOf(p.meta)
	if !lasting {
		state = now.Format(time.RFC3339Nano)
	}
	text, err := json.Marshal([]any{layoutVersion, p.ref.String(), state, types, p.order, t.WhereFilters, t.RowFilter, history})
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(text)
	p.fingerprint = "bigquery:" + hex.EncodeToString(sum[:16])
	return nil
}

// stateOf names one state of a stored table.
func stateOf(m *bq.Table) string {
	return fmt.Sprintf("%s %d %d %d", m.Etag, m.LastModifiedTime, m.NumRows, m.NumBytes)
}

var (
	calls   = regexp.MustCompile("(?i)([\\w`]+)\\s*\\(")
	changes = regexp.MustCompile(`(?i)\bcurrent_|\bselect\b|@`)
)

// lastingFilter tells whether the same rows pass a filter at any time: it calls no function and looks at no other table.
func lastingFilter(s string) bool {
	for _, m := range calls.FindAllStringSubmatch(s, -1) {
		switch strings.ToLower(m[1]) {
		case "in", "and", "or", "not", "between", "like":
		default:
			return false
		}
	}
	return !changes.MatchString(s)
}
