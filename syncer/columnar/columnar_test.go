package columnar

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// memory is a Sink in memory.
type memory struct{ bytes.Buffer }

func (m *memory) Reset() error { m.Buffer.Reset(); return nil }

func text(name, content string) Input {
	return Input{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

func commas(c CSV) *CSV {
	if c.Dialect.Delimiter == 0 {
		c.Dialect = Dialect{Delimiter: ',', Quote: '"', Header: true, NullTokens: c.Dialect.NullTokens, DecimalComma: c.Dialect.DecimalComma}
	}
	c.Table = "t"
	return &c
}

func typ(t testing.TB, s string) Type {
	t.Helper()
	v, err := ParseType(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func write(t testing.TB, c *CSV, o Options) (*Result, []byte) {
	t.Helper()
	var m memory
	res, err := c.WriteParquet(context.Background(), &m, o)
	if err != nil {
		t.Fatal(err)
	}
	return res, m.Bytes()
}

// rowsOf reads a file back as text: one string a row, NULL for null.
func rowsOf(t testing.TB, data []byte) []string {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	for g := range r.NumRowGroups() {
		rg := r.RowGroup(g)
		rows := make([][]string, rg.NumRows())
		for i := range rg.NumColumns() {
			col, err := rg.Column(i)
			if err != nil {
				t.Fatal(err)
			}
			for j, v := range values(t, col, int(rg.NumRows())) {
				rows[j] = append(rows[j], v)
			}
		}
		for _, row := range rows {
			out = append(out, strings.Join(row, "|"))
		}
	}
	for _, dictionaries := range []bool{false, true} {
		if own := readBack(t, data, dictionaries); !slices.Equal(own, out) {
			t.Fatalf("Reader (dictionaries %t) and Arrow read other rows:\n%.2000q\n%.2000q", dictionaries, own, out)
		}
	}
	return out
}

func values(t testing.TB, col file.ColumnChunkReader, n int) []string {
	t.Helper()
	switch r := col.(type) {
	case *file.ByteArrayColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v parquet.ByteArray) string { return string(v) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v parquet.FixedLenByteArray) string { return fmt.Sprintf("%x", []byte(v)) })
	case *file.Int64ColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v int64) string { return fmt.Sprint(v) })
	case *file.Int32ColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v int32) string { return fmt.Sprint(v) })
	case *file.Float64ColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v float64) string { return fmt.Sprint(v) })
	case *file.BooleanColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v bool) string { return fmt.Sprint(v) })
	}
	t.Fatalf("no reader for %T", col)
	return nil
}

func readAll[T any](t testing.TB, read func(int64, []T, []int16, []int16) (int64, int, error), n int, show func(T) string) (out []string) {
	t.Helper()
	for len(out) < n {
		v, levels := make([]T, n), make([]int16, n)
		total, _, err := read(int64(n-len(out)), v, levels, nil)
		if err != nil || total == 0 {
			t.Fatalf("read %d of %d: %v", len(out), n, err)
		}
		next := 0
		for _, l := range levels[:total] {
			if l == 0 {
				out = append(out, "NULL")
				continue
			}
			out = append(out, show(v[next]))
			next++
		}
	}
	return out
}

