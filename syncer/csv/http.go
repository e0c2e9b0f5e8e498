package csv

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"aida/syncer/source"
)

// attempts is how often a download is tried, with pauses of 1, 2, 4 s between; a broken one goes on where it broke.
const attempts = 4

// download spools a URL into scratch, unless the server says that it is still what was downloaded last.
func (s *Source) download(ctx context.Context, address string, known validators, r source.Request) (*inputs, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("csv: the path begins like a URL but is none: write it as https://host/path")
	}
	shown := u.Scheme + "://" + u.Host + u.Path // credentials and signed queries stay out of errors
	if err := os.MkdirAll(r.Scratch, 0o750); err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	tmp, err := os.CreateTemp(r.Scratch, "download-*")
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	in := &inputs{spooled: tmp.Name()}
	d := &transfer{s: s, address: address, known: known, tmp: tmp, sum: sha256.New()}
	err = d.run(ctx)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("csv: download %s: %w", shown, hideURL(err)), in.Close())
	}
	in.state, in.size, in.modified, in.remote = []string{shown + " " + hex.EncodeToString(d.sum.Sum(nil))}, d.size, d.modified, d.now
	in.same = d.same
	name := path.Base(u.Path)
	if name == "/" || name == "." {
		name = u.Host
	}
	in.files = []file{{name: name, read: new(atomic.Int64), open: func() (io.ReadCloser, error) { return os.Open(in.spooled) }}}
	return in, nil
}

// validators are how a server names a state of a file (RFC 9110, section 8.8).
type validators struct{ etag, modified string }

func (v validators) none() bool { return v == validators{} }

// String is the form in which validators are part of a fingerprint.
func (v validators) String() string {
	if v.none() {
		return ""
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(v.etag+"\n"+v.modified))
}

func parseValidators(s string) (v validators) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		v.etag, v.modified, _ = strings.Cut(string(text), "\n")
	}
	return v
}

// validatorsOf reads what the server says. A time of modification counts alone when it lies so far back that a second
// change in the same second would have another one (RFC 9110, section 8.8.2.2).
func validatorsOf(h http.Header) (v validators) {
	v.etag = h.Get("ETag")
	if v.etag != "" {
		return v
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	date, derr := http.ParseTime(h.Get("Date"))
	if err == nil && derr == nil && date.Sub(modified) >= 2*time.Second {
		v.modified = h.Get("Last-Modified")
	}
	return v
}

// transfer is one download.
type transfer struct {
	s        *Source
	address  string
	known    validators
	tmp      *os.File
	sum      hash.Hash
	size     int64
	modified time.Time
	now      validators
	same     bool // the server says that the file is what known names
}

func (d *transfer) run(ctx context.Context) (err error) {
	for try := range attempts {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d.s.o.Pause << (try - 1)):
			}
		}
		var again bool
		if again, err = d.try(ctx); err == nil || !again || ctx.Err() != nil {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// try makes one request, from where the last one broke when the part before is known to be of the same bytes.
func (d *transfer) try(ctx context.Context) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address, nil)
	if err != nil {
		return false, errors.New("this is not a URL")
	}
	req.Header.Set("Accept-Encoding", "identity") // length and ranges are of the bytes that are stored
	switch {
	case d.size > 0 && strings.HasPrefix(d.now.etag, `"`): // a weak one does not promise the same bytes
		req.Header.Set("Range", "bytes="+strconv.FormatInt(d.size, 10)+"-")
		req.Header.Set("If-Range", d.now.etag)
	case d.known.etag != "":
		req.Header.Set("If-None-Match", d.known.etag)
	case d.known.modified != "":
		req.Header.Set("If-Modified-Since", d.known.modified)
	}
	resp, err := d.s.o.Client.Do(req)
	if err != nil {
		return !errors.Is(err, errDowngrade), err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && !d.known.none():
		d.same, d.modified = true, httpTime(resp)
		return false, nil
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusPartialContent && req.Header.Get("Range") != "":
		return d.take(resp, cancel)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return true, fmt.Errorf("the server answered %s", resp.Status)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.size > 0:
		d.now = validators{} // the file is another one now: begin again
		return true, fmt.Errorf("the server answered %s", resp.Status)
	}
	return false, fmt.Errorf("the server answered %s", resp.Status)
}

// take writes a body behind what is there, or anew when it begins at the beginning.
func (d *transfer) take(resp *http.Response, cancel context.CancelCauseFunc) (again bool, err error) {
	goesOn := resp.StatusCode == http.StatusPartialContent && resp.Header.Get("ETag") == d.now.etag &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.size))
	if resp.StatusCode == http.StatusPartialContent && !goesOn {
		d.now = validators{}
		return true, errors.New("the server sent another part of the file than the one asked for")
	}
	if !goesOn {
		d.sum.Reset()
		d.size = 0
		_, err := d.tmp.Seek(0, io.SeekStart)
		if err := errors.Join(err, d.tmp.Truncate(0)); err != nil {
			return false, err
		}
	}
	d.now, d.modified = validatorsOf(resp.Header), httpTime(resp)
	local := &keptError{w: d.tmp}
	timer := time.AfterFunc(d.s.o.Stall, func() { cancel(errStalled) })
	defer timer.Stop()
	n, err := io.Copy(io.MultiWriter(local, d.sum), &watched{resp.Body, timer, d.s.o.Stall})
	d.size += n
	if local.err != nil {
		return false, local.err // such as a full disk, which no further attempt mends
	}
	if err != nil && errors.Is(context.Cause(resp.Request.Context()), errStalled) {
		err = errStalled
	}
	return err != nil, err
}

var errStalled = errors.New("the server stopped sending")

// watched sets back a timer whenever bytes arrive.
type watched struct {
	io.Reader
	timer *time.Timer
	limit time.Duration
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.timer.Reset(r.limit)
	}
	return n, err
}

// keptError remembers an error of a writer.
type keptError struct {
	w   io.Writer
	err error
}

func (k *keptError) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.err = err
	}
	return n, err
}

func httpTime(resp *http.Response) time.Time {
	if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil && t.Before(time.Now()) {
		return t.UTC()
	}
	return time.Now().UTC()
}

var errDowngrade = errors.New("the server redirects from https to http: use the address that it leads to")

// newClient follows redirects, but neither to an unencrypted address nor telling it where they came from, as a URL may
// hold a signature.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: 20 * time.Second,
			IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: checkRedirect,
	}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("the server redirects without end")
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errDowngrade
	}
	req.Header.Del("Referer")
	return nil
}

// hideURL takes the request's URL, which may hold a secret, out of a transport error.
func hideURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
