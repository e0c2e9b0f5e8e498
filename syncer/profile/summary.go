package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"aida/store"
	"aida/syncer/columnar"
)

// summarize turns what was found into what readers get.
func (p *Profiler) summarize(t store.Table, files []store.File, whole *part) *store.Profile {
	out := &store.Profile{RowCount: whole.Rows, ColumnCount: len(whole.Columns), VariableTypes: map[string]int{}, PartitionCount: len(files),
		Alerts: []store.ProfileAlert{}, RelatedTables: []store.RelatedTable{}, UsedByMetrics: []store.MetricUse{}, Columns: []store.ColumnProfile{},
		SampleRows: rowsOf(whole), LastSync: t.SyncedAt.Truncate(time.Second)}
	for _, f := range files {
		out.FileSizeMB += float64(f.Size)
	}
	out.FileSizeMB = round(out.FileSizeMB / 1e6)
	sensitive := hidden(t)
	var completeness float64
	for i := range whole.Columns {
		c := p.column(&whole.Columns[i])
		c.IsPrimaryKey = slices.Contains(t.Definition.PrimaryKey, c.Name)
		out.Columns = append(out.Columns, c)
		out.VariableTypes[c.Category]++
		out.MissingCells += c.Nulls
		completeness += c.Completeness
		if out.DateRange == nil && c.Dates != nil && !slices.Contains(sensitive, c.Name) {
			out.DateRange = &store.DateRange{Earliest: c.Dates.Earliest, Latest: c.Dates.Latest, SpanDays: c.Dates.SpanDays}
		}
	}
	if len(out.Columns) > 0 {
		out.Completeness = round(completeness / float64(len(out.Columns)))
		out.MissingPct = percent(out.MissingCells, whole.Rows*int64(len(out.Columns)))
	}
	for i := range out.Columns {
		if slices.Contains(sensitive, out.Columns[i].Name) {
			out.HideColumn(i)
		}
	}
	return out
}

func rowsOf(p *part) []map[string]any {
	out := []map[string]any{}
	for i := range p.RowTexts {
		for row, text := range p.RowTexts[i] {
			if row == len(out) {
				out = append(out, map[string]any{})
			}
			out[row][p.Columns[i].Name] = nil
			if !text.Null {
				out[row][p.Columns[i].Name] = text.Text
			}
		}
	}
	return out
}

func (p *Profiler) column(c *partColumn) store.ColumnProfile {
	s := &c.Stats
	values := s.Rows - s.Nulls
	unique, exact := c.Distinct.count()
	unique = min(unique, values)
	out := store.ColumnProfile{Name: c.Name, Type: duckType(c.Type), Category: category(c.Type), Completeness: percent(values, s.Rows), Nulls: s.Nulls,
		SampleValues: append([]string{}, s.Distinct...), Alerts: []string{}}
	if s.Rows == 0 {
		out.Completeness = 0
	}
	switch {
	case s.Rising && values > 0:
		unique = values
	case !exact:
		out.Approximate = append(out.Approximate, "unique_count")
	}
	out.Unique, out.UniquePct = unique, percent(unique, values)
	if values == 0 {
		return out
	}
	switch out.Category {
	case "NUMERIC":
		out.Numbers = p.numbers(c)
		if out.Numbers != nil && s.Sample.Rate < 1 {
			out.Approximate = append(out.Approximate, "median", "p5", "p25", "p75", "p95", "histogram")
		}
	case "BOOLEAN":
		out.Booleans = &store.BooleanStats{True: s.True, False: values - s.True, TruePct: percent(s.True, values)}
	case "DATE", "TIMESTAMP":
		out.Dates = dates(c)
	default:
		out.Texts = p.texts(s, unique, values)
		if s.Top != nil && s.Top.Lost+s.Untold > 0 && len(out.Texts.TopValues) > 0 {
			out.Approximate = append(out.Approximate, "top_values")
		}
	}
	return out
}

