package bigquery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/googleapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	attempts = 6
	maxPause = 32 * time.Second
)

// repeat tries a request until it is answered, with growing pauses, as long as the failure is one that passes.
func (c *client) repeat(ctx context.Context, request func() error) error {
	for try := 1; ; try++ {
		err := request()
		if err == nil || try == attempts || !passing(err) || ctx.Err() != nil {
			return err
		}
		c.o.Log.Debug("BigQuery request is repeated", "try", try, "error", err)
		if err := c.pause(ctx, try, err); err != nil {
			return err
		}
	}
}

// pause waits before a repeat, as long as the server asks for, else a random part of a time that doubles.
func (c *client) pause(ctx context.Context, try int, cause error) error {
	wait := min(c.o.Pause<<(try-1), maxPause)
	wait = wait/2 + rand.N(wait/2+1)
	var api *googleapi.Error
	if errors.As(cause, &api) {
		if s, err := strconv.Atoi(api.Header.Get("Retry-After")); err == nil && s > 0 {
			wait = min(time.Duration(s)*time.Second, maxPause)
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// passing tells whether a failure may be gone at the next try.
func passing(err error) bool {
	var api *googleapi.Error
	if errors.As(err, &api) {
		switch api.Code {
		case 408, 429, 500, 502, 503, 504:
			return true
		case 400, 403:
			return len(api.Errors) > 0 && passingReason(api.Errors[0].Reason)
		}
		return false
	}
	if s, ok := status.FromError(err); ok {
		switch s.Code() {
		case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Internal:
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// passingReason: https://cloud.google.com/bigquery/docs/error-messages
func passingReason(reason string) bool {
	switch reason {
	case "backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError", "jobRateLimitExceeded", "tableUnavailable":
		return true
	}
	return false
}

// notOffered tells that the Storage Read API is not there for this account: the role that may open read sessions is
// missing, or the service is off.
func notOffered(err error) bool {
	if err == nil {
		return false
	}
	var refused *refusal
	return errors.As(err, &refused)
}

// refusal is such an answer to the first request, before any row.
type refusal struct{ code codes.Code }

func (r *refusal) Error() string { return r.code.String() }

func refused(err error) error {
	if s, ok := status.FromError(err); ok && (s.Code() == codes.PermissionDenied || s.Code() == codes.Unimplemented) {
		return &refusal{s.Code()}
	}
	return err
}

// explain makes one sentence of an error: what, why, what to do. Of a cancelled context it says just that.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	var hinted *hint
	if errors.As(err, &hinted) {
		return err
	}
	if text := advice(err); text != "" {
		return &hint{err, text}
	}
	return err
}

// hint adds what to do to an error, once.
type hint struct {
	error
	text string
}

func (h *hint) Error() string { return h.error.Error() + ": " + h.text }

func (h *hint) Unwrap() error { return h.error }

func advice(err error) string {
	var api *googleapi.Error
	if errors.As(err, &api) {
		switch api.Code {
		case 401:
			return "the credentials are not accepted: is the key of the service account still valid?"
		case 403:
			return "the account needs the roles roles/bigquery.jobUser on the paying project and roles/bigquery.dataViewer on the data"
		case 404:
			return "look at the table's id, which is project.dataset.table, and at data_source.bigquery.location"
		}
		if passing(err) {
			return "BigQuery did not recover in time: run the sync again later"
		}
		return ""
	}
	if s, ok := status.FromError(err); ok {
		switch s.Code() {
		case codes.Unauthenticated:
			return "the credentials are not accepted: is the key of the service account still valid?"
		case codes.PermissionDenied:
			return "the account needs the role roles/bigquery.dataViewer on the data"
		case codes.NotFound, codes.FailedPrecondition:
			return "the table went away or its read session expired: run the sync again"
		}
		if passing(err) {
			return "BigQuery did not recover in time: run the sync again later"
		}
		return ""
	}
	var u *url.Error
	switch {
	case strings.Contains(err.Error(), "could not find default credentials"):
		return "set data_source.bigquery.credentials_file to the key of a service account, or GOOGLE_APPLICATION_CREDENTIALS"
	case errors.As(err, &u):
		return "is the network there, and a proxy set where one is needed?"
	}
	return ""
}