func TestTypesAndValues(t *testing.T) {
	for _, c := range []struct {
		name, typ, cells, want string
		format                 string
	}{
		{"strings stay what they were", "string", `NA,007,1e5, x ,"",,null,"a ""b""",` + "\"two\nlines\"", "NA;007;1e5; x ;;NULL;null;a \"b\";two\nlines", ""},
		{"int64 edges", "int64", "-9223372036854775808,9223372036854775807,0,+7, 8 ,\"9\",,\"\"", "-9223372036854775808;9223372036854775807;0;7;8;9;NULL;NULL", ""},
		{"floats", "float64", "0.1,-2.5e-3,NaN,inf,-0,123456789.125,1e308", "0.1;-0.0025;NaN;+Inf;-0;1.23456789125e+08;1e+308", ""},
		{"booleans", "bool", "true,FALSE,1,0,yes,No,t,F", "true;false;true;false;true;false;true;false", ""},
		{"small decimals are kept exact", "decimal(9,2)", "1.10,-0.01,1234567.89,5,1.100", "110;-1;123456789;500;110", ""},
		{"decimals", "decimal(18,2)", "1234567890123456.78,-0.99,.5,0", "123456789012345678;-99;50;0", ""},
		{"large decimals", "decimal(20,1)", "1.5,-1.5", "00000000000000000f;fffffffffffffffff1", ""},
		{"dates", "date", "1970-01-02,0001-01-01,9999-12-31,2024-02-29", "1;-719162;2932896;19782", ""},
		{"dates with a format", "date", "Jan 1 2000,dec 31 1999", "10957;10956", "%b %d %Y"},
		{"timestamps", "timestamp", "1970-01-01 00:00:01,1970-01-01T00:00:00.000001,1969-12-31 23:59:59.5,9999-12-31 23:59:59,1970-01-02", "1000000;1;-500000;253402300799000000;86400000000", ""},
		{"zoned timestamps are in UTC", "timestamp_tz", "1970-01-01 01:00:00+01:00,1970-01-01T00:00:00Z,1970-01-01 00:00:00", "0;0;0", ""},
		{"timestamps with a format", "timestamp", "2015/01/01 01:00:00", "1420074000000000", "%Y/%m/%d %H:%M:%S"},
		{"times", "time", "00:00:01,23:59:59.999999", "1000000;86399999999", ""},
	} {
		cells := strings.ReplaceAll(c.cells, ",", "\nx,") // one row a cell, a first column keeps empty lines apart
		res, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", "k,v\nx,"+cells+"\n")}, Declared: []Column{{Name: "v", Type: typ(t, c.typ), Format: c.format}}, Only: []string{"v"}}), Options{})
		if got := strings.Join(rowsOf(t, data), ";"); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if res.Schema.Columns[0].Type.String() != c.typ {
			t.Errorf("%s: type %s", c.name, res.Schema.Columns[0].Type)
		}
	}
}

func TestBadCellsAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ typ, cell, words string }{
		{"int64", "9223372036854775808", `a.csv:3: column v (2): "9223372036854775808" is not a int64`},
		{"int64", "1.5", "is not a int64"}, {"int64", "x", "is not a int64"}, {"bool", "maybe", "is not a bool"},
		{"decimal(5,2)", "1000.00", "is not a decimal(5,2)"}, {"decimal(5,2)", "1.005", "is not a decimal(5,2)"},
		{"date", "2023-02-29", "is not a date"}, {"date", "0000-00-00", "is not a date"}, {"date", "10000-01-01", "is not a date"},
		{"timestamp", "2024-01-01 00:00:00Z", "without zone"}, {"timestamp", "2024-01-01 25:00:00", "is not a timestamp"},
		{"timestamp_tz", "0001-01-01 00:00:00+01:00", "is not a timestamp_tz"}, {"timestamp_tz", "9999-12-31 23:59:59-01:00", "is not a timestamp_tz"},
		{"timestamp", "2024-01-01 00:00:00.1234567", "is not a timestamp"}, {"time", "24:00:00", "is not a time"},
		{"float64", "1,5", "cells"}, {"float64", "0x10", "is not a float64"}, {"string", "\xff", "not valid UTF-8"},
	} {
		var m memory
		_, err := commas(CSV{Inputs: []Input{text("a.csv", "k,v\n\"two\nx,"+c.cell+"\n")}, Declared: []Column{{Name: "v", Type: typ(t, c.typ)}}}).WriteParquet(context.Background(), &m, Options{})
		if err == nil { // the quote above is never closed
			t.Errorf("%s %q: no error", c.typ, c.cell)
		}
		_, err = commas(CSV{Inputs: []Input{text("a.csv", "k,v\n\n\"x\","+c.cell+"\n")}, Declared: []Column{{Name: "v", Type: typ(t, c.typ)}}}).WriteParquet(context.Background(), &m, Options{})
		var cell *CellError
		if !errors.As(err, &cell) || !strings.Contains(err.Error(), c.words) || cell.Line != 3 {
			t.Errorf("%s %q: got %v", c.typ, c.cell, err)
		}
	}
}

