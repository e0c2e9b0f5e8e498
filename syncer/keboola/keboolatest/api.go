package keboolatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// phpTime is how the API writes times.
const phpTime = "2006-01-02T15:04:05-0700"

// zone shows that times are not always in UTC.
var zone = time.FixedZone("", 3600)

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(zone).Format(phpTime)
}

var calls = []struct {
	name, method string
	path         *regexp.Regexp
	query        []string // parameters that the call may have
	serve        func(s *Server, w http.ResponseWriter, r *http.Request, arg string)
}{
	{"verify", http.MethodGet, regexp.MustCompile(`^tokens/verify$`), nil, (*Server).verify},
	{"tables", http.MethodGet, regexp.MustCompile(`^tables$`), []string{"include"}, (*Server).list},
	{"table", http.MethodGet, regexp.MustCompile(`^tables/([^/]+)$`), nil, (*Server).detail},
	{"export", http.MethodPost, regexp.MustCompile(`^tables/([^/]+)/export-async$`), nil, (*Server).export},
	{"buckets", http.MethodGet, regexp.MustCompile(`^buckets$`), nil, (*Server).buckets},
	{"bucket-tables", http.MethodGet, regexp.MustCompile(`^buckets/([^/]+)/tables$`), []string{"include"}, (*Server).list},
	{"job", http.MethodGet, regexp.MustCompile(`^jobs/([0-9]+)$`), nil, (*Server).job},
	{"file", http.MethodGet, regexp.MustCompile(`^files/([0-9]+)$`), []string{"federationToken"}, (*Server).file},
}

func (s *Server) api(r *http.Request) (string, http.HandlerFunc) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/storage/")
	if !ok {
		return "", nil
	}
	for _, c := range calls {
		m := c.path.FindStringSubmatch(path)
		if m == nil || c.method != r.Method {
			continue
		}
		for key := range r.URL.Query() {
			if !slices.Contains(c.query, key) {
				return "", nil
			}
		}
		return c.name, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-StorageApi-Token") != s.token {
				refuse(w, http.StatusUnauthorized, "Invalid access token", "storage.tokenInvalid")
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			c.serve(s, w, r, m[len(m)-1])
		}
	}
	return "", nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message, code string) {
	answer(w, status, map[string]any{"error": message, "code": code, "exceptionId": "exception-5f3c", "status": "error"})
}

func (s *Server) verify(w http.ResponseWriter, _ *http.Request, _ string) {
	number, _ := strconv.Atoi(s.o.ProjectID)
	answer(w, http.StatusOK, map[string]any{"id": "27978", "token": s.token, "description": "aida", "isMasterToken": false, "expires": s.o.Expires,
		"bucketPermissions": map[string]string{}, "owner": map[string]any{"id": number, "name": s.o.Project, "region": "eu-central-1"}})
}

