package sample_test

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/assets/sample"
)

// shop is a generated company, read back: rows by table, cells by column.
type shop struct {
	t      *testing.T
	m      *sample.Manifest
	tables map[string][]map[string]string
}

func generate(t *testing.T, size sample.Size, seed uint64) (*shop, string) {
	t.Helper()
	dir := t.TempDir()
	m, err := sample.Generate(t.Context(), dir, size, seed)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, m: m, tables: map[string][]map[string]string{}}
	for name := range m.Tables {
		f, err := os.Open(filepath.Join(dir, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records[1:] {
			row := map[string]string{}
			for i, cell := range rec {
				row[records[0][i]] = cell
			}
			s.tables[name] = append(s.tables[name], row)
		}
	}
	return s, dir
}

func (s *shop) cents(row map[string]string, column string) int {
	s.t.Helper()
	v, err := strconv.ParseFloat(row[column], 64)
	if err != nil {
		s.t.Fatalf("%s %q is no amount", column, row[column])
	}
	return int(math.Round(v * 100))
}

func (s *shop) at(row map[string]string, column string) time.Time {
	s.t.Helper()
	layout := time.DateTime
	if len(row[column]) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	v, err := time.Parse(layout, row[column])
	if err != nil {
		s.t.Fatalf("%s: %v", column, err)
	}
	return v
}

func (s *shop) by(table, column string) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, row := range s.tables[table] {
		out[row[column]] = row
	}
	return out
}

func TestSizes(t *testing.T) {
	for size, want := range map[sample.Size]map[string]int{
		sample.Tiny:  {"customers": 50, "products": 30, "campaigns": 10, "web_sessions": 500, "web_leads": 50, "orders": 100, "support_tickets": 30},
		sample.Small: {"customers": 500, "products": 100, "campaigns": 30, "web_sessions": 10_000, "web_leads": 1_000, "orders": 2_000, "support_tickets": 500},
	} {
		s, dir := generate(t, size, 42)
		for table, n := range want {
			if len(s.tables[table]) != n || s.m.Tables[table] != n {
				t.Errorf("%s: %s has %d rows, the manifest says %d, want %d", size, table, len(s.tables[table]), s.m.Tables[table], n)
			}
		}
		total := 0
		for table, rows := range s.tables {
			total += len(rows)
			if s.m.Tables[table] != len(rows) {
				t.Errorf("%s: the manifest says that %s has %d rows, it has %d", size, table, s.m.Tables[table], len(rows))
			}
		}
		if len(s.tables) != 9 || total != s.m.TotalRows {
			t.Errorf("%s: %d tables, %d rows, the manifest says %d", size, len(s.tables), total, s.m.TotalRows)
		}
		if orders := len(s.tables["orders"]); len(s.tables["order_items"]) <= orders || len(s.tables["payments"]) < orders {
			t.Errorf("%s: %d orders, %d items, %d payments", size, orders, len(s.tables["order_items"]), len(s.tables["payments"]))
		}
		var told sample.Manifest
		text, err := os.ReadFile(filepath.Join(dir, "_manifest.json"))
		if err == nil {
			err = json.Unmarshal(text, &told)
		}
		if err != nil || told.TotalRows != total || told.Seed != 42 || told.Size != size || told.DateRange["end"] != "2026-03-01" {
			t.Errorf("%s: _manifest.json: %+v, %v", size, told, err)
		}
	}
	if _, err := sample.Generate(t.Context(), t.TempDir(), "xxl", 1); err == nil || !strings.Contains(err.Error(), "use xs, s, m or l") {
		t.Errorf("an unknown size: %v", err)
	}
}

