package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aida/store"
)

// TestScaleAPublishCostsNoMoreForThePast prints what a publish, a cycle without news and the newest manifest cost. It
// is a measurement, run with AIDA_BENCH_SCALE=1.
func TestScaleAPublishCostsNoMoreForThePast(t *testing.T) {
	if os.Getenv("AIDA_BENCH_SCALE") == "" {
		t.Skip("AIDA_BENCH_SCALE is not set")
	}
	for _, c := range []struct{ tables, files, generations int }{
		{10, 1, 10}, {10, 1, 10_000}, {1000, 1, 10}, {1000, 1, 10_000}, {1, 10_000, 10}, {10, 10_000, 10},
	} {
		measure(t, c.tables, c.files, c.generations)
	}
}

func measure(t *testing.T, tables, files, generations int) {
	ctx := context.Background()
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db")}))
	defer s.Close()
	var list []store.Table
	for i := range tables {
		list = append(list, store.Table{SourceID: fmt.Sprint("s.", i), Name: fmt.Sprint("t", i), Folder: "f", Dataset: "f"})
	}
	ok(t, s.SetCatalog(ctx, []store.Dataset{{Name: "f", Access: store.OpenAccess}}, list))
	list = must[[]store.Table](t)(s.Tables(ctx))
	change := func(table store.Table, version int) store.Change {
		c := store.Change{TableID: table.ID}
		for p := range files {
			v := 0
			if p == 0 {
				v = version
			}
			c.Files = append(c.Files, file(fmt.Sprintf("f/%s/%06d.parquet", table.Name, p), fmt.Sprintf("%s-%d-%d", table.Name, p, v)))
		}
		return c
	}
	publish := func(changes ...store.Change) time.Duration {
		begun := time.Now()
		_, _, err := s.Publish(ctx, 0, "", changes)
		ok(t, err)
		return time.Since(begun)
	}
	var all []store.Change
	for _, table := range list {
		all = append(all, change(table, 0))
	}
	first := publish(all...)
	for g := range generations - 1 {
		publish(change(list[g%len(list)], g+1))
	}
	one := make([]time.Duration, 9)
	newest := make([]time.Duration, len(one))
	for i := range one {
		one[i] = publish(change(list[0], generations+i))
		begun := time.Now()
		snap := must[*store.Snapshot](t)(s.Newest(ctx))
		newest[i] = time.Since(begun)
		if len(snap.Files) != tables*files {
			t.Fatalf("%d files", len(snap.Files))
		}
	}
	begun := time.Now()
	for range 100 {
		must[*store.Snapshot](t)(s.Newest(ctx))
	}
	t.Logf("%5d tables x %6d files, %6d generations: first publish %8v, of one table %8v, newest manifest %8v, again %6v", tables, files, generations,
		first.Round(time.Millisecond), median(one).Round(10*time.Microsecond), median(newest).Round(10*time.Microsecond), time.Since(begun)/100)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
