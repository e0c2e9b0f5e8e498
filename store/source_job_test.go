package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"aida/store"
)

func TestAJobAtASourceIsRememberedForHalfADay(t *testing.T) {
	ctx, now := context.Background(), time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	s := must[*store.Store](t)(store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Now: func() time.Time { return now }}))
	defer s.Close()
	ok(t, s.SetCatalog(ctx, []store.Dataset{{Name: "f", Access: store.OpenAccess}}, []store.Table{{SourceID: "s.t", Name: "t", Folder: "f", Dataset: "f"}}))
	table := must[[]store.Table](t)(s.Tables(ctx))[0]
	wants := func(key, want string) {
		t.Helper()
		if got := must[string](t)(s.SourceJob(ctx, table.ID, key)); got != want {
			t.Errorf("%s has job %q, want %q", key, got, want)
		}
	}
	wants("a", "")
	ok(t, s.SetSourceJob(ctx, table.ID, "a", "1"))
	ok(t, s.SetSourceJob(ctx, table.ID, "b", "2"))
	ok(t, s.SetSourceJob(ctx, table.ID, "a", "3"))
	wants("a", "3")
	wants("b", "2")
	ok(t, s.SetSourceJob(ctx, table.ID, "b", ""))
	wants("b", "")
	now = now.Add(13 * time.Hour)
	wants("a", "")
}
