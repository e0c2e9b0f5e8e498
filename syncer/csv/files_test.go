package csv_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	aidacsv "aida/syncer/csv"
	"aida/syncer/source"
)

func TestFoldersAndPatterns(t *testing.T) {
	files := map[string]string{
		"o/part-10.csv": "id\n10\n", "o/part-2.csv": "id\n2\n", "o/part-1.CSV": "id\n1\n", "o/more.tsv.gz": string(gzipped([]byte("id\n0\n"))),
		"o/.hidden.csv": "x\n1\n", "o/part-3.csv.part": "x\n1\n", "o/~lock.csv": "x\n1\n", "o/readme.md": "x\n1\n", "o/sub/part-4.csv": "id\n4\n",
		"o/new.csv.tmp": "x\n1\n", "y/2025/01.csv": "id\n1\n", "y/2026/02.csv": "id\n2\n", "y/2026/02.csv.part": "x\n", "odd[1].csv": "id\n7\n", "odd1.csv": "id\n8\n",
	}
	for path, want := range map[string]string{
		"o":                   "0 1 2 10", // by number, unfinished and hidden ones left out, folders too
		"o/":                  "0 1 2 10",
		"o/part-*.csv":        "2 10",
		"o/part-{2,10}.csv":   "2 10",
		"o/**/part-*.csv":     "2 10 4",
		"y/*/*.csv":           "1 2",
		"y/2026/*":            "2",
		"./o/../o/part-2.csv": "2",
		"odd[1].csv":          "7", // a file of that very name wins over the pattern
		"odd?.csv":            "8",
	} {
		d := newDrop(t, files)
		got, _, err := d.read(described(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if ids := strings.Join(got.Column("id"), " "); ids != want {
			t.Errorf("%s: rows %s, want %s", path, ids, want)
		}
	}
	d := newDrop(t, files)
	if got, _, err := d.read(described(filepath.Join(d.root, "y", "2026", "02.csv"))); err != nil || got.String() != "2" {
		t.Errorf("an absolute path in the root: %v, %v", got, err)
	}
}

func TestTheIDIsThePathOfATableThatNamesNone(t *testing.T) {
	table := described("")
	table.ID = "shop/orders.csv"
	if got := newDrop(t, map[string]string{"shop/orders.csv": "id\n1\n"}).must(table); got.String() != "1" {
		t.Errorf("got %q", got)
	}
}

func TestFilesThatAreNotThereAreAFailure(t *testing.T) {
	d := newDrop(t, map[string]string{"empty/readme.md": "x", "a.csv": "id\n1\n"})
	for path, words := range map[string]string{
		"nosuch.csv": "no file matches nosuch.csv", "empty": "no file matches empty", "*.tsv": "no file matches", "nosuch/*.csv": "no file matches",
		"a.csv/b.csv": "a.csv", "[": "syntax error in pattern",
	} {
		if _, _, err := d.read(described(path)); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "shop.orders") {
			t.Errorf("%s: got %v", path, err)
		}
	}
	d.o.Root = filepath.Join(d.root, "nosuch")
	if _, _, err := d.read(described("a.csv")); err == nil || !strings.Contains(err.Error(), "data_source.csv.root") {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestNothingOutsideTheRootIsRead(t *testing.T) {
	d := newDrop(t, map[string]string{"in/a.csv": "id\n1\n", "secret.csv": "id\n666\n", "in-beside/a.csv": "id\n666\n"})
	outside := d.root
	d.o.Root = filepath.Join(outside, "in")
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(d.o.Root, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../secret.csv", "up.csv")
	link(filepath.Join(outside, "secret.csv"), "abs.csv")
	link("..", "updir")
	link("a.csv", "here.csv")
	for _, path := range []string{"../secret.csv", "x/../../secret.csv", "../in-beside/a.csv", "up.csv", "abs.csv", "updir/secret.csv", "updir",
		filepath.Join(outside, "secret.csv"), "/etc/passwd", "updir/*.csv", "../*.csv", "*.csv", "."} {
		if got, _, err := d.read(described(path)); err == nil {
			t.Errorf("%s was read: %q", path, got)
		} else if strings.Contains(err.Error(), "666") {
			t.Errorf("%s: the error shows what is outside: %v", path, err)
		}
	}
	if got := d.must(described("here.csv")); got.String() != "1" {
		t.Errorf("a link inside the root: %q", got)
	}
}

func TestOddKindsOfFiles(t *testing.T) {
	d := newDrop(t, map[string]string{"a.csv": "id\n1\n"})
	if err := syscall.Mkfifo(filepath.Join(d.root, "pipe.csv"), 0o600); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{"pipe.csv", "."} { // reading it would wait for ever
		if _, _, err := d.read(described(path)); err == nil || !strings.Contains(err.Error(), "pipe.csv is not a regular file") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestAFileThatMayNotBeReadIsAFailure(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("the superuser may read everything")
	}
	d := newDrop(t, map[string]string{"a.csv": "id\n1\n", "b/b.csv": "id\n1\n"})
	for name, path := range map[string]string{"a.csv": "a.csv", "b": "b"} {
		if err := os.Chmod(filepath.Join(d.root, name), 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.read(described(path)); err == nil || !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
		_ = os.Chmod(filepath.Join(d.root, name), 0o700)
	}
}

func TestAFileThatIsEmptyIsNoTableWithoutRows(t *testing.T) {
	d := newDrop(t, map[string]string{"o/1.csv": "id\n1\n", "o/2.csv": ""})
	if _, _, err := d.read(described("o")); err == nil || !strings.Contains(err.Error(), "o/2.csv: the file is empty") {
		t.Errorf("got %v", err)
	}
}

func TestAWriteThatSetsTheTimeBackIsStillAChange(t *testing.T) {
	d := newDrop(t, map[string]string{"a.csv": "id\n1\n"})
	path := filepath.Join(d.root, "a.csv")
	src, err := aidacsv.New(d.o)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(known string) *source.Result {
		res, err := src.Fetch(t.Context(), source.Request{Table: described("a.csv"), Known: known, Scratch: d.scratch})
		if err != nil {
			t.Fatal(err)
		}
		if !res.Unchanged() {
			t.Cleanup(func() { res.Data.Close() })
		}
		return res
	}
	first := fetch("")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte("id\n2\n")) // as long as before
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if changeTimeKnown() && fetch(first.Fingerprint).Unchanged() {
		t.Error("the change is not seen")
	}
}

func changeTimeKnown() bool { return os.PathSeparator == '/' && exists("/proc/self") }

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
