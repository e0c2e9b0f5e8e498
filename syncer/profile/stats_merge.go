package profile

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"aida/syncer/columnar"
)

// merge takes in the stats of the rows behind.
func (s *stats) merge(o *stats, kind columnar.Kind, distinct int, r *rand.Rand) {
	if s.Rows == s.Nulls || o.Rows == o.Nulls { // one of them has no values
		rows, nulls := s.Rows+o.Rows, s.Nulls+o.Nulls
		if s.Rows == s.Nulls {
			if rate := s.Sample.Rate; s.Rows > 0 {
				o.Sample.thin(rate, r)
			}
			*s = *o
		} else if o.Rows > 0 {
			s.Sample.thin(o.Sample.Rate, r)
		}
		s.Rows, s.Nulls = rows, nulls
		return
	}
	switch kind {
	case columnar.Int64, columnar.Decimal, columnar.Date, columnar.Timestamp:
		s.Rising = s.Rising && o.Rising && s.LastInt < o.FirstInt && s.MinWide == nil
		s.LastInt = o.LastInt
	case columnar.Float64, columnar.Bool:
		s.Rising = false
	default:
		s.Rising = s.Rising && o.Rising && bytes.Compare(s.LastText, o.FirstText) < 0
		s.LastText = o.LastText
	}
	s.Rows, s.Nulls = s.Rows+o.Rows, s.Nulls+o.Nulls
	if s.Count+o.Count > 0 {
		s.moments(o)
	}
	s.MinInt, s.MaxInt = min(s.MinInt, o.MinInt), max(s.MaxInt, o.MaxInt)
	s.MinFloat, s.MaxFloat = min(s.MinFloat, o.MinFloat), max(s.MaxFloat, o.MaxFloat)
	if s.MinWide != nil && o.MinWide != nil {
		if columnar.CompareWide(o.MinWide, s.MinWide) < 0 {
			s.MinWide = o.MinWide
		}
		if columnar.CompareWide(o.MaxWide, s.MaxWide) > 0 {
			s.MaxWide = o.MaxWide
		}
	}
	s.Zeros, s.Negative, s.NonFinite, s.True = s.Zeros+o.Zeros, s.Negative+o.Negative, s.NonFinite+o.NonFinite, s.True+o.True
	s.Sample.merge(o.Sample, r)
	for q, n := range o.Quarters {
		s.Quarters[q] += n
	}
	s.MinLength, s.MaxLength, s.Length = min(s.MinLength, o.MinLength), max(s.MaxLength, o.MaxLength), s.Length+o.Length
	if s.Top != nil && o.Top != nil {
		s.Top.merge(o.Top)
	}
	s.Untold += o.Untold
	for _, d := range o.Distinct {
		if len(s.Distinct) < distinct && !slices.Contains(s.Distinct, d) {
			s.Distinct = append(s.Distinct, d)
		}
	}
}

// moments joins means and squared distances; Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
// Computing Sample Variances" (1979).
func (s *stats) moments(o *stats) {
	a, b := float64(s.Count), float64(o.Count)
	delta := o.Mean - s.Mean
	s.Mean += delta * b / (a + b)
	s.M2 += o.M2 + delta*delta*a*b/(a+b)
	s.Count += o.Count
}
