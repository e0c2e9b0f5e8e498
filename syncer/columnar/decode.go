package columnar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// decoder turns the pages of one column chunk into a vector. It knows the encodings that this package writes, and those of
// other writers that mean the same; see "Encodings" of the Parquet format. Arrow takes pages apart and inflates them; its
// own value decoders are several times slower than a profile or a merge can bear.
type decoder struct {
	v      *Vector
	column *schema.Column
	rows   int
	keep   bool // codes stay codes
	dict   *Vector
	past   bool // a page without codes has been seen
}

var errCut = errors.New("a page is shorter than its values")

func (d *decoder) chunk(pages file.PageReader) error {
	for pages.Next() {
		switch p := pages.Page().(type) {
		case *file.DictionaryPage:
			d.dict = &Vector{Type: d.v.Type}
			d.plain(d.dict, p.Data(), int(p.NumValues()))
		case *file.DataPageV1:
			data, n := p.Data(), int(p.NumValues())
			values := n
			if d.column.MaxDefinitionLevel() > 0 {
				size := int(binary.LittleEndian.Uint32(data))
				values, data = d.levels(data[4:4+size], n), data[4+size:]
			} else {
				d.required(n)
			}
			if err := d.page(parquet.Encoding(p.Encoding()), data, values); err != nil {
				return err
			}
		case *file.DataPageV2:
			data, n := p.Data(), int(p.NumValues())
			values, size := n, int(p.DefinitionLevelByteLen())
			if d.column.MaxDefinitionLevel() > 0 {
				values = d.levels(data[:size], n)
			} else {
				d.required(n)
			}
			if err := d.page(parquet.Encoding(p.Encoding()), data[size:], values); err != nil {
				return err
			}
		}
	}
	if err := pages.Err(); err != nil {
		return err
	}
	if len(d.v.Levels) != d.rows {
		return fmt.Errorf("%d rows of %d", len(d.v.Levels), d.rows)
	}
	if len(d.v.Codes) > 0 {
		return d.finishCodes()
	}
	return nil
}

// levels reads which rows have a value, and gives how many do.
func (d *decoder) levels(data []byte, n int) (values int) {
	v := d.v
	at := len(v.Levels)
	v.Levels = grow(v.Levels, n)
	out := v.Levels[at:]
	for len(out) > 0 {
		header, size := binary.Uvarint(data)
		if size <= 0 {
			panic(errCut)
		}
		data = data[size:]
		if header&1 == 0 {
			run, level := min(int(header>>1), len(out)), int16(data[0])
			data = data[1:]
			for i := range out[:run] {
				out[i] = level
			}
			values += run * int(level)
			out = out[run:]
			continue
		}
		for _, b := range data[:header>>1] {
			for bit := range min(8, len(out)) {
				level := int16(b >> bit & 1)
				out[bit] = level
				values += int(level)
			}
			out = out[min(8, len(out)):]
		}
		data = data[header>>1:]
	}
	v.Nulls += n - values
	return values
}

func (d *decoder) required(n int) {
	at := len(d.v.Levels)
	d.v.Levels = grow(d.v.Levels, n)
	for i := range d.v.Levels[at:] {
		d.v.Levels[at+i] = 1
	}
}

func (d *decoder) page(e parquet.Encoding, data []byte, n int) error {
	switch e {
	case parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
		if d.dict == nil {
			return errors.New("codes without a dictionary")
		}
		if d.past {
			return errors.New("codes behind plain values")
		}
		if n > 0 {
			at := len(d.v.Codes)
			d.v.Codes = grow(d.v.Codes, n)
			hybrid(data[1:], int(data[0]), d.v.Codes[at:])
		}
		return nil
	}
	if len(d.v.Codes) > 0 { // the writer gave the dictionary up
		if err := d.gather(); err != nil {
			return err
		}
	}
	d.past = true
	switch e {
	case parquet.Encodings.Plain:
		d.plain(d.v, data, n)
	case parquet.Encodings.DeltaBinaryPacked:
		d.delta(data, n)
	case parquet.Encodings.DeltaLengthByteArray:
		d.lengths(data, n)
	default:
		return fmt.Errorf("encoding %s is not one that the lake writes", e)
	}
	return nil
}

// finishCodes leaves the codes, when that was asked for, or looks them up.
func (d *decoder) finishCodes() error {
	if !d.keep {
		return d.gather()
	}
	size := uint32(d.dict.count())
	for _, c := range d.v.Codes {
		if c >= size {
			return errors.New("a code is not in the dictionary")
		}
	}
	d.v.Dict = d.dict
	return nil
}

