package keboolatest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	bucket  = "kbc-sapi-files"
	region  = "eu-central-1"
	account = "kbcfshc7chguaeh2km"
)

// exported is a file in the storage: an object, or slices with a manifest.
type exported struct {
	key      string
	size     int64
	manifest bool
}

// object is what a cloud stores.
type object struct {
	body []byte
	etag string
}

func (s *Server) cloudHost() string {
	switch s.o.Cloud {
	case GCP:
		return "storage.googleapis.com"
	case Azure:
		return account + ".blob.core.windows.net"
	}
	return bucket + ".s3." + region + ".amazonaws.com"
}

// path is where a key is found on the cloud's host.
func (s *Server) path(key string) string {
	if s.o.Cloud == AWS {
		return "/" + key
	}
	return "/" + bucket + "/" + key
}

func (s *Server) putObject(key string, body []byte) {
	sum := md5.Sum(body)
	s.objects[s.cloudHost()+s.path(key)] = object{body, `"` + hex.EncodeToString(sum[:]) + `"`}
}

// store writes an export. Names of objects may hold anything; entries of a manifest are in the order of a listing, in
// which slice 10 comes before slice 2.
func (s *Server) store(t *table, e *request) (fileID string) {
	id := s.number()
	f := &exported{key: "exp-15/578/table-exports/" + t.bucket() + "/a b+50%#" + id + ".csv", manifest: !s.o.Unsliced}
	s.files[id] = f
	suffix := ""
	if e.gzip {
		suffix = ".gz"
	}
	var entries []map[string]any
	for i, body := range s.slices(t, e) {
		key := f.key
		if f.manifest {
			key = fmt.Sprintf("%s_0_%d_0.csv%s", f.key, i, suffix)
		}
		s.putObject(key, body)
		f.size += int64(len(body))
		entries = append(entries, map[string]any{"url": s.entry(key, i)})
	}
	slices.SortFunc(entries, func(a, b map[string]any) int { return strings.Compare(a["url"].(string), b["url"].(string)) })
	if entries == nil {
		entries = []map[string]any{}
	}
	if f.manifest {
		text, _ := json.Marshal(map[string]any{"entries": entries})
		s.putObject(f.key+"manifest", text)
	}
	return id
}

func (s *Server) entry(key string, i int) string {
	switch s.o.Cloud {
	case GCP:
		return "gs://" + bucket + "/" + key
	case Azure:
		return "azure://" + s.cloudHost() + "/" + bucket + "/" + key
	}
	return "s3://" + bucket + "/" + key
}

// file hands out fresh credentials.
func (s *Server) file(w http.ResponseWriter, r *http.Request, id string) {
	f := s.files[id]
	if f == nil {
		refuse(w, http.StatusNotFound, "File not found", "storage.files.notFound")
		return
	}
	name := f.key[strings.LastIndexByte(f.key, '/')+1:]
	out := map[string]any{"id": 1, "name": name, "isSliced": f.manifest, "isEncrypted": true, "provider": s.o.Cloud, "region": region, "sizeBytes": f.size}
	if f.manifest {
		out["sizeBytes"] = nil
	}
	signature := s.grant()
	at := f.key
	if f.manifest {
		at += "manifest"
	}
	u := url.URL{Scheme: "https", Host: s.cloudHost(), Path: s.path(at)}
	federated := r.URL.Query().Get("federationToken") == "1"
	switch s.o.Cloud {
	case AWS:
		u.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=900&X-Amz-Signature=" + signature
		out["s3Path"] = map[string]string{"bucket": bucket, "key": f.key}
		if federated {
			out["credentials"] = map[string]any{"AccessKeyId": s.grant(), "SecretAccessKey": s.grant(), "SessionToken": s.grant(), "Expiration": stamp(s.now.Add(12 * time.Hour))}
		}
	case GCP:
		u.RawQuery = "GoogleAccessId=robot&Expires=1&Signature=" + signature
		out["gcsPath"] = map[string]string{"bucket": bucket, "key": f.key}
		if federated {
			out["gcsCredentials"] = map[string]any{"access_token": "ya29." + s.grant(), "expires_in": 3599, "token_type": "Bearer", "projectId": "kbc"}
		}
	case Azure:
		u.Path = s.path(f.key)
		sas := "sv=2017-11-09&sr=c&se=2030-01-01T00%3A00%3A00Z&sp=rl&sig=" + url.QueryEscape(signature)
		u.RawQuery = sas
		out["absPath"] = map[string]string{"region": "north-europe", "accountName": account, "container": bucket, "name": f.key}
		if federated {
			out["absCredentials"] = map[string]string{"SASConnectionString": "BlobEndpoint=https://" + s.cloudHost() + ";SharedAccessSignature=" + sas, "expiration": "2030"}
		}
	}
	out["url"] = u.String()
	answer(w, http.StatusOK, out)
}

// grant makes something that gives access from now on.
func (s *Server) grant() string {
	v := s.secret()
	s.valid[v] = true
	s.secrets = append(s.secrets, v)
	return v
}

// serveObject is the cloud: it checks who asks, then gives the object or a part of it.
func (s *Server) serveObject(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, found := s.objects[r.Host+r.URL.Path]
	problem := s.denied(r)
	s.mu.Unlock()
	switch {
	case problem != nil:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(problem.status)
		// as the clouds do, the answer repeats what was sent
		fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>no</Message><StringToSign>%s %s</StringToSign></Error>",
			problem.code, html.EscapeString(r.URL.RawQuery), html.EscapeString(r.Header.Get("Authorization")))
		return
	case !found:
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.body))
}

type denial struct {
	status int
	code   string
}

func (s *Server) denied(r *http.Request) *denial {
	q := r.URL.Query()
	switch s.o.Cloud {
	case AWS:
		if signed := q.Get("X-Amz-Signature"); signed != "" {
			return s.unless(signed, http.StatusForbidden, "AccessDenied")
		}
		return s.checkV4(r)
	case GCP:
		if signed := q.Get("Signature"); signed != "" {
			return s.unless(signed, http.StatusBadRequest, "ExpiredToken")
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ya29.")
		if !ok {
			return &denial{http.StatusForbidden, "AccessDenied"}
		}
		return s.unless(token, http.StatusUnauthorized, "InvalidSecurity")
	}
	if q.Get("sv") == "" || q.Get("sig") == "" || r.Header.Get("Authorization") != "" {
		return &denial{http.StatusNotFound, "ResourceNotFound"} // as for anonymous reads
	}
	return s.unless(q.Get("sig"), http.StatusForbidden, "AuthenticationFailed")
}

func (s *Server) unless(secret string, status int, code string) *denial {
	if s.valid[secret] {
		return nil
	}
	return &denial{status, code}
}
