package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// said is what a script prints: one JSON object with these fields. Others, such as data, are passed over.
type said struct {
	Notify   bool
	Title    string
	Message  string
	Image    string
	Cooldown time.Duration
}

// errSilent tells that a script printed nothing at all.
var errSilent = errors.New("it printed nothing: print one JSON object, such as {\"notify\": false}")

// parse reads what a script printed. Errors are sentences for its author.
func parse(out []byte) (said, error) {
	out = numbers(bytes.TrimSpace(bytes.TrimPrefix(out, []byte("\xef\xbb\xbf"))))
	if len(out) == 0 {
		return said{}, errSilent
	}
	var fields map[string]json.RawMessage
	in := json.NewDecoder(bytes.NewReader(out))
	if err := in.Decode(&fields); err != nil || fields == nil {
		return said{}, fmt.Errorf("it printed something else than one JSON object: %s", begin(out))
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return said{}, fmt.Errorf("it printed more than one JSON object; print nothing else to stdout. Behind the first comes: %s", begin(bytes.TrimSpace(out[in.InputOffset():])))
	}
	var s said
	if v, ok := fields["notify"]; ok && json.Unmarshal(v, &s.Notify) != nil {
		return said{}, fmt.Errorf(`"notify" must be true or false, not %s`, begin(v))
	}
	for name, to := range map[string]*string{"title": &s.Title, "message": &s.Message, "image_path": &s.Image} {
		if v, ok := fields[name]; ok && json.Unmarshal(v, to) != nil {
			return said{}, fmt.Errorf("%q must be text, not %s", name, begin(v))
		}
		*to = strings.TrimSpace(*to)
	}
	if s.Notify && s.Title == "" && s.Message == "" && s.Image == "" {
		return said{}, errors.New(`it said "notify": true without a title, a message or a picture`)
	}
	var cooldown string
	_ = json.Unmarshal(fields["cooldown"], &cooldown) // as ever, what cannot be read is the default
	s.Cooldown = cooldownOf(cooldown)
	return s, nil
}

// pythonNumber finds, beside texts, the three numbers that Python's json module writes and JSON does not have.
var pythonNumber = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b`)

// numbers makes those numbers null, so that a mean of nothing in data takes no alert away.
func numbers(out []byte) []byte {
	if !bytes.Contains(out, []byte("NaN")) && !bytes.Contains(out, []byte("Infinity")) {
		return out
	}
	return pythonNumber.ReplaceAllFunc(out, func(m []byte) []byte {
		if m[0] == '"' {
			return m
		}
		return []byte("null")
	})
}

// begin shows the beginning of an output on one line.
func begin(b []byte) string {
	const most = 120
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(b[:min(len(b), 4*most)]), "\uFFFD")), " ")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "..."
	}
	return text
}

// defaultCooldown is the least time between two alerts of a script that does not say.
const defaultCooldown = time.Hour

// cooldownOf reads 30m, 6h or 1d. What is anything else counts as an hour.
func cooldownOf(s string) time.Duration {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return defaultCooldown
	}
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 63)
	if unit == 0 || err != nil {
		return defaultCooldown
	}
	if n > uint64(math.MaxInt64/unit)/2 {
		return math.MaxInt64 / 2
	}
	return time.Duration(n) * unit
}
