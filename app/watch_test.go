package app

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/config"
	"aida/store"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/source"
)

// Each condition of the place fires once, is repeated once a day, and recovers once.
func TestConditionsOfThePlaceFireRepeatAndRecoverOnce(t *testing.T) {
	ctx, now := t.Context(), time.Now().Add(-100*time.Hour)
	cfg := config.Defaults()
	cfg.DataDir, cfg.Schedule.Default = t.TempDir(), "every 1h"
	p := &program{cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil)), tokenAsked: time.Now()}
	var err error
	if p.store, err = store.Open(ctx, store.Options{Path: filepath.Join(cfg.DataDir, "aida.db"), Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()
	ada, err := p.store.AddUser(ctx, "test", store.NewUser{Name: "ada", Role: store.Admin})
	if err == nil {
		err = p.store.SetCatalog(ctx, []store.Dataset{{Name: "sales", Access: store.OpenAccess}}, []store.Table{{SourceID: "o", Name: "orders", Folder: "sales", Dataset: "sales"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	tables, err := p.store.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	synced := func() {
		t.Helper()
		if err := p.store.Unchanged(ctx, tables[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	told := func(want ...string) {
		t.Helper()
		p.look(ctx)
		p.look(ctx)
		list, err := p.store.Inbox(ctx, ada.ID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			if a.Title != "The disk is nearly full" { // this machine's own
				got = append(got, string(a.State)+" "+a.Title)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	told() // nothing was ever synced: that is for the first sync to tell
	synced()
	told("fired The data is late")
	now = now.Add(23 * time.Hour)
	told("fired The data is late")
	now = now.Add(time.Hour)
	told("fired The data is late", "repeated The data is late")
	now = time.Now()
	synced()
	told("fired The data is late", "repeated The data is late", "recovered The data is on time again")
}

func TestATokenOfASourceThatEndsIsToldOfAndItsSuccessorEndsThat(t *testing.T) {
	ctx := t.Context()
	ends := func(in time.Duration) store.Raise {
		t.Helper()
		o := keboolatest.Options{}
		if in != 0 {
			at := time.Now().Add(in).Format("2006-01-02T15:04:05-0700")
			o.Expires = &at
		}
		stack := keboolatest.New(t, o)
		s, err := keboola.New(keboola.Options{StackURL: stack.URL(), Token: stack.Token(), Transport: stack.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		p := &program{log: slog.New(slog.DiscardHandler), from: map[string]source.Source{"keboola": s}}
		r, err := p.watchToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := p.watchToken(context.WithoutCancel(ctx)); err != nil || again.Title != "" {
			t.Errorf("it was asked again at once: %+v %v", again, err)
		}
		return r
	}
	if r := ends(48 * time.Hour); r.Recovered || r.Severity != store.Critical || !strings.Contains(r.Title, "The token of keboola ends soon") {
		t.Errorf("%+v", r)
	}
	for _, in := range []time.Duration{0, 30 * 24 * time.Hour} {
		if r := ends(in); !r.Recovered {
			t.Errorf("%v: %+v", in, r)
		}
	}
}
