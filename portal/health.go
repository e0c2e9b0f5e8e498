package portal

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) healthRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /admin/health", Who: route.Admin, Handle: p.health},
		{Pattern: "POST /admin/health", Who: route.Admin, Handle: p.checkAgain},
	}
}

// health shows each promise of the place as one line: how it stands, by what evidence, and what to do.
func (p *Portal) health(w http.ResponseWriter, r *http.Request) error {
	checks, err := p.checks(r, false)
	if err != nil {
		return err
	}
	v := healthView{State: "good", Checks: checks}
	for _, c := range checks {
		switch c.State {
		case "good":
			v.Good++
		case "unknown":
			v.Unknown++
		default:
			v.Wrong++
		}
		v.State = worse(v.State, c.State)
	}
	slices.SortStableFunc(v.Checks, func(x, y Check) int { return cmp.Compare(badness[y.State], badness[x.State]) })
	return p.render(w, r, http.StatusOK, "health", page{Title: "Health", Lede: "What this place promises, and whether it holds.", Data: v})
}

type healthView struct {
	State                string
	Good, Unknown, Wrong int
	Checks               []Check
}

// badness puts states in order.
var badness = map[string]int{"good": 0, "unknown": 1, "late": 2, "bad": 3}

func worse(a, b string) string {
	if badness[b] > badness[a] {
		return b
	}
	return a
}

// isCommand tells whether the way out is a command to type.
func isCommand(fix string) bool {
	return strings.HasPrefix(fix, "aida ") || strings.HasPrefix(fix, "chmod ")
}

// checkAgain looks at everything now.
func (p *Portal) checkAgain(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.checks(r, true); err != nil {
		return err
	}
	return p.done(w, r, "/admin/health", "Everything was looked at just now.")
}

// placeHealth is how the place stands by what was found last; "" when nothing was looked at yet.
func (p *Portal) placeHealth() (state string, wrong int) {
	if p.o.Health == nil {
		return "", 0
	}
	for _, c := range p.o.Health.Known() {
		if c.State == "late" || c.State == "bad" {
			wrong++
		}
		state = worse(cmp.Or(state, "good"), c.State)
	}
	return state, wrong
}

// checks are the portal's own promises and those that app hands in.
func (p *Portal) checks(r *http.Request, fresh bool) ([]Check, error) {
	ctx := r.Context()
	f, err := p.store.Freshness(ctx)
	if err != nil {
		return nil, err
	}
	var out []Check
	if p.o.Health == nil {
		out = append(out, p.freshnessCheck(f))
	}
	runs, err := p.store.Runs(ctx, 1)
	if err != nil {
		return nil, err
	}
	out = append(out, syncCheck(f, runs))
	out = append(out, p.addressCheck(), p.mailCheck(), p.signInCheck())
	if p.o.Health != nil {
		for _, c := range p.o.Health.Checks(ctx, fresh) {
			if c.Evidence = sentence(c.Evidence); !isCommand(c.Fix) {
				c.Fix = sentence(c.Fix)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (p *Portal) freshnessCheck(f store.Freshness) Check {
	c := Check{Name: "Data time", Since: f.SyncedAt}
	chip := p.chipFor(f)
	c.State, c.Evidence = chip.State, chip.Text
	switch {
	case f.SyncedAt.IsZero():
		c.Evidence, c.Fix = "No table was ever synced.", "aida sync"
	case c.State == "late" && f.Failing == 0:
		c.Fix = "aida sync"
	case f.SyncedAt.After(p.now().Add(5 * time.Minute)):
		c.State, c.Evidence, c.Fix = "unknown", "The newest sync is in the future.", "Set the clock of this machine."
	case p.o.Due == nil:
		c.State, c.Evidence = "unknown", chip.Text+". No schedule is set, so nothing says when it is late."
		c.Fix = "Set schedule.default in instance.yaml."
	}
	return c
}

func syncCheck(f store.Freshness, runs []store.Run) Check {
	c := Check{Name: "Sync", State: "unknown", Evidence: "Nothing has run yet."}
	if len(runs) == 0 {
		return c
	}
	last := runs[0]
	c.Since = last.StartedAt
	switch {
	case f.Failing > 0:
		c.State, c.Evidence, c.Fix = "bad", plural(f.Failing, "table fails", "tables fail")+" in the newest run of theirs.", "aida sync"
	case last.Outcome == store.Interrupted:
		c.State, c.Evidence, c.Fix = "late", "The last run was interrupted.", "aida sync"
	case last.Outcome == store.Running:
		c.State, c.Evidence = "good", "A run is on its way."
	case last.Outcome == store.Failed:
		c.State, c.Evidence, c.Fix = "bad", "The last run failed.", "aida sync"
	default:
		c.State, c.Evidence = "good", "Every table's newest run went well."
	}
	if f.Never > 0 && c.State == "good" {
		c.State, c.Evidence, c.Fix = "late", plural(f.Never, "table has", "tables have")+" no data yet.", "aida sync"
	}
	return c
}

func (p *Portal) addressCheck() Check {
	c := Check{Name: "Address", State: "good", Evidence: "People reach this place at " + p.public.String() + "; cookies are sent over TLS only."}
	ip, err := netip.ParseAddr(p.public.Hostname())
	switch {
	case p.secure:
	case err == nil && ip.IsLoopback():
		c.Evidence = "This place is reached at " + p.public.String() + ", on this machine alone."
	default:
		c.State, c.Fix = "bad", "Put a TLS proxy in front, and set public_url to its https address."
		c.Evidence = "People reach this place at " + p.public.String() + ", without TLS: passwords and cookies can be read on the way."
	}
	return c
}

// deliveries is a mailer that knows how its newest letter fared.
type deliveries interface{ LastDelivery() (ok bool, text string) }

func (p *Portal) mailCheck() Check {
	if p.o.Mailer == nil || !p.o.Mailer.Configured() {
		return Check{Name: "Mail", State: "unknown", Evidence: "No mail is configured. Links are printed on the server.", Fix: "Set email.smtp_host in instance.yaml."}
	}
	if d, ok := p.o.Mailer.(deliveries); ok {
		if good, text := d.LastDelivery(); text != "" {
			c := Check{Name: "Mail", State: "good", Evidence: text}
			if !good {
				c.State, c.Fix = "bad", "Check email.smtp_* in instance.yaml, and the log."
			}
			return c
		}
	}
	return Check{Name: "Mail", State: "unknown", Evidence: "Configured; no letter was sent since the start."}
}

func (p *Portal) signInCheck() Check {
	for _, provider := range p.o.Providers {
		if b := provider.Button(); b.Text != "" || b.Form != nil {
			return Check{Name: "Sign-in", State: "good", Evidence: "People sign in with: " + p.providerNames() + "."}
		}
	}
	return Check{Name: "Sign-in", State: "late", Evidence: "No way to sign in is configured; only printed links work.", Fix: "aida analyst link you@example.com"}
}

func (p *Portal) providerNames() (names string) {
	for _, provider := range p.o.Providers {
		if b := provider.Button(); b.Text != "" || b.Form != nil {
			if names != "" {
				names += ", "
			}
			names += provider.Name()
		}
	}
	return names
}
