package bigquery

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aida/syncer/datadoc"
	"aida/syncer/source"

	bq "google.golang.org/api/bigquery/v2"
)

// conditions makes one SQL condition of where_filters, max_history_days and the window. Every value stands in it as a
// literal of its column's type that was checked and written by this package, never as text of the description.
func (p *plan) conditions(t datadoc.Table, w source.Window, now time.Time) error {
	var all []string
	var problems []error
	add := func(c string, err error) {
		if err != nil {
			problems = append(problems, err)
		} else if c != "" {
			all = append(all, c)
		}
	}
	for _, f := range t.WhereFilters {
		c, err := p.filter(f)
		if err != nil {
			err = fmt.Errorf("where_filters: column %s: %w", f.Column, err)
		}
		add(c, err)
	}
	if t.MaxHistoryDays > 0 {
		c, err := p.between(timeColumn(t), historyStart(t, now), time.Time{})
		if c != "" {
			c = "(" + c + " OR " + quoteName(timeColumn(t)) + " IS NULL)"
		}
		add(c, err)
	}
	if !w.All() {
		c, err := p.between(timeColumn(t), w.Since, w.Until)
		if w.Since.IsZero() && c != "" { // rows that never got a time count as the oldest
			c = "(" + c + " OR " + quoteName(timeColumn(t)) + " IS NULL)"
		}
		add(c, err)
		p.pruned(timeColumn(t))
	}
	p.condition = strings.Join(all, " AND ")
	return errors.Join(problems...)
}

// historyStart is the first day that max_history_days keeps.
func historyStart(t datadoc.Table, now time.Time) time.Time {
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -t.MaxHistoryDays)
}

var operators = map[string]string{"eq": "=", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}

