package keboola

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	callTimeout = 3 * time.Minute // of one API request; listing a large project takes a while
	maxAnswer   = 256 << 20       // of one API answer
)

// get and post call the Storage API and read its JSON answer.
func (s *Source) get(ctx context.Context, path string, query url.Values, out any) error {
	return s.call(ctx, http.MethodGet, path, query, nil, out)
}

func (s *Source) post(ctx context.Context, path string, form url.Values, out any) error {
	return s.call(ctx, http.MethodPost, path, nil, form, out)
}

// call repeats a request until it is answered or hopeless. Every call that this package makes may be repeated: an export
// that was started twice costs a little, and answers the same.
func (s *Source) call(ctx context.Context, method, path string, query, form url.Values, out any) error {
	var body []byte
	err := s.retry(ctx, func() (bool, error) {
		var err error
		body, err = s.once(ctx, method, path, query, form)
		return false, err
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s answered something that is not the expected JSON: is data_source.keboola.stack_url right? (%s)", s.base.Host, s.clean(err.Error()))
	}
	return nil
}

func (s *Source) once(ctx context.Context, method, path string, query, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u := *s.base
	u.Path, u.RawQuery = "/v2/storage/"+path, query.Encode()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errors.New("the request could not be made")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("X-StorageApi-Token", s.o.Token.Reveal())
	req.Header.Set("User-Agent", userAgent)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, &temporary{err: fmt.Errorf("%s cannot be reached: %w", s.base.Host, s.plain(err))}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode/100 != 2:
		return nil, s.refused(resp, text)
	case err != nil:
		return nil, &temporary{err: fmt.Errorf("the answer of %s broke off: %w", s.base.Host, s.plain(err))}
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", s.base.Host, maxAnswer>>20)
	}
	return text, nil
}

const userAgent = "aida (keboola connector)"

// apiError is a refusal by the Storage API.
type apiError struct {
	Status    int
	Message   string // of the API, cleaned
	Exception string // id by which Keboola's support finds it
}

func (e *apiError) Error() string {
	switch e.Status {
	case http.StatusUnauthorized:
		return "the token was refused (401" + e.said() + "): check KEBOOLA_STORAGE_TOKEN, and that the token is of this stack and has not expired"
	case http.StatusForbidden:
		return "the token may not do this (403" + e.said() + "): give it read access to the bucket"
	}
	s := fmt.Sprintf("the API answered %d %s", e.Status, http.StatusText(e.Status)) + e.said()
	if e.Exception != "" {
		s += " (exception id " + e.Exception + ")"
	}
	return s
}

func (e *apiError) said() string {
	if e.Message == "" {
		return ""
	}
	return ": " + e.Message
}

// is tells whether an error is a refusal with this status.
func is(err error, status int) bool {
	var e *apiError
	return errors.As(err, &e) && e.Status == status
}

func (s *Source) refused(resp *http.Response, body []byte) error {
	var said struct {
		Error, Message, Reason string
		ExceptionID            string `json:"exceptionId"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		_ = json.Unmarshal(body, &said) // an answer in another shape has no message to show
	}
	e := &apiError{Status: resp.StatusCode, Exception: s.clean(said.ExceptionID)}
	for _, m := range []string{said.Error, said.Message, said.Reason} {
		if m != "" {
			e.Message = s.clean(m)
			break
		}
	}
	if resp.StatusCode/100 == 3 {
		e.Message = "the stack sends requests elsewhere, which is not followed: check data_source.keboola.stack_url"
	}
	if passing(resp.StatusCode) {
		return &temporary{err: e, after: retryAfter(resp.Header, time.Now())}
	}
	return e
}

// passing tells whether a status may be another one a while later.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

// Anything that foreign text may carry that gives access: queries of signed URLs, Azure's signatures, bearer tokens.
var (
	query  = regexp.MustCompile(`(https?://[^\s"'?<>]+)\?[^\s"'<>]+`)
	pair   = regexp.MustCompile(`(?i)\b(sig|signature|x-amz-[a-z-]+|sharedaccesssignature|sastoken|access_token|sessiontoken|secretaccesskey|accesskeyid)("?\s*[=:]\s*"?)[^\s"'&;,<>]+`)
	bearer = regexp.MustCompile(`(?i)\bbearer\s+\S+`)
)

// clean makes foreign text fit for errors and logs: nothing that gives access, one line, not too long.
func (s *Source) clean(text string) string {
	if t := s.o.Token.Reveal(); t != "" {
		text = strings.ReplaceAll(text, t, "(secret)")
	}
	text = query.ReplaceAllString(text, "$1?(secret)")
	text = bearer.ReplaceAllString(text, "Bearer (secret)")
	text = pair.ReplaceAllString(text, "$1$2(secret)")
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "..."
	}
	return text
}

// plain is a transport's error without the URL, and with nothing that gives access.
func (s *Source) plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.New(s.clean(err.Error()))
}
