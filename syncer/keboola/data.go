package keboola

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"aida/syncer/columnar"
	"aida/syncer/lake"
	"aida/syncer/source"

	"golang.org/x/sync/errgroup"
)

// data is rows of a table, exported and fetched when they are read.
type data struct {
	s       *Source
	r       source.Request
	detail  *detail
	columns []columnar.Column
	form    url.Values
	size    int64 // what Result.Size said

	dir    string // of the spooled slices; "" until they were fetched
	slices []*spooled
}

// WriteParquet exports the rows, fetches the export into scratch and converts it.
func (d *data) WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	p := &progress{d: d, tell: o.Progress}
	if d.dir == "" {
		if err := d.spool(ctx, p); err != nil {
			return nil, fmt.Errorf("keboola: table %s: %w", d.r.Table.FullName(), err)
		}
	}
	if o.Progress != nil {
		o.Progress = p.converted
	}
	res, err := d.csv().WriteParquet(ctx, w, o)
	if err == nil && len(res.Schema.Columns) != len(d.columns) {
		return nil, fmt.Errorf("keboola: table %s: the export has %d columns, %d were asked for", d.r.Table.FullName(), len(res.Schema.Columns), len(d.columns))
	}
	return res, err
}

// csv describes the slices. They have no header line: the names are those that were asked for, in that order.
func (d *data) csv() *columnar.CSV {
	c := &columnar.CSV{
		Table: d.r.Table.FullName(), Declared: d.columns, Dialect: columnar.Dialect{Delimiter: ',', Quote: '"'},
		OnBadRow:   columnar.BadRowPolicy(cmp.Or(d.r.Table.OnBadRow, string(columnar.Fail))),
		Quarantine: func() (io.WriteCloser, error) { return os.Create(filepath.Join(d.r.Scratch, source.QuarantineFile)) },
	}
	if d.detail.Bucket.Backend == "snowflake" {
		// Snowflake writes every text in quotes, and a null either as nothing or, by default, as \N without them.
		c.Dialect.NullTokens = []string{`\N`}
	}
	for _, g := range groups(d.slices) {
		c.Inputs = append(c.Inputs, columnar.Input{Name: g.name(d.detail.ID), Open: g.open, Consumed: g.consumed})
	}
	return c
}

// Settled is always true of an export: it is one state of the table. A change after the detail was read makes the next
// fingerprint another one.
func (d *data) Settled(context.Context) error { return nil }

// Close removes the spooled slices.
func (d *data) Close() error {
	if d.dir == "" {
		return nil
	}
	dir := d.dir
	d.dir, d.slices = "", nil
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("keboola: %w", err)
	}
	return nil
}

// spool exports the rows and fetches the slices.
func (d *data) spool(ctx context.Context, p *progress) error {
	a, err := d.exported(ctx)
	if err != nil {
		return err
	}
	places, err := a.slices(ctx)
	if err != nil {
		return err
	}
	f, _ := a.current()
	if err := room(d.r.Scratch, f); err != nil {
		return err
	}
	p.expect(f)
	dir, err := os.MkdirTemp(d.r.Scratch, "keboola-*")
	if err != nil {
		return err
	}
	slices := make([]*spooled, len(places))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(d.s.o.Downloads)
	for i, place := range places {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			s := &spooled{name: place.Key, path: filepath.Join(dir, fmt.Sprintf("%06d", i))}
			slices[i] = s
			if err := s.fetch(gctx, a, place, p.fetched); err != nil {
				return fmt.Errorf("slice %d of %d: %w", i+1, len(places), err)
			}
			return nil
		})
	}
	if err := cmp.Or(g.Wait(), ctx.Err()); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	d.dir, d.slices = dir, slices
	if jobs := d.jobs(); jobs != nil {
		return jobs.Note(ctx, d.jobKey(), "")
	}
	return nil
}

// reserve is what a download leaves free on the disk.
const reserve = 64 << 20

// room fails before the download when the disk cannot hold it.
func room(dir string, f *file) error {
	if f.SizeBytes == nil {
		return nil
	}
	free, err := lake.Free(dir)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if need := *f.SizeBytes + reserve; free < need {
		return fmt.Errorf("the export has %d MiB, the disk has %d MiB free: free some, or move the data folder", *f.SizeBytes>>20, free>>20)
	}
	return nil
}

func (s *spooled) fetch(ctx context.Context, a *access, p place, got func(int64)) error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = a.fetch(ctx, object(p), &fileSink{f}, got)
	if err == nil {
		s.size, err = f.Seek(0, io.SeekCurrent)
	}
	return errors.Join(err, f.Close())
}

// fileSink is a file that a download is written to.
type fileSink struct{ f *os.File }

func (s *fileSink) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

func (s *fileSink) Reset() error {
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	_, err := s.f.Seek(0, io.SeekStart)
	return err
}
