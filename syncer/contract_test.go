package syncer_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/store"
	"aida/syncer"
)

// told writes the differences that a run noted.
func told(row store.RunTable) string {
	var out []string
	for _, c := range row.Schema {
		out = append(out, c.String())
	}
	return strings.Join(out, "; ")
}

// drift gives a table with two parts' worth of rows, whose source then has other columns and one new row.
func drift(t *testing.T, keys string, now []string, cells ...string) (*house, *simulated) {
	t.Helper()
	s := newSimulated("id int64", "n int64", "v string")
	h := simHouse(t, s, keys)
	for _, id := range []string{"1", "2", "3"} {
		s.setAt(s.now.AddDate(0, 0, -20), id, id+"0", "text")
	}
	h.okay(syncer.Request{})
	s.now = s.now.Add(time.Minute)
	for id, row := range s.rows { // the old rows have cells for any columns, and are not fetched again
		s.rows[id] = simRow{append(row.cells, make([]string, 9)...), row.changed}
	}
	s.retype(now...)
	s.set(cells...)
	return h, s
}

func TestATableThatEvolvesFollowsItsSource(t *testing.T) {
	for name, c := range map[string]struct {
		now, cells []string
		told       string
		rows       []string
	}{
		"a column is added": {[]string{"id int64", "n int64", "v string", "extra date"}, []string{"9", "1", "x", "2026-01-02"},
			"column extra (date) was added", []string{"1|10|text|", "2|20|text|", "3|30|text|", "9|1|x|2026-01-02"}},
		"a column is dropped": {[]string{"id int64", "n int64"}, []string{"9", "1"},
			"column v (string) was dropped", []string{"1|10|text", "2|20|text", "3|30|text", "9|1|"}},
		"a column has another name": {[]string{"id int64", "number int64", "v string"}, []string{"9", "1", "x"},
			"column n seems to be named number now", []string{"1|10|text|", "2|20|text|", "3|30|text|", "9||x|1"}},
		"a number becomes a decimal": {[]string{"id int64", "n decimal(12,2)", "v string"}, []string{"9", "1.50", "x"},
			"column n changed from int64 to decimal(12,2)", []string{"1|10.00|text", "2|20.00|text", "3|30.00|text", "9|1.50|x"}},
		"a number becomes text": {[]string{"id int64", "n string", "v string"}, []string{"9", "many", "x"},
			"column n widened from int64 to string", []string{"1|10|text", "2|20|text", "3|30|text", "9|many|x"}},
		"text becomes a number": {[]string{"id int64", "n int64", "v int64"}, []string{"9", "1", "7"},
			"column v narrowed from string to int64", []string{"1|10|text", "2|20|text", "3|30|text", "9|1|7"}},
		"the key becomes text": {[]string{"id string", "n int64", "v string"}, []string{"2", "1", "x"},
			"column id widened from int64 to string", []string{"1|10|text", "2|1|x", "3|30|text"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, keys := range []string{incremental, incremental + ", partition_by: id, partition_granularity: value"} {
				h, _ := drift(t, keys, c.now, c.cells...)
				row := h.okay(syncer.Request{})
				if told(row) != c.told {
					t.Errorf("told: %s", told(row))
				}
				if c.told != "column v (string) was dropped" && row.Schema[0].Sample["id"] != c.cells[0] {
					t.Errorf("sample %v", row.Schema[0].Sample)
				}
				if got, files := h.content(); !slices.Equal(got, c.rows) {
					t.Errorf("got %q in %v", got, files)
				}
				last, err := h.store.LastRuns(t.Context())
				if err != nil || told(last[h.tableID()]) != c.told {
					t.Errorf("the run keeps %q, %v", told(last[h.tableID()]), err)
				}
			}
		})
	}
}

func TestAFrozenTableRefusesOtherColumns(t *testing.T) {
	h, s := drift(t, incremental+", schema: freeze, columns: [{name: v, sensitive: true}]", []string{"id int64", "n string", "v string"}, "9", "many", "secret")
	row := h.fails(`whose schema is frozen: column n widened from int64 to string, for example in {"id":"9","n":"many"}: set schema: evolve`)
	if strings.Contains(row.Reason, "secret") {
		t.Error("a sensitive value is shown")
	}
	if rows, _ := h.content(); len(rows) != 3 {
		t.Errorf("the table has %q", rows)
	}
	h.openSim(s, incremental+", schema: freeze, columns: [{name: n, schema: evolve}]")
	h.okay(syncer.Request{})
	if rows, _ := h.content(); len(rows) != 4 {
		t.Errorf("the table has %q", rows)
	}
}

func TestAQuarantineTableStaysAsItIs(t *testing.T) {
	for name, keys := range map[string]string{"by key": incremental, "whole": "primary_key: id, sync_strategy: full_refresh"} {
		t.Run(name, func(t *testing.T) {
			h, s := drift(t, keys+", schema: quarantine", []string{"id int64", "n string", "v string", "extra int64"}, "9", "many", "x", "1")
			s.set("8", "80", "y", "1")
			for _, id := range []string{"1", "2", "3"} {
				s.set(id, id+"0", "text", "5")
			}
			row := h.okay(syncer.Request{})
			if row.Quarantined != 1 {
				t.Errorf("%d rows were put aside", row.Quarantined)
			}
			if got, _ := h.content(); !slices.Equal(got, []string{"1|10|text", "2|20|text", "3|30|text", "8|80|y"}) {
				t.Errorf("got %q", got)
			}
			side, err := os.ReadFile(filepath.Join(h.data, "quarantine", "sales.sim.csv"))
			if err != nil || !strings.Contains(string(side), `n,"is string, not int64",many,"9,`) {
				t.Errorf("%s, %v", side, err)
			}
		})
	}
}

