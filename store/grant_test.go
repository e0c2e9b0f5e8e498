package store_test

import (
	"context"
	"strings"
	"testing"

	"aida/store"
)

func TestAGrantOnATableShowsThatTableAlone(t *testing.T) {
	s, ctx := open(t), context.Background()
	tables := append([]store.Table{{SourceID: "h.leave", Name: "leave", Folder: "hr", Dataset: "hr"}}, catalog.tables...)
	ok(t, s.SetCatalog(ctx, catalog.datasets, tables))
	for _, n := range []store.NewUser{{Name: "ann"}, {Name: "bob"}} {
		must[store.User](t)(s.AddUser(ctx, "test", n))
	}
	check := func(step, name, want string) {
		t.Helper()
		if got := sees(t, s, name); got != want {
			t.Errorf("%s: %s reads %q, want %q", step, name, got, want)
		}
	}
	why := func(name, table, want string) {
		t.Helper()
		r := must[store.TableReason](t)(s.ExplainTable(ctx, name, table))
		if r.Why != want || r.Reads != strings.Contains(" "+sees(t, s, name)+" ", " "+strings.TrimPrefix(r.Table, r.Table[:strings.Index(r.Table, ".")+1])+" ") {
			t.Errorf("%s on %s: %+v, want %q", name, table, r, want)
		}
	}
	why("ann", "hr.leave", "only by grant")
	before := must[int64](t)(s.AccessVersion(ctx))
	ok(t, s.Grant(ctx, "test", "ann", false, "hr.leave"))
	if after := must[int64](t)(s.AccessVersion(ctx)); after <= before {
		t.Error("open connections are not told of a grant on a table")
	}
	check("granted one table", "ann", "leave items orders")
	check("granted one table", "bob", "items orders")
	why("ann", "hr.leave", "this table is granted by name")
	why("ann", "hr.pay", "1 of 2 tables by grant")
	a := must[*store.Access](t)(s.Access(ctx, must[store.User](t)(s.UserByName(ctx, "ann")).ID))
	if !a.Partial["hr"] || a.Partial["sales"] {
		t.Errorf("partial: %v", a.Partial)
	}
	if g := must[[]store.Grant](t)(s.Grants(ctx, "ann")); len(g) != 1 || g[0] != (store.Grant{Table: "hr.leave"}) {
		t.Errorf("grants: %v", g)
	}

	ok(t, s.AddGroup(ctx, "test", "wages"))
	ok(t, s.SetMember(ctx, "test", "wages", "bob", true))
	ok(t, s.Grant(ctx, "test", "wages", true, "private.board"))
	check("through a group", "bob", "board items orders")
	why("bob", "private.board", "this table is granted to wages")
	ok(t, s.Grant(ctx, "test", "ann", false, "hr")) // the whole covers the part
	check("the whole dataset too", "ann", "leave pay items orders")
	why("ann", "hr.leave", "granted by name")
	ok(t, s.Revoke(ctx, "test", "ann", false, "hr"))
	check("the whole taken back", "ann", "leave items orders")

	// An optional dataset stays off until it is switched on, whatever the grant.
	ok(t, s.SetCatalog(ctx, append([]store.Dataset{{Name: "extra", Access: store.RestrictedAccess, Optional: true}}, catalog.datasets...),
		append([]store.Table{{SourceID: "x.one", Name: "one", Folder: "extra", Dataset: "extra"}, {SourceID: "x.two", Name: "two", Folder: "extra", Dataset: "extra"}}, tables...)))
	refused(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"extra": true}), store.Invalid, "does not exist")
	ok(t, s.Grant(ctx, "test", "ann", false, "extra.one"))
	check("granted but off", "ann", "leave items orders")
	why("ann", "extra.one", "this table is granted by name, but its dataset is optional and not switched on")
	ok(t, s.Subscribe(ctx, "test", "ann", map[string]bool{"extra": true}))
	check("switched on", "ann", "one leave items orders")

	// The grant is on the table, not on its name.
	moved := append([]store.Table{}, tables...)
	moved[0] = store.Table{SourceID: "h.other", Name: "leave", Folder: "hr", Dataset: "hr"}
	ok(t, s.SetCatalog(ctx, catalog.datasets, moved))
	check("another table took the name", "ann", "items orders")
	refused(t, s.Revoke(ctx, "test", "ann", false, "hr.leave"), store.NotFound, "no grant on table hr.leave")
	ok(t, s.SetCatalog(ctx, catalog.datasets, tables))
	leave := must[store.Table](t)(s.TableByName(ctx, "hr.leave"))
	alert := must[*store.Alert](t)(s.RaiseAlert(ctx, store.Raise{Source: "system", Dedupe: "x", Title: "New days off", To: store.Audience{TableID: leave.ID}}))
	for name, gets := range map[string]bool{"ann": true, "bob": false} {
		inbox := must[[]store.Alert](t)(s.Inbox(ctx, must[store.User](t)(s.UserByName(ctx, name)).ID, alert.ID-1, 10))
		if (len(inbox) > 0) != gets {
			t.Errorf("%s got %d alerts of the table", name, len(inbox))
		}
	}
	ok(t, s.Revoke(ctx, "test", "ann", false, "hr.leave"))
	check("taken back", "ann", "items orders")
	why("ann", "hr.leave", "only by grant")
	refused(t, s.Grant(ctx, "test", "ann", false, "hr.nothing"), store.NotFound, "dataset or table hr.nothing does not exist")
	ok(t, s.Suspend(ctx, "test", "bob", true))
	why("bob", "private.board", "the account is suspended")

	var lines []string
	for _, e := range must[[]store.AuditEntry](t)(s.Audit(ctx, 0, 100)) {
		if strings.HasPrefix(e.Action, "grant.") {
			lines = append(lines, e.Action+" "+e.Subject+" "+e.Detail)
		}
	}
	if got, want := strings.Join(lines, "; "), "grant.remove ann table hr.leave; grant.add ann table extra.one; grant.remove ann dataset hr; grant.add ann dataset hr; grant.add wages table private.board; grant.add ann table hr.leave"; got != want {
		t.Errorf("audit:\n got %s\nwant %s", got, want)
	}
}

// The names of a grant are those of the dataset or folder; where they differ both lead to the table.
func TestAGrantOnATableTakesTheNameOfItsDatasetToo(t *testing.T) {
	s, ctx := open(t), context.Background()
	ok(t, s.SetCatalog(ctx, []store.Dataset{{Name: "secret", Access: store.RestrictedAccess}}, []store.Table{
		{SourceID: "1", Name: "one", Folder: "a", Dataset: "secret"}, {SourceID: "2", Name: "two", Folder: "a", Dataset: "secret"}, {SourceID: "3", Name: "two", Folder: "b", Dataset: "secret"}}))
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "ann"}))
	ok(t, s.Grant(ctx, "test", "ann", false, "secret.one"))
	refused(t, s.Grant(ctx, "test", "ann", false, "secret.two"), store.Invalid, "write folder.table, for example a.two")
	ok(t, s.Grant(ctx, "test", "ann", false, "b.two"))
	if got := sees(t, s, "ann"); got != "one two" {
		t.Errorf("ann reads %q", got)
	}
}
