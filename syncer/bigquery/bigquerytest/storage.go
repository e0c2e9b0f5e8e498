package bigquerytest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/decimal256"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// session is a read session: a snapshot, dealt to streams.
type session struct {
	restriction string
	table       Table
	streams     map[string][][]any // rows
}

const (
	streamsOfSession = 3
	rowsOfMessage    = 700
)

// CreateReadSession opens a session.
func (s *Server) CreateReadSession(_ context.Context, r *storagepb.CreateReadSessionRequest) (*storagepb.ReadSession, error) {
	if f := s.next("CreateReadSession"); f != nil && f.Code != codes.OK {
		return nil, status.Error(f.Code, "injected fault")
	}
	want := r.ReadSession
	arrowOptions := want.GetReadOptions().GetArrowSerializationOptions()
	if !strings.HasPrefix(r.Parent, "projects/") || want.GetDataFormat() != storagepb.DataFormat_ARROW || arrowOptions.GetBufferCompression() != storagepb.ArrowSerializationOptions_LZ4_FRAME || r.MaxStreamCount < 1 {
		s.report.Errorf("bigquerytest: CreateReadSession is asked for %v", r)
	}
	path := strings.Split(want.Table, "/")
	if len(path) != 6 || path[0] != "projects" || path[2] != "datasets" || path[4] != "tables" {
		return nil, status.Errorf(codes.InvalidArgument, "table %q", want.Table)
	}
	id := path[1] + "." + path[3] + "." + path[5]
	t, ok := s.look(id)
	if !ok {
		return nil, status.Errorf(codes.NotFound, "Not found: Table %s", id)
	}
	if t.Type != "TABLE" && t.Type != "SNAPSHOT" {
		return nil, status.Errorf(codes.InvalidArgument, "Table %s of type %s cannot be read", id, t.Type)
	}
	for _, name := range want.ReadOptions.SelectedFields {
		if t.index(name) < 0 {
			return nil, status.Errorf(codes.InvalidArgument, "Unknown field %s", name)
		}
	}
	if t.RequirePartitionFilter && !strings.Contains(want.ReadOptions.RowRestriction, t.PartitionedBy) {
		return nil, status.Error(codes.InvalidArgument, "Cannot read without a filter over the partition column")
	}
	t, err := t.restrict(want.ReadOptions.RowRestriction)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	t = t.project(want.ReadOptions.SelectedFields)
	_, schema, err := encode(t, nil)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%s/locations/eu/sessions/%06d", r.Parent, len(s.sessions)+1)
	o := &session{table: t, restriction: want.ReadOptions.RowRestriction, streams: map[string][][]any{}}
	out := &storagepb.ReadSession{Name: name, Table: want.Table, DataFormat: want.DataFormat, EstimatedTotalBytesScanned: t.Bytes, EstimatedRowCount: int64(len(t.Rows)),
		ExpireTime: timestamppb.New(time.Now().Add(6 * time.Hour)), Schema: &storagepb.ReadSession_ArrowSchema{ArrowSchema: &storagepb.ArrowSchema{SerializedSchema: schema}}}
	for i := range min(int(r.MaxStreamCount), streamsOfSession, len(t.Rows)) { // an empty table has no stream
		out.Streams = append(out.Streams, &storagepb.ReadStream{Name: fmt.Sprintf("%s/streams/%d", name, i)})
	}
	for _, i := range rand.Perm(len(t.Rows)) {
		to := out.Streams[rand.IntN(len(out.Streams))].Name
		o.streams[to] = append(o.streams[to], t.Rows[i])
	}
	s.sessions[name] = o
	return out, nil
}

