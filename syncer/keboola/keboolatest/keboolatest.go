// Package keboolatest is a Keboola stack for tests: the Storage API as https://keboola.docs.apiary.io describes it, and behind
// it the cloud that exports are written to, Amazon S3, Google Cloud Storage or Azure Blob Storage, under their real host
// names and with their real ways of signing. It is strict: a call that it does not know, a parameter that the API does not
// have, a token that is sent where it does not belong, are refused and kept in Unexpected. It never runs in the product.
//
//	stack := keboolatest.New(t, keboolatest.Options{Cloud: keboolatest.AWS})
//	stack.Put(keboolatest.Table{ID: "in.c-shop.orders", Columns: columns}, rows)
//	src, err := keboola.New(keboola.Options{StackURL: stack.URL(), Token: stack.Token(), Transport: stack.Transport()})
package keboolatest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"aida/config"
)

// Cloud is where a stack keeps its files.
type Cloud string

// The clouds.
const (
	AWS   Cloud = "aws"
	GCP   Cloud = "gcp"
	Azure Cloud = "azure"
)

// Clouds are all of them.
var Clouds = []Cloud{AWS, GCP, Azure}

const host = "connection.keboola.com"

// Options say what the stack is like.
type Options struct {
	Cloud     Cloud   // default AWS
	SliceRows int     // rows of one slice; 0 = 1000
	Unsliced  bool    // exports are one file
	ProjectID string  // default "4711"
	Project   string  // its name, default "Riverbank"
	Expires   *string // when the token ends; nil = never
	Polls     int     // how often a job is looked at before it is done; 0 = 2
}

// Server is a running stack.
type Server struct {
	o     Options
	token string
	ca    *authority
	site  *httptest.Server
	proxy *httptest.Server

	mu         sync.Mutex
	now        time.Time // of the stack's clock, which a change moves on
	tables     map[string]*table
	jobs       map[string]*task
	files      map[string]*exported
	cache      map[string]string // export -> file
	objects    map[string]object // host and path -> bytes
	valid      map[string]bool   // credentials and signatures that are good now
	secrets    []string          // everything that gives access, handed out so far
	faults     []*Fault
	down       bool
	jobError   string
	calls      []string
	unexpected []string
	next       int
	closed     chan struct{}
}

// T is what a stack wants of a test: *testing.T, or the script of a testscript.
type T interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
	Cleanup(f func())
}

// New starts a stack. It ends with the test, which fails when there was a call that the stack does not know.
func New(t T, o Options) *Server {
	t.Helper()
	o.Cloud, o.SliceRows, o.Polls = cmp.Or(o.Cloud, AWS), cmp.Or(o.SliceRows, 1000), cmp.Or(o.Polls, 2)
	o.ProjectID, o.Project = cmp.Or(o.ProjectID, "4711"), cmp.Or(o.Project, "Riverbank")
	s := &Server{o: o, now: time.Now().UTC().Add(-24 * time.Hour).Truncate(time.Second), tables: map[string]*table{}, jobs: map[string]*task{},
		files: map[string]*exported{}, cache: map[string]string{}, objects: map[string]object{}, valid: map[string]bool{}, next: 1000, closed: make(chan struct{})}
	s.token = o.ProjectID + "-27978-" + s.secret()
	s.secrets = append(s.secrets, s.token)
	var err error
	if s.ca, err = newAuthority(); err != nil {
		t.Fatal(err)
	}
	quiet := log.New(io.Discard, "", 0)
	s.site, s.proxy = httptest.NewUnstartedServer(s), httptest.NewUnstartedServer(http.HandlerFunc(s.tunnel))
	s.site.Config.ErrorLog, s.proxy.Config.ErrorLog = quiet, quiet
	s.site.TLS = &tls.Config{GetCertificate: s.ca.certificate, MinVersion: tls.VersionTLS12}
	s.site.StartTLS()
	s.proxy.Start()
	t.Cleanup(func() {
		close(s.closed)
		s.proxy.CloseClientConnections()
		s.proxy.Close()
		s.site.Close()
		for _, u := range s.Unexpected() {
			t.Errorf("keboola stack: %s", u)
		}
	})
	return s
}

