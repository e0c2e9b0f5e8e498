// Package profile looks at all rows of a table and says what is in them: per column nulls, distinct values, distribution,
// frequent values, and what is odd; per table duplicates, joins with other tables and a few rows. Memory is bounded whatever
// the table's size: what cannot be exact then is an estimate, and is called one. Values of sensitive columns never get into
// a profile. It decides nothing about who may read one.
//
//	p := profile.New(profile.Options{Store: st, Open: lk.Open, Limits: limits})
//	err := p.Update(ctx, tables) // after a publish; tables whose files did not change cost nothing
package profile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"

	"aida/store"
	"aida/syncer/columnar"
)

// File is an open lake file.
type File interface {
	io.ReaderAt
	io.Closer
}

// Options is what a Profiler works with.
type Options struct {
	Store   *store.Store
	Open    func(store.File) (File, error) // the bytes of a lake file
	Limits  Limits
	Workers int // goroutines that read one table; 0 = cores
	Log     *slog.Logger
}

// Limits bound what a profile holds, and say from when on something is worth an alert.
type Limits struct {
	SampleSize      int // values of each column that percentiles and histograms are taken from
	Categorical     int // most distinct values for which the frequent ones are listed in any case
	TopValues       int
	Bins            int
	SampleRows      int
	SampleValues    int
	HighMissing     float64 // percent
	Missing         float64
	Imbalance       float64
	Zeros           float64
	HighCardinality int64
}

// DefaultLimits are those of an instance that sets none.
var DefaultLimits = Limits{SampleSize: 100_000, Categorical: 50, TopValues: 10, Bins: 15, SampleRows: 5, SampleValues: 5,
	HighMissing: 30, Missing: 5, Imbalance: 60, Zeros: 50, HighCardinality: 50}

// version changes when the same files would make another profile, so that all are made anew.
const version = 1

// maxSample bounds Limits.SampleSize: beyond it percentiles hardly get better.
const maxSample = 100_000

// sampleBytes bounds the memory of all samples of a table.
const sampleBytes = 32 << 20

// partSample is how many values of each column a kept part holds of them.
const partSample = 8_192

// Profiler makes profiles. It is safe for concurrent use.
type Profiler struct{ o Options }

// New makes a Profiler.
func New(o Options) *Profiler {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits.Bins = max(o.Limits.Bins, 1)
	o.Limits.SampleSize = min(max(o.Limits.SampleSize, 1000), maxSample)
	return &Profiler{o: o}
}

// Update brings the profiles of tables up to date with the newest generation, and then the joins of all tables whose own
// or whose related tables' files changed. A table that cannot be read keeps its old profile, marked as stale; the error
// names all of them.
func (p *Profiler) Update(ctx context.Context, tables []store.Table) error {
	pin, err := p.o.Store.Pin(ctx)
	if err != nil {
		return err
	}
	defer pin.Release()
	files := map[int64][]store.File{}
	for _, f := range pin.Snapshot.Files {
		files[f.TableID] = append(files[f.TableID], f)
	}
	var failed []error
	for _, t := range tables {
		if len(files[t.ID]) == 0 {
			continue
		}
		if err := p.table(ctx, t, files[t.ID], false); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed = append(failed, fmt.Errorf("profile of table %s: %w", t.FullName(), err), p.o.Store.StaleProfile(ctx, t.ID))
		}
	}
	all, err := p.o.Store.Tables(ctx)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	return errors.Join(append(failed, p.links(ctx, all, files))...)
}

// Refresh makes the profile of one table anew, whatever is stored of it.
func (p *Profiler) Refresh(ctx context.Context, t store.Table) error {
	pin, err := p.o.Store.Pin(ctx)
	if err != nil {
		return err
	}
	defer pin.Release()
	files := map[int64][]store.File{}
	for _, f := range pin.Snapshot.Files {
		files[f.TableID] = append(files[f.TableID], f)
	}
	if len(files[t.ID]) == 0 {
		return fmt.Errorf("table %s has no files yet: sync it first", t.FullName())
	}
	if err := p.table(ctx, t, files[t.ID], true); err != nil {
		return fmt.Errorf("profile of table %s: %w", t.FullName(), err)
	}
	all, err := p.o.Store.Tables(ctx)
	if err != nil {
		return err
	}
	return p.links(ctx, all, files)
}

