package bigquery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/api/googleapi"
)

// job is a query that is done.
type job struct {
	id       *bq.JobReference
	rows     int64
	schema   *bq.TableSchema
	result   reference // the temporary table of the rows
	cacheHit bool
}

// minimumBilled is the least that a query is billed for each table (BigQuery pricing); a smaller limit would refuse
// everything.
const minimumBilled = 100 << 20

// estimate asks BigQuery, at no cost, whether a query is valid and what it will read, and refuses what is too much.
func (c *client) estimate(ctx context.Context, query string) (bytes int64, err error) {
	var answer *bq.Job
	err = c.repeat(ctx, func() error {
		answer, err = c.rest.Jobs.Insert(c.o.Project, &bq.Job{Configuration: c.configuration(query, true), JobReference: &bq.JobReference{ProjectId: c.o.Project, Location: c.location}}).Context(ctx).Do()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("BigQuery does not take the query %s: %w", query, err)
	}
	if answer.Statistics == nil || answer.Statistics.Query == nil {
		return 0, errors.New("BigQuery gave no estimate for the query")
	}
	if kind := answer.Statistics.Query.StatementType; kind != "SELECT" {
		return 0, fmt.Errorf("row_filter makes the query a %s, and only a SELECT is run: write one condition, without WHERE", kind)
	}
	bytes = answer.Statistics.Query.TotalBytesProcessed
	return bytes, c.affordable("the query reads", bytes)
}

func (c *client) configuration(query string, dry bool) *bq.JobConfiguration {
	legacy, cache := false, true
	q := &bq.JobConfigurationQuery{Query: query, UseLegacySql: &legacy, UseQueryCache: &cache}
	if c.o.MaxBytes > 0 && !dry {
		q.MaximumBytesBilled = max(c.o.MaxBytes, minimumBilled)
	}
	return &bq.JobConfiguration{Query: q, DryRun: dry, Labels: map[string]string{"application": "aida"}}
}

// run runs a query to its end, and cancels it when the context is cancelled. A job that fails by BigQuery's own fault is
// run again.
func (c *client) run(ctx context.Context, query string, estimate int64) (*job, error) {
	for try := 1; ; try++ {
		j, again, err := c.runOnce(ctx, query, estimate)
		if err == nil || !again || try == attempts || ctx.Err() != nil {
			return j, err
		}
		if err := c.pause(ctx, try, err); err != nil {
			return nil, err
		}
	}
}

func (c *client) runOnce(ctx context.Context, query string, estimate int64) (j *job, again bool, err error) {
	id := "aida_" + strings.ToLower(rand.Text())
	ref := &bq.JobReference{ProjectId: c.o.Project, JobId: id, Location: c.location}
	var started *bq.Job
	err = c.repeat(ctx, func() error {
		started, err = c.rest.Jobs.Insert(c.o.Project, &bq.Job{Configuration: c.configuration(query, false), JobReference: ref}).Context(ctx).Do()
		var api *googleapi.Error
		if errors.As(err, &api) && api.Code == http.StatusConflict { // an insert before this one did arrive
			started, err = c.rest.Jobs.Get(c.o.Project, id).Location(ref.Location).Context(ctx).Do()
		}
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("BigQuery query: %w", err)
	}
	ref = started.JobReference
	c.o.Log.Info("BigQuery query runs", "job", ref.JobId, "location", ref.Location, "estimated_bytes", estimate)
	done, err := c.wait(ctx, ref)
	if err != nil {
		if ctx.Err() != nil {
			c.cancel(ctx, ref)
		}
		return nil, false, fmt.Errorf("BigQuery job %s: %w", ref.JobId, err)
	}
	if e := done.Status.ErrorResult; e != nil {
		return nil, passingReason(e.Reason), fmt.Errorf("BigQuery job %s failed: %s (%s)", ref.JobId, e.Message, e.Reason)
	}
	t := done.Configuration.Query.DestinationTable
	if t == nil {
		return nil, false, fmt.Errorf("BigQuery job %s: it has no table of results", ref.JobId)
	}
	var first *bq.GetQueryResultsResponse
	err = c.repeat(ctx, func() error {
		first, err = c.rest.Jobs.GetQueryResults(ref.ProjectId, ref.JobId).Location(ref.Location).MaxResults(0).Context(ctx).Do()
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("BigQuery job %s: %w", ref.JobId, err)
	}
	if first.Schema == nil {
		return nil, false, fmt.Errorf("BigQuery job %s: its result has no columns", ref.JobId)
	}
	return &job{id: ref, rows: int64(first.TotalRows), schema: first.Schema, cacheHit: first.CacheHit,
		result: reference{t.ProjectId, t.DatasetId, t.TableId}}, false, nil
}

// wait polls a job until it is done.
func (c *client) wait(ctx context.Context, ref *bq.JobReference) (*bq.Job, error) {
	for try := 1; ; try++ {
		var j *bq.Job
		err := c.repeat(ctx, func() (err error) {
			j, err = c.rest.Jobs.Get(ref.ProjectId, ref.JobId).Location(ref.Location).Context(ctx).Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		if j.Status != nil && j.Status.State == "DONE" {
			return j, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(c.o.Pause<<min(try-1, 4), 5*time.Second)):
		}
	}
}

// cancel stops a job that nobody waits for any more, so that it costs no more than it did.
func (c *client) cancel(ctx context.Context, ref *bq.JobReference) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if _, err := c.rest.Jobs.Cancel(ref.ProjectId, ref.JobId).Location(ref.Location).Context(ctx).Do(); err != nil {
		c.o.Log.Warn("a BigQuery job could not be cancelled", "job", ref.JobId, "error", err)
	}
}
