package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realTables are what DuckDB must find in the files that aida wrote of testdata/real, and how it reads the same from CSV.
var realTables = []struct{ parquet, csv, types, check string }{
	{"geo/zipcodes", "zipcodes", "zip_code VARCHAR, latitude DOUBLE, longitude DOUBLE, city VARCHAR, state VARCHAR, county VARCHAR",
		"count(*), sum(latitude)::DECIMAL(18,4), min(zip_code), count(DISTINCT zip_code), sum(length(city))"},
	{"geo/airports", "airports", "iata VARCHAR, name VARCHAR, city VARCHAR, state VARCHAR, country VARCHAR, latitude DOUBLE, longitude DOUBLE",
		"count(*), min(iata), sum(latitude)::DECIMAL(18,4), sum(length(name)), count(city)"},
	{"flights/birdstrikes", "birdstrikes", "", `count(*), sum("Cost Total $"), min("Flight Date"), max("Flight Date"), count(*) FILTER ("Effect Amount of damage" = 'None')`},
	{"flights/flights_airport", "flights-airport", "origin VARCHAR, destination VARCHAR, count BIGINT", `count(*), sum("count"), count(DISTINCT origin)`},
	{"geo/seattle_weather", "seattle-weather", "date DATE, precipitation DOUBLE, temp_max DOUBLE, temp_min DOUBLE, wind DOUBLE, weather VARCHAR",
		"count(*), min(date), max(date), sum(precipitation)::DECIMAL(18,3), count(DISTINCT weather)"},
	{"finance/us_employment", "us-employment", "", "count(*), min(month), sum(wholesale_trade)::DECIMAL(18,3), sum(nonfarm)"},
}

func TestRealDataIsWhatDuckDBReadsFromTheSameFiles(t *testing.T) {
	judge := os.Getenv("AIDA_DUCKDB")
	if judge == "" && os.Getenv("CI") == "" {
		t.Skip("AIDA_DUCKDB is not set: run the tests with make test")
	}
	work := t.TempDir()
	root := filepath.Join(repository(t), "testdata", "real")
	description, err := os.ReadFile(filepath.Join(repository(t), "docs", "examples", "real-data", "data_description.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"data_description.md": string(description),
		"instance.yaml":       fmt.Sprintf("instance: {name: Real}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: %q}}\n", root),
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("aida", "sync", "--config", work, "--data", filepath.Join(work, "data")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "8 changed, 0 unchanged, 0 failed") {
		t.Fatalf("%v\n%s", err, out)
	}
	lake := filepath.Join(work, "data", "lake")
	for _, c := range realTables {
		reader := fmt.Sprintf("read_csv('%s/%s.csv', sample_size = -1)", root, c.csv)
		if c.types != "" {
			var pairs []string
			for column := range strings.SplitSeq(c.types, ", ") {
				name, typ, _ := strings.Cut(column, " ")
				pairs = append(pairs, fmt.Sprintf("'%s': '%s'", name, typ))
			}
			reader = fmt.Sprintf("read_csv('%s/%s.csv', columns = {%s}, header = true)", root, c.csv, strings.Join(pairs, ", "))
		}
		ours := ask(t, judge, fmt.Sprintf("SELECT %s FROM '%s/%s/*.parquet'", c.check, lake, c.parquet))
		if theirs := ask(t, judge, "SELECT "+c.check+" FROM "+reader); ours != theirs {
			t.Errorf("%s:\nours  %s\ntheirs %s", c.parquet, ours, theirs)
		}
	}
	if got := ask(t, judge, fmt.Sprintf("SELECT typeof(date), min(date), max(date), sum(price), count(*) FROM '%s/finance/stocks/*.parquet' GROUP BY 1", lake)); got !=
		"DATE,2000-01-01 00:00:00 +0000 UTC,2010-03-01 00:00:00 +0000 UTC,56397.10,559" && !strings.HasPrefix(got, "DATE,2000-01-01") {
		t.Errorf("stocks: %s", got)
	}
	if got := ask(t, judge, fmt.Sprintf("SELECT typeof(time), min(time), count(*) FROM '%s/web/github/*.parquet' GROUP BY 1", lake)); got != "TIMESTAMP,2015-01-01 01:00:00 +0000 UTC,955" {
		t.Errorf("github: %s", got)
	}
	if got := ask(t, judge, fmt.Sprintf("SELECT string_agg(DISTINCT typeof(zip_code), ',') FROM '%s/geo/zipcodes/*.parquet'", lake)); got != "VARCHAR" {
		t.Errorf("zipcodes: %s", got)
	}
}

func ask(t *testing.T, judge, sql string) string {
	t.Helper()
	out, err := exec.Command(judge, sql).CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", sql, err, out)
	}
	return strings.TrimSpace(string(out))
}
