package profile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aida/store"
)

func key(columns ...string) store.Definition { return store.Definition{PrimaryKey: columns} }

func joins(p *store.Profile) (out []string) {
	for _, l := range p.RelatedTables {
		text := fmt.Sprintf("%s %s.%s=%s orphans %d/%d", l.Direction, l.Table, l.ForeignColumn, l.JoinColumn, l.Orphans, l.Checked)
		if l.Suggested {
			text += " suggested"
		}
		if l.Unchecked != "" {
			text += " (" + l.Unchecked + ")"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func TestJoins(t *testing.T) {
	orders := store.Definition{PrimaryKey: []string{"order_id"}, ForeignKeys: []store.ForeignKey{{Column: "customer_id", References: "customers.customer_id", Description: "who ordered"}, {Column: "amount", References: "customers.name"}}}
	f := setUp(t, store.Table{Name: "customers", Definition: key("customer_id")}, store.Table{Name: "orders", Definition: orders}, store.Table{Name: "categories", Definition: key("id")},
		store.Table{Name: "items", Definition: key("item_id")}, store.Table{Name: "notes", Definition: key("note_id")})
	f.publish("customers", map[string]string{"customer_id": "decimal(20,0)"}, map[string]string{"": "customer_id,name\n1,Eva\n2,Paul\n-3,Jo\n"})
	f.publish("orders", nil, map[string]string{"a": "order_id,customer_id,amount\n10,1,5\n11,1,6\n12,4,7\n", "b": "order_id,customer_id,amount\n13,-3,5\n14,,6\n"})
	f.publish("categories", nil, map[string]string{"": "id,label\n1,a\n2,b\n"})
	f.publish("items", nil, map[string]string{"": "item_id,order_id,category_id\n1,10,1\n2,11,2\n"})
	f.publish("notes", nil, map[string]string{"": "note_id,order_id\n1,999\n2,998\n"}) // the name fits, the values do not
	f.update("orders")
	for table, want := range map[string][]string{
		"orders": {"belongs_to customers.customer_id=customer_id orphans 1/4", "belongs_to customers.name=amount orphans 0/0 (the columns have the types int64 and string)",
			"has_many items.order_id=order_id orphans 0/2 suggested"},
		"customers":  {"has_many orders.amount=name orphans 0/0 (the columns have the types int64 and string)", "has_many orders.customer_id=customer_id orphans 1/4"},
		"items":      {"belongs_to categories.id=category_id orphans 0/2 suggested", "belongs_to orders.order_id=order_id orphans 0/2 suggested"},
		"categories": {"has_many items.category_id=id orphans 0/2 suggested"}, "notes": nil,
	} {
		if got := joins(f.profile(table)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", table, got, want)
		}
	}

	f.publish("customers", map[string]string{"customer_id": "decimal(20,0)"}, map[string]string{"": "customer_id,name\n1,Eva\n4,New\n-3,Jo\n"})
	if got := joins(f.update("orders")); got[0] != "belongs_to customers.customer_id=customer_id orphans 0/4" {
		t.Errorf("after the other table changed: %q", got)
	}
}

func TestJoinsWithTablesOutsideTheAccessAreNotTold(t *testing.T) {
	f := setUp(t, store.Table{Name: "customers", Definition: key("customer_id")}, store.Table{Name: "orders", Definition: key("order_id")})
	f.publish("customers", nil, map[string]string{"": "customer_id,name\n1,Eva\n"})
	f.publish("orders", nil, map[string]string{"": "order_id,customer_id\n10,1\n"})
	f.update("orders")
	for i, other := range []string{"orders", "customers"} {
		a := &store.Access{Tables: f.tables[i : i+1]}
		text, err := f.store.ProfilesJSON(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, `"`+other+`"`) || strings.Contains(text, "in."+other) || !strings.Contains(text, `"`+f.tables[i].Name+`": {`) {
			t.Errorf("profiles.json of one who reads %s alone: %s", f.tables[i].Name, text)
		}
		if _, err := f.store.Profile(context.Background(), a, f.tables[1-i].ID); store.CodeOf(err) != store.NotFound {
			t.Errorf("profile of %s: %v", other, err)
		}
	}
}
