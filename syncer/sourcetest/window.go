package sourcetest

import (
	"slices"
	"strings"
	"time"

	"aida/syncer/source"
)

func window(s *suite) {
	windowed, ok := s.Source.(source.Windowed)
	if !ok {
		s.Skip("this source is read whole")
	}
	if err := windowed.CanWindow(s.Table); err != nil {
		s.Fatalf("the world's table cannot be asked for by window: %v", err)
	}
	rows := Rows(40, "a")
	s.Put(s, rows)
	at := func(i int) time.Time { return rows[i].ChangedAt }
	for _, c := range []struct {
		name string
		w    source.Window
		want []Row
	}{
		{"from a moment on, which is included", source.Window{Since: at(10)}, rows[10:]},
		{"up to a moment, which is not", source.Window{Until: at(10)}, rows[:10]},
		{"between two", source.Window{Since: at(5), Until: at(7)}, rows[5:7]},
		{"nothing", source.Window{Since: at(39).Add(time.Hour)}, nil},
		{"everything", source.Window{Since: at(0).Add(-time.Hour)}, rows},
	} {
		r := s.request()
		r.Window = c.w
		if err := match(s.read(r).table, c.want); err != nil {
			s.Errorf("%s: %v", c.name, err)
		}
	}
	r := s.request()
	r.Known = s.read(s.request()).Fingerprint
	later := slices.Clone(rows)
	later[3] = Row{ID: 4, Name: "changed", Amount: "4.00", ChangedAt: at(39).Add(time.Minute)}
	s.Put(s, later)
	r.Window = source.Window{Since: at(39).Add(time.Second)}
	if err := match(s.read(r).table, later[3:4]); err != nil {
		s.Errorf("what changed since: %v", err)
	}
	defer s.Break(s)()
	r = s.request()
	r.Window = source.Window{Since: at(10)}
	s.fails(r, "the source is broken")
}

func keys(s *suite) {
	lister, ok := s.Source.(source.KeyLister)
	if !ok {
		s.Skip("this source is read whole")
	}
	list := func() []string {
		r := s.request()
		res, err := lister.Keys(s.Context(), r)
		if err != nil {
			s.Fatal(err)
		}
		if res.Unchanged() {
			s.Fatal("nothing was known, and the keys are told as unchanged")
		}
		a, err := s.drain(r, res, nil)
		if err != nil {
			s.Fatal(err)
		}
		if got := a.table.Names(); !slices.Equal(got, s.Table.PrimaryKey) {
			s.Errorf("columns %v, want the primary key", got)
		}
		got := a.table.Column("id")
		slices.Sort(got)
		return got
	}
	rows := Rows(4, "a")
	s.Put(s, rows)
	if got := strings.Join(list(), " "); got != "1 2 3 4" {
		s.Errorf("keys %s", got)
	}
	s.Put(s, rows[1:3])
	if got := strings.Join(list(), " "); got != "2 3" {
		s.Errorf("keys %s after rows were deleted", got)
	}
	s.Put(s, nil)
	if got := list(); len(got) != 0 {
		s.Errorf("keys %v of an empty table", got)
	}
	defer s.Break(s)()
	r := s.request()
	res, err := lister.Keys(s.Context(), r)
	if err == nil && !res.Unchanged() {
		_, err = s.drain(r, res, nil)
	}
	if err == nil {
		s.Fatal("the source is broken, and its keys are listed")
	}
	s.inform(err)
}
