package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ordersTypes are the columns of testdata/orders: aida's type and DuckDB's.
var ordersTypes = [][3]string{
	{"order_id", "int64", "BIGINT"}, {"customer_id", "int64", "BIGINT"}, {"quantity", "int64", "BIGINT"}, {"amount", "decimal(18,2)", "DECIMAL(18,2)"},
	{"tax", "decimal(18,2)", "DECIMAL(18,2)"}, {"paid", "bool", "BOOLEAN"}, {"created_at", "timestamp", "TIMESTAMP"}, {"updated_at", "timestamp", "TIMESTAMP"},
	{"ship_date", "date", "DATE"}, {"rating", "float64", "DOUBLE"}, {"uuid", "string", "VARCHAR"}, {"status", "string", "VARCHAR"}, {"country", "string", "VARCHAR"},
	{"channel", "string", "VARCHAR"}, {"name", "string", "VARCHAR"}, {"email", "string", "VARCHAR"}, {"note", "string", "VARCHAR"},
}

// TestBenchConversion compares a sync of a large CSV file with DuckDB's COPY of the same, in turn, five times each.
func TestBenchConversion(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	work, size := t.TempDir(), "1073741824"
	if v := os.Getenv("AIDA_BENCH_BYTES"); v != "" {
		size = v
	}
	input := filepath.Join(work, "orders.csv")
	if out, err := exec.Command("go", "run", filepath.Join(repository(t), "testdata", "orders"), "-bytes", size, "-o", input).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var columns, duck []string
	for _, c := range ordersTypes {
		columns = append(columns, fmt.Sprintf("{name: %s, type: %q}", c[0], c[1]))
		duck = append(duck, fmt.Sprintf("'%s': '%s'", c[0], c[2]))
	}
	configure(t, work, "declared", "columns: ["+strings.Join(columns, ", ")+"]")
	configure(t, work, "inferred", "")
	peerFile := filepath.Join(work, "peer.parquet")
	peerSQL := fmt.Sprintf("COPY (SELECT * FROM read_csv('%s', header = true, columns = {%s})) TO '%s' (FORMAT parquet, CODEC zstd)", input, strings.Join(duck, ", "), peerFile)
	var ours, inferred, peer, ourMem, peerMem []float64
	for range 5 {
		s, m := aidaSync(t, work, "declared")
		ours, ourMem = append(ours, s), append(ourMem, m)
		s, m = duckCopy(t, peerSQL)
		peer, peerMem = append(peer, s), append(peerMem, m)
		s, _ = aidaSync(t, work, "inferred")
		inferred = append(inferred, s)
	}
	files, err := filepath.Glob(filepath.Join(work, "declared", "data", "lake", "b", "orders", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file was written: %v", err)
	}
	judge := os.Getenv("AIDA_DUCKDB")
	check := "SELECT count(*), sum(amount), sum(tax), count(note), sum(length(note)), min(created_at), max(updated_at), count(ship_date), sum(quantity), count(*) FILTER (paid) FROM '%s'"
	if a, b := ask(t, judge, fmt.Sprintf(check, files[0])), ask(t, judge, fmt.Sprintf(check, peerFile)); a != b {
		t.Errorf("other values:\nours %s\npeer %s", a, b)
	}
	report := func(what string, a, b, must float64) {
		verdict := "pass"
		if a/b > must {
			verdict = "FAIL"
		}
		t.Logf("%-34s ours %8.2f  peer %8.2f  ratio %.2f  must %.2f  %s", what, a, b, a/b, must, verdict)
	}
	report("CSV to Parquet, wall s", median(ours), median(peer), 1.1)
	report("peak memory, MiB", median(ourMem), min(400, median(peerMem)), 1)
	report("types inferred, against declared", median(inferred), median(ours), 1.35)
	report("file size, MiB", sizeMiB(t, files[0]), sizeMiB(t, peerFile), 1)
}

func configure(t *testing.T, work, name, columns string) {
	t.Helper()
	dir := filepath.Join(work, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	table := "```yaml\ntables:\n  - id: b.orders\n    name: orders\n    description: Orders\n    primary_key: order_id\n    sync_strategy: full_refresh\n    folder: b\n    csv: {path: orders.csv}\n"
	if columns != "" {
		table += "    " + columns + "\n"
	}
	for file, text := range map[string]string{
		"data_description.md": table + "```\n",
		"instance.yaml":       fmt.Sprintf("instance: {name: B}\nauth: {allowed_domain: e.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: %q}}\n", work),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func aidaSync(t *testing.T, work, name string) (seconds, peakMiB float64) {
	t.Helper()
	dir := filepath.Join(work, name)
	cmd := exec.Command(os.Getenv("AIDA_BINARY"), "sync", "--full", "--config", dir, "--data", filepath.Join(dir, "data"))
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return time.Since(start).Seconds(), float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

func duckCopy(t *testing.T, sql string) (seconds, peakMiB float64) {
	t.Helper()
	out, err := exec.Command(os.Getenv("AIDA_DUCKDB"), "-json", sql).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var u struct {
		Seconds float64
		Peak    float64 `json:"peak_mib"`
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &u); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return u.Seconds, u.Peak
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func sizeMiB(t *testing.T, path string) float64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / (1 << 20)
}
