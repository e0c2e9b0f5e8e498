package bigquerytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	bq "google.golang.org/api/bigquery/v2"
)

type fieldSchema = bq.TableFieldSchema

// job is a query job. It is pending, then running, then done.
type job struct {
	*bq.Job
	polls int
	rows  int
	cache bool
}

// pollsUntilDone is how often jobs.get finds a job at work.
const pollsUntilDone = 2

// restPage is how many rows a page has at most.
const restPage = 3000

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	base := "/bigquery/v2/projects/{project}/"
	handle := func(pattern, call string, query []string, h func(http.ResponseWriter, *http.Request, *Fault)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+base+path, func(w http.ResponseWriter, r *http.Request) {
			for key := range r.URL.Query() {
				if key != "alt" && key != "prettyPrint" && !slices.Contains(query, key) {
					s.report.Errorf("bigquerytest: %s has the parameter %s, which is not known", call, key)
				}
			}
			kind := call
			if call == "jobs.insert" {
				kind = ""
			}
			var f *Fault
			if kind != "" {
				f = s.next(kind)
			}
			if f != nil && f.HTTP != 0 {
				fail(w, f.HTTP, f.Reason, "injected fault")
				return
			}
			h(w, r, f)
		})
	}
	handle("GET datasets", "datasets.list", []string{"pageToken", "maxResults"}, s.listDatasets)
	handle("GET datasets/{dataset}/tables", "tables.list", []string{"pageToken", "maxResults"}, s.listTables)
	handle("GET datasets/{dataset}/tables/{table}", "tables.get", nil, s.getTable)
	handle("GET datasets/{dataset}/tables/{table}/data", "tabledata.list", []string{"maxResults", "pageToken", "selectedFields", "formatOptions.useInt64Timestamp"}, s.listRows)
	handle("POST jobs", "jobs.insert", nil, s.insertJob)
	handle("GET jobs/{job}", "jobs.get", []string{"location"}, s.getJob)
	handle("POST jobs/{job}/cancel", "jobs.cancel", []string{"location"}, s.cancelJob)
	handle("GET queries/{job}", "jobs.getQueryResults", []string{"location", "maxResults", "pageToken", "formatOptions.useInt64Timestamp"}, s.queryResults)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.report.Errorf("bigquerytest: %s %s is not known", r.Method, r.URL.Path)
		fail(w, http.StatusNotImplemented, "notImplemented", "not known")
	})
	return mux
}

func fail(w http.ResponseWriter, code int, reason, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": text,
		"errors": []any{map[string]any{"reason": reason, "message": text, "domain": "global"}}}})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func tableOf(r *http.Request) string {
	return r.PathValue("project") + "." + r.PathValue("dataset") + "." + r.PathValue("table")
}

func (s *Server) listDatasets(w http.ResponseWriter, r *http.Request, _ *Fault) {
	seen := map[string]bool{}
	var list []any
	for _, id := range s.ids(r.PathValue("project") + ".") {
		if d := strings.Split(id, ".")[1]; !seen[d] {
			seen[d] = true
			list = append(list, map[string]any{"datasetReference": map[string]any{"projectId": r.PathValue("project"), "datasetId": d}})
		}
	}
	answer(w, map[string]any{"datasets": list})
}

func (s *Server) listTables(w http.ResponseWriter, r *http.Request, _ *Fault) {
	var list []any
	for _, id := range s.ids(r.PathValue("project") + "." + r.PathValue("dataset") + ".") {
		parts := strings.Split(id, ".")
		list = append(list, map[string]any{"tableReference": map[string]any{"projectId": parts[0], "datasetId": parts[1], "tableId": parts[2]}})
	}
	answer(w, map[string]any{"tables": list, "totalItems": len(list)})
}

