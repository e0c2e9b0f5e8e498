package columnar

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fileOf converts CSV with declared types, in small row groups.
func fileOf(t testing.TB, columns []Column, lines []string) *Reader {
	t.Helper()
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	_, data := write(t, commas(CSV{Declared: columns, Inputs: []Input{text("t.csv", strings.Join(names, ",")+"\n"+strings.Join(lines, "\n"))}}), Options{BlockSize: 512, Workers: 2})
	return open(t, data)
}

func open(t testing.TB, data []byte) *Reader {
	t.Helper()
	f, err := OpenReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func columnsOf(t testing.TB, specs ...string) (out []Column) {
	for _, s := range specs {
		name, kind, _ := strings.Cut(s, " ")
		out = append(out, Column{Name: name, Type: typ(t, kind)})
	}
	return out
}

// upsert is what a merge of a single file does: rows of the index replace those with the same key, marked ones remove
// them, the others come behind.
func upsert(t testing.TB, base *Reader, delta *Reader, key []string, deleted func(*Rows) []bool, workers int) ([]byte, *Written) {
	t.Helper()
	ctx := context.Background()
	rows, next, err := ReadRows(ctx, delta, 0, base.Schema().Columns, workers, nil)
	if err != nil || next != delta.RowGroups() {
		t.Fatal(next, err)
	}
	index, err := NewIndex(rows, key)
	if err != nil {
		t.Fatal(err)
	}
	gone := make([]bool, rows.Len())
	if deleted != nil {
		gone = deleted(rows)
	}
	groups, err := index.Match(ctx, base, 0, workers)
	if err != nil {
		t.Fatal(err)
	}
	l := Layout{Columns: base.Schema().Columns, Patch: rows}
	met := make([]bool, rows.Len())
	for g, edits := range groups {
		for i, e := range edits {
			if gone[e.With] || met[e.With] {
				edits[i].With = -1
			}
			met[e.With] = true
		}
		l.Groups = append(l.Groups, []Piece{{File: base, Group: g, Edits: edits}})
	}
	var fresh []int32
	for row := range rows.Len() {
		if !met[row] && !gone[row] && !index.Replaced(row) {
			fresh = append(fresh, int32(row))
		}
	}
	if len(fresh) > 0 {
		l.Groups = append(l.Groups, []Piece{{Rows: rows, Pick: fresh}})
	}
	var out bytes.Buffer
	w, err := l.WriteParquet(ctx, &out, workers)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w
}

func TestRandomMergesEndAsAMapOfRowsWould(t *testing.T) {
	shapes := map[string]struct {
		columns []Column
		key     int // the first columns
		cell    func(r *rand.Rand, column int) string
	}{
		"a whole number as key": {columnsOf(t, "id int64", "v string", "n decimal(12,2)"), 1, func(r *rand.Rand, c int) string {
			return []string{fmt.Sprint(r.IntN(300) - 150), oneOf(r, "", "a", "bb", `"quoted, ""text"""`, `""`), oneOf(r, "", "1.50", "-99999.99")}[c]
		}},
		"text, date and null as key": {columnsOf(t, "a string", "b date", "v int64"), 2, func(r *rand.Rand, c int) string {
			return []string{oneOf(r, "", "x", "y", "zz", `""`), oneOf(r, "", "2026-01-02", "1900-12-31", "9999-12-31"), fmt.Sprint(r.IntN(9))}[c]
		}},
		"float, bool and wide decimal as key": {columnsOf(t, "f float64", "b bool", "d decimal(38,3)", "v string"), 3, func(r *rand.Rand, c int) string {
			return []string{oneOf(r, "", "0", "-0", "1.5", "NaN"), oneOf(r, "", "true", "false"), oneOf(r, "1.000", "-1", "99999999999999999999999999999999999.999"), oneOf(r, "p", "q", "")}[c]
		}},
		"timestamps and times": {columnsOf(t, "at timestamp_tz", "c time", "v timestamp"), 2, func(r *rand.Rand, c int) string {
			return []string{fmt.Sprintf("2026-01-02 03:04:%02d.000001+01:00", r.IntN(60)), oneOf(r, "23:59:59.5", "00:00:00"), oneOf(r, "", "0001-01-01 00:00:00")}[c]
		}},
	}
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				r := rand.New(rand.NewPCG(seed, 1))
				row := func() string {
					var cells []string
					for c := range s.columns {
						cells = append(cells, s.cell(r, c))
					}
					return strings.Join(cells, ",")
				}
				keyOf := func(shown string) string {
					cells := strings.SplitN(shown, "|", s.key+1)[:s.key]
					for i := range cells {
						if cells[i] == "-0" {
							cells[i] = "0"
						}
					}
					return strings.Join(cells, "|")
				}
				var lines []string
				for range r.IntN(400) {
					lines = append(lines, row())
				}
				var key []string
				for _, c := range s.columns[:s.key] {
					key = append(key, c.Name)
				}
				model := map[string]string{}
				base := fileOf(t, s.columns, nil)
				for round := range 4 {
					delta := fileOf(t, s.columns, lines)
					var gone []bool
					shown := linesOf(t, delta)
					for range shown {
						gone = append(gone, round > 0 && r.IntN(5) == 0)
					}
					for i, line := range shown {
						if gone[i] {
							delete(model, keyOf(line))
						} else {
							model[keyOf(line)] = line
						}
					}
					data, _ := upsert(t, base, delta, key, func(*Rows) []bool { return gone }, 1+round%2)
					again, _ := upsert(t, base, delta, key, func(*Rows) []bool { return gone }, 2)
					if !bytes.Equal(data, again) {
						t.Fatalf("seed %d: the same merge gave other bytes", seed)
					}
					base = open(t, data)
					got, want := shownSorted(t, base), slices.Sorted(valuesOf(model))
					if !slices.Equal(got, want) {
						t.Fatalf("seed %d round %d:\n got %q\nwant %q", seed, round, got, want)
					}
					lines = nil
					for range r.IntN(60) {
						lines = append(lines, row())
					}
				}
			}
		})
	}
}

