package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"
)

func TestWhoAskedForItHearsOfNewVersionsOfATable(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	orders := must[store.Table](t)(s.TableByName(ctx, "orders"))
	eva := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva", Role: store.Admin}))
	tom := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "tom", Role: store.Admin}))
	n := 0
	publish := func() {
		t.Helper()
		n++
		_, _, err := s.Publish(ctx, 0, "", []store.Change{{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", fmt.Sprint("v", n))}}})
		ok(t, err)
	}
	told := func(u store.User) int {
		t.Helper()
		must[int](t)(s.RaiseVersions(ctx, time.Hour))
		return len(must[[]store.Alert](t)(s.Inbox(ctx, u.ID, 0, 100)))
	}
	publish()
	ok(t, s.WatchTable(ctx, eva.ID, orders.ID, true))
	ok(t, s.WatchTable(ctx, tom.ID, orders.ID, true))
	if got := told(eva); got != 0 {
		t.Errorf("%d alerts of a version that was there", got)
	}
	publish()
	if got := told(eva); got != 1 {
		t.Errorf("a new version: %d alerts", got)
	}
	a := must[[]store.Alert](t)(s.Inbox(ctx, eva.ID, 0, 1))[0]
	if a.Title != "New version of sales.orders" || a.Link != "/catalog/sales.orders" || a.Severity != store.Info {
		t.Errorf("%+v", a)
	}
	publish()
	publish()
	if got := told(eva); got != 1 {
		t.Errorf("within the hour: %d alerts", got)
	}
	now = now.Add(time.Hour)
	if got := told(eva); got != 2 {
		t.Errorf("what came within the hour is told once behind it: %d alerts", got)
	}
	ok(t, s.SetRole(ctx, "test", "tom", store.Analyst))
	ok(t, s.Suspend(ctx, "test", "tom", true))
	ok(t, s.WatchTable(ctx, eva.ID, orders.ID, false))
	if must[bool](t)(s.WatchesTable(ctx, eva.ID, orders.ID)) {
		t.Error("it is still watched")
	}
	publish()
	now = now.Add(2 * time.Hour)
	if e, w := told(eva), told(tom); e != 2 || w != 2 {
		t.Errorf("who asked no more has %d, who may not read it any longer %d", e, w)
	}
	refused(t, s.WatchTable(ctx, tom.ID, orders.ID, true), store.NotFound, "there is no such table")
}

func TestATokenThatEndsSoonIsToldOnce(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	eva := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva"}))
	for name, days := range map[string]int{"nightly": 30, "today": 1} { // one that was made for a day needs no notice
		must[store.Token](t)(s.AddToken(ctx, "eva", name, store.Token{Kind: store.APIToken, UserID: eva.ID, Name: name, Scopes: []string{"read"}, ExpiresAt: now.Add(time.Duration(days) * 24 * time.Hour)}))
	}
	for day, want := range []int{0, 0, 1, 1} {
		got := must[int](t)(s.RaiseExpiring(ctx, 7*24*time.Hour))
		if n := len(must[[]store.Alert](t)(s.Inbox(ctx, eva.ID, 0, 100))); n != want {
			t.Errorf("step %d: %d alerts, %d in all, want %d", day, got, n, want)
		}
		now = now.Add(12 * 24 * time.Hour)
	}
}

// An app that lets its sign-in run out gets no alerts, which its owner hears of once; one that exchanges it in time is no news.
func TestAnAppThatRanOutIsToldOfOnce(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	eva := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva"}))
	month := 30 * 24 * time.Hour
	laptop := must[store.Token](t)(s.AddToken(ctx, "eva", "a", store.Token{Kind: store.DeviceToken, UserID: eva.ID, Name: "laptop", ExpiresAt: now.Add(month)}))
	must[store.Token](t)(s.AddToken(ctx, "eva", "b", store.Token{Kind: store.DeviceToken, UserID: eva.ID, Name: "old one", ExpiresAt: now.Add(month)}))
	start := now
	for day := range 80 {
		now = start.Add(time.Duration(day) * 24 * time.Hour)
		if day == 29 || day == 61 { // the second time it is late
			ok(t, s.ExtendToken(ctx, laptop.ID, now.Add(month)))
		}
		must[int](t)(s.RaiseExpiring(ctx, 7*24*time.Hour))
	}
	var got []string
	for _, a := range must[[]store.Alert](t)(s.Inbox(ctx, eva.ID, 0, 100)) {
		got = append(got, a.Title+" on day "+fmt.Sprint(int(a.CreatedAt.Sub(start).Hours()/24)))
	}
	if want := "Your app old one gets no alerts on day 31; Your app laptop gets no alerts on day 60"; strings.Join(got, "; ") != want {
		t.Errorf("%q", got)
	}
}

func TestAChannelCarriesWhatItsOwnerChose(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	eva := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva", Email: "eva@example.com"}))
	tom := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "tom"}))
	refused(t, s.SetChannelLeast(ctx, "tom", tom.ID, "email", store.Info), store.Conflict, "no e-mail address")
	refused(t, s.SetChannelLeast(ctx, "eva", eva.ID, "telegram", store.Info), store.NotFound, "telegram is not linked")
	refused(t, s.SetChannelLeast(ctx, "eva", eva.ID, "email", "loud"), store.Invalid, "is no severity")
	raise := func() (channels string) {
		t.Helper()
		for _, severity := range []store.Severity{store.Info, store.Warning, store.Critical} {
			must[*store.Alert](t)(s.RaiseAlert(ctx, store.Raise{Source: "s", Dedupe: string(severity), Severity: severity, Title: "t", Event: true, To: store.Audience{User: "eva"}}))
		}
		for {
			list := must[[][]store.Delivery](t)(s.ClaimTogether(ctx, "email", 0, 10, 10))
			if len(list) == 0 {
				return channels
			}
			for _, d := range list[0] {
				channels += string(d.Alert.Severity) + " to " + d.Address + "; "
				ok(t, s.FinishDelivery(ctx, d.ID, store.Sent, time.Time{}, ""))
			}
		}
	}
	for _, one := range []struct {
		least store.Severity
		want  string
	}{
		{"", ""}, {store.Info, "info to eva@example.com; warning to eva@example.com; critical to eva@example.com; "},
		{store.Warning, "warning to eva@example.com; critical to eva@example.com; "}, {store.Critical, "critical to eva@example.com; "}, {store.NoAlerts, ""},
	} {
		if one.least != "" {
			ok(t, s.SetChannelLeast(ctx, "eva", eva.ID, "email", one.least))
		}
		now = now.Add(time.Second)
		if got := raise(); got != one.want {
			t.Errorf("%s: %s", one.least, got)
		}
	}
	ok(t, s.SetChannelLeast(ctx, "eva", eva.ID, "email", store.Critical))
	ok(t, s.SetEmail(ctx, "test", "eva", "eva.new@example.com"))
	now = now.Add(time.Second)
	if got := raise(); got != "critical to eva.new@example.com; " {
		t.Errorf("after the address changed: %s", got)
	}
}