func (s *Server) ids(prefix string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.tables {
		if strings.HasPrefix(id, prefix) && !strings.Contains(id, "._result.") {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Server) getTable(w http.ResponseWriter, r *http.Request, _ *Fault) {
	id := tableOf(r)
	t, ok := s.look(id)
	if !ok {
		fail(w, http.StatusNotFound, "notFound", "Not found: Table "+id)
		return
	}
	out := &bq.Table{Etag: fmt.Sprintf("etag-%d", t.version), Type: t.Type, Schema: &bq.TableSchema{Fields: t.Fields}, Location: "EU", RequirePartitionFilter: t.RequirePartitionFilter,
		LastModifiedTime: uint64(t.modified.UnixMilli()), NumRows: uint64(len(t.Rows)), NumBytes: t.Bytes}
	if t.Type == "VIEW" || t.Type == "EXTERNAL" {
		out.NumRows, out.NumBytes = 0, 0
	}
	if t.PartitionedBy != "" {
		out.TimePartitioning = &bq.TimePartitioning{Type: "DAY", Field: t.PartitionedBy}
	}
	if t.Streaming {
		out.StreamingBuffer = &bq.Streamingbuffer{EstimatedRows: 1}
	}
	if t.PrimaryKey != nil {
		out.TableConstraints = &bq.TableConstraints{PrimaryKey: &bq.TableConstraintsPrimaryKey{Columns: t.PrimaryKey}}
	}
	answer(w, out)
}

func (s *Server) listRows(w http.ResponseWriter, r *http.Request, f *Fault) {
	t, ok := s.look(tableOf(r))
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "notFound", "Not found: Table "+tableOf(r))
		return
	case t.Type != "TABLE":
		fail(w, http.StatusBadRequest, "invalid", "Cannot list a table of type "+t.Type)
		return
	}
	if names := r.URL.Query().Get("selectedFields"); names != "" {
		t = t.project(strings.Split(names, ","))
	}
	rows, token := s.page(r, t, f)
	answer(w, map[string]any{"totalRows": strconv.Itoa(len(t.Rows)), "rows": rows, "pageToken": token})
}

