package syncer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/lake"
)

// content is the files of a table while a sync works on them: those that the lake has, and those that were made in scratch
// instead of them. Nothing of it is seen by readers before it is published.
type content struct {
	u       *run
	doc     datadoc.Table
	columns []columnar.Column // all files have them in the end
	parts   []*part           // by name
	renames [][2]string       // from and to: names that files of before have for columns
	counts
}

// counts tell what a merge did with rows.
type counts struct{ added, met, removed int64 }

// part is one file of a table. Its name is the partition's, that of a numbered part, or "" for a table of one file.
type part struct {
	name      string
	kept      *store.File
	staged    *lake.Staged
	rows      int64
	low, high []byte // bounds of the first key column
	columns   []columnar.Column

	file   lake.File
	reader *columnar.Reader
}

// maxPartBytes bounds a part file beside lake.part_rows, for tables of large rows.
const maxPartBytes = 256 << 20

// contentOf takes up a table's files.
func (u *run) contentOf(doc datadoc.Table, files []store.File) (*content, error) {
	c := &content{u: u, doc: doc}
	for i := range files {
		f := &files[i]
		p := &part{name: f.Partition, kept: f, rows: f.Rows, low: f.KeyLow, high: f.KeyHigh}
		var err error
		if p.columns, err = columnsOf(f.Schema); err != nil {
			return nil, fmt.Errorf("lake file %s: schema: %w", f.Logical, err)
		}
		c.parts = append(c.parts, p)
	}
	c.sort()
	if len(c.parts) > 0 {
		c.columns = c.parts[0].columns
	}
	return c, nil
}

func columnsOf(schema []store.Column) (out []columnar.Column, err error) {
	for _, s := range schema {
		t, err := columnar.ParseType(s.Type)
		if err != nil {
			return nil, err
		}
		out = append(out, columnar.Column{Name: s.Name, Type: t})
	}
	return out, nil
}

func schemaOf(columns []columnar.Column) (out []store.Column) {
	for _, c := range columns {
		out = append(out, store.Column{Name: c.Name, Type: c.Type.String()})
	}
	return out
}

func (c *content) sort() {
	slices.SortFunc(c.parts, func(a, b *part) int { return cmp.Compare(a.name, b.name) })
}

// partitioned tells whether files follow the values of a column.
func (c *content) partitioned() bool { return partitioned(c.doc) }

func partitioned(doc datadoc.Table) bool {
	return doc.PartitionBy != "" && doc.Strategy != "full_refresh"
}

func (c *content) rows() (n int64) {
	for _, p := range c.parts {
		n += p.rows
	}
	return n
}

// open makes a part readable until close.
func (c *content) open(p *part) (err error) {
	if p.reader != nil {
		return nil
	}
	size := int64(0)
	if p.kept != nil {
		size = p.kept.Size
		p.file, err = c.u.s.o.Lake.Open(*p.kept)
	} else {
		size = p.staged.Size()
		p.file, err = p.staged.Open()
	}
	if err != nil {
		return err
	}
	if p.reader, err = columnar.OpenReader(p.file, size); err != nil {
		return errors.Join(fmt.Errorf("file %s: %w: run `aida verify`", cmp.Or(p.name, c.doc.Name), err), p.close())
	}
	for _, r := range c.renames {
		p.reader.Renamed(r[0], r[1])
	}
	return nil
}

func (p *part) close() error {
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file, p.reader = nil, nil
	return err
}

// discard lets go of a part that is no longer of the table.
func (p *part) discard() error {
	err := p.close()
	if p.staged != nil {
		err = errors.Join(err, p.staged.Discard())
	}
	return err
}

// write makes a part of row groups. The files that they come from must be open.
func (c *content) write(ctx context.Context, name string, groups [][]columnar.Piece, patch *columnar.Rows) (*part, *columnar.Written, error) {
	staged, err := c.u.scratch.Stage(name)
	if err != nil {
		return nil, nil, err
	}
	l := columnar.Layout{Columns: c.columns, Groups: groups, Patch: patch}
	w, err := l.WriteParquet(ctx, staged, c.u.s.o.Workers)
	if err := errors.Join(err, staged.Park()); err != nil {
		return nil, nil, errors.Join(err, staged.Discard())
	}
	p := &part{name: name, staged: staged, rows: w.Rows, columns: c.columns}
	if err := c.bound(p); err != nil {
		return nil, nil, errors.Join(err, p.discard())
	}
	return p, w, nil
}

// bound reads the range of a part's keys from its footer.
func (c *content) bound(p *part) error {
	if err := c.open(p); err != nil {
		return err
	}
	if key, ok := columnNamed(c.columns, c.doc.PrimaryKey[0]); ok {
		p.low, p.high = p.reader.KeyRange(key)
	}
	return p.close()
}

func columnNamed(columns []columnar.Column, name string) (columnar.Column, bool) {
	i := slices.IndexFunc(columns, func(c columnar.Column) bool { return c.Name == name })
	if i < 0 {
		return columnar.Column{}, false
	}
	return columns[i], true
}

// put replaces parts by others; either may be none.
func (c *content) put(old, now []*part) error {
	var err error
	c.parts = slices.DeleteFunc(c.parts, func(p *part) bool {
		if !slices.Contains(old, p) {
			return false
		}
		err = errors.Join(err, p.discard())
		return true
	})
	c.parts = append(c.parts, now...)
	c.sort()
	return err
}

