package portal

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// functions are what templates can call.
func (p *Portal) functions() template.FuncMap {
	return template.FuncMap{
		"asset":      func(name string) string { return "/static/" + p.static.HashName(name) },
		"icon":       icon,
		"ago":        func(t time.Time) template.HTML { return ago(t, p.now()) },
		"day":        func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"bytes":      bytesOf,
		"count":      func(v any) template.HTML { return count(reflect.ValueOf(v).Int()) },
		"plural":     func(v any, one, many string) string { return plural(reflect.ValueOf(v).Int(), one, many) },
		"command":    func(text, what string) commandView { return commandView{text, what} },
		"state":      stateMark,
		"initials":   initials,
		"appURL":     func(s string) template.URL { return template.URL(s) }, // of the desktop app's own scheme, made by its provider
		"list":       func(v ...any) []any { return v },
		"join":       strings.Join,
		"isCommand":  isCommand,
		"choices":    func(value string, list []string) map[string]any { return map[string]any{"Value": value, "List": list} },
		"metricLink": metricLink,
		"number":     func(v *float64) string { return strconv.FormatFloat(*v, 'g', 6, 64) },
		"took":       func(from, to time.Time) string { return lasted(to.Sub(from)) },
		"lasted":     lasted,
		"words":      withCode,
		"alertState": func(kind string) string { // that all values differ is no fault
			if kind == "unique" {
				return "unknown"
			}
			return "late"
		},
		// A small histogram of n bars on 100 by 24 units.
		"sparkX":      func(i, n int) string { return fmt.Sprintf("%.2f", 100*float64(i)/float64(max(n, sparkSlots))) },
		"sparkWidth":  func(n int) string { return fmt.Sprintf("%.2f", 85/float64(max(n, sparkSlots))) },
		"sparkY":      func(share float64) string { return fmt.Sprintf("%.1f", 24-max(share*0.24, 0.5)) },
		"sparkHeight": func(share float64) string { return fmt.Sprintf("%.1f", max(share*0.24, 0.5)) },
	}
}

// sparkSlots is how many bars a small histogram has room for at least, so that two bins do not look like two blocks.
const sparkSlots = 10

// lasted writes how long something took.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// withCode writes a sentence in which commands stand between backquotes.
func withCode(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 && strings.Count(s, "`")%2 == 0 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
			continue
		}
		b.WriteString(template.HTMLEscapeString(part))
	}
	return template.HTML(b.String())
}

// commandView is a command with its copy button.
type commandView struct{ Text, What string }

// ago writes a time relative to now, with the absolute one on hover and for screen readers.
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="never">never</span>`
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s<span class="sr">, %s</span></time>`,
		t.Format(time.RFC3339), t.Format("2 Jan 2006, 15:04:05 UTC"), relative(t, now), t.Format("2 January 2006, 15:04 UTC")))
}

func relative(t, now time.Time) string {
	d := now.Sub(t)
	form := "%s ago"
	if d < 0 {
		d, form = -d, "in %s"
	}
	if d < 10*time.Second {
		return "just now"
	}
	return fmt.Sprintf(form, short(d))
}

func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 60*24*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return fmt.Sprintf("%d months", int(d.Hours()/24/30.44))
}

// spell writes a waiting time, rounded up.
func spell(d time.Duration) string {
	if d <= 90*time.Second {
		return plural(int64(math.Ceil(d.Seconds())), "second", "seconds")
	}
	return plural(int64(math.Ceil(d.Minutes())), "minute", "minutes")
}

// bytesOf writes a size, with the exact number on hover.
func bytesOf(n int64) template.HTML {
	return template.HTML(`<span class="num" title="` + group(n) + ` bytes">` + sizeText(n) + `</span>`)
}

// sizeText writes a size in units of 1000.
func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if v := float64(n) / u.size; v >= 1 {
			digits := 0
			if v < 10 {
				digits = 1
			}
			return strconv.FormatFloat(v, 'f', digits, 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}

// count writes a number so that it can be read at once, with the exact one on hover when digits were left out.
func count[T int | int64](v T) template.HTML {
	n := int64(v)
	exact, text := group(n), group(n)
	switch {
	case n >= 10_000_000:
		text = strconv.FormatFloat(float64(n)/1e6, 'f', 0, 64) + " M"
	case n >= 1_000_000:
		text = strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " M"
	}
	return template.HTML(`<span class="num" title="` + exact + `">` + text + `</span>`)
}

// group puts a thin space between thousands.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return sign + b.String()
}

// plural writes a number with its noun.
func plural[T int | int64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return group(int64(n)) + " " + many
}

// initials are two letters for a person.
func initials(name string) string {
	var out []rune
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range words {
		if i == 0 || i == len(words)-1 {
			r, _ := utf8.DecodeRuneInString(w)
			out = append(out, unicode.ToUpper(r))
		}
	}
	if len(words) == 1 {
		if _, n := utf8.DecodeRuneInString(words[0]); n < len(words[0]) {
			r, _ := utf8.DecodeRuneInString(words[0][n:])
			out = append(out, unicode.ToUpper(r))
		}
	}
	return string(out)
}

// nameOf makes a user name readable: john_doe is John Doe.
func nameOf(user string) string {
	words := strings.FieldsFunc(user, func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	for i, w := range words {
		r, n := utf8.DecodeRuneInString(w)
		words[i] = string(unicode.ToUpper(r)) + w[n:]
	}
	return strings.Join(words, " ")
}

// stateMark writes a state with its word and its shape, so that colour is never alone.
func stateMark(state, word string) template.HTML {
	shapes := map[string]string{"good": "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z", "late": "M8 1.5 15 14.5H1Z", "bad": "M2.5 2.5h11v11h-11Z", "unknown": "M8 1 15 8 8 15 1 8Z"}
	d, ok := shapes[state]
	if !ok {
		state, d = "unknown", shapes["unknown"]
	}
	if word == "" {
		word = state
	}
	return template.HTML(`<span class="state state-` + state + `"><svg viewBox="0 0 16 16" width="10" height="10" aria-hidden="true"><path d="` + d + `"/></svg>` +
		template.HTMLEscapeString(word) + `</span>`)
}
