package datadoc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"aida/config/strict"
)

// safeName is what names and folders may be: one path component that is no hidden file, a plain DuckDB view name.
var safeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// resolve fills in folders, data sets and defaults, and checks all tables.
func (doc *Doc) resolve() (problems []error) {
	if len(doc.Tables) == 0 {
		problems = append(problems, fmt.Errorf("%s: no table is described: add a ```yaml block with a tables list", strings.Join(doc.Files, ", ")))
	}
	ids, places := map[string]*Table{}, map[string]*Table{}
	for i := range doc.Tables {
		t := &doc.Tables[i]
		fail := func(format string, args ...any) {
			problems = append(problems, &strict.Problem{File: t.File, Line: t.Line, Col: t.Col, Text: "table " + orID(t) + ": " + fmt.Sprintf(format, args...)})
		}
		t.resolve(doc.FolderMapping)
		t.check(fail)
		if first, twice := ids[t.ID]; twice && t.ID != "" {
			fail("id %s is described already in %s:%d", t.ID, first.File, first.Line)
		}
		if first, twice := places[strings.ToLower(t.FullName())]; twice {
			fail("%s is described already in %s:%d: give one of them another name or folder", t.FullName(), first.File, first.Line)
		}
		ids[t.ID], places[strings.ToLower(t.FullName())] = t, t
	}
	return problems
}

func orID(t *Table) string {
	if t.Name != "" {
		return t.Name
	}
	return t.ID
}

func (t *Table) resolve(mapping map[string]string) {
	bucket := ""
	if i := strings.LastIndexByte(t.ID, '.'); i > 0 {
		bucket = t.ID[:i]
	}
	if t.Folder == "" {
		t.Folder = mapping[bucket]
	}
	if t.Folder == "" {
		t.Folder = bucket
	}
	if t.Dataset == "" {
		t.Dataset = t.Folder
	}
	if t.PartitionBy != "" && t.PartitionGranularity == "" {
		t.PartitionGranularity = "month"
	}
	if t.Strategy == "incremental" && t.IncrementalWindow == 0 {
		t.IncrementalWindow = 7
	}
	if t.QueryMode == "" {
		t.QueryMode = "local"
	}
	for i := range t.WhereFilters {
		t.WhereFilters[i].Written = slices.Clone(t.WhereFilters[i].Values)
		for j, v := range t.WhereFilters[i].Values {
			t.WhereFilters[i].Values[j] = ResolvePlaceholders(v, time.Now())
		}
	}
}

func (t *Table) check(fail func(string, ...any)) {
	for _, k := range []struct{ key, value string }{{"id", t.ID}, {"name", t.Name}, {"description", t.Description}, {"sync_strategy", t.Strategy}} {
		if strings.TrimSpace(k.value) == "" {
			fail("%s needs a value", k.key)
		}
	}
	if len(t.PrimaryKey) == 0 {
		fail("primary_key needs a value: the column, or columns with commas between, that tell rows apart")
	}
	if t.Name != "" && (!safeName.MatchString(t.Name) || strings.Contains(t.Name, "..") || strings.HasSuffix(strings.ToLower(t.Name), ".parquet")) {
		fail("name %q cannot be a file name: use letters, digits, _ - and ., without .parquet", t.Name)
	}
	if !safeName.MatchString(t.Folder) || strings.Contains(t.Folder, "..") {
		fail("folder %q cannot be a folder name: set folder to letters, digits, _ - and .", t.Folder)
	}
	if !safeName.MatchString(t.Dataset) {
		fail("dataset %q: use letters, digits, _ - and .", t.Dataset)
	}
	oneOf := func(key, v string, allowed ...string) {
		if v != "" && !slices.Contains(allowed, v) {
			fail("%s: %q is not one of %s", key, v, strings.Join(allowed, ", "))
		}
	}
	oneOf("sync_strategy", t.Strategy, "full_refresh", "incremental", "partitioned")
	oneOf("partition_granularity", t.PartitionGranularity, "day", "month", "year", "value")
	oneOf("partition_column_type", t.PartitionColumnType, "DATE", "TIMESTAMP", "DATETIME")
	oneOf("query_mode", t.QueryMode, "local", "remote", "hybrid")
	oneOf("on_bad_row", t.OnBadRow, "fail", "quarantine")
	oneOf("schema", t.Schema, "evolve", "freeze", "quarantine")
	for _, c := range t.Columns {
		oneOf("columns: schema of "+c.Name, c.Schema, "evolve", "freeze", "quarantine")
	}
	if t.Strategy == "partitioned" && t.PartitionBy == "" {
		fail("sync_strategy partitioned needs partition_by")
	}
	for _, k := range []struct {
		key string
		v   int
	}{{"incremental_window_days", t.IncrementalWindow}, {"max_history_days", t.MaxHistoryDays}, {"initial_load_chunk_days", t.InitialLoadChunkDays}} {
		if k.v < 0 {
			fail("%s cannot be negative", k.key)
		}
	}
	if t.ReconcileMaxRemoved < 0 || t.ReconcileMaxRemoved > 100 {
		fail("reconcile_max_removed: %d is no percentage: write a number from 1 to 100", t.ReconcileMaxRemoved)
	}
	for _, f := range t.WhereFilters {
		oneOf("where_filters operator of "+f.Column, f.Operator, "eq", "ne", "gt", "ge", "lt", "le")
		if f.Column == "" || f.Operator == "" || len(f.Values) == 0 {
			fail("where_filters: each needs column, operator and values")
		}
	}
	for _, k := range t.ForeignKeys {
		if table, column, ok := strings.Cut(k.References, "."); k.Column == "" || !ok || table == "" || column == "" {
			fail("foreign_keys: column %q references %q: write it as table.column", k.Column, k.References)
		}
	}
	t.checkColumns(fail)
}

func (t *Table) checkColumns(fail func(string, ...any)) {
	plain, seen := 0, map[string]bool{}
	from := map[string]bool{}
	for _, c := range t.Columns {
		if c.RenamedFrom != "" && (c.RenamedFrom == c.Name || from[c.RenamedFrom]) {
			fail("columns: renamed_from %q of %q: two columns cannot come from one, nor one from itself", c.RenamedFrom, c.Name)
		}
		from[c.RenamedFrom] = true
		if c.Plain {
			plain++
		}
		if c.Name != "" && seen[c.Name] {
			fail("columns: %q is given twice", c.Name)
		}
		seen[c.Name] = true
	}
	if plain > 0 && plain < len(t.Columns) {
		fail("columns: a list is either of names, which chooses columns, or of maps, which describes them: write all as one of the two")
	}
}

var placeholders = []struct {
	name string
	days int
}{
	{"today", 0}, {"last_week", 7}, {"last_month", 30}, {"last_2_months", 60}, {"last_3_months", 90},
	{"last_6_months", 180}, {"last_year", 365}, {"last_2_years", 730},
}

// ResolvePlaceholders replaces {{today}}, {{last_month}} and the like with dates in UTC, written YYYY-MM-DD.
func ResolvePlaceholders(s string, now time.Time) string {
	for _, p := range placeholders {
		s = strings.ReplaceAll(s, "{{"+p.name+"}}", now.UTC().AddDate(0, 0, -p.days).Format(time.DateOnly))
	}
	return s
}
