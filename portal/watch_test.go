package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"aida/store"
)

// noRules stands for a place in which nobody has a rule.
type noRules struct{}

func none(name string) error {
	return &store.Error{Code: store.NotFound, Message: "there is no rule " + name}
}

func (noRules) List(context.Context, store.User) ([]store.Rule, error) { return nil, nil }
func (noRules) Get(_ context.Context, _ store.User, name string) (store.Rule, error) {
	return store.Rule{}, none(name)
}
func (noRules) Save(_ context.Context, _ store.User, name, _, _ string) error     { return none(name) }
func (noRules) Remove(_ context.Context, _ store.User, name string) error         { return none(name) }
func (noRules) Switch(_ context.Context, _ store.User, name string, _ bool) error { return none(name) }
func (noRules) Preview(context.Context, store.User, string, string) (store.RulePreview, error) {
	return store.RulePreview{}, nil
}

func TestAPersonChoosesWhichAlertsComeByMail(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.as(eva)
	wants(t, b.get("/account"), http.StatusOK, "To eva@example.com")
	wants(t, b.follow(b.post("/account/alerts", url.Values{"channel": {"email"}, "least": {"warning"}})), http.StatusOK, "Your choice is saved")
	list, err := p.store.Channels(t.Context(), eva.ID)
	if err != nil || len(list) != 1 || list[0].Least != store.Warning {
		t.Errorf("%+v %v", list, err)
	}
	b.post("/account/alerts", url.Values{"channel": {"email"}, "least": {"loud"}})
	b.post("/account/alerts", url.Values{"channel": {"pigeon"}, "least": {"info"}})
	if list, err = p.store.Channels(t.Context(), eva.ID); err != nil || len(list) != 1 || list[0].Least != store.Warning {
		t.Errorf("%+v %v", list, err)
	}
	if a := open(t, setup{noMail: true}); strings.Contains(a.as(a.addUser(store.NewUser{Name: "tom", Email: "tom@example.com"})).get("/account").body, `value="email"`) {
		t.Error("mail is offered where none can be sent")
	}
}

func TestAPersonIsToldOfNewVersionsOfATableThatTheyRead(t *testing.T) {
	p := open(t, setup{})
	err := p.store.SetCatalog(t.Context(), []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}},
		[]store.Table{{SourceID: "o", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "p", Name: "pay", Folder: "hr", Dataset: "hr"}})
	if err != nil {
		t.Fatal(err)
	}
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.as(eva)
	wants(t, b.get("/catalog/sales.orders"), http.StatusOK, "Tell me of new versions")
	wants(t, b.follow(b.post("/catalog/sales.orders/watch", url.Values{"on": {"true"}})), http.StatusOK, "Stop telling me of new versions")
	tables, err := p.store.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		on, err := p.store.WatchesTable(t.Context(), eva.ID, table.ID)
		if err != nil || on != (table.Name == "orders") {
			t.Errorf("%s: %t %v", table.FullName(), on, err)
		}
	}
	if a := b.post("/catalog/hr.pay/watch", url.Values{"on": {"true"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("a table that may not be read: %s", a.Status)
	}
}

func TestAnAdminAllowsWhoseRulesMaySendToAGroup(t *testing.T) {
	p := open(t, setup{})
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	if err := p.store.AddGroup(t.Context(), "ada", "finance"); err != nil {
		t.Fatal(err)
	}
	b := p.as(ada)
	wants(t, b.follow(b.post("/admin/groups/finance/authors", url.Values{"author": {"eva"}, "on": {"true"}})), http.StatusOK, "Rules of eva may send to finance")
	if got, err := p.store.RuleGroups(t.Context(), eva.ID); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
	wants(t, b.follow(b.post("/admin/groups/finance/authors", url.Values{"author": {"eva"}, "on": {"false"}})), http.StatusOK, "no longer send")
	if got, err := p.store.RuleGroups(t.Context(), eva.ID); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}
