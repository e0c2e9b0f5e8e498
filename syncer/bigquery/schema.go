package bigquery

import (
	"fmt"

	"aida/syncer/columnar"
	"aida/syncer/datadoc"

	"github.com/apache/arrow/go/v17/arrow"
	bq "google.golang.org/api/bigquery/v2"
)

// naturalType is how a column is stored. NUMERIC is exact; BIGNUMERIC is where its declared precision is at most 38, and
// text of all its digits otherwise, as Parquet decimals end there. BYTES are base64 (RFC 4648), INTERVAL and RANGE text in
// BigQuery's own form, GEOGRAPHY its WKT; STRUCT and ARRAY are JSON text.
func naturalType(f *bq.TableFieldSchema) columnar.Type {
	if f.Mode == "REPEATED" {
		return columnar.Type{Kind: columnar.JSON}
	}
	switch f.Type {
	case "INTEGER", "INT64":
		return columnar.Type{Kind: columnar.Int64}
	case "FLOAT", "FLOAT64":
		return columnar.Type{Kind: columnar.Float64}
	case "BOOLEAN", "BOOL":
		return columnar.Type{Kind: columnar.Bool}
	case "DATE":
		return columnar.Type{Kind: columnar.Date}
	case "TIME":
		return columnar.Type{Kind: columnar.Time}
	case "DATETIME":
		return columnar.Type{Kind: columnar.Timestamp}
	case "TIMESTAMP":
		return columnar.Type{Kind: columnar.Timestamp, Zoned: true}
	case "JSON", "RECORD", "STRUCT":
		return columnar.Type{Kind: columnar.JSON}
	case "NUMERIC":
		if f.Precision > 0 {
			return columnar.Type{Kind: columnar.Decimal, Precision: int(f.Precision), Scale: int(f.Scale)}
		}
		return columnar.Type{Kind: columnar.Decimal, Precision: 38, Scale: 9}
	case "BIGNUMERIC":
		if f.Precision > 0 && f.Precision <= 38 {
			return columnar.Type{Kind: columnar.Decimal, Precision: int(f.Precision), Scale: int(f.Scale)}
		}
	}
	return columnar.Type{Kind: columnar.String}
}

// arrowColumn tells how a field becomes a column. A type that data_description.md declares wins: values are then read as
// that type, and one that does not fit fails the table.
func arrowColumn(f *bq.TableFieldSchema, declared datadoc.Column) (c columnar.ArrowColumn, warning string, err error) {
	natural := naturalType(f)
	c = columnar.ArrowColumn{Column: columnar.Column{Name: f.Name, Type: natural}, Required: f.Mode == "REQUIRED"}
	if f.TimestampPrecision != nil && *f.TimestampPrecision > 6 {
		warning = "its picoseconds are cut to microseconds"
	}
	if declared.Type != "" {
		if c.Type, err = columnar.ParseType(declared.Type); err != nil {
			return c, "", err
		}
		c.Format = declared.Format
	}
	if asText(f, c.Type, natural) {
		c.Text = func(to []byte, values arrow.Array, row int) ([]byte, error) {
			if f.Mode != "REPEATED" && c.Type.Kind != columnar.JSON {
				return appendPlain(to, f, values, row)
			}
			return appendJSON(to, f, values, row)
		}
	}
	return c, warning, nil
}

// asText tells whether the Arrow values of a field are not of a column's type as they come.
func asText(f *bq.TableFieldSchema, t, natural columnar.Type) bool {
	if f.Mode == "REPEATED" {
		return true
	}
	switch f.Type {
	case "STRING", "GEOGRAPHY", "JSON":
		return t.Kind != columnar.String && t.Kind != columnar.JSON
	case "NUMERIC", "BIGNUMERIC":
		return t.Kind != columnar.Decimal
	case "BYTES", "INTERVAL", "RANGE", "RECORD", "STRUCT":
		return true
	}
	return t != natural
}

// arrowType is the Arrow type of a field in the Storage Read API; rows that come over REST are given the same.
func arrowType(f *bq.TableFieldSchema) (arrow.DataType, error) {
	if f.Mode == "REPEATED" {
		one := *f
		one.Mode = "NULLABLE"
		t, err := arrowType(&one)
		if err != nil {
			return nil, err
		}
		return arrow.ListOf(t), nil
	}
	switch f.Type {
	case "STRING", "GEOGRAPHY", "JSON":
		return arrow.BinaryTypes.String, nil
	case "BYTES":
		return arrow.BinaryTypes.Binary, nil
	case "INTEGER", "INT64":
		return arrow.PrimitiveTypes.Int64, nil
	case "FLOAT", "FLOAT64":
		return arrow.PrimitiveTypes.Float64, nil
	case "BOOLEAN", "BOOL":
		return arrow.FixedWidthTypes.Boolean, nil
	case "DATE":
		return arrow.FixedWidthTypes.Date32, nil
	case "TIME":
		return arrow.FixedWidthTypes.Time64us, nil
	case "DATETIME":
		return &arrow.TimestampType{Unit: arrow.Microsecond}, nil
	case "TIMESTAMP":
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, nil
	case "NUMERIC":
		return &arrow.Decimal128Type{Precision: 38, Scale: 9}, nil
	case "BIGNUMERIC":
		return &arrow.Decimal256Type{Precision: 76, Scale: 38}, nil
	case "INTERVAL":
		return arrow.FixedWidthTypes.MonthDayNanoInterval, nil
	case "RANGE":
		if f.RangeElementType == nil {
			return nil, fmt.Errorf("column %s: BigQuery does not tell of what it is a range", f.Name)
		}
		t, err := arrowType(&bq.TableFieldSchema{Name: f.Name, Type: f.RangeElementType.Type})
		if err != nil {
			return nil, err
		}
		return arrow.StructOf(arrow.Field{Name: "start", Type: t, Nullable: true}, arrow.Field{Name: "end", Type: t, Nullable: true}), nil
	case "RECORD", "STRUCT":
		var fields []arrow.Field
		for _, sub := range f.Fields {
			t, err := arrowType(sub)
			if err != nil {
				return nil, err
			}
			fields = append(fields, arrow.Field{Name: sub.Name, Type: t, Nullable: true})
		}
		return arrow.StructOf(fields...), nil
	}
	return nil, fmt.Errorf("column %s: type %s is not known: leave it out with columns, or cast it in a view", f.Name, f.Type)
}
