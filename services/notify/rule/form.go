package rule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"aida/config/strict"
	"aida/store"

	"github.com/goccy/go-yaml/ast"
	"github.com/robfig/cron/v3"
)

// form is the file as it is written.
type form struct {
	keys
	rule *Rule
	read bool
}

type keys struct {
	Name       line  `yaml:"name"`
	SQL        line  `yaml:"sql"`
	When       line  `yaml:"when"`
	Title      line  `yaml:"title"`
	Message    line  `yaml:"message"`
	Recovery   line  `yaml:"recovery"`
	Severity   line  `yaml:"severity"`
	Schedule   line  `yaml:"schedule"`
	TimeZone   line  `yaml:"time_zone"`
	After      line  `yaml:"after"`
	Cooldown   line  `yaml:"cooldown"`
	Recipients words `yaml:"recipients"`
	Enabled    *bool `yaml:"enabled"`
}

// line is a text that knows where it stands; at is nil when the key is not there.
type line struct {
	text string
	at   ast.Node
}

// DecodeNode takes the text.
func (l *line) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if text, ok := d.Scalar(path, n); ok {
		l.text, l.at = strings.TrimSpace(text), n
	}
}

// words is a list of texts, or one text.
type words struct {
	list []line
	at   ast.Node
}

// DecodeNode takes the texts.
func (w *words) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	w.at = n
	nodes := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		nodes = s.Values
	}
	for _, n := range nodes {
		var l line
		if l.DecodeNode(d, path, n); l.at != nil {
			w.list = append(w.list, l)
		}
	}
}

// DecodeNode reads the keys and checks what they say, while their places are known.
func (f *form) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	f.read = true
	before := len(d.Problems)
	d.Object(path, n, &f.keys)
	if len(d.Problems) > before {
		return // what is missing may only be misspelt
	}
	switch m := n.(type) { // what is missing is told of at the first key
	case *ast.MappingNode:
		if len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	r := f.rule
	r.Label, r.SQL, r.Enabled = f.Name.text, f.SQL.text, f.Enabled == nil || *f.Enabled
	for _, need := range []struct {
		key, why string
		l        line
	}{{"sql", "a SELECT over the tables that you may read", f.SQL}, {"when", `a condition such as "rows > 0" or "value < 100"`, f.When}, {"title", "the first line of the alert", f.Title}} {
		if need.l.text == "" {
			d.Fail(n, "%s is missing: give %s", need.key, need.why)
		}
	}
	if f.When.text != "" {
		var err error
		if r.Condition, err = ParseCondition(f.When.text); err != nil {
			d.Fail(f.When.at, "when: %v", err)
		}
	}
	f.texts(d)
	f.timing(d, n)
	f.telling(d)
}

// texts reads the templates.
func (f *form) texts(d *strict.Decoder) {
	r := f.rule
	read := func(key string, l line, into **text) {
		if l.text == "" {
			return
		}
		t, err := parseText(l.text)
		if err != nil {
			d.Fail(l.at, "%s: %v", key, err)
		}
		*into = t
	}
	read("title", f.Title, &r.Title)
	read("message", f.Message, &r.Message)
	if f.Recovery.text == "off" || f.Recovery.text == "false" {
		r.Quiet = true
		return
	}
	read("recovery", f.Recovery, &r.Recovery)
}

// timing reads when the rule runs.
func (f *form) timing(d *strict.Decoder, n ast.Node) {
	r := f.rule
	if f.Schedule.text == "" && f.After.text == "" {
		d.Fail(n, `say when the rule runs: schedule, such as "every 1h" or "0 8 * * 1-5", or after, with the table whose syncs start it`)
		return
	}
	zone := time.UTC
	if f.TimeZone.text != "" {
		var err error
		if zone, err = time.LoadLocation(f.TimeZone.text); err != nil {
			d.Fail(f.TimeZone.at, "time_zone: %q is not known: write it as Europe/Prague", f.TimeZone.text)
			zone = time.UTC
		}
	}
	if f.Schedule.text != "" {
		var err error
		if r.Schedule, err = parseSchedule(f.Schedule.text, zone); err != nil {
			d.Fail(f.Schedule.at, "schedule: %v", err)
		}
		r.Timing = f.Schedule.text
		if f.TimeZone.text != "" {
			r.Timing += " (" + f.TimeZone.text + ")"
		}
	}
	if r.After = f.After.text; r.After != "" {
		r.Timing = strings.TrimPrefix(r.Timing+", after "+r.After, ", ")
	}
}

// parseSchedule reads a cron line of five fields, or "every 1h".
func parseSchedule(text string, zone *time.Location) (cron.Schedule, error) {
	const hint = `write a cron line such as "0 8 * * 1-5", or "every 1h", one minute at least`
	if rest, ok := strings.CutPrefix(text, "every "); ok {
		d, err := length(strings.ReplaceAll(rest, " ", ""))
		if err != nil || d < shortestEvery {
			return nil, fmt.Errorf("%q: %s", text, hint)
		}
		return cron.Every(d), nil
	}
	if strings.Contains(text, "TZ=") {
		return nil, fmt.Errorf("%q: give the zone as time_zone", text)
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w: %s", text, err, hint)
	}
	if spec, ok := s.(*cron.SpecSchedule); ok {
		spec.Location = zone
	} else if every, ok := s.(cron.ConstantDelaySchedule); ok && every.Delay < shortestEvery {
		return nil, fmt.Errorf("%q: %s", text, hint)
	}
	return s, nil
}

// length reads 90s, 2h30m or 7d.
func length(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 366 {
			return 0, fmt.Errorf("%q is not a length of time", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d < 0 || d > 366*24*time.Hour) {
		err = fmt.Errorf("%q is not a length of time", text)
	}
	return d, err
}

// telling reads who is told, how loud, and how often.
func (f *form) telling(d *strict.Decoder) {
	r := f.rule
	switch r.Severity = store.Severity(f.Severity.text); r.Severity {
	case store.Info, store.Warning, store.Critical:
	case "":
		r.Severity = store.Warning
	default:
		d.Fail(f.Severity.at, "severity: %q is not one of info, warning, critical", f.Severity.text)
	}
	switch text := f.Cooldown.text; text {
	case "":
		r.Cooldown = usualCooldown
	case "until recovered":
		r.Cooldown = -1
	default:
		var err error
		if r.Cooldown, err = length(text); err != nil {
			d.Fail(f.Cooldown.at, `cooldown: %q is not a length of time: write it as 30m, 6h or 1d, as 0s to be told at each run, or as "until recovered"`, text)
		}
	}
	r.Self = f.Recipients.at == nil
	for _, l := range f.Recipients.list {
		group, isGroup := strings.CutPrefix(l.text, "group:")
		switch group = strings.TrimSpace(group); {
		case l.text == "self":
			r.Self = true
		case !isGroup || group == "":
			d.Fail(l.at, `recipients: %q is neither "self" nor a group: write a group as "group:finance"`, l.text)
		default:
			r.Groups = append(r.Groups, group)
		}
	}
	if f.Recipients.at != nil && !r.Self && len(r.Groups) == 0 {
		d.Fail(f.Recipients.at, `recipients: nobody is named: write self, or groups as "group:finance"`)
	}
	if len(r.Groups) > maxGroups {
		d.Fail(f.Recipients.at, "recipients: more than %d groups", maxGroups)
	}
}
