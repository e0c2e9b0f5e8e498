// Duckdbq answers SQL with DuckDB, for tests and benchmarks that need an independent judge of Parquet files. It lives in a
// module of its own because it needs cgo; the product never does.
//
//	duckdbq [-threads N] "SELECT count(*) FROM 'x.parquet'" ...
//
// Each statement's rows are printed as CSV without a header; NULL is printed as \N. With -json, the wall seconds and the
// peak memory of the process follow as one line of JSON.
package main

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
)

func main() {
	threads := flag.Int("threads", 2, "threads of DuckDB")
	usage := flag.Bool("json", false, "print seconds and peak memory at the end")
	flag.Parse()
	start := time.Now()
	if err := run(*threads, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "duckdbq:", err)
		os.Exit(1)
	}
	if *usage {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			fmt.Fprintln(os.Stderr, "duckdbq:", err)
			os.Exit(1)
		}
		_ = json.NewEncoder(os.Stdout).Encode(map[string]float64{"seconds": time.Since(start).Seconds(), "peak_mib": float64(u.Maxrss) / 1024})
	}
}

func run(threads int, statements []string) error {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(fmt.Sprintf("SET threads = %d", threads)); err != nil {
		return err
	}
	w := csv.NewWriter(os.Stdout)
	for _, s := range statements {
		if err := query(db, w, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	w.Flush()
	return w.Error()
}

func query(db *sql.DB, w *csv.Writer, statement string) error {
	rows, err := db.Query(statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values, pointers := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = `\N`
			if v != nil {
				cells[i] = fmt.Sprint(v)
			}
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	return rows.Err()
}
