package store_test

import (
	"context"
	"testing"
	"time"

	"aida/store"
)

func TestAnOlderGenerationCanBeHeldAsLongAsItIsKept(t *testing.T) {
	s, ctx := open(t), context.Background()
	ok(t, s.SetCatalog(ctx, catalog.datasets, catalog.tables))
	orders := must[store.Table](t)(s.TableByName(ctx, "orders"))
	for _, h := range []string{"a", "b", "c", "d"} {
		_, _, err := s.Publish(ctx, 0, "", []store.Change{{TableID: orders.ID, Files: []store.File{file("sales/orders.parquet", h)}}})
		ok(t, err)
	}
	pin := must[*store.Pin](t)(s.PinAt(ctx, 2))
	if f, _ := pin.Find("sales/orders.parquet"); f.Hash != "b" || pin.Generation != 2 {
		t.Errorf("generation %d holds %s", pin.Generation, f.Hash)
	}
	time.Sleep(time.Millisecond)
	if dead := must[[]string](t)(s.Sweep(ctx, 1, 0)); len(dead) != 1 || dead[0] != "x/a" {
		t.Errorf("swept %v under the reader of the second generation", dead)
	}
	_, err := s.PinAt(ctx, 1)
	refused(t, err, store.Gone, "generation 1 is not kept")
	_, err = s.PinAt(ctx, 9)
	refused(t, err, store.Gone, "generation 9 is not kept")
	again := must[*store.Pin](t)(s.PinAt(ctx, 2))
	pin.Release()
	again.Release()
	newest := must[*store.Pin](t)(s.PinAt(ctx, 0))
	defer newest.Release()
	if dead := must[[]string](t)(s.Sweep(ctx, 1, 0)); len(dead) != 2 || newest.Generation != 4 {
		t.Errorf("swept %v once nobody reads; the newest is %d", dead, newest.Generation)
	}
}
