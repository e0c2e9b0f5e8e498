package bigquery_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"aida/syncer/bigquery"
	"aida/syncer/bigquery/bigquerytest"
	"aida/syncer/datadoc"
)

func TestTheTablesOfAProjectAreListed(t *testing.T) {
	server := bigquerytest.New(t)
	server.Put("shop-bi.sales.orders", bigquerytest.Table{Fields: orderFields, PrimaryKey: []string{"id"}})
	server.Put("shop-bi.hr.people", bigquerytest.Table{Fields: orderFields[:2], Type: "VIEW"})
	server.Put("other.sales.orders", bigquerytest.Table{Fields: orderFields})
	found, err := connect(t, server, bigquery.Options{}).Discover(context.Background())
	if err != nil || fmt.Sprint(found) != "[{shop-bi.hr.people hr VIEW  [] [{id int64 } {name string }] -1 0} {shop-bi.sales.orders sales TABLE  [id] [{id int64 } {name string } {amount decimal(18,2) } {changed_at timestamp_tz }] 0 0}]" {
		t.Errorf("%v %v", found, err)
	}
	server.Fail("tables.list", 6, bigquerytest.Fault{HTTP: 403, Reason: "accessDenied"})
	if _, err := connect(t, server, bigquery.Options{}).Discover(context.Background()); err == nil || !strings.Contains(err.Error(), "project shop-bi") {
		t.Errorf("a list that cannot be read is not empty: %v", err)
	}
}

func TestAnalystsAreToldHowToQueryBigQuery(t *testing.T) {
	src, err := bigquery.New(bigquery.Options{Project: "shop-bi", CredentialsFile: "/etc/hush.json"})
	if err != nil {
		t.Fatal(err)
	}
	table := datadoc.Table{ID: "lake-eu.gps.points", Name: "gps-points", Folder: "telemetry", QueryMode: "remote", PartitionBy: "seen_at",
		Columns: []datadoc.Column{{Name: "id", Plain: true}, {Name: "seen_at", Plain: true}}}
	got := src.HowToQuery(table)
	for _, want := range []string{"This table is not copied", "paid for in the project `shop-bi`", "LOAD bigquery;",
		"CREATE OR REPLACE TEMP TABLE gps_points_live AS SELECT * FROM bigquery_query('shop-bi', 'SELECT `id`, `seen_at`\nFROM `lake-eu`.`gps`.`points`\nWHERE `seen_at` >= ''2026-01-01''\nLIMIT 1000');",
		`bq query --project_id=shop-bi --use_legacy_sql=false --dry_run 'SELECT`, `>= '\''2026-01-01'\''`} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if table.QueryMode = "hybrid"; !strings.Contains(src.HowToQuery(table), "copied to parquet/telemetry/ at each sync") || strings.Contains(got, "hush") {
		t.Error(src.HowToQuery(table))
	}
}
