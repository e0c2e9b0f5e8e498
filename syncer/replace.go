package syncer

import (
	"context"
	"errors"
	"fmt"

	"aida/syncer/columnar"
)

// replace makes the rows that came the whole table, in its layout. Under the strategies that work by key the last row of
// each key counts; a full refresh takes what comes.
func (c *content) replace(ctx context.Context, d *delta) error {
	if err := c.put(c.parts, nil); err != nil {
		return err
	}
	if err := d.open(); err != nil || d.reader.Rows() == 0 {
		return err
	}
	byKey := c.doc.Strategy != "full_refresh"
	plain, err := c.plain(ctx, d, byKey)
	if err != nil {
		return err
	}
	c.added = d.reader.Rows()
	switch {
	case !plain:
		c.added = 0
		return c.merge(ctx, d)
	case c.partitioned():
		return c.shuffle(ctx, d)
	case d.reader.Rows() <= c.u.s.o.PartRows:
		p := &part{staged: d.staged, rows: d.reader.Rows(), columns: d.columns}
		if err := c.bound(p); err != nil {
			return err
		}
		return c.put(nil, []*part{p})
	}
	whole := &part{reader: d.reader}
	var groups [][]columnar.Piece
	for _, p := range whole.pieces(nil) {
		groups = append(groups, []columnar.Piece{p})
	}
	return c.deal(ctx, groups, 1, nil)
}

// plain tells whether the rows can be taken as they are: no cell has to change, no row is marked as deleted, and, by key,
// no two rows have the same. Only key columns are read.
func (c *content) plain(ctx context.Context, d *delta, byKey bool) (bool, error) {
	if d.lenient {
		return false, nil
	}
	if !byKey {
		return true, nil
	}
	columns := make([]columnar.Column, 0, len(c.doc.PrimaryKey)+1)
	for _, name := range append(append([]string(nil), c.doc.PrimaryKey...), c.doc.DeleteColumn) {
		if col, ok := columnNamed(c.columns, name); ok {
			columns = append(columns, col)
		}
	}
	for g := 0; g < d.reader.RowGroups(); {
		rows, next, err := columnar.ReadRows(ctx, d.reader, g, columns, c.u.s.o.Workers, nil)
		if err != nil {
			return false, err
		}
		if c.doc.DeleteColumn != "" {
			gone, err := rows.Truthy(c.doc.DeleteColumn)
			if err != nil {
				return false, fmt.Errorf("delete_column: %w", err)
			}
			for _, marked := range gone {
				if marked {
					return false, nil
				}
			}
		}
		index, err := columnar.NewIndex(rows, c.doc.PrimaryKey)
		if err != nil {
			return false, err
		}
		for row := range rows.Len() {
			if index.Replaced(row) {
				return false, nil
			}
		}
		later, err := index.Match(ctx, d.reader, next, c.u.s.o.Workers)
		if err != nil {
			return false, err
		}
		for _, edits := range later {
			if len(edits) > 0 {
				return false, nil
			}
		}
		g = next
	}
	return true, nil
}