// pieces are all rows of an open part, with edits by row group; nil = none.
func (p *part) pieces(edits [][]columnar.Edit) (out []columnar.Piece) {
	for g := range p.reader.RowGroups() {
		piece := columnar.Piece{File: p.reader, Group: g}
		if edits != nil {
			piece.Edits = edits[g]
		}
		out = append(out, piece)
	}
	return out
}

// rewrite makes a part anew; without any row left it goes. A part that comes out as it was is kept.
func (c *content) rewrite(ctx context.Context, p *part, more []columnar.Piece, edits [][]columnar.Edit, patch *columnar.Rows) error {
	if err := c.open(p); err != nil {
		return err
	}
	groups := columnar.Pack(append(p.pieces(edits), more...))
	if len(groups) == 0 {
		return c.put([]*part{p}, nil)
	}
	now, w, err := c.write(ctx, p.name, groups, patch)
	if err != nil {
		return errors.Join(err, p.close())
	}
	if !w.Changed && slices.Equal(p.columns, c.columns) {
		return errors.Join(now.discard(), p.close())
	}
	return c.put([]*part{p}, []*part{now})
}

// finish brings all files of the table to one schema and a good size, and makes them durable.
func (c *content) finish(ctx context.Context) error {
	if err := c.retain(time.Now()); err != nil {
		return err
	}
	for _, p := range slices.Clone(c.parts) {
		if !slices.Equal(p.columns, c.columns) {
			if err := c.rewrite(ctx, p, nil, nil, nil); err != nil {
				return err
			}
		}
	}
	if err := c.compact(ctx); err != nil {
		return err
	}
	if len(c.parts) == 0 {
		name := ""
		if c.partitioned() {
			name = columnar.NullPartition
		}
		p, _, err := c.write(ctx, name, nil, nil)
		if err != nil {
			return err
		}
		c.parts = []*part{p}
	}
	seen := map[string]string{}
	for _, p := range c.parts {
		if other, twice := seen[strings.ToLower(p.name)]; twice {
			return fmt.Errorf("partition_by: column %s has values that differ only in upper and lower case, %s and %s, which laptops take for one file: "+
				"partition by another column", c.doc.PartitionBy, other, p.name)
		}
		seen[strings.ToLower(p.name)] = p.name
		if p.staged != nil {
			if err := p.staged.Finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// retain drops the partitions that lie wholly before max_history_days.
func (c *content) retain(now time.Time) error {
	if c.doc.MaxHistoryDays == 0 || !c.partitioned() {
		return nil
	}
	var old []*part
	for _, p := range c.parts {
		end, timed := columnar.PartitionEnd(p.name, c.doc.PartitionGranularity)
		if timed && !end.After(now.UTC().AddDate(0, 0, -c.doc.MaxHistoryDays)) {
			old = append(old, p)
			c.removed += p.rows
		}
	}
	return c.put(old, nil)
}

// compact joins small neighbours of a table of numbered parts, and makes it one file again when it has become small.
func (c *content) compact(ctx context.Context) error {
	limit := c.u.s.o.PartRows
	if c.partitioned() || len(c.parts) < 2 {
		return nil
	}
	if c.rows() <= limit/2 {
		return c.join(ctx, slices.Clone(c.parts), "")
	}
	for i := 0; i+1 < len(c.parts); {
		a, b := c.parts[i], c.parts[i+1]
		if a.rows+b.rows > limit/2 {
			i++
			continue
		}
		if err := c.join(ctx, []*part{a, b}, a.name); err != nil {
			return err
		}
	}
	return nil
}

func (c *content) join(ctx context.Context, parts []*part, name string) error {
	var pieces []columnar.Piece
	for _, p := range parts {
		if err := c.open(p); err != nil {
			return err
		}
		pieces = append(pieces, p.pieces(nil)...)
	}
	now, _, err := c.write(ctx, name, columnar.Pack(pieces), nil)
	if err != nil {
		return err
	}
	return c.put(parts, []*part{now})
}

// change is what is to be published; the content must be finished.
func (c *content) change(table store.Table) lake.Change {
	out := lake.Change{Table: table}
	for _, p := range c.parts {
		out.Files = append(out.Files, lake.Part{Kept: p.kept, Staged: p.staged, Rows: p.rows, Schema: schemaOf(c.columns), KeyLow: p.low, KeyHigh: p.high})
	}
	return out
}

// size is the number of bytes of all files.
func (c *content) size() (n int64) {
	for _, p := range c.parts {
		if p.kept != nil {
			n += p.kept.Size
		} else {
			n += p.staged.Size()
		}
	}
	return n
}

// close lets go of what is open; staged files are removed with the scratch folder.
func (c *content) close() (err error) {
	for _, p := range c.parts {
		err = errors.Join(err, p.close())
	}
	return err
}

// name of a numbered part.
func numbered(n int) string { return fmt.Sprintf("part_%05d", n) }

// nextNumber is one behind the highest numbered part.
func (c *content) nextNumber() int {
	last := 0
	for _, p := range c.parts {
		var n int
		if _, err := fmt.Sscanf(p.name, "part_%d", &n); err == nil {
			last = max(last, n)
		}
	}
	return last + 1
}

// small tells whether more rows should go into a part rather than into a new one.
func (c *content) small(p *part) bool {
	size := int64(0)
	if p.kept != nil {
		size = p.kept.Size
	} else {
		size = p.staged.Size()
	}
	return p.rows < c.u.s.o.PartRows/4 && size < maxPartBytes/4
}

// meets tells whether a part may hold keys of an index; without known bounds it may.
func (p *part) meets(x *columnar.Index) bool {
	return p.low == nil || p.high == nil || x.Meets(bytes.Clone(p.low), p.high)
}
