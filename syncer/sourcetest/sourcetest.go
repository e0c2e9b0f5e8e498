// Package sourcetest is the suite that every connector must pass: that it answers data, empty, unchanged or failed and
// never takes one for another, that its fingerprints tell states of the source apart, and that it leaves nothing behind.
// A connector's test gives it a world with one table that the suite may change, break and take away.
//
//	func TestConformance(t *testing.T) {
//		sourcetest.Run(t, func(t *testing.T) *sourcetest.World { ... })
//	}
package sourcetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	"aida/syncer/datadoc"
	"aida/syncer/source"
)

// Row is a row of the table in a World. Its columns are id (the primary key), name, amount and changed_at; name and
// amount may be null, which is "" here.
type Row struct {
	ID        int64
	Name      string
	Amount    string    // decimal with two places, for example "-12.50"
	ChangedAt time.Time // UTC, whole seconds; also when the row changed by the source's own clock, for sources that keep that
}

// Columns are the columns of a World's table, in order.
var Columns = []string{"id", "name", "amount", "changed_at"}

// World is a connector with a source that it reads one table from, made for one test.
type World struct {
	Source source.Source
	Table  datadoc.Table // as data_description.md describes it; its primary key is id

	Put    func(t testing.TB, rows []Row)      // makes these all rows of the table, as one change at the source
	Break  func(t testing.TB) (repair func())  // makes the source as a whole fail: server down, folder not readable
	Remove func(t testing.TB)                  // takes the table away at the source
	Spoil  func(t testing.TB) (words []string) // optional: makes a part of the source unreadable; an error must have these words, its place among them

	Secrets []string // no error may show these
	Many    int      // rows of a large table: more than the connector reads at once; 0 = 20,000
	Infers  bool     // types of columns that are not declared follow from their values
}

// Run runs the suite. world is called for every test and must give a world of its own; what it opens, it closes with
// t.Cleanup.
func Run(t *testing.T, world func(t *testing.T) *World) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"rows arrive as they are", rowsArrive},
		{"the same state gives the same bytes and the same fingerprint", sameState},
		{"an unchanged source is told as unchanged", unchanged},
		{"every change is another fingerprint", everyChange},
		{"no rows are an empty table, not unchanged and not failed", empty},
		{"a source that fails is failed, not empty and not unchanged", failed},
		{"a source that fails while it is read never gives a part", failedWhileRead},
		{"a table that is gone is failed", gone},
		{"a bad part is told with its place", spoiled},
		{"a source that changes while it is read is never mixed", changedWhileRead},
		{"choosing columns is another state", chosenColumns},
		{"known types win over inference", knownTypes},
		{"a cancelled read ends and leaves nothing behind", cancelled},
		{"a full disk ends the read", fullDisk},
		{"data that is not read is let go of", notRead},
		{"two reads at once do not disturb each other", twoAtOnce},
		{"a window gives the rows that changed in it", window},
		{"keys are those of all rows", keys},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, World: world(t)}
			s.Many = cmp.Or(s.Many, 20_000)
			c.run(s)
		})
	}
}

// suite is one test in its world.
type suite struct {
	*testing.T
	*World
}

// Rows makes n rows. Their names hold the version, and text that readers like to change.
func Rows(n int, version string) []Row {
	odd := []string{"NA", "007", "null", "1e5", "quote \" and, comma", "two\nlines", "žluťoučký 漢字", " blanks ", "'", "\\N"}
	out := make([]Row, n)
	for i := range out {
		out[i] = Row{ID: int64(i + 1), Name: version + " " + odd[i%len(odd)], Amount: fmt.Sprintf("%d.%02d", i%2000-1000, i%100),
			ChangedAt: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)}
		if i%11 == 10 {
			out[i].Name = ""
		}
		if i%13 == 12 {
			out[i].Amount = ""
		}
	}
	return out
}

// answer is a fetch that was read to its end.
type answer struct {
	*source.Result
	out   *columnar.Result
	bytes []byte
	table *columnartest.Table
}

// request makes a request with a scratch folder of its own, which is not there yet.
func (s *suite) request() source.Request {
	return source.Request{Table: s.Table, Scratch: filepath.Join(s.TempDir(), "table")}
}

// fetch asks for the table and fails the test on an error or on an answer that contradicts itself.
func (s *suite) fetch(r source.Request) *source.Result {
	s.Helper()
	res, err := s.Source.Fetch(s.Context(), r)
	if err != nil {
		s.Fatalf("fetch: %v", err)
	}
	if res == nil {
		s.Fatal("fetch answered neither a result nor an error")
	}
	if res.Fingerprint == "" && r.Window.All() {
		s.Error("the answer has no fingerprint")
	}
	if res.DataTime.IsZero() || res.DataTime.After(time.Now().Add(time.Minute)) {
		s.Errorf("data time %v", res.DataTime)
	}
	if res.Unchanged() {
		if r.Known == "" || res.Fingerprint != r.Known {
			s.Errorf("the answer is unchanged, with fingerprint %q; known was %q", res.Fingerprint, r.Known)
		}
		s.clean(r)
	} else if r.Known != "" && res.Fingerprint == r.Known {
		s.Error("the answer is data with the fingerprint that was known")
	}
	return res
}

