package rule

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"aida/config/strict"
	"aida/store"

	"github.com/robfig/cron/v3"
)

// scan looks at everybody's files. The rules of who is suspended rest.
func (r *Runner) scan(ctx context.Context) error {
	users, err := r.o.Store.Users(ctx)
	if err != nil {
		return err
	}
	version, err := r.o.Store.AccessVersion(ctx)
	if err != nil {
		return err
	}
	there := map[int64]bool{}
	var problems []error
	for _, u := range users {
		if !u.SuspendedAt.IsZero() {
			continue
		}
		there[u.ID] = true
		p := r.people[u.ID]
		if p == nil {
			p = &person{files: map[string]*known{}}
			r.people[u.ID] = p
		}
		if p.user = u; p.access != nil && p.access.Version != version {
			p.access = nil
		}
		if err := r.scanHome(ctx, p); err != nil {
			problems = append(problems, err)
		}
	}
	for id, p := range r.people {
		if !there[id] && p.running == "" {
			delete(r.people, id)
		}
	}
	return errors.Join(problems...)
}

func (r *Runner) scanHome(ctx context.Context, p *person) error {
	seen := map[string]bool{}
	var problems []error
	err := r.withHome(p.user.Name, func(h *home) error {
		list, err := h.list()
		if err != nil {
			return err
		}
		for _, e := range list {
			seen[e.name] = true
			k := p.files[e.name]
			if k == nil || !k.entry.same(e) {
				fresh := &known{entry: e}
				if k != nil {
					fresh.hash = k.hash
				}
				p.files[e.name] = fresh
				continue
			}
			if k.settled || p.running == e.name { // a run ends with what it began with
				continue
			}
			if err := r.settle(ctx, h, p, k); err != nil && !errors.Is(err, errChanged) {
				problems = append(problems, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name := range p.files {
		if !seen[name] && p.running != name {
			delete(p.files, name)
		}
	}
	for k := range r.states { // files that went, while this process ran or before
		if k.user == p.user.ID && !seen[k.name] && p.running != k.name {
			problems = append(problems, r.forget(ctx, p, k.name, true))
		}
	}
	return errors.Join(problems...)
}

func (r *Runner) forget(ctx context.Context, p *person, name string, gone bool) error {
	if err := r.o.Store.ForgetRule(ctx, p.user.ID, p.user.Name, name, gone); err != nil {
		return err
	}
	delete(r.states, key{p.user.ID, name})
	return nil
}

// settle reads a file that has come to rest, and plans it.
func (r *Runner) settle(ctx context.Context, h *home, p *person, k *known) error {
	var rule *Rule
	problem, hash := k.entry.problem, ""
	if problem == "" {
		text, err := h.read(k.entry)
		if err != nil {
			return err
		}
		hash = Hash(text)
		var list []error
		rule, list = r.guarded(p.user.Name, k.entry.file, func() (*Rule, []error) { return Parse(k.entry.file, text) })
		problem = sentences(list)
	}
	edited := k.hash != "" && k.hash != hash
	if err := r.take(ctx, p, k, rule, problem, edited); err != nil {
		return err
	}
	k.hash, k.settled = hash, true
	return nil
}

// guarded reads a file where everybody's are read: a fault of the program in one of them, which anybody may have written, ends
// nothing but the reading of that one.
func (r *Runner) guarded(user, file string, read func() (*Rule, []error)) (rule *Rule, problems []error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.Error("panic in reading an alert rule", "user", user, "file", file, "panic", p, "stack", string(debug.Stack()))
			rule, problems = nil, []error{&strict.Problem{File: file, Line: 1, Col: 1, Text: "an internal error happened while this was read: tell an admin"}}
		}
	}()
	return read()
}

// take goes on with what a file says now.
func (r *Runner) take(ctx context.Context, p *person, k *known, rule *Rule, problem string, edited bool) error {
	k.rule = rule
	switch {
	case problem != "":
		return r.broken(ctx, p, k, problem)
	case !rule.Enabled:
		if _, ok := r.states[key{p.user.ID, k.entry.name}]; ok {
			return r.forget(ctx, p, k.entry.name, false)
		}
		return nil
	}
	return r.plan(ctx, p, k, edited)
}

func sentences(list []error) string {
	var out []string
	for _, err := range list {
		out = append(out, err.Error())
	}
	return strings.Join(out, "\n")
}

// plan sets when a rule runs next. What is remembered of it stays as far as it still fits.
func (r *Runner) plan(ctx context.Context, p *person, k *known, edited bool) error {
	id := key{p.user.ID, k.entry.name}
	st, ok := r.states[id]
	before := st
	st.UserID, st.Name = id.user, id.name
	now := r.o.Now()
	if !ok || st.Timing != k.rule.Timing {
		st.Timing, st.NextAt, st.SeenAt = k.rule.Timing, time.Time{}, now
		if k.rule.Schedule != nil {
			st.NextAt = k.rule.Schedule.Next(now)
			if _, every := k.rule.Schedule.(cron.ConstantDelaySchedule); every {
				st.NextAt = now
			}
		}
	}
	if st.Query != k.rule.SQL {
		st.Query, st.Data, st.Result, st.Previous = k.rule.SQL, "", nil, nil
	}
	if edited && st.Outcome == store.RuleFailed {
		st.NextAt = now // tell whether it is mended
	}
	if ok && st == before {
		return nil
	}
	if err := r.o.Store.SetRule(ctx, st); err != nil {
		return err
	}
	r.states[id] = st
	return nil
}

// broken tells the author once that a file is no rule.
func (r *Runner) broken(ctx context.Context, p *person, k *known, problem string) error {
	id := key{p.user.ID, k.entry.name}
	st := r.states[id]
	if st.Outcome == store.RuleFailed && st.Problem == problem {
		return nil
	}
	now := r.o.Now()
	st.UserID, st.Name, st.Outcome, st.Problem, st.RanAt = id.user, id.name, store.RuleFailed, problem, now
	if _, err := r.o.Store.FinishRule(ctx, st, store.RuleRun{At: now, Outcome: store.RuleFailed, Problem: problem}, []store.Raise{brokenAlert(p.user.Name, id.name, problem)}); err != nil {
		return err
	}
	r.states[id] = st
	r.o.Wake()
	return nil
}
