// Package columnartest is for tests that write Parquet: a file in memory, and its rows read back as text. It never runs in
// the product.
//
//	var m columnartest.Memory
//	res, err := data.WriteParquet(ctx, &m, columnar.Options{})
//	table := columnartest.Read(t, m.Bytes())
package columnartest

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/syncer/columnar"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// Memory is a sink in memory. Hook, when set, is called before every write and reset with the bytes taken so far; its
// error is the sink's.
type Memory struct {
	bytes.Buffer
	Hook   func(taken int) error
	Resets int
}

// Write appends.
func (m *Memory) Write(p []byte) (int, error) {
	if m.Hook != nil {
		if err := m.Hook(m.Len()); err != nil {
			return 0, err
		}
	}
	return m.Buffer.Write(p)
}

// Reset takes everything back.
func (m *Memory) Reset() error {
	m.Resets++
	if m.Hook != nil {
		if err := m.Hook(m.Len()); err != nil {
			return err
		}
	}
	m.Buffer.Reset()
	return nil
}

// Null is how a null reads.
const Null = "<null>"

// Table is a file's content as text: whole numbers and decimals exact, dates and timestamps in ISO 8601 (UTC with a Z when
// they are zoned), null as Null.
type Table struct {
	Columns []columnar.Column
	Rows    [][]string
}

// Names gives the columns' names.
func (t *Table) Names() (out []string) {
	for _, c := range t.Columns {
		out = append(out, c.Name)
	}
	return out
}

// Column gives all values of a column, or nil when there is no such column.
func (t *Table) Column(name string) []string {
	i := slices.Index(t.Names(), name)
	if i < 0 {
		return nil
	}
	out := []string{}
	for _, row := range t.Rows {
		out = append(out, row[i])
	}
	return out
}

// String gives a line a row, cells between bars.
func (t *Table) String() string {
	var lines []string
	for _, row := range t.Rows {
		lines = append(lines, strings.Join(row, "|"))
	}
	return strings.Join(lines, "\n")
}

// Read reads a whole Parquet file.
func Read(t testing.TB, data []byte) *Table {
	t.Helper()
	s, _, err := columnar.ReadSchema(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := &Table{Columns: s.Columns}
	for g := range r.NumRowGroups() {
		rg := r.RowGroup(g)
		rows := make([][]string, rg.NumRows())
		for i := range rg.NumColumns() {
			col, err := rg.Column(i)
			if err != nil {
				t.Fatal(err)
			}
			for j, v := range values(t, col, s.Columns[i].Type, len(rows)) {
				rows[j] = append(rows[j], v)
			}
		}
		out.Rows = append(out.Rows, rows...)
	}
	return out
}

func values(t testing.TB, col file.ColumnChunkReader, typ columnar.Type, n int) []string {
	t.Helper()
	switch r := col.(type) {
	case *file.ByteArrayColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v parquet.ByteArray) string { return string(v) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v parquet.FixedLenByteArray) string { return wide(v, typ) })
	case *file.Int64ColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v int64) string { return number(v, typ) })
	case *file.Int32ColumnChunkReader:
		return readAll(t, r.ReadBatch, n, func(v int32) string { return number(int64(v), typ) })
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
				out = append(out, Null)
				continue
			}
			out = append(out, show(v[next]))
			next++
		}
	}
	return out
}

func number(v int64, typ columnar.Type) string {
	switch typ.Kind {
	case columnar.Date:
		return time.Unix(v*86400, 0).UTC().Format(time.DateOnly)
	case columnar.Timestamp:
		layout := "2006-01-02 15:04:05.999999"
		if typ.Zoned {
			layout += "Z"
		}
		return time.UnixMicro(v).UTC().Format(layout)
	case columnar.Time:
		return time.UnixMicro(v).UTC().Format("15:04:05.999999")
	case columnar.Decimal:
		return decimal(big.NewInt(v), typ.Scale)
	}
	return fmt.Sprint(v)
}

// wide reads a decimal of more than 18 digits: big-endian two's complement.
func wide(b []byte, typ columnar.Type) string {
	if typ.Kind != columnar.Decimal {
		return fmt.Sprintf("%x", b)
	}
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return decimal(v, typ.Scale)
}

func decimal(v *big.Int, scale int) string {
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
	}
	digits := new(big.Int).Abs(v).String()
	if scale == 0 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// RowGroupEnds gives where the row groups of a file end, in bytes.
func RowGroupEnds(t testing.TB, data []byte) (ends []int) {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for g := range r.NumRowGroups() {
		end := int64(0)
		meta := r.MetaData().RowGroup(g)
		for i := range meta.NumColumns() {
			c, err := meta.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			start := c.DataPageOffset()
			if c.HasDictionaryPage() {
				start = min(start, c.DictionaryPageOffset())
			}
			end = max(end, start+c.TotalCompressedSize())
		}
		ends = append(ends, int(end))
	}
	return ends
}
