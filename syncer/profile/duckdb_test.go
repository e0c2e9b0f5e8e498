package profile

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aida/store"
)

func TestProfilesAgreeWithDuckDB(t *testing.T) {
	judge := os.Getenv("AIDA_DUCKDB")
	if judge == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("AIDA_DUCKDB is not set")
		}
		t.Skip("AIDA_DUCKDB is not set: run the tests with make test")
	}
	f := setUp(t, store.Table{Name: "t", Definition: store.Definition{PrimaryKey: []string{"shuffled"}}})
	f.publish("t", map[string]string{"price": "decimal(20,2)"}, map[string]string{"": randomTable(5, 20_000)})
	p := f.update("t")
	files, err := filepath.Glob(filepath.Join(f.data, "lake", "shop", "t", "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	var queries []string
	for _, c := range p.Columns {
		mean, deviation, median := "NULL", "NULL", "NULL"
		low, high := fmt.Sprintf("min(%s)::VARCHAR", c.Name), fmt.Sprintf("max(%s)::VARCHAR", c.Name)
		switch {
		case c.Numbers != nil:
			mean, deviation, median = fmt.Sprintf("avg(%s)", c.Name), fmt.Sprintf("stddev_samp(%s)", c.Name), fmt.Sprintf("quantile_cont(%s, 0.5)::DOUBLE", c.Name)
		case c.Texts != nil:
			low, high, mean = fmt.Sprintf("min(length(%s))", c.Name), fmt.Sprintf("max(length(%s))", c.Name), fmt.Sprintf("avg(length(%s))", c.Name)
		}
		queries = append(queries, fmt.Sprintf("SELECT typeof(any_value(%s)), count(*) - count(%[1]s), count(DISTINCT %[1]s), %s, %s, %s, %s, %s FROM '%s'", c.Name, low, high, mean, deviation, median, files[0]))
	}
	out, err := exec.Command(judge, queries...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) != len(p.Columns) {
		t.Fatal(len(rows), err)
	}
	for i, c := range p.Columns {
		row := rows[i]
		low, high := "", ""
		figures := map[int]*float64{}
		switch {
		case c.Numbers != nil:
			low, high = c.Numbers.Min.String(), c.Numbers.Max.String()
			figures[5], figures[6], figures[7] = c.Numbers.Mean, c.Numbers.StdDev, c.Numbers.Median
		case c.Texts != nil:
			low, high, figures[5] = fmt.Sprint(c.Texts.MinLength), fmt.Sprint(c.Texts.MaxLength), &c.Texts.AvgLength
		case c.Dates != nil:
			low, high = c.Dates.Earliest, c.Dates.Latest
		default:
			low, high = "false", "true"
		}
		if row[0] != c.Type || row[1] != fmt.Sprint(c.Nulls) || row[3] != low || row[4] != high {
			t.Errorf("%s: type %s, %d nulls, %s to %s; DuckDB: %q", c.Name, c.Type, c.Nulls, low, high, row)
		}
		n, _ := strconv.ParseFloat(row[2], 64)
		slack := 0.0
		if len(c.Approximate) > 0 {
			slack = 0.03
		}
		if math.Abs(float64(c.Unique)-n) > slack*n {
			t.Errorf("%s: %d distinct values, DuckDB counts %s", c.Name, c.Unique, row[2])
		}
		for at, got := range figures {
			want, err := strconv.ParseFloat(row[at], 64)
			if err != nil || math.Abs(*got-want) > 0.006+1e-3*math.Abs(want) {
				t.Errorf("%s: figure %d is %v, DuckDB's %s", c.Name, at, *got, row[at])
			}
		}
	}
	if *p.DuplicateRows != 0 || column(t, p, "shuffled").Unique != 20_000 {
		t.Errorf("%d duplicates, %d distinct keys", *p.DuplicateRows, column(t, p, "shuffled").Unique)
	}
}

func TestRowsThatShareAKeyAreCounted(t *testing.T) {
	f := setUp(t, store.Table{Name: "t", Definition: store.Definition{PrimaryKey: []string{"a", "b"}}})
	f.publish("t", nil, map[string]string{"": "a,b,c\n1,x,1\n1,y,2\n2,x,3\n1,x,4\n,x,5\n,x,6\n"})
	if p := f.update("t"); *p.DuplicateRows != 2 {
		t.Errorf("%d duplicates, want 2", *p.DuplicateRows)
	}
}