func category(t columnar.Type) string {
	switch t.Kind {
	case columnar.Bool:
		return "BOOLEAN"
	case columnar.Date:
		return "DATE"
	case columnar.Timestamp:
		return "TIMESTAMP"
	case columnar.Int64, columnar.Float64, columnar.Decimal:
		return "NUMERIC"
	}
	return "STRING"
}

// duckType is what DuckDB calls a type.
func duckType(t columnar.Type) string {
	switch t.Kind {
	case columnar.Bool:
		return "BOOLEAN"
	case columnar.Int64:
		return "BIGINT"
	case columnar.Float64:
		return "DOUBLE"
	case columnar.Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case columnar.Date:
		return "DATE"
	case columnar.Time:
		return "TIME"
	case columnar.Timestamp:
		if t.Zoned {
			return "TIMESTAMP WITH TIME ZONE"
		}
		return "TIMESTAMP"
	}
	return "VARCHAR"
}

func (p *Profiler) numbers(c *partColumn) *store.NumberStats {
	s := &c.Stats
	values := s.Rows - s.Nulls
	out := &store.NumberStats{Zeros: s.Zeros, ZerosPct: percent(s.Zeros, values), Negative: s.Negative, NegativePct: percent(s.Negative, values),
		NonFinite: s.NonFinite, Histogram: &store.Histogram{Bins: []string{}, Counts: []int64{}}}
	if s.Count == 0 {
		return out
	}
	scale, low, high := 1.0, s.MinFloat, s.MaxFloat
	switch {
	case c.Type.Kind == columnar.Float64:
		out.Min, out.Max = json.Number(jsonFloat(low)), json.Number(jsonFloat(high))
	case s.MinWide != nil:
		scale = math.Pow10(-c.Type.Scale)
		low, high = columnar.WideFloat(s.MinWide), columnar.WideFloat(s.MaxWide)
		out.Min, out.Max = json.Number(c.Type.Decimal(s.MinWide)), json.Number(c.Type.Decimal(s.MaxWide))
	case c.Type.Kind == columnar.Decimal:
		scale = math.Pow10(-c.Type.Scale)
		low, high = float64(s.MinInt), float64(s.MaxInt)
		out.Min, out.Max = json.Number(c.Type.SmallDecimal(s.MinInt)), json.Number(c.Type.SmallDecimal(s.MaxInt))
	default:
		low, high = float64(s.MinInt), float64(s.MaxInt)
		out.Min, out.Max = json.Number(strconv.FormatInt(s.MinInt, 10)), json.Number(strconv.FormatInt(s.MaxInt, 10))
	}
	out.Mean = figure(s.Mean * scale)
	if s.Count > 1 {
		out.StdDev = figure(math.Sqrt(s.M2/float64(s.Count-1)) * scale)
	}
	sorted := slices.Clone(s.Sample.Values)
	slices.Sort(sorted)
	if len(sorted) == 0 {
		return out
	}
	for _, q := range []struct {
		into  **float64
		share float64
	}{{&out.P5, 0.05}, {&out.P25, 0.25}, {&out.Median, 0.5}, {&out.P75, 0.75}, {&out.P95, 0.95}} {
		*q.into = figure(quantile(sorted, q.share) * scale)
	}
	if low < high {
		out.Histogram = histogram(sorted, low, high, scale, p.o.Limits.Bins, s.Count)
	}
	return out
}

