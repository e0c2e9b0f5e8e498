package profile

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aida/store"
)

// randomTable is CSV text whose columns differ in how often values repeat, are missing, are sorted and are spread.
func randomTable(seed uint64, rows int) string {
	r := rand.New(rand.NewPCG(seed, 9))
	var b strings.Builder
	b.WriteString("id,shuffled,few,spread,price,kind,heavy,name,flag,day,moment\n")
	missing := func(text string) string {
		if r.IntN(7) == 0 {
			return ""
		}
		return text
	}
	for i := range rows {
		heavy := fmt.Sprintf("text %d", r.Int64())
		if r.IntN(10) < 4 {
			heavy = "the usual"
		}
		fmt.Fprintf(&b, "%d,%d,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", i*3-rows, (i*7919)%rows, missing(strconv.Itoa(r.IntN(9)-2)),
			missing(strconv.FormatFloat(r.NormFloat64()*100+5, 'f', -1, 64)), missing(strconv.FormatFloat(r.ExpFloat64()*20, 'f', 2, 64)), []string{"a", "bb", "žluťoučký", "d"}[min(r.IntN(8), 3)],
			heavy, missing(fmt.Sprintf("Name %d", r.IntN(400))), missing(strconv.FormatBool(r.IntN(3) == 0)),
			missing(time.Unix(int64(r.IntN(2_000_000_000))-500_000_000, 0).UTC().Format(time.DateOnly)), time.Unix(1_600_000_000+int64(i)*977, 0).UTC().Format(time.DateTime))
	}
	return b.String()
}

func TestProfilesAgreeWithANaiveModel(t *testing.T) {
	for _, rows := range []int{1, 40, 3000, 30_000} {
		text := randomTable(uint64(rows), rows)
		f := setUp(t, store.Table{Name: "t"})
		f.publish("t", nil, map[string]string{"": text})
		files, err := f.store.TableFiles(t.Context(), f.tables[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		p := f.profiler(2)
		schema, err := p.schema(files)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := p.readPart(t.Context(), files, schema, nil, rateOf(files, 15_000))
		if err != nil {
			t.Fatal(err)
		}
		out := p.summarize(f.tables[0], files, whole)
		if err := p.exact(t.Context(), f.tables[0], files, schema, whole, out); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range records[0] {
			var cells []string
			for _, row := range records[1:] {
				if row[i] != "" {
					cells = append(cells, row[i])
				}
			}
			c := column(t, out, name)
			if c.Nulls != int64(rows-len(cells)) {
				t.Errorf("%d rows, %s: %d nulls, want %d", rows, name, c.Nulls, rows-len(cells))
			}
			compareDistinct(t, c, cells)
			switch {
			case c.Numbers != nil:
				compareNumbers(t, c, cells)
			case c.Texts != nil:
				compareTexts(t, c, cells)
			case c.Dates != nil:
				compareDates(t, c, cells)
			case c.Booleans != nil:
				if n := slices.DeleteFunc(slices.Clone(cells), func(s string) bool { return s != "true" }); int(c.Booleans.True) != len(n) || int(c.Booleans.False) != len(cells)-len(n) {
					t.Errorf("%d rows, %s: %+v", rows, name, c.Booleans)
				}
			}
		}
	}
}

func compareDistinct(t *testing.T, c store.ColumnProfile, cells []string) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(cells))
	want := float64(len(slices.Compact(sorted)))
	allowed := 0.0
	if slices.Contains(c.Approximate, "unique_count") {
		allowed = 0.03
	}
	if off := math.Abs(float64(c.Unique) - want); off > allowed*want {
		t.Errorf("%s of %d values: %d distinct, want %.0f", c.Name, len(cells), c.Unique, want)
	}
}

