package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer/columnar"
	"aida/syncer/lake"
)

// TestAMergeThatIsKilledIsDoneOrNotDone kills syncs of tables that take in changes by key, one as part files and one as
// partitions, at random moments. After each the tables are what they were, or what the changes make of it.
func TestAMergeThatIsKilledIsDoneOrNotDone(t *testing.T) {
	kills, random := torture(t, 12, 300), seeded(t)
	c := &company{t: t, dir: t.TempDir()}
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\n"+
		"data_source: {csv: {root: in}}\nlake: {part_rows: 2000}\n")
	c.write("config/data_description.md", "```yaml\ntables:\n"+
		"  - {id: s.parts, name: parts, description: P, primary_key: id, sync_strategy: incremental, delete_column: gone, folder: s, csv: {path: changes.csv}}\n"+
		"  - {id: s.months, name: months, description: M, primary_key: id, sync_strategy: incremental, delete_column: gone, partition_by: at, folder: s, csv: {path: changes.csv}}\n```\n")
	model := map[string]string{}
	next := map[string]string{}
	changes := func(round, n int) {
		next = maps.Clone(model)
		var b strings.Builder
		b.WriteString("id,at,v,gone\n")
		for range n {
			id := fmt.Sprint(random.IntN(9000))
			at := time.Date(2026, 1, 1+random.IntN(200), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
			gone := round > 0 && random.IntN(6) == 0
			fmt.Fprintf(&b, "%s,%s,round %d,%v\n", id, at, round, gone)
			if delete(next, id); !gone {
				next[id] = fmt.Sprintf("%s|%s|round %d|false", id, at, round)
			}
		}
		c.write("in/changes.csv", b.String())
	}
	changes(0, 12_000)
	begun := time.Now()
	c.run("sync")
	usual := time.Since(begun)
	model = next
	s, l := c.look()
	done := 0
	for i := range kills {
		changes(i+1, 3000)
		cmd := c.aida(t.Context(), "sync")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(usual))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		snap, err := s.Newest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bad := l.Verify(t.Context(), snap.Files); len(bad) > 0 {
			t.Fatalf("kill %d: %v", i, bad)
		}
		parts, months := tableRows(t, l, snap, "s/parts"), tableRows(t, l, snap, "s/months")
		if !slices.Equal(parts, months) {
			t.Fatalf("kill %d: the tables of one generation have other rows: %d and %d", i, len(parts), len(months))
		}
		switch {
		case slices.Equal(parts, slices.Sorted(maps.Values(next))):
			model = next
			done++
		case slices.Equal(parts, slices.Sorted(maps.Values(model))):
		default:
			t.Fatalf("kill %d: the table is neither what it was nor what it was to become", i)
		}
	}
	t.Logf("%d of %d kills came after the publish", done, kills)
	c.run("sync")
	snap, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := tableRows(t, l, snap, "s/months"); !slices.Equal(got, slices.Sorted(maps.Values(next))) {
		t.Error("a sync after the kills does not bring the table up to date")
	}
}

// tableRows reads all rows of a table's files, sorted.
func tableRows(t *testing.T, l *lake.Lake, snap *store.Snapshot, table string) (out []string) {
	t.Helper()
	for _, f := range snap.Files {
		if !strings.HasPrefix(f.Logical, table+"/") && f.Logical != table+".parquet" {
			continue
		}
		file, err := l.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := columnar.OpenReader(file, f.Size)
		if err != nil {
			t.Fatal(err)
		}
		for g := 0; g < r.RowGroups(); {
			rows, after, err := columnar.ReadRows(t.Context(), r, g, r.Schema().Columns, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows.Len() {
				var cells []string
				for col := range rows.Columns() {
					v, _ := rows.Text(i, col)
					cells = append(cells, v)
				}
				out = append(out, strings.Join(cells, "|"))
			}
			g = after
		}
		file.Close()
	}
	slices.Sort(out)
	return out
}
