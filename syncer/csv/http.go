package csv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"sync/atomic"
	"time"

	"aida/syncer/source"
)

// attempts is how often a download is tried, with pauses of 1, 2, 4 s between; a broken one goes on where it broke.
const attempts = 4

// download spools a URL into scratch. Its content is what tells one state from another.
func (s *Source) download(ctx context.Context, address string, r source.Request) (*inputs, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("csv: %q is not a URL", address)
	}
	shown := u.Scheme + "://" + u.Host + u.Path // credentials and signed queries stay out of errors
	tmp, err := os.CreateTemp(r.Scratch, "download-*")
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	in := &inputs{spooled: tmp.Name()}
	state, size, modified, err := s.spool(ctx, address, tmp)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("csv: download %s: %w", shown, hideURL(err)), in.Close())
	}
	in.state, in.size, in.modified = []string{shown + " " + state}, size, modified
	in.files = []file{{name: path.Base(u.Path), read: new(atomic.Int64), open: func() (io.ReadCloser, error) { return os.Open(in.spooled) }}}
	return in, nil
}

func (s *Source) spool(ctx context.Context, address string, tmp *os.File) (state string, size int64, modified time.Time, err error) {
	sum := sha256.New()
	var etag string
	for try := range attempts {
		if try > 0 {
			select {
			case <-ctx.Done():
				return "", 0, time.Time{}, ctx.Err()
			case <-time.After(s.o.Pause << (try - 1)):
			}
		}
		var again bool
		again, err = s.get(ctx, address, func(resp *http.Response) error {
			if resp.StatusCode != http.StatusPartialContent || resp.Header.Get("ETag") != etag {
				sum.Reset()
				size = 0
				if err := tmp.Truncate(0); err != nil {
					return err
				}
				if _, err := tmp.Seek(0, io.SeekStart); err != nil {
					return err
				}
			}
			etag = resp.Header.Get("ETag")
			modified = httpTime(resp)
			n, err := io.Copy(io.MultiWriter(tmp, sum), resp.Body)
			size += n
			return err
		}, size, etag)
		if err == nil {
			return hex.EncodeToString(sum.Sum(nil)), size, modified, nil
		}
		if !again || ctx.Err() != nil {
			break
		}
	}
	return "", 0, time.Time{}, err
}

// get makes one request, from an offset on when the part before it is known to be of the same bytes.
func (s *Source) get(ctx context.Context, address string, read func(*http.Response) error, offset int64, etag string) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept-Encoding", "identity") // length and ranges are of the bytes that are stored
	if offset > 0 && etag != "" {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		req.Header.Set("If-Range", etag)
	}
	resp, err := s.o.Client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusPartialContent && offset > 0:
		if err := read(resp); err != nil {
			return true, err
		}
		return false, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return true, fmt.Errorf("the server answered %s", resp.Status)
	}
	return false, fmt.Errorf("the server answered %s", resp.Status)
}

func httpTime(resp *http.Response) time.Time {
	if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		return t.UTC()
	}
	return time.Now().UTC()
}

// hideURL takes the request's URL, which may hold a secret, out of a transport error.
func hideURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
