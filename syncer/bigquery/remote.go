package bigquery

import (
	"fmt"
	"strings"

	"aida/syncer/datadoc"
)

// HowToQuery tells an analyst how to reach a table in BigQuery: from DuckDB by its community extension bigquery
// (https://duckdb.org/community_extensions/extensions/bigquery), and from the command line. Access is the analyst's own
// at Google; nothing of the appliance's credentials is in it.
func (s *Source) HowToQuery(t datadoc.Table) string {
	ref, err := parseID(t.ID, s.o.Project)
	if err != nil {
		return "It is in BigQuery, but its id cannot be read: " + err.Error() + ".\n"
	}
	payer := s.o.Project
	if payer == "" {
		payer = ref.project
	}
	columns := "*"
	var names []string
	for _, c := range t.Columns {
		if c.Plain {
			names = append(names, quoteName(c.Name))
		}
	}
	if names != nil {
		columns = strings.Join(names, ", ")
	}
	where := ""
	if c := timeColumn(t); c != "" {
		where = "\nWHERE " + quoteName(c) + " >= '2026-01-01'"
	}
	sql := "SELECT " + columns + "\nFROM " + ref.sql() + where + "\nLIMIT 1000"
	intro := "This table is not copied: it is only in BigQuery."
	if t.QueryMode == "hybrid" {
		intro = "This table is copied to parquet/" + t.Folder + "/ at each sync, and its newest rows can be queried in BigQuery."
	}
	local := "'" + strings.ReplaceAll(sql, "'", "''") + "'"
	return fmt.Sprintf("%s\nA query there runs and is paid for in the project `%s`, with your own Google account, which needs the roles `roles/bigquery.jobUser` on that project and\n"+
		"`roles/bigquery.dataViewer` on the data. It is paid for by the bytes of the columns that it reads, a LIMIT makes it no cheaper: name the columns, and\n"+
		"bound the days.\n\n```sh\ngcloud auth application-default login\n```\n\nIn DuckDB, where the result can be joined with the local tables:\n\n```sql\nINSTALL bigquery FROM community;\nLOAD bigquery;\n"+
		"CREATE OR REPLACE TEMP TABLE %s_live AS SELECT * FROM bigquery_query('%s', %s);\n```\n\nOn the command line, what it would read first, then the rows:\n\n```sh\nbq query --project_id=%s --use_legacy_sql=false --dry_run %s\nbq query --project_id=%s --use_legacy_sql=false --format=csv %s\n```\n",
		intro, payer, identifier(t.Name), payer, local, payer, shell(sql), payer, shell(sql))
}

// identifier makes a name that needs no quotes in SQL.
func identifier(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// shell quotes a word for sh.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