func TestAColumnThatIsDescribedAsRenamedKeepsItsValues(t *testing.T) {
	now, cells := []string{"id int64", "number int64", "v string"}, []string{"9", "1", "x"}
	for name, c := range map[string]struct{ keys, described string }{
		"as one file":    {incremental, incremental},
		"in partitions":  {incremental + ", partition_by: v, partition_granularity: value", incremental + ", partition_by: v, partition_granularity: value"},
		"though frozen":  {incremental + ", schema: freeze", incremental + ", schema: freeze"},
		"by the column":  {"primary_key: [id, v], sync_strategy: incremental", "primary_key: [id, v], sync_strategy: incremental"},
		"though held by": {incremental + ", schema: quarantine", incremental + ", schema: quarantine"},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := drift(t, c.keys, now, cells...)
			h.openSim(s, c.described+", columns: [{name: number, renamed_from: n}]")
			row := h.okay(syncer.Request{})
			if told(row) != "column n is named number now, as described" || row.Schema[0].Sample["number"] != "1" {
				t.Errorf("told: %s %v", told(row), row.Schema)
			}
			if got, files := h.content(); !slices.Equal(got, []string{"1|10|text", "2|20|text", "3|30|text", "9|1|x"}) {
				t.Errorf("got %q in %v", got, files)
			}
			s.now = s.now.Add(time.Minute)
			s.version++
			if row := h.okay(syncer.Request{}); len(row.Schema) > 0 || row.Outcome != store.Unchanged {
				t.Errorf("the next sync: %+v", row)
			}
		})
	}
}

func TestARenameThatIsDescribedLaterMovesWhatStayedBehind(t *testing.T) {
	h, s := drift(t, incremental, []string{"id int64", "number string", "v string"}, "9", "many", "x")
	s.set("8", "", "y")
	row := h.okay(syncer.Request{})
	if len(row.Warnings) > 0 { // of other types: no guess
		t.Error(row.Warnings)
	}
	s.retype("id int64", "v string", "number decimal(9,2)", "sum int64")
	h.openSim(s, incremental)
	s.now = s.now.Add(time.Minute)
	s.set("7", "z", "4.50", "1")
	h.openSim(s, incremental+", columns: [{name: number, renamed_from: n}]")
	s.rows["9"], s.rows["8"] = simRow{[]string{"9", "x", "3", ""}, s.now}, simRow{[]string{"8", "y", "", ""}, s.now}
	row = h.okay(syncer.Request{})
	if got, files := h.content(); !slices.Equal(got, []string{"1|text|10|", "2|text|20|", "3|text|30|", "7|z|4.50|1", "8|y||", "9|x|3.00|"}) {
		t.Errorf("got %q in %v, told: %s", got, files, told(row))
	}
}

func TestAGuessedRenameSaysHowToMoveTheValues(t *testing.T) {
	h, _ := drift(t, incremental, []string{"id int64", "v string", "extra date", "number int64"}, "9", "x", "", "1")
	row := h.okay(syncer.Request{})
	if told(row) != "column n seems to be named number now; column extra (date) was added" {
		t.Errorf("told: %s", told(row))
	}
	if len(row.Warnings) != 1 || !strings.Contains(row.Warnings[0], "to move them over, write renamed_from: n at column number in data_description.md") {
		t.Error(row.Warnings)
	}
}

// TestATableThatLosesItsKeyStaysAsItIs holds for each strategy and each contract.
func TestATableThatLosesItsKeyStaysAsItIs(t *testing.T) {
	for name, keys := range map[string]string{
		"full refresh":           "primary_key: id, sync_strategy: full_refresh",
		"full refresh, two keys": "primary_key: [n, id], sync_strategy: full_refresh",
		"incremental":            incremental,
		"incremental, by value":  incremental + ", partition_by: v, partition_granularity: value",
		"partitioned":            "primary_key: id, sync_strategy: partitioned, partition_by: v, partition_granularity: value",
		"read in steps":          incremental + ", max_history_days: 90, initial_load_chunk_days: 30",
		"keys are compared":      incremental + ", reconcile_every: 1ns",
	} {
		for _, contract := range []string{"", ", schema: evolve", ", schema: freeze", ", schema: quarantine"} {
			t.Run(name+contract, func(t *testing.T) {
				h, s := drift(t, keys+contract, []string{"ident int64", "n int64", "v string"}, "9", "1", "x")
				before := h.files()
				words := "primary_key: column id is not among the columns that came (ident, n, v): put the source right, or correct primary_key in data_description.md"
				h.fails(words)
				report := h.run(syncer.Request{Full: true})
				if row := report.Tables[0]; report.Published || row.Outcome != store.Failed || !strings.Contains(row.Reason, words) {
					t.Errorf("read whole: %+v", report)
				}
				if after := h.files(); !maps.EqualFunc(before, after, func(a, b store.File) bool { return a.ID == b.ID }) {
					t.Errorf("the files were %v, now %v", before, after)
				}
				s.retype("id int64", "n int64", "v string")
				h.okay(syncer.Request{})
				if rows, _ := h.content(); len(rows) != 4 {
					t.Errorf("with the key again: %q", rows)
				}
			})
		}
	}
}

func TestATableReadWholeThatNeverHadItsKeyIsToldSo(t *testing.T) {
	s := newSimulated("id int64", "v string")
	s.set("1", "x")
	h := simHouse(t, s, "primary_key: ident, sync_strategy: full_refresh")
	row := h.okay(syncer.Request{})
	if len(row.Warnings) != 1 || row.Warnings[0] != "primary_key: column ident is not among the columns that came (id, v): correct it in data_description.md" {
		t.Error(row.Warnings)
	}
	h.wants(s)
}
