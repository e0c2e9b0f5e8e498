package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	arrowmem "github.com/apache/arrow/go/v17/arrow/memory"
)

// batches is a RecordStream over given records; err ends it in place of io.EOF.
type batches struct {
	list []arrow.Record
	at   int
	err  error
}

func (r *batches) Next(context.Context) (arrow.Record, error) {
	if r.at == len(r.list) {
		if r.err != nil {
			return nil, r.err
		}
		return nil, io.EOF
	}
	r.at++
	r.list[r.at-1].Retain()
	return r.list[r.at-1], nil
}

func (r *batches) Consumed() int64 { return int64(r.at) }

var saleFields = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "region", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "price", Type: &arrow.Decimal128Type{Precision: 38, Scale: 9}, Nullable: true}, {Name: "share", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "paid", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true}, {Name: "clock", Type: arrow.FixedWidthTypes.Time64us, Nullable: true},
	{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
}, nil)

func saleColumns(t *testing.T) []ArrowColumn {
	var out []ArrowColumn
	for _, c := range [][2]string{{"id", "int64"}, {"region", "string"}, {"price", "decimal(38,9)"}, {"share", "float64"}, {"paid", "bool"}, {"day", "date"},
		{"at", "timestamp_tz"}, {"clock", "time"}, {"raw", "string"}} {
		out = append(out, ArrowColumn{Column: Column{Name: c[0], Type: typ(t, c[1])}})
	}
	out[8].Text = func(to []byte, v arrow.Array, row int) ([]byte, error) {
		return fmt.Appendf(to, "%x", v.(*array.Binary).Value(row)), nil
	}
	return out
}

// sale is row n; every seventh cell is null, and keys repeat.
func sale(b *array.RecordBuilder, n int) {
	for i, f := range b.Fields() {
		if (n+i)%7 == 0 {
			f.AppendNull()
			continue
		}
		switch f := f.(type) {
		case *array.Int64Builder:
			f.Append(int64(n/3) - 500)
		case *array.StringBuilder:
			f.Append(strings.Repeat("ž\x00", n%3) + fmt.Sprint(n%11))
		case *array.Decimal128Builder:
			f.Append(decimal128.FromI64(int64(n-700) * 1_000_000_007))
		case *array.Float64Builder:
			f.Append(float64(n-300) / 3)
		case *array.BooleanBuilder:
			f.Append(n%2 == 0)
		case *array.Date32Builder:
			f.Append(arrow.Date32(n - 400))
		case *array.TimestampBuilder:
			f.Append(arrow.Timestamp(n) * 86_400_000_000)
		case *array.Time64Builder:
			f.Append(arrow.Time64(n))
		case *array.BinaryBuilder:
			f.Append([]byte{byte(n), 0xFF})
		}
	}
}

// deal gives rows 0 to n-1 in random order to streams of batches of random size.
func deal(n, streams int, seed uint64) []RecordStream {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := r.Perm(n)
	out := make([]RecordStream, streams)
	for i := range out {
		out[i] = &batches{}
	}
	for len(rows) > 0 {
		take := min(len(rows), 1+r.IntN(300))
		b := array.NewRecordBuilder(arrowmem.DefaultAllocator, saleFields)
		for _, row := range rows[:take] {
			sale(b, row)
		}
		s := out[r.IntN(streams)].(*batches)
		s.list = append(s.list, b.NewRecord())
		rows = rows[take:]
	}
	return out
}

func writeArrow(t *testing.T, a *Arrow, o Options) (*Result, []byte) {
	t.Helper()
	a.Table, a.Scratch = "t", t.TempDir()
	var m memory
	res, err := a.WriteParquet(context.Background(), &m, o)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(a.Scratch); err != nil || len(left) > 0 {
		t.Errorf("%d runs are left on disk (%v)", len(left), err)
	}
	return res, m.Bytes()
}