func TestTypesAreInferredOverTheWholeInput(t *testing.T) {
	for _, c := range []struct{ name, cells, want string }{
		{"whole numbers", "1,2,-3", "int64"}, {"with a late fraction", "1,2,-3.5", "float64"}, {"with a late word", "1,2,x", "string"},
		{"leading zeros", "1,007", "string"}, {"plus signs", "1,+7", "string"}, {"numbers that no type holds", "1,9223372036854775808", "string"},
		{"large whole numbers beside fractions", "9007199254740993,0.5", "string"}, {"exponents", "1e5,2", "float64"},
		{"booleans", "true,False", "bool"}, {"0 and 1 are numbers", "0,1", "int64"}, {"dates", "2024-01-01,2024-12-31", "date"},
		{"dates and times", "2024-01-01,2024-12-31 10:00:00", "timestamp"}, {"zones", "2024-01-01T10:00:00Z,2024-01-01 10:00:00+02:00", "timestamp_tz"},
		{"zones beside none", "2024-01-01T10:00:00Z,2024-01-01 10:00:00", "string"}, {"nothing", ",,", "string"}, {"NaN is a word", "1,NaN", "string"},
		{"blanks", "1, 2", "string"}, {"a quoted empty cell is null in a number", `1,"",2`, "int64"},
		{"a quoted empty cell before numbers", `"",,2`, "int64"}, {"quoted empty cells alone", `"","",`, "string"}, {"a quoted empty cell before a word", `"",x,""`, "string"},
		{"a quoted empty cell before a word and a number", `"",x,1`, "string"}, {"a quoted empty cell before a number and a word", `"",1,x`, "string"}, {"dates beside numbers", "2024-01-01,5", "string"},
	} {
		for _, size := range []int{0, 1, 16} {
			cells := "k,v\nx," + strings.ReplaceAll(c.cells, ",", "\nx,") + "\n"
			res, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", cells)}}), Options{BlockSize: size, Workers: 2})
			if got := res.Schema.Columns[1].Type.String(); got != c.want {
				t.Errorf("%s (blocks of %d): inferred %s, want %s", c.name, size, got, c.want)
			}
			if s, rows, err := ReadSchema(bytes.NewReader(data), int64(len(data))); err != nil || rows != res.Rows || s.Columns[1].Type.String() != c.want {
				t.Errorf("%s: the file says %v, %d rows, %v", c.name, s, rows, err)
			}
		}
	}
}

func TestALateWideValueIsAWarningWithItsPlace(t *testing.T) {
	content := "a,b\n" + strings.Repeat("1,2024-01-01\n", 100) + "x,2024-01-01\n" + strings.Repeat("1,2024-01-01\n", 100)
	res, _ := write(t, commas(CSV{Inputs: []Input{text("a.csv", content)}}), Options{BlockSize: 64, Workers: 3})
	if len(res.Warnings) != 1 || res.Warnings[0] != `column a: widened from int64 to string: a.csv:102: value "x"` {
		t.Errorf("warnings %q", res.Warnings)
	}
}

