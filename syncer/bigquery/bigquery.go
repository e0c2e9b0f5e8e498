// Package bigquery is the connector for Google BigQuery. Tables are read over the Storage Read API as Arrow streams that go
// straight into Parquet; views, and tables with a row_filter, are first materialised by a query job, which is estimated and
// held to max_bytes before it runs. Where the Storage Read API may not be used, the same rows come over REST.
// It never writes to BigQuery and never copies a table whose query_mode is remote.
//
//	src, err := bigquery.New(bigquery.Options{Project: "riverbank-bi", MaxBytes: 100 << 30})
//	res, err := src.Fetch(ctx, source.Request{Table: t, Scratch: dir})
package bigquery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"
	"aida/syncer/source"

	storage "cloud.google.com/go/bigquery/storage/apiv1"
	bq "google.golang.org/api/bigquery/v2"
)

// Options say who reads and what it may cost.
type Options struct {
	Project         string        // runs the jobs and pays for them; the tables may be in other projects
	Location        string        // of jobs; "" = where the tables are
	CredentialsFile string        // key of a service account; "" = application default credentials
	MaxBytes        int64         // a read that is estimated larger is refused; 0 = no limit
	Endpoint        string        // REST; "" = Google's. http:// is for a server on this machine, and then no credentials are sent
	StorageEndpoint string        // host:port or URL of the Storage Read API; "" = Google's
	Pause           time.Duration // before the first repeat of a failed request; it doubles; 0 = 500 ms
	Log             *slog.Logger
}

// Source reads BigQuery. It connects at the first fetch.
type Source struct {
	o Options

	mu      sync.Mutex
	rest    *bq.Service
	storage *storage.BigQueryReadClient
}

// New checks the options; it does not connect.
func New(o Options) (*Source, error) {
	if o.Pause <= 0 {
		o.Pause = 500 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkEndpoints(o); err != nil {
		return nil, err
	}
	return &Source{o: o}, nil
}

// Name is "bigquery".
func (s *Source) Name() string { return "bigquery" }

// Close ends the connections.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.storage == nil {
		return nil
	}
	err := s.storage.Close()
	s.rest, s.storage = nil, nil
	return err
}

// Fetch looks at a table's metadata. A table that is as it was named by Known is unchanged; whether a view's rows changed
// cannot be told, nor those of a table into which rows are being streamed, so these are always read.
func (s *Source) Fetch(ctx context.Context, r source.Request) (*source.Result, error) {
	return s.fetch(ctx, r, nil)
}

// Keys gives the primary keys of all rows that the table's conditions let through.
func (s *Source) Keys(ctx context.Context, r source.Request) (*source.Result, error) {
	if len(r.Table.PrimaryKey) == 0 {
		return nil, fmt.Errorf("table %s: it has no primary_key to list", r.Table.FullName())
	}
	return s.fetch(ctx, r, r.Table.PrimaryKey)
}

func (s *Source) fetch(ctx context.Context, r source.Request, only []string) (*source.Result, error) {
	res, err := s.look(ctx, r, only)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", r.Table.FullName(), explain(ctx, err))
	}
	return res, nil
}

func (s *Source) look(ctx context.Context, r source.Request, only []string) (*source.Result, error) {
	if r.Table.QueryMode == "remote" {
		return nil, errors.New("its query_mode is remote: it is queried in BigQuery and never copied")
	}
	ref, err := parseID(r.Table.ID, s.o.Project)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	meta, err := c.table(ctx, ref)
	if err != nil {
		return nil, err
	}
	c.location = cmp.Or(c.location, meta.Location)
	p, err := newPlan(r, ref, meta, only, time.Now())
	if err != nil {
		return nil, err
	}
	res := &source.Result{Fingerprint: p.fingerprint, DataTime: p.dataTime, Size: -1}
	if p.wholeTable() && meta.Type == "TABLE" && meta.StreamingBuffer == nil {
		rows := int64(meta.NumRows)
		res.Rows = &rows
	}
	if p.fingerprint == r.Known {
		return res, nil
	}
	d := &data{client: c, plan: p, scratch: r.Scratch}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	res.Size, res.Data = d.size, d
	return res, nil
}

// CanWindow tells why a table cannot be asked for by window.
func (s *Source) CanWindow(t datadoc.Table) error {
	if timeColumn(t) == "" {
		return errors.New("it needs incremental_column, the TIMESTAMP, DATETIME or DATE column that tells when a row changed")
	}
	return nil
}

// CanFilter tells which of the table's conditions cannot be applied.
func (s *Source) CanFilter(t datadoc.Table) error {
	if t.RowFilter != "" {
		if err := checkFilter(t.RowFilter); err != nil {
			return fmt.Errorf("row_filter: %w", err)
		}
	}
	if t.MaxHistoryDays > 0 && timeColumn(t) == "" {
		return errors.New("max_history_days needs incremental_column or partition_by, the column that tells how old a row is")
	}
	return nil
}

