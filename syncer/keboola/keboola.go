// Package keboola is the connector for the tables of a Keboola project. It talks to the Storage API of the project's stack:
// it asks for a table's detail, exports it as gzipped CSV only when it changed, and fetches the export's slices from the
// cloud that the stack lies in (Amazon S3, Google Cloud Storage or Azure Blob Storage) with the temporary credentials that
// the API hands out. It only ever reads; package columnar parses the text.
//
// The protocol is that of https://keboola.docs.apiary.io and of Keboola's own clients.
//
//	src, err := keboola.New(keboola.Options{StackURL: "https://connection.keboola.com", Token: token})
package keboola

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"aida/config"
)

// Options say which project, and bound what is done at a time.
type Options struct {
	StackURL  string        // such as https://connection.keboola.com
	Token     config.Secret // a Storage API token that may read the tables
	ProjectID string        // when set, the token must belong to this project

	Downloads  int               // slices fetched at a time; 0 = 4
	JobTimeout time.Duration     // how long an export job may take, queueing included; 0 = 2 h
	Stall      time.Duration     // how long a download may stand still before it is asked for again; 0 = 1 min
	Backoff    time.Duration     // first pause between tries and between looks at a job; 0 = 1 s
	Transport  http.RoundTripper // nil = one with time-outs that honours the proxy variables
}

// Source reads one Keboola project. It is safe for use by several goroutines.
type Source struct {
	o      Options
	base   *url.URL
	client *http.Client

	mu      sync.Mutex
	project *Project // once the token was checked
}

// Project is what a token belongs to.
type Project struct {
	ID   string
	Name string
}

// New checks the options; it does not call the API yet, see Check.
func New(o Options) (*Source, error) {
	var missing []string
	if strings.TrimSpace(o.StackURL) == "" {
		missing = append(missing, "data_source.keboola.stack_url (KEBOOLA_STACK_URL)")
	}
	if strings.TrimSpace(o.Token.Reveal()) == "" {
		missing = append(missing, "data_source.keboola.storage_token (KEBOOLA_STORAGE_TOKEN)")
	}
	if missing != nil {
		return nil, fmt.Errorf("keboola: these need a value: %s", strings.Join(missing, ", "))
	}
	if strings.ContainsFunc(o.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("keboola: the storage token has blanks or odd characters in it: copy it anew")
	}
	base, err := stackURL(o.StackURL)
	if err != nil {
		return nil, err
	}
	o.Downloads = cmp.Or(o.Downloads, 4)
	o.JobTimeout = cmp.Or(o.JobTimeout, 2*time.Hour)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	o.Backoff = cmp.Or(o.Backoff, time.Second)
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 20 * time.Second,
			ResponseHeaderTimeout: 2 * time.Minute, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: o.Downloads, ForceAttemptHTTP2: true}
	}
	// A redirect could carry the token or a credential to another host; neither the API nor the clouds need one.
	client := &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Source{o: o, base: base, client: client}, nil
}

// stackURL takes what people paste: with or without a scheme, a path or a slash behind.
func stackURL(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("keboola: data_source.keboola.stack_url is not an address: write it as https://connection.keboola.com")
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("keboola: data_source.keboola.stack_url %s://%s: the token is only sent over https", u.Scheme, u.Host)
	}
	return &url.URL{Scheme: "https", Host: strings.ToLower(u.Host)}, nil
}

// Name is "keboola".
func (s *Source) Name() string { return "keboola" }

// Close ends the connections that are kept open for the next request.
func (s *Source) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Check asks the API whose token this is, and compares the project with the one of the options. A good answer is kept.
func (s *Source) Check(ctx context.Context) (Project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.project != nil {
		return *s.project, nil
	}
	var token struct {
		Owner struct {
			ID   id     `json:"id"`
			Name string `json:"name"`
		} `json:"owner"`
	}
	if err := s.get(ctx, "tokens/verify", nil, &token); err != nil {
		return Project{}, fmt.Errorf("keboola: check of the token: %w", err)
	}
	p := Project{ID: string(token.Owner.ID), Name: token.Owner.Name}
	if p.ID == "" {
		return Project{}, fmt.Errorf("keboola: %s did not say which project the token belongs to: is it a Keboola stack?", s.base.Host)
	}
	if want := strings.TrimSpace(s.o.ProjectID); want != "" && want != p.ID {
		return Project{}, fmt.Errorf("keboola: the token belongs to project %s (%s), the configuration says %s: change data_source.keboola.project_id, or use a token of that project",
			p.ID, p.Name, want)
	}
	s.project = &p
	return p, nil
}

// TokenExpires asks the API when the token ends; zero = never.
func (s *Source) TokenExpires(ctx context.Context) (time.Time, error) {
	var token struct {
		Expires *string `json:"expires"`
	}
	if err := s.get(ctx, "tokens/verify", nil, &token); err != nil {
		return time.Time{}, fmt.Errorf("keboola: check of the token: %w", err)
	}
	if token.Expires == nil || *token.Expires == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339} {
		if at, err := time.Parse(layout, *token.Expires); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("keboola: the token ends at %q, which is not a time", *token.Expires)
}
