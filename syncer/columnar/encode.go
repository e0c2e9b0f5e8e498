package columnar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// encoder makes row groups: each is a small Parquet file of its own in memory, so that workers need no turn-taking; the
// assembler puts their bytes into one file.
type encoder struct {
	root    *schema.GroupNode
	columns []Column
}

func newEncoderFor(columns []Column) (*encoder, error) {
	if err := registerCodec(); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	var nodes schema.FieldList
	for _, c := range columns {
		n, err := node(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		nodes = append(nodes, n)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
	if err != nil {
		return nil, err
	}
	_ = schema.NewSchema(root) // has each node work out its path, which it keeps: several goroutines would do so at once
	return &encoder{root: root, columns: columns}, nil
}

// node gives a column's place in the Parquet schema. Every column may hold nulls.
func node(c Column) (schema.Node, error) {
	opt := parquet.Repetitions.Optional
	switch c.Type.Kind {
	case Bool:
		return schema.NewPrimitiveNode(c.Name, opt, parquet.Types.Boolean, -1, -1)
	case Int64:
		return schema.NewPrimitiveNode(c.Name, opt, parquet.Types.Int64, -1, -1)
	case Float64:
		return schema.NewPrimitiveNode(c.Name, opt, parquet.Types.Double, -1, -1)
	case Date:
		return schema.NewPrimitiveNodeLogical(c.Name, opt, schema.DateLogicalType{}, parquet.Types.Int32, -1, -1)
	case Timestamp:
		return schema.NewPrimitiveNodeLogical(c.Name, opt, schema.NewTimestampLogicalTypeForce(c.Type.Zoned, schema.TimeUnitMicros), parquet.Types.Int64, -1, -1)
	case Time: // wall time: with "adjusted to UTC" DuckDB would read TIME WITH TIME ZONE
		return schema.NewPrimitiveNodeLogical(c.Name, opt, schema.NewTimeLogicalType(false, schema.TimeUnitMicros), parquet.Types.Int64, -1, -1)
	case Decimal:
		physical, length := parquet.Types.Int64, -1
		if c.Type.Precision > smallDigits {
			physical, length = parquet.Types.FixedLenByteArray, decimalBytes(c.Type.Precision)
		}
		return schema.NewPrimitiveNodeLogical(c.Name, opt, schema.NewDecimalLogicalType(int32(c.Type.Precision), int32(c.Type.Scale)), physical, length, -1)
	}
	return schema.NewPrimitiveNodeLogical(c.Name, opt, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, -1)
}

// encode writes one row group. Arrow panics where it should give errors; here they become errors.
func (e *encoder) encode(out *bytes.Buffer, vectors []Vector) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parquet: %v", p)
		}
	}()
	props := []parquet.WriterProperty{
		parquet.WithCreatedBy("aida"), parquet.WithVersion(parquet.V2_LATEST), parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithStats(true), parquet.WithDictionaryDefault(false), parquet.WithBatchSize(8192),
	}
	for i := range vectors {
		props = append(props, encodingOf(e.columns[i], &vectors[i])...)
	}
	w := file.NewParquetWriter(out, e.root, file.WithWriterProps(parquet.NewWriterProperties(props...)))
	if len(vectors) > 0 && len(vectors[0].Levels) > 0 {
		rg := w.AppendRowGroup()
		for i := range vectors {
			if err := writeColumn(rg, &vectors[i]); err != nil {
				return fmt.Errorf("column %s: %w", e.columns[i].Name, err)
			}
		}
		if err := rg.Close(); err != nil {
			return fmt.Errorf("parquet: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return nil
}

func writeColumn(rg file.SerialRowGroupWriter, v *Vector) error {
	col, err := rg.NextColumn()
	if err != nil {
		return err
	}
	switch w := col.(type) {
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(v.Bools, v.Levels, nil)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(v.Days, v.Levels, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(v.Ints, v.Levels, nil)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(v.Floats, v.Levels, nil)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(v.Wides, v.Levels, nil)
	case *file.ByteArrayColumnChunkWriter:
		err = writeTexts(w, v)
	default:
		err = fmt.Errorf("no writer for %T", col)
	}
	return errors.Join(err, col.Close())
}

// textBatch bounds the bytes that go into a page at once: Arrow looks at a page's size only between batches, and a page
// that is larger than 2 GiB would be damaged.
const textBatch = 1 << 20

func writeTexts(w *file.ByteArrayColumnChunkWriter, v *Vector) error {
	at, value, size := 0, 0, 0
	next := 0
	for i, l := range v.Levels {
		if l == 1 {
			size += len(v.Texts[next])
			next++
		}
		if size >= textBatch || i == len(v.Levels)-1 {
			if _, err := w.WriteBatch(v.Texts[value:next], v.Levels[at:i+1], nil); err != nil {
				return err
			}
			at, value, size = i+1, next, 0
		}
	}
	return nil
}

// sampleSize is how many values decide on a column's encoding; they are taken evenly from the row group, so that the
// decision follows from its rows alone.
const sampleSize = 2048

// encodingOf chooses a dictionary where values repeat, differences for other whole numbers, and plain values else.
func encodingOf(c Column, v *Vector) []parquet.WriterProperty {
	var repeats, whole bool
	switch c.Type.Kind {
	case Bool:
		return nil
	case Float64:
		repeats = repeating(len(v.Floats), func(i int) uint64 { return math.Float64bits(v.Floats[i]) })
	case Int64, Timestamp, Time:
		whole, repeats = true, repeating(len(v.Ints), func(i int) uint64 { return uint64(v.Ints[i]) })
	case Date:
		whole, repeats = true, repeating(len(v.Days), func(i int) int32 { return v.Days[i] })
	case Decimal:
		if c.Type.Precision > smallDigits {
			repeats = repeating(len(v.Wides), func(i int) string { return string(v.Wides[i]) })
		} else {
			whole, repeats = true, repeating(len(v.Ints), func(i int) uint64 { return uint64(v.Ints[i]) })
		}
	default:
		repeats = repeating(len(v.Texts), func(i int) string { return string(v.Texts[i]) })
	}
	path := parquet.ColumnPath{c.Name}
	switch {
	case repeats:
		return []parquet.WriterProperty{parquet.WithDictionaryPath(path, true)}
	case whole:
		return []parquet.WriterProperty{parquet.WithEncodingPath(path, parquet.Encodings.DeltaBinaryPacked)}
	}
	return nil
}

// repeating tells whether a sample of n values has at most a quarter as many distinct ones.
func repeating[T comparable](n int, value func(int) T) bool {
	take := min(n, sampleSize)
	if take < 16 {
		return false
	}
	seen := make(map[T]struct{}, take/4)
	for i := range take {
		seen[value(i*n/take)] = struct{}{}
		if len(seen)*4 > take {
			return false
		}
	}
	return true
}

// assembler writes row groups one after another as one Parquet file.
type assembler struct {
	w      interface{ Write([]byte) (int, error) }
	at     int64
	footer *metadata.FileMetaData
	groups int
}

var magic = []byte("PAR1")

// newAssembler begins a file. Its footer starts out as that of a file without rows.
func newAssembler(w interface{ Write([]byte) (int, error) }, e *encoder, pairs map[string]string) (*assembler, error) {
	var empty bytes.Buffer
	if err := e.encode(&empty, nil); err != nil {
		return nil, err
	}
	_, footer, err := splitFile(empty.Bytes())
	if err != nil {
		return nil, err
	}
	kv := metadata.NewKeyValueMetadata()
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if err := kv.Append(key, pairs[key]); err != nil {
			return nil, err
		}
	}
	footer.FileMetaData.KeyValueMetadata = kv
	a := &assembler{w: w, footer: footer}
	return a, a.write(magic)
}

func (a *assembler) write(p []byte) error {
	n, err := a.w.Write(p)
	a.at += int64(n)
	if err == nil && n != len(p) {
		err = errors.New("short write")
	}
	return err
}

// add appends the row group of a small file, moving its offsets to where it comes to lie.
func (a *assembler) add(part []byte) error {
	body, footer, err := splitFile(part)
	if err != nil {
		return err
	}
	shift := a.at - int64(len(magic))
	for _, rg := range footer.GetRowGroups() {
		rg.Ordinal = nil // 16 bits, of use to encrypted files alone
		if rg.FileOffset != nil {
			*rg.FileOffset += shift
		}
		for _, c := range rg.Columns {
			c.FileOffset += shift
			c.MetaData.DataPageOffset += shift
			if c.MetaData.DictionaryPageOffset != nil {
				*c.MetaData.DictionaryPageOffset += shift
			}
		}
		a.groups++
	}
	if err := a.footer.AppendRowGroups(footer); err != nil {
		return err
	}
	return a.write(body)
}

// close writes the footer.
func (a *assembler) close() error {
	var buf bytes.Buffer
	n, err := a.footer.WriteTo(&buf, nil)
	if err != nil {
		return fmt.Errorf("parquet footer: %w", err)
	}
	tail := binary.LittleEndian.AppendUint32(nil, uint32(n))
	if err := a.write(buf.Bytes()); err != nil {
		return err
	}
	return a.write(append(tail, magic...))
}

// splitFile takes a small Parquet file apart: the bytes of its row group, and its footer.
func splitFile(data []byte) (body []byte, footer *metadata.FileMetaData, err error) {
	if len(data) < 12 {
		return nil, nil, errors.New("parquet: a row group is cut")
	}
	n := int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	end := len(data) - 8 - n
	if end < 4 {
		return nil, nil, errors.New("parquet: a footer is damaged")
	}
	footer, err = metadata.NewFileMetaData(data[end:len(data)-8], nil)
	return data[4:end], footer, err
}
