package query

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"aida/store"
	"aida/syncer/columnar"

	"modernc.org/sqlite/vtab"
)

// session is what the virtual tables of one query share.
type session struct {
	ctx      context.Context
	open     func(f store.File) (File, error)
	tables   map[string]*table
	collated bool // the text names a collation, so that texts may compare in other ways

	mu      sync.Mutex
	err     error
	cursors map[*cursor]struct{}

	walks   map[walk]int    // how often each was asked for; SQLite asks from one goroutine
	indexes map[walk]*index // nil = the table is too large for one
	indexed int64           // rows in all of them
}

// fail keeps the first error of the lake, which SQLite would only tell as text.
func (s *session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return err
}

func (s *session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// version tells states of the tables that the query goes over apart: their files are named by their content.
func (s *session) version() string {
	var names []string
	for _, t := range s.tables {
		if t.planned {
			for _, f := range t.files {
				names = append(names, f.Physical)
			}
		}
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:16])
}

// close ends the cursors that SQLite did not.
func (s *session) close() {
	s.mu.Lock()
	list := s.cursors
	s.cursors = nil
	s.mu.Unlock()
	for c := range list {
		c.release()
	}
}

// module finds the table that a CREATE VIRTUAL TABLE means: its arguments are the query's token and the table's id.
type module struct{ e *Engine }

func (m module) Create(ctx vtab.Context, args []string) (vtab.Table, error) {
	return m.Connect(ctx, args)
}

func (m module) Connect(ctx vtab.Context, args []string) (vtab.Table, error) {
	if len(args) < 5 {
		return nil, fmt.Errorf("lake: %d arguments", len(args))
	}
	unquote := func(s string) string { return strings.Trim(strings.TrimSpace(s), "'") }
	v, ok := m.e.sessions.Load(unquote(args[3]))
	if !ok {
		return nil, fmt.Errorf("lake: the query is over")
	}
	t, ok := v.(*session).tables[unquote(args[4])]
	if !ok {
		return nil, fmt.Errorf("lake: there is no such table")
	}
	return t, ctx.Declare(t.declaration())
}

// table is one table of the generation. All its files have one schema.
type table struct {
	s     *session
	name  string
	files []store.File
	types []columnar.Type

	planned bool // the query goes over it
}

func (t *table) declaration() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE x (")
	t.types = t.types[:0]
	for i, c := range t.files[0].Schema {
		kind, err := columnar.ParseType(c.Type)
		if err != nil {
			kind = columnar.Type{Kind: columnar.String}
		}
		t.types = append(t.types, kind)
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(c.Name) + " " + affinity(kind))
	}
	return b.String() + ")"
}

// affinity is the declared type of a column.
func affinity(t columnar.Type) string {
	switch t.Kind {
	case columnar.Int64, columnar.Bool:
		return "INTEGER"
	case columnar.Float64:
		return "REAL"
	case columnar.Decimal:
		if t.Scale == 0 && t.Precision <= 18 {
			return "INTEGER"
		}
		return "REAL"
	}
	return "TEXT"
}

// BestIndex takes the conditions that row groups and rows can be left out by. SQLite checks all rows that are given to it again.
func (t *table) BestIndex(info *vtab.IndexInfo) error {
	t.planned = true
	var plan []string
	cost := 0.0
	for _, f := range t.files {
		cost += float64(f.Rows)
	}
	rows := cost
	for i := range info.Constraints {
		c := &info.Constraints[i]
		if !c.Usable || c.Column < 0 || c.Column >= len(t.types) || !t.takes(c) {
			continue
		}
		c.ArgIndex = len(plan)
		plan = append(plan, fmt.Sprintf("%d %d", c.Column, int(c.Op)))
		share := 0.3
		if c.Op == vtab.OpEQ {
			share = 0.01
		}
		rows *= share
	}
	info.IdxStr = fmt.Sprintf("%d;%s", info.ColUsed, strings.Join(plan, ","))
	if rows < cost/50 { // a look-up that is asked for again and again gets an index
		cost /= 20
	}
	info.EstimatedCost, info.EstimatedRows = cost+rows, int64(rows)+1
	return nil
}

func (t *table) takes(c *vtab.Constraint) bool {
	switch c.Op {
	case vtab.OpEQ, vtab.OpGT, vtab.OpGE, vtab.OpLT, vtab.OpLE:
		text := t.types[c.Column].Kind == columnar.String || t.types[c.Column].Kind == columnar.JSON
		return !text || !t.s.collated
	case vtab.OpISNULL, vtab.OpISNOTNULL:
		return true
	}
	return false
}

// parsePlan reads what BestIndex wrote: the columns that are used, and the conditions.
func parsePlan(s string, width int) (used []int, conditions [][2]int) {
	mask, list, _ := strings.Cut(s, ";")
	bits, err := strconv.ParseUint(mask, 10, 64)
	if err != nil {
		bits = ^uint64(0)
	}
	for i := range width {
		if bits&(1<<min(i, 63)) != 0 {
			used = append(used, i)
		}
	}
	if list == "" {
		return used, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		var c [2]int
		if _, err := fmt.Sscanf(part, "%d %d", &c[0], &c[1]); err == nil {
			conditions = append(conditions, c)
		}
	}
	return used, conditions
}

func (t *table) Open() (vtab.Cursor, error) {
	c := &cursor{t: t}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.s.cursors == nil {
		t.s.cursors = map[*cursor]struct{}{}
	}
	t.s.cursors[c] = struct{}{}
	return c, nil
}

func (t *table) Disconnect() error { return nil }
func (t *table) Destroy() error    { return nil }
