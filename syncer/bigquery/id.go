package bigquery

import (
	"fmt"
	"regexp"
	"strings"
)

// reference names a table.
type reference struct{ project, dataset, table string }

var (
	projectName = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]*$`)
	datasetName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	tableName   = regexp.MustCompile(`^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd} $]+$`)
)

// parseID reads project.dataset.table, or dataset.table of the paying project. Projects of the form example.com:name have
// dots of their own.
func parseID(id, project string) (reference, error) {
	rest, table := cutLast(id)
	full, dataset := cutLast(rest)
	if full == "" {
		full = project
	}
	r := reference{full, dataset, table}
	switch {
	case !projectName.MatchString(r.project):
		return r, fmt.Errorf("id %q: %q is not the name of a Google Cloud project: write project.dataset.table", id, r.project)
	case !datasetName.MatchString(r.dataset):
		return r, fmt.Errorf("id %q: %q is not the name of a dataset: write project.dataset.table", id, r.dataset)
	case !tableName.MatchString(r.table):
		return r, fmt.Errorf("id %q: %q is not the name of a table: write project.dataset.table", id, r.table)
	}
	return r, nil
}

func cutLast(s string) (before, last string) {
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}

func (r reference) String() string { return r.project + "." + r.dataset + "." + r.table }

// sql is the table in a FROM clause. The parts hold no backquote.
func (r reference) sql() string { return "`" + r.project + "`.`" + r.dataset + "`.`" + r.table + "`" }

// path is the table as the Storage Read API names it.
func (r reference) path() string {
	return "projects/" + r.project + "/datasets/" + r.dataset + "/tables/" + r.table
}

// quoteName is a column in SQL (GoogleSQL, lexical structure: quoted identifiers take the escapes of strings).
func quoteName(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`", "\n", "\\n", "\r", "\\r").Replace(s) + "`"
}

// quoteText is a string literal in SQL.
func quoteText(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\\' || r == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r == 0x7F || r == 0x85 || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
