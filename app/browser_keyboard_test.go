package app_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Whoever uses no mouse gets everywhere: the skip link first, each stop visible with its ring, finding with Ctrl-K, Escape out of it.
func TestThePortalByKeyboard(t *testing.T) {
	t.Parallel()
	a := startAida(t, "demo", "--size", "xs")
	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))

	b.visit(a.HTTP + "/catalog")
	b.do(chromedp.KeyEvent(kb.Tab))
	b.settle()
	if where := b.focus(); where.Text != "Skip to the content" || !where.Visible {
		t.Errorf("the first stop is %+v", where)
	}
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	if where := b.focus(); !where.InMain {
		t.Errorf("behind the skip link comes %+v", where)
	}

	b.visit(a.HTTP + "/catalog")
	seen := map[string]bool{}
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		b.settle()
		where := b.focus()
		if where.Text == "BODY" {
			break
		}
		seen[where.Text] = true
		if !where.Visible || !where.Ring {
			t.Errorf("the focus cannot be seen: %+v", where)
		}
	}
	for _, want := range []string{"Home", "Health", "Rows", "orders", "web_sessions"} {
		if !seen[want] {
			t.Errorf("Tab does not come to %q: %v", want, seen)
		}
	}

	b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.WaitVisible("dialog[open]"))
	b.shots("find")
	b.do(chromedp.KeyEvent("zzzz"), chromedp.WaitVisible(".find-none"))
	b.shots("find-none")
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("dialog[open]"))
	b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.WaitVisible("dialog[open]"), chromedp.KeyEvent("support"),
		chromedp.WaitVisible(`//dialog//a[contains(., "support_tickets") and @aria-selected="true"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#columns"))
	if at := ofPage(b, chromedp.Location()); !strings.HasSuffix(at, "/catalog/crm.support_tickets") {
		t.Errorf("Enter went to %s", at)
	}

	b.do(chromedp.Focus(`[role=tab][aria-selected=true]`), chromedp.KeyEvent(kb.ArrowRight), chromedp.WaitVisible("#profile"), chromedp.KeyEvent(kb.End), chromedp.WaitVisible("#use"))
	b.do(chromedp.Focus("#use .command button"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#use button.copied"))
	if said := ofPage(b, chromedp.Evaluate[string](`document.querySelector("body > .sr[role=status]").textContent`)); said != "Copied" {
		t.Errorf("a screen reader hears %q", said)
	}
	b.quiet("by keyboard")
}

// How a list is filtered and sorted stands in the address, so that it can be sent to somebody.
func TestHowAListIsLookedAtStandsInTheAddress(t *testing.T) {
	t.Parallel()
	a := startAida(t, "demo", "--size", "xs")
	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	b.visit(a.HTTP + "/admin/tables")
	b.do(chromedp.SendKeys("[data-filter]", "sales"), chromedp.Click(`//button[@class="sort" and text()="Rows"]`), chromedp.Click(`//button[@class="sort" and text()="Rows"]`))
	at := ofPage(b, chromedp.Location())
	b.visit(at)
	rows := ofPage(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[data-row]:not([hidden]) th a")].map((e) => e.textContent)`))
	if got := strings.Join(rows, " "); got != "sales.order_items sales.payments sales.orders" || !strings.Contains(at, "q=sales") || !strings.Contains(at, "sort=-rows") {
		t.Errorf("%s shows %s", at, got)
	}
	if sorted := ofPage(b, chromedp.Evaluate[string](`document.querySelector("[aria-sort]").textContent + " " + document.querySelector("[aria-sort]").ariaSort`)); sorted != "Rows descending" {
		t.Errorf("sorted by %s", sorted)
	}
	b.visit(a.HTTP + "/admin/settings?q=keep")
	if text := b.text("#settings"); !strings.Contains(text, "lake.keep") || strings.Contains(text, "telegram") {
		t.Errorf("%s", text)
	}
}

// Without scripts every page can be read: what a script would make into tabs stands below each other.
func TestThePortalIsReadWithoutScripts(t *testing.T) {
	t.Parallel()
	a := startAida(t, "demo", "--size", "xs")
	b := browser(t)
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	for _, p := range []struct {
		path  string
		wants []string
	}{
		{"/", []string{"sales.orders"}},
		{"/catalog", []string{"web_sessions", "Orders with totals"}},
		{"/catalog/sales.orders", []string{"Columns", "Profile", "Sample", "Relations", "History", "Use it", "rsync -a", "most often"}},
		{"/metrics/revenue/net_revenue", []string{"Overview", "SQL", "Technical", "Relations"}},
		{"/connect", []string{"macOS, Linux", "Windows", "I have a key already"}},
		{"/admin/people", []string{"Invite someone"}},
		{"/admin/tables", []string{"Sync now"}},
		{"/admin/settings", []string{"lake", "telegram"}},
	} {
		b.visit(a.HTTP + p.path)
		text := b.text("main")
		for _, want := range p.wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", p.path, want)
			}
		}
	}
	b.visit(a.HTTP + "/catalog/sales.orders")
	b.do(chromedp.Click("[aria-label=Main] a[href='/account']"), chromedp.WaitVisible("#tokens"), chromedp.Click("[data-fallback]"))
}

// focus is the element that the keyboard is at, and whether a person sees that it is.
func (b *tab) focus() (where struct {
	Text                  string
	Visible, Ring, InMain bool
}) {
	b.t.Helper()
	type stop = struct {
		Text                  string
		Visible, Ring, InMain bool
	}
	return ofPage(b, chromedp.Evaluate[stop](`(() => {
		const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
		return {Text: e === document.body ? "BODY" : (e.querySelector("code") ?? e).textContent.trim() || e.ariaLabel || e.name, InMain: !!e.closest("main"),
			Visible: r.width > 0 && r.height > 0 && r.top >= 0 && r.bottom <= innerHeight && s.visibility === "visible", Ring: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2};
	})()`))
}
