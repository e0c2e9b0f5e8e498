package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// ordersTypes are the columns of testdata/orders: aida's type and DuckDB's.
var ordersTypes = [][3]string{
	{"order_id", "int64", "BIGINT"}, {"customer_id", "int64", "BIGINT"}, {"quantity", "int64", "BIGINT"}, {"amount", "decimal(18,2)", "DECIMAL(18,2)"},
	{"tax", "decimal(18,2)", "DECIMAL(18,2)"}, {"paid", "bool", "BOOLEAN"}, {"created_at", "timestamp", "TIMESTAMP"}, {"updated_at", "timestamp", "TIMESTAMP"},
	{"ship_date", "date", "DATE"}, {"rating", "float64", "DOUBLE"}, {"uuid", "string", "VARCHAR"}, {"status", "string", "VARCHAR"}, {"country", "string", "VARCHAR"},
	{"channel", "string", "VARCHAR"}, {"name", "string", "VARCHAR"}, {"email", "string", "VARCHAR"}, {"note", "string", "VARCHAR"},
}

// ordersQueries are what DuckDB is asked on our file and on its own: a grouped sum, a scan of texts, a look-up of one row.
var ordersQueries = []string{
	"SELECT country, status, count(*), sum(amount), avg(rating) FROM FILE GROUP BY ALL ORDER BY ALL",
	"SELECT count(*) FROM FILE WHERE note LIKE '%blue%' OR email LIKE 'user77%'",
	"SELECT * FROM FILE WHERE order_id = 4711",
}

// TestBenchConversion compares a sync of a large CSV file with DuckDB's COPY of the same, in turn, AIDA_BENCH_ROUNDS times
// each. What the table's profile costs is measured apart, as the peer makes none. AIDA_BENCH_BYTES sets the input's size.
func TestBenchConversion(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	work, size, rounds := t.TempDir(), benchSize("AIDA_BENCH_BYTES", 256<<20, 1<<30), number("AIDA_BENCH_ROUNDS", 5)
	orders(t, filepath.Join(work, "orders.csv"), size)
	orders(t, filepath.Join(work, "large.csv"), size*4)
	slicesOf(t, filepath.Join(work, "orders.csv"), 8)
	var columns, duck []string
	for _, c := range ordersTypes {
		columns = append(columns, fmt.Sprintf("{name: %s, type: %q}", c[0], c[1]))
		duck = append(duck, fmt.Sprintf("'%s': '%s'", c[0], c[2]))
	}
	declared := "columns: [" + strings.Join(columns, ", ") + "]"
	configure(t, work, "declared", "orders.csv", declared)
	configure(t, work, "inferred", "orders.csv", "")
	configure(t, work, "large", "large.csv", declared)
	configure(t, work, "slices", "slice-*.csv.gz", declared)
	peerFile := filepath.Join(work, "peer.parquet")
	peerSQL := func(input string) string {
		return fmt.Sprintf("COPY (SELECT * FROM read_csv('%s', header = true, columns = {%s})) TO '%s' (FORMAT parquet, CODEC zstd)", filepath.Join(work, input), strings.Join(duck, ", "), peerFile)
	}
	var ours, inferred, peer, sliced, peerSliced, ourMem, largeMem, peerMem []float64
	for range rounds {
		s, m := aidaSync(t, work, "declared")
		ours, ourMem = append(ours, s), append(ourMem, m)
		s, m = duckRun(t, peerSQL("orders.csv"))
		peer, peerMem = append(peer, s), append(peerMem, m)
		s, _ = aidaSync(t, work, "inferred")
		inferred = append(inferred, s)
		s, _ = aidaSync(t, work, "slices")
		sliced = append(sliced, s)
		s, _ = duckRun(t, peerSQL("slice-*.csv.gz"))
		peerSliced = append(peerSliced, s)
		if len(largeMem) < 2 {
			_, m = aidaSync(t, work, "large")
			largeMem = append(largeMem, m)
		}
	}
	duckRun(t, peerSQL("orders.csv"))
	file := lakeFiles(t, work, "declared")
	judge := os.Getenv("AIDA_DUCKDB")
	check := "SELECT count(*), sum(amount), sum(tax), count(note), sum(length(note)), min(created_at), max(updated_at), count(ship_date), sum(quantity), count(*) FILTER (paid) FROM '%s'"
	want := ask(t, judge, fmt.Sprintf(check, peerFile))
	for _, name := range []string{"declared", "slices"} {
		if got := ask(t, judge, fmt.Sprintf(check, lakeFiles(t, work, name))); got != want {
			t.Errorf("%s: other values:\nours %s\npeer %s", name, got, want)
		}
	}
	benchRow(t, "CSV to Parquet, wall s", median(ours), median(peer), 1.1, 0.85)
	benchRow(t, "peak memory, MiB", median(ourMem), min(400, median(peerMem)), 1, 0.8)
	benchRow(t, "the same at four times the input", median(largeMem), median(ourMem), 1.1, 1.1)
	benchRow(t, "8 gzip slices to Parquet, wall s", median(sliced), median(peerSliced), 1.1, 0.8)
	benchRow(t, "types inferred, against declared", median(inferred), median(ours), 1.35, 1.15)
	benchRow(t, "file size, MiB", sizeMiB(t, file), sizeMiB(t, peerFile), 1, 0.95)
	for _, q := range ordersQueries {
		var ours, peer []float64
		for range rounds {
			for from, to := range map[string]*[]float64{file: &ours, peerFile: &peer} {
				one := strings.ReplaceAll(q, "FILE", "'"+from+"'")
				s, _ := duckRun(t, one, one, one, one, one)
				*to = append(*to, s)
			}
		}
		benchRow(t, "DuckDB: "+q[:min(26, len(q))], median(ours), median(peer), 1.05, 0.95)
	}
}

