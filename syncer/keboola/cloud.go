package keboola

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// builder makes a request for an object with the credentials of a file. Headers are given to it, as a signature covers them.
type builder func(ctx context.Context, f *file, h http.Header) (*http.Request, error)

// object reads a place in the cloud that the file lies in.
func object(p place) builder {
	return func(ctx context.Context, f *file, h http.Header) (*http.Request, error) {
		switch f.Provider {
		case "aws":
			return f.s3(ctx, p, h)
		case "gcp":
			return f.gcs(ctx, p, h)
		case "azure":
			return f.azure(ctx, p, h)
		}
		return nil, f.unknown()
	}
}

// manifest reads the list of slices: by its signed URL, on Azure beside the file itself.
func manifest(ctx context.Context, f *file, h http.Header) (*http.Request, error) {
	if f.Provider == "azure" {
		return f.azure(ctx, place{f.ABSPath.Container, f.ABSPath.Name + "manifest"}, h)
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the API gives no https address for it")
	}
	return request(ctx, u, h)
}

var (
	s3Buckets = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	s3Regions = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	azureHost = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)?\.blob\.(storage\.azure\.net|core\.(windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de))$`)
)

// emptyPayload is the SHA-256 of a request without a body.
const emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// s3 signs for Amazon (Signature Version 4). A bucket with dots in its name has no certificate as a host, so it is in the path.
func (f *file) s3(ctx context.Context, p place, h http.Header) (*http.Request, error) {
	if !s3Buckets.MatchString(p.Bucket) || !s3Regions.MatchString(f.Region) {
		return nil, fmt.Errorf("%.70q in %.30q is not a bucket and its region", p.Bucket, f.Region)
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(f.Region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	host, path := p.Bucket+".s3."+f.Region+"."+domain, "/"+p.Key
	if strings.Contains(p.Bucket, ".") {
		host, path = "s3."+f.Region+"."+domain, "/"+p.Bucket+"/"+p.Key
	}
	req, err := request(ctx, locate(host, path), h)
	if err != nil {
		return nil, err
	}
	c := f.Credentials
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return nil, errors.New("the API gives no credentials for Amazon S3")
	}
	req.Header.Set("X-Amz-Content-Sha256", emptyPayload)
	return signer.SignV4(*req, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, f.Region), nil
}

func (f *file) gcs(ctx context.Context, p place, h http.Header) (*http.Request, error) {
	if f.GCSCredentials.AccessToken == "" {
		return nil, errors.New("the API gives no access token for Google Cloud Storage")
	}
	req, err := request(ctx, locate("storage.googleapis.com", "/"+p.Bucket+"/"+p.Key), h)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+f.GCSCredentials.AccessToken)
	}
	return req, err
}

// azure reads with a shared access signature, from an account that is Azure's.
func (f *file) azure(ctx context.Context, p place, h http.Header) (*http.Request, error) {
	var endpoint, signature string
	for part := range strings.SplitSeq(f.ABSCredentials.ConnectionString, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "BlobEndpoint":
			endpoint = value
		case "SharedAccessSignature":
			signature = strings.TrimPrefix(value, "?")
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || !azureHost.MatchString(u.Host) || signature == "" {
		return nil, errors.New("the API gives no shared access signature of an Azure account")
	}
	u = locate(u.Host, "/"+p.Bucket+"/"+p.Key)
	u.RawQuery = signature
	return request(ctx, u, h)
}

// locate escapes a path byte by byte, so that #, ?, % and + in an object's name are part of it.
func locate(host, path string) *url.URL {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/-_.~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return &url.URL{Scheme: "https", Host: host, Path: path, RawPath: b.String()}
}

func request(ctx context.Context, u *url.URL, h http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+u.Host+"/", nil)
	if err != nil {
		return nil, errors.New("its address is not one")
	}
	req.URL = u
	req.Header = h.Clone()
	req.Header.Set("User-Agent", userAgent)
	return req, nil
}