// count is how many values the slices hold.
func (v *Vector) count() int {
	return len(v.Ints) + len(v.Days) + len(v.Floats) + len(v.Bools) + len(v.Texts) + len(v.Wides)
}

// gather replaces codes by their values.
func (d *decoder) gather() error {
	v, dict := d.v, d.dict
	v.Ints, v.Days, v.Floats = pick(v.Ints, dict.Ints, v.Codes), pick(v.Days, dict.Days, v.Codes), pick(v.Floats, dict.Floats, v.Codes)
	v.Texts, v.Wides = pick(v.Texts, dict.Texts, v.Codes), pick(v.Wides, dict.Wides, v.Codes)
	if dict.count() == 0 {
		return errors.New("the dictionary is empty")
	}
	v.Codes = v.Codes[:0]
	return nil
}

func pick[T any](into, values []T, codes []uint32) []T {
	if len(values) == 0 {
		return into
	}
	at := len(into)
	into = grow(into, len(codes))
	out := into[at:]
	for i, c := range codes {
		out[i] = values[c]
	}
	return into
}

// plain reads values that are stored as they are.
func (d *decoder) plain(v *Vector, data []byte, n int) {
	switch d.column.PhysicalType() {
	case parquet.Types.Int64:
		at := len(v.Ints)
		v.Ints = grow(v.Ints, n)
		for i := range v.Ints[at:] {
			v.Ints[at+i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case parquet.Types.Double:
		at := len(v.Floats)
		v.Floats = grow(v.Floats, n)
		for i := range v.Floats[at:] {
			v.Floats[at+i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case parquet.Types.Float:
		for i := range n {
			v.Floats = append(v.Floats, float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))))
		}
	case parquet.Types.Int32:
		for i := range n {
			d.short(v, int32(binary.LittleEndian.Uint32(data[4*i:])))
		}
	case parquet.Types.Boolean:
		at := len(v.Bools)
		v.Bools = grow(v.Bools, n)
		for i := range v.Bools[at:] {
			v.Bools[at+i] = data[i/8]>>(i%8)&1 == 1
		}
	case parquet.Types.FixedLenByteArray:
		width := d.column.TypeLength()
		for i := range n {
			v.Wides = append(v.Wides, data[i*width:(i+1)*width:(i+1)*width])
		}
	case parquet.Types.ByteArray:
		at := len(v.Texts)
		v.Texts = grow(v.Texts, n)
		for i := range v.Texts[at:] {
			size := int(binary.LittleEndian.Uint32(data))
			v.Texts[at+i] = data[4 : 4+size : 4+size]
			data = data[4+size:]
		}
	default:
		panic(fmt.Sprintf("values of type %s are not kept in the lake", d.column.PhysicalType()))
	}
}

// short takes a value of 32 bits: a date, or a number of another writer.
func (d *decoder) short(v *Vector, x int32) {
	if v.Type.Kind == Date {
		v.Days = append(v.Days, x)
		return
	}
	v.Ints = append(v.Ints, int64(x))
}

// lengths reads texts whose lengths stand in front of them all (DELTA_LENGTH_BYTE_ARRAY).
func (d *decoder) lengths(data []byte, n int) {
	sizes := make([]int64, n)
	data = unpackDeltas(data, sizes)
	for _, size := range sizes {
		d.v.Texts = append(d.v.Texts, data[:size:size])
		data = data[size:]
	}
}

// delta reads whole numbers that are stored as differences (DELTA_BINARY_PACKED).
func (d *decoder) delta(data []byte, n int) {
	v := d.v
	if d.column.PhysicalType() == parquet.Types.Int64 {
		at := len(v.Ints)
		v.Ints = grow(v.Ints, n)
		unpackDeltas(data, v.Ints[at:])
		return
	}
	wide := make([]int64, n)
	unpackDeltas(data, wide)
	for _, x := range wide {
		d.short(v, int32(x))
	}
}

// grow makes room for n more elements without clearing what will be overwritten anyway.
func grow[T any](s []T, n int) []T {
	if len(s)+n <= cap(s) {
		return s[:len(s)+n]
	}
	bigger := make([]T, len(s)+n, max(len(s)+n, int(float64(cap(s))*1.25)))
	copy(bigger, s)
	return bigger
}