// TestBenchProfile compares a table's profile with DuckDB's SUMMARIZE of the same file. AIDA_BENCH_ROWS sets the rows.
func TestBenchProfile(t *testing.T) {
	if os.Getenv("AIDA_BENCH") == "" {
		t.Skip("run make bench")
	}
	work, rows, rounds := t.TempDir(), benchSize("AIDA_BENCH_ROWS", 2_000_000, 10_000_000), number("AIDA_BENCH_ROUNDS", 5)
	make := fmt.Sprintf("COPY (SELECT i AS id, (hash(i) %% 400000)::BIGINT AS customer_id, (hash(i+1) %% 20)::BIGINT AS quantity, ((hash(i+2) %% 10000000)::BIGINT - 200000)::DECIMAL(18,2)/100 AS amount, "+
		"TIMESTAMP '2020-01-01' + to_seconds(i*37) AS created_at, DATE '2020-01-01' + (hash(i+3) %% 2000)::INTEGER AS ship_date, CASE WHEN hash(i+4) %% 3 = 0 THEN (hash(i+5) %% 1000000)::DOUBLE / 7 END AS rating, "+
		"['delivered','shipped','pending','cancelled'][1 + (hash(i+6) %% 4)::INTEGER] AS status, 'user' || (hash(i+7) %% 400000) || '@example.com' AS email, hash(i+8) %% 3 > 0 AS paid "+
		"FROM range(%d) r(i)) TO '%s' (HEADER)", rows, filepath.Join(work, "orders.csv"))
	duckRun(t, make)
	configure(t, work, "profile", "orders.csv", `columns: [{name: amount, type: "decimal(18,2)"}]`)
	aidaSync(t, work, "profile")
	summarize := fmt.Sprintf("SUMMARIZE SELECT * FROM '%s'", lakeFiles(t, work, "profile"))
	dir := filepath.Join(work, "profile")
	var ours, peer, ourMem []float64
	for range rounds {
		s, m := timed(t, exec.Command(os.Getenv("AIDA_BINARY"), "table", "profile", "orders", "--refresh", "--config", dir, "--data", filepath.Join(dir, "data")))
		ours, ourMem = append(ours, s), append(ourMem, m)
		s, _ = duckRun(t, summarize)
		peer = append(peer, s)
	}
	benchRow(t, "profile, wall s", median(ours), median(peer), 0.7, 0.5)
	t.Logf("%-36s ours %8.2f", "profile, peak memory, MiB", median(ourMem))
}