// shuffle deals all rows out to partitions. Rows are read once, as many at a time as memory should hold, and written to
// scratch sorted by partition; then each partition's pieces are put together.
func (c *content) shuffle(ctx context.Context, d *delta) (err error) {
	var spills []*part
	defer func() {
		for _, s := range spills {
			err = errors.Join(err, s.discard())
		}
	}()
	pieces := map[string][]columnar.Piece{}
	var order []string
	for g := 0; g < d.reader.RowGroups(); {
		rows, next, err := columnar.ReadRows(ctx, d.reader, g, c.columns, c.u.s.o.Workers, nil)
		if err != nil {
			return err
		}
		g = next
		of, names, err := rows.Partitions(c.doc.PartitionBy, c.doc.PartitionGranularity)
		if err != nil {
			return err
		}
		picks := make([][]int32, len(names))
		for row, n := range of {
			picks[n] = append(picks[n], int32(row))
		}
		var groups [][]columnar.Piece
		var owner []string
		for n, pick := range picks {
			for _, group := range columnar.Pack([]columnar.Piece{{Rows: rows, Pick: pick}}) {
				groups, owner = append(groups, group), append(owner, names[n])
			}
		}
		spill, _, err := c.write(ctx, "", groups, nil)
		if err != nil {
			return err
		}
		spills = append(spills, spill)
		if err := c.open(spill); err != nil {
			return err
		}
		for i, name := range owner {
			if pieces[name] == nil {
				order = append(order, name)
			}
			pieces[name] = append(pieces[name], columnar.Piece{File: spill.reader, Group: i})
		}
	}
	for _, name := range order {
		p, _, err := c.write(ctx, name, columnar.Pack(pieces[name]), nil)
		if err != nil {
			return fmt.Errorf("partition %s: %w", name, err)
		}
		if err := c.put(nil, []*part{p}); err != nil {
			return err
		}
	}
	return nil
}

// reconcile takes away the rows whose key is not among those that the source has now, unless allow refuses that so many go.
func (c *content) reconcile(ctx context.Context, d *delta, allow func(gone, have int64) error) error {
	if err := d.open(); err != nil {
		return err
	}
	var columns []columnar.Column
	for _, name := range c.doc.PrimaryKey {
		col, ok := columnNamed(c.columns, name)
		if !ok {
			return fmt.Errorf("primary_key: the table has no column %s", name)
		}
		columns = append(columns, col)
	}
	there := map[*part][][]bool{}
	for g := 0; g < d.reader.RowGroups(); {
		rows, next, err := columnar.ReadRows(ctx, d.reader, g, columns, c.u.s.o.Workers, nil)
		if err != nil {
			return err
		}
		g = next
		index, err := columnar.NewIndex(rows, c.doc.PrimaryKey)
		if err != nil {
			return err
		}
		for _, p := range c.parts {
			if !p.meets(index) {
				continue
			}
			if err := c.seen(ctx, p, index, there); err != nil {
				return err
			}
		}
	}
	have, left := c.rows(), int64(0)
	for _, groups := range there {
		for _, rows := range groups {
			for _, seen := range rows {
				if seen {
					left++
				}
			}
		}
	}
	if err := allow(have-left, have); err != nil {
		return err
	}
	for _, p := range append([]*part(nil), c.parts...) {
		if err := c.dropUnseen(ctx, p, there[p]); err != nil {
			return err
		}
	}
	return nil
}

func (c *content) seen(ctx context.Context, p *part, index *columnar.Index, there map[*part][][]bool) error {
	if err := c.open(p); err != nil {
		return err
	}
	groups, err := index.Match(ctx, p.reader, 0, c.u.s.o.Workers)
	if err != nil {
		return errors.Join(err, p.close())
	}
	if there[p] == nil {
		there[p] = make([][]bool, p.reader.RowGroups())
	}
	for g, edits := range groups {
		if there[p][g] == nil && len(edits) > 0 {
			there[p][g] = make([]bool, p.reader.GroupRows(g))
		}
		for _, e := range edits {
			there[p][g][e.Row] = true
		}
	}
	return p.close()
}

func (c *content) dropUnseen(ctx context.Context, p *part, there [][]bool) error {
	if err := c.open(p); err != nil {
		return err
	}
	edits := make([][]columnar.Edit, p.reader.RowGroups())
	var gone int64
	for g := range edits {
		for row := range int32(p.reader.GroupRows(g)) {
			if there == nil || there[g] == nil || !there[g][row] {
				edits[g] = append(edits[g], columnar.Edit{Row: row, With: -1})
				gone++
			}
		}
	}
	if gone == 0 {
		return p.close()
	}
	c.removed += gone
	return c.rewrite(ctx, p, nil, edits, nil)
}
