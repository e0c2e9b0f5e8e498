package portal

import (
	"context"
	"net/http"
	"net/url"

	"aida/portal/route"
	"aida/store"
)

// Rules keeps people's alert rules: files in their homes, which are the one truth.
type Rules interface {
	List(ctx context.Context, u store.User) ([]store.Rule, error)
	Get(ctx context.Context, u store.User, name string) (store.Rule, error)
	Save(ctx context.Context, u store.User, name, text, was string) error
	Remove(ctx context.Context, u store.User, name string) error
	Switch(ctx context.Context, u store.User, name string, on bool) error
	Preview(ctx context.Context, u store.User, name, text string) (store.RulePreview, error)
}

func (p *Portal) ruleRoutes() []route.Route {
	if p.o.Rules == nil {
		return nil
	}
	return []route.Route{
		{Pattern: "GET /alerts/rules", Who: route.Person, Handle: p.rules},
		{Pattern: "POST /alerts/rules", Who: route.Person, Handle: p.saveRule},
		{Pattern: "GET /alerts/new-rule", Who: route.Person, Handle: p.newRule},
		{Pattern: "GET /alerts/rules/{name}", Who: route.Person, Handle: p.rule},
		{Pattern: "POST /alerts/rules/{name}/switch", Who: route.Person, Handle: p.switchRule},
		{Pattern: "POST /alerts/rules/{name}/remove", Who: route.Person, Handle: p.removeRule},
		{Pattern: "GET /api/v1/rules", Who: route.Caller, Handle: p.ruleList, Doc: &route.Doc{Tag: "Alerts", Summary: "Your alert rules, and how they fare", Answer: rulesAnswer{}}},
	}
}

type rulesAnswer struct {
	Rules []store.Rule `json:"rules"`
}

func (p *Portal) rules(w http.ResponseWriter, r *http.Request) error {
	list, err := p.o.Rules.List(r.Context(), visitorFrom(r).User)
	if err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "rules", page{Title: "Alert rules", Lede: "Each is a file in user/notifications of your home: edit it here, or push it from your laptop.",
		Crumbs: []crumb{{"Alerts", "/alerts"}}, Action: &action{"New rule", "/alerts/new-rule", "plus", true}, Data: list})
}

// ruleList gives the person's rules with how they fared.
func (p *Portal) ruleList(w http.ResponseWriter, r *http.Request) error {
	list, err := p.o.Rules.List(r.Context(), visitorFrom(r).User)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, rulesAnswer{append([]store.Rule{}, list...)})
}

type ruleView struct {
	store.Rule
	New     bool
	Was     string // hash of the text that is edited
	Wrong   string
	Preview *store.RulePreview
	Runs    []store.RuleRun
}

// newRuleText is what a new rule begins with.
const newRuleText = `sql: |
  SELECT count(*) AS orders FROM orders
when: value < 100
title: "Only {{.orders}} orders"
message: |
  {{.orders}} orders are there; before it were {{.previous}}.
severity: warning
schedule: every 1h        # or a cron line, such as "0 8 * * 1-5"
# after: sales.orders     # run when this table was synced
# time_zone: Europe/Prague
cooldown: 6h              # tell again after so long, while it goes on
recovery: "There are {{.orders}} orders again"
`

const rulesShown = 30

func (p *Portal) newRule(w http.ResponseWriter, r *http.Request) error {
	return p.showRule(w, r, http.StatusOK, ruleView{New: true, Rule: store.Rule{Text: newRuleText}})
}

func (p *Portal) rule(w http.ResponseWriter, r *http.Request) error {
	have, err := p.o.Rules.Get(r.Context(), visitorFrom(r).User, r.PathValue("name"))
	if store.CodeOf(err) == store.NotFound {
		return p.notFound(w, r)
	}
	if err != nil {
		return err
	}
	return p.showRule(w, r, http.StatusOK, ruleView{Rule: have, Was: have.Hash})
}

func (p *Portal) showRule(w http.ResponseWriter, r *http.Request, status int, v ruleView) error {
	pg := page{Title: v.Name, Lede: "An alert rule of yours.", Crumbs: []crumb{{"Alerts", "/alerts"}, {"Rules", "/alerts/rules"}}}
	if v.New {
		pg.Title, pg.Lede = "New rule", "SQL over the tables that you may read, a condition, and what to say when it holds."
	} else {
		var err error
		if v.Runs, err = p.store.RuleRuns(r.Context(), visitorFrom(r).User.ID, v.Name, rulesShown); err != nil {
			return err
		}
	}
	pg.Data = v
	return p.render(w, r, status, "rule", pg)
}

// saveRule keeps what was edited, or with the button "preview" shows what it would do now.
func (p *Portal) saveRule(w http.ResponseWriter, r *http.Request) error {
	ctx, me := r.Context(), visitorFrom(r).User
	name, was := r.PostFormValue("name"), r.PostFormValue("was")
	v := ruleView{New: was == "", Was: was}
	if !v.New {
		have, err := p.o.Rules.Get(ctx, me, name)
		if err != nil && store.CodeOf(err) != store.NotFound {
			return err
		}
		v.Rule = have
	}
	v.Name, v.Text = name, r.PostFormValue("text")
	if r.PostFormValue("do") == "preview" {
		seen, err := p.o.Rules.Preview(ctx, me, name, v.Text)
		if store.CodeOf(err) != "" {
			v.Wrong = sentence(err.Error())
		} else if err != nil {
			return err
		} else {
			v.Preview = &seen
		}
		return p.showRule(w, r, http.StatusOK, v)
	}
	switch err := p.o.Rules.Save(ctx, me, name, v.Text, was); {
	case store.CodeOf(err) != "":
		v.Wrong = err.Error() // it begins with the name of the file
		return p.showRule(w, r, http.StatusBadRequest, v)
	case err != nil:
		return err
	}
	return p.done(w, r, rulePath(name), "The rule is saved as user/notifications/%s.yaml in your home.", name)
}

func rulePath(name string) string { return "/alerts/rules/" + url.PathEscape(name) }

func (p *Portal) switchRule(w http.ResponseWriter, r *http.Request) error {
	name, on := r.PathValue("name"), r.PostFormValue("on") == "true"
	if err := p.o.Rules.Switch(r.Context(), visitorFrom(r).User, name, on); err != nil {
		return err
	}
	if on {
		return p.done(w, r, rulePath(name), "The rule is on.")
	}
	return p.done(w, r, rulePath(name), "The rule is off. Its file says so with enabled: false.")
}

func (p *Portal) removeRule(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := p.o.Rules.Remove(r.Context(), visitorFrom(r).User, name); err != nil {
		return err
	}
	return p.done(w, r, "/alerts/rules", "The rule %s is removed from your home.", name)
}