// table makes a table's profile, unless it is there already or is to be made anew.
func (p *Profiler) table(ctx context.Context, t store.Table, files []store.File, anew bool) error {
	have, err := p.o.Store.ProfileState(ctx, t.ID)
	if err != nil {
		return err
	}
	key := p.key(t, files)
	if have.Key == key && !have.Stale && !anew {
		return nil
	}
	schema, err := p.schema(files)
	if err != nil {
		return err
	}
	whole, parts, err := p.read(ctx, t, files, schema, anew)
	if err != nil {
		return err
	}
	out := p.summarize(t, files, whole)
	if err := p.exact(ctx, t, files, schema, whole, out); err != nil {
		return err
	}
	return p.o.Store.SaveProfile(ctx, t.ID, key, out, parts)
}

// key tells a table's profile apart from that of other files, and from one that was asked for otherwise.
func (p *Profiler) key(t store.Table, files []store.File) string {
	h := sha256.New()
	limits, _ := json.Marshal(p.o.Limits)
	fmt.Fprintf(h, "%d %s %q %q\n", version, limits, t.Definition.PrimaryKey, hidden(t))
	for _, f := range files {
		fmt.Fprintf(h, "%s %s\n", f.Logical, f.Hash)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// hidden lists the columns whose values must not be told.
func hidden(t store.Table) (out []string) {
	for _, c := range t.Definition.Columns {
		if c.Sensitive {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

func (p *Profiler) schema(files []store.File) ([]columnar.Column, error) {
	f, err := p.o.Open(files[0])
	if err != nil {
		return nil, err
	}
	s, _, err := columnar.ReadSchema(f, files[0].Size)
	return s.Columns, errors.Join(err, f.Close())
}

// maxParts bounds how many parts of a table are kept.
const maxParts = 256

// read looks at all files: those of parts that are kept already are left alone. It gives the whole and the parts to keep;
// nil stands for one that is kept already. A table of one part keeps none, as any change is a change of all of it.
func (p *Profiler) read(ctx context.Context, t store.Table, files []store.File, schema []columnar.Column, anew bool) (*part, map[string][]byte, error) {
	sensitive := map[string]bool{}
	for _, name := range hidden(t) {
		sensitive[name] = true
	}
	groups := partsOf(files)
	if len(groups) == 1 {
		limit := min(p.o.Limits.SampleSize, sampleBytes/(8*max(len(schema), 1)))
		whole, err := p.readPart(ctx, files, schema, sensitive, rateOf(files, limit))
		return whole, nil, err
	}
	limit := min(partSample, sampleBytes/(8*max(len(schema), 1)*len(groups))+1)
	whole, parts := &part{}, map[string][]byte{}
	thinning := rand.New(rand.NewPCG(seedOf(files), 2))
	for _, g := range groups {
		key := p.key(t, g)
		state, err := p.o.Store.ProfilePart(ctx, t.ID, key)
		if err != nil {
			return nil, nil, err
		}
		var one *part
		if state != nil && !anew {
			if one, err = decodePart(state); err != nil {
				p.o.Log.Warn("a kept part of a profile cannot be read and is made anew", "table", t.FullName(), "error", err)
				one = nil
			}
		}
		parts[key] = nil
		if one == nil {
			if one, err = p.readPart(ctx, g, schema, sensitive, rateOf(g, limit)); err != nil {
				return nil, nil, err
			}
			if parts[key], err = one.encode(); err != nil {
				return nil, nil, err
			}
		}
		if err := whole.merge(one, p.o.Limits, thinning); err != nil {
			return nil, nil, err
		}
	}
	return whole, parts, nil
}

func rateOf(files []store.File, limit int) float64 {
	rows := int64(0)
	for _, f := range files {
		rows += f.Rows
	}
	return min(1, float64(limit)/float64(max(rows, 1)))
}

// partsOf cuts a table's files into parts of about the same number, at files whose names say so: thus a file more or less
// changes one part alone.
func partsOf(files []store.File) (parts [][]store.File) {
	every := uint32(1)
	for len(files) > maxParts*int(every) {
		every *= 2
	}
	from := 0
	for i, f := range files {
		h := fnv.New32a()
		h.Write([]byte(f.Logical))
		if i > from && h.Sum32()%every == 0 {
			parts = append(parts, files[from:i])
			from = i
		}
	}
	return append(parts, files[from:])
}

// primaryKey gives the places of a table's key columns; nil when it has none, or not all of them are there.
func primaryKey(t store.Table, schema []columnar.Column) (out []int) {
	for _, name := range t.Definition.PrimaryKey {
		i := slices.IndexFunc(schema, func(c columnar.Column) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 {
			return nil
		}
		out = append(out, i)
	}
	return out
}
