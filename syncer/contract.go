package syncer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
)

// The schema contracts of a table or a column.
const (
	evolve     = "evolve"     // the table follows its source
	freeze     = "freeze"     // any difference fails the sync
	quarantine = "quarantine" // the table stays as it is: new columns are left out, rows that do not fit are put aside
)

func policyOf(doc datadoc.Table, column string) string {
	for _, c := range doc.Columns {
		if c.Name == column && c.Schema != "" {
			return c.Schema
		}
	}
	return cmp.Or(doc.Schema, evolve)
}

// differences compares the columns that a table has with those that came. Order alone is no difference.
func differences(was, now []columnar.Column) (out []store.SchemaChange) {
	var added, dropped []int
	for i, c := range now {
		old, ok := columnNamed(was, c.Name)
		switch {
		case !ok:
			added = append(added, i)
		case columnar.SameStorage(old.Type, c.Type):
		default:
			kind := "changed"
			switch common := columnar.Common(old.Type, c.Type); {
			case columnar.SameStorage(common, c.Type):
				kind = "widened"
			case columnar.SameStorage(common, old.Type):
				kind = "narrowed"
			}
			out = append(out, store.SchemaChange{Change: kind, Column: c.Name, From: old.Type.String(), To: c.Type.String()})
		}
	}
	for i, c := range was {
		if _, ok := columnNamed(now, c.Name); !ok {
			dropped = append(dropped, i)
		}
	}
	for n, i := range dropped {
		if k := newName(was, now, dropped[n:], added); k >= 0 {
			came := now[added[k]]
			out = append(out, store.SchemaChange{Change: "renamed", Column: came.Name, From: was[i].Name, To: came.Type.String()})
			added = slices.Delete(added, k, k+1)
			continue
		}
		out = append(out, store.SchemaChange{Change: "dropped", Column: was[i].Name, From: was[i].Type.String()})
	}
	for _, i := range added {
		out = append(out, store.SchemaChange{Change: "added", Column: now[i].Name, To: now[i].Type.String()})
	}
	return out
}

// newName guesses which of the added columns is the first of the dropped ones under another name: one of the same type at the
// same place, else the only one of a type of which only one left. It gives its index in added, or -1.
func newName(was, now []columnar.Column, dropped, added []int) int {
	i := dropped[0]
	alike := func(k int) bool { return columnar.SameStorage(was[i].Type, now[k].Type) }
	if k := slices.Index(added, i); k >= 0 && alike(i) {
		return k
	}
	for _, other := range dropped[1:] {
		if columnar.SameStorage(was[i].Type, was[other].Type) {
			return -1
		}
	}
	found := -1
	for k, at := range added {
		if alike(at) && found >= 0 {
			return -1
		} else if alike(at) {
			found = k
		}
	}
	return found
}

// rename follows the columns of which the description says that they had another name: their values stay with them. Such
// a difference is asked for, so it is told and never refused.
func (c *content) rename(came []columnar.Column, row *store.RunTable) (moved []store.SchemaChange) {
	for _, d := range c.doc.Columns {
		from := nameBefore(c.doc, c.columns, d)
		old, had := columnNamed(c.columns, from)
		now, comes := columnNamed(came, d.Name)
		if !had || !comes {
			continue
		}
		if _, still := columnNamed(came, from); still {
			row.Warnings = append(row.Warnings, fmt.Sprintf("column %s has renamed_from: %s, which the source still has: both are kept", d.Name, from))
			continue
		}
		c.columns = slices.Clone(c.columns)
		at := slices.IndexFunc(c.columns, func(x columnar.Column) bool { return x.Name == d.Name })
		if at >= 0 { // it came in before the description said so
			c.columns[at].Type = columnar.Common(old.Type, c.columns[at].Type)
			c.columns = slices.DeleteFunc(c.columns, func(x columnar.Column) bool { return x.Name == from })
		} else {
			at = slices.IndexFunc(c.columns, func(x columnar.Column) bool { return x.Name == from })
			c.columns[at].Name = d.Name
		}
		c.renames = append(c.renames, [2]string{from, d.Name})
		moved = append(moved, store.SchemaChange{Change: "moved", Column: d.Name, From: from, To: now.Type.String()})
	}
	return moved
}

