package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aida/store"
)

// TestScaleAMillionAuditRowsAnd500Analysts prints what an admin's look at the audit log costs, and who may read what.
func TestScaleAMillionAuditRowsAnd500Analysts(t *testing.T) {
	if os.Getenv("AIDA_BENCH_SCALE") == "" {
		t.Skip("run make bench-scale")
	}
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "a.db")
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: path}))
	defer s.Close()
	var tables []store.Table
	for i := range 1000 {
		tables = append(tables, store.Table{SourceID: fmt.Sprint("s.", i), Name: fmt.Sprint("t", i), Folder: "f", Dataset: fmt.Sprint("d", i%10)})
	}
	var datasets []store.Dataset
	for i := range 10 {
		datasets = append(datasets, store.Dataset{Name: fmt.Sprint("d", i), Access: []store.Visibility{store.OpenAccess, store.PrivateAccess}[i%2]})
	}
	ok(t, s.SetCatalog(ctx, datasets, tables))
	begun := time.Now()
	var ids []int64
	for i := range 500 {
		ids = append(ids, must[store.User](t)(s.AddUser(ctx, "scale", store.NewUser{Name: fmt.Sprintf("analyst%d", i)})).ID)
	}
	t.Logf("%-58s %8s", "500 analysts added", time.Since(begun).Round(time.Millisecond))
	begun = time.Now()
	for _, id := range ids {
		a := must[*store.Access](t)(s.Access(ctx, id))
		if len(a.Tables) != 500 {
			t.Fatalf("%d tables", len(a.Tables))
		}
	}
	t.Logf("%-58s %8s each", "who may read which of 1,000 tables, for 500 analysts", (time.Since(begun) / 500).Round(time.Microsecond))
	db := must[*sql.DB](t)(sql.Open("sqlite", path))
	defer db.Close()
	_, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
		INSERT INTO audit (at, actor, action, subject, detail) SELECT i, 'analyst' || (i % 500), 'user.add', 'x' || i, '' FROM n`)
	ok(t, err)
	for _, before := range []int64{0, 500_000} {
		begun = time.Now()
		list := must[[]store.AuditEntry](t)(s.Audit(ctx, before, 100))
		if len(list) != 100 {
			t.Fatalf("%d entries", len(list))
		}
		t.Logf("%-58s %8s", fmt.Sprintf("a page of a million audit rows, before %d", before), time.Since(begun).Round(time.Microsecond))
	}
	begun = time.Now()
	must[store.User](t)(s.AddUser(ctx, "scale", store.NewUser{Name: "onemore"}))
	t.Logf("%-58s %8s", "a change with its audit row behind a million", time.Since(begun).Round(time.Microsecond))
}
