package keboola

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"aida/syncer/source"
)

// job is an asynchronous task of the storage.
type job struct {
	ID     id     `json:"id"`
	Status string `json:"status"`
	Error  struct {
		Message     string `json:"message"`
		ExceptionID string `json:"exceptionId"`
	} `json:"error"`
	Results struct {
		File struct {
			ID id `json:"id"`
		} `json:"file"`
	} `json:"results"`
}

// exported gives the file that has the rows. The API cannot call an export off, and a run that is cut short leaves one
// under way: its job is noted, and the next run that asks for the same takes up its file. When that is gone, or the job
// failed, the rows are exported anew.
func (d *data) exported(ctx context.Context) (*access, error) {
	key, jobs := d.jobKey(), d.jobs()
	if jobs != nil {
		left, err := jobs.Begun(ctx, key)
		if err != nil {
			return nil, err
		}
		if left != "" {
			fileID, err := d.s.await(ctx, job{ID: id(left), Status: "waiting"}, true)
			var a *access
			if err == nil {
				a, err = d.s.open(ctx, fileID)
			}
			if err == nil || ctx.Err() != nil {
				return a, err
			}
		}
	}
	j, err := d.s.export(ctx, d.detail.ID, d.form)
	if err != nil {
		return nil, err
	}
	if jobs != nil {
		if err := jobs.Note(ctx, key, string(j.ID)); err != nil {
			return nil, err
		}
	}
	fileID, err := d.s.await(ctx, j, false)
	if err != nil {
		return nil, err
	}
	return d.s.open(ctx, fileID)
}

// jobs is where jobs are noted; nil for a table that does not say when it changed, of which no two exports are known to be
// the same.
func (d *data) jobs() source.Jobs {
	if d.detail.changed().IsZero() {
		return nil
	}
	return d.r.Jobs
}

// jobKey names what is exported: of which state of the table, and by which request.
func (d *data) jobKey() string {
	state := fmt.Sprint(d.s.base.Host, d.detail.ID, d.detail.LastImport.Time, d.detail.LastChange.Time, d.detail.Created.Time)
	sum := sha256.Sum256([]byte(state + "\n" + d.form.Encode()))
	return "keboola:" + hex.EncodeToString(sum[:16])
}

// export has the API begin to write rows of a table into a file.
func (s *Source) export(ctx context.Context, tableID string, body url.Values) (j job, err error) {
	if err := s.post(ctx, "tables/"+tableID+"/export-async", body, &j); err != nil {
		return j, fmt.Errorf("export: %w", err)
	}
	if j.ID == "" {
		return j, errors.New("export: the API began no job")
	}
	return j, nil
}

// await waits for a job and gives the id of its file. now has it look at once.
func (s *Source) await(ctx context.Context, j job, now bool) (fileID string, err error) {
	began := time.Now()
	for wait := s.o.Backoff / 4; ; wait = min(wait*3/2, 20*time.Second) {
		switch j.Status {
		case "success":
			if j.Results.File.ID == "" {
				return "", fmt.Errorf("export: job %s succeeded without a file", j.ID)
			}
			return string(j.Results.File.ID), nil
		case "error", "cancelled", "terminated":
			return "", fmt.Errorf("export: job %s ended with %s: %s", j.ID, j.Status, s.reason(j))
		case "waiting", "processing", "created":
		default:
			return "", fmt.Errorf("export: job %s has the status %q, which is not known", j.ID, s.clean(j.Status))
		}
		if time.Since(began)+wait > s.o.JobTimeout {
			return "", fmt.Errorf("export: job %s is still %s after %s: look at the project's job queue, the next sync tries again", j.ID, j.Status, s.o.JobTimeout)
		}
		if !now {
			if err := sleep(ctx, wait); err != nil {
				return "", err
			}
		}
		now = false
		asked := j.ID
		j = job{}
		if err := s.get(ctx, "jobs/"+url.PathEscape(string(asked)), nil, &j); err != nil {
			return "", fmt.Errorf("export: job %s: %w", asked, err)
		}
		j.ID = asked
	}
}

func (s *Source) reason(j job) string {
	message := s.clean(j.Error.Message)
	if message == "" {
		message = "no reason was given"
	}
	if j.Error.ExceptionID != "" {
		message += " (exception id " + s.clean(j.Error.ExceptionID) + ")"
	}
	return message
}
