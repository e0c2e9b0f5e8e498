package profile

import (
	"bytes"
	"math"
	"math/bits"
	"slices"

	"aida/syncer/columnar"

	"github.com/zeebo/xxh3"
)

// stats are what is known of a column's values in some rows. Those of rows behind are merged into it, in order, so that
// the same files make the same profile whatever goroutine read what.
type stats struct {
	Rows, Nulls int64

	// Numbers, dates as days and timestamps as microseconds. Floats count the finite ones alone.
	Count              int64
	MinInt, MaxInt     int64
	MinFloat, MaxFloat float64
	MinWide, MaxWide   []byte
	Mean, M2           float64 // M2 is the sum of squared distances from the mean
	Zeros, Negative    int64
	NonFinite          int64
	Sample             sample
	Quarters           map[int32]int64 // year*4 + quarter

	MinLength, MaxLength, Length int64
	Top                          *counter
	Untold                       int64 // values that were not counted for the top, as they hardly repeat

	True int64

	Rising    bool // every value is above the one before
	FirstInt  int64
	LastInt   int64
	FirstText []byte
	LastText  []byte

	Distinct []string // the first few values, as text
}

// Of values that hardly repeat only so many are looked at for the top, and so few of them may repeat.
const (
	gateValues = topLimit // fewer than a counter holds, so that it has them all
	gateShare  = 10       // one in
)

// topLimit is how many frequent texts are held for each column.
const topLimit = 1024

// look is what a worker needs to look at one column of a row group.
type look struct {
	distinct  *distinct // of the column
	positions []int32   // of values to be sampled, ascending
	rate      float64
	firsts    int // how many first values to keep
	scratch   []int64
}

// of looks at all values of a vector.
func (l *look) of(v *columnar.Vector) *stats {
	s := &stats{Rows: int64(len(v.Levels)), Nulls: int64(v.Nulls), Sample: sample{Rate: l.rate}}
	n := v.Values()
	if n == 0 {
		s.Rising = true
		return s
	}
	s.Distinct = first(v, l.firsts)
	counts := l.counts(v)
	values := v
	if v.Dict != nil {
		values = v.Dict
	}
	switch v.Type.Kind {
	case columnar.Int64, columnar.Timestamp:
		l.ints(s, v, values.Ints, counts)
	case columnar.Date:
		l.scratch = l.scratch[:0]
		for _, d := range values.Days {
			l.scratch = append(l.scratch, int64(d))
		}
		l.ints(s, v, l.scratch, counts)
	case columnar.Float64:
		l.floats(s, v, values.Floats, counts)
	case columnar.Decimal:
		l.decimals(s, v, values, counts)
	case columnar.Bool:
		for _, b := range v.Bools {
			if b {
				s.True++
			}
		}
		if s.True > 0 {
			l.distinct.add(mix(1))
		}
		if int(s.True) < n {
			l.distinct.add(mix(2))
		}
	case columnar.Time:
		texts := make([][]byte, len(values.Ints))
		for i := range values.Ints {
			texts[i] = []byte(values.Text(i))
		}
		l.texts(s, v, len(texts), func(i int) []byte { return texts[i] }, counts)
	default:
		texts := values.Texts
		l.texts(s, v, len(texts), func(i int) []byte { return texts[i] }, counts)
	}
	return s
}

// counts is how often each entry of the dictionary is used; nil without one.
func (l *look) counts(v *columnar.Vector) []int64 {
	if v.Dict == nil {
		return nil
	}
	size := max(len(v.Dict.Ints), len(v.Dict.Days), len(v.Dict.Floats), len(v.Dict.Texts), len(v.Dict.Wides))
	counts := make([]int64, size)
	for _, c := range v.Codes {
		counts[c]++
	}
	return counts
}

// at gives the index of the value that a position has, through the dictionary.
func at(v *columnar.Vector, position int32) int {
	if v.Dict != nil {
		return int(v.Codes[position])
	}
	return int(position)
}

func (l *look) sampleOf(s *stats, v *columnar.Vector, value func(i int) float64) {
	n := int32(v.Values())
	for _, p := range l.positions {
		if p >= n {
			break
		}
		if x := value(at(v, p)); !math.IsNaN(x) && !math.IsInf(x, 0) {
			s.Sample.Values = append(s.Sample.Values, x)
		}
	}
}

// ints looks at whole numbers, and at what is kept as such. With counts, x are the entries of a dictionary.
func (l *look) ints(s *stats, v *columnar.Vector, x []int64, counts []int64) {
	s.MinInt, s.MaxInt = math.MaxInt64, math.MinInt64
	var sum float64
	if counts == nil {
		s.Rising, s.FirstInt, s.LastInt = true, x[0], x[len(x)-1]
		last := x[0]
		for i, n := range x {
			s.MinInt, s.MaxInt = min(s.MinInt, n), max(s.MaxInt, n)
			sum += float64(n)
			if n == 0 {
				s.Zeros++
			}
			s.Negative += int64(uint64(n) >> 63)
			if n <= last && i > 0 {
				s.Rising = false
			}
			last = n
			l.distinct.add(mix(uint64(n)))
		}
		s.Count = int64(len(x))
	} else {
		for i, c := range counts {
			if c == 0 {
				continue
			}
			n := x[i]
			s.MinInt, s.MaxInt = min(s.MinInt, n), max(s.MaxInt, n)
			sum += float64(n) * float64(c)
			s.Count += c
			if n == 0 {
				s.Zeros += c
			}
			if n < 0 {
				s.Negative += c
			}
			l.distinct.add(mix(uint64(n)))
		}
	}
	switch v.Type.Kind {
	case columnar.Date:
		s.Quarters = quarters(x, counts, s.MinInt, s.MaxInt, func(n int64) int64 { return n })
	case columnar.Timestamp:
		s.Quarters = quarters(x, counts, s.MinInt, s.MaxInt, dayOf)
	default:
		s.Mean = sum / float64(s.Count)
		for i, n := range x {
			d := float64(n) - s.Mean
			if counts == nil {
				s.M2 += d * d
			} else {
				s.M2 += d * d * float64(counts[i])
			}
		}
		l.sampleOf(s, v, func(i int) float64 { return float64(x[i]) })
	}
}

