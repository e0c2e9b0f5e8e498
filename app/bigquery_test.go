package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"aida/syncer/bigquery/bigquerytest"

	"github.com/rogpeppe/go-internal/testscript"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc/codes"
)

// warehouse is the BigQuery of a script, with the calls that no client should have made.
type warehouse struct {
	*bigquerytest.Server
	ts      *testscript.TestScript
	mu      sync.Mutex
	strange []string
}

func (w *warehouse) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strange = append(w.strange, fmt.Sprintf(format, args...))
}

func (w *warehouse) Cleanup(f func()) { w.ts.Defer(f) }

var warehouses sync.Map // of each script, by its work folder

// bigquery is a command of scripts. "bigquery start" runs a BigQuery and names it as BIGQUERY_URL, to aida in config/.env;
// "put ID FILE" makes a table of JSON {fields, rows, type}; "refuse" and "permit" the Storage Read API; "break" and
// "repair" the whole; "check" fails when a call was made that BigQuery does not know.
func bigquery(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 && args[0] == "start" {
		w := &warehouse{ts: ts}
		w.Server = bigquerytest.New(w)
		warehouses.Store(ts.Getenv("WORK"), w)
		ts.Setenv("BIGQUERY_URL", w.URL)
		ts.Check(os.WriteFile(ts.MkAbs("config/.env"), []byte("BIGQUERY_URL="+w.URL+"\n"), 0o600))
		return
	}
	found, ok := warehouses.Load(ts.Getenv("WORK"))
	if !ok || len(args) == 0 {
		ts.Fatalf("usage: bigquery start, then put ID FILE | refuse | permit | break | repair | check")
	}
	w := found.(*warehouse)
	switch args[0] {
	case "put":
		var t bigquerytest.Table
		d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[2])))
		d.DisallowUnknownFields()
		var file struct {
			Fields     []*bq.TableFieldSchema
			Rows       [][]any
			Type       string
			PrimaryKey []string `json:"primary_key"`
		}
		ts.Check(d.Decode(&file))
		t.Fields, t.Rows, t.Type, t.PrimaryKey = file.Fields, file.Rows, file.Type, file.PrimaryKey
		w.Put(args[1], t)
	case "refuse":
		w.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
	case "break":
		w.Fail("*", -1, bigquerytest.Fault{HTTP: 403, Reason: "accessDenied", Code: codes.PermissionDenied})
	case "permit", "repair":
		w.Repair()
	case "check":
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.strange) > 0 {
			ts.Fatalf("%s", strings.Join(w.strange, "\n"))
		}
	default:
		ts.Fatalf("bigquery %s is not known", args[0])
	}
}
