package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
	"aida/syncer/source"
)

const incremental = "primary_key: id, sync_strategy: incremental"

func TestATableThatGrowsBecomesPartsAndOnlyTouchedOnesGetNewBytes(t *testing.T) {
	s := newSimulated("id int64", "v string")
	h := simHouse(t, s, incremental)
	for id := range 90 {
		s.set(fmt.Sprint(id), "first")
	}
	h.okay(syncer.Request{})
	if _, files := h.content(); !slices.Equal(files, []string{"sim:90"}) {
		t.Fatal(files)
	}
	s.now = s.now.Add(time.Minute)
	for id := 90; id < 500; id++ {
		s.set(fmt.Sprint(id), "more")
	}
	if row := h.okay(syncer.Request{}); row.Reason != "410 rows new, 90 came again, 0 removed" {
		t.Error(row.Reason)
	}
	_, files := h.content()
	if len(files) < 5 || !strings.HasPrefix(files[0], "sim/part_00001:") {
		t.Fatal(files)
	}
	h.wants(s)
	before := h.files()
	s.now = s.now.AddDate(0, 0, 30) // beyond the overlap
	s.set("3", "changed")
	h.okay(syncer.Request{})
	h.wants(s)
	var changed []string
	for logical, f := range h.files() {
		if before[logical].Hash != f.Hash {
			changed = append(changed, logical)
		} else if !before[logical].ModTime.Equal(f.ModTime) {
			t.Errorf("%s has another time", logical)
		}
	}
	if len(changed) != 1 {
		t.Errorf("one row changed %v", changed)
	}
	for id := 20; id < 480; id++ { // what is left is small again
		s.remove(fmt.Sprint(id))
	}
	h.openSim(s, incremental+", reconcile_every: 1ns")
	h.okay(syncer.Request{})
	h.wants(s)
	if _, files := h.content(); !slices.Equal(files, []string{"sim:40"}) {
		t.Error(files)
	}
}

func TestRowsThatComeAgainAsTheyWereMakeNoGeneration(t *testing.T) {
	s := newSimulated("id int64", "v string")
	h := simHouse(t, s, incremental)
	for id := range 250 {
		s.set(fmt.Sprint(id), "same")
	}
	h.okay(syncer.Request{})
	s.now = s.now.Add(time.Minute)
	s.version++
	if report := h.run(syncer.Request{}); report.Published || report.Tables[0].Outcome != store.Unchanged {
		t.Errorf("%+v", report)
	}
	if w := s.asked[len(s.asked)-1]; w.Since.IsZero() {
		t.Error("everything was fetched again")
	}
}

func TestRowsThatMoveLeaveTheirOldPartition(t *testing.T) {
	s := newSimulated("id int64", "at timestamp")
	keys := incremental + ", partition_by: at, partition_granularity: month"
	h := simHouse(t, s, keys)
	s.set("1", "2026-01-05 10:00:00")
	s.set("2", "2026-01-06 10:00:00")
	s.set("3", "2026-02-01 00:00:00")
	s.set("4", "")
	h.okay(syncer.Request{})
	if _, files := h.content(); strings.Join(files, " ") != "sim/2026_01:2 sim/2026_02:1 sim/_null:1" {
		t.Error(files)
	}
	s.now = s.now.Add(time.Minute)
	s.set("1", "2026-02-28 23:59:59")
	s.set("3", "")
	s.set("4", "2025-12-31 00:00:00")
	h.okay(syncer.Request{})
	h.wants(s)
	if _, files := h.content(); strings.Join(files, " ") != "sim/2025_12:1 sim/2026_01:1 sim/2026_02:1 sim/_null:1" {
		t.Error(files)
	}
	h.openSim(s, keys+", max_history_days: 100000")
	h.okay(syncer.Request{}) // another description: everything is fetched again
	h.wants(s)
}

