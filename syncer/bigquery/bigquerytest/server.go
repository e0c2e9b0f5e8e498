// Package bigquerytest is a BigQuery for tests: the REST methods and the Storage Read API that the connector uses, over
// tables in memory, on one address of this machine. It is strict: a call, parameter or field of a request that it does not
// know fails the test. It deals rows to streams and batches anew for each read session, as BigQuery may.
//
//	server := bigquerytest.New(t)
//	server.Put("shop-bi.sales.orders", bigquerytest.Table{Fields: fields, Rows: rows})
//	src, err := bigquery.New(bigquery.Options{Project: "shop-bi", Endpoint: server.URL, StorageEndpoint: server.URL})
package bigquerytest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Reporter is told of calls that no client should make; a *testing.T is one.
type Reporter interface {
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Table is a table or view. A cell is nil, text as SQL shows it ("2026-03-01 10:00:00+00" for a TIMESTAMP, base64 for
// BYTES), or a list: of the elements of an ARRAY, of the fields of a STRUCT, of the two bounds of a RANGE.
type Table struct {
	Type                   string // TABLE (default), VIEW, MATERIALIZED_VIEW, EXTERNAL or SNAPSHOT
	Fields                 []*bq.TableFieldSchema
	Rows                   [][]any
	PrimaryKey             []string
	PartitionedBy          string
	RequirePartitionFilter bool
	Streaming              bool  // rows are in the streaming buffer
	Bytes                  int64 // what reading it is said to take; 0 = 100 bytes a row

	modified time.Time
	version  int
}

// Fault is a wrong answer.
type Fault struct {
	HTTP      int        // status of a REST answer
	Reason    string     // in its body
	Code      codes.Code // of the Storage Read API
	AfterRows int        // ReadRows: rows of the stream that are sent before
	Cut       bool       // ReadRows ends well before its last message; tabledata.list and getQueryResults lose their last row
	JobError  string     // jobs.get: the reason for which the job failed
}

// Server is a running BigQuery.
type Server struct {
	URL string

	storagepb.UnimplementedBigQueryReadServer
	report Reporter
	http   *httptest.Server

	mu       sync.Mutex
	tables   map[string]*Table
	jobs     map[string]*job
	results  map[string]string // query text -> table of its result
	sessions map[string]*session
	faults   map[string][]*fault
	calls    map[string]int
	queries  []string
	version  int
}

type fault struct {
	Fault
	times int // -1 = always
}

// New starts a server that ends with the test.
func New(r Reporter) *Server {
	s := &Server{report: r, tables: map[string]*Table{}, jobs: map[string]*job{}, results: map[string]string{}, sessions: map[string]*session{},
		faults: map[string][]*fault{}, calls: map[string]int{}}
	streams := grpc.NewServer()
	storagepb.RegisterBigQueryReadServer(streams, s)
	routes := s.routes()
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			streams.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	}))
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetHTTP1(true)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Start()
	s.URL = s.http.URL + "/"
	r.Cleanup(s.http.Close)
	return s
}

// Put makes or replaces a table by its id, project.dataset.table.
func (s *Server) Put(id string, t Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(id, t)
}

func (s *Server) put(id string, t Table) {
	for _, row := range t.Rows {
		if len(row) != len(t.Fields) {
			panic(fmt.Sprintf("bigquerytest: a row of %d cells for %d fields of %s", len(row), len(t.Fields), id))
		}
	}
	if t.Type == "" {
		t.Type = "TABLE"
	}
	if t.Bytes == 0 {
		t.Bytes = int64(100 * len(t.Rows))
	}
	s.version++
	t.version, t.modified = s.version, time.Now()
	s.tables[id] = &t
	clear(s.results) // BigQuery's cache: of tables that did not change
}

// Remove drops a table.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, id)
}

// Fail makes the next calls of a kind go wrong: tables.get, tables.list, datasets.list, jobs.insert, jobs.dryRun, jobs.get,
// jobs.cancel, jobs.getQueryResults, tabledata.list, CreateReadSession, ReadRows, or * for all. times -1 is until Repair.
func (s *Server) Fail(call string, times int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[call] = append(s.faults[call], &fault{f, times})
}

// Repair takes all faults away.
func (s *Server) Repair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// Calls is how often a kind of call was made.
func (s *Server) Calls(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// Queries are the texts of all queries that ran, without dry runs.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// Restrictions are the row restrictions of all read sessions.
func (s *Server) Restrictions() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.sessions)) {
		out = append(out, s.sessions[name].restriction)
	}
	return out
}

// next counts a call and gives the fault that is due.
func (s *Server) next(call string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call]++
	for _, key := range []string{call, "*"} {
		for _, f := range s.faults[key] {
			if f.times == 0 {
				continue
			}
			if f.times > 0 {
				f.times--
			}
			return &f.Fault
		}
	}
	return nil
}

// look gives a copy of a table as it is now.
func (s *Server) look(id string) (Table, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[id]
	if !ok {
		return Table{}, false
	}
	return *t, true
}

// project gives the named columns, in the order of the table.
func (t Table) project(names []string) Table {
	if len(names) == 0 {
		return t
	}
	var at []int
	out := t
	out.Fields, out.Rows = nil, nil
	for i, f := range t.Fields {
		if slices.Contains(names, f.Name) {
			at = append(at, i)
			out.Fields = append(out.Fields, f)
		}
	}
	for _, row := range t.Rows {
		var cells []any
		for _, i := range at {
			cells = append(cells, row[i])
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}
