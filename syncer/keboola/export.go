package keboola

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
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

// export has the API write rows of a table into a file, and gives the file's id.
func (s *Source) export(ctx context.Context, tableID string, body url.Values) (fileID string, err error) {
	var j job
	if err := s.post(ctx, "tables/"+tableID+"/export-async", body, &j); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	if j.ID == "" {
		return "", errors.New("export: the API began no job")
	}
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
		if err := sleep(ctx, wait); err != nil {
			return "", err
		}
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
