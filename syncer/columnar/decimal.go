package columnar

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// smallDigits is the precision up to which a decimal is an int64; beyond it is a FIXED_LEN_BYTE_ARRAY.
const smallDigits = 18

var powers = func() (p [smallDigits + 1]uint64) {
	p[0] = 1
	for i := range smallDigits {
		p[i+1] = p[i] * 10
	}
	return p
}()

// parseDecimal reads a number of up to 18 digits as its digits at the given scale. Digits that do not fit, other than
// zeros at the end of the fraction, make it fail: a decimal is kept exactly or not at all.
func parseDecimal(b []byte, precision, scale int, point byte) (int64, bool) {
	if n, ok := plainDecimal(b, precision, scale, point); ok {
		return n, true
	}
	if plain, ok := withoutExponent(b, point); ok {
		return plainDecimal(plain, precision, scale, point)
	}
	return 0, false
}

func plainDecimal(b []byte, precision, scale int, point byte) (int64, bool) {
	neg, i := false, 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg, i = b[0] == '-', 1
	}
	var v uint64
	frac, any := -1, false
	for ; i < len(b); i++ {
		d := b[i] - '0'
		switch {
		case d > 9:
			if b[i] == point && frac < 0 {
				frac = 0
				continue
			}
			return 0, false
		case frac == scale:
			if d != 0 {
				return 0, false
			}
		default:
			if v = v*10 + uint64(d); v >= powers[smallDigits] {
				return 0, false
			}
			if frac >= 0 {
				frac++
			}
		}
		any = true
	}
	missing := scale - max(frac, 0)
	if !any || v >= powers[precision-missing] {
		return 0, false
	}
	v *= powers[missing]
	if neg {
		return -int64(v), true
	}
	return int64(v), true
}

// wide is a whole number of 128 bits in two's complement, which holds every decimal of 38 digits.
type wide struct{ hi, lo uint64 }

// parseWide reads a number of up to 38 digits, as parseDecimal does.
func parseWide(b []byte, precision, scale int, point byte) (wide, bool) {
	if n, ok := plainWide(b, precision, scale, point); ok {
		return n, true
	}
	if plain, ok := withoutExponent(b, point); ok {
		return plainWide(plain, precision, scale, point)
	}
	return wide{}, false
}

func plainWide(b []byte, precision, scale int, point byte) (n wide, ok bool) {
	neg, i := false, 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg, i = b[0] == '-', 1
	}
	digits, frac, any := 0, -1, false
	for ; i < len(b); i++ {
		d := b[i] - '0'
		switch {
		case d > 9:
			if b[i] == point && frac < 0 {
				frac = 0
				continue
			}
			return wide{}, false
		case frac == scale:
			if d != 0 {
				return wide{}, false
			}
		default:
			if digits > 0 || d > 0 {
				digits++
			}
			if digits > precision {
				return wide{}, false
			}
			n = n.next(d)
			if frac >= 0 {
				frac++
			}
		}
		any = true
	}
	missing := scale - max(frac, 0)
	if digits > 0 && digits+missing > precision {
		return wide{}, false
	}
	for range missing {
		n = n.next(0)
	}
	if neg {
		n = n.negated()
	}
	return n, any
}

func (n wide) negated() wide {
	n.lo, n.hi = -n.lo, ^n.hi
	if n.lo == 0 {
		n.hi++
	}
	return n
}

// wideOf reads two's complement, big endian.
func wideOf(value []byte) (n wide) {
	if len(value) > 0 && value[0] >= 0x80 {
		n = wide{^uint64(0), ^uint64(0)}
	}
	for _, b := range value {
		n = wide{n.hi<<8 | n.lo>>56, n.lo<<8 | uint64(b)}
	}
	return n
}

// next is ten times the number and a digit.
func (n wide) next(digit byte) wide {
	carry, lo := bits.Mul64(n.lo, 10)
	lo, more := bits.Add64(lo, uint64(digit), 0)
	return wide{n.hi*10 + carry + more, lo}
}

// append writes the lowest n bytes, big endian, the way Parquet stores decimals of more than 18 digits.
func (n wide) append(out []byte, size int) []byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return append(out, b[16-size:]...)
}

// decimalBytes is the number of bytes that hold every decimal of a precision (Parquet format, logical types, DECIMAL).
func decimalBytes(precision int) int { return wideBytes[precision] }

var wideBytes = func() (size [39]int) {
	limit := wide{lo: 1}
	for p := range size {
		length := bits.Len64(limit.lo)
		if limit.hi > 0 {
			length = 64 + bits.Len64(limit.hi)
		}
		size[p] = length/8 + 1
		limit = limit.next(0)
	}
	return size
}()

// maxExponent bounds what an exponent may ask for; no decimal has more digits.
const maxExponent = 76

// withoutExponent writes a number such as 1.5E+3 out, as 1500.
func withoutExponent(b []byte, point byte) ([]byte, bool) {
	mantissa, exponent, found := b, 0, false
	for i, c := range b {
		if c|0x20 == 'e' {
			e, err := strconv.Atoi(string(b[i+1:]))
			if err != nil || e > maxExponent || e < -maxExponent {
				return nil, false
			}
			mantissa, exponent, found = b[:i], e, true
			break
		}
	}
	if !found || len(mantissa) > 2*maxExponent {
		return nil, false
	}
	var out, digits []byte
	if len(mantissa) > 0 && (mantissa[0] == '-' || mantissa[0] == '+') {
		out, mantissa = append(out, mantissa[0]), mantissa[1:]
	}
	whole := -1
	for _, c := range mantissa {
		switch {
		case c == point && whole < 0:
			whole = len(digits)
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		default:
			return nil, false
		}
	}
	if len(digits) == 0 {
		return nil, false
	}
	if whole < 0 {
		whole = len(digits)
	}
	whole += exponent
	for ; whole < 0; whole++ {
		digits = append([]byte{'0'}, digits...)
	}
	for len(digits) < whole {
		digits = append(digits, '0')
	}
	out = append(append(out, digits[:whole]...), point)
	return append(out, digits[whole:]...), true
}

// Decimal gives the text of a decimal of more than 18 digits, for example "-12.50".
func (t Type) Decimal(value []byte) string {
	n := wideOf(value)
	neg := n.hi>>63 == 1
	if neg {
		n = n.negated()
	}
	var digits [40]byte
	at := len(digits)
	for n != (wide{}) || len(digits)-at <= t.Scale {
		var rest uint64
		n.hi, rest = n.hi/10, n.hi%10
		n.lo, rest = bits.Div64(rest, n.lo, 10)
		at--
		digits[at] = byte('0' + rest)
	}
	return pointed(digits[at:], t.Scale, neg)
}

// SmallDecimal gives the text of a decimal of up to 18 digits.
func (t Type) SmallDecimal(value int64) string {
	neg := value < 0
	u := uint64(value)
	if neg {
		u = -u
	}
	digits := strconv.AppendUint(nil, u, 10)
	for len(digits) <= t.Scale {
		digits = append([]byte{'0'}, digits...)
	}
	return pointed(digits, t.Scale, neg)
}

func pointed(digits []byte, scale int, neg bool) string {
	out := make([]byte, 0, len(digits)+2)
	if neg {
		out = append(out, '-')
	}
	out = append(out, digits[:len(digits)-scale]...)
	if scale > 0 {
		out = append(append(out, '.'), digits[len(digits)-scale:]...)
	}
	return string(out)
}
