package rule

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"aida/store"
)

// maxRows is how many rows of a result are looked at.
const maxRows = 1000

// run does one run of a rule and notes it together with what it tells, in one transaction. An error means that nothing was noted.
func (r *Runner) run(ctx context.Context, u store.User, rule *Rule, st store.RuleState) (store.RuleState, error) {
	begin := r.o.Now()
	if rule.Schedule != nil && !st.NextAt.IsZero() && !begin.Before(st.NextAt) {
		st.NextAt = rule.Schedule.Next(begin) // what was missed is made up for once
	} else if rule.Schedule == nil {
		st.NextAt = time.Time{}
	}
	v, err := r.inspect(ctx, u, rule, st)
	if ctx.Err() != nil {
		return st, ctx.Err()
	}
	if err != nil {
		return st, err
	}
	if v.outcome != store.RuleFailed {
		st.Data, st.Result, st.Previous = v.data, v.result, v.previous
	}
	switch {
	case v.outcome == store.RuleHolds && st.HeldSince.IsZero():
		st.HeldSince = begin
	case v.outcome == store.RuleClear:
		st.HeldSince = time.Time{}
	}
	st.RanAt, st.Outcome, st.Problem = begin, v.outcome, v.problem
	run := store.RuleRun{At: begin, Duration: r.o.Now().Sub(begin), Outcome: v.outcome, Result: v.result, Problem: v.problem}
	told, err := r.o.Store.FinishRule(ctx, st, run, v.raise(u.Name, st.Name, rule))
	if err == nil && told != "" {
		r.o.Log.Info("alert", "source", store.RuleSource(u.Name, st.Name), "state", told)
	}
	return st, err
}

// verdict is what a run found.
type verdict struct {
	outcome  store.RuleOutcome
	problem  string // why it failed or is not known
	result   *store.RuleResult
	previous *store.RuleResult
	data     string
	facts    Facts
	title    string
	message  string
	recovery string
}

func failed(format string, args ...any) verdict {
	return verdict{outcome: store.RuleFailed, problem: fmt.Sprintf(format, args...)}
}

// fail keeps what was found, for a preview.
func (v verdict) fail(format string, args ...any) verdict {
	out := failed(format, args...)
	out.facts = v.facts
	return out
}

// inspect asks the query and decides. A fault that the author can mend, or should know of, is a verdict; only a failure of the
// place itself that may pass is an error.
func (r *Runner) inspect(ctx context.Context, u store.User, rule *Rule, st store.RuleState) (v verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.Error("panic in an alert rule", "user", u.Name, "rule", st.Name, "panic", p, "stack", string(debug.Stack()))
			v, err = failed("an internal error happened: tell an admin"), nil
		}
	}()
	access, err := r.o.Store.Access(ctx, u.ID) // of this moment
	if err != nil {
		return v, err
	}
	if !access.User.SuspendedAt.IsZero() {
		return v, errors.New("the author was suspended")
	}
	allowed, err := r.o.Store.RuleGroups(ctx, u.ID)
	if err != nil {
		return v, err
	}
	for _, g := range rule.Groups {
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, g) }) {
			return failed("recipients: your rules may not send to the group %s: ask an admin to allow it on the group's page", g), nil
		}
	}
	res, err := r.o.Query.Query(ctx, access, rule.SQL, maxRows)
	switch {
	case ctx.Err() != nil:
		return v, ctx.Err()
	case store.CodeOf(err) != "":
		return failed("%s", err), nil
	case err != nil:
		r.o.Log.Error("the query of an alert rule failed", "user", u.Name, "rule", st.Name, "error", err)
		return failed("the data could not be read, so nothing is known: an admin finds the cause in the log"), nil
	}
	return decide(rule, st, res, r.o.Now()), nil
}