// histogram counts values in bins of one width. Counts of a sample are those of all values that it stands for.
func histogram(sorted []float64, low, high, scale float64, bins int, count int64) *store.Histogram {
	h := &store.Histogram{Bins: make([]string, bins), Counts: make([]int64, bins)}
	width := high/float64(bins) - low/float64(bins) // the difference could be beyond what a double holds
	for i := range bins {
		h.Bins[i] = short((low+float64(i)*width)*scale, width*scale) + "-" + short((low+float64(i+1)*width)*scale, width*scale)
	}
	for _, x := range sorted {
		i := min(max(int(x/width-low/width), 0), bins-1)
		h.Counts[i]++
	}
	if int64(len(sorted)) == count {
		return h
	}
	factor, sum, most := float64(count)/float64(len(sorted)), int64(0), 0
	for i := range h.Counts {
		h.Counts[i] = int64(math.Round(float64(h.Counts[i]) * factor))
		sum += h.Counts[i]
		if h.Counts[i] > h.Counts[most] {
			most = i
		}
	}
	h.Counts[most] += count - sum // what rounding lost, so that the counts add up
	return h
}

// short writes a bound with K, M or B behind, and with as many digits as tell bins of a width apart.
func short(x, width float64) string {
	unit, suffix := 1.0, ""
	switch a := max(math.Abs(x), width); {
	case a >= 1e9:
		unit, suffix = 1e9, "B"
	case a >= 1e6:
		unit, suffix = 1e6, "M"
	case a >= 1e3:
		unit, suffix = 1e3, "K"
	}
	digits := max(0, 1-int(math.Floor(math.Log10(width/unit))))
	if digits > 12 || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'g', 6, 64)
	}
	text := strconv.FormatFloat(x/unit, 'f', digits, 64)
	if digits > 0 {
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		if text[len(text)-1] == '.' {
			text = text[:len(text)-1]
		}
	}
	if text == "-0" {
		text = "0"
	}
	return text + suffix
}

func dates(c *partColumn) *store.DateStats {
	s := &c.Stats
	out := &store.DateStats{Histogram: &store.Histogram{Bins: []string{}, Counts: []int64{}}}
	if c.Type.Kind == columnar.Date {
		out.Earliest, out.Latest, out.SpanDays = columnar.DateText(s.MinInt), columnar.DateText(s.MaxInt), s.MaxInt-s.MinInt
	} else {
		out.Earliest, out.Latest = columnar.TimestampText(s.MinInt, c.Type.Zoned), columnar.TimestampText(s.MaxInt, c.Type.Zoned)
		out.SpanDays = (s.MaxInt - s.MinInt) / 86_400_000_000
	}
	for _, q := range slices.Sorted(maps.Keys(s.Quarters)) {
		out.Histogram.Bins, out.Histogram.Counts = append(out.Histogram.Bins, quarterName(q)), append(out.Histogram.Counts, s.Quarters[q])
	}
	return out
}

// standsOut is the share of values, in percent, from which on a text is listed among many distinct ones.
const standsOut = 1

func (p *Profiler) texts(s *stats, unique, values int64) *store.TextStats {
	out := &store.TextStats{MinLength: s.MinLength, MaxLength: s.MaxLength, AvgLength: *figure(float64(s.Length) / float64(values)), TopValues: []store.TopValue{}}
	if s.Top == nil {
		return out
	}
	s.Top.sort()
	for _, x := range s.Top.Items {
		share := percent(x.Count, values)
		if len(out.TopValues) == p.o.Limits.TopValues || unique > int64(p.o.Limits.Categorical) && share < standsOut {
			break
		}
		out.TopValues = append(out.TopValues, store.TopValue{Value: x.Text, Count: x.Count, Pct: share})
	}
	return out
}

func percent(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return round(float64(n) / float64(of) * 100)
}

func round(x float64) float64 { return math.Round(x*100) / 100 }

// figure rounds to two digits behind the point, or to four digits where the number is small; not a number is nil.
func figure(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	if a := math.Abs(x); a < 1e15 {
		if a >= 10 || a == 0 {
			x = round(x)
		} else {
			f, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
			x = f
		}
	}
	return &x
}

// jsonFloat writes a number as JSON allows.
func jsonFloat(x float64) string {
	text, _ := json.Marshal(x)
	return string(text)
}
