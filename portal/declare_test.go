package portal_test

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"aida/portal"
	"aida/store"
)

// paper is a description of tables without a file; the one with a file is tried in package app.
type paper struct {
	mu      sync.Mutex
	version int
	tables  []portal.Declared
}

func onPaper() *paper {
	return &paper{version: 1, tables: []portal.Declared{{Declaration: portal.Declaration{ID: "s.orders", Name: "orders", Folder: "sales", Description: "Orders", PrimaryKey: []string{"id"}, Strategy: "full_refresh", WindowDays: "7",
		Columns: []portal.DeclaredColumn{{Name: "id", Type: "int64"}}}, Table: "sales.orders", File: "/srv/d.md", Place: "/srv/d.md:3"}}}
}

func (d *paper) seen() string { return strconv.Itoa(d.version) }

func (d *paper) All(context.Context) (portal.Described, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := portal.Described{Tables: slices.Clone(d.tables), Folders: map[string]string{"s": "sales"}, Seen: d.seen()}
	for i := range out.Tables {
		out.Tables[i].Seen = out.Seen
	}
	return out, nil
}

func (d *paper) Declared(ctx context.Context, id string) (portal.Declared, error) {
	all, _ := d.All(ctx)
	for _, t := range all.Tables {
		if t.ID == id {
			return t, nil
		}
	}
	return portal.Declared{}, &store.Error{Code: store.NotFound, Message: id + " is not described"}
}

func (d *paper) Preview(_ context.Context, c portal.Change) (portal.Preview, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Seen != d.seen() {
		return portal.Preview{}, &store.Error{Code: store.Conflict, Message: "the description was changed"}
	}
	return portal.Preview{File: "/srv/d.md", Diff: []portal.DiffLine{{Mark: "…"}, {Mark: "+", Before: "4", Text: "schedule: " + c.Schedule}}}, nil
}

func (d *paper) Save(ctx context.Context, _ string, c portal.Change) (string, error) {
	if _, err := d.Preview(ctx, c); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables = slices.DeleteFunc(d.tables, func(t portal.Declared) bool { return t.ID == c.ID })
	if !c.Gone {
		c.Name, c.Folder = cmp.Or(c.NewName, c.Name), cmp.Or(c.NewFolder, c.Folder)
		d.tables = append(d.tables, portal.Declared{Declaration: c.Declaration, Table: c.Folder + "." + c.Name, Place: "/srv/d.md:9"})
	}
	d.version++
	return d.seen(), nil
}

func (d *paper) Discover(context.Context) ([]portal.Candidate, error) {
	return []portal.Candidate{{ID: "s.orders", Bucket: "s", Name: "orders", Folder: "sales", Rows: 2, Columns: 1, Described: true},
		{ID: "s.refunds", Bucket: "s", Name: "refunds", Folder: "sales", PrimaryKey: []string{"id"}, Rows: -1, Columns: 2, Path: "refunds.csv"}}, nil
}
