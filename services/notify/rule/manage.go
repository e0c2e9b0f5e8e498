package rule

import (
	"context"
	"errors"
	"strings"
	"time"

	"aida/store"
)

// List gives a person's rules by name, as their files are now.
func (r *Runner) List(ctx context.Context, u store.User) (out []store.Rule, err error) {
	states, err := r.statesOf(ctx, u)
	if err != nil {
		return nil, err
	}
	err = r.withHome(u.Name, func(h *home) error {
		list, err := h.list()
		if err != nil {
			return err
		}
		for _, e := range list {
			one, err := ruleOf(h, e, states)
			if err != nil {
				return err
			}
			one.Text = ""
			out = append(out, one)
		}
		return nil
	})
	return out, err
}

// Get gives one rule with its text.
func (r *Runner) Get(ctx context.Context, u store.User, name string) (out store.Rule, err error) {
	states, err := r.statesOf(ctx, u)
	if err != nil {
		return out, err
	}
	out.Name = name
	found := false
	err = r.withHome(u.Name, func(h *home) error {
		e, err := h.find(name)
		if err == nil {
			out, err = ruleOf(h, e, states)
			found = true
		}
		return err
	})
	if err == nil && !found {
		err = noRule(name)
	}
	return out, err
}

func noRule(name string) error {
	return &store.Error{Code: store.NotFound, Message: "there is no rule " + name, Hint: "look at the list of your rules"}
}

func (r *Runner) statesOf(ctx context.Context, u store.User) (map[string]store.RuleState, error) {
	list, err := r.o.Store.RuleStates(ctx, u.ID)
	out := make(map[string]store.RuleState, len(list))
	for _, s := range list {
		out[s.Name] = s
	}
	return out, err
}

func ruleOf(h *home, e entry, states map[string]store.RuleState) (store.Rule, error) {
	out := store.Rule{Name: e.name, File: e.file, State: states[e.name], Enabled: true}
	if e.problem != "" {
		out.Problems = []string{e.problem}
		return out, nil
	}
	text, err := h.read(e)
	if errors.Is(err, errChanged) {
		out.Problems = []string{err.Error()}
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Text, out.Hash = text, Hash(text)
	rule, problems := Parse(e.file, text)
	for _, p := range problems {
		out.Problems = append(out.Problems, p.Error())
	}
	if rule != nil {
		out.Label, out.Condition, out.Timing, out.Severity, out.Enabled = rule.Label, rule.Condition.String(), rule.Timing, rule.Severity, rule.Enabled
	}
	return out, nil
}

// Save writes a rule's file. was is the hash of the text that was edited, "" for a new rule: what somebody else wrote
// meanwhile is not overwritten. A text that is no rule is refused.
func (r *Runner) Save(ctx context.Context, u store.User, name, text, was string) error {
	if !properName(name) {
		return &store.Error{Code: store.Invalid, Message: "the name of the file is missing or has other signs", Hint: "use letters, digits, dots, dashes and underscores, 64 at most"}
	}
	text = strings.ReplaceAll(text, "\r\n", "\n") // as browsers send it
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	file := name + ".yaml"
	if _, problems := Parse(file, text); len(problems) > 0 {
		return &store.Error{Code: store.Invalid, Message: sentences(problems)}
	}
	h, err := makeHome(r.o.Home, u.Name)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := h.list()
	if err != nil {
		return err
	}
	have := ""
	for _, e := range list {
		if e.name == name {
			if have, err = h.read(e); err != nil && e.problem == "" {
				return err
			}
			have, file = Hash(have), e.file
		}
	}
	switch {
	case have != was && was == "":
		return &store.Error{Code: store.Conflict, Message: "there is a rule " + name + " already", Hint: "choose another name, or edit that one"}
	case have != was:
		return &store.Error{Code: store.Conflict, Message: "the file was changed or removed meanwhile", Hint: "open the rule again and make your change there"}
	case was == "" && len(list) >= maxRules:
		return &store.Error{Code: store.Conflict, Message: "you have as many rules as one may have", Hint: "remove one first"}
	}
	if err := h.write(file, text); err != nil {
		return err
	}
	return r.changed(ctx, u, "save", name)
}

func (r *Runner) changed(ctx context.Context, u store.User, action, name string) error {
	r.Refresh()
	return r.o.Store.AuditRule(ctx, u.Name, action, u.Name+"/"+name)
}

// Remove deletes a rule's file.
func (r *Runner) Remove(ctx context.Context, u store.User, name string) error {
	removed := false
	err := r.withHome(u.Name, func(h *home) error {
		e, err := h.find(name)
		if err == nil {
			err = h.root.Remove(e.file)
			removed = err == nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !removed:
		return noRule(name)
	}
	return r.changed(ctx, u, "remove", name)
}

// Switch turns a rule on or off by the key "enabled" in its file; the rest of the text stays as it is.
func (r *Runner) Switch(ctx context.Context, u store.User, name string, on bool) error {
	have, err := r.Get(ctx, u, name)
	if err != nil {
		return err
	}
	if have.Hash == "" {
		return &store.Error{Code: store.Conflict, Message: strings.Join(have.Problems, "\n")}
	}
	return r.Save(ctx, u, name, withEnabled(have.Text, on), have.Hash)
}

// withEnabled sets the key on a line of its own, in its place or at the end.
func withEnabled(text string, on bool) string {
	want := "enabled: false\n"
	if on {
		want = "enabled: true\n"
	}
	var b strings.Builder
	done := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "enabled:") {
			line, done = want, true
		}
		b.WriteString(line)
	}
	out := b.String()
	if done {
		return out
	}
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out + want
}

const (
	previewRows = 20
	previewCell = 200
)

// Preview says what a text would do as a rule now, without noting or telling anything.
func (r *Runner) Preview(ctx context.Context, u store.User, name, text string) (out store.RulePreview, err error) {
	rule, problems := Parse(name+".yaml", text)
	for _, p := range problems {
		out.Problems = append(out.Problems, p.Error())
	}
	if rule == nil {
		return out, nil
	}
	if rule.After != "" {
		access, err := r.o.Store.Access(ctx, u.ID)
		if err != nil {
			return out, err
		}
		if _, err := tableNamed(access, rule.After); err != nil {
			out.Problems = append(out.Problems, err.Error())
		}
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case r.previews <- struct{}{}:
		defer func() { <-r.previews }()
	case <-wait.Done():
		return out, &store.Error{Code: store.Conflict, Message: "other previews are running", Hint: "try again in a moment"}
	}
	states, err := r.statesOf(ctx, u)
	if err != nil {
		return out, err
	}
	st := states[name]
	if st.Name = name; st.Query != rule.SQL {
		st.Result, st.Previous = nil, nil
	}
	v, err := r.inspect(ctx, u, rule, st)
	if err != nil {
		return out, err
	}
	out.Outcome, out.Why = v.outcome, v.problem
	out.Columns, out.Count = v.facts.Columns, len(v.facts.Rows)
	for _, row := range v.facts.Rows[:min(len(v.facts.Rows), previewRows)] {
		var cells []string
		for _, c := range row {
			s := []rune(show(c))
			if len(s) > previewCell {
				s = append(s[:previewCell], '…')
			}
			cells = append(cells, string(s))
		}
		out.Rows = append(out.Rows, cells)
	}
	out.More = len(v.facts.Rows) > previewRows
	out.Title, out.Message = v.title, v.message
	if v.outcome == store.RuleClear {
		out.Message = v.recovery
	}
	to := store.Audience{Groups: rule.Groups}
	if rule.Self {
		to.User = u.Name
	}
	out.Recipient = to.String()
	return out, nil
}
