package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"aida/store"
)

// mergeColumns make a table of ten columns of all kinds from a number i; DuckDB writes it as CSV and is the peer.
const mergeColumns = `i::BIGINT AS id, (hash(i) %% 400000)::BIGINT AS customer_id, (TIMESTAMP '2024-01-01' + INTERVAL (i * 3) SECOND) AS created_at,
	((hash(i + %[1]d) %% 1000000) / 100)::DECIMAL(18,2) AS amount, (hash(i + 2) %% 100)::BIGINT AS quantity, ['new', 'paid', 'sent', 'done'][1 + (hash(i + 3 + %[1]d) %% 4)::INT] AS status,
	'user' || (hash(i + 4) %% 400000) || '@example.com' AS email, (hash(i + 5) %% 2) = 0 AS paid, (hash(i + 6 + %[1]d) %% 1000000) / 1000.0::DOUBLE AS score, (DATE '2024-01-01' + (hash(i + 7) %% 800)::INT) AS ship`

const mergeTypes = "columns: [{name: id, type: int64}, {name: customer_id, type: int64}, {name: created_at, type: timestamp}, {name: amount, type: 'decimal(18,2)'}, {name: quantity, type: int64}, " +
	"{name: status, type: string}, {name: email, type: string}, {name: paid, type: bool}, {name: score, type: float64}, {name: ship, type: date}]"

// TestBenchMerge compares how a change set goes into a large table, whole sync and all, with what DuckDB needs for an
// anti-join and a COPY of everything: changes spread over all parts, and changes of the newest rows.
func TestBenchMerge(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	work, rows, rounds := t.TempDir(), benchSize("AIDA_BENCH_ROWS", 2_000_000, 10_000_000), number("AIDA_BENCH_ROUNDS", 5)
	csv := filepath.Join(work, "in.csv")
	changes := rows / 100
	// Four of five changes are of rows that exist, one is new.
	sets := map[string]string{
		"upsert of 1 % over all parts":   fmt.Sprintf("SELECT "+mergeColumns+" FROM (SELECT CASE WHEN k %% 5 = 4 THEN %d + k ELSE k * %d END AS i FROM range(%d) t(k))", 1, rows, rows/changes, changes),
		"upsert in a tenth of the parts": fmt.Sprintf("SELECT "+mergeColumns+" FROM (SELECT CASE WHEN k %% 5 = 4 THEN %d + k ELSE %d - 1 - k * 5 END AS i FROM range(%d) t(k))", 1, rows, rows, changes),
	}
	base := fmt.Sprintf("SELECT "+mergeColumns+" FROM range(%d) t(i)", 0, rows)
	ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf("COPY (%s) TO '%s' (HEADER)", base, csv))
	dir := mergeConfig(t, work, rows/10)
	first, _ := mergeSync(t, dir)
	t.Logf("first load of %d rows: %.1f s", rows, first)
	peerBase := filepath.Join(work, "base.parquet")
	ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf("COPY (%s) TO '%s' (FORMAT parquet, CODEC zstd)", base, peerBase))
	snapshot := filepath.Join(work, "data.first")
	if out, err := exec.Command("cp", "-a", filepath.Join(dir, "data"), snapshot).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		what      string
		must, aim float64
	}{{"upsert of 1 % over all parts", 1.6, 1}, {"upsert in a tenth of the parts", 0.3, 0.15}} {
		delta := filepath.Join(work, "delta.csv")
		ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf("COPY (%s) TO '%s' (HEADER)", sets[c.what], delta))
		peerFile := filepath.Join(work, "peer.parquet")
		peerSQL := fmt.Sprintf("COPY (WITH d AS (SELECT * FROM read_csv('%[1]s', types = {'amount': 'DECIMAL(18,2)'})) SELECT * FROM '%[2]s' b ANTI JOIN d USING (id) UNION ALL SELECT * FROM d) TO '%[3]s' (FORMAT parquet, CODEC zstd)",
			delta, peerBase, peerFile)
		if err := os.Rename(delta, csv); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(csv, delta); err != nil {
			t.Fatal(err)
		}
		var ours, peer, mem []float64
		for range rounds {
			if out, err := exec.Command("sh", "-c", fmt.Sprintf("rm -rf %[1]s/data && cp -a %[2]s %[1]s/data && sync", dir, snapshot)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			s, m := mergeSync(t, dir)
			ours, mem = append(ours, s), append(mem, m)
			s, _ = duckRun(t, peerSQL)
			peer = append(peer, s)
		}
		files := filepath.Join(work, "published")
		published(t, filepath.Join(dir, "data"), files)
		check := "SELECT count(*), count(DISTINCT id), sum(amount), sum(quantity), sum(length(status)), sum(length(email)), count(*) FILTER (paid), min(created_at), max(created_at), max(ship) FROM '%s'"
		if a, b := ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf(check, files+"/*.parquet")), ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf(check, peerFile)); a != b {
			t.Errorf("%s: other values:\nours %s\npeer %s", c.what, a, b)
		}
		benchRow(t, c.what+", wall s", median(ours), median(peer), c.must, c.aim)
		benchRow(t, "its peak memory, MiB, against 400", median(mem), 400, 1, 0.8)
	}
}

func mergeConfig(t *testing.T, work string, partRows int) string {
	t.Helper()
	configure(t, work, "merge", "orders.csv", mergeTypes)
	dir := filepath.Join(work, "merge")
	text := "```yaml\ntables:\n  - id: b.orders\n    name: orders\n    description: Orders\n    primary_key: id\n    sync_strategy: incremental\n    folder: b\n    csv: {path: in.csv}\n    " + mergeTypes + "\n```\n"
	if err := os.WriteFile(filepath.Join(dir, "data_description.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	instance, err := os.OpenFile(filepath.Join(dir, "instance.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer instance.Close()
	if _, err := fmt.Fprintf(instance, "lake: {part_rows: %d}\n", partRows); err != nil {
		t.Fatal(err)
	}
	return dir
}

// published links the files of the newest generation into a folder.
func published(t *testing.T, data, folder string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(data, "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	snap, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, f := range snap.Files {
		if err := os.Link(filepath.Join(data, "lake", filepath.FromSlash(f.Physical)), filepath.Join(folder, filepath.Base(f.Logical))); err != nil {
			t.Fatal(err)
		}
	}
}

// mergeSync syncs the table and gives how long its part of the run took, until its files were durable: reading, merging
// and writing, without the profiles that are made after a publish.
func mergeSync(t *testing.T, dir string) (seconds, peakMiB float64) {
	t.Helper()
	cmd := exec.Command(os.Getenv("AIDA_BINARY"), "sync", "--no-profile", "--json", "--config", dir, "--data", filepath.Join(dir, "data"))
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.Bytes(), problems.Bytes())
	}
	var report struct {
		Tables []struct {
			Seconds float64 `json:"duration_seconds"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Tables) != 1 {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	return report.Tables[0].Seconds, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}
