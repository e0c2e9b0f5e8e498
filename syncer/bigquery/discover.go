package bigquery

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	bq "google.golang.org/api/bigquery/v2"
)

// Table is what a project has: found by Discover.
type Table struct {
	ID          string // project.dataset.table
	Dataset     string
	Type        string // TABLE, VIEW, ...
	Description string
	PrimaryKey  []string // of the table's constraints, which BigQuery does not enforce
	Columns     []Column
	Rows        int64 // -1 = not known, as of a view
	Bytes       int64
}

// Column is a column with the type that the lake would give it.
type Column struct {
	Name        string
	Type        string
	Description string
}

// Discover lists the tables and views of the paying project, by id.
func (s *Source) Discover(ctx context.Context) ([]Table, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	refs, err := c.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("tables of the BigQuery project %s: %w", s.o.Project, explain(ctx, err))
	}
	out := make([]Table, len(refs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, ref := range refs {
		group.Go(func() error {
			meta, err := c.table(ctx, ref)
			if err != nil {
				return explain(ctx, err)
			}
			out[i] = describe(ref, meta)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *client) list(ctx context.Context) (refs []reference, err error) {
	var datasets []string
	for token := ""; ; {
		var page *bq.DatasetList
		err := c.repeat(ctx, func() error {
			call := c.rest.Datasets.List(c.o.Project).Context(ctx)
			if token != "" {
				call.PageToken(token)
			}
			page, err = call.Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range page.Datasets {
			datasets = append(datasets, d.DatasetReference.DatasetId)
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	for _, d := range datasets {
		for token := ""; ; {
			var page *bq.TableList
			err := c.repeat(ctx, func() error {
				call := c.rest.Tables.List(c.o.Project, d).Context(ctx)
				if token != "" {
					call.PageToken(token)
				}
				page, err = call.Do()
				return err
			})
			if err != nil {
				return nil, err
			}
			for _, t := range page.Tables {
				refs = append(refs, reference{t.TableReference.ProjectId, t.TableReference.DatasetId, t.TableReference.TableId})
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
	}
	slices.SortFunc(refs, func(a, b reference) int { return strings.Compare(a.String(), b.String()) })
	return refs, nil
}

func describe(ref reference, meta *bq.Table) Table {
	t := Table{ID: ref.String(), Dataset: ref.dataset, Type: meta.Type, Description: meta.Description, Rows: int64(meta.NumRows), Bytes: meta.NumBytes}
	if meta.Type != "TABLE" {
		t.Rows = -1
	}
	if meta.TableConstraints != nil && meta.TableConstraints.PrimaryKey != nil {
		t.PrimaryKey = meta.TableConstraints.PrimaryKey.Columns
	}
	if meta.Schema != nil {
		for _, f := range meta.Schema.Fields {
			t.Columns = append(t.Columns, Column{f.Name, naturalType(f).String(), f.Description})
		}
	}
	return t
}
