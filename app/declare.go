package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"aida/portal"
	"aida/store"
	"aida/syncer"
	"aida/syncer/datadoc"
)

// declarations is the description of the tables while this process serves: pages change it, and so may an editor beside it.
type declarations struct {
	p     *program
	mu    sync.Mutex
	taken string // what was taken up last
}

func newDeclarations(p *program) *declarations {
	d := &declarations{p: p}
	if texts, err := d.texts(); err == nil {
		d.taken = stateOf(texts)
	}
	return d
}

// described is a description file.
type describedFile struct {
	path string
	text []byte
}

func (d *declarations) texts() (out []describedFile, err error) {
	for _, path := range d.p.doc.Files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("data description: %w", err)
		}
		out = append(out, describedFile{path, text})
	}
	return out, nil
}

// stateOf tells one state of the files from any other.
func stateOf(texts []describedFile) string {
	h := sha256.New()
	for _, f := range texts {
		fmt.Fprintf(h, "%s %d\n%s", f.path, len(f.text), f.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Declared gives what is written of a table.
func (d *declarations) Declared(_ context.Context, id string) (portal.Declared, error) {
	texts, err := d.texts()
	if err != nil {
		return portal.Declared{}, err
	}
	for _, f := range texts {
		for _, t := range datadoc.Written(f.path, f.text) {
			if t.ID == id {
				return d.declared(f, t, stateOf(texts)), nil
			}
		}
	}
	return portal.Declared{}, &store.Error{Code: store.NotFound, Message: "no description file tells of " + id, Hint: "it may have been taken out meanwhile"}
}

// All gives what is written of every table.
func (d *declarations) All(_ context.Context) (portal.Described, error) {
	texts, err := d.texts()
	if err != nil {
		return portal.Described{}, err
	}
	doc, err := parseAll(texts)
	if err != nil {
		return portal.Described{}, &store.Error{Code: store.Invalid, Message: "the description has mistakes: " + strings.ReplaceAll(err.Error(), "\n", "; "), Hint: "correct the file"}
	}
	out := portal.Described{Folders: doc.FolderMapping, Seen: stateOf(texts)}
	resolved := map[string]datadoc.Table{}
	for _, t := range doc.Tables {
		resolved[t.ID] = t
	}
	for _, f := range texts {
		for _, t := range datadoc.Written(f.path, f.text) {
			x := d.declared(f, t, out.Seen)
			r := resolved[t.ID]
			x.Name, x.Folder, x.Table = r.Name, r.Folder, r.FullName()
			out.Tables = append(out.Tables, x)
		}
	}
	return out, nil
}

func (d *declarations) declared(f describedFile, t datadoc.Table, seen string) portal.Declared {
	out := portal.Declared{Declaration: declarationOf(t), File: f.path, Place: fmt.Sprintf("%s:%d", f.path, t.Line), Seen: seen}
	if len(t.Columns) > 0 && t.Columns[0].Plain {
		out.Columns, out.Fixed = nil, "The declaration lists names of columns, which chooses the ones that are read. Write them as maps in "+out.Place+" to declare types and marks."
	}
	return out
}

func declarationOf(t datadoc.Table) portal.Declaration {
	out := portal.Declaration{ID: t.ID, Name: t.Name, Folder: t.Folder, Description: strings.TrimSpace(t.Description), PrimaryKey: t.PrimaryKey, Strategy: t.Strategy, IncrementalColumn: t.IncrementalColumn,
		PartitionBy: t.PartitionBy, Granularity: t.PartitionGranularity, Dataset: t.Dataset, Schedule: t.Schedule, OnBadRow: t.OnBadRow, Schema: t.Schema}
	if t.IncrementalWindow != 0 {
		out.WindowDays = strconv.Itoa(t.IncrementalWindow)
	}
	if t.InitialLoadChunkDays != 0 {
		out.ChunkDays = strconv.Itoa(t.InitialLoadChunkDays)
	}
	for _, k := range t.ForeignKeys {
		out.ForeignKeys = append(out.ForeignKeys, portal.ForeignKey(k))
	}
	for _, f := range t.WhereFilters {
		values := f.Values
		if f.Written != nil {
			values = f.Written
		}
		out.WhereFilters = append(out.WhereFilters, portal.WhereFilter{Column: f.Column, Operator: f.Operator, Values: values})
	}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, portal.DeclaredColumn{Name: c.Name, Type: c.Type, Description: c.Description, Sensitive: c.Sensitive})
	}
	return out
}

// Preview tells what a change would do.
func (d *declarations) Preview(_ context.Context, c portal.Change) (portal.Preview, error) {
	before, after, _, err := d.change(c)
	if err != nil {
		return portal.Preview{}, err
	}
	return portal.Preview{File: before.path, Diff: diffLines(string(before.text), string(after))}, nil
}

// change makes the new text of the one file that a change touches, and checks it together with the others.
func (d *declarations) change(c portal.Change) (before describedFile, after []byte, texts []describedFile, err error) {
	if texts, err = d.texts(); err != nil {
		return before, nil, nil, err
	}
	if c.Seen != stateOf(texts) {
		return before, nil, nil, &store.Error{Code: store.Conflict, Message: "the description was changed by somebody else since you read it", Hint: "read it again, and make your change on what is there now"}
	}
	at := 0
	if !c.New {
		at = slices.IndexFunc(texts, func(f describedFile) bool {
			return slices.ContainsFunc(datadoc.Written(f.path, f.text), func(t datadoc.Table) bool { return t.ID == c.ID })
		})
	}
	if at < 0 || len(texts) == 0 {
		return before, nil, nil, &store.Error{Code: store.NotFound, Message: "no description file tells of " + c.ID, Hint: "it may have been taken out meanwhile"}
	}
	before = texts[at]
	switch {
	case c.New:
		after, err = d.added(before, c)
	case c.Gone:
		after, err = datadoc.Remove(before.path, before.text, c.ID)
	default:
		after, err = datadoc.Apply(before.path, before.text, editOf(before, c))
	}
	if err != nil {
		return before, nil, nil, &store.Error{Code: store.Invalid, Message: err.Error()}
	}
	texts[at].text = after
	if _, err := parseAll(texts); err != nil {
		return before, nil, nil, &store.Error{Code: store.Invalid, Message: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	if c.Schedule != "" && c.Schedule != "never" {
		if _, err := syncer.ParseSchedule(c.Schedule, nil); err != nil {
			return before, nil, nil, &store.Error{Code: store.Invalid, Message: "schedule: " + err.Error()}
		}
	}
	return before, after, texts, nil
}

func parseAll(texts []describedFile) (*datadoc.Doc, error) {
	var paths []string
	by := map[string][]byte{}
	for _, f := range texts {
		paths, by[f.path] = append(paths, f.path), f.text
	}
	return datadoc.LoadWith(paths, func(path string) ([]byte, error) { return by[path], nil })
}

// editOf names what differs from what is written; what is not shown on the page stays.
func editOf(f describedFile, c portal.Change) datadoc.Edit {
	e := datadoc.Edit{ID: c.ID}
	one := func(key, value string) {
		k := datadoc.KeyEdit{Key: key}
		if value = strings.TrimSpace(value); value != "" {
			k.Values = []string{value}
		}
		e.Keys = append(e.Keys, k)
	}
	for key, value := range map[string]string{"name": c.NewName, "folder": c.NewFolder} {
		if value != "" {
			one(key, value)
		}
	}
	for _, t := range datadoc.Written(f.path, f.text) {
		if t.ID != c.ID {
			continue
		}
		if strings.TrimSpace(t.Description) != strings.TrimSpace(c.Description) {
			one("description", c.Description) // a folded text that says the same stays as it is
		}
		was := declarationOf(t)
		if len(was.ForeignKeys)+len(c.ForeignKeys) > 0 && !reflect.DeepEqual(was.ForeignKeys, c.ForeignKeys) {
			k := datadoc.KeyEdit{Key: "foreign_keys", Foreign: []datadoc.Foreign{}}
			for _, v := range c.ForeignKeys {
				k.Foreign = append(k.Foreign, datadoc.Foreign(v))
			}
			e.Keys = append(e.Keys, k)
		}
		if len(was.WhereFilters)+len(c.WhereFilters) > 0 && !reflect.DeepEqual(was.WhereFilters, c.WhereFilters) {
			k := datadoc.KeyEdit{Key: "where_filters", Filters: []datadoc.Filter{}}
			for _, v := range c.WhereFilters {
				k.Filters = append(k.Filters, datadoc.Filter{Column: v.Column, Operator: v.Operator, Values: v.Values})
			}
			e.Keys = append(e.Keys, k)
		}
	}
	e.Keys = append(e.Keys, datadoc.KeyEdit{Key: "primary_key", Values: c.PrimaryKey})
	one("sync_strategy", c.Strategy)
	one("incremental_column", c.IncrementalColumn)
	one("incremental_window_days", c.WindowDays)
	one("initial_load_chunk_days", c.ChunkDays)
	one("partition_by", c.PartitionBy)
	one("partition_granularity", c.Granularity)
	one("dataset", c.Dataset)
	one("schedule", c.Schedule)
	one("on_bad_row", c.OnBadRow)
	one("schema", c.Schema)
	for _, col := range c.Columns {
		e.Columns = append(e.Columns, datadoc.ColumnEdit{Name: col.Name, Type: strings.TrimSpace(col.Type), Description: strings.TrimSpace(col.Description), Sensitive: col.Sensitive})
	}
	return e
}

// added puts a block for a new table at the end of the file, as `aida table discover` does.
func (d *declarations) added(f describedFile, c portal.Change) ([]byte, error) {
	if len(c.PrimaryKey) == 0 {
		return nil, errors.New("primary_key needs a value: the column, or columns with commas between, that tell rows apart")
	}
	p := proposal{Bucket: c.Folder, Rows: -1, Table: datadoc.Table{ID: c.ID, Name: c.Name, Folder: c.Folder, Description: c.Description, PrimaryKey: c.PrimaryKey, CSV: datadoc.CSVOptions{Path: c.Path}}}
	if c.Path != "" {
		files, err := csvSource(d.p.cfg.DataSource.CSV)
		if err != nil {
			return nil, err
		}
		if f, err := files.Look(c.Path); err == nil { // else the sync will say what is wrong with the file
			p.CSV = f.Format
		}
	}
	text := strings.TrimRight(string(f.text), "\n") + "\n\n" + describeProposals([]proposal{p}, nil)
	rest := c
	rest.New = false
	out, err := datadoc.Apply(f.path, []byte(text), editOf(describedFile{f.path, []byte(text)}, rest))
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(datadoc.Written(f.path, out), func(t datadoc.Table) bool { return t.ID == c.ID && t.Name == c.Name && t.Folder == c.Folder }) {
		return nil, errors.New("name and folder are single words of letters, digits, dots, dashes and underscores") // and bring no further keys along
	}
	return out, nil
}

// Save writes the file and takes it up.
func (d *declarations) Save(ctx context.Context, actor string, c portal.Change) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, after, texts, err := d.change(c)
	if err != nil {
		return "", err
	}
	if bytes.Equal(before.text, after) {
		return c.Seen, nil
	}
	action := "table.edit"
	switch {
	case c.New:
		action = "table.register"
	case c.Gone:
		action = "table.remove"
	}
	if err := writeWhole(before.path, after); err != nil {
		return "", fmt.Errorf("the description could not be written: %w", err)
	}
	var lines []string
	for _, l := range diffLines(string(before.text), string(after)) {
		if l.Mark == "+" || l.Mark == "-" {
			lines = append(lines, l.Mark+" "+strings.TrimSpace(l.Text))
		}
	}
	if err := d.p.store.Note(ctx, actor, action, c.ID, clip(strings.Join(lines, "\n"), 2000)); err != nil {
		return "", err
	}
	if err := d.take(ctx, texts); err != nil {
		return "", err
	}
	if c.Gone {
		return d.taken, d.p.store.ForgetChoices(ctx, c.ID)
	}
	return d.taken, nil
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// take makes the running process follow the files.
func (d *declarations) take(ctx context.Context, texts []describedFile) error {
	doc, err := parseAll(texts)
	if err != nil {
		return err
	}
	d.p.sync.SetTables(doc.Tables)
	if err := d.p.sync.Register(ctx); err != nil {
		return err
	}
	d.taken = stateOf(texts)
	return nil
}

// follow takes up files that were changed by an editor. What is wrong with them leaves the tables as they were.
func (d *declarations) follow(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	texts, err := d.texts()
	if err != nil {
		return err
	}
	if stateOf(texts) == d.taken {
		return nil
	}
	if err := d.take(ctx, texts); err != nil {
		return fmt.Errorf("the changed description is not followed: %w", err)
	}
	return d.p.store.Note(ctx, "file", "tables.reload", strings.Join(d.p.doc.Files, ", "), "")
}

// Discover lists what the default source has.
func (d *declarations) Discover(ctx context.Context) ([]portal.Candidate, error) {
	quiet := &cli{quiet: true, out: io.Discard, err: io.Discard}
	found, err := quiet.proposals(ctx, d.p.cfg)
	if err != nil {
		return nil, &store.Error{Code: store.Invalid, Message: err.Error(), Hint: "describe the table in data_description.md, or look at `aida doctor`"}
	}
	texts, err := d.texts()
	if err != nil {
		return nil, err
	}
	var written []datadoc.Table
	for _, f := range texts {
		written = append(written, datadoc.Written(f.path, f.text)...)
	}
	var out []portal.Candidate
	for _, p := range found {
		out = append(out, portal.Candidate{ID: p.ID, Bucket: p.Bucket, Name: p.Name, Folder: cmp.Or(p.Folder, p.Bucket), Description: p.Description, Path: p.CSV.Path, PrimaryKey: p.PrimaryKey,
			Rows: p.Rows, Columns: len(p.Columns), Described: slices.ContainsFunc(written, p.is)})
	}
	return out, nil
}

// writeWhole puts a file in place of another one, whole or not at all, with its mode.
func writeWhole(path string, text []byte) error {
	mode := os.FileMode(0o640)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