// read fetches and reads all rows.
func (s *suite) read(r source.Request) *answer {
	s.Helper()
	res := s.fetch(r)
	if res.Unchanged() {
		s.Fatal("the answer is unchanged; data was expected")
	}
	a, err := s.drain(r, res, nil)
	if err != nil {
		s.Fatalf("read: %v", err)
	}
	return a
}

// drain reads the rows of an answer and closes it. hook is called while the file is written.
func (s *suite) drain(r source.Request, res *source.Result, hook func(taken int) error) (*answer, error) {
	s.Helper()
	return s.drainWith(s.Context(), r, res, hook, columnar.Options{Workers: 2})
}

func (s *suite) drainWith(ctx context.Context, r source.Request, res *source.Result, hook func(taken int) error, o columnar.Options) (*answer, error) {
	s.Helper()
	a := &answer{Result: res}
	m := &columnartest.Memory{Hook: hook}
	err := os.MkdirAll(r.Scratch, 0o750)
	if err != nil {
		return nil, err
	}
	a.out, err = res.Data.WriteParquet(ctx, m, o)
	var moved error
	if err == nil {
		moved = res.Data.Settled(ctx)
	}
	if cerr := res.Data.Close(); cerr != nil {
		s.Errorf("close: %v", cerr)
	}
	s.clean(r)
	if moved != nil { // the engine says of which table
		s.hidden(moved)
		return nil, moved
	}
	if err != nil {
		s.inform(err)
		return nil, err
	}
	if a.out == nil || a.out.Bytes != int64(m.Len()) {
		s.Fatalf("result %+v of a file of %d bytes", a.out, m.Len())
	}
	a.bytes = m.Bytes()
	a.table = columnartest.Read(s.T, a.bytes)
	if a.out.Rows != int64(len(a.table.Rows)) {
		s.Errorf("%d rows are told, the file has %d", a.out.Rows, len(a.table.Rows))
	}
	if len(a.out.Schema.Columns) != len(a.table.Columns) {
		s.Errorf("%d columns are told, the file has %d", len(a.out.Schema.Columns), len(a.table.Columns))
	}
	return a, nil
}

// fails asks for the table and wants an error that helps and hides what it must.
func (s *suite) fails(r source.Request, why string) error {
	s.Helper()
	res, err := s.Source.Fetch(s.Context(), r)
	if err == nil && res != nil && !res.Unchanged() { // some find out when they read
		_, err = s.drain(r, res, nil)
	}
	if err == nil {
		s.Fatalf("%s, and the answer is unchanged=%t with no error", why, res.Unchanged())
	}
	s.inform(err)
	s.clean(r)
	return err
}

// inform checks what an error says.
func (s *suite) inform(err error) {
	s.Helper()
	if !strings.Contains(err.Error(), s.Table.FullName()) {
		s.Errorf("the error does not name the table %s: %v", s.Table.FullName(), err)
	}
	s.hidden(err)
}

func (s *suite) hidden(err error) {
	s.Helper()
	for _, secret := range s.Secrets {
		if strings.Contains(err.Error(), secret) {
			s.Errorf("the error shows a secret: %v", err)
		}
	}
}

// clean checks that nothing is left in scratch but rows that were set aside.
func (s *suite) clean(r source.Request) {
	s.Helper()
	entries, err := os.ReadDir(r.Scratch)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != source.QuarantineFile {
			s.Errorf("%s is left in scratch", e.Name())
		}
	}
}

// same compares the rows of an answer with what was put, whatever the types that a connector gives them.
func (s *suite) same(a *answer, want []Row) {
	s.Helper()
	if err := match(a.table, want); err != nil {
		s.Error(err)
	}
}

func match(t *columnartest.Table, want []Row) error {
	if got := t.Names(); !slices.Equal(got, Columns) {
		return fmt.Errorf("columns %v, want %v", got, Columns)
	}
	got := map[int64][]string{}
	for _, row := range t.Rows {
		id, err := strconv.ParseInt(row[0], 10, 64)
		if err != nil {
			return fmt.Errorf("id %q is not a number", row[0])
		}
		if _, twice := got[id]; twice {
			return fmt.Errorf("row %d came twice", id)
		}
		got[id] = row
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d rows came, want %d", len(got), len(want))
	}
	for _, w := range want {
		row, ok := got[w.ID]
		if !ok {
			return fmt.Errorf("row %d is missing", w.ID)
		}
		if row[1] != cmp.Or(w.Name, columnartest.Null) || !sameAmount(row[2], w.Amount) || !sameTime(row[3], w.ChangedAt) {
			return fmt.Errorf("row %d is %q, want %+v", w.ID, row, w)
		}
	}
	return nil
}

func sameAmount(got, want string) bool {
	if want == "" || got == columnartest.Null || got == want {
		return got == cmp.Or(want, columnartest.Null)
	}
	g, ok1 := new(big.Rat).SetString(got)
	w, ok2 := new(big.Rat).SetString(want)
	return ok1 && ok2 && g.Cmp(w) == 0
}

func sameTime(got string, want time.Time) bool {
	for _, layout := range []string{"2006-01-02 15:04:05Z", "2006-01-02 15:04:05", time.RFC3339, "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, got); err == nil {
			return at.Equal(want)
		}
	}
	return false
}