// ReadRows sends a stream from an offset on.
func (s *Server) ReadRows(r *storagepb.ReadRowsRequest, to storagepb.BigQueryRead_ReadRowsServer) error {
	f := s.next("ReadRows")
	if f != nil && f.Code != codes.OK && f.AfterRows == 0 {
		return status.Error(f.Code, "injected fault")
	}
	name, _, _ := strings.Cut(r.ReadStream, "/streams/")
	s.mu.Lock()
	o := s.sessions[name]
	s.mu.Unlock()
	if o == nil || r.Offset > int64(len(o.streams[r.ReadStream])) {
		return status.Errorf(codes.InvalidArgument, "stream %s from %d", r.ReadStream, r.Offset)
	}
	rows := o.streams[r.ReadStream][r.Offset:]
	for sent := 0; len(rows) > 0; {
		if always := s.always(); always != nil {
			return status.Error(always.Code, "injected fault")
		}
		n := min(len(rows), rowsOfMessage)
		if f != nil && f.Cut && n == len(rows) {
			return nil
		}
		batch, _, err := encode(o.table, rows[:n])
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if err := to.Send(&storagepb.ReadRowsResponse{RowCount: int64(n), Rows: &storagepb.ReadRowsResponse_ArrowRecordBatch{ArrowRecordBatch: &storagepb.ArrowRecordBatch{SerializedRecordBatch: batch}}}); err != nil {
			return err
		}
		rows = rows[n:]
		if sent += n; f != nil && f.Code != codes.OK && sent >= f.AfterRows {
			return status.Error(f.Code, "injected fault")
		}
	}
	return nil
}

// SplitReadStream is not used.
func (s *Server) SplitReadStream(context.Context, *storagepb.SplitReadStreamRequest) (*storagepb.SplitReadStreamResponse, error) {
	s.report.Errorf("bigquerytest: SplitReadStream is not known")
	return nil, status.Error(codes.Unimplemented, "not known")
}

// always is the fault of a server that is broken as a whole.
func (s *Server) always() *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults["*"] {
		if f.times < 0 {
			return &f.Fault
		}
	}
	return nil
}

// encode gives rows as one Arrow message, and the message of their schema.
func encode(t Table, rows [][]any) (batch, schema []byte, err error) {
	var fields []arrow.Field
	for _, f := range t.Fields {
		fields = append(fields, arrow.Field{Name: f.Name, Type: arrowType(f), Nullable: f.Mode != "REQUIRED"})
	}
	shape := arrow.NewSchema(fields, nil)
	var head, whole bytes.Buffer
	if err := ipc.NewWriter(&head, ipc.WithSchema(shape)).Close(); err != nil {
		return nil, nil, err
	}
	schema = head.Bytes()[:head.Len()-8] // without the mark of the end
	if rows == nil {
		return nil, schema, nil
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, shape)
	defer b.Release()
	for _, row := range rows {
		for i, f := range t.Fields {
			if err := appendCell(b.Field(i), f, row[i]); err != nil {
				return nil, nil, fmt.Errorf("column %s: %w", f.Name, err)
			}
		}
	}
	record := b.NewRecord()
	defer record.Release()
	w := ipc.NewWriter(&whole, ipc.WithSchema(shape), ipc.WithLZ4())
	if err := w.Write(record); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	return whole.Bytes()[len(schema) : whole.Len()-8], schema, nil
}

func arrowType(f *fieldSchema) arrow.DataType {
	if f.Mode == "REPEATED" {
		one := *f
		one.Mode = ""
		return arrow.ListOfField(arrow.Field{Name: "item", Type: arrowType(&one), Nullable: true})
	}
	switch f.Type {
	case "INTEGER":
		return arrow.PrimitiveTypes.Int64
	case "FLOAT":
		return arrow.PrimitiveTypes.Float64
	case "BOOLEAN":
		return arrow.FixedWidthTypes.Boolean
	case "BYTES":
		return arrow.BinaryTypes.Binary
	case "DATE":
		return arrow.FixedWidthTypes.Date32
	case "TIME":
		return arrow.FixedWidthTypes.Time64us
	case "DATETIME":
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case "TIMESTAMP":
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case "NUMERIC":
		return &arrow.Decimal128Type{Precision: 38, Scale: 9}
	case "BIGNUMERIC":
		return &arrow.Decimal256Type{Precision: 76, Scale: 38}
	case "INTERVAL":
		return arrow.FixedWidthTypes.MonthDayNanoInterval
	case "RANGE":
		bound := arrowType(&fieldSchema{Type: f.RangeElementType.Type})
		return arrow.StructOf(arrow.Field{Name: "start", Type: bound, Nullable: true}, arrow.Field{Name: "end", Type: bound, Nullable: true})
	case "RECORD":
		var fields []arrow.Field
		for _, sub := range f.Fields {
			fields = append(fields, arrow.Field{Name: sub.Name, Type: arrowType(sub), Nullable: true})
		}
		return arrow.StructOf(fields...)
	case "STRING", "GEOGRAPHY", "JSON":
		return arrow.BinaryTypes.String
	}
	panic("bigquerytest: no Arrow type for " + f.Type)
}

