package bigquery_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/syncer/bigquery"
	"aida/syncer/bigquery/bigquerytest"
	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/datadoc"
	"aida/syncer/source"
	"aida/syncer/sourcetest"

	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc/codes"
)

func manyOrders(t *testing.T, n int) (*bigquerytest.Server, *bigquery.Source, datadoc.Table) {
	server := bigquerytest.New(t)
	server.Put(orderID, bigquerytest.Table{Fields: orderFields, Rows: orderRows(sourcetest.Rows(n, "a"))})
	return server, connect(t, server, bigquery.Options{}), orderTable()
}

func TestABrokenStreamGoesOnBehindTheLastRow(t *testing.T) {
	server, src, table := manyOrders(t, 9000)
	whole, _ := read(t, src, table)
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.ResourceExhausted, codes.Aborted} {
		for _, after := range []int{0, 700, 1400} {
			server.Fail("ReadRows", 4, bigquerytest.Fault{Code: code, AfterRows: after})
		}
	}
	again, res := read(t, src, table)
	if !bytes.Equal(whole, again) || res.Rows != 9000 {
		t.Errorf("%d rows and other bytes after broken streams", res.Rows)
	}
}

func TestAStreamThatLosesRowsFailsTheTable(t *testing.T) {
	server, src, table := manyOrders(t, 9000)
	server.Fail("ReadRows", 1, bigquerytest.Fault{Cut: true})
	if _, _, err := tryRead(t, src, source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "of 9000: run the sync again") {
		t.Errorf("got %v", err)
	}
	server.Repair()
	server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
	server.Fail("tabledata.list", 3, bigquerytest.Fault{Cut: true})
	if _, _, err := tryRead(t, src, source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "8999 rows of 9000 over REST") {
		t.Errorf("got %v", err)
	}
	server.Repair()
	server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
	table.RowFilter = "amount IS NOT NULL OR TRUE"
	server.Fail("jobs.getQueryResults", 4, bigquerytest.Fault{Cut: true})
	if _, _, err := tryRead(t, src, source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "8999 rows of 9000 over REST") {
		t.Errorf("got %v", err)
	}
}

func TestOnceRowsCameAFailureIsNotAnsweredByAnotherRoad(t *testing.T) {
	server, src, table := manyOrders(t, 9000)
	server.Fail("ReadRows", 1, bigquerytest.Fault{Code: codes.PermissionDenied, AfterRows: 700})
	if _, _, err := tryRead(t, src, source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "PermissionDenied") {
		t.Errorf("got %v", err)
	}
	if server.Calls("tabledata.list") > 0 {
		t.Error("rows were read over REST after some had come over the Storage Read API")
	}
	server.Repair()
	server.Fail("ReadRows", -1, bigquerytest.Fault{Code: codes.PermissionDenied}) // all: a stream of the read that ended may still arrive
	if _, res := read(t, src, table); res.Rows != 9000 || server.Calls("tabledata.list") == 0 {
		t.Errorf("a refusal before the first row is answered by REST: %d rows", res.Rows)
	}
}