func TestArrowBytesFollowFromTheRowsAlone(t *testing.T) {
	const n = 5000
	var first []byte
	for i, c := range []struct {
		streams, memory, workers int
	}{{1, 0, 1}, {1, 0, 3}, {4, 0, 2}, {3, 40_000, 2}, {1, 3_000, 1}} { // the last one merges more runs than are open at once
		res, data := writeArrow(t, &Arrow{Columns: saleColumns(t), Order: []string{"id", "region"}, Streams: deal(n, c.streams, uint64(i)), Memory: c.memory},
			Options{Workers: c.workers, BlockSize: 64 << 10})
		if first == nil {
			first = data
		}
		if res.Rows != n || res.Bytes != int64(len(data)) || res.RowGroups < 3 || !bytes.Equal(first, data) {
			t.Errorf("%+v: %d rows, %d bytes, %d row groups, equal %v", c, res.Rows, res.Bytes, res.RowGroups, bytes.Equal(first, data))
		}
	}
	rows := rowsOf(t, first)
	b := array.NewRecordBuilder(arrowmem.DefaultAllocator, saleFields)
	for i := range n {
		sale(b, i)
	}
	_, whole := writeArrow(t, &Arrow{Columns: saleColumns(t), Streams: []RecordStream{&batches{list: []arrow.Record{b.NewRecord()}}}}, Options{})
	want := rowsOf(t, whole)
	slices.Sort(want)
	got := slices.Clone(rows)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Error("rows were changed on the way")
	}
}

func TestArrowRowsAreSortedByTheirKey(t *testing.T) {
	_, data := writeArrow(t, &Arrow{Columns: saleColumns(t)[:2], Order: []string{"region", "id"}, Streams: deal(700, 3, 9)}, Options{})
	type key struct {
		region string
		id     int
	}
	var last key
	for i, row := range rowsOf(t, data) {
		id, region, _ := strings.Cut(row, "|")
		now := key{"", -1 << 60}
		if region != "NULL" {
			now.region = "v" + region
		}
		if id != "NULL" {
			if _, err := fmt.Sscan(id, &now.id); err != nil {
				t.Fatal(err)
			}
		}
		if i > 0 && (now.region < last.region || now.region == last.region && now.id < last.id) {
			t.Fatalf("row %d: %v comes after %v", i, now, last)
		}
		last = now
	}
}

func TestEveryKindOfKeyIsInOrder(t *testing.T) {
	for _, name := range []string{"share", "price", "day", "at", "paid", "clock"} {
		columns := saleColumns(t)
		i := slices.IndexFunc(columns, func(c ArrowColumn) bool { return c.Name == name })
		_, data := writeArrow(t, &Arrow{Columns: columns[i : i+1], Order: []string{name}, Streams: deal(900, 2, 4)}, Options{})
		rows := rowsOf(t, data)
		var values []float64
		for _, r := range rows {
			v := -1e300
			switch {
			case r == "NULL":
			case r == "true", r == "false":
				v = float64(len("false") - len(r))
			case name == "price": // two's complement: the first half sorts after the second
				v = float64(slices.Index(rows, r))
				if i := slices.IndexFunc(rows, func(r string) bool { return r != "NULL" && r[0] < '8' }); (r[0] >= '8') != (slices.Index(rows, r) < i) {
					t.Fatal("negative decimals do not come first")
				}
			default:
				if _, err := fmt.Sscan(r, &v); err != nil {
					t.Fatal(err)
				}
			}
			values = append(values, v)
		}
		if !slices.IsSorted(values) || len(values) != 900 {
			t.Errorf("%s: not in order: %v", name, values[:20])
		}
	}
}

