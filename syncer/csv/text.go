package csv

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	surrogates "unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// encodingKind is how a file's bytes stand for text.
type encodingKind int

const (
	utf8Text encodingKind = iota // with or without a byte order mark; UTF-16 is recognised by its mark
	utf16LE
	utf16BE
	windows1252
	latin1
)

var encodingNames = map[string]encodingKind{
	"": utf8Text, "utf-8": utf8Text, "utf8": utf8Text, "utf-8-sig": utf8Text,
	"utf-16": utf16LE, "utf16": utf16LE, "utf-16le": utf16LE, "utf-16be": utf16BE,
	"windows-1252": windows1252, "cp1252": windows1252, "iso-8859-1": latin1, "latin1": latin1, "latin-1": latin1,
}

func parseEncoding(name string) (encodingKind, error) {
	k, ok := encodingNames[strings.ToLower(name)]
	if !ok {
		return 0, fmt.Errorf("csv: encoding %q: use utf-8, utf-16, utf-16le, utf-16be, windows-1252 or iso-8859-1", name)
	}
	return k, nil
}

// text opens the file as inflated UTF-8 without a byte order mark.
func (f file) text(kind encodingKind) (io.ReadCloser, error) {
	raw, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	f.read.Store(0)
	r, err := inflate(f.name, &counted{raw, f.read})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("csv: %s: %w", f.name, err), raw.Close())
	}
	return decode(f.name, r, kind)
}

// counted counts what is read of a file, for progress.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// stream is a reader with all that must be closed behind it.
type stream struct {
	io.Reader
	name  string
	close func() error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF && !errors.As(err, new(*readError)) {
		err = &readError{s.name, err}
	}
	return n, err
}

func (s *stream) Close() error { return s.close() }

// readError names the file once, however many readers lie on each other.
type readError struct {
	name string
	err  error
}

func (e *readError) Error() string { return "csv: " + e.name + ": " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// inflate goes by the first bytes, not by the name: a .gz that a transfer has inflated on its way is still text.
func inflate(name string, raw io.ReadCloser) (io.ReadCloser, error) {
	head := bufio.NewReaderSize(raw, 1<<16)
	magic, err := head.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		z, err := gzip.NewReader(head)
		if err != nil {
			return nil, err
		}
		return &stream{z, name, raw.Close}, nil // what z.Close tells, Read has told
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		z, err := zstd.NewReader(head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return &stream{z, name, func() error { z.Close(); return raw.Close() }}, nil
	}
	return &stream{head, name, raw.Close}, nil
}

func decode(name string, r io.ReadCloser, kind encodingKind) (io.ReadCloser, error) {
	head := bufio.NewReaderSize(r, 1<<16)
	mark, err := head.Peek(3)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, r.Close())
	}
	var to transform.Transformer
	switch {
	case bytes.HasPrefix(mark, []byte{0xef, 0xbb, 0xbf}):
		if _, err := head.Discard(3); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		return &stream{head, name, r.Close}, nil
	case bytes.HasPrefix(mark, []byte{0xff, 0xfe}), bytes.HasPrefix(mark, []byte{0xfe, 0xff}):
		to = &utf16{order: binary.LittleEndian}
		if mark[0] == 0xfe {
			to = &utf16{order: binary.BigEndian}
		}
		if _, err := head.Discard(2); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	case kind == utf16LE:
		to = &utf16{order: binary.LittleEndian}
	case kind == utf16BE:
		to = &utf16{order: binary.BigEndian}
	case kind == windows1252:
		to = charmap.Windows1252.NewDecoder()
	case kind == latin1:
		to = charmap.ISO8859_1.NewDecoder()
	default:
		return &stream{head, name, r.Close}, nil
	}
	return &stream{transform.NewReader(head, to), name, r.Close}, nil
}

// utf16 decodes UTF-16 and fails where the text is none, so that no character is silently replaced.
type utf16 struct {
	order binary.ByteOrder
	at    int64
}

// Reset begins anew.
func (d *utf16) Reset() { d.at = 0 }

// Transform decodes what is whole in src.
func (d *utf16) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	defer func() { d.at += int64(nSrc) }()
	for nSrc < len(src) {
		rest := src[nSrc:]
		size := 2
		var r rune
		if len(rest) >= 2 {
			r = rune(d.order.Uint16(rest))
		}
		if surrogates.IsSurrogate(r) {
			size = 4
			if len(rest) >= 4 {
				r = surrogates.DecodeRune(r, rune(d.order.Uint16(rest[2:])))
			}
		}
		switch {
		case len(rest) < size && !atEOF:
			return nDst, nSrc, transform.ErrShortSrc
		case len(rest) < size, size == 4 && r == utf8.RuneError:
			return nDst, nSrc, fmt.Errorf("byte %d: this is not UTF-16: is the encoding right?", d.at+int64(nSrc))
		case nDst+utf8.RuneLen(r) > len(dst):
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}