func TestFailuresThatPassAreRepeated(t *testing.T) {
	server, src, table := manyOrders(t, 100)
	whole, _ := read(t, src, table)
	table.RowFilter = "id > 0"
	for _, call := range []string{"tables.get", "jobs.insert", "jobs.dryRun", "jobs.get", "jobs.getQueryResults"} {
		server.Fail(call, 2, bigquerytest.Fault{HTTP: 503, Reason: "backendError"})
		server.Fail(call, 1, bigquerytest.Fault{HTTP: 403, Reason: "rateLimitExceeded"})
	}
	server.Fail("CreateReadSession", 3, bigquerytest.Fault{Code: codes.Unavailable})
	server.Fail("jobs.get", 1, bigquerytest.Fault{JobError: "backendError"})
	again, _ := read(t, src, table)
	if !bytes.Equal(whole, again) {
		t.Error("other bytes after failures that passed")
	}
	server.Fail("jobs.get", 1, bigquerytest.Fault{JobError: "resourcesExceeded"})
	if _, _, err := tryRead(t, src, source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "resourcesExceeded") {
		t.Errorf("got %v", err)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	for want, f := range map[string]bigquerytest.Fault{
		"roles/bigquery.dataViewer": {HTTP: 403, Reason: "accessDenied"},
		"are not accepted":          {HTTP: 401, Reason: "authError"},
		"did not recover in time":   {HTTP: 500, Reason: "backendError"},
	} {
		server, src, table := manyOrders(t, 1)
		server.Fail("tables.get", -1, f)
		_, err := src.Fetch(context.Background(), source.Request{Table: table, Scratch: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "table sales.orders: BigQuery table shop-bi.sales.orders: ") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	server, src, table := manyOrders(t, 1)
	server.Remove(orderID)
	if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "which is project.dataset.table") {
		t.Errorf("got %v", err)
	}
}

func TestAReadBeyondMaxBytesIsRefusedBeforeItCostsAnything(t *testing.T) {
	server, _, table := manyOrders(t, 100)
	server.Put(orderID, bigquerytest.Table{Fields: orderFields, Rows: orderRows(sourcetest.Rows(3, "a")), Bytes: 5 << 30})
	src := connect(t, server, bigquery.Options{MaxBytes: 4 << 30})
	permitted := true
	for _, change := range []func(){func() {}, func() { table.RowFilter = "id > 0" }, func() { permitted, table.RowFilter = false, "" }, func() { table.WhereFilters = []datadoc.Filter{{Column: "id", Operator: "gt", Values: []string{"0"}}} }} {
		change()
		if !permitted {
			server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
		}
		_, err := src.Fetch(context.Background(), source.Request{Table: table})
		if err == nil || !strings.Contains(err.Error(), "5.0 GiB, and data_source.bigquery.max_bytes allows 4.0 GiB") {
			t.Errorf("got %v", err)
		}
	}
	if n := server.Calls("jobs.insert") + server.Calls("ReadRows") + server.Calls("tabledata.list"); n > 0 {
		t.Errorf("%d calls that cost something", n)
	}
	read(t, connect(t, server, bigquery.Options{MaxBytes: 5 << 30}), orderTable())
}

func TestACancelledQueryIsCancelledAtBigQuery(t *testing.T) {
	server, src, table := manyOrders(t, 100)
	table.RowFilter = "id > 0"
	res, err := src.Fetch(context.Background(), source.Request{Table: table, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server.Fail("jobs.get", -1, bigquerytest.Fault{HTTP: 503, Reason: "backendError"})
	go func() {
		for server.Calls("jobs.get") == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := res.Data.WriteParquet(ctx, &columnartest.Memory{}, columnar.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if server.Calls("jobs.cancel") != 1 {
		t.Error("the job runs on, and costs")
	}
}

func TestConditionsAreAppliedOnEveryRoad(t *testing.T) {
	server := bigquerytest.New(t)
	fields := append(slices.Clone(orderFields), &bq.TableFieldSchema{Name: "day", Type: "DATE"}, &bq.TableFieldSchema{Name: "local", Type: "DATETIME"}, &bq.TableFieldSchema{Name: "open", Type: "BOOLEAN"}, &bq.TableFieldSchema{Name: "share", Type: "FLOAT"})
	server.Put(orderID, bigquerytest.Table{Fields: fields, Rows: [][]any{
		{"1", "o'hara \\ \n", "1.50", "2026-01-01 00:00:00+00", "2026-01-01", "2026-01-01 12:00:00", "true", "0.5"},
		{"2", "x' OR TRUE --", "-3.00", "2026-01-02 00:00:00+00", "2026-01-02", "2026-01-02 12:00:00", "false", "1e10"},
		{"3", nil, nil, nil, nil, nil, nil, nil},
	}})
	filter := func(column, op string, values ...string) func(*source.Request) {
		return func(r *source.Request) {
			r.Table.WhereFilters = append(r.Table.WhereFilters, datadoc.Filter{Column: column, Operator: op, Values: values})
		}
	}
	window := func(column string, since, until time.Time) func(*source.Request) {
		return func(r *source.Request) {
			r.Table.IncrementalColumn, r.Window = column, source.Window{Since: since, Until: until}
		}
	}
	day := func(d, h int) time.Time { return time.Date(2026, 1, d, h, 0, 0, 0, time.UTC) }
	prague := time.FixedZone("CET", 3600)
	for _, c := range []struct {
		name string
		set  func(*source.Request)
		want string
	}{
		{"text with quotes", filter("name", "eq", "o'hara \\ \n"), "1"},
		{"text that would be SQL", filter("name", "eq", "x' OR TRUE --"), "2"},
		{"alternatives", filter("id", "eq", "1", "3"), "1 3"},
		{"none of", filter("id", "ne", "1", "3"), "2"},
		{"decimal", filter("amount", "lt", "1.5"), "2"},
		{"float", filter("share", "ge", "0.5"), "1 2"},
		{"bool", filter("open", "eq", "TRUE"), "1"},
		{"date", filter("day", "gt", "2026-01-01"), "2"},
		{"timestamp from a date", filter("changed_at", "ge", "2026-01-02"), "2"},
		{"timestamp in a zone", filter("changed_at", "le", "2026-01-01T01:00:00+01:00"), "1"},
		{"datetime", filter("local", "eq", "2026-01-01T12:00:00"), "1"},
		{"window of a timestamp", window("changed_at", day(1, 0), day(2, 0)), "1"},
		{"window in another zone", window("changed_at", day(1, 0).In(prague), day(2, 0).In(prague)), "1"},
		{"window of a date holds the days of its ends", window("day", day(1, 12), day(2, 1)), "1 2"},
		{"window of a datetime", window("local", day(1, 13), time.Time{}), "2"},
		{"a window without a beginning has rows without a time", window("changed_at", time.Time{}, day(2, 0)), "1 3"},
		{"max_history_days keeps rows without a time", func(r *source.Request) { r.Table.MaxHistoryDays = 1 }, "3"},
		{"row_filter", func(r *source.Request) { r.Table.RowFilter = "open = TRUE OR id = 3 -- or" }, "1 3"},
		{"row_filter that tries to get out", func(r *source.Request) { r.Table.RowFilter = "id = 1 OR id = 2 -- )" }, "1 2"},
		{"all of them", func(r *source.Request) {
			filter("id", "le", "2")(r)
			window("changed_at", day(1, 0), time.Time{})(r)
			r.Table.RowFilter = "name IS NOT NULL AND id IN (2, 3)"
		}, "2"},
	} {
		for _, permitted := range []bool{true, false} {
			server.Repair()
			if !permitted {
				server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
			}
			r := source.Request{Table: orderTable()}
			c.set(&r)
			src := connect(t, server, bigquery.Options{})
			if err := src.CanFilter(r.Table); err != nil {
				t.Fatal(err)
			}
			data, _, err := tryRead(t, src, r)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := strings.Join(columnartest.Read(t, data).Column("id"), " "); got != c.want {
				t.Errorf("%s, Storage Read API %v: rows %s, want %s", c.name, permitted, got, c.want)
			}
		}
	}
}

func TestValuesThatAreNotOfTheirColumnsTypeAreRefused(t *testing.T) {
	_, src, _ := manyOrders(t, 1)
	for _, c := range [][3]string{{"id", "1 OR TRUE", "is no INTEGER value"}, {"amount", "1); DROP", "is no NUMERIC value"}, {"changed_at", "yesterday", "is no TIMESTAMP value"}, {"nam", "x", `did you mean "name"`}} {
		table := orderTable()
		table.WhereFilters = []datadoc.Filter{{Column: c[0], Operator: "eq", Values: []string{c[1]}}}
		if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s = %s: %v", c[0], c[1], err)
		}
	}
}

func TestWindowsNeedATimeColumn(t *testing.T) {
	_, src, table := manyOrders(t, 1)
	if err := src.CanWindow(table); err != nil {
		t.Error(err)
	}
	table.IncrementalColumn = ""
	if err := src.CanWindow(table); err == nil || !strings.Contains(err.Error(), "incremental_column") {
		t.Errorf("got %v", err)
	}
	table.MaxHistoryDays = 3
	if err := src.CanFilter(table); err == nil || !strings.Contains(err.Error(), "max_history_days needs") {
		t.Errorf("got %v", err)
	}
	table.IncrementalColumn, table.MaxHistoryDays = "amount", 0
	if _, err := src.Fetch(context.Background(), source.Request{Table: table, Window: source.Window{Since: time.Now()}}); err == nil || !strings.Contains(err.Error(), "amount is NUMERIC") {
		t.Errorf("got %v", err)
	}
}

func TestAPartitionIsReadWithoutAWarning(t *testing.T) {
	server, src, table := manyOrders(t, 10)
	since := source.Window{Since: time.Date(2026, 1, 1, 0, 0, 5, 0, time.UTC)}
	_, res, err := tryRead(t, src, source.Request{Table: table, Window: since})
	if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "neither partitioned nor clustered by changed_at") {
		t.Errorf("%+v %v", res, err)
	}
	server.Put(orderID, bigquerytest.Table{Fields: orderFields, Rows: orderRows(sourcetest.Rows(10, "a")), PartitionedBy: "changed_at", RequirePartitionFilter: true})
	_, res, err = tryRead(t, src, source.Request{Table: table, Window: since})
	if err != nil || len(res.Warnings) != 0 || res.Rows != 5 {
		t.Errorf("%+v %v", res, err)
	}
	if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "condition on its partition column") {
		t.Errorf("got %v", err)
	}
}

func TestRemoteTablesAreNeverCopied(t *testing.T) {
	server, src, table := manyOrders(t, 1)
	table.QueryMode = "remote"
	if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "never copied") || server.Calls("tables.get") > 0 {
		t.Errorf("got %v", err)
	}
}

func TestIDsAreChecked(t *testing.T) {
	server, src, table := manyOrders(t, 1)
	table.ID = "sales.orders" // of the paying project
	read(t, src, table)
	for _, id := range []string{"orders", "a.b.c`; DROP", "Shop.sales.orders", "shop-bi.sa-les.orders", "shop-bi.sales.", "x/y.sales.orders"} {
		table.ID = id
		calls := server.Calls("tables.get")
		if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), "write project.dataset.table") || server.Calls("tables.get") > calls {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestCredentialsAndEndpointsAreChecked(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	_, _, table := manyOrders(t, 1)
	for want, o := range map[string]bigquery.Options{
		"set data_source.bigquery.project":  {},
		"no such file":                      {Project: "p", CredentialsFile: filepath.Join(dir, "none")},
		"is not a JSON key file":            {Project: "p", CredentialsFile: put("text", "hush hush")},
		`is of the type "external_account"`: {Project: "p", CredentialsFile: put("other.json", `{"type": "external_account", "token_url": "https://evil.example"}`)},
	} {
		src, err := bigquery.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Fetch(context.Background(), source.Request{Table: table}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, o := range []bigquery.Options{{Endpoint: "http://bigquery.example.com"}, {StorageEndpoint: "http://203.0.113.9:1"}, {Endpoint: "bigquery.example.com"}, {Endpoint: "ftp://x"}} {
		if _, err := bigquery.New(o); err == nil || !strings.Contains(err.Error(), "data_source.bigquery.") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := bigquery.New(bigquery.Options{Endpoint: "http://[::1]:1/", StorageEndpoint: "bigquerystorage.example.com:443"}); err != nil {
		t.Error(err)
	}
}
