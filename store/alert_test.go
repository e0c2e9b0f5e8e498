package store

import (
	"strings"
	"testing"
	"time"
)

// clocked opens a store whose clock the test moves.
func clocked(t *testing.T) (*Store, *time.Time) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), Options{Path: t.TempDir() + "/aida.db", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &now
}

func TestAConditionFiresOnceRepeatsByItsCooldownAndRecoversOnce(t *testing.T) {
	s, now := clocked(t)
	if _, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what      string
		later     time.Duration
		recovered bool
		cooldown  time.Duration
		want      AlertState
	}{
		{"recovery of what never fired", 0, true, time.Hour, ""},
		{"first", 0, false, time.Hour, Fired},
		{"within the cool-down", 59 * time.Minute, false, time.Hour, ""},
		{"after it", time.Minute, false, time.Hour, Repeated},
		{"again within it", time.Minute, false, time.Hour, ""},
		{"no cool-down", 0, false, 0, Repeated},
		{"never again", 100 * time.Hour, false, -1, ""},
		{"recovered", time.Minute, true, time.Hour, Recovered},
		{"recovered twice", time.Minute, true, time.Hour, ""},
		{"fired anew at once", 0, false, time.Hour, Fired},
	} {
		*now = now.Add(step.later)
		a, err := s.RaiseAlert(t.Context(), Raise{Source: "s", Dedupe: "d", Title: step.what, To: Audience{User: "eva"}, Recovered: step.recovered, Cooldown: step.cooldown})
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		var got AlertState
		if a != nil {
			got = a.State
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
	}
}

func TestAnEventFiresAgainAfterItsCooldownAndHasNoEnd(t *testing.T) {
	s, now := clocked(t)
	if _, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"}); err != nil {
		t.Fatal(err)
	}
	raise := func() *Alert {
		a, err := s.RaiseAlert(t.Context(), Raise{Source: "script", Dedupe: "d", Title: "t", To: Audience{User: "eva"}, Event: true, Cooldown: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := raise(); a == nil || a.State != Fired {
		t.Fatalf("first: %v", a)
	}
	if a := raise(); a != nil {
		t.Fatalf("within the cool-down: %v", a)
	}
	*now = now.Add(time.Hour)
	if a := raise(); a == nil || a.State != Fired {
		t.Fatalf("after it: %v", a)
	}
}

func TestAlertsGoToTheirAudienceAlone(t *testing.T) {
	s, _ := clocked(t)
	ctx := t.Context()
	ids := map[string]int64{}
	for name, role := range map[string]Role{"eva": Analyst, "tom": Analyst, "ada": Admin, "gone": Admin} {
		u, err := s.AddUser(ctx, "test", NewUser{Name: name, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = u.ID
	}
	if err := s.Suspend(ctx, "test", "gone", true); err != nil {
		t.Fatal(err)
	}
	if err := s.AddGroup(ctx, "test", "sales"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMember(ctx, "test", "sales", "tom", true); err != nil {
		t.Fatal(err)
	}
	if err := s.SetCatalog(ctx, []Dataset{{Name: "hr", Access: RestrictedAccess}}, []Table{{SourceID: "h.pay", Name: "pay", Folder: "hr", Dataset: "hr"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Grant(ctx, "test", "eva", false, "hr"); err != nil {
		t.Fatal(err)
	}
	tables, err := s.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   Audience
		want string
	}{
		{Audience{User: "eva"}, "eva"}, {Audience{Groups: []string{"sales"}}, "tom"}, {Audience{Admins: true}, "ada"},
		{Audience{Everyone: true}, "ada eva tom"}, {Audience{TableID: tables[0].ID}, "ada eva"}, {Audience{User: "gone"}, ""},
	} {
		a, err := s.RaiseAlert(ctx, Raise{Source: "s", Dedupe: c.to.String(), Title: "t", To: c.to})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"ada", "eva", "gone", "tom"} {
			inbox, err := s.Inbox(ctx, ids[name], a.ID-1, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(inbox) > 0 {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.to, got, c.want)
		}
	}
	if _, err := s.RaiseAlert(ctx, Raise{Source: "s", Dedupe: "x", Title: "t"}); CodeOf(err) != Invalid {
		t.Errorf("without an audience: %v", err)
	}
	if _, err := s.RaiseAlert(ctx, Raise{Source: "s", Dedupe: "x", Title: "t", To: Audience{User: "nobody-here"}}); CodeOf(err) != NotFound {
		t.Errorf("unknown user: %v", err)
	}
}

func TestAnAddressBelongsToOnePerson(t *testing.T) {
	s, _ := clocked(t)
	eva, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	tom, err := s.AddUser(t.Context(), "test", NewUser{Name: "tom"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{eva.ID, tom.ID} {
		if err := s.LinkChannel(t.Context(), "test", id, "telegram", "42"); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := s.ChannelOwner(t.Context(), "telegram", "42")
	if err != nil || owner.User != "tom" {
		t.Errorf("%v %v", owner, err)
	}
	if list, err := s.Channels(t.Context(), eva.ID); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if err := s.UnlinkChannel(t.Context(), "test", tom.ID, "telegram"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChannelOwner(t.Context(), "telegram", "42"); CodeOf(err) != NotFound {
		t.Errorf("%v", err)
	}
}

func TestWhoWasSuspendedGetsNothingThatStillWaits(t *testing.T) {
	s, now := clocked(t)
	eva, err := s.AddUser(t.Context(), "test", NewUser{Name: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LinkChannel(t.Context(), "test", eva.ID, "telegram", "42"); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"first", "second"} {
		if _, err := s.RaiseAlert(t.Context(), Raise{Source: "s", Dedupe: title, Title: title, To: Audience{User: "eva"}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.ClaimDeliveries(t.Context(), "telegram", 10)
	if err != nil || len(list) != 1 || list[0].Address != "42" {
		t.Fatalf("%v %v", list, err)
	}
	later := now.Add(time.Minute)
	if err := s.FinishDelivery(t.Context(), list[0].ID, Pending, later, "busy"); err != nil {
		t.Fatal(err)
	}
	if next, err := s.NextDelivery(t.Context(), "telegram"); err != nil || !next.Equal(later) {
		t.Errorf("the second waits for the first, but is due at %v (%v)", next, err)
	}
	if err := s.Suspend(t.Context(), "test", "eva", true); err != nil {
		t.Fatal(err)
	}
	*now = later
	if list, err = s.ClaimDeliveries(t.Context(), "telegram", 10); err != nil || len(list) != 1 || list[0].Address != "" {
		t.Errorf("after the suspension: %v %v", list, err)
	}
}
