package columnar

import (
	"math"
	"strconv"
	"unsafe"
)

// parseInt reads a whole number in the range of int64, with an optional sign.
func parseInt(b []byte) (int64, bool) {
	neg, i := false, 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg, i = b[0] == '-', 1
	}
	if i == len(b) {
		return 0, false
	}
	var v uint64
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 || v > (math.MaxUint64-9)/10 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	if neg {
		if v > 1<<63 {
			return 0, false
		}
		return -int64(v), true
	}
	return int64(v), v <= math.MaxInt64
}

// canonicalInt tells whether b is the one way to write a whole number: "007", "+7" and "-0" are texts, not numbers.
func canonicalInt(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		return len(b) > 1 && b[1] != '0' && b[1] != '+'
	}
	return len(b) == 1 || len(b) > 1 && b[0] != '0' && b[0] != '+'
}

var pow10 = [23]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat reads a decimal number, an exponent, inf or nan, rounded to the nearest double.
func parseFloat(b []byte, point byte) (float64, bool) {
	if v, ok := quickFloat(b, point); ok {
		return v, true
	}
	if len(b) == 0 || len(b) > 400 {
		return 0, false
	}
	var text [400]byte
	t := text[:0]
	for _, c := range b {
		switch {
		case c == point:
			c = '.'
		case c == '.' || c == '_' || c == 'x' || c == 'X':
			return 0, false // forms of Go's own, and the other decimal sign
		}
		t = append(t, c)
	}
	v, err := strconv.ParseFloat(unsafe.String(&t[0], len(t)), 64)
	return v, err == nil
}

// quickFloat reads numbers of up to 15 digits without an exponent: both the digits and the power of ten are exact
// doubles then, so their quotient is rounded once (Clinger, "How to read floating point numbers accurately").
func quickFloat(b []byte, point byte) (float64, bool) {
	neg, i := false, 0
	if len(b) > 0 && b[0] == '-' {
		neg, i = true, 1
	}
	if len(b)-i > 16 || i == len(b) {
		return 0, false
	}
	var m uint64
	digits, frac := 0, -1
	for ; i < len(b); i++ {
		c := b[i]
		if c == point && frac < 0 {
			frac = 0
			continue
		}
		if c -= '0'; c > 9 {
			return 0, false
		}
		m = m*10 + uint64(c)
		digits++
		if frac >= 0 {
			frac++
		}
	}
	if digits == 0 || digits > 15 {
		return 0, false
	}
	v := float64(m)
	if frac > 0 {
		v /= pow10[frac]
	}
	if neg {
		v = -v
	}
	return v, true
}

// canonicalFloat tells whether b is a number that text codes do not look like: no leading zeros, no sign but minus, a
// digit on both sides of the decimal sign.
func canonicalFloat(b []byte, point byte) bool {
	i := 0
	if len(b) > 0 && b[0] == '-' {
		i = 1
	}
	start := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == start || (b[start] == '0' && i > start+1) {
		return false
	}
	if i < len(b) && b[i] == point {
		i++
		mark := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i == mark {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		mark := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i == mark {
			return false
		}
	}
	return i == len(b)
}