func TestQuarantineKeepsBadRowsAside(t *testing.T) {
	var side memory
	c := commas(CSV{
		Inputs:   []Input{text("a.csv", "id,v\n1,1\nx,2\n3,3,3\n4,4\n\"5\"y,5\n6,\"a\nb\"\nz,zz\n7,7\n")},
		Declared: []Column{{Name: "id", Type: typ(t, "int64")}, {Name: "v", Type: typ(t, "string")}}, OnBadRow: Quarantine,
		Quarantine: func() (io.WriteCloser, error) { return nopCloser{&side}, side.Reset() },
	})
	for _, size := range []int{0, 1} {
		res, data := write(t, c, Options{BlockSize: size})
		if got := strings.Join(rowsOf(t, data), ";"); got != "1|1;4|4;6|a\nb;7|7" || res.Quarantined != 4 || res.Rows != 4 {
			t.Errorf("rows %q, %+v", got, res)
		}
		want := "file,line,column,reason,value,row\n" +
			"a.csv,3,id,is not a int64,x,\"x,2\"\n" +
			"a.csv,4,,\"the row has 3 cells, the header has 2\",,\"3,3,3\"\n" +
			"a.csv,6,,there is text after a closing quote,,\"\"\"5\"\"y,5\"\n" +
			"a.csv,9,id,is not a int64,z,\"z,zz\"\n"
		if side.String() != want {
			t.Errorf("side file:\n%s\nwant:\n%s", side.String(), want)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestHeadersThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		csv   CSV
		words string
	}{
		"empty file":       {CSV{Inputs: []Input{text("a.csv", "")}}, "a.csv: the file is empty"},
		"twice":            {CSV{Inputs: []Input{text("a.csv", "a,b,A\n")}}, "columns 1 and 3"},
		"no name":          {CSV{Inputs: []Input{text("a.csv", "a,,b\n")}}, "column 2 has no name"},
		"another file":     {CSV{Inputs: []Input{text("a.csv", "a,b\n1,2\n"), text("b.csv", "b,a\n1,2\n")}}, "b.csv:1: header: the columns are b, a, those of a.csv are a, b"},
		"misspelt":         {CSV{Inputs: []Input{text("a.csv", "amount\n1\n")}, Declared: []Column{{Name: "amuont"}}}, `did you mean "amount"`},
		"not closed":       {CSV{Inputs: []Input{text("a.csv", "a,\"b\n1,2\n")}}, "not closed"},
		"open at the end":  {CSV{Inputs: []Input{text("a.csv", "a,b\n1,2\n3,\"x\n4,5\n")}}, "a.csv:3: a quote is opened here"},
		"ragged":           {CSV{Inputs: []Input{text("a.csv", "a,b\n1,2\n3\n")}}, "a.csv:3: the row has 1 cells, the header has 2"},
		"choice not there": {CSV{Inputs: []Input{text("a.csv", "a,b\n")}, Only: []string{"c"}}, "column c is described"},
	} {
		var m memory
		if _, err := commas(c.csv).WriteParquet(context.Background(), &m, Options{}); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFormsOfTheText(t *testing.T) {
	for name, c := range map[string]struct {
		d          Dialect
		text, want string
	}{
		"CRLF and no last line end": {Dialect{Delimiter: ',', Quote: '"', Header: true}, "a,b\r\n1,x\r\n2,\"y\r\nz\"", "1|x;2|y\r\nz"},
		"no header":                 {Dialect{Delimiter: ',', Quote: '"'}, "1,x\n2,y\n", "1|x;2|y"},
		"tabs":                      {Dialect{Delimiter: '\t', Quote: '"', Header: true}, "a\tb\n1\tx,y\n", "1|x,y"},
		"semicolons, decimal comma": {Dialect{Delimiter: ';', Quote: '"', Header: true, DecimalComma: true}, "a;b\n1,5;x\n2;y\n", "1.5|x;2|y"},
		"no quoting":                {Dialect{Delimiter: ',', Header: true}, "a,b\n\"1,2\"\n", "\"1|2\""},
		"single quotes":             {Dialect{Delimiter: ',', Quote: '\'', Header: true}, "a,b\n'x,''y',\"z\n", "x,'y|\"z"},
		"null words":                {Dialect{Delimiter: ',', Quote: '"', Header: true, NullTokens: []string{"NULL"}}, "a,b\nNULL,\"NULL\"\n1,x\n", "NULL|NULL;1|x"},
		"empty lines":               {Dialect{Delimiter: ',', Quote: '"', Header: true}, "\n\na,b\n\n1,2\n\n\n3,4\n\n", "1|2;3|4"},
		"one column with nulls":     {Dialect{Delimiter: ',', Quote: '"', Header: true}, "a\n1\n\n3\n", "1;NULL;3"},
		"last cell empty":           {Dialect{Delimiter: ',', Quote: '"', Header: true}, "a,b\nx,", "x|NULL"},
		"stray quotes":              {Dialect{Delimiter: ',', Quote: '"', Header: true}, "a,b\n5\" pipe,x\n6,\"y,\nz\"\n7\",\"w\"\n", "5\" pipe|x;6|y,\nz;7\"|w"},
		"header only":               {Dialect{Delimiter: ',', Quote: '"', Header: true}, "a,b\n", ""},
	} {
		for _, size := range []int{0, 1, 7} {
			var m memory
			_, err := (&CSV{Table: "t", Dialect: c.d, Inputs: []Input{text("a.csv", c.text)}}).WriteParquet(context.Background(), &m, Options{BlockSize: size})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := strings.Join(rowsOf(t, m.Bytes()), ";"); got != c.want {
				t.Errorf("%s (blocks of %d):\n got %q\nwant %q", name, size, got, c.want)
			}
		}
	}
}

func TestTheSameBytesWhateverTheWorkers(t *testing.T) {
	content := orders(300_000)
	var first []byte
	for _, workers := range []int{1, 2, 3, 4, 5, 6, 7, 8} {
		_, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", content), text("b.csv", content)}}), Options{Workers: workers, BlockSize: 20_000})
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Errorf("%d workers write other bytes", workers)
		}
	}
	exact := commas(CSV{Inputs: []Input{text("a.csv", content), text("b.csv", content)}})
	p, err := exact.newPlan(context.Background(), Options{BlockSize: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	p.exact = true
	if err := p.guess(context.Background()); err != nil {
		t.Fatal(err)
	}
	var m memory
	if _, err := p.convert(context.Background(), &m, Options{Workers: 2}); err != nil || !bytes.Equal(first, m.Bytes()) {
		t.Errorf("exact splitting writes other bytes (%v)", err)
	}
}

func TestAFailingSinkFailsTheConversion(t *testing.T) {
	for limit := range 3 {
		w := &full{limit: limit * 50}
		if _, err := commas(CSV{Inputs: []Input{text("a.csv", orders(20_000))}}).WriteParquet(context.Background(), w, Options{}); err == nil {
			t.Errorf("no error from a sink that is full after %d bytes", w.limit)
		}
	}
}

type full struct{ limit, n int }

func (f *full) Reset() error { f.n = 0; return nil }
func (f *full) Write(p []byte) (int, error) {
	if f.n += len(p); f.n > f.limit {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestWideTablesAndLargeCells(t *testing.T) {
	var names, cells []string
	for i := range 2000 {
		names, cells = append(names, fmt.Sprintf("c%d", i)), append(cells, fmt.Sprint(i))
	}
	big := strings.Repeat("x", 3<<20)
	cells[7] = `"` + big + `"`
	res, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", strings.Join(names, ",")+"\n"+strings.Repeat(strings.Join(cells, ",")+"\n", 3))}}), Options{})
	if res.Rows != 3 || len(res.Schema.Columns) != 2000 {
		t.Fatalf("%d rows, %d columns", res.Rows, len(res.Schema.Columns))
	}
	if got := strings.Split(rowsOf(t, data)[2], "|"); got[7] != big || got[1999] != "1999" {
		t.Error("other values came back")
	}
}

// orders makes CSV text of about n bytes: a small copy of what shops write.
func orders(n int) string {
	var b strings.Builder
	b.WriteString("order_id,customer,amount,created_at,note,paid\n")
	for i := 0; b.Len() < n; i++ {
		note := ""
		switch i % 7 {
		case 1:
			note = `"said ""later"", twice"`
		case 2:
			note = "\"two\nlines\""
		case 3:
			note = "plain"
		}
		fmt.Fprintf(&b, "%d,customer-%d,%d.%02d,2024-%02d-%02d 10:%02d:00,%s,%t\n", i, i%97, i%1000, i%100, i%12+1, i%28+1, i%60, note, i%3 == 0)
	}
	return b.String()
}

func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n", 1)
	f.Add("a,b\n\"x\"\"y\",\r\n", 3)
	f.Add("a\n\"\n", 64)
	f.Fuzz(func(t *testing.T, content string, size int) {
		if size < 0 {
			size = -size
		}
		size = size%200 + 1
		c := commas(CSV{Inputs: []Input{text("a.csv", content)}})
		var m memory
		_, err := c.WriteParquet(context.Background(), &m, Options{BlockSize: size, Workers: 2})
		var whole memory
		if _, werr := c.WriteParquet(context.Background(), &whole, Options{BlockSize: 1 << 20, Workers: 1}); (err == nil) != (werr == nil) {
			t.Fatalf("blocks of %d: %v; in one block: %v", size, err, werr)
		} else if err != nil {
			return
		}
		got := rowsOf(t, m.Bytes())
		if want := rowsOf(t, whole.Bytes()); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("blocks of %d: %q, in one: %q", size, got, want)
		}
		r := csv.NewReader(strings.NewReader(content))
		records, err := r.ReadAll()
		if err != nil || len(records[0]) < 2 || strings.ContainsAny(content, "\r") {
			return
		}
		if len(got) != len(records)-1 {
			t.Fatalf("%d rows, encoding/csv reads %d", len(got), len(records)-1)
		}
	})
}
