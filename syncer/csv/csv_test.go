package csv_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"aida/syncer/columnar"
	"aida/syncer/columnar/columnartest"
	aidacsv "aida/syncer/csv"
	"aida/syncer/datadoc"
	"aida/syncer/source"

	"github.com/klauspost/compress/zstd"
)

// drop is a root folder with files in it, and the connector on it.
type drop struct {
	t       testing.TB
	root    string
	scratch string
	o       aidacsv.Options
}

func newDrop(t testing.TB, files map[string]string) *drop {
	t.Helper()
	d := &drop{t: t, root: t.TempDir(), scratch: t.TempDir()}
	d.o.Root = d.root
	for name, text := range files {
		write(t, filepath.Join(d.root, name), []byte(text))
	}
	return d
}

// read reads a table whole.
func (d *drop) read(table datadoc.Table) (*columnartest.Table, *columnar.Result, error) {
	d.t.Helper()
	src, err := aidacsv.New(d.o)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := src.Fetch(d.t.Context(), source.Request{Table: table, Scratch: d.scratch})
	if err != nil {
		return nil, nil, err
	}
	var m columnartest.Memory
	out, err := res.Data.WriteParquet(d.t.Context(), &m, columnar.Options{Workers: 2})
	if err == nil {
		err = res.Data.Settled(d.t.Context())
	}
	if cerr := res.Data.Close(); cerr != nil {
		d.t.Error(cerr)
	}
	if err != nil {
		return nil, nil, err
	}
	return columnartest.Read(d.t, m.Bytes()), out, nil
}

func (d *drop) must(table datadoc.Table) *columnartest.Table {
	d.t.Helper()
	t, _, err := d.read(table)
	if err != nil {
		d.t.Fatal(err)
	}
	return t
}

func types(t *columnartest.Table) string {
	var out []string
	for _, c := range t.Columns {
		out = append(out, c.Name+" "+c.Type.String())
	}
	return strings.Join(out, ", ")
}

