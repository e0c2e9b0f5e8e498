package rule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aida/store"
)

const good = `name: Revenue of the day
sql: SELECT sum(amount) AS revenue FROM orders
when: value < 100
title: "Revenue fell to {{number .value 2}}"
schedule: every 1h
`

func TestARuleSaysWhatItNeedsAndTheRestHasDefaults(t *testing.T) {
	r, problems := Parse("revenue.yaml", good)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if r.Label != "Revenue of the day" || r.Cooldown != time.Hour || r.Severity != store.Warning || !r.Self || !r.Enabled || r.Timing != "every 1h" || r.After != "" {
		t.Errorf("%+v", r)
	}
	r, problems = Parse("revenue.yaml", good+"after: sales.orders\ncooldown: until recovered\nrecipients: [self, group:finance]\nseverity: critical\nenabled: false\nrecovery: off\ntime_zone: Europe/Prague\n")
	if len(problems) > 0 || r.Cooldown != -1 || r.Groups[0] != "finance" || r.Severity != store.Critical || r.Enabled || !r.Quiet || r.Timing != "every 1h (Europe/Prague), after sales.orders" {
		t.Errorf("%+v %v", r, problems)
	}
	r, _ = Parse("revenue.yaml", strings.Replace(good, "every 1h", `"0 8 * * 1-5"`, 1)+"time_zone: Europe/Prague\n")
	if got := r.Schedule.Next(time.Date(2026, 7, 3, 12, 0, 0, 0, time.UTC)).UTC().Format(time.DateTime); got != "2026-07-06 06:00:00" {
		t.Errorf("a cron line in its zone: %s", got)
	}
}

