package sourcetest

import (
	"bytes"
	"os"
	"strings"
	"sync"

	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/datadoc"
)

func rowsArrive(s *suite) {
	rows := Rows(60, "a")
	s.Put(s, rows)
	r := s.request()
	res := s.fetch(r)
	if res.Unchanged() {
		s.Fatal("the first answer is unchanged")
	}
	if res.Size < -1 {
		s.Errorf("size %d", res.Size)
	}
	var last [2]int64
	a, err := s.drainWith(s.Context(), r, res, nil, columnar.Options{Workers: 1, Progress: func(bytes, rows int64) {
		if bytes < last[0] || rows < last[1] {
			s.Errorf("progress goes back from %v to %d bytes, %d rows", last, bytes, rows)
		}
		last = [2]int64{bytes, rows}
	}})
	if err != nil {
		s.Fatal(err)
	}
	s.same(a, rows)
	if a.out.Quarantined != 0 {
		s.Errorf("%d rows were set aside", a.out.Quarantined)
	}
}

func sameState(s *suite) {
	s.Put(s, Rows(s.Many, "a"))
	first := s.read(s.request())
	for _, workers := range []int{1, 3} {
		r := s.request()
		res := s.fetch(r)
		again, err := s.drainWith(s.Context(), r, res, nil, columnar.Options{Workers: workers})
		if err != nil {
			s.Fatal(err)
		}
		if again.Fingerprint != first.Fingerprint {
			s.Errorf("fingerprint %q, then %q", first.Fingerprint, again.Fingerprint)
		}
		if !bytes.Equal(again.bytes, first.bytes) {
			s.Errorf("%d workers write other bytes: %d, at first %d", workers, len(again.bytes), len(first.bytes))
		}
	}
}

func unchanged(s *suite) {
	s.Put(s, Rows(5, "a"))
	known := s.read(s.request()).Fingerprint
	for range 2 {
		r := s.request()
		r.Known = known
		if res := s.fetch(r); !res.Unchanged() {
			s.Error("the source was not touched, and the answer is data")
			_ = res.Data.Close()
		}
	}
	r := s.request()
	r.Known = "x" + known
	if res := s.fetch(r); res.Unchanged() {
		s.Error("another fingerprint was known, and the answer is unchanged")
	} else if err := res.Data.Close(); err != nil {
		s.Error(err)
	}
}

func everyChange(s *suite) {
	rows := Rows(5, "a")
	steps := [][]Row{rows, Rows(5, "b"), rows[:4], append(Rows(5, "b"), Row{ID: 99, Name: "new", Amount: "1.00", ChangedAt: rows[0].ChangedAt}), rows}
	known := ""
	for i, want := range steps {
		s.Put(s, want)
		r := s.request()
		r.Known = known
		a := s.read(r)
		s.same(a, want)
		if a.Fingerprint == known {
			s.Errorf("step %d: the fingerprint did not change", i)
		}
		known = a.Fingerprint
	}
}

func empty(s *suite) {
	s.Put(s, nil)
	a := s.read(s.request())
	s.same(a, nil)
	r := s.request()
	r.Known = a.Fingerprint
	if res := s.fetch(r); !res.Unchanged() {
		s.Error("an empty table that stayed empty is told as data")
		_ = res.Data.Close()
	}
	rows := Rows(3, "a")
	s.Put(s, rows)
	r = s.request()
	r.Known = a.Fingerprint
	filled := s.read(r)
	s.same(filled, rows)
	s.Put(s, nil)
	r = s.request()
	r.Known = filled.Fingerprint
	s.same(s.read(r), nil)
}

func failed(s *suite) {
	rows := Rows(5, "a")
	s.Put(s, rows)
	known := s.read(s.request()).Fingerprint
	repair := s.Break(s)
	s.fails(s.request(), "the source is broken")
	r := s.request()
	r.Known = known
	s.fails(r, "the source is broken")
	repair()
	s.same(s.read(s.request()), rows)
}

