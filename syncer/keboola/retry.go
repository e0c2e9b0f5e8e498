package keboola

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	tries      = 8                // of one request, without any progress in between
	maxPause   = 30 * time.Second // between two tries, when the server asks for no longer one
	maxAskedBy = 10 * time.Minute // the longest pause that a server may ask for
)

// temporary is an error that may go away by itself. after is the pause that the server asked for.
type temporary struct {
	err   error
	after time.Duration
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// retry calls fn until it succeeds or fails for good. Pauses double from Options.Backoff on, with jitter, and are never
// shorter than what the server asked for. A try that got further, though it failed, begins the count anew.
func (s *Source) retry(ctx context.Context, fn func() (further bool, err error)) error {
	failed := 0
	for {
		further, err := fn()
		var t *temporary
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &t):
			return err
		}
		if further {
			failed = 0
		}
		if failed++; failed == tries {
			return fmt.Errorf("%w: gave up after %d tries", err, tries)
		}
		if t.after > maxAskedBy {
			return fmt.Errorf("%w: it asks to come back in %s, so this is left for a later run", err, t.after.Round(time.Second))
		}
		if err := sleep(ctx, max(s.pause(failed), t.after)); err != nil {
			return err
		}
	}
}

// pause is the wait after the n-th failure, half of it by chance, so that many clients do not come back at once.
func (s *Source) pause(n int) time.Duration {
	d := min(s.o.Backoff<<(n-1), maxPause)
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < 1<<31 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
