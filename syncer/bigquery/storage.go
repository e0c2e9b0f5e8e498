package bigquery

import (
	"context"
	"errors"
	"fmt"
	"io"

	"aida/syncer/columnar"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	bq "google.golang.org/api/bigquery/v2"
)

// readStreams is how many streams of a session are read side by side.
const readStreams = 4

// session is a snapshot of a table's rows, dealt to streams.
type session struct {
	client *client
	pb     *storagepb.ReadSession
}

// newSession opens a session. It costs nothing until rows are read. A *refusal tells that the API may not be used.
func (c *client) newSession(ctx context.Context, r reference, fields []*bq.TableFieldSchema, condition string) (*session, error) {
	options := &storagepb.ReadSession_TableReadOptions{RowRestriction: condition,
		OutputFormatSerializationOptions: &storagepb.ReadSession_TableReadOptions_ArrowSerializationOptions{
			ArrowSerializationOptions: &storagepb.ArrowSerializationOptions{BufferCompression: storagepb.ArrowSerializationOptions_LZ4_FRAME}}}
	for _, f := range fields {
		options.SelectedFields = append(options.SelectedFields, f.Name)
	}
	var pb *storagepb.ReadSession
	err := c.repeat(ctx, func() (err error) {
		pb, err = c.storage.CreateReadSession(ctx, &storagepb.CreateReadSessionRequest{Parent: "projects/" + c.o.Project, MaxStreamCount: readStreams,
			ReadSession: &storagepb.ReadSession{Table: r.path(), DataFormat: storagepb.DataFormat_ARROW, ReadOptions: options, TraceId: "aida"}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("BigQuery table %s: read session: %w", r, refused(err))
	}
	if len(pb.GetArrowSchema().GetSerializedSchema()) == 0 {
		return nil, fmt.Errorf("BigQuery table %s: the read session has no Arrow schema", r)
	}
	return &session{c, pb}, nil
}

// bytes is an estimate of what the session reads.
func (s *session) bytes() int64 { return s.pb.EstimatedTotalBytesScanned }

// streams begins the read. The first message of the first stream is waited for, so that a refusal is known before any row
// was taken.
func (s *session) streams(ctx context.Context) ([]columnar.RecordStream, error) {
	var out []columnar.RecordStream
	for i, pb := range s.pb.Streams {
		st := &stream{client: s.client, name: pb.Name, schema: s.pb.GetArrowSchema().GetSerializedSchema()}
		if i == 0 {
			first, err := st.receive(ctx)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, refused(err)
			}
			st.ahead, st.ended = first, first == nil
		}
		out = append(out, st)
	}
	return out, nil
}

// stream reads one stream of a session. A connection that breaks is made anew behind the last row that arrived whole.
type stream struct {
	client *client
	name   string
	schema []byte

	rpc    storagepb.BigQueryRead_ReadRowsClient
	offset int64 // rows received
	failed int   // tries since the last message
	read   int64 // bytes received

	ahead  *storagepb.ReadRowsResponse
	ended  bool
	reader *ipc.Reader
	rest   []byte // of the message that the reader is taking in
}

// Consumed is the bytes received.
func (s *stream) Consumed() int64 { return s.read }

// Next gives the next record.
func (s *stream) Next(ctx context.Context) (record arrow.Record, err error) {
	defer func() { // Arrow panics on damaged data
		if p := recover(); p != nil {
			record, err = nil, fmt.Errorf("BigQuery sent a damaged Arrow message: %v", p)
		}
	}()
	m := s.ahead
	s.ahead = nil
	for m == nil || m.RowCount == 0 {
		if s.ended {
			return nil, io.EOF
		}
		if m, err = s.receive(ctx); err != nil {
			return nil, err
		}
	}
	if s.reader == nil {
		s.rest = s.schema
		if s.reader, err = ipc.NewReader(s, ipc.WithDelayReadSchema(false)); err != nil {
			return nil, fmt.Errorf("BigQuery sent an Arrow schema that cannot be read: %w", err)
		}
	}
	s.rest = m.GetArrowRecordBatch().GetSerializedRecordBatch()
	s.read += int64(len(s.rest))
	if record, err = s.reader.Read(); err != nil {
		return nil, fmt.Errorf("BigQuery sent an Arrow message that cannot be read: %w", noEOF(err))
	}
	if record.NumRows() != m.RowCount || len(s.rest) > 0 {
		return nil, fmt.Errorf("BigQuery sent an Arrow message of %d rows that says it has %d", record.NumRows(), m.RowCount)
	}
	record.Retain()
	return record, nil
}

// Read gives the Arrow reader its bytes: one message, then no more until Next has received another.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// receive gets the next message; io.EOF when the stream is at its end.
func (s *stream) receive(ctx context.Context) (*storagepb.ReadRowsResponse, error) {
	for {
		var m *storagepb.ReadRowsResponse
		var err error
		if s.rpc == nil {
			s.rpc, err = s.client.storage.ReadRows(ctx, &storagepb.ReadRowsRequest{ReadStream: s.name, Offset: s.offset})
		}
		if err == nil {
			m, err = s.rpc.Recv()
		}
		switch {
		case err == nil:
			s.failed = 0
			s.offset += m.RowCount
			return m, nil
		case errors.Is(err, io.EOF):
			s.ended = true
			return nil, io.EOF
		}
		s.rpc = nil
		if s.failed++; s.failed >= attempts || !passing(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("read after %d rows of a stream: %w", s.offset, err)
		}
		if err := s.client.pause(ctx, s.failed, err); err != nil {
			return nil, err
		}
	}
}