// benchSize is how large a comparison is: what the variable says, else the usual size, or the full one under AIDA_BENCH_FULL.
func benchSize(name string, usual, full int) int {
	if os.Getenv("AIDA_BENCH_FULL") != "" {
		usual = full
	}
	return number(name, usual)
}

// benchRow prints a line of the table: what, ours, peer, their ratio, what it must and what it should be.
func benchRow(t *testing.T, what string, a, b, must, aim float64) {
	t.Helper()
	verdict := "pass"
	if a/b > must {
		verdict = "FAIL"
	}
	t.Logf("%-36s ours %8.2f  peer %8.2f  ratio %.2f  must %.2f  aim %.2f  %s", what, a, b, a/b, must, aim, verdict)
}

func orders(t *testing.T, path string, size int) {
	t.Helper()
	if out, err := exec.Command("go", "run", filepath.Join(repository(t), "testdata", "orders"), "-bytes", strconv.Itoa(size), "-o", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// slicesOf cuts a CSV file into gzip files of whole records, each with the header.
func slicesOf(t *testing.T, path string, n int) {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(in, 1<<20)
	header, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f, err := os.Create(filepath.Join(filepath.Dir(path), fmt.Sprintf("slice-%d.csv.gz", i)))
		if err != nil {
			t.Fatal(err)
		}
		z := gzip.NewWriter(f)
		if _, err := io.WriteString(z, header); err != nil {
			t.Fatal(err)
		}
		quotes := 0
		for written := int64(0); written < info.Size()/int64(n) || quotes%2 == 1 || i == n-1; {
			line, err := r.ReadSlice('\n')
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			quotes += strings.Count(string(line), `"`)
			m, err := z.Write(line)
			if err != nil {
				t.Fatal(err)
			}
			written += int64(m)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func configure(t *testing.T, work, name, input, columns string) {
	t.Helper()
	dir := filepath.Join(work, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	table := "```yaml\ntables:\n  - id: b.orders\n    name: orders\n    description: Orders\n    primary_key: order_id\n    sync_strategy: full_refresh\n    folder: b\n    csv: {path: \"" + input + "\"}\n"
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

// lakeFiles gives a pattern of all files of a table, which is a folder of parts when it is large.
func lakeFiles(t *testing.T, work, name string) (pattern string) {
	t.Helper()
	pattern = filepath.Join(work, name, "data", "lake", "b", "orders", "*.parquet")
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no file was written: %v", name, err)
	}
	return pattern
}

func aidaSync(t *testing.T, work, name string) (seconds, peakMiB float64) {
	t.Helper()
	dir := filepath.Join(work, name)
	return timed(t, exec.Command(os.Getenv("AIDA_BINARY"), "sync", "--full", "--no-profile", "--config", dir, "--data", filepath.Join(dir, "data")))
}

func timed(t *testing.T, cmd *exec.Cmd) (seconds, peakMiB float64) {
	t.Helper()
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return time.Since(start).Seconds(), float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

func duckRun(t *testing.T, statements ...string) (seconds, peakMiB float64) {
	t.Helper()
	out, err := exec.Command(os.Getenv("AIDA_DUCKDB"), append([]string{"-json"}, statements...)...).CombinedOutput()
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

// sizeMiB is how much the files of a pattern take.
func sizeMiB(t *testing.T, pattern string) (sum float64) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sum += float64(info.Size()) / (1 << 20)
	}
	return sum
}
