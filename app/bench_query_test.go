package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchQuery measures SQL over Parquet in the binary, as alert rules use it: a filter and a sum, from the start of
// `aida query` to its answer, which DuckDB gives too. AIDA_BENCH_QUERY_ROWS sets the rows.
func TestBenchQuery(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	work, rows, rounds := t.TempDir(), number("AIDA_BENCH_QUERY_ROWS", 5_000_000), number("AIDA_BENCH_ROUNDS", 5)
	duckRun(t, fmt.Sprintf("COPY (SELECT i AS order_id, ((hash(i) %% 1000000)::BIGINT)::DECIMAL(18,2)/100 AS amount, (hash(i+1) %% 20)::BIGINT AS quantity, DATE '2020-01-01' + (i // 4000)::INTEGER AS day, "+
		"['web','app','phone'][1 + (hash(i+2) %% 3)::INTEGER] AS kind FROM range(%d) r(i)) TO '%s' (HEADER)", rows, filepath.Join(work, "orders.csv")))
	configure(t, work, "query", "orders.csv", `columns: [{name: amount, type: "decimal(18,2)"}]`)
	aidaSync(t, work, "query")
	dir := filepath.Join(work, "query")
	files := lakeFiles(t, work, "query")
	for _, q := range []struct{ name, where string }{{"a third passes", "kind = 'web'"}, {"all pass", "quantity >= 0"}, {"a range of days", "day >= '2021-01-01' AND day < '2021-02-01'"}} {
		sql := "SELECT count(*), CAST(round(sum(amount) * 100) AS BIGINT) FROM %s WHERE " + q.where
		run := func() *exec.Cmd {
			return exec.Command(os.Getenv("AIDA_BINARY"), "query", "--csv", "--config", dir, "--data", filepath.Join(dir, "data"), fmt.Sprintf(sql, "orders"))
		}
		out, err := run().CombinedOutput()
		if want := ask(t, os.Getenv("AIDA_DUCKDB"), fmt.Sprintf(sql, "'"+files+"'")); err != nil || valuesOf(string(out)) != valuesOf(want) {
			t.Errorf("%s: %v %s, DuckDB has %s", q.name, err, out, want)
		}
		var ours []float64
		for range rounds {
			s, _ := timed(t, run())
			ours = append(ours, s)
		}
		benchRow(t, "SQL, filter + sum, "+q.name+", s against 3 M rows/s", median(ours), float64(rows)/3e6, 1, 0.6)
	}
}

// valuesOf is the last line of a result, which is its only row.
func valuesOf(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
