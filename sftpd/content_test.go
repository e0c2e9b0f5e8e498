package sftpd_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
)

// raw is an SFTP session spoken by hand, for what no client library sends.
type raw struct {
	t   *testing.T
	in  io.Writer
	out io.Reader
	id  uint32
}

func (h *house) raw() *raw {
	h.t.Helper()
	s, err := h.dial().NewSession()
	ok(h.t, err)
	h.t.Cleanup(func() { s.Close() })
	in, err := s.StdinPipe()
	ok(h.t, err)
	out, err := s.StdoutPipe()
	ok(h.t, err)
	ok(h.t, s.RequestSubsystem("sftp"))
	r := &raw{t: h.t, in: in, out: out}
	r.send(1, binary.BigEndian.AppendUint32(nil, 3))
	if kind, _ := r.receive(); kind != 2 {
		h.t.Fatalf("the greeting is a packet of type %d", kind)
	}
	return r
}

func (r *raw) send(kind byte, body []byte) {
	r.t.Helper()
	packet := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1)), kind)
	if _, err := r.in.Write(append(packet, body...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) receive() (kind byte, body []byte) {
	r.t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(r.out, head); err != nil {
		r.t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head)-1)
	if _, err := io.ReadFull(r.out, body); err != nil {
		r.t.Fatal(err)
	}
	return head[4], body
}

// ask sends a request made of strings, numbers and raw bytes, and gives the reply without its id.
func (r *raw) ask(kind byte, fields ...any) (byte, []byte) {
	r.t.Helper()
	r.ahead(kind, fields...)
	got, reply := r.receive()
	if id := binary.BigEndian.Uint32(reply); id != r.id {
		r.t.Fatalf("the reply is to request %d, not %d", id, r.id)
	}
	return got, reply[4:]
}

// ahead sends a request without waiting for its answer.
func (r *raw) ahead(kind byte, fields ...any) (id uint32) {
	r.t.Helper()
	r.id++
	body := binary.BigEndian.AppendUint32(nil, r.id)
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(f))), f...)
		case int:
			body = binary.BigEndian.AppendUint32(body, uint32(f))
		case uint64:
			body = binary.BigEndian.AppendUint64(body, f)
		case []byte:
			body = append(body, f...)
		}
	}
	r.send(kind, body)
	return r.id
}

// status asks and wants a status of this code.
func (r *raw) status(want uint32, kind byte, fields ...any) {
	r.t.Helper()
	got, body := r.ask(kind, fields...)
	if got != 101 || binary.BigEndian.Uint32(body) != want {
		r.t.Errorf("request of type %d %q: reply of type %d %q, want status %d", kind, fields, got, body, want)
	}
}

// open opens a file with the flags of the wire and gives its handle.
func (r *raw) open(path string, flags int) string {
	r.t.Helper()
	kind, body := r.ask(3, path, flags, 0)
	if kind != 102 {
		r.t.Fatalf("open %s with flags %#x: type %d, %q", path, flags, kind, body)
	}
	return string(body[4:])
}

const (
	wireRead, wireWrite, wireAppend, wireCreate, wireTruncate, wireExclusive = 1, 2, 4, 8, 16, 32

	isOK, noSuchFile, denied, failed, badMessage, unsupported = 0, 2, 3, 4, 5, 8
)

func TestFilesOfASession(t *testing.T) {
	r := newHouse(t, nil).raw()
	t.Run("a file reads to its end, and no further", func(t *testing.T) {
		f := r.open("/user/short", wireRead|wireWrite|wireCreate)
		r.status(isOK, 6, f, uint64(0), "short")
		for _, c := range []struct {
			at   uint64
			n    int
			want string
		}{{0, 5, "short"}, {0, 4, "shor"}, {2, 1 << 30, "ort"}, {0, -1, "short"}, {4, 0, ""}} {
			if kind, body := r.ask(5, f, c.at, c.n); kind != 103 || string(body[4:]) != c.want || int(binary.BigEndian.Uint32(body)) != len(c.want) {
				t.Errorf("%d bytes at %d: type %d, %q", c.n, c.at, kind, body)
			}
		}
		r.status(1, 5, f, uint64(5), 10) // the end
		r.status(1, 5, f, uint64(1<<62), 10)
		r.status(badMessage, 5, f, uint64(1<<63), 10)
		r.status(isOK, 4, f)
		f = r.open("/user/short", wireWrite)
		r.status(failed, 5, f, uint64(0), 10)
		r.status(isOK, 4, f)
		f = r.open("/user/short", wireRead)
		r.status(failed, 6, f, uint64(0), "x")
		r.status(isOK, 4, f)
		r.status(failed, 3, "/user/short", 0, 0) // neither for reading nor for writing
	})
	t.Run("requests that nobody waits for are done in their order", func(t *testing.T) {
		var want []uint32
		ask := func(kind byte, fields ...any) { want = append(want, r.ahead(kind, fields...)) }
		for i := range 50 {
			dir := fmt.Sprintf("/user/ahead%d", i)
			ask(14, dir, 0)                                               // make a folder
			ask(3, dir+"/f", wireWrite|wireCreate, 0)                     // a file in it
			ask(18, dir, dir+"-moved")                                    // rename the folder
			ask(3, dir+"-moved/f", wireRead, 0)                           // read the file
			ask(17, dir+"-moved/f")                                       // describe it
			ask(13, dir+"-moved/f")                                       // remove it
			ask(3, dir+"-moved/f", wireWrite|wireCreate|wireExclusive, 0) // make it anew
			ask(16, dir)                                                  // a path
		}
		for i, id := range want {
			kind, body := r.receive()
			if got := binary.BigEndian.Uint32(body); got != id {
				t.Fatalf("answer %d is to request %d, not %d", i, got, id)
			}
			if kind == 101 && binary.BigEndian.Uint32(body[4:]) != isOK {
				t.Fatalf("request %d: %q", id, body)
			}
		}
	})
}
