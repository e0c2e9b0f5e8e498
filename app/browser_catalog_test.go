package app_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The catalog and the pages of runs and generations, of the sample company, in a real browser.
func TestCatalogAndRunsInABrowser(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	for _, p := range []struct{ name, path, want string }{
		{"catalog", "/catalog", "orders"}, {"table", "/catalog/sales.orders", "customer_id"}, {"runs", "/admin/runs", "demo"}, {"run", "/admin/runs/1", "sales.orders"},
		{"tables", "/admin/tables", "full_refresh"}, {"metrics", "/metrics", "Net revenue"}, {"metric", "/metrics/revenue/net_revenue", "customers.segment"}, {"generations", "/admin/generations", "run 1"}, {"generation", "/admin/generations/1", "sales/orders.parquet"},
	} {
		b.visit(a.HTTP + p.path)
		if text := b.text("main"); !strings.Contains(text, p.want) {
			t.Errorf("%s: no %q in %.2000s", p.path, p.want, text)
		}
		b.shots(p.name)
		b.quiet(p.path)
	}
	for _, tab := range []string{"Profile", "Sample", "Relations", "History", "Use it"} {
		b.visit(a.HTTP + "/catalog/sales.orders")
		b.do(chromedp.Click(`//button[@role="tab" and text()="` + tab + `"]`))
		b.shots("table-" + strings.ToLower(strings.ReplaceAll(tab, " ", "-")))
		b.quiet(tab)
	}
	for _, tab := range []string{"SQL", "Technical", "Relations"} {
		b.visit(a.HTTP + "/metrics/revenue/net_revenue")
		b.do(chromedp.Click(`//button[@role="tab" and text()="` + tab + `"]`))
		b.shots("metric-" + strings.ToLower(tab))
		b.quiet(tab)
	}
	b.visit(a.HTTP + "/catalog/hr.nothing")
	if text := b.text("main"); !strings.Contains(text, "It may have another name") {
		t.Errorf("%s", text)
	}
	b.visit(a.HTTP + "/admin/tables")
	b.do(chromedp.Click("#tables form button"), chromedp.WaitVisible(".notice"))
	if text := b.text(".notice"); !strings.Contains(text, "has begun") {
		t.Errorf("%s", text)
	}
}
