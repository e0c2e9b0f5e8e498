package keboolatest

import (
	"slices"
	"strings"
	"time"
)

// Table is a table of the project.
type Table struct {
	ID          string
	Columns     []Column
	PrimaryKey  []string
	Description string
	Backend     string // default snowflake
	Typed       bool   // columns have native types and may be null; without, all cells are text
	AliasOf     string // another table, whose rows, notes and types it has
	Undated     bool   // it does not say when it changed
}

// Column is a column with what is known of it.
type Column struct {
	Name                 string
	Base, Native, Length string // of a typed table
	Notes                []Note
}

// Note is a remark on a column or table.
type Note struct {
	Key, Value, Provider string
	At                   time.Time
}

// BaseType is a remark by a provider on a column's base type.
func BaseType(provider, base string) []Note {
	return []Note{{Key: "KBC.datatype.basetype", Value: base, Provider: provider}}
}

// Row is a row with the time of its import.
type Row struct {
	Cells []Cell
	At    time.Time // zero = the moment of Put, by the stack's clock
}

// Cell is a text or a null.
type Cell struct {
	Text string
	Null bool
}

// Null is one.
var Null = Cell{Null: true}

// Cells makes cells of texts.
func Cells(texts ...string) (out []Cell) {
	for _, t := range texts {
		out = append(out, Cell{Text: t})
	}
	return out
}

// table is a Table with its rows.
type table struct {
	Table
	rows    []Row
	created time.Time
	changed time.Time
	version int
}

// Put makes these all rows of a table, which is made when there is none. The stack's clock moves on by a second.
func (s *Server) Put(t Table, rows []Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Second)
	if t.Backend == "" {
		t.Backend = "snowflake"
	}
	old := s.tables[t.ID]
	if old == nil {
		old = &table{created: s.now}
	}
	kept := slices.Clone(rows)
	for i := range kept {
		if kept[i].At.IsZero() {
			kept[i].At = s.now
		}
	}
	s.tables[t.ID] = &table{Table: t, rows: kept, created: old.created, changed: s.now, version: old.version + 1}
}

// Import adds rows to a table, in place of those with the same primary key, as an incremental load does.
func (s *Server) Import(tableID string, rows ...Row) {
	s.mu.Lock()
	t := s.tables[tableID]
	s.mu.Unlock()
	all := slices.Clone(t.rows)
	for _, r := range rows {
		key := t.key(r)
		all = slices.DeleteFunc(all, func(old Row) bool { return t.key(old) == key })
		all = append(all, r)
	}
	s.Put(t.Table, all)
}

// Delete takes the rows away whose primary key is one of these.
func (s *Server) Delete(tableID string, keys ...string) {
	s.mu.Lock()
	t := s.tables[tableID]
	s.mu.Unlock()
	s.Put(t.Table, slices.DeleteFunc(slices.Clone(t.rows), func(r Row) bool { return slices.Contains(keys, t.key(r)) }))
}

func (t *table) key(r Row) string {
	var parts []string
	for _, k := range t.PrimaryKey {
		parts = append(parts, r.Cells[t.index(k)].Text)
	}
	return strings.Join(parts, "\x00")
}

func (t *table) index(column string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == column })
}

// Drop takes a table away.
func (s *Server) Drop(tableID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, tableID)
}

// Touch changes what is known of a table, not its rows, and leaves its change times.
func (s *Server) Touch(tableID string, change func(t *Table)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.tables[tableID].Table)
}

// Now is the time by the stack's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}
