package columnar

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sink is a file in memory.
type sink struct{ bytes.Buffer }

func (s *sink) Reset() error { s.Buffer.Reset(); return nil }

func TestAFileIsSortedWithRunsOnDiskAndTheLastRowOfAKeyCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []string{"int64", "string", "date", "float64", "bool", "decimal(9,2)", "decimal(30,4)", "timestamp", "string"}
	var columns []Column
	var text strings.Builder
	for i, k := range kinds {
		typ, err := ParseType(k)
		if err != nil {
			t.Fatal(err)
		}
		columns = append(columns, Column{Name: fmt.Sprint("c", i), Type: typ})
		fmt.Fprintf(&text, "%sc%d", []string{"", ","}[min(i, 1)], i)
	}
	type keyed struct{ a, b, row string }
	var all []keyed
	for i := range 20_000 {
		a, b := fmt.Sprint(r.IntN(4000)-2000), []string{"", "x", "xy", "y\x00"[:1]}[r.IntN(4)]
		if r.IntN(50) == 0 {
			a = ""
		}
		row := strings.Join([]string{a, b, "2026-01-02", "1.5", "true", "-1.25", "12345678901234567890.1234", "2026-01-02 03:04:05", fmt.Sprint("row ", i)}, ",")
		all = append(all, keyed{a, b, row})
		text.WriteString("\n" + row)
	}
	var file, out sink
	csv := CSV{Table: "t", Declared: columns, Dialect: Dialect{Delimiter: ',', Quote: '"', Header: true},
		Inputs: []Input{{Name: "t", Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text.String())), nil
		}}}}
	if _, err := csv.WriteParquet(t.Context(), &file, Options{BlockSize: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	in, err := OpenReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	last := map[[2]string]keyed{}
	for _, k := range all {
		last[[2]string{k.a, k.b}] = k
	}
	var want []keyed
	for _, k := range last {
		want = append(want, k)
	}
	number := func(s string) int {
		n := -1 << 30 // null comes first
		fmt.Sscan(s, &n)
		return n
	}
	order := func(x, y keyed) int { return cmp.Or(cmp.Compare(number(x.a), number(y.a)), cmp.Compare(x.b, y.b)) }
	slices.SortFunc(want, order)
	for _, memory := range []int{0, 100_000, 3_000} { // in memory, some runs, more runs than are merged at a time
		s := Sorting{File: in, Columns: columns, By: []string{"c0", "c1"}, Last: true, Scratch: t.TempDir(), Workers: 2, Memory: memory}
		rows, err := s.WriteParquet(t.Context(), &out)
		if err != nil || int(rows) != len(want) {
			t.Fatalf("%d rows, want %d, %v", rows, len(want), err)
		}
		sorted, err := OpenReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for g := 0; g < sorted.RowGroups(); {
			rows, next, err := ReadRows(t.Context(), sorted, g, columns, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows.Len() {
				var cells []string
				for c := range columns {
					v, _ := rows.Text(i, c)
					cells = append(cells, v)
				}
				got = append(got, strings.Join(cells, ","))
			}
			g = next
		}
		for i, k := range want {
			if got[i] != k.row {
				t.Fatalf("memory %d, row %d is %q, want %q", memory, i, got[i], k.row)
			}
		}
	}
	s := Sorting{File: in, Columns: columns, By: []string{"c1"}, Scratch: t.TempDir(), Workers: 2, Memory: 50_000}
	if rows, err := s.WriteParquet(t.Context(), &out); err != nil || rows != 20_000 {
		t.Errorf("without Last %d rows are left, %v", rows, err)
	}
}
