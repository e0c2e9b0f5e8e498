package columnar

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// ReadSchema reads a Parquet file's footer: its columns and number of rows.
func ReadSchema(r io.ReaderAt, size int64) (s Schema, rows int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parquet: damaged file: %v", p)
		}
	}()
	f, err := file.NewParquetReader(io.NewSectionReader(r, 0, size))
	if err != nil {
		return s, 0, fmt.Errorf("parquet: %w", err)
	}
	defer f.Close()
	sc := f.MetaData().Schema
	for i := range sc.NumColumns() {
		c := sc.Column(i)
		s.Columns = append(s.Columns, Column{Name: c.Name(), Type: typeOf(c)})
	}
	return s, f.NumRows(), nil
}

func typeOf(c *schema.Column) Type {
	switch l := c.LogicalType().(type) {
	case schema.DateLogicalType:
		return Type{Kind: Date}
	case *schema.TimestampLogicalType:
		return Type{Kind: Timestamp, Zoned: l.IsAdjustedToUTC()}
	case *schema.TimeLogicalType:
		return Type{Kind: Time}
	case *schema.DecimalLogicalType:
		return Type{Kind: Decimal, Precision: int(l.Precision()), Scale: int(l.Scale())}
	}
	switch c.PhysicalType() {
	case parquet.Types.Boolean:
		return Type{Kind: Bool}
	case parquet.Types.Int32, parquet.Types.Int64:
		return Type{Kind: Int64}
	case parquet.Types.Float, parquet.Types.Double:
		return Type{Kind: Float64}
	}
	return Type{Kind: String}
}
