package keboola

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/maruel/natural"
)

// file is the answer to GET files/{id}?federationToken=1: where an export lies, and credentials to read it for some hours.
type file struct {
	URL         string `json:"url"` // signed; of the manifest when the file is sliced
	IsSliced    bool   `json:"isSliced"`
	Provider    string `json:"provider"` // aws, gcp or azure
	Region      string `json:"region"`
	SizeBytes   *int64 `json:"sizeBytes"`
	S3Path      place  `json:"s3Path"`
	Credentials struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string `json:"SecretAccessKey"`
		SessionToken    string `json:"SessionToken"`
	} `json:"credentials"`
	GCSPath        place `json:"gcsPath"`
	GCSCredentials struct {
		AccessToken string `json:"access_token"`
	} `json:"gcsCredentials"`
	ABSPath struct {
		Container string `json:"container"`
		Name      string `json:"name"`
	} `json:"absPath"`
	ABSCredentials struct {
		ConnectionString string `json:"SASConnectionString"`
	} `json:"absCredentials"`
}

// place is an object in a bucket, which Azure calls a container.
type place struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// access is an exported file with credentials, which are fetched anew when a cloud says that they have expired.
type access struct {
	s  *Source
	id string

	mu    sync.Mutex
	file  *file
	round int // how often the credentials were fetched
}

func (s *Source) open(ctx context.Context, fileID string) (*access, error) {
	a := &access{s: s, id: fileID}
	return a, a.renew(ctx, 0)
}

// renew fetches credentials, unless another goroutine did since the round that seemed expired.
func (a *access) renew(ctx context.Context, seen int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.round != seen {
		return nil
	}
	f := &file{}
	if err := a.s.get(ctx, "files/"+url.PathEscape(a.id), url.Values{"federationToken": {"1"}}, f); err != nil {
		return fmt.Errorf("exported file %s: %w", a.id, err)
	}
	a.file = f
	a.round++
	return nil
}

func (a *access) current() (*file, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file, a.round
}

// slices lists the objects that the file consists of, in the order of their numbers: slice 2 is before slice 10. An empty
// export has none.
func (a *access) slices(ctx context.Context) ([]place, error) {
	f, _ := a.current()
	if !f.IsSliced {
		p, err := f.single()
		return []place{p}, err
	}
	var text buffer
	if err := a.fetch(ctx, manifest, &text, nil); err != nil {
		return nil, fmt.Errorf("manifest of the exported file %s: %w", a.id, err)
	}
	var m struct {
		Entries *[]struct {
			URL string `json:"url"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(text.Bytes(), &m); err != nil || m.Entries == nil {
		return nil, fmt.Errorf("manifest of the exported file %s: it is not a list of entries", a.id)
	}
	var out []place
	seen := map[place]bool{}
	for i, e := range *m.Entries {
		p, err := f.entry(e.URL)
		if err != nil {
			return nil, fmt.Errorf("manifest of the exported file %s: entry %d: %w", a.id, i+1, err)
		}
		if seen[p] {
			return nil, fmt.Errorf("manifest of the exported file %s: entry %d: %s is listed twice", a.id, i+1, path.Base(p.Key))
		}
		seen[p] = true
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b place) int { return natural.Compare(a.Key, b.Key) })
	return out, nil
}

// single is the object of a file that is not sliced.
func (f *file) single() (place, error) {
	var p place
	switch f.Provider {
	case "aws":
		p = f.S3Path
	case "gcp":
		p = f.GCSPath
	case "azure":
		p = place{f.ABSPath.Container, f.ABSPath.Name}
	default:
		return p, f.unknown()
	}
	if p.Bucket == "" || p.Key == "" {
		return p, fmt.Errorf("the API does not say where in %s the exported file lies", f.Provider)
	}
	return p, nil
}

func (f *file) unknown() error {
	return fmt.Errorf("the exported file lies with the provider %.20q: aws, gcp and azure are known", f.Provider)
}

// entry reads an address in a manifest: s3://bucket/key, gs://bucket/key, or azure:// and https:// with a host, a
// container and a name. Its text stays out of errors, as it may be signed.
func (f *file) entry(address string) (place, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	want := map[string][]string{"aws": {"s3"}, "gcp": {"gs"}, "azure": {"azure", "https"}}[f.Provider]
	if want == nil {
		return place{}, f.unknown()
	}
	for _, w := range want {
		if !ok || scheme != w {
			continue
		}
		if f.Provider == "azure" {
			_, rest, _ = strings.Cut(rest, "/")
			rest, _, _ = strings.Cut(rest, "?")
		}
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || key == "" {
			return place{}, errors.New("it names no object")
		}
		return place{bucket, key}, nil
	}
	return place{}, fmt.Errorf("its scheme is %.10q, with the provider %s it should be %s", scheme, f.Provider, strings.Join(want, " or "))
}

// buffer is a small object in memory.
type buffer struct{ bytes.Buffer }

// maxManifest bounds a manifest: more than 100,000 slices.
const maxManifest = 64 << 20

func (b *buffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxManifest {
		return 0, fmt.Errorf("it is larger than %d MiB", maxManifest>>20)
	}
	return b.Buffer.Write(p)
}

func (b *buffer) Reset() error {
	b.Buffer.Reset()
	return nil
}
