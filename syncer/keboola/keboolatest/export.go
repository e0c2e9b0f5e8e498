package keboolatest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is an export as asked for.
type request struct {
	columns      []int
	gzip         bool
	since, until time.Time
	filters      map[string]*condition
}

type condition struct {
	column, operator, dataType string
	values                     map[string]string
}

var filterKey = regexp.MustCompile(`^whereFilters\[(\d+)\]\[(column|operator|dataType|values)\](?:\[(\d+)\])?$`)

// parseExport refuses what the API would ignore or misread.
func parseExport(t *table, form url.Values) (*request, error) {
	e := &request{filters: map[string]*condition{}}
	for key, v := range form {
		if len(v) != 1 {
			return nil, fmt.Errorf("%s is given %d times", key, len(v))
		}
		var err error
		switch m := filterKey.FindStringSubmatch(key); {
		case m != nil:
			err = e.filter(m, v[0])
		case key == "gzip":
			e.gzip = v[0] == "1" || v[0] == "true"
		case key == "format":
			if v[0] != "rfc" {
				err = fmt.Errorf("format %q", v[0])
			}
		case key == "columns":
			for _, name := range strings.Split(v[0], ",") {
				i := t.index(name)
				if i < 0 {
					return nil, fmt.Errorf("column %q is not in the table", name)
				}
				e.columns = append(e.columns, i)
			}
		case key == "changedSince":
			e.since, err = unix(v[0])
		case key == "changedUntil":
			e.until, err = unix(v[0])
		default:
			err = fmt.Errorf("parameter %q", key)
		}
		if err != nil {
			return nil, err
		}
	}
	if e.columns == nil {
		for i := range t.Columns {
			e.columns = append(e.columns, i)
		}
	}
	for n, f := range e.filters {
		if t.index(f.column) < 0 || len(f.values) == 0 || !slices.Contains([]string{"eq", "ne", "gt", "ge", "lt", "le"}, f.operator) ||
			!slices.Contains([]string{"", "INTEGER", "DOUBLE", "BIGINT", "REAL", "DECIMAL"}, f.dataType) {
			return nil, fmt.Errorf("whereFilters[%s]: %+v", n, *f)
		}
	}
	return e, nil
}

func (e *request) filter(m []string, v string) error {
	f := e.filters[m[1]]
	if f == nil {
		f = &condition{operator: "eq", values: map[string]string{}}
		e.filters[m[1]] = f
	}
	if (m[2] == "values") != (m[3] != "") {
		return fmt.Errorf("parameter %q", m[0])
	}
	switch m[2] {
	case "column":
		f.column = v
	case "operator":
		f.operator = v
	case "dataType":
		f.dataType = v
	case "values":
		f.values[m[3]] = v
	}
	return nil
}

func unix(v string) (time.Time, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a Unix timestamp", v)
	}
	return time.Unix(n, 0), nil
}

// takes tells whether an export has a row: import times from changedSince on, before changedUntil, in whole seconds.
func (e *request) takes(t *table, r Row) bool {
	at := r.At.Truncate(time.Second)
	if at.Before(e.since) || !e.until.IsZero() && !at.Before(e.until) {
		return false
	}
	for _, f := range e.filters {
		if !f.holds(r.Cells[t.index(f.column)]) {
			return false
		}
	}
	return true
}

func (f *condition) holds(c Cell) bool {
	if c.Null {
		return false
	}
	found := false
	for _, v := range f.values {
		order := strings.Compare(c.Text, v)
		if f.dataType != "" {
			a, err1 := strconv.ParseFloat(c.Text, 64)
			b, err2 := strconv.ParseFloat(v, 64)
			if err1 != nil || err2 != nil {
				continue // try_to_double gives null
			}
			order = int(min(max((a-b)*1e9, -1), 1))
		}
		switch f.operator {
		case "eq", "ne":
			found = found || order == 0
		case "gt":
			found = found || order > 0
		case "ge":
			found = found || order >= 0
		case "lt":
			found = found || order < 0
		case "le":
			found = found || order <= 0
		}
	}
	return found != (f.operator == "ne")
}

// slices writes the rows as CSV without a header, one text a slice.
func (s *Server) slices(t *table, e *request) [][]byte {
	var out [][]byte
	var b bytes.Buffer
	n := 0
	flush := func() {
		if n > 0 {
			out = append(out, pack(b.Bytes(), e.gzip))
		}
		b.Reset()
		n = 0
	}
	for _, r := range t.rows {
		if !e.takes(t, r) {
			continue
		}
		for i, at := range e.columns {
			if i > 0 {
				b.WriteByte(',')
			}
			s.cell(&b, t, t.Columns[at], r.Cells[at])
		}
		b.WriteByte('\n')
		if n++; n == s.o.SliceRows && !s.o.Unsliced {
			flush()
		}
	}
	if s.o.Unsliced {
		return [][]byte{pack(b.Bytes(), e.gzip)}
	}
	flush()
	return out
}

// cell writes as Snowflake unloads, text in quotes and nothing else, or as BigQuery exports, quotes only where needed.
func (s *Server) cell(b *bytes.Buffer, t *table, c Column, v Cell) {
	quoted := `"` + strings.ReplaceAll(v.Text, `"`, `""`) + `"`
	switch {
	case v.Null && t.Typed && t.Backend == "snowflake" && s.o.Cloud != GCP:
		b.WriteString(`\N`) // the default NULL_IF; on GCP it is set to nothing
	case v.Null && t.Typed:
	case v.Null:
		b.WriteString(`""`)
	case t.Backend == "bigquery" && v.Text != "" && !strings.ContainsAny(v.Text, "\",\r\n"):
		b.WriteString(v.Text)
	case t.Typed && c.Base != "STRING":
		b.WriteString(v.Text)
	default:
		b.WriteString(quoted)
	}
}

func pack(text []byte, zip bool) []byte {
	if !zip {
		return bytes.Clone(text)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}
