package columnar

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Sorting is a file whose rows are to be written anew in another order, with memory that does not depend on their number.
type Sorting struct {
	File    *Reader
	Columns []Column
	By      []string // columns; a null comes first
	Last    bool     // of rows that are equal in By only the last one is written
	Scratch string   // folder for sorted runs that memory does not hold
	Workers int
	Memory  int // bytes of rows that are held before they go to Scratch; 0 = 64 MiB
}

const defaultFileSortMemory = 64 << 20

// WriteParquet writes the sorted rows and gives their number.
func (s *Sorting) WriteParquet(ctx context.Context, w Sink) (rows int64, err error) {
	defer recovered(&err)
	order := &rowOrder{columns: s.Columns}
	for _, name := range s.By {
		i := slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return 0, fmt.Errorf("rows cannot be sorted by column %s: they do not have it", name)
		}
		order.key = append(order.key, i)
	}
	enc, err := newEncoderFor(s.Columns)
	if err != nil {
		return 0, err
	}
	if err := w.Reset(); err != nil {
		return 0, err
	}
	sorter := &sorter{dir: s.Scratch, arrival: true, last: s.Last}
	defer sorter.close()
	if err := s.read(ctx, order, sorter); err != nil {
		return 0, err
	}
	out, err := newAssembler(w, enc, nil)
	if err != nil {
		return 0, err
	}
	p := &groupWriter{columns: s.Columns, encoder: enc, out: out, workers: s.Workers}
	if rows, err = p.write(ctx, sorter); err != nil {
		return 0, err
	}
	return rows, out.close()
}

func (s *Sorting) read(ctx context.Context, order *rowOrder, to *sorter) error {
	memory := s.Memory
	if memory <= 0 {
		memory = defaultFileSortMemory
	}
	run := &runBuffer{sorter: to, limit: memory}
	vectors, cells := make([]Vector, len(s.Columns)), make([]cellReader, len(s.Columns))
	for g := range s.File.RowGroups() {
		for i, c := range s.Columns {
			if err := s.File.readAs(g, c, &vectors[i]); err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
			cells[i] = vectorReader(&vectors[i], c.Type)
		}
		for row := range int(s.File.GroupRows(g)) {
			if row%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := run.add(order, cells, row); err != nil {
				return err
			}
		}
	}
	return to.keep(run)
}

// vectorReader appends a row's cell of a decoded column, as appendVector takes it.
func vectorReader(v *Vector, t Type) cellReader {
	places := v.Places(nil)
	return func(to []byte, row int) ([]byte, error) {
		i := at(places, row)
		if i < 0 {
			return append(to, nullCell), nil
		}
		to = append(to, valueCell)
		switch {
		case t.Kind == Float64:
			return appendInt(to, int64(math.Float64bits(v.Floats[i]))), nil
		case t.Kind == Date:
			return appendShort(to, v.Days[i]), nil
		case t.Kind == Bool:
			return append(to, boolByte(v.Bools[i])), nil
		case t.Kind == Decimal && t.Precision > smallDigits:
			return append(to, v.Wides[i]...), nil
		case isText(t):
			return append(binary.AppendUvarint(to, uint64(len(v.Texts[i]))), v.Texts[i]...), nil
		}
		return appendInt(to, v.Ints[i]), nil
	}
}
