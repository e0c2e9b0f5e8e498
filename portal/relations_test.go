package portal

import (
	"fmt"
	"strings"
	"testing"

	"aida/store"
)

func TestTheMapOfRelationsShowsBothSidesWithinItsBox(t *testing.T) {
	relation := func(table, direction string, suggested bool) relationView {
		return relationView{RelatedTable: store.RelatedTable{Table: table, JoinColumn: "order_id", ForeignColumn: "id", Direction: direction, Suggested: suggested}}
	}
	if m := mapOf("orders", nil); m != nil {
		t.Errorf("no relation gives %+v", m)
	}
	list := []relationView{relation("customers", "belongs_to", false)}
	for i := range 11 {
		list = append(list, relation(fmt.Sprintf("a_table_with_a_name_that_is_too_long_for_its_box_%d", i), "has_many", i == 3))
	}
	m := mapOf("orders", list)
	if m.Text != "orders refers to 1 table; 11 tables refer to it" || m.Left != 3 || len(m.Nodes) != 10 || len(m.Lines) != 9 {
		t.Fatalf("got %+v", m)
	}
	dashed, selves := 0, 0
	for i, n := range m.Nodes {
		if n.X < 0 || n.X+n.W > m.Width || n.Y < 0 || n.Y+mapBox > m.Height || len([]rune(n.Name))*letterWidth > n.W-12 {
			t.Errorf("%+v leaves the map or its box", n)
		}
		for _, other := range m.Nodes[:i] {
			if n.X < other.X+other.W && other.X < n.X+n.W && n.Y < other.Y+mapBox && other.Y < n.Y+mapBox {
				t.Errorf("%+v lies on %+v", n, other)
			}
		}
		if n.Self {
			selves++
		}
	}
	for _, l := range m.Lines {
		if l.Dashed {
			dashed++
		}
	}
	if dashed != 1 || selves != 1 {
		t.Errorf("%d dashed lines, %d boxes of the table itself", dashed, selves)
	}
	if last := m.Nodes[9]; last.Name != "customers" || last.Join != "order_id → id" || last.X != mapWidth-mapSide {
		t.Errorf("the table that is referred to: %+v", last)
	}
	if join := m.Nodes[1].Join; !strings.HasPrefix(join, "id → order_id") {
		t.Errorf("the join of a table that refers to it: %s", join)
	}
}
