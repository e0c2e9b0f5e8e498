package columnar

import (
	"fmt"
	"strings"
)

// layout is a compiled strptime pattern.
type layout struct {
	pattern string
	steps   []step
	zoned   bool
}

type step struct {
	verb byte // 0 = literal
	text string
}

var monthNames = [13]string{"", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// parseLayout compiles a pattern of POSIX strptime verbs: %Y %y %m %d %e %H %I %p %M %S %f %b %B %j %z %%.
func parseLayout(pattern string) (*layout, error) {
	l := &layout{pattern: pattern}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			l.steps = append(l.steps, step{text: pattern[i : i+1]})
			continue
		}
		if i++; i == len(pattern) || !strings.ContainsRune("YymdeHIpMSfbBjzTF%", rune(pattern[i])) {
			return nil, fmt.Errorf("format %q: use the verbs %%Y %%y %%m %%d %%e %%H %%I %%p %%M %%S %%f %%b %%B %%j %%z %%%%", pattern)
		}
		switch pattern[i] {
		case '%':
			l.steps = append(l.steps, step{text: "%"})
		case 'F':
			l.steps = append(l.steps, step{verb: 'Y'}, step{text: "-"}, step{verb: 'm'}, step{text: "-"}, step{verb: 'd'})
		case 'T':
			l.steps = append(l.steps, step{verb: 'H'}, step{text: ":"}, step{verb: 'M'}, step{text: ":"}, step{verb: 'S'})
		default:
			l.steps = append(l.steps, step{verb: pattern[i]})
			l.zoned = l.zoned || pattern[i] == 'z'
		}
	}
	return l, nil
}

// parse reads the whole of b: days, microseconds of the day, and the zone's offset.
func (l *layout) parse(b []byte) (days, micros, offset int64, ok bool) {
	y, mon, d, yday := 1970, 1, 1, 0
	h, m, s, frac := 0, 0, 0, int64(0)
	pm, twelve := false, false
	for _, st := range l.steps {
		var n int
		ok = true
		switch st.verb {
		case 0:
			if len(b) == 0 || b[0] != st.text[0] {
				return 0, 0, 0, false
			}
			n = 1
		case 'Y':
			y, n, ok = upTo(b, 4)
			ok = ok && n == 4
		case 'y': // POSIX: 69-99 are 1969-1999, 00-68 are 2000-2068
			if y, n, ok = upTo(b, 2); y < 69 {
				y += 2000
			} else {
				y += 1900
			}
		case 'm':
			mon, n, ok = upTo(b, 2)
		case 'd', 'e':
			if st.verb == 'e' && len(b) > 0 && b[0] == ' ' {
				b = b[1:]
			}
			d, n, ok = upTo(b, 2)
		case 'j':
			yday, n, ok = upTo(b, 3)
			ok = ok && yday >= 1 && yday <= 366
		case 'H':
			h, n, ok = upTo(b, 2)
		case 'I':
			h, n, ok = upTo(b, 2)
			twelve = true
			ok = ok && h >= 1 && h <= 12
		case 'M':
			m, n, ok = upTo(b, 2)
		case 'S':
			s, n, ok = upTo(b, 2)
		case 'f':
			frac, n, ok = fraction(b)
		case 'p':
			if len(b) < 2 || (b[1]|0x20) != 'm' || ((b[0]|0x20) != 'a' && (b[0]|0x20) != 'p') {
				return 0, 0, 0, false
			}
			pm, n = (b[0]|0x20) == 'p', 2
		case 'b', 'B':
			mon, n, ok = monthName(b)
		case 'z':
			n = len(b)
			offset, ok = zone(b)
		}
		if !ok {
			return 0, 0, 0, false
		}
		b = b[n:]
	}
	if twelve {
		if h %= 12; pm {
			h += 12
		}
	}
	if yday > 0 {
		mon, d = 1, 1
	}
	if len(b) > 0 || !validDate(y, mon, d) || h > 23 || m > 59 || s > 59 {
		return 0, 0, 0, false
	}
	days = daysFromCivil(y, mon, d)
	if yday > 0 {
		if days += int64(yday - 1); days >= daysFromCivil(y+1, 1, 1) {
			return 0, 0, 0, false
		}
	}
	return days, int64(h*3600+m*60+s)*microsPerSecond + frac, offset, true
}

func upTo(b []byte, most int) (v, n int, ok bool) {
	for n < len(b) && n < most && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n, n > 0
}

func monthName(b []byte) (month, n int, ok bool) {
	for n < len(b) && (b[n]|0x20) >= 'a' && (b[n]|0x20) <= 'z' {
		n++
	}
	word := strings.ToLower(string(b[:n]))
	for i, name := range monthNames[1:] {
		if word == name || word == name[:3] {
			return i + 1, n, true
		}
	}
	return 0, 0, false
}
