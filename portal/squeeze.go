package portal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"html/template"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzhttp"
)

// packed is the part of a page that is the same for many, as text and as a piece of a deflate stream (RFC 1951). The piece ends
// on a whole byte and refers to nothing before it, so that it can stand in any stream: each answer packs only what is around it.
type packed struct {
	text     template.HTML
	deflated []byte
}

const packLevel = 6

var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, packLevel)
	if err != nil { // the level is one of the library's
		panic(err)
	}
	return w
}}

// deflate appends a piece of a stream, the last one or one that others follow.
func deflate(to *bytes.Buffer, text []byte, last bool) error {
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(to)
	if _, err := w.Write(text); err != nil {
		return err
	}
	if last {
		return w.Close()
	}
	return w.Flush()
}

func pack(text template.HTML) (*packed, error) {
	var b bytes.Buffer
	if err := deflate(&b, []byte(text), false); err != nil {
		return nil, err
	}
	return &packed{text, b.Bytes()}, nil
}

// takesGzip tells whether a client can read it (RFC 9110, 12.5.3).
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, ok := strings.CutPrefix(strings.ReplaceAll(q, " ", ""), "q=")
			n, err := strconv.ParseFloat(weight, 64)
			return !ok || err == nil && n > 0
		}
	}
	return false
}

// maxJitter is by how many bytes the length of an answer varies, so that it does not tell what is in it.
const maxJitter = 32

// sendPacked writes head, middle and tail as one answer in gzip (RFC 1952).
func sendPacked(w http.ResponseWriter, status int, head []byte, middle *packed, tail []byte) error {
	var b bytes.Buffer
	b.Grow(len(middle.deflated) + len(head) + len(tail))
	b.Write([]byte{0x1f, 0x8b, 8, 1 << 4, 0, 0, 0, 0, 0, 255}) // with a comment, made by no certain system
	for range rand.IntN(maxJitter) {
		b.WriteByte('.')
	}
	b.WriteByte(0)
	if err := deflate(&b, head, false); err != nil {
		return err
	}
	b.Write(middle.deflated)
	if err := deflate(&b, tail, true); err != nil {
		return err
	}
	sum := crc32.Update(0, crc32.IEEETable, head)
	sum = crc32.Update(sum, crc32.IEEETable, []byte(middle.text))
	sum = crc32.Update(sum, crc32.IEEETable, tail)
	end := binary.LittleEndian.AppendUint32(nil, sum)
	b.Write(binary.LittleEndian.AppendUint32(end, uint32(len(head)+len(middle.text)+len(tail))))
	h := w.Header()
	h.Set(gzhttp.HeaderNoCompression, "1") // it is done
	h.Set("Content-Encoding", "gzip")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
