package columnar

import (
	"io"
	"sync"

	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// pooledZstd replaces Arrow v17's zstd codec, which makes a new encoder for every page: encoders are kept, and each works
// on one page at a time, as pages are compressed side by side anyway.
type pooledZstd struct {
	encoders sync.Pool
	decoder  *zstd.Decoder
}

// registerCodec puts the codec into Arrow's table, the only place that Arrow looks at.
var registerCodec = sync.OnceValue(func() error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return err
	}
	if _, err := newEncoder(); err != nil {
		return err
	}
	compress.RegisterCodec(compress.Codecs.Zstd, &pooledZstd{decoder: decoder, encoders: sync.Pool{New: func() any {
		e, _ := newEncoder() // the same options worked above
		return e
	}}})
	return nil
})

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
}

func (z *pooledZstd) Encode(dst, src []byte) []byte {
	e := z.encoders.Get().(*zstd.Encoder)
	defer z.encoders.Put(e)
	return e.EncodeAll(src, dst[:0])
}

func (z *pooledZstd) EncodeLevel(dst, src []byte, _ int) []byte { return z.Encode(dst, src) }

func (z *pooledZstd) CompressBound(n int64) int64 { return n + n>>8 + 64 }

// Decode panics on damaged input, as Arrow's own codecs do; readers of this package recover.
func (z *pooledZstd) Decode(dst, src []byte) []byte {
	out, err := z.decoder.DecodeAll(src, dst[:0])
	if err != nil {
		panic(err)
	}
	return out
}

func (z *pooledZstd) NewReader(r io.Reader) io.ReadCloser {
	d, err := zstd.NewReader(r)
	if err != nil {
		panic(err)
	}
	return d.IOReadCloser()
}

func (z *pooledZstd) NewWriter(w io.Writer) io.WriteCloser {
	e, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	return e
}

func (z *pooledZstd) NewWriterLevel(w io.Writer, _ int) (io.WriteCloser, error) {
	return z.NewWriter(w), nil
}
