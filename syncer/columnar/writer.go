package columnar

import (
	"bytes"
	"fmt"
	"io"
)

// Writer writes batches of typed rows as one Parquet file, for sources that do not come as text and for rows that come
// from other files. Batches become row groups, so the same batches make the same bytes.
//
//	w, err := columnar.NewWriter(out, schema)
//	err = w.Write(&batch) // or: group, err := w.Encode(&batch) on any goroutine, then w.Append(group) in order
//	err = w.Close()
type Writer struct {
	encoder *encoder
	out     *assembler
	rows    int64
}

// NewWriter begins a file.
func NewWriter(w io.Writer, s Schema) (*Writer, error) {
	enc, err := newEncoderFor(s.Columns)
	if err != nil {
		return nil, err
	}
	out, err := newAssembler(w, enc, nil)
	if err != nil {
		return nil, err
	}
	return &Writer{encoder: enc, out: out}, nil
}

// Group is encoded row groups on their way to a file.
type Group struct {
	parts []*bytes.Buffer
	rows  int64
}

// Write encodes a batch and appends it.
func (w *Writer) Write(b *Batch) error {
	g, err := w.Encode(b)
	if err != nil {
		return err
	}
	return w.Append(g)
}

// Encode makes row groups of a batch: more than one when it has more rows than fit into one. It may run on several
// goroutines at once, and the batch may be used again afterwards.
func (w *Writer) Encode(b *Batch) (*Group, error) {
	if err := w.check(b); err != nil {
		return nil, err
	}
	g := &Group{rows: int64(b.Rows)}
	bytesOf := 0
	for i := range b.Columns {
		bytesOf += b.Columns[i].size()
	}
	parts := max((b.Rows+maxRowGroupRows-1)/maxRowGroupRows, min(bytesOf/maxRowGroupBytes, b.Rows))
	at := make([]int, len(b.Columns)) // values of each column that went into parts before
	for i := range parts {
		from, to := b.Rows*i/parts, b.Rows*(i+1)/parts
		vectors := make([]Vector, len(b.Columns))
		for c := range vectors {
			vectors[c], at[c] = b.Columns[c].slice(from, to, at[c])
		}
		buf := new(bytes.Buffer)
		if err := w.encoder.encode(buf, vectors); err != nil {
			return nil, err
		}
		g.parts = append(g.parts, buf)
	}
	return g, nil
}

// slice gives rows from to to, whose first value is the one at value; it gives the first value behind them, too.
func (v *Vector) slice(from, to, value int) (Vector, int) {
	end := value
	for _, l := range v.Levels[from:to] {
		end += int(l)
	}
	s := Vector{Type: v.Type, Levels: v.Levels[from:to], Nulls: to - from - (end - value)}
	s.Ints, s.Days, s.Floats, s.Bools = cut(v.Ints, value, end), cut(v.Days, value, end), cut(v.Floats, value, end), cut(v.Bools, value, end)
	s.Texts, s.Wides = cut(v.Texts, value, end), cut(v.Wides, value, end)
	return s, end
}

func cut[T any](s []T, from, to int) []T {
	if len(s) == 0 {
		return nil
	}
	return s[from:to]
}

func (w *Writer) check(b *Batch) error {
	if len(b.Columns) != len(w.encoder.columns) {
		return fmt.Errorf("parquet: a batch has %d columns, the file has %d", len(b.Columns), len(w.encoder.columns))
	}
	for i := range b.Columns {
		v, c := &b.Columns[i], w.encoder.columns[i]
		values := 0
		for _, l := range v.Levels {
			values += int(l)
		}
		if len(v.Levels) != b.Rows || v.stored(c.Type) != values || v.count() != values || v.Dict != nil {
			return fmt.Errorf("parquet: column %s: %d rows with %d values of type %s do not fit a batch of %d rows", c.Name, len(v.Levels), v.stored(c.Type), c.Type, b.Rows)
		}
	}
	return nil
}

// stored is how many values there are in the slice that belongs to a type.
func (v *Vector) stored(t Type) int {
	switch t.Kind {
	case Bool:
		return len(v.Bools)
	case Int64, Timestamp, Time:
		return len(v.Ints)
	case Float64:
		return len(v.Floats)
	case Date:
		return len(v.Days)
	case Decimal:
		if t.Precision > smallDigits {
			return len(v.Wides)
		}
		return len(v.Ints)
	}
	return len(v.Texts)
}

// Append writes what Encode made, behind what was appended before.
func (w *Writer) Append(g *Group) error {
	for _, part := range g.parts {
		if err := w.out.add(part.Bytes()); err != nil {
			return err
		}
	}
	w.rows += g.rows
	return nil
}

// Rows and Bytes tell how much was written so far.
func (w *Writer) Rows() int64  { return w.rows }
func (w *Writer) Bytes() int64 { return w.out.at }

// Close writes the footer. It does not close what it writes to.
func (w *Writer) Close() error { return w.out.close() }
