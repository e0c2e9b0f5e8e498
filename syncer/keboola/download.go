package keboola

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sink takes an object's bytes. Reset takes back all that it was given.
type sink interface {
	io.Writer
	Reset() error
}

// fetch reads an object into a sink, whole: a download that breaks off or stands still goes on at the byte where it ended,
// as long as the object is the same one, and credentials that have expired are fetched anew. got is told of each piece;
// a negative number takes pieces back.
func (a *access) fetch(ctx context.Context, b builder, to sink, got func(n int64)) error {
	if got == nil {
		got = func(int64) {}
	}
	t := &transfer{a: a, build: b, to: to, got: got, total: -1}
	return a.s.retry(ctx, func() (bool, error) {
		before := t.offset
		err := t.try(ctx)
		return t.offset > before, err
	})
}

// transfer is one object on its way.
type transfer struct {
	a      *access
	build  builder
	to     sink
	got    func(int64)
	offset int64 // bytes that the sink has
	total  int64 // of the object; -1 = not known
	etag   string
	denied int // how often in a row credentials were refused
}

func (t *transfer) try(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watch := time.AfterFunc(t.a.s.o.Stall, func() { cancel(errStalled) })
	defer watch.Stop()
	resp, round, err := t.request(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	watch.Reset(t.a.s.o.Stall)
	if err := t.answer(parent, resp, round); err != nil {
		return err
	}
	t.denied = 0
	n, err := io.Copy(t.to, &watched{resp.Body, func() { watch.Reset(t.a.s.o.Stall) }, t.got})
	t.offset += n
	switch {
	case err == nil && t.total >= 0 && t.offset < t.total:
		err = io.ErrUnexpectedEOF
	case err == nil && t.total >= 0 && t.offset > t.total:
		return t.again(fmt.Errorf("it has more than the %d bytes that were announced", t.total))
	case err == nil:
		return nil
	case context.Cause(ctx) == errStalled:
		err = errStalled
	}
	var failed *writeError
	if errors.As(err, &failed) {
		return failed.err
	}
	return &temporary{err: fmt.Errorf("the download broke off at %d of %s bytes: %w", t.offset, known(t.total), t.a.s.plain(err))}
}

var errStalled = errors.New("nothing came for too long")

func known(total int64) string {
	if total < 0 {
		return "?"
	}
	return strconv.FormatInt(total, 10)
}

func (t *transfer) request(ctx context.Context) (*http.Response, int, error) {
	f, round := t.a.current()
	h := http.Header{"Accept-Encoding": {"gzip"}} // the bytes as they are stored: a cloud that inflates knows no length
	if t.offset > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(t.offset, 10)+"-")
		if t.etag != "" {
			h.Set("If-Match", t.etag)
		}
	}
	req, err := t.build(ctx, f, h)
	if err != nil {
		return nil, 0, err
	}
	resp, err := t.a.s.client.Do(req)
	if err != nil {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		return nil, 0, &temporary{err: fmt.Errorf("%s cannot be reached: %w", req.URL.Host, t.a.s.plain(err))}
	}
	return resp, round, nil
}

// answer checks that the body which follows is what the sink needs next.
func (t *transfer) answer(ctx context.Context, resp *http.Response, round int) error {
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		if err := t.reset(); err != nil {
			return err
		}
		t.total, t.etag = resp.ContentLength, strong(resp.Header.Get("ETag"))
		return nil
	case status == http.StatusPartialContent && t.offset > 0:
		from, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || from != t.offset || t.total >= 0 && total != t.total {
			return t.again(errors.New("it was continued at another place than asked for"))
		}
		t.total = total
		return nil
	case status == http.StatusPreconditionFailed, status == http.StatusRequestedRangeNotSatisfiable:
		return t.again(errors.New("it changed while it was read"))
	case passing(status):
		return &temporary{err: fmt.Errorf("%s answered %s", resp.Request.URL.Host, resp.Status), after: retryAfter(resp.Header, time.Now())}
	default:
		return t.refused(ctx, resp, round)
	}
}

// refused asks for new credentials once or twice: they last some hours, which a large export may take longer than.
func (t *transfer) refused(ctx context.Context, resp *http.Response, round int) error {
	code := errorCode(resp)
	err := fmt.Errorf("%s answered %d%s", resp.Request.URL.Host, resp.StatusCode, code)
	expired := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden ||
		resp.StatusCode == http.StatusBadRequest && (strings.Contains(code, "Expired") || strings.Contains(code, "InvalidToken"))
	if !expired {
		return err
	}
	if t.denied++; t.denied > 2 {
		return fmt.Errorf("%w, though the credentials are new", err)
	}
	if renewed := t.a.renew(ctx, round); renewed != nil {
		return renewed
	}
	return &temporary{err: err}
}

var codes = regexp.MustCompile(`<Code>([A-Za-z]{1,60})</Code>`)

// errorCode is the code in the XML of an error, such as ExpiredToken. Nothing else of such an answer is shown: Amazon's
// and Azure's repeat the signature.
func errorCode(resp *http.Response) string {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a part may have the code
	if m := codes.FindSubmatch(body); m != nil {
		return " " + string(m[1])
	}
	return ""
}

// again begins the object anew with the next try.
func (t *transfer) again(why error) error {
	if err := t.reset(); err != nil {
		return err
	}
	return &temporary{err: why}
}

func (t *transfer) reset() error {
	t.got(-t.offset)
	t.offset, t.total, t.etag = 0, -1, ""
	return t.to.Reset()
}

// strong is an entity tag that can be used to go on: a weak one does not promise the same bytes (RFC 9110, section 8.8.1).
func strong(etag string) string {
	if strings.HasPrefix(etag, "W/") {
		return ""
	}
	return etag
}

// contentRange reads "bytes 5-9/10".
func contentRange(v string) (from, total int64, ok bool) {
	span, size, ok1 := strings.Cut(strings.TrimPrefix(v, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	return from, total, ok1 && ok2 && err1 == nil && err2 == nil && err3 == nil && from >= 0 && to == total-1 && to >= from
}

// watched tells of each piece that is read.
type watched struct {
	r    io.Reader
	seen func()
	got  func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.seen()
		w.got(int64(n))
	}
	return n, err
}

// writeError is a fault on our side of a transfer, which no other try mends.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }
