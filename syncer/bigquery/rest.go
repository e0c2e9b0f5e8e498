package bigquery

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/decimal256"
	"github.com/apache/arrow/go/v17/arrow/memory"
	bq "google.golang.org/api/bigquery/v2"
)

// pageRows is how many rows a page over REST has at most; BigQuery also ends a page at about 10 MB.
const pageRows = 50_000

// restSchema is the shape of the rows over REST: a query's as it was selected, a table's in its own order.
func (p *plan) restSchema(j *job) ([]*bq.TableFieldSchema, error) {
	fields := p.meta.Schema.Fields
	if j != nil {
		fields = j.schema.Fields
	}
	wanted := map[string]bool{}
	for _, f := range p.fields {
		wanted[f.Name] = true
	}
	var out []*bq.TableFieldSchema
	for _, f := range fields {
		if wanted[f.Name] {
			out = append(out, f)
		}
	}
	if len(out) != len(p.fields) || j != nil && len(out) != len(fields) {
		return nil, fmt.Errorf("BigQuery gave %d columns of %d", len(out), len(p.fields))
	}
	return out, nil
}

// pages reads rows over REST, page after page, as Arrow records like those of the Storage Read API.
type pages struct {
	client *client
	ref    reference
	job    *job // nil = rows of the table ref
	fields []*bq.TableFieldSchema
	schema []*bq.TableFieldSchema

	builder *array.RecordBuilder
	token   string
	begun   bool
	ended   bool
	rows    uint64
	read    int64
}

// Consumed is about the bytes received.
func (p *pages) Consumed() int64 { return p.read }

// Next gives the next page that has rows.
func (p *pages) Next(ctx context.Context) (arrow.Record, error) {
	if p.builder == nil {
		var fields []arrow.Field
		for _, f := range p.schema {
			t, err := arrowType(f)
			if err != nil {
				return nil, err
			}
			fields = append(fields, arrow.Field{Name: f.Name, Type: t, Nullable: true})
		}
		p.builder = array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	}
	for !p.ended {
		rows, total, err := p.page(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if len(row.F) != len(p.schema) {
				return nil, fmt.Errorf("BigQuery sent a row of %d cells for %d columns", len(row.F), len(p.schema))
			}
			for i, cell := range row.F {
				if err := p.add(p.builder.Field(i), p.schema[i], cell.V); err != nil {
					return nil, fmt.Errorf("column %s: %w", p.schema[i].Name, err)
				}
			}
		}
		p.rows += uint64(len(rows))
		if p.ended && p.rows != total {
			return nil, fmt.Errorf("BigQuery sent %d rows of %d over REST: run the sync again", p.rows, total)
		}
		if len(rows) > 0 {
			return p.builder.NewRecord(), nil
		}
	}
	return nil, io.EOF
}

func (p *pages) page(ctx context.Context) (rows []*bq.TableRow, total uint64, err error) {
	err = p.client.repeat(ctx, func() error {
		if p.job != nil {
			call := p.client.rest.Jobs.GetQueryResults(p.job.id.ProjectId, p.job.id.JobId).Location(p.job.id.Location).MaxResults(pageRows).FormatOptionsUseInt64Timestamp(true)
			if p.begun {
				call.PageToken(p.token)
			}
			r, err := call.Context(ctx).Do()
			if err != nil {
				return err
			}
			if !r.JobComplete {
				return fmt.Errorf("BigQuery job %s is not done although it was", p.job.id.JobId)
			}
			rows, total, p.token = r.Rows, r.TotalRows, r.PageToken
			return nil
		}
		var names []string
		for _, f := range p.schema {
			names = append(names, f.Name)
		}
		call := p.client.rest.Tabledata.List(p.ref.project, p.ref.dataset, p.ref.table).MaxResults(pageRows).SelectedFields(strings.Join(names, ",")).FormatOptionsUseInt64Timestamp(true)
		if p.begun {
			call.PageToken(p.token)
		}
		r, err := call.Context(ctx).Do()
		if err != nil {
			return err
		}
		rows, total, p.token = r.Rows, uint64(r.TotalRows), r.PageToken
		return nil
	})
	p.begun, p.ended = true, p.token == ""
	if err != nil {
		return nil, 0, fmt.Errorf("BigQuery table %s: page after %d rows: %w", p.ref, p.rows, err)
	}
	return rows, total, nil
}

// add appends a cell as REST writes it: text for every scalar, {"v": ...} around elements, {"f": [...]} for a STRUCT.
func (p *pages) add(to array.Builder, f *bq.TableFieldSchema, v any) error {
	if f.Mode == "REPEATED" {
		list, ok := v.([]any)
		if !ok && v != nil {
			return fmt.Errorf("BigQuery sent %T for an ARRAY", v)
		}
		one := *f
		one.Mode = "NULLABLE"
		b := to.(*array.ListBuilder)
		b.Append(true)
		for _, item := range list {
			cell, ok := item.(map[string]any)
			if !ok {
				return fmt.Errorf("BigQuery sent %T for an element of an ARRAY", item)
			}
			if err := p.add(b.ValueBuilder(), &one, cell["v"]); err != nil {
				return err
			}
		}
		return nil
	}
	if v == nil {
		to.AppendNull()
		return nil
	}
	if f.Type == "RECORD" || f.Type == "STRUCT" {
		row, _ := v.(map[string]any)
		cells, ok := row["f"].([]any)
		if !ok || len(cells) != len(f.Fields) {
			return fmt.Errorf("BigQuery sent %T with %d fields for a STRUCT of %d", v, len(cells), len(f.Fields))
		}
		b := to.(*array.StructBuilder)
		b.Append(true)
		for i, sub := range f.Fields {
			cell, _ := cells[i].(map[string]any)
			if err := p.add(b.FieldBuilder(i), sub, cell["v"]); err != nil {
				return fmt.Errorf("%s: %w", sub.Name, err)
			}
		}
		return nil
	}
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("BigQuery sent %T for %s", v, f.Type)
	}
	p.read += int64(len(text))
	if err := addText(to, f, text); err != nil {
		return fmt.Errorf("%q is no %s: %w", text, f.Type, err)
	}
	return nil
}

func addText(to array.Builder, f *bq.TableFieldSchema, text string) error {
	switch b := to.(type) {
	case *array.StringBuilder:
		b.Append(text)
	case *array.BinaryBuilder:
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		b.Append(raw)
	case *array.Int64Builder:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		b.Append(n)
	case *array.Float64Builder:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		b.Append(x)
	case *array.BooleanBuilder:
		x, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		b.Append(x)
	case *array.Date32Builder:
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return err
		}
		b.Append(arrow.Date32FromTime(at))
	case *array.TimestampBuilder:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil { // microseconds
			b.Append(arrow.Timestamp(n))
			return nil
		}
		at, ok := parseMoment(text)
		if !ok {
			return errors.New("it is neither microseconds nor ISO 8601")
		}
		b.Append(arrow.Timestamp(at.UnixMicro()))
	case *array.Time64Builder:
		at, err := time.Parse("15:04:05.999999", text)
		if err != nil {
			return err
		}
		b.Append(arrow.Time64(at.Sub(at.Truncate(24 * time.Hour)).Microseconds()))
	case *array.Decimal128Builder:
		n, err := unscaled(text, 9)
		if err != nil {
			return err
		}
		b.Append(decimal128.FromBigInt(n))
	case *array.Decimal256Builder:
		n, err := unscaled(text, 38)
		if err != nil {
			return err
		}
		b.Append(decimal256.FromBigInt(n))
	case *array.MonthDayNanoIntervalBuilder:
		v, err := parseInterval(text)
		if err != nil {
			return err
		}
		b.Append(v)
	case *array.StructBuilder: // RANGE
		inner, ok := strings.CutPrefix(text, "[")
		inner, ok2 := strings.CutSuffix(inner, ")")
		start, end, ok3 := strings.Cut(inner, ", ")
		if !ok || !ok2 || !ok3 {
			return errors.New("it is not [start, end)")
		}
		b.Append(true)
		for i, bound := range []string{start, end} {
			if bound == "UNBOUNDED" || bound == "NULL" {
				b.FieldBuilder(i).AppendNull()
			} else if err := addText(b.FieldBuilder(i), f, bound); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("internal error: no builder for %T", to)
	}
	return nil
}

// unscaled reads a decimal as its digits at a scale.
func unscaled(text string, scale int) (*big.Int, error) {
	if !decimalNumber.MatchString(text) {
		return nil, errors.New("it is not a decimal number")
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, errors.New("it is not a decimal number")
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !r.IsInt() {
		return nil, fmt.Errorf("it has more than %d digits behind the point", scale)
	}
	return r.Num(), nil
}

// parseInterval reads what appendInterval writes.
func parseInterval(text string) (v arrow.MonthDayNanoInterval, err error) {
	var months, clock string
	var days int64
	if _, err := fmt.Sscanf(text, "%s %d %s", &months, &days, &clock); err != nil {
		return v, errors.New("it is not years-months days hours:minutes:seconds")
	}
	number := func(s string) int64 {
		n, e := strconv.ParseInt(s, 10, 64)
		if e != nil || n < 0 {
			err = errors.New("it is not years-months days hours:minutes:seconds")
		}
		return n
	}
	signed := func(s string) (string, int64) {
		if rest, minus := strings.CutPrefix(s, "-"); minus {
			return rest, -1
		}
		return s, 1
	}
	text, sign := signed(months)
	years, rest, _ := strings.Cut(text, "-")
	v.Months = int32(sign * (number(years)*12 + number(rest)))
	v.Days = int32(days)
	text, sign = signed(clock)
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return v, errors.New("it is not years-months days hours:minutes:seconds")
	}
	seconds, fraction, _ := strings.Cut(parts[2], ".")
	if len(fraction) > 9 {
		return v, errors.New("its seconds have more than nine digits behind the point")
	}
	nanos := number((fraction + "000000000")[:9])
	v.Nanoseconds = sign * ((number(parts[0])*3600+number(parts[1])*60+number(seconds))*int64(time.Second) + nanos)
	return v, err
}
