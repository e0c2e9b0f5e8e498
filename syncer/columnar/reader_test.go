package columnar

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// readBack reads a file with Reader into the form that rowsOf gives.
func readBack(t testing.TB, data []byte, dictionaries bool) (out []string) {
	t.Helper()
	r, err := OpenReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for g := range r.RowGroups() {
		if err := r.Read(g, nil, ReadOptions{Dictionaries: dictionaries}, &b); err != nil {
			t.Fatal(err)
		}
		out = append(out, rowsIn(&b)...)
	}
	return out
}

func rowsIn(b *Batch) (out []string) {
	rows := make([][]string, b.Rows)
	for i := range b.Columns {
		v := &b.Columns[i]
		places := v.Places(nil)
		for row := range rows {
			at := row
			if places != nil {
				at = int(places[row])
			}
			rows[row] = append(rows[row], shown(v, at))
		}
	}
	for _, row := range rows {
		out = append(out, strings.Join(row, "|"))
	}
	return out
}

func shown(v *Vector, at int) string {
	if at < 0 {
		return "NULL"
	}
	if v.Dict != nil {
		return shown(v.Dict, int(v.Codes[at]))
	}
	switch v.Type.Kind {
	case Bool:
		return fmt.Sprint(v.Bools[at])
	case Float64:
		return fmt.Sprint(v.Floats[at])
	case Date:
		return fmt.Sprint(v.Days[at])
	case Int64, Timestamp, Time:
		return fmt.Sprint(v.Ints[at])
	case Decimal:
		if v.Type.Precision > smallDigits {
			return fmt.Sprintf("%x", []byte(v.Wides[at]))
		}
		return fmt.Sprint(v.Ints[at])
	}
	return string(v.Texts[at])
}

// everyType has a column of each kind of value and encoding.
var everyType = []string{"string", "json", "bool", "int64", "float64", "decimal(9,2)", "decimal(18,4)", "decimal(38,10)", "date", "timestamp", "timestamp_tz", "time"}

// randomBatch makes rows of every type: some columns repeat few values, some have none twice, some have nulls.
func randomBatch(t testing.TB, r *rand.Rand, rows int) (Schema, *Batch) {
	var s Schema
	b := &Batch{Rows: rows}
	for i, name := range everyType {
		for _, distinct := range []int64{3, 1000, math.MaxInt64 / 2} {
			ty := typ(t, name)
			s.Columns = append(s.Columns, Column{Name: fmt.Sprintf("c%d_%d", i, distinct), Type: ty})
			v := Vector{Type: ty}
			nulls := r.IntN(3)
			for range rows {
				if nulls > 0 && r.IntN(2*nulls) == 0 {
					v.Levels, v.Nulls = append(v.Levels, 0), v.Nulls+1
					continue
				}
				v.Levels = append(v.Levels, 1)
				randomValue(&v, r, r.Int64N(distinct)-distinct/2)
			}
			b.Columns = append(b.Columns, v)
		}
	}
	return s, b
}

