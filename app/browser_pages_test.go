package app_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// Each page is opened by an admin of the sample company, in a real browser, with nothing in its console that complains.
func TestPagesInABrowser(t *testing.T) {
	a := run(t, "demo", "--size", "xs")
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(a.HTTP+"/login"), chromedp.WaitVisible("main"))
	shots(t, ctx, "login")
	do(t, ctx, chromedp.Navigate(a.SignIn), chromedp.WaitVisible("form button"))
	shots(t, ctx, "link")
	do(t, ctx, chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	for _, p := range []struct{ name, path string }{
		{"home", "/"}, {"connect", "/connect"}, {"account", "/account"}, {"people", "/admin/people"}, {"person", "/admin/people/demo"}, {"remove", "/admin/people/demo/remove"},
		{"audit", "/admin/audit"}, {"health", "/admin/health"}, {"missing", "/nowhere"},
	} {
		do(t, ctx, chromedp.Navigate(a.HTTP+p.path), chromedp.WaitVisible("main"))
		shots(t, ctx, p.name)
	}
}