func TestEachMistakeIsToldWithItsPlaceAndTheFix(t *testing.T) {
	for change, want := range map[string]string{
		"whne: rows > 0":                   `x.yaml:6:1: unknown key "whne": did you mean "when"?`,
		"severity: loud":                   `x.yaml:6:11: severity: "loud" is not one of info, warning, critical`,
		"cooldown: often":                  `x.yaml:6:11: cooldown: "often" is not a length of time: write it as 30m`,
		"time_zone: Prague":                `x.yaml:6:12: time_zone: "Prague" is not known: write it as Europe/Prague`,
		"recipients: [tom]":                `x.yaml:6:14: recipients: "tom" is neither "self" nor a group: write a group as "group:finance"`,
		"recipients: []":                   `recipients: nobody is named`,
		"enabled: perhaps":                 `x.yaml:6:10: enabled: "perhaps" is not true or false`,
		"message: '{{.revenue'":            `x.yaml:6:10: message: 1: unclosed action`,
		"message: '{{printf .x}}'":         `the function printf is not possible here: use number`,
		"message: '{{call .x}}'":           `the function call is not possible here`,
		"message: '{{range 9}}{{end}}'":    `range goes over the rows only`,
		`message: '{{define "x"}}{{end}}'`: `define and block are not possible here`,
		`message: '{{template "text" .}}'`: `is not possible here`,
		"title: again":                     `x.yaml:6:1: mapping key "title" already defined at [4:1]`,
		"sql:\n  - a":                      `mapping key "sql" already defined`,
		"recovery: '{{range .rows}}{{range $.rows}}{{end}}{{end}}'": `a range in a range is not possible here`,
	} {
		_, problems := Parse("x.yaml", good+change+"\n")
		if got := sentences(problems); !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant %s", change, got, want)
		}
	}
	for text, want := range map[string]string{
		"":                                     "x.yaml:1:1: the file is empty",
		"# nothing":                            "the file is empty",
		"name: x":                              "sql is missing: give a SELECT",
		"{}":                                   "x.yaml:1:1: sql is missing: give a SELECT",
		"- a":                                  "keys with values are expected here",
		"sql: [":                               "x.yaml:1:",
		strings.Repeat("a", 70_000):            "longer than 65536 bytes",
		good[:strings.Index(good, "schedule")]: `say when the rule runs: schedule, such as "every 1h"`,
		strings.Replace(good, "every 1h", "every 5s", 1):    "one minute at least",
		strings.Replace(good, "every 1h", "@every 5s", 1):   "YAML",
		strings.Replace(good, "every 1h", "'@every 5s'", 1): "one minute at least",
		strings.Replace(good, "every 1h", "hourly", 1):      `write a cron line such as`,
		strings.Replace(good, "value < 100", "value", 1):    `x.yaml:3:7: when: an operator`,
	} {
		_, problems := Parse("x.yaml", text)
		if got := sentences(problems); !strings.Contains(got, want) && want != "YAML" || len(problems) == 0 {
			t.Errorf("%.40q\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestConditions(t *testing.T) {
	f := Facts{Columns: []string{"revenue", "kind", "gap"}, Rows: [][]any{{int64(80), "web", nil}, {int64(5), "app", nil}}, Previous: &store.RuleResult{Rows: 4, Value: 100.0}}
	for text, want := range map[string]any{
		"rows > 0": true, "rows = 2": true, "rows == 3": false, "rows <> 2": false, "value < 100": true, "VALUE >= 80.5": false,
		"revenue >= 80": true, `"revenue" > 8e1`: false, "kind = 'web'": true, "kind != 'web'": false, "kind > 'a'": true,
		"value < previous": true, "rows < previous_rows": true, "change = -20": true, "change <= -20%": true, "change < -20.5 %": false,
		"rows > 5 or value < 100": true, "rows > 5 and value < 100 or rows = 2": true, "rows > 1 and value > 100": false, "value < 1_000": true,
		"gap > 0": "gap is empty (NULL): write COALESCE", "nothing > 1": "the result has no column nothing: it has revenue, kind, gap",
		"kind > 5": `kind > 5: "web" is not a number`,
	} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := c.Holds(f)
		if s, ok := want.(string); ok {
			if err == nil || !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v, want %s", text, err, s)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "cut short", "rows": "an operator", "rows >": "cut short", "rows => 1": `"=>" is not an operator`, "5 < rows": "on the left",
		"rows > 0 rows": "join comparisons", "rows > 0 &": "has no meaning", "value < 5%": "a percentage is compared with change", "rows > 0 and": "cut short",
		"kind = 'web": "does not end", "value > 1.2.3": "is not a number", "not rows": "where something to compare",
	} {
		if _, err := ParseCondition(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What is not known is neither good nor bad.
func TestAConditionWithoutItsFactsIsNotDecided(t *testing.T) {
	holds := func(text string, f Facts) error {
		c, err := ParseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Holds(f)
		return err
	}
	one := Facts{Columns: []string{"n"}, Rows: [][]any{{int64(1)}}}
	for _, text := range []string{"value < previous", "change < 0", "change < -5%", "rows < previous_rows"} {
		if err := holds(text, one); !errors.Is(err, errNoPrevious) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := holds("value < 5", Facts{Columns: []string{"n"}}); err == nil || !strings.Contains(err.Error(), "gave no row") {
		t.Error(err)
	}
	one.Previous = &store.RuleResult{Rows: 1, Value: 0.0}
	if err := holds("change > 5%", one); err == nil || !strings.Contains(err.Error(), "was 0") {
		t.Error(err)
	}
}

func TestTemplatesShowTheResultAsPeopleReadIt(t *testing.T) {
	f := Facts{Columns: []string{"name", "amount", "gap", "rows"}, Rows: [][]any{{"<b>Ann</b> *x*", 1234567.5, nil, int64(7)}, {"Bob", int64(-4), nil, int64(8)}}, Previous: &store.RuleResult{Value: "n"}}
	data := telling(f, "rows > 0", time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	for in, want := range map[string]string{
		"{{.name}}": "<b>Ann</b> *x*", "{{number .amount}}": "1,234,568", "{{number .amount 2}}": "1,234,567.50", "{{.amount}}": "1234567.5",
		"{{.gap}}|{{number .gap}}|{{if .gap}}x{{else}}none{{end}}": "(empty)|(empty)|none", "{{.count}} {{.value}} {{.previous}} {{.change}}": "2 <b>Ann</b> *x* n (empty)",
		"{{range .rows}}{{.name}}={{.amount}};{{end}}": "<b>Ann</b> *x*=1234567.5;Bob=-4;", "{{.row.rows}}": "7", "{{.condition}} {{.time}}": "rows > 0 2026-03-01 09:00 UTC",
		"{{if gt .amount 5}}big{{end}}{{if and (lt .count 3) (eq .row.name `Bob`)}}no{{end}}": "big", "{{percent 12.34}}": "12.3%", "{{index .row `amount`}}": "1234567.5",
		"{{len .rows}}": "2", "{{number 0.001}} {{number -0.001}} {{number -1234}}": "0 0 -1,234", "{{/* a */}}x": "x", "a\x1b[2Jb": "a [2Jb",
	} {
		p, err := parseText(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := p.render(data); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{"{{.nothing}}": "nothing", "{{number .name}}": "is not a number", "{{index .rows 9}}": "out of range"} {
		p, err := parseText(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.render(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	long, _ := parseText("{{range .rows}}" + strings.Repeat("x", 10_000) + "{{end}}")
	if got, err := long.render(data); err != nil || len(got) != maxTold {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("when: change < -20% and kind = 'a'\n")
	f.Add("message: '{{range .rows}}{{.a}}{{end}}'\n")
	f.Add("{}")
	f.Fuzz(func(t *testing.T, in string) {
		r, problems := Parse("x.yaml", in)
		if (r == nil) != (len(problems) > 0) {
			t.Fatalf("%v %v", r, problems)
		}
		if r == nil {
			return
		}
		facts := Facts{Columns: []string{"a"}, Rows: [][]any{{int64(1)}}}
		_, _ = r.Condition.Holds(facts)
		for _, s := range []*text{r.Title, r.Message, r.Recovery} {
			if got, _ := s.render(telling(facts, "", time.Time{})); len(got) > maxTold {
				t.Fatal(len(got))
			}
		}
		_ = fmt.Sprint(r.Condition)
	})
}
