package portal

import (
	"fmt"
	"slices"
	"strings"
)

// trend is how the rows of a table went, as a small line with its words.
type trend struct {
	Points string // of a polyline in a box of trendWidth by trendHeight
	Text   string
}

const (
	trendWidth  = 60
	trendHeight = 16
)

// trendOf draws the rows of the last versions of a table, oldest first, and of now, which another version may have become by
// a rollback. One version alone makes no line.
func trendOf(rows []int64, now int64) *trend {
	if n := len(rows); n == 0 || rows[n-1] != now {
		rows = append(slices.Clip(rows), now)
	}
	if len(rows) < 2 {
		return nil
	}
	least, most := slices.Min(rows), slices.Max(rows)
	var b strings.Builder
	for i, n := range rows {
		y := float64(trendHeight) / 2 // a line of equal numbers runs in the middle
		if most > least {
			y = 1 + float64(trendHeight-2)*(1-float64(n-least)/float64(most-least))
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%.0f,%.1f", float64(trendWidth)*float64(i)/float64(len(rows)-1), y)
	}
	text := fmt.Sprintf("from %s to %s rows over the last %d versions", group(rows[0]), group(now), len(rows))
	if least == most {
		text = fmt.Sprintf("%s rows in each of the last %d versions", group(now), len(rows))
	}
	return &trend{b.String(), text}
}