// URL is the address of the stack, which is a real one: reach it with Transport or through Proxy.
func (s *Server) URL() string { return "https://" + host }

// Token may read the project.
func (s *Server) Token() config.Secret { return config.Secret(s.token) }

// Transport leads every host to the stack, and trusts its certificates.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.ca.pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.site.Listener.Addr().String())
		},
		MaxIdleConnsPerHost: 8,
	}
}

// Proxy is the address of an HTTP proxy that leads every https host to the stack, for HTTPS_PROXY.
func (s *Server) Proxy() string { return s.proxy.URL }

// CA is the certificate that the stack's hosts are signed with, in PEM, for SSL_CERT_FILE.
func (s *Server) CA() []byte { return s.ca.pem }

func (s *Server) tunnel(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		s.note("the proxy was asked for %s %s without TLS", r.Method, r.URL.Host)
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	up, err := net.Dial("tcp", s.site.Listener.Addr().String())
	if err != nil {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	defer up.Close()
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up, buf)
		_ = up.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, up)
	_ = conn.Close()
	<-done
}

// ServeHTTP is all hosts of the stack.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call, serve := s.route(r)
	if serve == nil {
		s.note("unknown call %s https://%s%s?%s", r.Method, r.Host, r.URL.Path, r.URL.RawQuery)
		http.Error(w, `{"error":"Not implemented"}`, http.StatusNotImplemented)
		return
	}
	var form string
	if err := r.ParseForm(); err == nil {
		form = r.PostForm.Encode()
	}
	s.mu.Lock()
	s.calls = append(s.calls, strings.TrimSpace(call+" "+r.URL.Path+" "+form+" "+r.Header.Get("Range")))
	down := s.down
	s.mu.Unlock()
	if down {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if f := s.fault(call, r); f != nil && s.fail(f, w, r, serve) {
		return
	}
	serve(w, r)
}

// route names a call, and gives what answers it.
func (s *Server) route(r *http.Request) (string, http.HandlerFunc) {
	if r.Host == host {
		return s.api(r)
	}
	if r.Header.Get("X-StorageApi-Token") != "" {
		s.note("the token was sent to %s", r.Host)
	}
	if r.Method != http.MethodGet || !slices.Contains([]string{s.cloudHost(), "storage.googleapis.com"}, r.Host) {
		return "", nil
	}
	if strings.HasSuffix(r.URL.Path, "manifest") {
		return "manifest", s.serveObject
	}
	return "slice", s.serveObject
}

// Unexpected are the calls that a client of the API must not make.
func (s *Server) Unexpected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

func (s *Server) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unexpected = append(s.unexpected, fmt.Sprintf(format, args...))
}

// Calls gives the calls so far whose name and path begin with a text, for example "export" or "slice": the name, the path,
// the form and the Range header.
func (s *Server) Calls(prefix string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if strings.HasPrefix(c, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// Secrets are the token, credentials and signatures that were given out so far.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.secrets)
}

// ExpireCredentials ends all credentials and signed addresses that were given out so far.
func (s *Server) ExpireCredentials() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.valid, func(string, bool) bool { return true })
}

// Down makes every host answer that it is not there now.
func (s *Server) Down(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// FailJobs makes export jobs end with an error; "" makes them succeed again.
func (s *Server) FailJobs(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobError = message
}

// FinishJobs makes all jobs, begun or not, be done at the n-th look.
func (s *Server) FinishJobs(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Polls = n
	for _, j := range s.jobs {
		j.polls = min(j.polls, n)
	}
}

// DropJobs forgets all jobs; the API no longer finds them.
func (s *Server) DropJobs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.jobs)
}

// secret makes something that gives access.
func (s *Server) secret() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