func TestTextStaysText(t *testing.T) {
	d := newDrop(t, map[string]string{"codes.csv": "zip,country,phone,id,sci,word,blank\n" +
		"007,NA,+420,12345678901234567890,1e5,null, x \n10115,None,+44,00000000000000000001,2E-3,NaN,\"\"\n"})
	table := described("codes.csv")
	table.Columns = []datadoc.Column{{Name: "sci", Type: "string"}, {Name: "word", Type: "string"}}
	got := d.must(table)
	if want := "zip string, country string, phone string, id string, sci string, word string, blank string"; types(got) != want {
		t.Errorf("types\n %s, want\n %s", types(got), want)
	}
	if want := "007|NA|+420|12345678901234567890|1e5|null| x \n10115|None|+44|00000000000000000001|2E-3|NaN|"; got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEveryOptionOfATable(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		o           datadoc.CSVOptions
		columns     []datadoc.Column
		text        string
		types, want string
	}{
		"semicolons and decimal commas": {datadoc.CSVOptions{Delimiter: ";", Decimal: ","}, nil, "a;b\n1,5;x\n-2;y,z\n", "a float64, b string", "1.5|x\n-2|y,z"},
		"tabs by name":                  {datadoc.CSVOptions{Delimiter: "tab"}, nil, "a\tb\n1\tx y\n", "a int64, b string", "1|x y"},
		"tabs by escape":                {datadoc.CSVOptions{Delimiter: `\t`}, nil, "a\tb\n1\tx y\n", "a int64, b string", "1|x y"},
		"bars":                          {datadoc.CSVOptions{Delimiter: "|"}, nil, "a|b\n1|x\n", "a int64, b string", "1|x"},
		"single quotes":                 {datadoc.CSVOptions{Quote: "'"}, nil, "a,b\n1,'x, ''y'''\n", "a int64, b string", "1|x, 'y'"},
		"no quotes":                     {datadoc.CSVOptions{Quote: "none"}, nil, "a,b\n1,\"x\n", "a int64, b string", "1|\"x"},
		"no header":                     {datadoc.CSVOptions{Header: &no}, nil, "1,x\n2,y\n", "column_1 int64, column_2 string", "1|x\n2|y"},
		"no header, names declared": {datadoc.CSVOptions{Header: &no}, []datadoc.Column{{Name: "id", Type: "string"}, {Name: "v", Type: "string"}}, "1,x\n",
			"id string, v string", "1|x"},
		"no header and no rows": {datadoc.CSVOptions{Header: &no}, []datadoc.Column{{Name: "id", Type: "int64"}}, "", "id int64", ""},
		"words for null": {datadoc.CSVOptions{NullValues: []string{"NULL", "-", "n/a"}}, nil, "a,b\n1,NULL\n-,\"NULL\"\n3,n/a\n",
			"a int64, b string", "1|<null>\n<null>|NULL\n3|<null>"},
		"dates of a format": {datadoc.CSVOptions{DateFormat: "%d.%m.%Y"}, []datadoc.Column{{Name: "a", Type: "date"}, {Name: "b", Type: "date", Format: "%Y%m%d"}},
			"a,b\n24.12.2026,20261231\n", "a date, b date", "2026-12-24|2026-12-31"},
		"times of a format": {datadoc.CSVOptions{TimestampFormat: "%d/%m/%Y %H:%M"}, []datadoc.Column{{Name: "a", Type: "timestamp"}, {Name: "b", Type: "timestamp_tz"}},
			"a,b\n24/12/2026 18:30,24/12/2026 18:30\n", "a timestamp, b timestamp_tz", "2026-12-24 18:30:00|2026-12-24 18:30:00Z"},
		"declared types win": {datadoc.CSVOptions{}, []datadoc.Column{{Name: "a", Type: "decimal(10,3)"}, {Name: "b", Type: "bool"}}, "a,b,c\n1.5, yes ,7\n2,0,8\n",
			"a decimal(10,3), b bool, c int64", "1.500|true|7\n2.000|false|8"},
		"chosen columns, in order":          {datadoc.CSVOptions{}, []datadoc.Column{{Name: "c", Plain: true}, {Name: "a", Plain: true}}, "a,b,c\n1,2,3\n", "c int64, a int64", "3|1"},
		"described but not typed":           {datadoc.CSVOptions{}, []datadoc.Column{{Name: "a", Description: "an a"}}, "a,b\n1,2\n", "a int64, b int64", "1|2"},
		"header only":                       {datadoc.CSVOptions{}, []datadoc.Column{{Name: "b", Type: "date"}}, "a,b\n", "a string, b date", ""},
		"header without line end":           {datadoc.CSVOptions{}, nil, "a,b", "a string, b string", ""},
		"no last line end":                  {datadoc.CSVOptions{}, nil, "a,b\n1,x\n2,y", "a int64, b string", "1|x\n2|y"},
		"line breaks in quotes":             {datadoc.CSVOptions{}, nil, "a,b\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n", "a int64, b string", "1|two\r\nlines, \"quoted\""},
		"quotes where none belong":          {datadoc.CSVOptions{}, nil, "a,b\n5\" pipe,x\n6,\"y,\nz\"\n", "a string, b string", "5\" pipe|x\n6|y,\nz"},
		"a NUL byte in a cell":              {datadoc.CSVOptions{}, nil, "a,b\n1,x\x00y\n", "a int64, b string", "1|x\x00y"},
		"a carriage return alone in a cell": {datadoc.CSVOptions{}, nil, "a,b\n1,x\ry\n", "a int64, b string", "1|x\ry"},
		"a header in quotes":                {datadoc.CSVOptions{}, nil, "\"a,\n1\",\"b\"\"\"\n1,2\n", "a,\n1 int64, b\" int64", "1|2"},
	} {
		table := described("a.csv")
		table.CSV, table.Columns = c.o, c.columns
		table.CSV.Path = "a.csv"
		got, _, err := newDrop(t, map[string]string{"a.csv": c.text}).read(table)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if types(got) != c.types || got.String() != c.want {
			t.Errorf("%s:\n got %s: %q\nwant %s: %q", name, types(got), got, c.types, c.want)
		}
	}
}