// page gives the rows of a page as REST writes them.
func (s *Server) page(r *http.Request, t Table, f *Fault) (rows []any, token string) {
	if r.URL.Query().Get("formatOptions.useInt64Timestamp") != "true" {
		s.report.Errorf("bigquerytest: timestamps are asked for as floating point, which loses digits")
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
	limit, err := strconv.Atoi(r.URL.Query().Get("maxResults"))
	if err != nil || limit > restPage {
		limit = restPage
	}
	until := min(from+limit, len(t.Rows))
	if until < len(t.Rows) {
		token = strconv.Itoa(until)
	}
	if f != nil && f.Cut && until == len(t.Rows) && until > from {
		until--
	}
	for _, row := range t.Rows[min(from, len(t.Rows)):until] {
		rows = append(rows, map[string]any{"f": cells(t.Fields, row)})
	}
	return rows, token
}

func cells(fields []*fieldSchema, row []any) (out []any) {
	for i, f := range fields {
		out = append(out, map[string]any{"v": cell(f, row[i])})
	}
	return out
}

func cell(f *fieldSchema, v any) any {
	if f.Mode == "REPEATED" {
		one := *f
		one.Mode = ""
		list := []any{}
		items, _ := v.([]any)
		for _, item := range items {
			list = append(list, map[string]any{"v": cell(&one, item)})
		}
		return list
	}
	switch {
	case v == nil:
		return nil
	case f.Type == "RECORD":
		return map[string]any{"f": cells(f.Fields, v.([]any))}
	case f.Type == "RANGE":
		var bounds []string
		for _, b := range v.([]any) {
			if b == nil {
				bounds = append(bounds, "UNBOUNDED")
			} else {
				bounds = append(bounds, cell(&fieldSchema{Type: f.RangeElementType.Type}, b).(string))
			}
		}
		return "[" + strings.Join(bounds, ", ") + ")"
	case f.Type == "TIMESTAMP":
		at, err := moment(v.(string))
		if err != nil {
			panic(err)
		}
		return strconv.FormatInt(at.UnixMicro(), 10)
	case f.Type == "DATETIME":
		return strings.Replace(v.(string), " ", "T", 1)
	}
	return v.(string)
}

// request is the body of jobs.insert, with the only fields that may be in it.
type request struct {
	Configuration struct {
		DryRun bool              `json:"dryRun"`
		Labels map[string]string `json:"labels"`
		Query  struct {
			Query              string `json:"query"`
			UseLegacySQL       *bool  `json:"useLegacySql"`
			UseQueryCache      bool   `json:"useQueryCache"`
			MaximumBytesBilled int64  `json:"maximumBytesBilled,string"`
		} `json:"query"`
	} `json:"configuration"`
	JobReference bq.JobReference `json:"jobReference"`
}

func (s *Server) insertJob(w http.ResponseWriter, r *http.Request, _ *Fault) {
	var q request
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		s.report.Errorf("bigquerytest: jobs.insert: %v", err)
	}
	if q.Configuration.Query.UseLegacySQL == nil || *q.Configuration.Query.UseLegacySQL {
		s.report.Errorf("bigquerytest: a query in legacy SQL")
	}
	call := "jobs.insert"
	if q.Configuration.DryRun {
		call = "jobs.dryRun"
	}
	if f := s.next(call); f != nil && f.HTTP != 0 {
		fail(w, f.HTTP, f.Reason, "injected fault")
		return
	}
	query := q.Configuration.Query.Query
	t, err := s.selectRows(query)
	if err != nil {
		fail(w, http.StatusBadRequest, "invalidQuery", err.Error())
		return
	}
	statistics := &bq.JobStatistics{Query: &bq.JobStatistics2{StatementType: "SELECT", TotalBytesProcessed: t.Bytes}}
	if q.Configuration.DryRun {
		answer(w, &bq.Job{Statistics: statistics, Status: &bq.JobStatus{State: "DONE"}, Configuration: &bq.JobConfiguration{DryRun: true}})
		return
	}
	if limit := q.Configuration.Query.MaximumBytesBilled; limit > 0 && t.Bytes > limit {
		fail(w, http.StatusBadRequest, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed")
		return
	}
	ref := q.JobReference
	if ref.Location == "" {
		ref.Location = "EU"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.jobs[ref.JobId]; twice {
		fail(w, http.StatusConflict, "duplicate", "Already Exists: Job "+ref.JobId)
		return
	}
	s.queries = append(s.queries, query)
	result, cached := s.results[query]
	if !cached || !q.Configuration.Query.UseQueryCache {
		cached, result = false, fmt.Sprintf("%s._result.anon%d", ref.ProjectId, len(s.jobs))
		t.Type, t.Streaming = "TABLE", false
		keep := s.results
		s.results = map[string]string{}
		s.put(result, t)
		s.results = keep
		s.results[query] = result
	}
	parts := strings.Split(result, ".")
	j := &job{cache: cached, rows: len(t.Rows), Job: &bq.Job{JobReference: &ref, Status: &bq.JobStatus{State: "PENDING"}, Statistics: statistics,
		Configuration: &bq.JobConfiguration{Query: &bq.JobConfigurationQuery{DestinationTable: &bq.TableReference{ProjectId: parts[0], DatasetId: parts[1], TableId: parts[2]}}}}}
	s.jobs[ref.JobId] = j
	answer(w, j.Job)
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[r.PathValue("job")]
	if j == nil || r.URL.Query().Get("location") != j.JobReference.Location { // BigQuery finds jobs outside of US and EU by location alone
		fail(w, http.StatusNotFound, "notFound", "Not found: Job "+r.PathValue("job"))
		return nil
	}
	return j
}

func (s *Server) getJob(w http.ResponseWriter, r *http.Request, f *Fault) {
	j := s.job(w, r)
	if j == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.polls++; j.polls > pollsUntilDone {
		j.Status.State = "DONE"
	}
	if f != nil && f.JobError != "" {
		j.Status = &bq.JobStatus{State: "DONE", ErrorResult: &bq.ErrorProto{Reason: f.JobError, Message: "injected fault"}}
	}
	answer(w, j.Job)
}

func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request, _ *Fault) {
	if j := s.job(w, r); j != nil {
		answer(w, map[string]any{"job": j.Job})
	}
}

func (s *Server) queryResults(w http.ResponseWriter, r *http.Request, f *Fault) {
	j := s.job(w, r)
	if j == nil {
		return
	}
	d := j.Configuration.Query.DestinationTable
	t, ok := s.look(d.ProjectId + "." + d.DatasetId + "." + d.TableId)
	if !ok || j.Status.State != "DONE" {
		s.report.Errorf("bigquerytest: the results of job %s are asked for before it is done", j.JobReference.JobId)
	}
	out := map[string]any{"jobComplete": true, "totalRows": strconv.Itoa(len(t.Rows)), "schema": &bq.TableSchema{Fields: t.Fields}, "cacheHit": j.cache, "jobReference": j.JobReference}
	if r.URL.Query().Get("maxResults") != "0" {
		rows, token := s.page(r, t, f)
		out["rows"], out["pageToken"] = rows, token
	}
	answer(w, out)
}
