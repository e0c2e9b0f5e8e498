package profile

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"aida/store"
	"aida/syncer/columnar"

	"github.com/zeebo/xxh3"
)

// Bounds of what is counted exactly by the hashes of all values. Of 64-bit hashes of this many values, two are the same by
// chance once in a million tables.
const (
	passValues  = 4 << 20 // hashes in memory at once, 32 MiB
	maxPasses   = 16      // reads of the key columns
	exactValues = 2 << 20 // for a column that is not the key
)

// nearlyUnique is how far below the number of values the estimate of a column without repeated ones may lie: three
// standard errors.
const nearlyUnique = 0.975

// exact counts what an estimate must not answer: rows that share a primary key, and whether columns that look unique are.
func (p *Profiler) exact(ctx context.Context, t store.Table, files []store.File, schema []columnar.Column, whole *part, out *store.Profile) error {
	defer p.alerts(out)
	key := primaryKey(t, schema)
	passes := int64(maxPasses)
	if len(files) > 1 { // files that did not change are only read again for the key, and once
		passes = 1
	}
	if len(key) > 0 && whole.Rows <= passValues*passes {
		distinct := whole.Rows
		if c := &whole.Columns[key[0]]; len(key) > 1 || !c.Stats.Rising || c.Stats.Nulls > 0 {
			var err error
			if distinct, err = p.distinct(ctx, files, key, whole.Rows); err != nil {
				return err
			}
		}
		n := whole.Rows - distinct
		out.DuplicateRows = &n
		if len(key) == 1 && whole.Columns[key[0]].Stats.Nulls == 0 {
			settle(&out.Columns[key[0]], distinct, whole.Rows)
		}
	}
	for i := range out.Columns {
		if len(files) > 1 {
			break
		}
		c := &out.Columns[i]
		values := out.RowCount - c.Nulls
		if !slices.Contains(c.Approximate, "unique_count") || float64(c.Unique) < nearlyUnique*float64(values) {
			continue
		}
		if values > exactValues || out.RowCount > 4*exactValues {
			continue
		}
		n, err := p.distinct(ctx, files, []int{i}, out.RowCount)
		if err != nil {
			return err
		}
		if c.Nulls > 0 {
			n-- // all nulls together were one
		}
		settle(c, n, values)
	}
	return nil
}

// settle replaces an estimate by what was counted.
func settle(c *store.ColumnProfile, unique, values int64) {
	c.Unique, c.UniquePct = unique, percent(unique, values)
	c.Approximate = slices.DeleteFunc(c.Approximate, func(a string) bool { return a == "unique_count" })
	if len(c.Approximate) == 0 {
		c.Approximate = nil
	}
}

// distinct counts the different rows of some columns; null is a value here. It reads them once for each share of the
// hashes that memory holds.
func (p *Profiler) distinct(ctx context.Context, files []store.File, columns []int, rows int64) (int64, error) {
	passes := uint64((rows + passValues - 1) / passValues)
	width := math.MaxUint64/max(passes, 1) + 1
	if passes <= 1 {
		width = 0
	}
	var total int64
	hashes := make([]uint64, 0, min(rows, passValues*5/4))
	for pass := range max(passes, 1) {
		hashes = hashes[:0]
		err := p.rowHashes(ctx, files, columns, func(h uint64) {
			if width == 0 || h/width == pass {
				hashes = append(hashes, h)
			}
		})
		if err != nil {
			return 0, err
		}
		slices.Sort(hashes)
		total += int64(len(slices.Compact(hashes)))
	}
	return total, nil
}

// rowHashes gives a hash of each row's values in some columns.
func (p *Profiler) rowHashes(ctx context.Context, files []store.File, columns []int, each func(uint64)) error {
	var batch columnar.Batch
	var hashes []uint64
	for _, f := range files {
		err := p.withReader(f, func(r *columnar.Reader) error {
			for g := range r.RowGroups() {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := r.Read(g, columns, columnar.ReadOptions{}, &batch); err != nil {
					return err
				}
				hashes = slices.Grow(hashes[:0], batch.Rows)[:batch.Rows]
				clear(hashes)
				for i := range batch.Columns {
					addHashes(hashes, &batch.Columns[i])
				}
				for _, h := range hashes {
					each(h)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addHashes mixes the values of a column into the hashes of the rows.
func addHashes(rows []uint64, v *columnar.Vector) {
	next := 0
	for row, level := range v.Levels {
		h := uint64(0x5bd1e995)
		if level == 1 {
			h = hashOf(v, next)
			next++
		}
		rows[row] = mix(rows[row]*31 ^ h)
	}
}

// hashOf is a hash of one value that does not depend on how it is stored: whole numbers are equal to decimals of no
// fraction, and texts are equal by their bytes.
func hashOf(v *columnar.Vector, i int) uint64 {
	switch v.Type.Kind {
	case columnar.Bool:
		if v.Bools[i] {
			return mix(1)
		}
		return mix(2)
	case columnar.Int64, columnar.Timestamp, columnar.Time:
		return mix(uint64(v.Ints[i]))
	case columnar.Date:
		return mix(uint64(v.Days[i]))
	case columnar.Float64:
		return mix(math.Float64bits(v.Floats[i] + 0)) // -0 becomes 0
	case columnar.Decimal:
		if len(v.Wides) == 0 {
			return mix(uint64(v.Ints[i]))
		}
		if n, small := smallWide(v.Wides[i]); small {
			return mix(uint64(n))
		}
		return xxh3.Hash(v.Wides[i])
	}
	return xxh3.Hash(v.Texts[i])
}

// smallWide gives a decimal of many bytes that an int64 holds.
func smallWide(b []byte) (int64, bool) {
	sign := byte(0)
	if b[0] >= 0x80 {
		sign = 0xFF
	}
	head := b[:len(b)-8]
	for _, c := range head {
		if c != sign {
			return 0, false
		}
	}
	n := int64(binary.BigEndian.Uint64(b[len(b)-8:]))
	return n, n < 0 == (sign == 0xFF)
}

func (p *Profiler) withReader(f store.File, do func(*columnar.Reader) error) (err error) {
	src, err := p.o.Open(f)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := src.Close(); err == nil {
			err = cerr
		}
	}()
	r, err := columnar.OpenReader(src, f.Size)
	if err != nil {
		return err
	}
	return do(r)
}