// decide holds a result against the condition and writes the texts.
func decide(rule *Rule, st store.RuleState, res Result, now time.Time) verdict {
	if len(res.Columns) == 0 {
		return failed("the query has no column")
	}
	v := verdict{result: resultOf(res), data: res.Data, previous: st.Previous}
	if st.Result != nil && st.Data != res.Data { // the last one was over other data: that is what this one is compared with
		v.previous = st.Result
	}
	v.facts = Facts{Columns: res.Columns, Rows: res.Rows, Previous: v.previous}
	holds, err := rule.Condition.Holds(v.facts)
	switch {
	case errors.Is(err, errNoPrevious):
		v.outcome, v.problem = store.RuleUnknown, err.Error()
		return v
	case err != nil:
		return v.fail("when: %v", err)
	case holds:
		v.outcome = store.RuleHolds
	default:
		v.outcome = store.RuleClear
	}
	if rule.Condition.cut(res.More) {
		return v.fail("when: the query gives more than %d rows, so their number is not known: count them in the SQL, as in SELECT count(*)", maxRows)
	}
	data := telling(v.facts, rule.Condition.String(), now)
	for _, t := range []struct {
		key  string
		from *text
		into *string
	}{{"title", rule.Title, &v.title}, {"message", rule.Message, &v.message}, {"recovery", rule.Recovery, &v.recovery}} {
		s, err := t.from.render(data)
		if err != nil {
			return v.fail("%s: %v", t.key, err)
		}
		*t.into = s
	}
	v.title = strings.Join(strings.Fields(v.title), " ")
	if v.title == "" {
		v.title = st.Name
	}
	if rule.Message == nil {
		v.message = "The condition " + rule.Condition.String() + " holds: " + found(v.facts) + "."
	}
	if rule.Recovery == nil {
		v.recovery = "The condition " + rule.Condition.String() + " holds no longer: " + found(v.facts) + "."
	}
	return v
}

// found says in words what the query gave.
func found(f Facts) string {
	if len(f.Rows) == 1 && len(f.Columns) == 1 {
		return f.Columns[0] + " is " + show(f.Rows[0][0])
	}
	if len(f.Rows) == 1 {
		return "there is 1 row"
	}
	return fmt.Sprintf("there are %d rows", len(f.Rows))
}

func resultOf(res Result) *store.RuleResult {
	out := &store.RuleResult{Rows: len(res.Rows)}
	if len(res.Rows) == 0 {
		return out
	}
	switch v := res.Rows[0][0].(type) {
	case int64:
		out.Value = float64(v)
	case float64:
		if out.Value = v; math.IsNaN(v) || math.IsInf(v, 0) {
			out.Value = fmt.Sprint(v)
		}
	case string:
		out.Value = kept(v)
	case []byte:
		out.Value = kept(string(v))
	}
	return out
}

// raise is what is told of a verdict.
func (v verdict) raise(user, name string, rule *Rule) []store.Raise {
	if v.outcome == store.RuleFailed {
		return []store.Raise{brokenAlert(user, name, v.problem)}
	}
	out := []store.Raise{{Source: store.RuleSource(user, name), Dedupe: store.RuleBroken, Severity: store.Info, Title: "Your rule " + name + " works again",
		To: store.Audience{User: user}, Recovered: true, Link: link(name)}}
	a := store.Raise{Source: store.RuleSource(user, name), Dedupe: store.RuleCondition, Severity: rule.Severity, Title: v.title, Message: v.message,
		To: store.Audience{Groups: rule.Groups}, Cooldown: rule.Cooldown}
	if rule.Self {
		a.To.User = user
	}
	if len(rule.Groups) == 0 { // others have no page of it
		a.Link = link(name)
	}
	switch v.outcome {
	case store.RuleHolds:
		return append(out, a)
	case store.RuleClear:
		a.Message, a.Recovered, a.Silent = v.recovery, true, rule.Quiet
		return append(out, a)
	}
	return out
}

// brokenAlert tells the author that a rule does not work, once until it does.
func brokenAlert(user, name, problem string) store.Raise {
	return store.Raise{Source: store.RuleSource(user, name), Dedupe: store.RuleBroken, Severity: store.Warning, Title: "Your rule " + name + " is broken",
		Message: problem + "\nUntil it is mended, it tells nothing.", To: store.Audience{User: user}, Cooldown: -1, Link: link(name)}
}

func link(name string) string { return "/alerts/rules/" + url.PathEscape(name) }
