package bigquerytest

import (
	"fmt"
	"slices"
	"strings"
)

// select runs SELECT `a`, `b` FROM `p`.`d`.`t` [WHERE condition]: the only form that the connector writes.
func (s *Server) selectRows(query string) (Table, error) {
	p, err := newParser(query)
	if err != nil {
		return Table{}, err
	}
	var names []string
	if err := p.expect("SELECT"); err != nil {
		return Table{}, err
	}
	for {
		name, err := p.name()
		if err != nil {
			return Table{}, err
		}
		names = append(names, name)
		if p.take() != "," {
			p.at--
			break
		}
	}
	if err := p.expect("FROM"); err != nil {
		return Table{}, err
	}
	var parts []string
	for range 3 {
		part, err := p.name()
		if err != nil {
			return Table{}, err
		}
		parts = append(parts, part)
		if len(parts) < 3 {
			if err := p.expect("."); err != nil {
				return Table{}, err
			}
		}
	}
	id := strings.Join(parts, ".")
	t, ok := s.look(id)
	if !ok {
		return Table{}, fmt.Errorf("not found: Table %s", id)
	}
	for _, n := range names {
		if t.index(n) < 0 {
			return Table{}, fmt.Errorf("unrecognized name: %s", n)
		}
	}
	if p.done() {
		return t.ordered(names), nil
	}
	if err := p.expect("WHERE"); err != nil {
		return Table{}, err
	}
	t, err = p.where(t)
	return t.ordered(names), err
}

// restrict keeps the rows that a condition is true for.
func (t Table) restrict(condition string) (Table, error) {
	if condition == "" {
		return t, nil
	}
	p, err := newParser(condition)
	if err != nil {
		return t, err
	}
	return p.where(t)
}

func (p *parser) where(t Table) (Table, error) {
	p.table = t
	test, err := p.or()
	if err != nil {
		return t, err
	}
	if !p.done() {
		return t, fmt.Errorf("syntax error: Unexpected %q", p.take())
	}
	rows := t.Rows
	t.Rows = nil
	for _, row := range rows {
		if v := test(row); v != nil && *v {
			t.Rows = append(t.Rows, row)
		}
	}
	return t, nil
}

func (t Table) index(name string) int {
	for i, f := range t.Fields {
		if f.Name == name {
			return i
		}
	}
	return -1
}

// ordered gives columns in the order of a SELECT list.
func (t Table) ordered(names []string) Table {
	fields, rows := t.Fields, t.Rows
	t.Fields, t.Rows = nil, nil
	for _, n := range names {
		for _, f := range fields {
			if f.Name == n {
				t.Fields = append(t.Fields, f)
			}
		}
	}
	for _, row := range rows {
		var cells []any
		for _, n := range names {
			cells = append(cells, row[slices.IndexFunc(fields, func(f *fieldSchema) bool { return f.Name == n })])
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// verdict is a condition in SQL's three values; nil is NULL.
type verdict func(row []any) *bool

func (p *parser) or() (verdict, error) {
	a, err := p.and()
	for err == nil && p.is("OR") {
		var b verdict
		left := a
		b, err = p.and()
		a = func(row []any) *bool {
			x, y := left(row), b(row)
			if x != nil && *x || y != nil && *y {
				return truth(true)
			}
			if x == nil || y == nil {
				return nil
			}
			return truth(false)
		}
	}
	return a, err
}

func (p *parser) and() (verdict, error) {
	a, err := p.condition()
	for err == nil && p.is("AND") {
		var b verdict
		left := a
		b, err = p.condition()
		a = func(row []any) *bool {
			x, y := left(row), b(row)
			if x != nil && !*x || y != nil && !*y {
				return truth(false)
			}
			if x == nil || y == nil {
				return nil
			}
			return truth(true)
		}
	}
	return a, err
}

func (p *parser) condition() (verdict, error) {
	switch {
	case p.is("NOT"):
		a, err := p.condition()
		return func(row []any) *bool {
			if v := a(row); v != nil {
				return truth(!*v)
			}
			return nil
		}, err
	case p.is("("):
		a, err := p.or()
		if err != nil {
			return nil, err
		}
		return a, p.expect(")")
	case p.is("TRUE"):
		return func([]any) *bool { return truth(true) }, nil
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	column := p.table.index(name)
	if column < 0 {
		return nil, fmt.Errorf("unrecognized name: %s", name)
	}
	kind := p.table.Fields[column].Type
	if p.is("IS") {
		want := !p.is("NOT")
		return func(row []any) *bool { return truth((row[column] == nil) == want) }, p.expect("NULL")
	}
	op := strings.ToUpper(p.take())
	var values []any
	switch op {
	case "IN":
		if err := p.expect("("); err != nil {
			return nil, err
		}
		for {
			v, err := p.literal(kind)
			if err != nil {
				return nil, err
			}
			if values = append(values, v); !p.is(",") {
				break
			}
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	case "=", "!=", "<>", "<", "<=", ">", ">=":
		v, err := p.literal(kind)
		if err != nil {
			return nil, err
		}
		values = []any{v}
	default:
		return nil, fmt.Errorf("syntax error: Unexpected %q", op)
	}
	return func(row []any) *bool {
		if row[column] == nil {
			return nil
		}
		text, ok := row[column].(string)
		if !ok {
			return nil
		}
		cell, err := value(kind, text)
		if err != nil {
			panic(err)
		}
		for _, v := range values {
			if c := compare(cell, v); truthOf(op, c) {
				return truth(true)
			}
		}
		return truth(false)
	}, nil
}

func truthOf(op string, c int) bool {
	switch op {
	case "=", "IN":
		return c == 0
	case "!=", "<>":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

func truth(v bool) *bool { return &v }