func appendCell(to array.Builder, f *fieldSchema, v any) error {
	if f.Mode == "REPEATED" {
		b := to.(*array.ListBuilder)
		b.Append(true)
		one := *f
		one.Mode = ""
		items, _ := v.([]any)
		for _, item := range items {
			if err := appendCell(b.ValueBuilder(), &one, item); err != nil {
				return err
			}
		}
		return nil
	}
	if v == nil {
		to.AppendNull()
		return nil
	}
	if b, ok := to.(*array.StructBuilder); ok {
		b.Append(true)
		for i, item := range v.([]any) {
			sub := &fieldSchema{Type: "RANGE"}
			if f.Type == "RANGE" {
				sub = &fieldSchema{Type: f.RangeElementType.Type}
			} else {
				sub = f.Fields[i]
			}
			if err := appendCell(b.FieldBuilder(i), sub, item); err != nil {
				return err
			}
		}
		return nil
	}
	text := v.(string)
	switch b := to.(type) {
	case *array.BinaryBuilder:
		raw, err := base64.StdEncoding.DecodeString(text)
		b.Append(raw)
		return err
	case *array.TimestampBuilder:
		at, err := moment(text)
		b.Append(arrow.Timestamp(at.UnixMicro()))
		return err
	case *array.Decimal128Builder:
		n, err := scaled(text, 9)
		b.Append(decimal128.FromBigInt(n))
		return err
	case *array.Decimal256Builder:
		n, err := scaled(text, 38)
		b.Append(decimal256.FromBigInt(n))
		return err
	case *array.MonthDayNanoIntervalBuilder:
		v, err := interval(text)
		b.Append(v)
		return err
	}
	return to.AppendValueFromString(text)
}

// scaled gives a decimal's digits; Arrow's own parser goes through floating point.
func scaled(text string, scale int) (*big.Int, error) {
	r, ok := new(big.Rat).SetString(text + "e" + fmt.Sprint(scale))
	if !ok || !r.IsInt() {
		return new(big.Int), fmt.Errorf("decimal %q", text)
	}
	return r.Num(), nil
}

// interval reads "1-2 3 4:5:6.5" as BigQuery's CAST does, signs included.
func interval(text string) (v arrow.MonthDayNanoInterval, err error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return v, fmt.Errorf("interval %q", text)
	}
	sign := func(w string) (string, int64) {
		if w[0] == '-' {
			return w[1:], -1
		}
		return w, 1
	}
	w, s := sign(words[0])
	var years, months, hours, minutes int64
	if _, err = fmt.Sscanf(w, "%d-%d", &years, &months); err != nil {
		return v, err
	}
	v.Months = int32(s * (12*years + months))
	if _, err = fmt.Sscanf(words[1], "%d", &v.Days); err != nil {
		return v, err
	}
	w, s = sign(words[2])
	at := strings.LastIndexByte(w, ':')
	if _, err := fmt.Sscanf(w[:at], "%d:%d", &hours, &minutes); err != nil {
		return v, err
	}
	var seconds float64
	_, err = fmt.Sscanf(w[at+1:], "%g", &seconds)
	v.Nanoseconds = s * (hours*int64(time.Hour) + minutes*int64(time.Minute) + int64(seconds*1e9+0.5))
	return v, err
}