func oneOf(r *rand.Rand, options ...string) string { return options[r.IntN(len(options))] }

func valuesOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// linesOf gives the rows of a file as text, by way of Rows.
func linesOf(t testing.TB, f *Reader) (out []string) {
	t.Helper()
	for g := 0; g < f.RowGroups(); {
		rows, next, err := ReadRows(context.Background(), f, g, f.Schema().Columns, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for r := range rows.Len() {
			var cells []string
			for c := range rows.Columns() {
				v, ok := rows.Text(r, c)
				if !ok {
					v = "NULL"
				}
				cells = append(cells, v)
			}
			out = append(out, strings.Join(cells, "|"))
		}
		g = next
	}
	return out
}

func shownSorted(t testing.TB, f *Reader) []string {
	out := linesOf(t, f)
	slices.Sort(out)
	return out
}

func TestAMergeCopiesWhatItDoesNotChange(t *testing.T) {
	columns := columnsOf(t, "id int64", "v string", "n int64")
	var lines []string
	for i := range 2000 {
		lines = append(lines, fmt.Sprintf("%d,text %d,%d", i, i%7, i*3))
	}
	base := fileOf(t, columns, lines)
	if base.RowGroups() < 10 {
		t.Fatalf("only %d row groups", base.RowGroups())
	}
	_, w := upsert(t, base, fileOf(t, columns, []string{lines[5], lines[1999]}), []string{"id"}, nil, 2)
	if w.Changed || w.Copied != base.RowGroups() {
		t.Errorf("rows that came again as they were changed %d of %d row groups", base.RowGroups()-w.Copied, base.RowGroups())
	}
	data, w := upsert(t, base, fileOf(t, columns, []string{"5,other,15"}), []string{"id"}, nil, 2)
	if w.Copied != base.RowGroups()-1 || !w.Changed {
		t.Errorf("one changed row left %d of %d row groups as they were", w.Copied, base.RowGroups())
	}
	f := open(t, data)
	if a, b := chunkOf(t, base, 0, 2), chunkOf(t, f, 0, 2); !bytes.Equal(a, b) {
		t.Error("a column that no edit changes has other bytes")
	}
	if a, b := chunkOf(t, base, 0, 1), chunkOf(t, f, 0, 1); bytes.Equal(a, b) {
		t.Error("the changed column has the same bytes")
	}
}

func chunkOf(t testing.TB, f *Reader, group, column int) []byte {
	t.Helper()
	m := f.meta().RowGroups[group].Columns[column].MetaData
	start := m.DataPageOffset
	if m.DictionaryPageOffset != nil {
		start = min(start, *m.DictionaryPageOffset)
	}
	out := make([]byte, m.TotalCompressedSize)
	if _, err := f.at.ReadAt(out, start); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRangesOfKeysHoldEveryKey(t *testing.T) {
	for _, kind := range []string{"int64", "string", "date", "decimal(9,2)", "decimal(18,2)", "decimal(38,2)", "timestamp", "bool", "float64", "time"} {
		samples := map[string][]string{"int64": {"-5", "0", "9223372036854775807", "-9223372036854775808"}, "date": {"0001-01-01", "9999-12-31", "1969-12-31"},
			"string": {"a", strings.Repeat("é", 100), strings.Repeat("é", 100) + "z", "~"}, "timestamp": {"1900-01-01 00:00:00", "2200-01-01 00:00:00"},
			"bool": {"true", "false"}, "float64": {"-1", "NaN", "3"}, "time": {"00:00:00", "23:00:00"}}[kind]
		if samples == nil {
			samples = []string{"-3.25", "0", "12345.67"}
		}
		columns := columnsOf(t, "k "+kind)
		all := fileOf(t, columns, samples)
		low, high := all.KeyRange(columns[0])
		for _, s := range samples {
			rows, _, err := ReadRows(context.Background(), fileOf(t, columns, []string{s}), 0, columns, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewIndex(rows, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			if !x.Meets(low, high) {
				t.Errorf("%s: %s is not within the range of its own file", kind, s)
			}
			found, err := x.Match(context.Background(), all, 0, 1)
			if err != nil || len(slices.Concat(found...)) != 1 {
				t.Errorf("%s: %s is found %d times, %v", kind, s, len(slices.Concat(found...)), err)
			}
		}
	}
	columns := columnsOf(t, "k int64")
	few, _, _ := ReadRows(context.Background(), fileOf(t, columns, []string{"500"}), 0, columns, 1, nil)
	x, err := NewIndex(few, []string{"k"})
	if err != nil {
		t.Fatal(err)
	}
	if low, high := fileOf(t, columns, []string{"1", "499"}).KeyRange(columns[0]); x.Meets(low, high) {
		t.Error("a file whose keys end before the index begins is not left out")
	}
}

func TestPartitionNames(t *testing.T) {
	columns := columnsOf(t, "d timestamp", "s string", "z timestamp_tz")
	rows, _, err := ReadRows(context.Background(), fileOf(t, columns, []string{
		"2026-03-09 23:59:59,Česko,2026-01-01 00:30:00+01:00", ",,", `1969-12-31 23:59:59,"",2026-01-01 00:30:00Z`, "2026-03-01 00:00:00,_a.b.," + "2025-12-31 23:00:00Z",
	}), 0, columns, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ column, by, want string }{
		{"d", "month", "2026_03 _null 1969_12 2026_03"}, {"d", "day", "2026_03_09 _null 1969_12_31 2026_03_01"}, {"d", "year", "2026 _null 1969 2026"},
		{"z", "year", "2025 _null 2026 2025"}, {"s", "value", "%C4%8Cesko _null _empty %5Fa.b%2E"},
	} {
		of, names, err := rows.Partitions(c.column, c.by)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range of {
			got = append(got, names[n])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s by %s: got %s, want %s", c.column, c.by, got, c.want)
		}
	}
	if _, _, err := rows.Partitions("s", "month"); err == nil || !strings.Contains(err.Error(), "is not a date") {
		t.Errorf("text that is no date gave %v", err)
	}
}

func TestColumnsTakeWiderTypes(t *testing.T) {
	was := columnsOf(t, "a int64", "b int64", "c date", "d decimal(5,2)", "e bool")
	f := fileOf(t, was, []string{"1,2,2026-01-02,1.50,true", ",-7,,,"})
	now := columnsOf(t, "a string", "b float64", "c timestamp", "d decimal(20,4)", "e string", "new int64")
	var out bytes.Buffer
	l := Layout{Columns: now, Groups: [][]Piece{{{File: f, Group: 0}}}}
	if _, err := l.WriteParquet(context.Background(), &out, 1); err != nil {
		t.Fatal(err)
	}
	want := []string{"1|2|2026-01-02 00:00:00|1.5000|true|NULL", "NULL|-7|NULL|NULL|NULL|NULL"}
	if got := linesOf(t, open(t, out.Bytes())); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	l.Columns = columnsOf(t, "a date")
	if _, err := l.WriteParquet(context.Background(), &out, 1); err == nil || !strings.Contains(err.Error(), `"1" is int64 and does not fit date`) {
		t.Errorf("a number as date gave %v", err)
	}
	for _, c := range [][3]string{{"int64", "float64", "float64"}, {"int64", "decimal(5,2)", "decimal(21,2)"}, {"decimal(5,2)", "decimal(9,4)", "decimal(9,4)"},
		{"date", "timestamp", "timestamp"}, {"timestamp", "timestamp_tz", "string"}, {"bool", "int64", "string"}, {"json", "string", "string"}, {"decimal(38,0)", "decimal(38,38)", "string"}} {
		if got := Common(typ(t, c[0]), typ(t, c[1])); got.String() != c[2] || Common(typ(t, c[1]), typ(t, c[0])) != got {
			t.Errorf("%s and %s have %s in common, want %s", c[0], c[1], got, c[2])
		}
	}
}