func TestArrowValuesThatDoNotFitAreTold(t *testing.T) {
	b := array.NewRecordBuilder(arrowmem.DefaultAllocator, saleFields)
	sale(b, 2)
	sale(b, 3)
	bad := array.NewRecordBuilder(arrowmem.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil))
	bad.Field(0).(*array.StringBuilder).Append("\xFF")
	two, invalid := b.NewRecord(), bad.NewRecord()
	col := func(name, as string) ArrowColumn { return ArrowColumn{Column: Column{Name: name, Type: typ(t, as)}} }
	text := func(v string) func([]byte, arrow.Array, int) ([]byte, error) {
		return func(to []byte, _ arrow.Array, _ int) ([]byte, error) { return append(to, v...), nil }
	}
	for want, c := range map[string]struct {
		column ArrowColumn
		record arrow.Record
		err    error
	}{
		"column region: the source sent utf8 values, which are no int64": {column: col("region", "int64")},
		"column nosuch: the source sent 0 fields of this name":           {column: col("nosuch", "int64")},
		"the column is required":                                         {column: ArrowColumn{Column: Column{Name: "paid", Type: typ(t, "bool")}, Required: true}},
		"-698.000004886 does not fit decimal(9,9)":                       {column: col("price", "decimal(9,9)")},
		"-698.000004886 does not fit decimal(38,2)":                      {column: col("price", "decimal(38,2)")},
		`column s: "�" is not valid UTF-8 text`:                          {column: col("s", "string"), record: invalid},
		`column id: "4.5" is not a int64`:                                {column: ArrowColumn{Column: Column{Name: "id", Type: typ(t, "int64")}, Text: text("4.5")}},
		"an empty text is not a date":                                    {column: ArrowColumn{Column: Column{Name: "id", Type: typ(t, "date")}, Text: text("")}},
		"the line broke":                                                 {column: col("id", "int64"), err: errors.New("the line broke")},
		"damaged Arrow data":                                             {column: ArrowColumn{Column: Column{Name: "id", Type: typ(t, "string")}, Text: func([]byte, arrow.Array, int) ([]byte, error) { panic("index") }}},
		"which are no timestamp":                                         {column: col("at", "timestamp")},
	} {
		record := c.record
		if record == nil {
			record = two
		}
		a := &Arrow{Table: "t", Columns: []ArrowColumn{c.column}, Scratch: t.TempDir(), Streams: []RecordStream{&batches{list: []arrow.Record{record}, err: c.err}}}
		if _, err := a.WriteParquet(context.Background(), &memory{}, Options{}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "table t: ") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestArrowTextIsReadAsTheDeclaredType(t *testing.T) {
	columns := []ArrowColumn{}
	for _, c := range [][2]string{{"int64", "-7"}, {"float64", "0.5"}, {"bool", "true"}, {"date", "2026-03-01"}, {"timestamp", "2026-03-01 10:00:00.5"}, {"time", "10:00:00"},
		{"decimal(5,2)", "1.5"}, {"decimal(18,2)", "1.5"}, {"decimal(30,2)", "-1.5"}, {"json", "{}"}, {"string", ""}} {
		columns = append(columns, ArrowColumn{Column: Column{Name: c[0], Type: typ(t, c[0])}, From: "id", Text: func(to []byte, _ arrow.Array, _ int) ([]byte, error) {
			return append(to, c[1]...), nil
		}})
	}
	b := array.NewRecordBuilder(arrowmem.DefaultAllocator, saleFields)
	sale(b, 1)
	_, data := writeArrow(t, &Arrow{Columns: columns, Streams: []RecordStream{&batches{list: []arrow.Record{b.NewRecord()}}}}, Options{})
	if got := strings.Join(rowsOf(t, data), "\n"); got != "-7|0.5|true|20513|1772359200500000|36000000000|150|150|"+strings.Repeat("f", 24)+"6a|{}|" {
		t.Error(got)
	}
}

func TestNoArrowRowsMakeAnEmptyTable(t *testing.T) {
	for _, streams := range [][]RecordStream{nil, {&batches{}}} {
		res, data := writeArrow(t, &Arrow{Columns: saleColumns(t), Order: []string{"id"}, Streams: streams}, Options{})
		s, rows, err := ReadSchema(bytes.NewReader(data), int64(len(data)))
		if err != nil || rows != 0 || res.Rows != 0 || len(s.Columns) != 9 {
			t.Errorf("%d rows, %d columns, %v", rows, len(s.Columns), err)
		}
	}
}
