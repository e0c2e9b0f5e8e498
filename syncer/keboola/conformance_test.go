package keboola_test

import (
	"strconv"
	"testing"
	"time"

	"aida/syncer/datadoc"
	"aida/syncer/keboola"
	"aida/syncer/keboola/keboolatest"
	"aida/syncer/sourcetest"
)

func TestAKeboolaProjectConforms(t *testing.T) {
	for name, o := range map[string]keboolatest.Options{
		"slices in S3": {Cloud: keboolatest.AWS}, "slices in Google Cloud Storage": {Cloud: keboolatest.GCP},
		"slices in Azure": {Cloud: keboolatest.Azure}, "one file in S3": {Cloud: keboolatest.AWS, Unsliced: true},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) *sourcetest.World {
				o.SliceRows = 2500
				return world(t, o)
			})
		})
	}
}

const orders = "in.c-shop.orders"

func world(t *testing.T, o keboolatest.Options) *sourcetest.World {
	stack := keboolatest.New(t, o)
	table := keboolatest.Table{ID: orders, Typed: true, PrimaryKey: []string{"id"}, Columns: []keboolatest.Column{
		{Name: "id", Base: "NUMERIC", Native: "NUMBER", Length: "38,0"}, {Name: "name", Base: "STRING", Native: "VARCHAR", Length: "16777216"},
		{Name: "amount", Base: "NUMERIC", Native: "NUMBER", Length: "12,2"}, {Name: "changed_at", Base: "TIMESTAMP", Native: "TIMESTAMP_NTZ", Length: "9"}}}
	w := &sourcetest.World{Source: open(t, stack, keboola.Options{}), Table: described(orders)}
	w.Put = func(_ testing.TB, rows []sourcetest.Row) {
		var out []keboolatest.Row
		for _, r := range rows {
			cells := keboolatest.Cells(strconv.FormatInt(r.ID, 10), r.Name, r.Amount, r.ChangedAt.Format("2006-01-02 15:04:05"))
			for i, v := range []string{"x", r.Name, r.Amount} {
				if v == "" {
					cells[i] = keboolatest.Null
				}
			}
			out = append(out, keboolatest.Row{Cells: cells, At: r.ChangedAt})
		}
		stack.Put(table, out)
	}
	w.Break = func(testing.TB) func() {
		stack.Down(true)
		return func() { stack.Down(false) }
	}
	w.Remove = func(testing.TB) { stack.Drop(orders) }
	w.Spoil = func(testing.TB) []string {
		w.Put(t, sourcetest.Rows(6000, "a"))
		stack.Inject(keboolatest.Fault{Call: "slice", Short: 40, Times: -1})
		return []string{"slice ", " is damaged"}
	}
	w.Secrets = []string{stack.Token().Reveal(), "sig=", "Signature=", "ya29."}
	return w
}

// open makes a connector of a stack that does not wait long.
func open(t testing.TB, stack *keboolatest.Server, o keboola.Options) *keboola.Source {
	t.Helper()
	o.StackURL, o.Token = stack.URL(), stack.Token()
	transport := stack.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	src, err := keboola.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func described(id string) datadoc.Table {
	return datadoc.Table{ID: id, Name: "orders", Folder: "shop", Dataset: "shop", Description: "Orders", PrimaryKey: datadoc.Words{"id"}, Strategy: "full_refresh"}
}
