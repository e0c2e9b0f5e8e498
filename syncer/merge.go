package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aida/syncer/columnar"
)

// merge takes in rows that came, by key: a row replaces the one with its key in place, or comes behind when there is none;
// one that the source marks as deleted takes it away. Only as many of the rows as memory should hold are looked at
// together; a change set that is larger is sorted first, so that each round meets other files of the table.
func (c *content) merge(ctx context.Context, d *delta) (err error) {
	if c.sorts(d) {
		if d, err = c.sorted(ctx, d); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.close(true)) }()
	}
	for g := 0; g < d.reader.RowGroups(); {
		var misfits []columnar.Misfit
		var take *[]columnar.Misfit
		if d.lenient {
			take = &misfits
		}
		rows, next, err := columnar.ReadRows(ctx, d.reader, g, c.columns, c.u.s.o.Workers, take)
		if err != nil {
			return err
		}
		g = next
		skip, err := d.refuse(rows, misfits)
		if err != nil {
			return err
		}
		if err := c.mergeRows(ctx, rows, skip); err != nil {
			return err
		}
	}
	return nil
}

// sorts tells whether a change set is to be sorted: it needs several rounds over a table that is there. Rows that do not fit
// are told by their place, and numbers with two zeros do not sort by key, so these go in as they came.
func (c *content) sorts(d *delta) bool {
	if len(c.parts) == 0 || d.lenient || c.doc.Strategy == "full_refresh" || !columnar.Rounds(d.reader) {
		return false
	}
	return !slices.ContainsFunc(c.doc.PrimaryKey, func(k string) bool {
		col, ok := columnNamed(c.columns, k)
		return !ok || col.Type.Kind == columnar.Float64
	})
}

// sorted gives the last row of each key, in the order of the keys; where the table is partitioned, in that of the partitions.
func (c *content) sorted(ctx context.Context, d *delta) (*delta, error) {
	out, err := c.sortOnce(ctx, d, c.doc.PrimaryKey, true)
	if err != nil || !c.partitioned() {
		return out, err
	}
	again, err := c.sortOnce(ctx, out, []string{c.doc.PartitionBy}, false)
	if err := errors.Join(err, out.close(true)); err != nil {
		return nil, err
	}
	return again, nil
}

func (c *content) sortOnce(ctx context.Context, d *delta, by []string, last bool) (*delta, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	staged, err := c.u.scratch.Stage("")
	if err != nil {
		return nil, err
	}
	s := columnar.Sorting{File: d.reader, Columns: c.columns, By: by, Last: last, Scratch: d.dir, Workers: c.u.s.o.Workers}
	_, err = s.WriteParquet(ctx, staged)
	out := &delta{doc: d.doc, staged: staged, columns: c.columns, dir: d.dir, hold: d.hold}
	if err = errors.Join(err, staged.Park()); err == nil {
		err = out.open()
	}
	if err != nil {
		return nil, errors.Join(err, out.close(true))
	}
	return out, nil
}

func (c *content) mergeRows(ctx context.Context, rows *columnar.Rows, skip map[int32]bool) error {
	if c.doc.Strategy == "full_refresh" { // takes all rows as they come
		var fresh []int32
		for row := range int32(rows.Len()) {
			if !skip[row] {
				fresh = append(fresh, row)
			}
		}
		c.added += int64(len(fresh))
		return c.placeParts(ctx, rows, fresh, nil)
	}
	index, err := columnar.NewIndex(rows, c.doc.PrimaryKey)
	if err != nil {
		return err
	}
	gone := make([]bool, rows.Len())
	if c.doc.DeleteColumn != "" {
		if gone, err = rows.Truthy(c.doc.DeleteColumn); err != nil {
			return fmt.Errorf("delete_column: %w", err)
		}
	}
	var of []int32
	var names []string
	if c.partitioned() {
		if of, names, err = rows.Partitions(c.doc.PartitionBy, c.doc.PartitionGranularity); err != nil {
			return err
		}
	}
	settled := make([]bool, rows.Len()) // needs no place among the new rows
	for row := range settled {
		settled[row] = index.Replaced(row) || gone[row] || skip[int32(row)]
	}
	edits := map[*part][][]columnar.Edit{}
	known := make([]bool, rows.Len())
	for _, p := range c.parts {
		if !p.meets(index) {
			continue
		}
		if err := c.open(p); err != nil {
			return err
		}
		groups, err := index.Match(ctx, p.reader, 0, c.u.s.o.Workers)
		if err := errors.Join(err, p.close()); err != nil {
			return err
		}
		any := false
		for g := range groups {
			groups[g] = slices.DeleteFunc(groups[g], func(e columnar.Edit) bool { return skip[e.With] })
			for i := range groups[g] {
				e := &groups[g][i]
				with := e.With
				known[with] = true
				switch {
				case gone[with]:
					c.removed++
					e.With = -1
				case settled[with], of != nil && names[of[with]] != p.name: // a second row of the same key, or one that moves
					e.With = -1
				default:
					settled[with] = true
				}
				any = true
			}
		}
		if any {
			edits[p] = groups
		}
	}
	var fresh []int32
	for row := range settled {
		if !settled[row] {
			fresh = append(fresh, int32(row))
		}
		switch {
		case index.Replaced(row), gone[row], skip[int32(row)]:
		case known[row]:
			c.met++
		default:
			c.added++
		}
	}
	if of != nil {
		return c.placePartitions(ctx, rows, fresh, of, names, edits)
	}
	return c.placeParts(ctx, rows, fresh, edits)
}

