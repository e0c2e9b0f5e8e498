package profile

import (
	"math"
	"math/rand/v2"
	"slices"
)

// sample is values that stand for all of them: each was taken with the probability Rate, so samples of two sets of rows
// make one of both after the denser one is thinned. At rate 1 it is all values.
type sample struct {
	Rate   float64
	Values []float64
}

// take picks positions below n, each with a probability, in order.
func take(r *rand.Rand, rate float64, n int, into []int32) []int32 {
	into = into[:0]
	if rate >= 1 {
		for i := range n {
			into = append(into, int32(i))
		}
		return into
	}
	// The gaps between picked positions follow a geometric distribution; Devroye, "Non-Uniform Random Variate Generation", X.2.
	scale := 1 / math.Log1p(-rate)
	for i := -1; ; {
		gap := math.Log(1-r.Float64()) * scale
		if gap >= float64(n) {
			return into
		}
		if i += 1 + int(gap); i >= n {
			return into
		}
		into = append(into, int32(i))
	}
}

// thin lowers the rate.
func (s *sample) thin(rate float64, r *rand.Rand) {
	if s.Rate <= rate {
		return
	}
	keep := take(r, rate/s.Rate, len(s.Values), nil)
	for i, at := range keep {
		s.Values[i] = s.Values[at]
	}
	s.Values, s.Rate = s.Values[:len(keep)], rate
}

// merge takes in the sample of other rows.
func (s *sample) merge(o sample, r *rand.Rand) {
	rate := min(s.Rate, o.Rate)
	o.Values = slices.Clone(o.Values)
	s.thin(rate, r)
	o.thin(rate, r)
	s.Values = append(s.Values, o.Values...)
}

// quantile gives the value below which a share of sorted values lies, between two of them by their distance (type 7 of
// Hyndman and Fan, "Sample Quantiles in Statistical Packages", as DuckDB's quantile_cont).
func quantile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}
