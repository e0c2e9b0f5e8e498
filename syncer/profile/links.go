package profile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aida/store"
	"aida/syncer/columnar"
)

// Bounds of the check of a join.
const (
	maxKeys     = 4 << 20  // distinct keys of the table that is referred to
	maxReferrer = 20 << 20 // values of the referring column that are looked up
	suggestFrom = 20_000   // values that decide whether a suggestion is kept
)

// orphanShare is how many of a suggested join's values may be missing in the other table; one in.
const orphanShare = 20

// link is a join to be checked: a column of one table that holds keys of another one.
type link struct {
	store.RelatedTable
	parent store.Table
}

// links brings the joins of all profiled tables up to date.
func (p *Profiler) links(ctx context.Context, tables []store.Table, files map[int64][]store.File) error {
	var failed []error
	keys := map[int64]string{}
	for _, t := range tables {
		h := sha256.New()
		for _, f := range files[t.ID] {
			fmt.Fprintf(h, "%s %s\n", f.Logical, f.Hash)
		}
		keys[t.ID] = hex.EncodeToString(h.Sum(nil)[:16])
	}
	for _, t := range tables {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		have, err := p.o.Store.ProfileState(ctx, t.ID)
		if err != nil {
			return err
		}
		if have.Key == "" || len(files[t.ID]) == 0 {
			continue
		}
		candidates := declared(t, tables)
		candidates = append(candidates, suggested(t, tables, files, candidates)...)
		h := sha256.New()
		fmt.Fprintf(h, "%d %s\n", version, keys[t.ID])
		for _, c := range candidates {
			fmt.Fprintf(h, "%q %s\n", []string{c.SourceID, c.JoinColumn, c.ForeignColumn, c.Description, c.Unchecked}, keys[c.parent.ID])
		}
		key := hex.EncodeToString(h.Sum(nil)[:16])
		if key == have.LinksKey {
			continue
		}
		links := []store.RelatedTable{}
		for _, c := range candidates {
			keep, err := p.check(ctx, files[t.ID], files[c.parent.ID], &c)
			if err != nil {
				failed = append(failed, fmt.Errorf("table %s: join with %s: %w", t.FullName(), c.Table, err))
				c.Unchecked, keep = "the files could not be read", !c.Suggested
			}
			if keep {
				links = append(links, c.RelatedTable)
			}
		}
		if err := p.o.Store.SaveProfileLinks(ctx, t.ID, key, links); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// declared gives the joins that the table's description names.
func declared(t store.Table, tables []store.Table) (out []link) {
	for _, k := range t.Definition.ForeignKeys {
		name, column, _ := strings.Cut(k.References, ".")
		i := slices.IndexFunc(tables, func(o store.Table) bool { return o.Name == name && o.Folder == t.Folder })
		if i < 0 {
			i = slices.IndexFunc(tables, func(o store.Table) bool { return o.Name == name })
		}
		if i < 0 {
			continue
		}
		out = append(out, link{store.RelatedTable{Table: name, SourceID: tables[i].SourceID, JoinColumn: k.Column, ForeignColumn: column, Description: k.Description}, tables[i]})
	}
	return out
}

// suggested gives joins that names speak for: a column that is called like the only key column of another table, such as
// customer_id, or like the other table's name in the singular with _id behind, when its key is called id.
func suggested(t store.Table, tables []store.Table, files map[int64][]store.File, known []link) (out []link) {
	for _, c := range files[t.ID][0].Schema {
		if slices.ContainsFunc(known, func(l link) bool { return l.JoinColumn == c.Name }) || len(t.Definition.PrimaryKey) == 1 && t.Definition.PrimaryKey[0] == c.Name {
			continue
		}
		var hits []link
		for _, o := range tables {
			if o.ID == t.ID || len(o.Definition.PrimaryKey) != 1 || len(files[o.ID]) == 0 {
				continue
			}
			key := o.Definition.PrimaryKey[0]
			if !(c.Name == key && strings.HasSuffix(strings.ToLower(key), "id") && !strings.EqualFold(key, "id")) && !(strings.EqualFold(key, "id") && refersTo(c.Name, o.Name)) {
				continue
			}
			hits = append(hits, link{store.RelatedTable{Table: o.Name, SourceID: o.SourceID, JoinColumn: c.Name, ForeignColumn: key,
				Description: "suggested by its name", Suggested: true}, o})
		}
		if len(hits) == 1 { // between two it would be a guess
			out = append(out, hits[0])
		}
	}
	return out
}

// refersTo tells whether a column's name is a table's name, in the singular, with id behind.
func refersTo(column, table string) bool {
	flat := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }
	base, ok := strings.CutSuffix(flat(column), "id")
	if !ok || base == "" {
		return false
	}
	name := flat(table)
	forms := []string{name, strings.TrimSuffix(name, "s"), strings.TrimSuffix(name, "es")}
	if stem, plural := strings.CutSuffix(name, "ies"); plural {
		forms = append(forms, stem+"y")
	}
	return slices.Contains(forms, base)
}

// check looks whether the values of a join's column are there in the other table, and tells whether the join is worth to
// be kept.
func (p *Profiler) check(ctx context.Context, files, parentFiles []store.File, l *link) (keep bool, err error) {
	unchecked := func(why string) (bool, error) {
		l.Unchecked = why
		return !l.Suggested, nil
	}
	if len(parentFiles) == 0 {
		return unchecked("the other table has no rows yet")
	}
	column, typ, ok := columnOf(files[0], l.JoinColumn)
	if !ok {
		return unchecked("the table has no column " + l.JoinColumn)
	}
	foreign, foreignType, ok := columnOf(parentFiles[0], l.ForeignColumn)
	if !ok {
		return unchecked("the other table has no column " + l.ForeignColumn)
	}
	if !sameHashes(typ, foreignType) {
		return unchecked(fmt.Sprintf("the columns have the types %s and %s", typ, foreignType))
	}
	rows := int64(0)
	for _, f := range parentFiles {
		rows += f.Rows
	}
	if rows > maxKeys {
		return unchecked("the other table has too many keys to hold them in memory")
	}
	keys := newHashSet(int(rows))
	err = p.valueHashes(ctx, parentFiles, foreign, func(h uint64, _ int64) bool {
		keys.add(h)
		return true
	})
	if err != nil {
		return false, err
	}
	limit := int64(maxReferrer)
	if l.Suggested {
		limit = suggestFrom
	}
	err = p.valueHashes(ctx, files, column, func(h uint64, n int64) bool {
		l.Checked += n
		if !keys.has(h) {
			l.Orphans += n
		}
		return l.Checked < limit
	})
	return !l.Suggested || l.Checked > 0 && l.Orphans*orphanShare <= l.Checked, err
}

func columnOf(f store.File, name string) (int, columnar.Type, bool) {
	for i, c := range f.Schema {
		if c.Name == name {
			t, err := columnar.ParseType(c.Type)
			return i, t, err == nil
		}
	}
	return 0, columnar.Type{}, false
}

// sameHashes tells whether equal values of two types have equal hashes.
func sameHashes(a, b columnar.Type) bool {
	norm := func(t columnar.Type) columnar.Type {
		switch {
		case t.Kind == columnar.JSON:
			return columnar.Type{Kind: columnar.String}
		case t.Kind == columnar.Int64:
			return columnar.Type{Kind: columnar.Decimal}
		case t.Kind == columnar.Decimal:
			return columnar.Type{Kind: columnar.Decimal, Scale: t.Scale}
		}
		return t
	}
	return norm(a) == norm(b)
}

// valueHashes gives the hash of each value that is not null with how many of them come at once, until each says stop.
func (p *Profiler) valueHashes(ctx context.Context, files []store.File, column int, each func(hash uint64, n int64) bool) error {
	var batch columnar.Batch
	l := look{}
	for _, f := range files {
		more := true
		err := p.withReader(f, func(r *columnar.Reader) error {
			for g := 0; g < r.RowGroups() && more; g++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := r.Read(g, []int{column}, columnar.ReadOptions{Dictionaries: true}, &batch); err != nil {
					return err
				}
				v := &batch.Columns[0]
				if counts := l.counts(v); counts != nil {
					for i, n := range counts {
						if n > 0 && more {
							more = each(hashOf(v.Dict, i), n)
						}
					}
					continue
				}
				for i := range v.Values() {
					if more = each(hashOf(v, i), 1); !more {
						break
					}
				}
			}
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}