func TestDefaultsOfTheSourceHoldWhereATableSaysNothing(t *testing.T) {
	d := newDrop(t, map[string]string{"a.csv": "a;b\n1,5;-\n", "b.csv": "a,b\n1,-\n"})
	d.o.Format = datadoc.CSVOptions{Delimiter: ";", Decimal: ",", NullValues: []string{"-"}}
	if got := d.must(described("a.csv")); got.String() != "1.5|<null>" {
		t.Errorf("got %q", got)
	}
	table := described("b.csv")
	table.CSV.Delimiter, table.CSV.NullValues = ",", []string{}
	if got := d.must(table); got.String() != "1|-" {
		t.Errorf("got %q", got)
	}
}

func TestEncodings(t *testing.T) {
	const text = "name,n\nžluť 漢 😀 €,1\n"
	wide := func(big, mark bool) string {
		var b []byte
		s := text
		if mark {
			s = "\uFEFF" + s
		}
		for _, u := range utf16.Encode([]rune(s)) {
			if big {
				b = append(b, byte(u>>8), byte(u))
			} else {
				b = append(b, byte(u), byte(u>>8))
			}
		}
		return string(b)
	}
	for name, c := range map[string]struct{ encoding, bytes, want string }{
		"UTF-8":                         {"", text, "žluť 漢 😀 €|1"},
		"UTF-8 with a mark":             {"", "\xef\xbb\xbf" + text, "žluť 漢 😀 €|1"},
		"UTF-8 by its name":             {"UTF-8", text, "žluť 漢 😀 €|1"},
		"UTF-16 found by its mark":      {"", wide(false, true), "žluť 漢 😀 €|1"},
		"UTF-16 BE found by its mark":   {"", wide(true, true), "žluť 漢 😀 €|1"},
		"UTF-16 LE without a mark":      {"utf-16le", wide(false, false), "žluť 漢 😀 €|1"},
		"UTF-16 BE without a mark":      {"utf-16be", wide(true, false), "žluť 漢 😀 €|1"},
		"a mark wins over a wrong name": {"utf-16le", wide(true, true), "žluť 漢 😀 €|1"},
		"Windows-1252":                  {"windows-1252", "name,n\nM\xfcller \x80 \x96,1\n", "Müller € –|1"},
		"ISO 8859-1":                    {"latin1", "name,n\nM\xfcller,1\n", "Müller|1"},
	} {
		table := described("a.csv")
		table.CSV.Encoding = c.encoding
		got, _, err := newDrop(t, map[string]string{"a.csv": c.bytes}).read(table)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct{ encoding, bytes, words string }{
		"Windows-1252 taken for UTF-8":  {"", "name,n\nM\xfcller,1\n", `a.csv:2: column name (1): "M�ller" is not valid UTF-8`},
		"half a character":              {"utf-16le", wide(false, false) + "x", "a.csv: byte"},
		"half a surrogate pair":         {"utf-16le", "n\x00\n\x00\x3d\xd8x\x00", "a.csv: byte 4: this is not UTF-16"},
		"UTF-16 without a mark":         {"", wide(false, false), "holds a NUL byte: if the file is UTF-16"},
		"an encoding that nobody knows": {"ebcdic", text, `encoding "ebcdic": use utf-8`},
	} {
		table := described("a.csv")
		table.CSV.Encoding = c.encoding
		if _, _, err := newDrop(t, map[string]string{"a.csv": c.bytes}).read(table); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatCannotBeReadIsToldWithItsPlaceAndAWayOut(t *testing.T) {
	twice := datadoc.CSVOptions{Delimiter: ";", Quote: ";"}
	for name, c := range map[string]struct {
		o       datadoc.CSVOptions
		columns []datadoc.Column
		text    string
		words   []string
	}{
		"too few cells":            {text: "a,b\n1,2\n\n3\n", words: []string{"a.csv:4", "1 cells", "2", "on_bad_row"}},
		"too many cells":           {text: "a,b\n1,\"x\ny\"\n1,2,3\n", words: []string{"a.csv:4", "3 cells"}},
		"text after a quote":       {text: "a,b\n\"1\"x,2\n", words: []string{"a.csv:2", "after a closing quote"}},
		"a quote never closed":     {text: "a,b\n1,2\n3,\"x\n4,5\n", words: []string{"a.csv:3", "never closed"}},
		"a bad cell":               {columns: []datadoc.Column{{Name: "b", Type: "date"}}, text: "a,b\n1,2026-02-30\n", words: []string{"a.csv:2: column b (2)", "2026-02-30", "YYYY-MM-DD"}},
		"a bad cell of a format":   {columns: []datadoc.Column{{Name: "b", Type: "date", Format: "%d.%m.%y"}}, text: "a,b\n1,32.01.26\n", words: []string{"a.csv:2", "%d.%m.%y"}},
		"the same name twice":      {text: "id,b,ID\n1,2,3\n", words: []string{"a.csv:1: header: columns 1 and 3", "rename one"}},
		"a column without a name":  {text: "a,\n1,2\n", words: []string{"a.csv:1", "column 2 has no name"}},
		"an empty file":            {text: "", words: []string{"a.csv", "the file is empty"}},
		"carriage returns alone":   {text: "a,b\r1,x\r2,y\r", words: []string{"a.csv:1", "carriage return alone"}},
		"a misspelt column":        {columns: []datadoc.Column{{Name: "amuont", Type: "int64"}}, text: "amount\n1\n", words: []string{`did you mean "amount"`}},
		"a delimiter of two":       {o: datadoc.CSVOptions{Delimiter: "::"}, text: "a\n", words: []string{`delimiter "::"`, "one ASCII character"}},
		"a delimiter beyond ASCII": {o: datadoc.CSVOptions{Delimiter: "¦"}, text: "a\n", words: []string{"delimiter"}},
		"a quote that is a break":  {o: datadoc.CSVOptions{Quote: "\n"}, text: "a\n", words: []string{"quote"}},
		"a quote that delimits":    {o: twice, text: "a\n", words: []string{"delimiter and quote are both"}},
		"an odd decimal":           {o: datadoc.CSVOptions{Decimal: "'"}, text: "a\n", words: []string{`decimal "'"`}},
		"a format of a number":     {columns: []datadoc.Column{{Name: "a", Type: "int64", Format: "%d"}}, text: "a\n1\n", words: []string{"column a", "declare its type"}},
		"a format without sense":   {columns: []datadoc.Column{{Name: "a", Type: "date", Format: "%Q"}}, text: "a\n1\n", words: []string{"column a", "%Q"}},
	} {
		table := described("a.csv")
		table.CSV, table.Columns = c.o, c.columns
		table.CSV.Path = "a.csv"
		_, _, err := newDrop(t, map[string]string{"a.csv": c.text}).read(table)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range append(c.words, "shop.orders") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the error does not say %q: %v", name, w, err)
			}
		}
	}
}

func TestALateBadCellWidensItsColumnWithAWarning(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,paid_on,note\n")
	note := strings.Repeat("n", 100)
	for i := range 90_000 { // more than a block
		fmt.Fprintf(&b, "%d,2026-01-%02d,%s\n", i, i%28+1, note)
	}
	b.WriteString("none,unknown,\n")
	d := newDrop(t, map[string]string{"a.csv": b.String()})
	got, out, err := d.read(described("a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`column id: widened from int64 to string: a.csv:90002: value "none"`, `column paid_on: widened from date to string: a.csv:90002: value "unknown"`}
	if types(got) != "id string, paid_on string, note string" || strings.Join(out.Warnings, "\n") != strings.Join(want, "\n") || out.Rows != 90_001 {
		t.Errorf("%s, %d rows, warnings %q", types(got), out.Rows, out.Warnings)
	}
	if first, last := got.Rows[0], got.Rows[90_000]; first[0] != "0" || first[1] != "2026-01-01" || last[0] != "none" {
		t.Errorf("first %q, last %q", first, last)
	}
}

func TestQuarantinedRowsAreKeptAside(t *testing.T) {
	d := newDrop(t, map[string]string{"in/1.csv": "id,v\n1,a\nx,b\n3\n", "in/2.csv": "id,v\n4,\"c\nd\"\ny,\"e\n\"\n"})
	table := described("in")
	table.Columns, table.OnBadRow = []datadoc.Column{{Name: "id", Type: "int64"}}, "quarantine"
	got, out, err := d.read(table)
	if err != nil || got.String() != "1|a\n4|c\nd" || out.Quarantined != 3 {
		t.Errorf("got %v, %+v, %v", got, out, err)
	}
	side, err := os.ReadFile(filepath.Join(d.scratch, source.QuarantineFile))
	want := "file,line,column,reason,value,row\nin/1.csv,3,id,is not a int64,x,\"x,b\"\nin/1.csv,4,,\"the row has 1 cells, the header has 2\",,3\nin/2.csv,4,id,is not a int64,y,\"y,\"\"e\n\"\"\"\n"
	if err != nil || string(side) != want {
		t.Errorf("the side file is\n%s(%v), want\n%s", side, err, want)
	}
	d.o.OnBadRow = "quarantine"
	table.OnBadRow = "fail"
	if _, _, err := d.read(table); err == nil {
		t.Error("the table's own policy does not win over the source's")
	}
}

func TestWideTablesAndLargeCells(t *testing.T) {
	var names, cells []string
	for i := range 2000 {
		names, cells = append(names, fmt.Sprintf("c%d", i)), append(cells, fmt.Sprint(i))
	}
	big := strings.Repeat("x\n\"\"", 1<<20)
	cells[1000] = `"` + big + `"`
	text := strings.Join(names, ",") + "\n" + strings.Repeat(strings.Join(cells, ",")+"\n", 3)
	got := newDrop(t, map[string]string{"a.csv": text}).must(described("a.csv"))
	if len(got.Rows) != 3 || len(got.Columns) != 2000 {
		t.Fatalf("%d rows, %d columns", len(got.Rows), len(got.Columns))
	}
	if last := got.Rows[2]; last[1000] != strings.ReplaceAll(big, `""`, `"`) || last[1999] != "1999" {
		t.Error("other values came back")
	}
}

func TestCompressedFiles(t *testing.T) {
	text := "id,v\n" + strings.Repeat("1,some text that repeats\n", 5000)
	half := len(text) / 2
	zst := func(parts ...string) (out []byte) {
		for _, p := range parts {
			enc, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			out = enc.EncodeAll([]byte(p), out)
		}
		return out
	}
	gz := gzipped([]byte(text))
	for name, c := range map[string]struct {
		file    string
		content []byte
	}{
		"gzip": {"a.csv.gz", gz}, "zstd": {"a.csv.zst", zst(text)},
		"gzip of several members": {"a.csv.gz", append(gzipped([]byte(text[:half])), gzipped([]byte(text[half:]))...)},
		"zstd of several frames":  {"a.csv.zst", zst(text[:half], text[half:])},
		"a name without gz":       {"a.csv", gz}, "gz that a transfer inflated": {"a.csv.gz", []byte(text)},
	} {
		got, _, err := newDrop(t, map[string]string{c.file: string(c.content)}).read(described(c.file))
		if err != nil || len(got.Rows) != 5000 {
			t.Errorf("%s: %d rows, %v", name, len(got.Rows), err)
		}
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x20
		return b
	}
	for name, c := range map[string]struct {
		file    string
		content []byte
	}{
		"gzip cut in the middle": {"a.csv.gz", gz[:len(gz)/2]}, "gzip without its checksum": {"a.csv.gz", gz[:len(gz)-8]}, "gzip with another checksum": {"a.csv.gz", flip(gz, len(gz)-6)},
		"gzip with text behind it": {"a.csv.gz", append(bytes.Clone(gz), "1,x\n"...)},
		"gzip with another length": {"a.csv.gz", flip(gz, len(gz)-2)}, "a second member that is cut": {"a.csv.gz", append(bytes.Clone(gz), gz[:len(gz)/2]...)},
		"zstd cut in the middle": {"a.csv.zst", zst(text)[:20]}, "zstd with another checksum": {"a.csv.zst", flip(zst(text), len(zst(text))-1)},
	} {
		_, _, err := newDrop(t, map[string]string{c.file: string(c.content)}).read(described(c.file))
		if err == nil || !strings.Contains(err.Error(), c.file) || !strings.Contains(err.Error(), "shop.orders") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
