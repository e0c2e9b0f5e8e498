package syncer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/source"
)

// keysOf is a simulated source whose list of keys is another one than its rows, and which may say how many rows it has.
type keysOf struct {
	*simulated
	listed  int // so many of its keys are listed
	counted *int64
}

func (k *keysOf) Keys(ctx context.Context, r source.Request) (*source.Result, error) {
	whole := k.rows
	k.rows = map[string]simRow{}
	for id := range k.listed {
		k.rows[fmt.Sprint(id)] = whole[fmt.Sprint(id)]
	}
	res, err := k.simulated.Keys(ctx, r)
	k.rows = whole
	res.Rows = k.counted
	return res, err
}

func TestAListOfKeysThatMayHaveBrokenOffTakesNoRowsAway(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		rows, listed int
		counted      *int64
		keys, words  string
		left         int // when it is not refused
	}{
		"no keys":                                    {rows: 5, words: "lists no keys, though the table has 5 rows: it stays as it is; if the source really is empty now, run `aida sync sales.sim --full`"},
		"no keys, and the source counts 5":           {rows: 5, counted: number(5), words: "lists no keys"},
		"no keys, and the source counts 0":           {rows: 5, counted: number(0)},
		"no keys, as the description allows":         {rows: 5, keys: ", may_be_empty: true"},
		"most of a small table":                      {rows: 900, listed: 1, left: 1},
		"two of three":                               {rows: 3000, listed: 1000, words: "lists 1,000 keys, by which 2,000 of the table's 3,000 rows would leave, more than the 50 % of reconcile_max_removed"},
		"two of three, and the source counts so":     {rows: 3000, listed: 1000, counted: number(1000), left: 1000},
		"two of three, as the description allows":    {rows: 3000, listed: 1000, keys: ", reconcile_max_removed: 70", left: 1000},
		"half of the rows":                           {rows: 3000, listed: 1500, left: 1500},
		"more than the description allows":           {rows: 3000, listed: 1500, keys: ", reconcile_max_removed: 40", words: "more than the 40 %"},
		"any share of them, as the description says": {rows: 3000, listed: 1, keys: ", reconcile_max_removed: 100", left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &keysOf{simulated: newSimulated("id int64"), listed: c.listed, counted: c.counted}
			for id := range c.rows {
				s.set(fmt.Sprint(id))
			}
			h := simHouse(t, s, incremental+", reconcile_every: 1ns"+c.keys)
			h.okay(syncer.Request{})
			s.now = s.now.Add(time.Minute)
			s.version++
			want := c.left
			if c.words != "" {
				h.fails(c.words)
				want = c.rows
			} else {
				h.okay(syncer.Request{})
			}
			if rows, _ := h.content(); len(rows) != want {
				t.Errorf("the table has %d rows, want %d", len(rows), want)
			}
		})
	}
}

func TestASourceThatSuddenlyHasNoRowsEmptiesNoTable(t *testing.T) {
	for name, keys := range map[string]string{"full refresh": "primary_key: id, sync_strategy: full_refresh", "partitioned": "primary_key: id, sync_strategy: partitioned, partition_by: at"} {
		t.Run(name, func(t *testing.T) {
			s := newSimulated("id int64", "at date")
			h := simHouse(t, plainSource{s}, keys)
			h.okay(syncer.Request{}) // that has never had rows
			s.set("1", "2026-01-01")
			h.okay(syncer.Request{})
			s.remove("1")
			h.fails("the source gave no rows, though the table has 1: it stays as it is; if the source really is empty now, run `aida sync sales.sim --full`, or set may_be_empty: true")
			if rows, _ := h.content(); len(rows) != 1 {
				t.Errorf("the table has %d rows", len(rows))
			}
			if row := h.okay(syncer.Request{Full: true}); row.Outcome != store.Changed {
				t.Errorf("--full: %+v", row)
			}
			h.wants(s)
			s.set("1", "2026-01-01")
			h.okay(syncer.Request{})
			s.remove("1")
			h.openSim(plainSource{s}, keys+", may_be_empty: true")
			h.okay(syncer.Request{})
			h.wants(s)
		})
	}
}