func TestOldPartitionsLeaveByMaxHistoryDays(t *testing.T) {
	s := newSimulated("id int64", "at date")
	today := time.Now().UTC()
	s.set("1", today.Format(time.DateOnly))
	s.set("2", today.AddDate(0, 0, -9).Format(time.DateOnly))
	s.set("3", today.AddDate(0, 0, -11).Format(time.DateOnly))
	h := simHouse(t, s, incremental+", partition_by: at, partition_granularity: day, max_history_days: 10")
	h.okay(syncer.Request{})
	if rows, _ := h.content(); len(rows) != 2 || !strings.HasPrefix(rows[0], "1|") || !strings.HasPrefix(rows[1], "2|") {
		t.Error(rows)
	}
}

func TestAFirstLoadGoesOnAfterAKill(t *testing.T) {
	s := newSimulated("id int64", "v string")
	start := s.now
	for day := range 40 {
		s.setAt(start.AddDate(0, 0, -day).Add(-time.Minute), fmt.Sprint(day), "x")
	}
	keys := incremental + ", max_history_days: 60, initial_load_chunk_days: 10"
	h := simHouse(t, s, keys)
	n := 0
	s.fail = func(source.Request) error {
		if n++; n == 4 {
			return errSim
		}
		return nil
	}
	h.fails("the source is away")
	if rows, _ := h.content(); len(rows) > 0 {
		t.Errorf("readers see part of a first load: %v", rows)
	}
	s.fail = nil
	s.asked = nil
	h.openSim(s, keys) // and with it the clean-up of a start
	s.setAt(time.Now().UTC().Add(-time.Second), "5", "changed while it was loaded")
	h.okay(syncer.Request{})
	h.wants(s)
	if len(s.asked) > 4 {
		t.Errorf("the load began again: %v", s.asked)
	}
	if left, err := h.store.Load(t.Context(), h.tableID()); err != nil || left != nil {
		t.Errorf("%+v is left, %v", left, err)
	}
	s.asked = nil
	s.set("99", "y")
	h.okay(syncer.Request{})
	if len(s.asked) != 1 || s.asked[0].Since.IsZero() || s.asked[0].Since.Before(start.AddDate(0, 0, -8)) {
		t.Errorf("asked for %v", s.asked)
	}
	h.wants(s)
}

func (h *house) tableID() int64 {
	t, err := h.store.TableByName(h.t.Context(), "sim")
	if err != nil {
		h.t.Fatal(err)
	}
	return t.ID
}

func TestABackfillLeavesTheWatermark(t *testing.T) {
	s := newSimulated("id int64", "v string")
	h := simHouse(t, s, incremental)
	s.set("1", "a")
	h.okay(syncer.Request{})
	before, err := h.store.Journal(t.Context(), h.tableID())
	if err != nil || before.Watermark.IsZero() {
		t.Fatal(before, err)
	}
	old := s.now.AddDate(-1, 0, 0)
	s.setAt(old, "2", "late")
	s.setAt(old.AddDate(0, 0, 5), "3", "outside")
	row := h.okay(syncer.Request{Since: old.AddDate(0, 0, -1), Until: old.AddDate(0, 0, 1)})
	if row.Strategy != "backfill" || row.Outcome != store.Changed {
		t.Errorf("%+v", row)
	}
	if rows, _ := h.content(); !slices.Equal(rows, []string{"1|a", "2|late"}) {
		t.Error(rows)
	}
	after, err := h.store.Journal(t.Context(), h.tableID())
	if err != nil || !after.Watermark.Equal(before.Watermark) {
		t.Errorf("the watermark moved from %v to %v, %v", before.Watermark, after.Watermark, err)
	}
	h.openSim(s, "primary_key: id, sync_strategy: full_refresh")
	if report := h.run(syncer.Request{Since: old}); !strings.Contains(report.Tables[0].Reason, "always read whole") {
		t.Errorf("%+v", report)
	}
}

func TestTheWatermarkFollowsTheRowsBackInARollback(t *testing.T) {
	s := newSimulated("id int64", "v string")
	h := simHouse(t, s, incremental)
	s.set("1", "a")
	h.okay(syncer.Request{})
	first, err := h.store.Journal(t.Context(), h.tableID())
	if err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(40 * time.Minute)
	s.set("2", "b")
	h.okay(syncer.Request{})
	if _, err := h.store.Rollback(t.Context(), "me", 1); err != nil {
		t.Fatal(err)
	}
	if now, err := h.store.Journal(t.Context(), h.tableID()); err != nil || !now.Watermark.Equal(first.Watermark) {
		t.Errorf("after the rollback the watermark is %v, it was %v, %v", now.Watermark, first.Watermark, err)
	}
	h.okay(syncer.Request{})
	h.wants(s)
}

