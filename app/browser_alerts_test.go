package app_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"

	"github.com/chromedp/chromedp"
)

// An alert that another process raises shows on the open page, and one that came while the page was away is caught up with.
func TestAlertsShowLiveInABrowser(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raise := func(r store.Raise) {
		t.Helper()
		r.Source, r.To = "test", store.Audience{Admins: true}
		if alert, err := s.RaiseAlert(t.Context(), r); err != nil || alert == nil {
			t.Fatal(alert, err)
		}
	}
	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.visit(a.HTTP + "/alerts")
	if text := b.text("main"); !strings.Contains(text, "Nothing was told to you yet") {
		t.Errorf("%s", text)
	}
	raise(store.Raise{Dedupe: "disk", Title: "The disk is <b>nearly</b> full", Message: "1.5 GiB are left.\nFree some.", Severity: store.Critical})
	b.do(chromedp.WaitVisible(".alert-critical"))
	if text := b.text("#alerts"); !strings.Contains(text, "The disk is <b>nearly</b> full") || !strings.Contains(text, "Free some.") {
		t.Errorf("%s", text)
	}
	b.quiet("alerts, live")
	raise(store.Raise{Dedupe: "disk", Title: "The disk has room again", Recovered: true})
	b.do(chromedp.WaitVisible(".alert-recovered"))
	b.shots("alerts-live")
	b.visit(a.HTTP + "/")
	raise(store.Raise{Dedupe: "late", Title: "orders is late", Severity: store.Warning})
	b.visit(a.HTTP + "/alerts")
	time.Sleep(300 * time.Millisecond) // what is shown twice would come with the connection
	if text := b.text("#alerts"); strings.Count(text, "orders is late") != 1 || strings.Count(text, "room again") != 1 {
		t.Errorf("%s", text)
	}
	b.shots("alerts")
	b.visit(a.HTTP + "/admin/deliveries")
	b.shots("deliveries")
	b.quiet("deliveries")
}
