package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Metric is a business metric: a number that the company has agreed how to compute.
type Metric struct {
	Path        string            `json:"-"` // category/name.yml, as the file lies below metrics/
	Name        string            `json:"name"`
	DisplayName string            `json:"display_name"`
	Category    string            `json:"category"`
	Type        string            `json:"type,omitempty"`
	Unit        string            `json:"unit,omitempty"`
	Grain       string            `json:"grain,omitempty"`
	TimeColumn  string            `json:"time_column,omitempty"`
	Description string            `json:"description,omitempty"`
	Table       string            `json:"table,omitempty"`
	Tables      []string          `json:"tables,omitempty"`
	Expression  string            `json:"expression,omitempty"`
	Dimensions  []string          `json:"dimensions,omitempty"`
	Synonyms    []string          `json:"synonyms,omitempty"`
	Notes       []string          `json:"notes,omitempty"`
	Validation  *MetricValidation `json:"validation,omitempty"`
	SQL         []MetricSQL       `json:"sql,omitempty"`
	Guide       string            `json:"guide,omitempty"` // on how costs are allocated; Markdown

	Text      string    `json:"-"`                 // the file
	Problem   string    `json:"problem,omitempty"` // what is wrong with the file; then all but Path and Text is empty
	ChangedAt time.Time `json:"-"`
	Reads     []Table   `json:"-"` // the described tables that it needs; set by Metrics
}

// MetricValidation tells how the metric was checked, and what came of it.
type MetricValidation struct {
	Method string `json:"method,omitempty"`
	Result string `json:"result,omitempty"`
}

// MetricSQL is one way to compute a metric. Key is that of the file: sql, or sql_by_company.
type MetricSQL struct {
	Key   string `json:"key"`
	Query string `json:"query"`
}

// SetMetrics makes the metrics what their files say. What did not change keeps its time.
func (s *Store) SetMetrics(ctx context.Context, metrics []Metric) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		old, err := collect(ctx, tx, scanMetric, metricQuery)
		if err != nil {
			return err
		}
		have := map[string]Metric{}
		for _, m := range old {
			have[m.Path] = m
		}
		for _, m := range metrics {
			o, known := have[m.Path]
			delete(have, m.Path)
			if known && o.Text == m.Text && o.Problem == m.Problem {
				continue
			}
			text, err := json.Marshal(m)
			if err != nil {
				return fmt.Errorf("metric %s: %w", m.Path, err)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO metrics (path, definition, text, changed_at) VALUES (?, ?, ?, ?)
				ON CONFLICT (path) DO UPDATE SET definition = excluded.definition, text = excluded.text, changed_at = excluded.changed_at`,
				m.Path, string(text), m.Text, nanos(s.now())); err != nil {
				return fmt.Errorf("metric %s: %w", m.Path, err)
			}
		}
		for path := range have {
			if _, err := tx.ExecContext(ctx, `DELETE FROM metrics WHERE path = ?`, path); err != nil {
				return fmt.Errorf("metric %s: %w", path, err)
			}
		}
		return nil
	})
}

const metricQuery = `SELECT path, definition, text, changed_at FROM metrics ORDER BY path`

func scanMetric(rows *sql.Rows) (Metric, error) {
	var m Metric
	var path, definition, text string
	var at int64
	if err := rows.Scan(&path, &definition, &text, &at); err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(definition), &m); err != nil {
		return m, fmt.Errorf("metric %s: %w", path, err)
	}
	m.Path, m.Text, m.ChangedAt = path, text, fromNanos(at)
	return m, nil
}

// Metrics gives the metrics that a user may see, by path: those of which the user reads every table. A metric that names a
// table which nobody described is for admins alone, and so are files that could not be read.
func (s *Store) Metrics(ctx context.Context, a *Access) ([]Metric, error) {
	all, err := collect(ctx, s.r, scanMetric, metricQuery)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string][]Table{}
	for _, t := range tables {
		for _, n := range []string{t.SourceID, t.FullName(), t.Name} {
			n = strings.ToLower(n)
			if !slices.ContainsFunc(names[n], func(o Table) bool { return o.ID == t.ID }) {
				names[n] = append(names[n], t)
			}
		}
	}
	out := all[:0]
	for _, m := range all {
		if a.mayKnow(&m, names) {
			out = append(out, m)
		}
	}
	return out, nil
}

// mayKnow fills in the tables of a metric and tells whether the user may see it.
func (a *Access) mayKnow(m *Metric, names map[string][]Table) bool {
	admin := a.User.Role == Admin
	if m.Problem != "" {
		return admin
	}
	may := true
	need := func(name string, declared bool) {
		hits := names[strings.ToLower(name)]
		if len(hits) == 0 && declared {
			may = may && admin
		}
		for _, t := range hits {
			if !a.CanRead(t.ID) {
				may = false
			} else if !slices.ContainsFunc(m.Reads, func(o Table) bool { return o.ID == t.ID }) {
				m.Reads = append(m.Reads, t)
			}
		}
	}
	for _, n := range m.Names() {
		need(n, true)
	}
	for _, j := range m.Joins() {
		need(j.Table, false)
	}
	for _, q := range m.SQL {
		for _, n := range tablesOf(q.Query) {
			need(n, false) // many of these are names that the query gives itself
		}
	}
	return may
}

// Names are the tables that a metric is declared to read, the first one first.
func (m Metric) Names() (out []string) {
	for _, n := range append([]string{m.Table}, m.Tables...) {
		if n = strings.TrimSpace(n); n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// MetricJoin is a table that the notes of a metric say to join.
type MetricJoin struct{ Table, Via string }

var joinNote = regexp.MustCompile(`(?i)\bjoin(?:s|ed)? (?:to|with) (?:the )?` + "`?" + `([\w.]+)` + "`?" + `(?: table)? (?:via|on|by) ` + "`?" + `([\w.]*\w)`)

// Joins are the tables that the notes say to join: "join to X via Y".
func (m Metric) Joins() (out []MetricJoin) {
	for _, note := range m.Notes {
		for _, hit := range joinNote.FindAllStringSubmatch(note, -1) {
			out = append(out, MetricJoin{hit[1], hit[2]})
		}
	}
	return out
}

var (
	fromTable = regexp.MustCompile(`(?i)\b(?:from|join)\s+"?([\w.-]+)"?(?:\."?([\w-]+)"?)?`)
	fromFile  = regexp.MustCompile(`(?i)parquet/([\w.-]+)/([\w.-]+?)(?:\.parquet|/)`)
)

// tablesOf are the names that a query may read from.
func tablesOf(query string) (out []string) {
	for _, hit := range fromTable.FindAllStringSubmatch(query, -1) {
		name := hit[1]
		if hit[2] != "" {
			name += "." + hit[2]
		}
		out = append(out, name)
	}
	for _, hit := range fromFile.FindAllStringSubmatch(query, -1) {
		out = append(out, hit[1]+"."+hit[2])
	}
	return out
}

// metricUses tells by table which metrics of a user read it.
func (s *Store) metricUses(ctx context.Context, a *Access) (map[int64][]MetricUse, error) {
	list, err := s.Metrics(ctx, a)
	if err != nil {
		return nil, err
	}
	out := map[int64][]MetricUse{}
	for _, m := range list {
		for _, t := range m.Reads {
			out[t.ID] = append(out[t.ID], MetricUse{Name: m.DisplayName, File: m.Path})
		}
	}
	return out, nil
}