// quarters counts values, whose bounds are known, by quarter.
func quarters(x, counts []int64, low, high int64, day func(int64) int64) map[int32]int64 {
	first := quarterOf(day(low))
	n := make([]int64, quarterOf(day(high))-first+1)
	for i, v := range x {
		switch {
		case counts == nil:
			n[quarterOf(day(v))-first]++
		case counts[i] > 0:
			n[quarterOf(day(v))-first] += counts[i]
		}
	}
	out := map[int32]int64{}
	for i, c := range n {
		if c > 0 {
			out[first+int32(i)] = c
		}
	}
	return out
}

func (l *look) floats(s *stats, v *columnar.Vector, x []float64, counts []int64) {
	s.MinFloat, s.MaxFloat = math.Inf(1), math.Inf(-1)
	var sum float64
	for i, f := range x {
		c := int64(1)
		if counts != nil {
			if c = counts[i]; c == 0 {
				continue
			}
		}
		if f == 0 {
			s.Zeros += c
			f = 0 // one zero, whatever its sign
		}
		l.distinct.add(mix(math.Float64bits(f)))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			s.NonFinite += c
			continue
		}
		s.MinFloat, s.MaxFloat = min(s.MinFloat, f), max(s.MaxFloat, f)
		sum += f * float64(c)
		s.Count += c
		if f < 0 {
			s.Negative += c
		}
	}
	if s.Count > 0 {
		s.Mean = sum / float64(s.Count)
	}
	for i, f := range x {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		d := f - s.Mean
		if counts == nil {
			s.M2 += d * d
		} else {
			s.M2 += d * d * float64(counts[i])
		}
	}
	l.sampleOf(s, v, func(i int) float64 { return x[i] })
}

// decimals of up to 18 digits are whole numbers whose figures are scaled at the end; larger ones are looked at as doubles,
// with exact bounds.
func (l *look) decimals(s *stats, v, values *columnar.Vector, counts []int64) {
	if len(values.Wides) == 0 {
		l.ints(s, v, values.Ints, counts)
		return
	}
	x := make([]float64, len(values.Wides))
	var sum float64
	for i, w := range values.Wides {
		x[i] = columnar.WideFloat(w)
		c := int64(1)
		if counts != nil {
			if c = counts[i]; c == 0 {
				continue
			}
		}
		if s.MinWide == nil || columnar.CompareWide(w, s.MinWide) < 0 {
			s.MinWide = bytes.Clone(w)
		}
		if s.MaxWide == nil || columnar.CompareWide(w, s.MaxWide) > 0 {
			s.MaxWide = bytes.Clone(w)
		}
		sum += x[i] * float64(c)
		s.Count += c
		if x[i] == 0 {
			s.Zeros += c
		}
		if x[i] < 0 {
			s.Negative += c
		}
		l.distinct.add(xxh3.Hash(w))
	}
	s.Mean = sum / float64(s.Count)
	for i := range x {
		d := x[i] - s.Mean
		if counts == nil {
			s.M2 += d * d
		} else {
			s.M2 += d * d * float64(counts[i])
		}
	}
	l.sampleOf(s, v, func(i int) float64 { return x[i] })
}

func (l *look) texts(s *stats, v *columnar.Vector, n int, text func(int) []byte, counts []int64) {
	s.MinLength = math.MaxInt64
	s.Top = newCounter(topLimit)
	if counts == nil {
		s.Rising, s.FirstText, s.LastText = true, bytes.Clone(text(0)), bytes.Clone(text(n-1))
	}
	counting := true
	var last []byte
	for i := range n {
		c := int64(1)
		if counts != nil {
			if c = counts[i]; c == 0 {
				continue
			}
		}
		b := text(i)
		length := characters(b)
		s.MinLength, s.MaxLength, s.Length = min(s.MinLength, length), max(s.MaxLength, length), s.Length+length*c
		h := xxh3.Hash(b)
		l.distinct.add(h)
		s.Count += c
		if counts == nil && s.Rising {
			if i > 0 && bytes.Compare(last, b) >= 0 {
				s.Rising = false
			}
			last = b
		}
		if counting {
			s.Top.add(h, b, c)
			if counts == nil && i == gateValues && len(s.Top.Items) > gateValues-gateValues/gateShare {
				counting = false
				s.Top = newCounter(topLimit)
				s.Untold = int64(i) + 1
			}
		} else {
			s.Untold += c
		}
	}
}

// first gives the first few different values as text.
func first(v *columnar.Vector, limit int) (out []string) {
	for i := range min(v.Values(), 200) {
		if len(out) == limit {
			break
		}
		if text := shown([]byte(v.Text(i))); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// mix makes a well spread hash of a number (the finalizer of SplitMix64; Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// characters counts the characters of UTF-8 text: the bytes that do not continue one.
func characters(b []byte) int64 {
	n := len(b)
	for len(b) >= 8 {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		n -= bits.OnesCount64(w >> 7 &^ (w >> 6) & 0x0101010101010101)
		b = b[8:]
	}
	for _, c := range b {
		if c&0xC0 == 0x80 {
			n--
		}
	}
	return int64(n)
}