func compareNumbers(t *testing.T, c store.ColumnProfile, cells []string) {
	t.Helper()
	var x []float64
	var sum float64
	zeros, negative := int64(0), int64(0)
	for _, s := range cells {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		x, sum = append(x, v), sum+v
		if v == 0 {
			zeros++
		}
		if v < 0 {
			negative++
		}
	}
	slices.Sort(x)
	mean := sum / float64(len(x))
	var m2 float64
	for _, v := range x {
		m2 += (v - mean) * (v - mean)
	}
	n := c.Numbers
	low, _ := n.Min.Float64()
	high, _ := n.Max.Float64()
	if low != x[0] || high != x[len(x)-1] || n.Zeros != zeros || n.Negative != negative || math.Abs(*n.Mean-mean) > 0.005+1e-3*math.Abs(mean) {
		t.Errorf("%s: min %v max %v mean %v zeros %d negative %d, want %v %v %v %d %d", c.Name, n.Min, n.Max, *n.Mean, n.Zeros, n.Negative, x[0], x[len(x)-1], mean, zeros, negative)
	}
	if len(x) > 1 {
		if want := math.Sqrt(m2 / float64(len(x)-1)); math.Abs(*n.StdDev-want) > 0.005+1e-3*want {
			t.Errorf("%s: standard deviation %v, want %v", c.Name, *n.StdDev, want)
		}
	}
	for share, got := range map[float64]*float64{0.05: n.P5, 0.25: n.P25, 0.5: n.Median, 0.75: n.P75, 0.95: n.P95} {
		margin := 0.0
		if slices.Contains(c.Approximate, "median") {
			margin = 0.015
		}
		low, high := quantile(x, max(share-margin, 0)), quantile(x, min(share+margin, 1))
		if slack := 0.006 + 1e-3*math.Abs(*got); *got < low-slack || *got > high+slack {
			t.Errorf("%s: %v at %v, want %v to %v", c.Name, *got, share, low, high)
		}
	}
	var total int64
	for _, n := range n.Histogram.Counts {
		total += n
	}
	if x[0] < x[len(x)-1] && (total != int64(len(x)) || len(n.Histogram.Bins) != 15) {
		t.Errorf("%s: histogram of %d values: %v", c.Name, len(x), n.Histogram)
	}
	if x[0] < x[len(x)-1] {
		width := (x[len(x)-1] - x[0]) / 15
		margin := 0.0
		if slices.Contains(c.Approximate, "histogram") {
			margin = 0.02 * float64(len(x))
		}
		want := make([]int64, 15)
		for _, v := range x {
			want[min(int((v-x[0])/width), 14)]++
		}
		for i := range want {
			if off := math.Abs(float64(want[i] - n.Histogram.Counts[i])); off > margin+1 { // a value on a bound may fall either way
				t.Errorf("%s: histogram %v, want %v", c.Name, n.Histogram.Counts, want)
				break
			}
		}
	}
}

func compareTexts(t *testing.T, c store.ColumnProfile, cells []string) {
	t.Helper()
	counts := map[string]int64{}
	low, high, sum := math.MaxInt, 0, 0
	for _, s := range cells {
		n := utf8.RuneCountInString(s)
		low, high, sum = min(low, n), max(high, n), sum+n
		counts[s]++
	}
	got := c.Texts
	if avg := float64(sum) / float64(len(cells)); got.MinLength != int64(low) || got.MaxLength != int64(high) || math.Abs(got.AvgLength-avg) > 0.006 {
		t.Errorf("%s: lengths %+v, want %d %d %v", c.Name, got, low, high, avg)
	}
	for _, v := range got.TopValues {
		off := counts[v.Value] - v.Count
		if off != 0 && !slices.Contains(c.Approximate, "top_values") || off < 0 {
			t.Errorf("%s: %q counted %d times, want %d", c.Name, v.Value, v.Count, counts[v.Value])
		}
	}
	for s, n := range counts {
		if share := float64(n) / float64(len(cells)); (len(counts) <= 10 || share > 0.1) && !slices.ContainsFunc(got.TopValues, func(v store.TopValue) bool { return v.Value == s }) {
			t.Errorf("%s: %q is %.0f %% of the values and not among the top: %v", c.Name, s, share*100, got.TopValues)
		}
	}
}

func compareDates(t *testing.T, c store.ColumnProfile, cells []string) {
	t.Helper()
	counts := map[string]int64{}
	for _, s := range cells {
		month, _ := strconv.Atoi(s[5:7])
		counts[fmt.Sprintf("%s-Q%d", s[:4], (month+2)/3)]++
	}
	if low, high := slices.Min(cells), slices.Max(cells); c.Dates.Earliest != low || c.Dates.Latest != high {
		t.Errorf("%s: %s to %s, want %s to %s", c.Name, c.Dates.Earliest, c.Dates.Latest, low, high)
	}
	if !slices.IsSorted(c.Dates.Histogram.Bins) || len(c.Dates.Histogram.Bins) != len(counts) {
		t.Errorf("%s: quarters %v", c.Name, c.Dates.Histogram.Bins)
	}
	for i, bin := range c.Dates.Histogram.Bins {
		if c.Dates.Histogram.Counts[i] != counts[bin] {
			t.Errorf("%s: %d in %s, want %d", c.Name, c.Dates.Histogram.Counts[i], bin, counts[bin])
		}
	}
}