func randomValue(v *Vector, r *rand.Rand, x int64) {
	switch v.Type.Kind {
	case Bool:
		v.Bools = append(v.Bools, x%2 == 0)
	case Float64:
		v.Floats = append(v.Floats, math.Float64frombits(uint64(x)*0x9E3779B97F4A7C15))
	case Date:
		v.Days = append(v.Days, int32(x%2_900_000))
	case Timestamp, Int64:
		v.Ints = append(v.Ints, x)
	case Time:
		v.Ints = append(v.Ints, max(x, -x)%microsPerDay)
	case Decimal:
		if v.Type.Precision > smallDigits {
			v.Wides = append(v.Wides, wide{uint64(x >> 8), uint64(x) * 3}.append(nil, decimalBytes(v.Type.Precision)))
		} else {
			v.Ints = append(v.Ints, x%999_999_999)
		}
	default:
		v.Texts = append(v.Texts, fmt.Appendf(nil, "%d%s", x, strings.Repeat("é", r.IntN(4))))
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, rows := range []int{0, 1, 2, 7, 8, 9, 300, 5000, 130_000} {
		if testing.Short() && rows > 10_000 {
			continue
		}
		s, b := randomBatch(t, r, rows)
		if rows > 10_000 {
			s, b = everyFifth(s, b)
		}
		want := rowsIn(b)
		var m memory
		w, err := NewWriter(&m, s)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if w.Rows() != 2*int64(rows) || w.Bytes() != int64(m.Len()) {
			t.Errorf("%d rows and %d bytes are told, %d and %d were written", w.Rows(), w.Bytes(), 2*rows, m.Len())
		}
		if got := rowsOf(t, m.Bytes()); !slices.Equal(got, append(slices.Clone(want), want...)) {
			t.Errorf("%d rows: other values came back", rows)
		}
	}
}

func everyFifth(s Schema, b *Batch) (Schema, *Batch) {
	var s5 Schema
	b5 := &Batch{Rows: b.Rows}
	for i := 0; i < len(b.Columns); i += 5 {
		s5.Columns, b5.Columns = append(s5.Columns, s.Columns[i]), append(b5.Columns, b.Columns[i])
	}
	return s5, b5
}

func TestOnlyTheColumnsThatAreAskedFor(t *testing.T) {
	_, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", "a,b,c\n1,x,2024-01-01\n,y,\n3,,2024-01-03\n")}}), Options{})
	r, err := OpenReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := r.Read(0, []int{r.Column("c"), r.Column("a")}, ReadOptions{}, &b); err != nil {
		t.Fatal(err)
	}
	if b.Rows != 3 || len(b.Columns) != 2 || !slices.Equal(b.Columns[0].Days, []int32{19723, 19725}) || !slices.Equal(b.Columns[1].Ints, []int64{1, 3}) ||
		!slices.Equal(b.Columns[1].Levels, []int16{1, 0, 1}) || b.Columns[1].Nulls != 1 || b.Columns[0].Values() != 2 {
		t.Errorf("read %+v", b)
	}
	if r.Column("d") != -1 || r.Rows() != 3 || r.GroupRows(0) != 3 {
		t.Error("the footer is read wrongly")
	}
}

func TestBoundsOfRowGroups(t *testing.T) {
	_, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", "i,d,w,s,f,b,n\n-5,2024-01-02,-1.5,b,NaN,true,\n7,2024-01-01,99999999999999999999.5,a,2.5,false,\n,,,,,,\n")},
		Declared: []Column{{Name: "w", Type: typ(t, "decimal(30,1)")}, {Name: "f", Type: typ(t, "float64")}}}), Options{})
	r, err := OpenReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"-5..7 1", "19723..19724 1", "-1.5..99999999999999999999.5 1", "a..b 1", "2.5..2.5 1", "false..true 1", ".. 3"} {
		b, err := r.Bounds(0, i)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf(".. %d", b.Nulls)
		switch {
		case b.Min == nil || b.Max == nil:
		case b.Min.Wides != nil:
			got = fmt.Sprintf("%s..%s %d", b.Min.Type.Decimal(b.Min.Wides[0]), b.Max.Type.Decimal(b.Max.Wides[0]), b.Nulls)
		default:
			got = fmt.Sprintf("%s..%s %d", shown(b.Min, 0), shown(b.Max, 0), b.Nulls)
		}
		if got != want {
			t.Errorf("bounds of %s: %s, want %s", r.Schema().Columns[i].Name, got, want)
		}
	}
}

func TestBatchesThatDoNotFitAreRefused(t *testing.T) {
	s := Schema{Columns: []Column{{Name: "a", Type: Type{Kind: Int64}}}}
	for name, b := range map[string]*Batch{
		"too few columns": {Rows: 1}, "too few rows": {Rows: 2, Columns: []Vector{{Levels: []int16{1}, Ints: []int64{1}}}},
		"too few values": {Rows: 2, Columns: []Vector{{Levels: []int16{1, 1}, Ints: []int64{1}}}}, "another type": {Rows: 1, Columns: []Vector{{Levels: []int16{1}, Days: []int32{1}}}},
	} {
		var m memory
		w, err := NewWriter(&m, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDamagedFilesAreErrorsNotPanics(t *testing.T) {
	_, data := write(t, commas(CSV{Inputs: []Input{text("a.csv", orders(30_000))}}), Options{BlockSize: 8000})
	r := rand.New(rand.NewPCG(1, 1))
	noticed := 0
	for range 300 {
		bad := bytes.Clone(data)
		for range 1 + r.IntN(8) {
			bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
		}
		if err := readThrough(bad); err != nil {
			noticed++
		}
	}
	for _, n := range []int{0, 3, 8, 11, 100, len(data) - 1} {
		if err := readThrough(data[:n]); err == nil {
			t.Errorf("a file cut to %d bytes is read", n)
		}
	}
	if noticed < 100 {
		t.Errorf("damage was noticed %d times of 300", noticed)
	}
}

func readThrough(data []byte) error {
	r, err := OpenReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	var b Batch
	for g := range r.RowGroups() {
		if err := r.Read(g, nil, ReadOptions{}, &b); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkRead(b *testing.B) {
	var m memory
	if _, err := commas(CSV{Inputs: []Input{text("a.csv", orders(16<<20))}}).WriteParquet(context.Background(), &m, Options{}); err != nil {
		b.Fatal(err)
	}
	for _, dictionaries := range []bool{false, true} {
		b.Run(fmt.Sprintf("dictionaries=%t", dictionaries), func(b *testing.B) {
			b.SetBytes(16 << 20)
			r, err := OpenReader(bytes.NewReader(m.Bytes()), int64(m.Len()))
			if err != nil {
				b.Fatal(err)
			}
			var batch Batch
			for b.Loop() {
				for g := range r.RowGroups() {
					if err := r.Read(g, nil, ReadOptions{Dictionaries: dictionaries}, &batch); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
