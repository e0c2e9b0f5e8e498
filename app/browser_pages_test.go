package app_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// Each page is opened by an admin of the sample company, in a real browser, with nothing in its console that complains.
func TestPagesInABrowser(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	b := browser(t)
	b.visit(a.HTTP + "/login")
	b.shots("login")
	b.visit(a.SignIn)
	b.shots("link")
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	for _, p := range []struct{ name, path string }{
		{"home", "/"}, {"connect", "/connect"}, {"account", "/account"}, {"people", "/admin/people"}, {"person", "/admin/people/demo"}, {"remove", "/admin/people/demo/remove"},
		{"audit", "/admin/audit"}, {"health", "/admin/health"}, {"settings", "/admin/settings"}, {"api", "/api"}, {"signout", "/logout"},
	} {
		b.visit(a.HTTP + p.path)
		b.shots(p.name)
		b.quiet(p.path)
	}
}
