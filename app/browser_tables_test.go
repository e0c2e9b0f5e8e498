package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/store"

	"github.com/chromedp/chromedp"
)

// An admin changes how a table is described, sees the difference first, pauses a table, and adds one that the source has.
func TestAnAdminDescribesTablesInABrowser(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	file := filepath.Join(a.Dir, "data", "config", "data_description.md")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(a.Dir, "data", "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := browser(t)
	b.visit(a.SignIn)
	b.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))

	b.visit(a.HTTP + "/admin/tables/sales.orders")
	b.shots("table-edit")
	b.do(chromedp.SetValue(chromedp.CSS("[name=description]"), `Orders, "as placed": totals in EUR`), chromedp.SetValue(chromedp.CSS("[name=schedule]"), "every 6h"),
		chromedp.Click(chromedp.CSS(`[name=sensitive][value=customer_id]`)), chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS(".diff")))
	diff := b.text(".diff")
	for _, line := range []string{`description: "Orders, \"as placed\": totals in EUR"`, `schedule: "every 6h"`, `{name: customer_id, type: "string", sensitive: true}`} {
		if !strings.Contains(diff, line) {
			t.Errorf("no %q in\n%s", line, diff)
		}
	}
	b.shots("table-edit-preview")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Errorf("the preview changed the file: %v", err)
	}
	b.do(chromedp.Click(chromedp.CSS("button[value=save]")), chromedp.WaitVisible(chromedp.CSS(".notice")))
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	restored := strings.NewReplacer(`description: "Orders, \"as placed\": totals in EUR"`, "description: Orders with totals in EUR", "    schedule: \"every 6h\"\n", "",
		`{name: customer_id, type: "string", sensitive: true}`, `{name: customer_id, type: "string"}`).Replace(string(after))
	if restored != string(before) || restored == string(after) {
		t.Errorf("more than the change was written:\n%s", after)
	}
	table, err := s.TableByName(t.Context(), "sales.orders")
	if err != nil || !strings.HasPrefix(table.Definition.Description, "Orders, \"as") || !hides(table, "customer_id") {
		t.Errorf("%+v %v", table.Definition, err)
	}
	if log, err := s.SearchAudit(t.Context(), "table.edit", 0, 5); err != nil || len(log) != 1 || log[0].Actor != "ada" || !strings.Contains(log[0].Detail, "every 6h") {
		t.Errorf("%+v %v", log, err)
	}

	b.quiet("editing")
	// Somebody edits the file while the page is open: what was seen there is not written over it.
	b.visit(a.HTTP + "/admin/tables/sales.payments")
	if err := os.WriteFile(file, append(after, "\nMore words.\n"...), 0o640); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SetValue(chromedp.CSS("[name=schedule]"), "every 1h"), chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS(".notice-bad")))
	if text := b.text(".notice-bad"); !strings.Contains(text, "changed by somebody else") {
		t.Errorf("%s", text)
	}
	// A mistake is told in a sentence, and nothing is written.
	b.visit(a.HTTP + "/admin/tables/sales.payments")
	b.do(chromedp.SetValue(chromedp.CSS("[name=schedule]"), "now and then"), chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS(".notice-bad")))
	if text := b.text(".notice-bad"); !strings.Contains(text, "every 6h") {
		t.Errorf("%s", text)
	}

	b.visit(a.HTTP + "/admin/tables/sales.payments")
	b.do(chromedp.Click(`//button[text()="Pause"]`), chromedp.WaitVisible(chromedp.CSS(".notice")))
	for _, path := range []string{"/admin/tables", "/catalog/sales.payments", "/catalog"} {
		b.visit(a.HTTP + path)
		if text := b.text("main"); !strings.Contains(text, "paused") {
			t.Errorf("%s does not tell of the pause: %.500s", path, text)
		}
	}

	if err := os.WriteFile(filepath.Join(a.Dir, "data", "sample", "stores.csv"), []byte("store_id,city\n1,Brno\n2,Praha\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	b.visit(a.HTTP + "/admin/tables/new")
	b.shots("discover")
	b.do(chromedp.Click(`//tr[contains(.,"stores")]//a`), chromedp.WaitVisible(chromedp.CSS("[name=folder]")), chromedp.SetValue(chromedp.CSS("[name=folder]"), "shops"),
		chromedp.SetValue(chromedp.CSS("[name=primary_key]"), "store_id"), chromedp.Click(chromedp.CSS("button[value=preview]")), chromedp.WaitVisible(chromedp.CSS(".diff")))
	b.shots("table-add")
	b.do(chromedp.Click(chromedp.CSS("button[value=save]")), chromedp.WaitVisible(chromedp.CSS(".toolbar")), chromedp.Click(`//button[text()="Sync now"]`), chromedp.WaitVisible(chromedp.CSS(".notice")))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		table, err := s.TableByName(t.Context(), "shops.stores")
		if err == nil && !table.SyncedAt.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new table was not synced: %+v %v", table, err)
		}
	}
	b.visit(a.HTTP + "/catalog/shops.stores")
	if text := b.text("main"); !strings.Contains(text, "store_id") {
		t.Errorf("%s", text)
	}
}

func hides(t store.Table, column string) bool {
	for _, c := range t.Definition.Columns {
		if c.Name == column {
			return c.Sensitive
		}
	}
	return false
}
