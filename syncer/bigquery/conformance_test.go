package bigquery_test

import (
	"strconv"
	"testing"
	"time"

	"aida/syncer/bigquery"
	"aida/syncer/bigquery/bigquerytest"
	"aida/syncer/datadoc"
	"aida/syncer/sourcetest"

	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc/codes"
)

var orderFields = []*bq.TableFieldSchema{
	{Name: "id", Type: "INTEGER", Mode: "REQUIRED"}, {Name: "name", Type: "STRING"}, {Name: "amount", Type: "NUMERIC", Precision: 18, Scale: 2},
	{Name: "changed_at", Type: "TIMESTAMP"},
}

const orderID = "shop-bi.sales.orders"

func orderTable() datadoc.Table {
	return datadoc.Table{ID: orderID, Name: "orders", Folder: "sales", Dataset: "sales", Description: "Orders", PrimaryKey: datadoc.Words{"id"},
		Strategy: "incremental", IncrementalColumn: "changed_at", QueryMode: "local"}
}

func orderRows(rows []sourcetest.Row) (out [][]any) {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	for _, r := range rows {
		out = append(out, []any{strconv.FormatInt(r.ID, 10), null(r.Name), null(r.Amount), r.ChangedAt.Format("2006-01-02 15:04:05+00")})
	}
	return out
}

func connect(t *testing.T, server *bigquerytest.Server, o bigquery.Options) *bigquery.Source {
	t.Helper()
	o.Endpoint, o.StorageEndpoint, o.Pause = server.URL, server.URL, time.Millisecond
	if o.Project == "" {
		o.Project = "shop-bi"
	}
	src, err := bigquery.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

func world(t *testing.T, permitted bool) *sourcetest.World {
	server := bigquerytest.New(t)
	permit := func() {
		if !permitted {
			server.Fail("CreateReadSession", -1, bigquerytest.Fault{Code: codes.PermissionDenied})
		}
	}
	permit()
	return &sourcetest.World{
		Source: connect(t, server, bigquery.Options{}), Table: orderTable(),
		Put: func(_ testing.TB, rows []sourcetest.Row) {
			server.Put(orderID, bigquerytest.Table{Fields: orderFields, Rows: orderRows(rows)})
		},
		Break: func(testing.TB) func() {
			server.Fail("*", -1, bigquerytest.Fault{HTTP: 503, Reason: "backendError", Code: codes.Unavailable})
			return func() { server.Repair(); permit() }
		},
		Remove: func(testing.TB) { server.Remove(orderID) },
		Spoil: func(t testing.TB) []string {
			server.Put(orderID, bigquerytest.Table{Fields: orderFields, Rows: [][]any{{"1", "\xFF", nil, nil}}})
			return []string{"column name", "UTF-8"}
		},
	}
}

func TestTheStorageReadAPIConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) *sourcetest.World { return world(t, true) })
}

func TestRowsOverRESTConform(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) *sourcetest.World {
		w := world(t, false)
		w.Spoil = nil // JSON has no invalid UTF-8
		return w
	})
}
