package columnar

// Days from 1970-01-01 in the proleptic Gregorian calendar; Hinnant, "chrono-Compatible Low-Level Date Algorithms".
func daysFromCivil(y, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func validDate(y, m, d int) bool {
	if y < 1 || y > 9999 || m < 1 || m > 12 || d < 1 {
		return false
	}
	days := monthDays[m]
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		days = 29
	}
	return d <= days
}

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
)

// digitsAt reads n digits of b from i on.
func digitsAt(b []byte, i, n int) (int, bool) {
	if i+n > len(b) {
		return 0, false
	}
	v := 0
	for _, c := range b[i : i+n] {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// isoDate reads YYYY-MM-DD at the beginning of b, in days.
func isoDate(b []byte) (days int64, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	y, ok1 := digitsAt(b, 0, 4)
	m, ok2 := digitsAt(b, 5, 2)
	d, ok3 := digitsAt(b, 8, 2)
	if !ok1 || !ok2 || !ok3 || !validDate(y, m, d) {
		return 0, false
	}
	return daysFromCivil(y, m, d), true
}

// clock reads HH:MM[:SS[.ffffff...]] at the beginning of b in microseconds. Digits beyond microseconds must be zero.
func clock(b []byte) (micros int64, n int, ok bool) {
	h, ok1 := digitsAt(b, 0, 2)
	m, ok2 := digitsAt(b, 3, 2)
	if !ok1 || !ok2 || b[2] != ':' || h > 23 || m > 59 {
		return 0, 0, false
	}
	micros, n = int64(h*3600+m*60)*microsPerSecond, 5
	if n >= len(b) || b[n] != ':' {
		return micros, n, true
	}
	s, ok3 := digitsAt(b, 6, 2)
	if !ok3 || s > 59 {
		return 0, 0, false
	}
	micros, n = micros+int64(s)*microsPerSecond, 8
	if n >= len(b) || b[n] != '.' {
		return micros, n, true
	}
	f, used, ok := fraction(b[n+1:])
	if !ok {
		return 0, 0, false
	}
	return micros + f, n + 1 + used, true
}

func fraction(b []byte) (micros int64, n int, ok bool) {
	unit := int64(100_000)
	for ; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
		if unit == 0 && b[n] != '0' {
			return 0, 0, false // it would have to be rounded
		}
		micros += int64(b[n]-'0') * unit
		unit /= 10
	}
	return micros, n, n > 0
}

// zone reads Z, +hh, +hhmm or +hh:mm; the whole of b must be it.
func zone(b []byte) (offset int64, ok bool) {
	if len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if len(b) < 3 || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	h, ok1 := digitsAt(b, 1, 2)
	m, ok2 := 0, true
	switch {
	case len(b) == 5:
		m, ok2 = digitsAt(b, 3, 2)
	case len(b) == 6 && b[3] == ':':
		m, ok2 = digitsAt(b, 4, 2)
	case len(b) != 3:
		return 0, false
	}
	if !ok1 || !ok2 || h > 18 || m > 59 {
		return 0, false
	}
	offset = int64(h*3600+m*60) * microsPerSecond
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// firstMicro and endMicro bound the years 0001 to 9999, which a zone can lead out of.
var firstMicro, endMicro = daysFromCivil(1, 1, 1) * microsPerDay, daysFromCivil(10_000, 1, 1) * microsPerDay

func inYears(micros int64) bool { return micros >= firstMicro && micros < endMicro }

// isoTimestamp reads a date, then optionally a blank or T, a time and a zone. hasTime is false for a date alone. The value
// is in UTC when zoned.
func isoTimestamp(b []byte) (micros int64, hasTime, zoned, ok bool) {
	days, ok := isoDate(b)
	if !ok {
		return 0, false, false, false
	}
	micros = days * microsPerDay
	if len(b) == 10 {
		return micros, false, false, true
	}
	if b[10] != ' ' && b[10] != 'T' && b[10] != 't' {
		return 0, false, false, false
	}
	t, n, ok := clock(b[11:])
	if !ok {
		return 0, false, false, false
	}
	micros += t
	rest := b[11+n:]
	if len(rest) == 0 {
		return micros, true, false, true
	}
	if rest[0] == ' ' && len(rest) > 1 {
		rest = rest[1:]
	}
	offset, ok := zone(rest)
	micros -= offset
	return micros, true, true, ok && inYears(micros)
}