func TestTheSameSeedMakesTheSameCompany(t *testing.T) {
	sum := func(size sample.Size, seed uint64) string {
		_, dir := generate(t, size, seed)
		hash := sha256.New()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 10 {
			t.Fatalf("%d files, %v", len(entries), err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			hash.Write(text)
		}
		return string(hash.Sum(nil))
	}
	first := sum(sample.Tiny, 42)
	if first != sum(sample.Tiny, 42) {
		t.Error("the same seed made another company")
	}
	if first == sum(sample.Tiny, 43) {
		t.Error("another seed made the same company")
	}
}

func TestKeysAreUniqueAndNothingRefersToWhatIsNotThere(t *testing.T) {
	s, _ := generate(t, sample.Small, 7)
	keys := map[string]string{"customers": "customer_id", "products": "product_id", "campaigns": "campaign_id", "web_sessions": "session_id", "web_leads": "lead_id",
		"orders": "order_id", "order_items": "order_item_id", "payments": "payment_id", "support_tickets": "ticket_id"}
	for table, key := range keys {
		if n := len(s.by(table, key)); n != len(s.tables[table]) {
			t.Errorf("%s: %d keys of %d rows", table, n, len(s.tables[table]))
		}
	}
	for _, ref := range []struct {
		table, column, to string
		optional          bool
	}{
		{"orders", "customer_id", "customers", false}, {"order_items", "order_id", "orders", false}, {"order_items", "product_id", "products", false},
		{"payments", "order_id", "orders", false}, {"payments", "customer_id", "customers", false}, {"support_tickets", "customer_id", "customers", false},
		{"support_tickets", "order_id", "orders", true}, {"web_sessions", "customer_id", "customers", true}, {"web_sessions", "campaign_id", "campaigns", true},
		{"web_leads", "customer_id", "customers", true}, {"web_leads", "campaign_id", "campaigns", true},
	} {
		there, empty := s.by(ref.to, keys[ref.to]), 0
		for _, row := range s.tables[ref.table] {
			v := row[ref.column]
			if v == "" {
				empty++
			} else if there[v] == nil {
				t.Fatalf("%s.%s: %s does not exist", ref.table, ref.column, v)
			}
		}
		if !ref.optional && empty > 0 || empty == len(s.tables[ref.table]) {
			t.Errorf("%s.%s: %d of %d are empty", ref.table, ref.column, empty, len(s.tables[ref.table]))
		}
	}
}

func TestTimesAreInOrder(t *testing.T) {
	s, _ := generate(t, sample.Small, 7)
	customers, orders, campaigns := s.by("customers", "customer_id"), s.by("orders", "order_id"), s.by("campaigns", "campaign_id")
	after := func(table string, row map[string]string, column string, earliest time.Time) {
		t.Helper()
		if row[column] != "" && s.at(row, column).Before(earliest) {
			t.Errorf("%s: %s is before %s: %v", table, column, earliest, row)
		}
	}
	end := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, row := range s.tables["orders"] {
		after("orders", row, "created_at", s.at(customers[row["customer_id"]], "registration_date"))
		if s.at(row, "created_at").After(end) {
			t.Errorf("an order after the end of the data: %v", row)
		}
	}
	for _, row := range s.tables["payments"] {
		after("payments", row, "created_at", s.at(orders[row["order_id"]], "created_at"))
		after("payments", row, "completed_at", s.at(row, "created_at"))
	}
	for _, row := range s.tables["web_leads"] {
		after("web_leads", row, "converted_at", s.at(row, "created_at"))
		if (row["converted_at"] != "") != (row["status"] == "converted") {
			t.Errorf("web_leads: status and time of conversion disagree: %v", row)
		}
		if row["converted_at"] != "" && s.at(row, "converted_at").Sub(s.at(row, "created_at")) > 14*24*time.Hour {
			t.Errorf("web_leads: converted after more than 14 days: %v", row)
		}
	}
	for _, row := range s.tables["support_tickets"] {
		after("support_tickets", row, "created_at", s.at(customers[row["customer_id"]], "registration_date"))
		if o := orders[row["order_id"]]; o != nil {
			after("support_tickets", row, "created_at", s.at(o, "created_at"))
			if o["customer_id"] != row["customer_id"] {
				t.Errorf("support_tickets: the order is somebody else's: %v", row)
			}
		}
		after("support_tickets", row, "first_response_at", s.at(row, "created_at"))
		if row["resolved_at"] != "" {
			after("support_tickets", row, "resolved_at", s.at(row, "first_response_at"))
		}
		if done := row["status"] == "resolved" || row["status"] == "closed"; done != (row["resolved_at"] != "") || done != (row["satisfaction_score"] != "") {
			t.Errorf("support_tickets: status and resolution disagree: %v", row)
		}
	}
	for _, row := range s.tables["campaigns"] {
		after("campaigns", row, "end_date", s.at(row, "start_date").AddDate(0, 0, 7))
	}
	for _, table := range []string{"web_sessions", "web_leads"} {
		for _, row := range s.tables[table] {
			x := campaigns[row["campaign_id"]]
			if x == nil {
				continue
			}
			at := map[string]string{"web_sessions": "started_at", "web_leads": "created_at"}[table]
			after(table, row, at, s.at(x, "start_date"))
			if !s.at(row, at).Before(s.at(x, "end_date").AddDate(0, 0, 1)) {
				t.Errorf("%s: the campaign had ended: %v", table, row)
			}
		}
	}
}

func TestAmountsAddUp(t *testing.T) {
	s, _ := generate(t, sample.Small, 7)
	products, sums := s.by("products", "product_id"), map[string]int{}
	for _, row := range s.tables["order_items"] {
		quantity, _ := strconv.Atoi(row["quantity"])
		percent, _ := strconv.Atoi(row["discount_percent"])
		price := s.cents(row, "unit_price")
		if price != s.cents(products[row["product_id"]], "price") || s.cents(row, "line_total") != price*quantity*(100-percent)/100 || quantity < 1 {
			t.Errorf("order_items: %v", row)
		}
		sums[row["order_id"]] += s.cents(row, "line_total")
	}
	payments := map[string][]map[string]string{}
	for _, row := range s.tables["payments"] {
		payments[row["order_id"]] = append(payments[row["order_id"]], row)
	}
	failed := 0
	for _, row := range s.tables["orders"] {
		items, total := s.cents(row, "items_total"), s.cents(row, "total_amount")
		if items != sums[row["order_id"]] || total != items-s.cents(row, "discount_amount")+s.cents(row, "shipping_amount") {
			t.Errorf("orders: %v, its items are %d", row, sums[row["order_id"]])
		}
		paid := payments[row["order_id"]]
		last := paid[len(paid)-1]
		want := map[string]string{"cancelled": "cancelled", "returned": "refunded"}[row["status"]]
		if want == "" {
			want = "completed"
		}
		if last["status"] != want || s.cents(last, "amount") != total || last["customer_id"] != row["customer_id"] {
			t.Errorf("payments: %v of order %v", last, row)
		}
		failed += len(paid) - 1
	}
	if failed < 40 || failed > 200 {
		t.Errorf("%d payments failed first, about 5 %% of 2,000 should", failed)
	}
	for _, row := range s.tables["products"] {
		if s.cents(row, "cost") >= s.cents(row, "price") {
			t.Errorf("products: sold below its cost: %v", row)
		}
	}
}

func TestACancelledGenerationLeavesNoHalfTable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := sample.Generate(ctx, dir, sample.Small, 1); err == nil {
		t.Error("no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "web_sessions.csv" || e.Name() == "_manifest.json" {
			t.Errorf("%s is left", e.Name())
		}
	}
}
