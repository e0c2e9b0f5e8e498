package store_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"aida/store"
)

// What one process remembers is never older than what another one committed.
func TestWhatIsRememberedFollowsOtherProcesses(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "aida.db")
	one := must[*store.Store](t)(store.Open(ctx, store.Options{Path: path}))
	defer one.Close()
	two := must[*store.Store](t)(store.Open(ctx, store.Options{Path: path}))
	defer two.Close()
	u := must[store.User](t)(one.AddUser(ctx, "test", store.NewUser{Name: "ann", Email: "ann@example.com"}))
	ok(t, one.AddSession(ctx, "secret", store.Session{Name: "session", UserID: u.ID, Idle: time.Hour, ExpiresAt: time.Now().Add(time.Hour)}))
	for i := range 50 {
		name := []string{"Ann A", "Ann B"}[i%2]
		ok(t, []*store.Store{one, two}[i/2%2].SetFullName(ctx, "test", "ann", name))
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for _, s := range []*store.Store{one, two} {
					if got, err := s.UserByID(ctx, u.ID); err != nil || got.FullName != name {
						t.Errorf("round %d: %q %v, want %q", i, got.FullName, err, name)
					}
				}
			})
		}
		readers.Wait()
	}
	for _, s := range []*store.Store{one, two} {
		must[store.Session](t)(s.UseSession(ctx, "session", "secret"))
	}
	version := must[int64](t)(one.AccessVersion(ctx))
	ok(t, two.Suspend(ctx, "test", "ann", true))
	if now := must[int64](t)(one.AccessVersion(ctx)); now <= version {
		t.Errorf("access %d, then %d", version, now)
	}
	for _, s := range []*store.Store{one, two} {
		_, err := s.UseSession(ctx, "session", "secret")
		refused(t, err, store.NotFound, "no such session")
	}
}

func TestAPersonIsChangedWholeOrNotAtAll(t *testing.T) {
	s, ctx := open(t), context.Background()
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "ann", Email: "ann@example.com"}))
	must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "bob", Email: "bob@example.com"}))
	for _, g := range []string{"finance", "ops"} {
		ok(t, s.AddGroup(ctx, "test", g))
	}
	role, name, taken, free, on, off := store.PrivateAnalyst, "Ann N", "BOB@example.com", "ann@second.example", true, false
	before := must[[]store.AuditEntry](t)(s.SearchAudit(ctx, "", 0, 100))
	refused(t, s.ChangeUser(ctx, "ada", "ann", store.UserChange{Groups: &[]string{"finance"}, Role: &role, FullName: &name, Suspended: &on, Email: &taken}), store.Conflict, "belongs to another user")
	refused(t, s.ChangeUser(ctx, "ada", "ann", store.UserChange{Role: &role, Groups: &[]string{"finance", "nothing"}}), store.NotFound, "group nothing")
	if u := must[store.User](t)(s.UserByName(ctx, "ann")); u.Role != store.Analyst || u.FullName != "" || len(u.Groups) != 0 || !u.SuspendedAt.IsZero() {
		t.Errorf("half a change: %+v", u)
	}
	if now := must[[]store.AuditEntry](t)(s.SearchAudit(ctx, "", 0, 100)); len(now) != len(before) {
		t.Errorf("%+v", now)
	}
	ok(t, s.ChangeUser(ctx, "ada", "ann", store.UserChange{Groups: &[]string{"finance", "ops"}, Role: &role, FullName: &name, Email: &free}))
	ok(t, s.ChangeUser(ctx, "ada", "ann", store.UserChange{Groups: &[]string{"ops"}, Role: &role, Email: &free, Suspended: &off})) // of which the group alone is another
	u := must[store.User](t)(s.UserByName(ctx, "ann"))
	if u.Role != role || u.FullName != name || u.Email != free || len(u.Groups) != 1 || u.Groups[0] != "ops" {
		t.Errorf("%+v", u)
	}
	if now := must[[]store.AuditEntry](t)(s.SearchAudit(ctx, "", 0, 100)); len(now) != len(before)+6 {
		t.Errorf("%d entries: %+v", len(now)-len(before), now)
	}
}

func TestFilesThatFollowEachOtherAreOnePull(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "aida.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	ctx := context.Background()
	u := must[store.User](t)(s.AddUser(ctx, "test", store.NewUser{Name: "ann"}))
	for _, step := range []time.Duration{0, 100 * time.Millisecond, 30 * time.Second, 50 * time.Second, 2 * time.Minute, 20 * time.Second} {
		now = now.Add(step)
		ok(t, s.MarkSync(ctx, u.ID))
	}
	list := must[[]time.Time](t)(s.Pulls(ctx, u.ID, time.Time{}))
	if len(list) != 2 || !list[1].Equal(now) {
		t.Errorf("%v", list)
	}
	if u = must[store.User](t)(s.UserByID(ctx, u.ID)); !u.LastSyncAt.Equal(now) {
		t.Errorf("%v", u.LastSyncAt)
	}
}