// list answers both the project's and a bucket's tables.
func (s *Server) list(w http.ResponseWriter, r *http.Request, bucket string) {
	inBucket := strings.Contains(r.URL.Path, "/buckets/")
	out := []any{}
	for _, id := range s.ids() {
		t := s.tables[id]
		if !inBucket || t.bucket() == bucket {
			out = append(out, s.describe(t, strings.Split(r.URL.Query().Get("include"), ",")))
		}
	}
	if inBucket && !slices.ContainsFunc(s.ids(), func(id string) bool { return s.tables[id].bucket() == bucket }) {
		refuse(w, http.StatusNotFound, "Bucket "+bucket+" not found", "storage.buckets.notFound")
		return
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) ids() (out []string) {
	for id := range s.tables {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (t *table) bucket() string { return t.ID[:strings.LastIndexByte(t.ID, '.')] }

func (s *Server) buckets(w http.ResponseWriter, _ *http.Request, _ string) {
	var out []any
	seen := map[string]bool{}
	for _, id := range s.ids() {
		if b := s.tables[id].bucket(); !seen[b] {
			seen[b] = true
			out = append(out, map[string]any{"id": b, "name": b[strings.IndexByte(b, '.')+1:], "stage": b[:strings.IndexByte(b, '.')]})
		}
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) detail(w http.ResponseWriter, _ *http.Request, id string) {
	t := s.tables[id]
	if t == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("The table %q was not found in the project", id), "storage.tables.notFound")
		return
	}
	answer(w, http.StatusOK, s.describe(t, []string{"columns", "buckets", "metadata", "columnMetadata"}))
}

// describe writes a table as the API does: what is empty is a list where PHP has an array.
func (s *Server) describe(t *table, include []string) map[string]any {
	out := map[string]any{"uri": s.URL() + "/v2/storage/tables/" + t.ID, "id": t.ID, "name": t.ID[strings.LastIndexByte(t.ID, '.')+1:],
		"displayName": "Shown " + t.ID, "transactional": false, "primaryKey": t.PrimaryKey, "created": stamp(t.created), "isAlias": t.AliasOf != "",
		"isTyped": t.Typed, "tableType": "table", "rowsCount": len(t.rows), "dataSizeBytes": 4096 * len(t.rows),
		"lastImportDate": stamp(t.changed), "lastChangeDate": stamp(t.changed)}
	if t.PrimaryKey == nil {
		out["primaryKey"] = []string{}
	}
	if t.Undated {
		out["lastImportDate"], out["lastChangeDate"] = nil, nil
	}
	of := t
	if t.AliasOf != "" {
		of = s.tables[t.AliasOf]
		out["rowsCount"], out["dataSizeBytes"] = nil, nil
		source := map[string]any{"id": of.ID, "project": map[string]any{"id": 4711, "name": s.o.Project}, "columnMetadata": notes(of)}
		if of.Typed {
			source["definition"] = of.definition()
		}
		out["sourceTable"] = source
	} else if t.Typed {
		out["definition"] = t.definition()
	}
	for _, what := range include {
		switch what {
		case "columns":
			var names []string
			for _, c := range of.Columns {
				names = append(names, c.Name)
			}
			out["columns"] = names
		case "buckets":
			b := t.bucket()
			out["bucket"] = map[string]any{"id": b, "name": b[strings.IndexByte(b, '.')+1:], "backend": t.Backend, "description": ""}
		case "metadata":
			out["metadata"] = []any{}
			if t.Description != "" {
				out["metadata"] = []any{note(Note{Key: "KBC.description", Value: t.Description, Provider: "user", At: t.changed})}
			}
		case "columnMetadata":
			out["columnMetadata"] = notes(t)
			if t.AliasOf != "" {
				out["columnMetadata"] = []any{}
			}
		}
	}
	return out
}

func (t *table) definition() any {
	var columns []any
	for _, c := range t.Columns {
		def := map[string]any{"type": c.Native, "nullable": true}
		if n, err := strconv.Atoi(c.Length); err == nil {
			def["length"] = n // a number where it can be one
		} else if c.Length != "" {
			def["length"] = c.Length
		}
		columns = append(columns, map[string]any{"name": c.Name, "basetype": c.Base, "definition": def, "canBeFiltered": true})
	}
	return map[string]any{"primaryKeysNames": t.PrimaryKey, "columns": columns}
}

func notes(t *table) any {
	out := map[string]any{}
	for _, c := range t.Columns {
		var list []any
		for _, n := range c.Notes {
			list = append(list, note(n))
		}
		if list != nil {
			out[c.Name] = list
		}
	}
	if len(out) == 0 {
		return []any{}
	}
	return out
}

func note(n Note) any {
	return map[string]any{"id": "207947778", "key": n.Key, "value": n.Value, "provider": n.Provider, "timestamp": stamp(n.At)}
}

// task is a job with the number of looks until it is done.
type task struct {
	id, table string
	polls     int
	file      string
	cached    bool
	failed    string
}

func (s *Server) number() string {
	s.next++
	return strconv.Itoa(s.next)
}

func (s *Server) job(w http.ResponseWriter, _ *http.Request, id string) {
	j := s.jobs[id]
	if j == nil {
		refuse(w, http.StatusNotFound, "Job not found", "storage.jobs.notFound")
		return
	}
	j.polls--
	answer(w, http.StatusOK, s.jobAnswer(j))
}

func (s *Server) jobAnswer(j *task) any {
	number, _ := strconv.Atoi(j.id)
	out := map[string]any{"id": number, "status": "waiting", "tableId": j.table, "operationName": "tableExport", "results": nil, "url": s.URL() + "/v2/storage/jobs/" + j.id}
	switch {
	case j.polls > 1:
	case j.polls > 0:
		out["status"] = "processing"
	case j.failed != "":
		out["status"] = "error"
		out["error"] = map[string]any{"code": "storage.jobError", "message": j.failed, "exceptionId": "exception-77"}
	default:
		file, _ := strconv.Atoi(j.file)
		out["status"] = "success"
		out["results"] = map[string]any{"file": map[string]any{"id": file}, "cacheHit": j.cached}
	}
	return out
}

func (s *Server) export(w http.ResponseWriter, r *http.Request, id string) {
	t := s.tables[id]
	if t == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("The table %q was not found in the project", id), "storage.tables.notFound")
		return
	}
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		s.unexpected = append(s.unexpected, "an export with the content type "+r.Header.Get("Content-Type"))
	}
	of := t
	if t.AliasOf != "" {
		of = s.tables[t.AliasOf]
	}
	e, err := parseExport(of, r.PostForm)
	if err != nil {
		s.unexpected = append(s.unexpected, "export: "+err.Error())
		refuse(w, http.StatusBadRequest, err.Error(), "storage.tables.validation")
		return
	}
	j := &task{id: s.number(), table: id, polls: s.o.Polls, failed: s.jobError}
	s.jobs[j.id] = j
	if j.failed == "" {
		key := fmt.Sprint(id, of.version, r.PostForm.Encode())
		if j.file, j.cached = s.cache[key]; !j.cached {
			j.file = s.store(of, e)
			s.cache[key] = j.file
		}
	}
	answer(w, http.StatusAccepted, s.jobAnswer(j))
}
