package csv_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aida/syncer/csv"
	"aida/syncer/datadoc"
)

func discover(t *testing.T, defaults datadoc.CSVOptions, files map[string]string) ([]csv.Found, []csv.Skipped) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src, err := csv.New(csv.Options{Root: root, Format: defaults})
	if err != nil {
		t.Fatal(err)
	}
	found, skipped, err := src.Discover()
	if err != nil {
		t.Fatal(err)
	}
	return found, skipped
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

func TestAFileIsRecognisedByItsBegin(t *testing.T) {
	long := "id,text\n"
	for i := range 20000 {
		long += fmt.Sprintf("%d,\"ž, %d\"\n", i, i)
	}
	for name, c := range map[string]struct {
		text     string
		defaults datadoc.CSVOptions
		want     string // delimiter encoding decimal key
	}{
		"plain":                 {text: "id,a\n1,2\n2,2\n", want: "   id"},
		"semicolons":            {text: "id;a\n1;2,5\n2;3\n", want: ";  , id"},
		"tabs":                  {text: "id\ta\n1\t2.5\n2\t3\n", want: "tab   id"},
		"bars":                  {text: "id|a\n1|x,y\n2|z,w\n", want: "|   id"},
		"a comma in the header": {text: "\"a, b\";id\n1;2\n1;3\n", want: ";   id"},
		"one column":            {text: "id\n1\n2\n", want: "   id"},
		"windows":               {text: "id,a\n1,M\xfcller\n2,b\n", want: " windows-1252  id"},
		"utf-8 with a mark":     {text: "\ufeffid,a\n1,ü\n2,b\n", want: "   id"},
		"utf-16 with a mark":    {text: "\xff\xfei\x00d\x00\n\x001\x00\n\x00", want: "   id"},
		"utf-16 without":        {text: "i\x00d\x00\n\x001\x00\n\x00", want: " utf-16le  id"},
		"utf-16 the other way":  {text: "\x00i\x00d\x00\n\x001\x00\n", want: " utf-16be  id"},
		"packed":                {text: packed("id;a\n1;2\n2;2\n"), want: ";   id"},
		"long and cut":          {text: long, want: "   id"},
		"thousands":             {text: "id;a\n1;1.234,50\n2;3,5\n", want: ";   id"},
		"usual here":            {text: "id;a\n1;2,5\n2;3\n", defaults: datadoc.CSVOptions{Delimiter: ";", Decimal: ","}, want: "   id"},
		"unusual here":          {text: "id,a\n1,ü\n2,3\n", defaults: datadoc.CSVOptions{Delimiter: ";", Encoding: "windows-1252"}, want: ", utf-8  id"},
		"no header":             {text: "1,2\n2,2\n", defaults: datadoc.CSVOptions{Header: new(bool)}, want: "   column_1"},
		"an id that is not one": {text: "id,customer_id\n1,7\n1,8\n", want: "   customer_id"},
		"two together":          {text: "shop_id,amount,day\n1,1.5,2026-01-01\n1,2.5,2026-01-02\n2,3.5,2026-01-01\n", want: "   shop_id+day"},
		"measures are no key":   {text: "a,amount\nx,1.5\nx,2.5\n", want: "   "},
		"holes are no key":      {text: "id,a\n1,x\n,y\n", want: "   "},
		"only a header":         {text: "a;b;t_id\n", want: ";   t_id"},
	} {
		found, skipped := discover(t, c.defaults, map[string]string{"t.csv": c.text})
		if len(found) != 1 || len(skipped) != 0 {
			t.Errorf("%s: found %v, skipped %v", name, found, skipped)
			continue
		}
		f := found[0].Format
		if got := strings.Join([]string{f.Delimiter, f.Encoding, f.Decimal, strings.Join(found[0].PrimaryKey, "+")}, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestFilesThatDifferByANumberAreOneTable(t *testing.T) {
	found, skipped := discover(t, datadoc.CSVOptions{}, map[string]string{
		"orders_2026_01.csv": "id,a\n1,2\n2,2\n", "orders_2026_02.csv": "id,a\n3,2\n4,2\n", "orders_old_1.csv": "id,b\n3,2\n4,2\n",
		"crm/part2.csv.gz": packed("id,a\n3,2\n4,2\n"), "crm/part10.csv.gz": packed("id,a\n5,2\n6,2\n"), "2026.csv": "x,y\n1,2\n", "2025.csv": "x,y\n1,2\n",
		"crm/.hidden.csv": "id\n1\n", "crm/now.csv.part": "id\n1\n", "deep/er/x.csv": "id\n1\n", ".git/x.csv": "id\n1\n", "note.md": "x",
		"empty.csv": "\n", "picture.csv": "\x89PNG\x00\x00", "broken.csv.gz": "\x1f\x8bxx",
	})
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprint(f.Format.Path, " ", f.Files))
	}
	if want := []string{"2025.csv 1", "2026.csv 1", "orders_[0-9]*.csv 2", "orders_old_1.csv 1", "crm/part[0-9]*.csv.gz 2"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	var why []string
	for _, s := range skipped {
		why = append(why, s.File+": "+s.Reason)
	}
	if len(why) != 3 || !strings.HasPrefix(why[0], "broken.csv.gz: unexpected EOF") || why[1] != "empty.csv: the file is empty" || why[2] != "picture.csv: this is not text" {
		t.Errorf("skipped %q", why)
	}
}

func TestWhatCannotBeReadIsNotPassedOverInSilence(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(root, "lost.csv")); err != nil {
		t.Skip(err)
	}
	src, err := csv.New(csv.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	found, skipped, err := src.Discover()
	if err != nil || len(found) != 0 || len(skipped) != 1 || skipped[0].File != "lost.csv" {
		t.Errorf("found %v, skipped %v, %v", found, skipped, err)
	}
}
