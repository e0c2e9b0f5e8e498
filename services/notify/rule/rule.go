// Package rule runs the alert rules that analysts write as YAML files into user/notifications of their homes: SQL over the
// tables that the author may read, a condition on its result, and a message. It reads and writes those files, plans runs,
// and hands what is to be told to the outbox. It never touches the lake and never decides who may read what: the query runs
// with the author's access of that moment, through the Querier that it is handed.
//
//	r := rule.New(rule.Options{Store: st, Query: engine, Home: "data/home", Wake: notify.Wake})
//	err := r.Run(ctx)
package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"aida/config/strict"
	"aida/store"

	"github.com/robfig/cron/v3"
)

// Rule is one alert rule, checked.
type Rule struct {
	Label     string // what lists call it
	SQL       string
	Condition Condition
	Title     *text
	Message   *text
	Recovery  *text
	Quiet     bool // nobody is told of the recovery
	Severity  store.Severity
	Schedule  cron.Schedule // nil = not by the clock
	After     string        // table whose syncs start it, "" = none
	Timing    string        // schedule, zone and table as they were written
	Cooldown  time.Duration // between repetitions; 0 = each run, below 0 = not until it recovered
	Groups    []string      // beside the author, or instead
	Self      bool
	Enabled   bool
}

// Limits of a rule's file. What its query may take is bounded by what the Querier allows.
const (
	maxFile       = 64 << 10
	maxRules      = 50
	shortestEvery = time.Minute
	usualCooldown = time.Hour
	maxGroups     = 10
)

// Hash tells versions of a file apart.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}

// Parse reads a rule. Everything that is wrong is told with file, line and column.
func Parse(file, text string) (*Rule, []error) {
	if len(text) > maxFile {
		return nil, []error{&strict.Problem{File: file, Line: 1, Col: 1, Text: fmt.Sprintf("the file is longer than %d bytes", maxFile)}}
	}
	f := form{rule: &Rule{}}
	problems := strict.Decode(strict.Source{Name: file, Text: []byte(text)}, &f)
	if len(problems) == 0 && !f.read {
		problems = []error{&strict.Problem{File: file, Line: 1, Col: 1, Text: "the file is empty: a rule needs sql, when, title, and schedule or after"}}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return f.rule, nil
}
