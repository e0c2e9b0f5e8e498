package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// numbered are migrations of a small database.
func numbered(texts ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i, text := range texts {
		out["migrations/000"+string(rune('1'+i))+"_x.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// openWith opens a database whose schema these migrations make.
func openWith(path string, files fstest.MapFS) (*Store, error) {
	return open(context.Background(), Options{Path: path}, files)
}

const first = `CREATE TABLE plants (name TEXT NOT NULL);`

func TestAMigrationKeepsTheRowsAndACopyOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := opened(t)(openWith(path, numbered(first)))
	run(t, s, `INSERT INTO plants VALUES ('bean'), ('pea')`)
	closed(t, s)

	s = opened(t)(openWith(path, numbered(first, `ALTER TABLE plants ADD COLUMN rows INTEGER NOT NULL DEFAULT 1;`, `UPDATE plants SET rows = 2 WHERE name = 'pea';`)))
	if n := number(t, s, `SELECT sum(rows) FROM plants`); n != 3 {
		t.Errorf("the rows add up to %d", n)
	}
	if v := number(t, s, `PRAGMA user_version`); v != 3 {
		t.Errorf("version %d", v)
	}
	closed(t, s)
	info, err := os.Stat(path + ".before-2")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the copy: %v, %v", info, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 2 {
		t.Errorf("in the folder: %v, %v", entries, err)
	}

	// The copy is a whole database that the older binary opens.
	old := opened(t)(openWith(path+".before-2", numbered(first)))
	if n := number(t, old, `SELECT count(*) FROM plants`); n != 2 {
		t.Errorf("the copy has %d rows", n)
	}
	if _, err := old.w.Exec(`SELECT rows FROM plants`); err == nil {
		t.Error("the copy was taken after the migration")
	}
	closed(t, old)

	// A start without a migration takes no copy and changes nothing.
	if err := os.Remove(path + ".before-2"); err != nil {
		t.Fatal(err)
	}
	closed(t, opened(t)(openWith(path, numbered(first, "SELECT 1;", "SELECT 1;"))))
	if _, err := os.Stat(path + ".before-2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy was taken: %v", err)
	}
}

func TestAFailingMigrationChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := opened(t)(openWith(path, numbered(first)))
	run(t, s, `INSERT INTO plants VALUES ('bean')`)
	closed(t, s)
	_, err := openWith(path, numbered(first, `CREATE TABLE half (x); INSERT INTO half VALUES (1);`, `CREATE TABLE beds (y); INSERT INTO nosuch VALUES (1);`))
	if err == nil || !strings.Contains(err.Error(), "0003_x.sql") || !strings.Contains(err.Error(), "nosuch") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	s = opened(t)(openWith(path, numbered(first)))
	if n := number(t, s, `SELECT count(*) FROM plants`); n != 1 {
		t.Errorf("%d rows", n)
	}
	if n := number(t, s, `SELECT count(*) FROM sqlite_master WHERE name IN ('half', 'beds')`); n != 0 {
		t.Errorf("%d tables of the failed migration stayed", n)
	}
	closed(t, s)

	// The next attempt, with the mistake repaired, works and replaces the copy.
	s = opened(t)(openWith(path, numbered(first, `CREATE TABLE half (x);`)))
	if v := number(t, s, `PRAGMA user_version`); v != 2 {
		t.Errorf("version %d", v)
	}
	closed(t, s)
}

func TestADatabaseOfANewerBinaryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	closed(t, opened(t)(openWith(path, numbered(first, "CREATE TABLE more (x);"))))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openWith(path, numbered(first))
	if CodeOf(err) != Invalid || !strings.Contains(err.Error(), "schema version 2, this binary knows 1") || !strings.Contains(err.Error(), "newer binary") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestEveryMigrationBuildsOnTheOneBefore(t *testing.T) {
	names, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.db")
	for i := range names { // as a place that takes every version does
		files := fstest.MapFS{}
		for _, n := range names[:i+1] {
			text, err := migrations.ReadFile("migrations/" + n.Name())
			if err != nil {
				t.Fatal(err)
			}
			files["migrations/"+n.Name()] = &fstest.MapFile{Data: text}
		}
		closed(t, opened(t)(openWith(path, files)))
	}
	stepwise := schema(t, path)
	fresh := filepath.Join(t.TempDir(), "b.db")
	s, err := Open(t.Context(), Options{Path: fresh})
	closed(t, opened(t)(s, err))
	if got := schema(t, fresh); got != stepwise {
		t.Errorf("step by step:\n%s\nat once:\n%s", stepwise, got)
	}
}

func schema(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var text string
	if err := db.QueryRow(`SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_master ORDER BY type, name)`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func opened(t *testing.T) func(*Store, error) *Store {
	return func(s *Store, err error) *Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, s *Store, query string) {
	t.Helper()
	if _, err := s.w.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, s *Store, query string) (n int) {
	t.Helper()
	if err := s.w.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