func failedWhileRead(s *suite) {
	rows := Rows(s.Many, "a")
	s.Put(s, rows)
	for _, at := range []int{0, 1, 2} { // before the read, when it begins, when the first bytes come out
		r := s.request()
		res := s.fetch(r)
		var repair func()
		calls := 0
		hook := func(int) error {
			if calls++; calls == at {
				repair = s.Break(s)
			}
			return nil
		}
		if at == 0 {
			repair = s.Break(s)
		}
		if a, err := s.drain(r, res, hook); err == nil { // what was spooled before is whole
			s.same(a, rows)
		}
		if repair != nil {
			repair()
		}
	}
}

func gone(s *suite) {
	s.Put(s, Rows(5, "a"))
	known := s.read(s.request()).Fingerprint
	s.Remove(s)
	s.fails(s.request(), "the table is gone")
	r := s.request()
	r.Known = known
	s.fails(r, "the table is gone")
}

func spoiled(s *suite) {
	if s.Spoil == nil {
		s.Skip("this source has no part that can be bad")
	}
	s.Put(s, Rows(5, "a"))
	words := s.Spoil(s)
	err := s.fails(s.request(), "a part of the source is bad")
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			s.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func chosenColumns(s *suite) {
	s.Put(s, Rows(5, "a"))
	known := s.read(s.request()).Fingerprint
	s.Table.Columns = []datadoc.Column{{Name: "name", Plain: true}, {Name: "id", Plain: true}}
	r := s.request()
	r.Known = known
	a := s.read(r)
	if got := strings.Join(a.table.Names(), " "); got != "name id" {
		s.Errorf("columns %s, want name and id", got)
	}
	s.Table.Columns = []datadoc.Column{{Name: "nosuch", Plain: true}}
	if err := s.fails(s.request(), "a column that does not exist is chosen"); !strings.Contains(err.Error(), "nosuch") {
		s.Errorf("the error does not name the column: %v", err)
	}
}

func knownTypes(s *suite) {
	if !s.Infers {
		s.Skip("this source has types of its own")
	}
	s.Put(s, Rows(5, "a"))
	text := columnar.Type{Kind: columnar.String}
	r := s.request()
	r.Types = []columnar.Column{{Name: "id", Type: text}, {Name: "amount", Type: columnar.Type{Kind: columnar.Decimal, Precision: 18, Scale: 2}}, {Name: "left", Type: text}}
	a := s.read(r)
	if got := typesOf(a.table); got["id"] != "string" || got["amount"] != "decimal(18,2)" {
		s.Errorf("types %v: those that the table has do not win over inference", got)
	}
	s.Table.Columns = []datadoc.Column{{Name: "id", Type: "int64"}}
	r = s.request()
	r.Types = []columnar.Column{{Name: "id", Type: text}}
	if got := typesOf(s.read(r).table); got["id"] != "int64" {
		s.Errorf("types %v: those that are declared do not win over the table's", got)
	}
}

func typesOf(t *columnartest.Table) map[string]string {
	out := map[string]string{}
	for _, c := range t.Columns {
		out[c.Name] = c.Type.String()
	}
	return out
}

func twoAtOnce(s *suite) {
	rows := Rows(2000, "a")
	s.Put(s, rows)
	var wait sync.WaitGroup
	for range 2 {
		r := s.request()
		wait.Go(func() {
			res, err := s.Source.Fetch(s.Context(), r)
			if err != nil {
				s.Error(err)
				return
			}
			if err := os.MkdirAll(r.Scratch, 0o750); err != nil {
				s.Error(err)
				return
			}
			var m columnartest.Memory
			if _, err := res.Data.WriteParquet(s.Context(), &m, columnar.Options{Workers: 1}); err != nil {
				s.Error(err)
			} else if err := match(columnartest.Read(s, m.Bytes()), rows); err != nil {
				s.Error(err)
			}
			if err := res.Data.Close(); err != nil {
				s.Error(err)
			}
			s.clean(r)
		})
	}
	wait.Wait()
}