// placePartitions writes the partitions that rows change in, leave, or come to.
func (c *content) placePartitions(ctx context.Context, rows *columnar.Rows, fresh, of []int32, names []string, edits map[*part][][]columnar.Edit) error {
	picks := make([][]int32, len(names))
	for _, row := range fresh {
		picks[of[row]] = append(picks[of[row]], row)
	}
	to := map[string][]columnar.Piece{}
	for i, pick := range picks {
		if len(pick) > 0 {
			to[names[i]] = []columnar.Piece{{Rows: rows, Pick: pick}}
		}
	}
	for _, p := range slices.Clone(c.parts) {
		if more := to[p.name]; more != nil || edits[p] != nil {
			delete(to, p.name)
			if err := c.rewrite(ctx, p, more, edits[p], rows); err != nil {
				return fmt.Errorf("partition %s: %w", p.name, err)
			}
		}
	}
	for name, pieces := range to {
		p, _, err := c.write(ctx, name, columnar.Pack(pieces), nil)
		if err != nil {
			return fmt.Errorf("partition %s: %w", name, err)
		}
		if err := c.put(nil, []*part{p}); err != nil {
			return err
		}
	}
	return nil
}

// placeParts writes the parts that rows change in, and puts new rows behind: into the last part as long as it is small,
// else into new ones. A table that outgrows one file is dealt out to numbered parts.
func (c *content) placeParts(ctx context.Context, rows *columnar.Rows, fresh []int32, edits map[*part][][]columnar.Edit) error {
	limit := c.u.s.o.PartRows
	var last *part
	if n := len(c.parts); n > 0 {
		last = c.parts[n-1]
	}
	for _, p := range slices.Clone(c.parts) {
		if edits[p] != nil && p != last {
			if err := c.rewrite(ctx, p, nil, edits[p], rows); err != nil {
				return err
			}
		}
	}
	if last == nil || last.name == "" {
		return c.placeSingle(ctx, last, rows, fresh, edits[last], limit)
	}
	into := 0
	if c.small(last) {
		into = min(len(fresh), int(limit-last.rows))
	}
	number := c.nextNumber()
	if into > 0 || edits[last] != nil {
		var more []columnar.Piece
		if into > 0 {
			more = []columnar.Piece{{Rows: rows, Pick: fresh[:into]}}
		}
		if err := c.rewrite(ctx, last, more, edits[last], rows); err != nil {
			return err
		}
	}
	if fresh = fresh[into:]; len(fresh) == 0 {
		return nil
	}
	return c.deal(ctx, columnar.Pack([]columnar.Piece{{Rows: rows, Pick: fresh}}), number, nil)
}

// placeSingle writes a table of one file, or of none yet.
func (c *content) placeSingle(ctx context.Context, p *part, rows *columnar.Rows, fresh []int32, edits [][]columnar.Edit, limit int64) error {
	if p == nil && len(fresh) == 0 || p != nil && edits == nil && len(fresh) == 0 {
		return nil
	}
	more := []columnar.Piece{{Rows: rows, Pick: fresh}}
	if p != nil && p.rows+int64(len(fresh)) <= limit {
		return c.rewrite(ctx, p, more, edits, rows)
	}
	var pieces []columnar.Piece
	var old []*part
	if p != nil {
		if err := c.open(p); err != nil {
			return err
		}
		pieces, old = p.pieces(edits), []*part{p}
	}
	groups := columnar.Pack(append(pieces, more...))
	if n := countRows(groups); n <= limit {
		now, _, err := c.write(ctx, "", groups, rows)
		if err != nil {
			return err
		}
		return c.put(old, []*part{now})
	}
	if err := c.deal(ctx, groups, 1, rows); err != nil {
		return err
	}
	return c.put(old, nil)
}

func countRows(groups [][]columnar.Piece) (n int64) {
	for _, g := range groups {
		n += columnar.CountRows(g)
	}
	return n
}

// deal makes numbered parts of row groups.
func (c *content) deal(ctx context.Context, groups [][]columnar.Piece, number int, patch *columnar.Rows) error {
	var made []*part
	for _, file := range columnar.Divide(groups, c.u.s.o.PartRows) {
		p, _, err := c.write(ctx, numbered(number), file, patch)
		if err != nil {
			return err
		}
		made = append(made, p)
		number++
	}
	return c.put(nil, made)
}