// A flood arrives as one letter behind the first.
func TestWhatGoesOutTogetherKeepsItsGap(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	eva := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "eva", Email: "eva@example.com"}))
	ok(t, s.SetChannelLeast(ctx, "eva", eva.ID, "email", store.Info))
	raise := func(n int) {
		t.Helper()
		for i := range n {
			must[*store.Alert](t)(s.RaiseAlert(ctx, store.Raise{Source: "s", Dedupe: fmt.Sprint(i), Title: "t", Event: true, To: store.Audience{User: "eva"}}))
		}
	}
	claim := func(state store.DeliveryState) int {
		t.Helper()
		n := 0
		for _, list := range must[[][]store.Delivery](t)(s.ClaimTogether(ctx, "email", 10*time.Minute, 8, 50)) {
			for _, d := range list {
				n++
				ok(t, s.FinishDelivery(ctx, d.ID, state, now.Add(time.Minute), ""))
			}
		}
		return n
	}
	raise(1)
	if n := claim(store.Sent); n != 1 {
		t.Errorf("the first: %d", n)
	}
	raise(20)
	now = now.Add(9 * time.Minute)
	if n := claim(store.Sent); n != 0 {
		t.Errorf("within the gap: %d", n)
	}
	now = now.Add(2 * time.Minute)
	if n := claim(store.Pending); n != 20 {
		t.Errorf("behind it, and the mail server is down: %d", n)
	}
	if n := claim(store.Sent); n != 0 {
		t.Errorf("before the next attempt is due: %d", n)
	}
	now = now.Add(time.Minute)
	raise(60)
	if n := claim(store.Sent); n != 50 {
		t.Errorf("as many as go into one letter: %d", n)
	}
}