// timeColumn is the column that windows and max_history_days are about.
func timeColumn(t datadoc.Table) string {
	if t.IncrementalColumn != "" {
		return t.IncrementalColumn
	}
	return t.PartitionBy
}

// data is a table's rows, not yet read.
type data struct {
	client  *client
	plan    *plan
	scratch string
	size    int64

	session  *session // of a table that is read directly
	overREST string   // why the Storage Read API is not used; "" = it is
	estimate int64    // bytes that the query will read
}

// prepare finds out, without reading rows, how the table will be read and what that will cost.
func (d *data) prepare(ctx context.Context) (err error) {
	d.size = -1
	if d.plan.query != "" {
		d.estimate, err = d.client.estimate(ctx, d.plan.query)
		return err
	}
	if d.plan.wholeTable() {
		d.size = d.plan.meta.NumBytes
	}
	d.session, err = d.client.newSession(ctx, d.plan.ref, d.plan.fields, d.plan.condition)
	switch {
	case notOffered(err):
		d.overREST = err.Error()
		if d.plan.condition != "" { // REST lists whole tables only
			d.plan.query = d.plan.sql()
			d.estimate, err = d.client.estimate(ctx, d.plan.query)
			return err
		}
		return d.client.affordable("the table has", d.plan.meta.NumBytes)
	case err != nil:
		return err
	}
	if n := d.session.bytes(); n > 0 {
		d.size = n
	}
	return d.client.affordable("reading it takes", max(d.session.bytes(), 0))
}

// WriteParquet reads all rows, sorted by the primary key, so that unchanged rows give unchanged bytes in whatever order
// BigQuery sends them.
func (d *data) WriteParquet(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	res, err := d.write(ctx, w, o)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", d.plan.name, explain(ctx, err))
	}
	return res, nil
}

func (d *data) write(ctx context.Context, w columnar.Sink, o columnar.Options) (*columnar.Result, error) {
	streams, want, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	a := &columnar.Arrow{Columns: d.plan.columns, Order: d.plan.order, Streams: streams, Scratch: d.scratch}
	res, err := a.WriteParquet(ctx, w, o)
	if err != nil {
		return nil, err
	}
	if want >= 0 && res.Rows != want {
		if moved, err := d.moved(ctx); err != nil {
			return nil, err
		} else if !moved {
			return nil, fmt.Errorf("BigQuery sent %d rows of %d: run the sync again", res.Rows, want)
		}
	}
	if d.overREST != "" {
		res.Warnings = append(res.Warnings, "the rows came over REST, which is slow, as the Storage Read API may not be used ("+d.overREST+
			"): give the account the role roles/bigquery.readSessionUser on project "+d.client.o.Project)
	}
	res.Warnings = append(res.Warnings, d.plan.warnings...)
	return res, nil
}

// open begins the read. want is how many rows there are, -1 when only BigQuery knows.
func (d *data) open(ctx context.Context) (streams []columnar.RecordStream, want int64, err error) {
	c, p := d.client, d.plan
	want = -1
	if p.wholeTable() && p.meta.StreamingBuffer == nil {
		want = int64(p.meta.NumRows)
	}
	from := p.ref
	var job *job
	if p.query != "" {
		if job, err = c.run(ctx, p.query, d.estimate); err != nil {
			return nil, 0, err
		}
		want, from = job.rows, job.result
		if d.overREST == "" {
			if d.session, err = c.newSession(ctx, from, p.fields, ""); notOffered(err) {
				d.overREST, err = err.Error(), nil
			}
			if err != nil {
				return nil, 0, err
			}
		}
	}
	if d.overREST == "" {
		streams, err = d.session.streams(ctx)
		if !notOffered(err) {
			return streams, want, err
		}
		d.overREST = err.Error()
		if p.query == "" && p.condition != "" {
			p.query = p.sql()
			if d.estimate, err = c.estimate(ctx, p.query); err != nil {
				return nil, 0, err
			}
			return d.open(ctx)
		}
	}
	schema, err := p.restSchema(job)
	if err != nil {
		return nil, 0, err
	}
	return []columnar.RecordStream{&pages{client: c, ref: from, job: job, fields: p.fields, schema: schema}}, want, nil
}

// moved tells whether the table is another one than when it was looked at.
func (d *data) moved(ctx context.Context) (bool, error) {
	if d.plan.query != "" {
		return false, nil // the result of a query stays as it is
	}
	meta, err := d.client.table(ctx, d.plan.ref)
	if err != nil {
		return false, err
	}
	return stateOf(meta) != stateOf(d.plan.meta), nil
}

// Settled: a read session and the result of a query are of one moment; pages of a table over REST are not.
func (d *data) Settled(ctx context.Context) error {
	if d.overREST == "" || d.plan.query != "" {
		return nil
	}
	moved, err := d.moved(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	if moved {
		return errors.New("the table changed while it was read over REST: run the sync again")
	}
	return nil
}

// Close has nothing to free: BigQuery drops sessions and results by itself.
func (d *data) Close() error { return nil }
