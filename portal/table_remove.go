package portal

import (
	"net/http"
	"regexp"

	"aida/portal/route"
	"aida/store"
)

// tableCuts is what ends with a table.
type tableCuts struct {
	Table   store.Table
	Seen    string
	Preview Preview
	Readers []store.User
	Uses    store.TableUses
	Rules   []ruleUse
	Metrics []store.Metric
}

// ruleUse is an alert rule whose query names the table.
type ruleUse struct{ Author, Name string }

// askRemoveTable shows what changes in the description, and what is cut, before anything is done.
func (p *Portal) askRemoveTable(w http.ResponseWriter, r *http.Request) error {
	t, err := p.describedTable(r)
	if err != nil {
		return err
	}
	d, err := p.o.Tables.Declared(r.Context(), t.SourceID)
	if err != nil {
		return err
	}
	v := tableCuts{Table: t, Seen: d.Seen}
	if v.Preview, err = p.o.Tables.Preview(r.Context(), Change{Declaration: d.Declaration, Gone: true, Seen: d.Seen}); err != nil {
		return err
	}
	if err := p.cutsOf(r, &v); err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "remove_table", page{Title: "Remove " + t.FullName() + "?", Lede: "This is what it cuts.",
		Crumbs: []crumb{{"Tables", "/admin/tables"}, {t.FullName(), adminTablePath(t)}}, Data: v})
}

func (p *Portal) cutsOf(r *http.Request, v *tableCuts) (err error) {
	ctx := r.Context()
	if v.Readers, err = p.store.Readers(ctx, v.Table.ID); err != nil {
		return err
	}
	if v.Uses, err = p.store.TableUses(ctx, v.Table); err != nil {
		return err
	}
	a, err := p.store.FullAccess(ctx)
	if err != nil {
		return err
	}
	if v.Metrics, err = p.metricsReading(ctx, a, v.Table); err != nil {
		return err
	}
	rules, err := p.store.RuleStates(ctx, 0)
	if err != nil {
		return err
	}
	users, err := p.store.Users(ctx)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for _, u := range users {
		names[u.ID] = u.Name
	}
	named := regexp.MustCompile(`(?i)(^|[^\pL\pN_])` + regexp.QuoteMeta(v.Table.Name) + `($|[^\pL\pN_])`)
	for _, x := range rules {
		if named.MatchString(x.Query) || named.MatchString(x.Timing) {
			v.Rules = append(v.Rules, ruleUse{names[x.UserID], x.Name})
		}
	}
	return nil
}

func (p *Portal) removeTable(w http.ResponseWriter, r *http.Request) error {
	t, err := p.describedTable(r)
	if err != nil {
		return err
	}
	back := adminTablePath(t) + "/remove"
	if r.PostFormValue("confirm") != t.FullName() {
		return &route.Problem{Status: http.StatusBadRequest, Title: "Nothing was removed", Text: "Write " + t.FullName() + " to confirm.", Link: back, LinkText: "Back"}
	}
	d, err := p.o.Tables.Declared(r.Context(), t.SourceID)
	if err != nil {
		return err
	}
	_, err = p.o.Tables.Save(r.Context(), visitorFrom(r).User.Name, Change{Declaration: d.Declaration, Gone: true, Seen: r.PostFormValue("seen")})
	if store.CodeOf(err) == store.Conflict {
		return &route.Problem{Status: http.StatusConflict, Title: "Nothing was removed", Text: "The description was changed by somebody else since you looked. See what the removal does now.", Link: back, LinkText: "Look again"}
	}
	if err != nil {
		return err
	}
	return p.done(w, r, "/admin/tables", "%s is removed: the next generation is without it, and older ones keep it as long as they are kept.", t.FullName())
}
