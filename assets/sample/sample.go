// Package sample makes the sample company of `aida demo`: nine e-commerce tables as CSV files, the same bytes for the same
// size and seed, and the description that syncs them. Its people and figures are invented.
//
//	m, err := sample.Generate(ctx, "data/demo/sample", sample.Small, 42)
package sample

import (
	"bufio"
	"context"
	"embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed data_description.md
var description []byte

// Description is the data_description.md of the sample tables.
func Description() []byte { return description }

//go:embed metrics
var metrics embed.FS

// Metrics is the folder of the sample company's metric definitions.
func Metrics() fs.FS {
	sub, err := fs.Sub(metrics, "metrics")
	if err != nil { // the folder is embedded above
		return metrics
	}
	return sub
}

// Size is how large the company is.
type Size string

// The sizes, from about 1 MB of CSV to about 1.5 GB.
const (
	Tiny   Size = "xs"
	Small  Size = "s"
	Medium Size = "m"
	Large  Size = "l"
)

type counts struct{ customers, products, campaigns, sessions, leads, orders, tickets, months int }

var sizes = map[Size]counts{
	Tiny:   {50, 30, 10, 500, 50, 100, 30, 3},
	Small:  {500, 100, 30, 10_000, 1_000, 2_000, 500, 12},
	Medium: {5_000, 300, 80, 100_000, 10_000, 20_000, 5_000, 24},
	Large:  {50_000, 1_000, 200, 1_000_000, 100_000, 200_000, 50_000, 36},
}

// Manifest tells what was made.
type Manifest struct {
	Generator string            `json:"generator"`
	Size      Size              `json:"size"`
	Format    string            `json:"format"`
	Seed      uint64            `json:"seed"`
	DateRange map[string]string `json:"date_range"`
	Tables    map[string]int    `json:"tables"`
	TotalRows int               `json:"total_rows"`
}

// end is the last day of the company's data.
var end = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Generate writes <table>.csv for each table and _manifest.json into dir.
func Generate(ctx context.Context, dir string, size Size, seed uint64) (*Manifest, error) {
	n, ok := sizes[size]
	if !ok {
		return nil, fmt.Errorf("size %q does not exist: use xs, s, m or l", size)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("sample company: %w", err)
	}
	c := &company{n: n, dir: dir, start: end.AddDate(0, 0, -30*n.months), rows: map[string]int{}, seed: seed}
	c.weighDays()
	for _, step := range []func(context.Context) error{c.makeCustomers, c.makeProducts, c.makeCampaigns, c.makeOrders, c.makeSessions, c.makeLeads, c.makeTickets} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("sample company: %w", err)
		}
	}
	m := &Manifest{Generator: "aida demo", Size: size, Format: "csv", Seed: seed, Tables: c.rows,
		DateRange: map[string]string{"start": day(c.start), "end": day(end)}}
	for _, rows := range c.rows {
		m.TotalRows += rows
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return m, os.WriteFile(filepath.Join(dir, "_manifest.json"), append(text, '\n'), 0o640)
}

type company struct {
	n     counts
	dir   string
	start time.Time
	seed  uint64
	rows  map[string]int

	dayWeights []float64 // cumulated
	customers  []customer
	products   []product
	campaigns  []campaign
	orders     []order
	activity   []float64 // of customers, cumulated
}

type customer struct {
	id, email, segment, country string
	registered                  time.Time
	orders                      []int
}

type product struct {
	id    string
	price int // cents
}

type campaign struct {
	id         string
	start, end time.Time
}

type order struct {
	id       string
	customer int
	at       time.Time
}

// random gives each table numbers of its own, so that a change to one leaves the others as they are.
func (c *company) random(table uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, table)) }

// table writes one CSV file; it gets its name when it is whole.
func (c *company) table(ctx context.Context, name string, header []string, fill func(row func(...string) error) error) error {
	f, err := os.CreateTemp(c.dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	buf := bufio.NewWriterSize(f, 1<<20)
	w := csv.NewWriter(buf)
	row := func(cells ...string) error {
		if c.rows[name]++; c.rows[name]%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return w.Write(cells)
	}
	err = w.Write(header)
	if err == nil {
		err = fill(row)
	}
	w.Flush()
	if err := errors.Join(err, w.Error(), buf.Flush(), f.Chmod(0o640), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(f.Name(), filepath.Join(c.dir, name+".csv"))
}

var (
	monthFactor = [12]float64{.70, .75, .85, .90, .95, 1, .90, .85, 1, 1.1, 1.3, 1.5}
	weekFactor  = [7]float64{.6, 1, 1, 1, 1.05, 1.15, .8} // Sunday first
	hourFactor  = [24]float64{.2, .1, .1, .1, .1, .2, .5, 1, 1.6, 2.2, 2.4, 2.4, 2.2, 2.2, 2.3, 2.2, 1.8, 1.5, 1.4, 1.5, 1.4, 1.1, .7, .4}
)

// weighDays makes business grow by half over the period, with seasons and weekends.
func (c *company) weighDays() {
	days := 30 * c.n.months
	sum := 0.0
	for d := range days {
		at := c.start.AddDate(0, 0, d)
		sum += (1 + .5*float64(d)/float64(days)) * monthFactor[at.Month()-1] * weekFactor[at.Weekday()]
		c.dayWeights = append(c.dayWeights, sum)
	}
}

// moment draws a time between from and the end of the period.
func (c *company) moment(r *rand.Rand, from time.Time) time.Time {
	for range 50 {
		d := pickSum(r, c.dayWeights)
		h := pick(r, hourFactor[:])
		at := c.start.AddDate(0, 0, d).Add(time.Duration(h)*time.Hour + time.Duration(r.IntN(3600))*time.Second)
		if !at.Before(from) {
			return at
		}
	}
	left := max(end.Sub(from)-time.Second, time.Second)
	return from.Add(time.Duration(r.Int64N(int64(left)))).Truncate(time.Second)
}

// pick draws an index by weight.
func pick(r *rand.Rand, weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	x := r.Float64() * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// pickSum draws an index by weights that are cumulated already.
func pickSum(r *rand.Rand, sums []float64) int {
	x := r.Float64() * sums[len(sums)-1]
	low, high := 0, len(sums)-1
	for low < high {
		if mid := (low + high) / 2; sums[mid] > x {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

func oneOf[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func id(prefix string, width, n int) string { return fmt.Sprintf("%s-%0*d", prefix, width, n) }

func day(t time.Time) string                  { return t.Format(time.DateOnly) }
func clock(t time.Time) string                { return t.Format(time.DateTime) }
func money(cents int) string                  { return strconv.FormatFloat(float64(cents)/100, 'f', 2, 64) }
func flag(b bool) string                      { return map[bool]string{true: "1", false: "0"}[b] }
func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }

// pareto draws a weight of which few are large; shape 1.2 makes a fifth of customers place most orders.
func pareto(r *rand.Rand) float64 { return math.Min(math.Pow(1-r.Float64(), -1/1.2), 1000) }