// filter: several values are alternatives, except that ne wants none of them.
func (p *plan) filter(f datadoc.Filter) (string, error) {
	field, err := p.field(f.Column)
	if err != nil {
		return "", err
	}
	op, ok := operators[f.Operator]
	if !ok || len(f.Values) == 0 {
		return "", fmt.Errorf("operator %q with %d values: use eq, ne, gt, ge, lt or le and at least one value", f.Operator, len(f.Values))
	}
	var parts []string
	for _, v := range f.Values {
		l, err := literal(field, v)
		if err != nil {
			return "", err
		}
		parts = append(parts, quoteName(f.Column)+" "+op+" "+l)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	join := " OR "
	if f.Operator == "ne" {
		join = " AND "
	}
	return "(" + strings.Join(parts, join) + ")", nil
}

// between bounds a time column. Bounds of a DATE column are the days that hold them, so that no row of the window is lost.
func (p *plan) between(column string, since, until time.Time) (string, error) {
	if column == "" {
		return "", errors.New("a window of changes needs incremental_column or partition_by")
	}
	kind := map[string]string{"_PARTITIONTIME": "TIMESTAMP", "_PARTITIONDATE": "DATE"}[column]
	if kind == "" {
		f, err := p.field(column)
		if err != nil {
			return "", err
		}
		if kind = f.Type; f.Mode == "REPEATED" {
			kind = "REPEATED"
		}
	}
	var parts []string
	bound := func(op string, at time.Time, up bool) error {
		at = at.UTC()
		unit := time.Microsecond
		if kind == "DATE" {
			unit = 24 * time.Hour
		}
		if cut := at.Truncate(unit); up && cut.Before(at) {
			at = cut.Add(unit)
		} else {
			at = cut
		}
		switch kind {
		case "TIMESTAMP":
			parts = append(parts, quoteName(column)+op+"TIMESTAMP '"+at.Format("2006-01-02 15:04:05.000000")+"+00:00'")
		case "DATETIME":
			parts = append(parts, quoteName(column)+op+"DATETIME '"+at.Format("2006-01-02 15:04:05.000000")+"'")
		case "DATE":
			parts = append(parts, quoteName(column)+op+"DATE '"+at.Format(time.DateOnly)+"'")
		default:
			return fmt.Errorf("column %s is %s: a window of changes needs a TIMESTAMP, DATETIME or DATE column", column, kind)
		}
		return nil
	}
	var err error
	if !since.IsZero() {
		err = bound(" >= ", since, false)
	}
	if !until.IsZero() && err == nil {
		err = bound(" < ", until, true)
	}
	if err != nil {
		return "", err
	}
	return strings.Join(parts, " AND "), nil
}

// pruned warns when BigQuery has to read the whole table to find the rows of a window.
func (p *plan) pruned(column string) {
	m := p.meta
	switch {
	case m.Type != "TABLE", strings.HasPrefix(column, "_PARTITION"):
	case m.TimePartitioning != nil && m.TimePartitioning.Field == column:
	case m.Clustering != nil && slices.Contains(m.Clustering.Fields, column):
	default:
		p.warnings = append(p.warnings, fmt.Sprintf("BigQuery table %s is neither partitioned nor clustered by %s, so every look for changes reads all of it", p.ref, column))
	}
}

var (
	wholeNumber   = regexp.MustCompile(`^[+-]?[0-9]{1,19}$`)
	decimalNumber = regexp.MustCompile(`^[+-]?([0-9]{1,39}(\.[0-9]{0,38})?|\.[0-9]{1,38})$`)
)

// literal writes a value as SQL of its column's type.
func literal(f *bq.TableFieldSchema, v string) (string, error) {
	wrong := func(like string) (string, error) {
		return "", fmt.Errorf("%q is no %s value: write it as %s", v, f.Type, like)
	}
	if f.Mode == "REPEATED" {
		return "", errors.New("it holds arrays, which cannot be compared: use row_filter")
	}
	switch f.Type {
	case "STRING":
		return quoteText(v), nil
	case "INTEGER", "INT64":
		if _, err := strconv.ParseInt(v, 10, 64); err != nil || !wholeNumber.MatchString(v) {
			return wrong("42")
		}
		return v, nil
	case "NUMERIC", "BIGNUMERIC":
		if !decimalNumber.MatchString(v) {
			return wrong("12.50")
		}
		return f.Type + " '" + v + "'", nil
	case "FLOAT", "FLOAT64":
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return wrong("1.5")
		}
		return strconv.FormatFloat(n, 'e', -1, 64), nil
	case "BOOLEAN", "BOOL":
		b, err := strconv.ParseBool(strings.ToLower(v))
		if err != nil {
			return wrong("true or false")
		}
		return strings.ToUpper(strconv.FormatBool(b)), nil
	case "DATE":
		at, err := time.Parse(time.DateOnly, v)
		if err != nil {
			return wrong("2026-03-01")
		}
		return "DATE '" + at.Format(time.DateOnly) + "'", nil
	case "TIMESTAMP":
		at, ok := parseMoment(v)
		if !ok {
			return wrong("2026-03-01 or 2026-03-01T10:00:00Z")
		}
		return "TIMESTAMP '" + at.UTC().Format("2006-01-02 15:04:05.000000") + "+00:00'", nil
	case "DATETIME":
		at, ok := parseMoment(v)
		if !ok || strings.HasSuffix(v, "Z") {
			return wrong("2026-03-01 or 2026-03-01T10:00:00")
		}
		return "DATETIME '" + at.Format("2006-01-02 15:04:05.000000") + "'", nil
	case "TIME":
		at, err := time.Parse("15:04:05.999999", v)
		if err != nil {
			return wrong("10:00:00")
		}
		return "TIME '" + at.Format("15:04:05.000000") + "'", nil
	}
	return "", fmt.Errorf("%s values cannot be compared in where_filters: use row_filter", f.Type)
}

// parseMoment reads a date or a time; without a zone it is UTC.
func parseMoment(v string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02 15:04:05.999999Z07:00"} {
		if at, err := time.Parse(layout, v); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
