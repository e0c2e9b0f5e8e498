package profile

import (
	"fmt"
	"math"

	"aida/store"
)

// alerts says what is odd about columns. It comes last, when all that is exact is known.
func (p *Profiler) alerts(out *store.Profile) {
	l := p.o.Limits
	for i := range out.Columns {
		c := &out.Columns[i]
		if out.RowCount == 0 {
			continue
		}
		add := func(kind, format string, args ...any) {
			c.Alerts = append(c.Alerts, kind)
			out.Alerts = append(out.Alerts, store.ProfileAlert{Column: c.Name, Type: kind, Message: fmt.Sprintf(format, args...)})
		}
		values := out.RowCount - c.Nulls
		about := ""
		for _, a := range c.Approximate {
			if a == "unique_count" {
				about = "about "
			}
		}
		missing := 100 - c.Completeness
		switch {
		case missing > l.HighMissing:
			add("high_missing", "%.1f %% of the values are missing", missing)
		case missing > l.Missing:
			add("missing", "%.1f %% of the values are missing", missing)
		}
		switch {
		case c.Unique == 1 && c.Nulls == 0 && values > 1:
			add("constant", "every row has the same value")
		case c.Nulls == 0 && c.Unique == values && values > 1:
			add("unique", "no value occurs twice")
		case c.Category == "STRING" && c.Unique > l.HighCardinality:
			add("high_cardinality", "%s%d distinct values", about, c.Unique)
		}
		if c.Sensitive {
			continue
		}
		if t := c.Texts; t != nil && c.Unique > 1 && c.Unique <= int64(l.Categorical) && len(t.TopValues) > 0 && t.TopValues[0].Pct > l.Imbalance {
			add("imbalance", "%.1f %% of the values are %q", t.TopValues[0].Pct, t.TopValues[0].Value)
		}
		n := c.Numbers
		if n == nil {
			continue
		}
		if n.ZerosPct > l.Zeros {
			add("zeros", "%.1f %% of the values are zero", n.ZerosPct)
		}
		if skew := pearson(n); math.Abs(skew) > skewed && values >= skewedFrom {
			side := "large"
			if skew < 0 {
				side = "small"
			}
			add("skew", "a few very %s values pull the mean %.3g away from the median %.3g", side, *n.Mean, *n.Median)
		}
	}
}

// Beyond skewed, in units of Pearson's second coefficient (whose bounds are -3 and 3), mean and median tell different
// stories; with fewer values than skewedFrom they always may.
const (
	skewed     = 1
	skewedFrom = 30
)

// pearson is Pearson's second coefficient of skewness: three times the distance of mean and median, in standard deviations.
func pearson(n *store.NumberStats) float64 {
	if n.Mean == nil || n.Median == nil || n.StdDev == nil || *n.StdDev == 0 {
		return 0
	}
	return 3 * (*n.Mean - *n.Median) / *n.StdDev
}
