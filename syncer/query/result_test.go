package query

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar"
)

func TestAResultThatIsTooLargeIsRefused(t *testing.T) {
	p := newPlace(t, small, Options{MaxSize: 1 << 20})
	var fault *Error
	if _, err := p.query("SELECT printf('%900000c', 'x')"); err != nil {
		t.Error(err)
	}
	if _, err := p.query("SELECT printf('%900000c', 'x') FROM orders"); !errors.As(err, &fault) || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("%v", err)
	}
}

// A result tells which data it is of: that of the tables that the query goes over, whatever else was published.
func TestAResultNamesTheStateOfItsTables(t *testing.T) {
	p := newPlace(t, small, Options{})
	data := func(sql string) string {
		t.Helper()
		res, err := p.query(sql)
		if err != nil {
			t.Fatal(err)
		}
		return res.Data
	}
	orders, both := data("SELECT count(*) FROM orders"), data("SELECT count(*) FROM orders, sales.people")
	if orders != data("SELECT max(id) FROM sales.orders WHERE id > 1") || orders == both || both != data("SELECT 1 FROM sales.people WHERE EXISTS (SELECT 1 FROM orders)") {
		t.Errorf("%s %s", orders, both)
	}
	if orders == data("SELECT 'orders'") {
		t.Error("a text counts as a table")
	}
}

func TestDecimalsAreTheNearestNumbers(t *testing.T) {
	for _, scale := range []int{1, 2, 7, 18} {
		for _, n := range []int64{0, 1, -1, 99, 123456789, -987654321987, 1<<53 - 1, -(1<<53 - 1), 1 << 53, 1<<53 + 1, 999999999999999999} {
			typ := columnar.Type{Kind: columnar.Decimal, Precision: 18, Scale: scale}
			want, err := strconv.ParseFloat(typ.SmallDecimal(n), 64)
			if err != nil {
				t.Fatal(err)
			}
			if got := valueAt(&columnar.Vector{Type: typ, Ints: []int64{n}}, 0); got != want {
				t.Errorf("%d of scale %d: %v, want %v", n, scale, got, want)
			}
		}
	}
}

func BenchmarkFilterAndSum(b *testing.B) {
	const rows = 1_000_000
	p := newPlace(b, map[string]string{"sales.orders": big(rows)}, Options{Timeout: time.Minute})
	for name, sql := range map[string]string{"third": "SELECT sum(amount) FROM orders WHERE kind = 'web'", "all": "SELECT sum(amount) FROM orders WHERE amount >= 0",
		"dates":  "SELECT kind, count(*), sum(amount) FROM orders WHERE day >= '2026-02-01' GROUP BY kind",
		"by day": "SELECT day, count(*), sum(amount) FROM orders GROUP BY day"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p.rows(sql)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