func TestReconcilingIsDoneWhenItIsDue(t *testing.T) {
	s := newSimulated("id int64", "v string")
	h := simHouse(t, s, incremental+", reconcile_every: 24h")
	s.set("1", "a")
	s.set("2", "b")
	h.okay(syncer.Request{})
	s.now = s.now.Add(time.Minute)
	s.remove("1")
	h.okay(syncer.Request{})
	if rows, _ := h.content(); len(rows) != 2 || s.keys != 0 {
		t.Errorf("%v, keys were listed %d times", rows, s.keys)
	}
	h.openSim(s, incremental+", reconcile_every: 1ns")
	s.now = s.now.Add(time.Minute)
	s.version++
	h.okay(syncer.Request{})
	h.wants(s)
	if s.keys != 1 {
		t.Errorf("keys were listed %d times", s.keys)
	}
}

func TestWhatAConnectorCannotDoIsRefused(t *testing.T) {
	s := newSimulated("id int64", "at date")
	s.set("1", "2026-01-01")
	for _, c := range []struct{ keys, words string }{
		{incremental + `, row_filter: "x > 1"`, "does not apply where_filters or row_filter"},
		{incremental + ", where_filters: [{column: at, operator: ge, values: [x]}]", "does not apply where_filters"},
		{"primary_key: nope, sync_strategy: incremental", "primary_key: column nope is not among the columns that came (id, at)"},
		{incremental + ", delete_column: nope", "delete_column: column nope is not among"},
		{"primary_key: id, sync_strategy: partitioned, partition_by: nope", "partition_by: column nope is not among"},
		{"primary_key: id, sync_strategy: partitioned, partition_by: id", `"1" is not a date`},
	} {
		simHouse(t, s, c.keys).fails(c.words)
	}
	h := simHouse(t, plainSource{s}, "primary_key: id, sync_strategy: full_refresh, max_history_days: 3")
	h.fails("always fetches all rows")
	h = simHouse(t, plainSource{s}, incremental)
	if r := h.run(syncer.Request{Since: time.Now()}); !strings.Contains(r.Tables[0].Reason, "always fetches all rows") {
		t.Errorf("%+v", r)
	}
}

// plainSource hides what its source can do beyond Fetch.
type plainSource struct{ source.Source }

func TestASourceWithoutChangeTimesIsMergedByKey(t *testing.T) {
	s := newSimulated("id int64", "at date", "v string")
	s.set("1", "2026-01-01", "a")
	s.set("2", "2026-02-01", "b")
	h := simHouse(t, plainSource{s}, incremental)
	h.okay(syncer.Request{})
	s.remove("1")
	s.set("2", "2026-02-02", "c")
	s.set("3", "", "d")
	if row := h.okay(syncer.Request{}); row.Reason != "1 rows new, 1 came again, 0 removed" {
		t.Error(row.Reason)
	}
	if rows, _ := h.content(); !slices.Equal(rows, []string{"1|2026-01-01|a", "2|2026-02-02|c", "3||d"}) {
		t.Error(rows)
	}
	h.openSim(plainSource{s}, incremental+", reconcile_every: 1ns")
	s.version++
	h.okay(syncer.Request{})
	h.wants(s)
	h.openSim(plainSource{s}, "primary_key: id, sync_strategy: partitioned, partition_by: at")
	h.okay(syncer.Request{})
	h.wants(s)
	if _, files := h.content(); strings.Join(files, " ") != "sim/2026_02:1 sim/_null:1" {
		t.Error(files)
	}
}

func TestARemoteTableIsNeverCopied(t *testing.T) {
	s := newSimulated("id int64")
	s.set("1")
	h := simHouse(t, s, incremental+", query_mode: remote")
	if row := h.okay(syncer.Request{}); row.Outcome != store.Remote || len(s.asked) > 0 {
		t.Errorf("%+v, asked %v", row, s.asked)
	}
}