// nameBefore gives the name that a table has for a described column, through several renames if need be; "" = it has none.
func nameBefore(doc datadoc.Table, has []columnar.Column, d datadoc.Column) string {
	from := d.RenamedFrom
	for range doc.Columns {
		if _, had := columnNamed(has, from); had || from == "" {
			return from
		}
		i := slices.IndexFunc(doc.Columns, func(c datadoc.Column) bool { return c.Name == from })
		if i < 0 {
			return ""
		}
		from = doc.Columns[i].RenamedFrom
	}
	return ""
}

// agree decides which columns the table has from here on. whole tells that the rows that came are all of the table. What
// differs is noted on the run, with a record that shows it; what the contract refuses is an error.
func (c *content) agree(ctx context.Context, d *delta, whole bool, row *store.RunTable) error {
	if err := c.keyed(d, row); err != nil {
		return err
	}
	for key, name := range map[string]string{"delete_column": c.doc.DeleteColumn, "partition_by": c.doc.PartitionBy} {
		if _, ok := columnNamed(d.columns, name); !ok && name != "" && c.doc.Strategy != "full_refresh" {
			return fmt.Errorf("table %s: %s: column %s is not among the columns that came (%s)", row.Table, key, name, names(d.columns))
		}
	}
	if c.columns == nil {
		c.columns = d.columns
		return nil
	}
	if d.out.Rows == 0 { // no cell says what type its column has
		d.columns = slices.Clone(d.columns)
		for i, col := range d.columns {
			if old, ok := columnNamed(c.columns, col.Name); ok && !typed(c.doc, col.Name) {
				d.columns[i].Type = old.Type
			}
		}
	}
	all := c.rename(d.columns, row)
	moved := len(all)
	all = append(all, differences(c.columns, d.columns)...)
	if err := c.sample(ctx, d, all); err != nil {
		return err
	}
	row.Schema = append(row.Schema, all...)
	changes := all[moved:]
	if len(changes) == 0 {
		if whole {
			c.columns = d.columns // their order is the source's
		}
		return nil
	}
	var refused []store.SchemaChange
	for _, ch := range changes {
		if policyOf(c.doc, ch.Column) == freeze && !declared(c.doc, ch) {
			refused = append(refused, ch)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("table %s: the source has other columns than the table, whose schema is frozen: %s: "+
			"set schema: evolve to take them, or put the source right", row.Table, describe(refused))
	}
	c.adapt(d, changes, whole)
	for _, ch := range changes {
		if _, came := columnNamed(c.columns, ch.Column); came && ch.Change == "renamed" && !whole {
			row.Warnings = append(row.Warnings, fmt.Sprintf("column %[1]s seems to be named %[2]s now: the rows of before have their values in %[1]s and none in %[2]s; "+
				"to move them over, write renamed_from: %[1]s at column %[2]s in data_description.md", ch.From, ch.Column))
		}
	}
	return nil
}

// keyed refuses rows without the columns that tell them apart, whatever the contract is: nobody could use them as before. A full
// refresh of a table that never had such a column needs none, so that is only told.
func (c *content) keyed(d *delta, row *store.RunTable) error {
	for _, k := range c.doc.PrimaryKey {
		if _, came := columnNamed(d.columns, k); came {
			continue
		}
		text := fmt.Sprintf("primary_key: column %s is not among the columns that came (%s)", k, names(d.columns))
		if _, had := columnNamed(c.columns, k); had || c.doc.Strategy != "full_refresh" {
			return fmt.Errorf("table %s: %s: put the source right, or correct primary_key in data_description.md", row.Table, text)
		}
		row.Warnings = append(row.Warnings, text+": correct it in data_description.md")
	}
	return nil
}

// typed tells whether the description declares a column's type.
func typed(doc datadoc.Table, column string) bool {
	return slices.ContainsFunc(doc.Columns, func(c datadoc.Column) bool { return c.Name == column && c.Type != "" })
}

// declared tells whether a difference is what the description asks for.
func declared(doc datadoc.Table, ch store.SchemaChange) bool {
	for _, c := range doc.Columns {
		if c.Name == ch.Column && c.Type != "" {
			t, err := columnar.ParseType(c.Type)
			return err == nil && ch.To == t.String() && ch.Change != "added" && ch.Change != "renamed"
		}
	}
	return false
}

// adapt makes c.columns what the table has after these changes.
func (c *content) adapt(d *delta, changes []store.SchemaChange, whole bool) {
	held := func(ch store.SchemaChange) bool {
		return policyOf(c.doc, ch.Column) == quarantine && !declared(c.doc, ch)
	}
	old := c.columns
	next := slices.Clone(old)
	if whole && !slices.ContainsFunc(changes, held) {
		next = slices.Clone(d.columns)
		changes = nil
	}
	for _, ch := range changes {
		came, _ := columnNamed(d.columns, ch.Column)
		at := slices.IndexFunc(next, func(x columnar.Column) bool { return x.Name == ch.Column })
		switch {
		case held(ch):
			d.lenient = d.lenient || ch.Change != "added" && ch.Change != "dropped" && ch.Change != "renamed"
			if whole {
				d.lenient = true // cells are moved to the columns that stay
			}
		case ch.Change == "added", ch.Change == "renamed":
			next = append(next, columnar.Column{Name: came.Name, Type: came.Type})
			if whole && ch.Change == "renamed" {
				next = slices.DeleteFunc(next, func(x columnar.Column) bool { return x.Name == ch.From })
			}
		case ch.Change == "dropped":
			if whole {
				next = slices.Delete(next, at, at+1)
			}
		case whole, declared(c.doc, ch):
			next[at].Type = came.Type
		default:
			next[at].Type = columnar.Common(next[at].Type, came.Type)
		}
	}
	c.columns = next
	key := c.doc.PrimaryKey[0]
	before, _ := columnNamed(old, key)
	if after, _ := columnNamed(next, key); before.Type != after.Type {
		for _, p := range c.parts { // bounds of another type do not compare
			p.low, p.high = nil, nil
		}
	}
}

// sample finds for each difference a record that shows it: the first one that has a value in the column.
func (c *content) sample(ctx context.Context, d *delta, changes []store.SchemaChange) error {
	if len(changes) == 0 {
		return nil
	}
	if err := d.open(); err != nil || d.reader.RowGroups() == 0 {
		return err
	}
	rows, _, err := columnar.ReadRows(ctx, d.reader, 0, d.columns, c.u.s.o.Workers, nil)
	if err != nil {
		return err
	}
	secret := map[string]bool{}
	for _, col := range c.doc.Columns {
		secret[col.Name] = col.Sensitive
	}
	for i := range changes {
		at := slices.IndexFunc(d.columns, func(x columnar.Column) bool { return x.Name == changes[i].Column })
		if at < 0 || rows.Len() == 0 {
			continue
		}
		shown := 0
		for row := range rows.Len() {
			if _, ok := rows.Text(row, at); ok {
				shown = row
				break
			}
		}
		changes[i].Sample = map[string]string{}
		for k, col := range d.columns {
			if v, ok := rows.Text(shown, k); ok && !secret[col.Name] {
				changes[i].Sample[col.Name] = clip(v)
			}
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

func names(columns []columnar.Column) string {
	var out []string
	for _, c := range columns {
		out = append(out, c.Name)
	}
	if len(out) > 20 {
		return strings.Join(out[:20], ", ") + fmt.Sprintf(" and %d more", len(out)-20)
	}
	return strings.Join(out, ", ")
}

// describe writes differences for people.
func describe(changes []store.SchemaChange) string {
	var out []string
	var sample map[string]string
	for _, ch := range changes {
		out = append(out, ch.String())
		if sample == nil {
			sample = ch.Sample
		}
	}
	text := strings.Join(out, ", ")
	if len(sample) > 0 {
		if record, err := json.Marshal(sample); err == nil {
			text += ", for example in " + string(record)
		}
	}
	return text
}
