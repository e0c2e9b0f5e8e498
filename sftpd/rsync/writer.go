package rsync

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// frameSize is a frame with its head: two packets of SSH.
const frameSize = 64 << 10

// writer collects the server's bytes into frames. Two goroutines may use it: one writes data, any may send messages.
type writer struct {
	mu      sync.Mutex
	out     io.Writer
	mux     bool
	buf     []byte // room for the head of a frame, then its payload
	proto   int
	ndx     ndxState
	written atomic.Int64
	since   atomic.Int64 // when the write began that is under way, in Unix nanoseconds; 0 without
	pace    *pace
	err     error
}

func newWriter(out io.Writer) *writer {
	return &writer{out: out, buf: make([]byte, 4, frameSize), ndx: newNdxState()}
}

func (w *writer) send(p []byte) {
	for len(p) > 0 && w.err == nil {
		n, err := w.pace.next(len(p))
		if err == nil {
			w.since.Store(time.Now().UnixNano())
			n, err = w.out.Write(p[:n])
			w.since.Store(0)
			w.written.Add(int64(n))
		} else {
			n = 0
		}
		p, w.err = p[n:], err
	}
}

func (w *writer) flushLocked() {
	if len(w.buf) > 4 {
		if w.mux {
			binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)-4)|(frameBase+msgData)<<24)
			w.send(w.buf)
		} else {
			w.send(w.buf[4:])
		}
		w.buf = w.buf[:4]
	}
}

// flush sends what waits.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
	return w.err
}

// flushFree is flush for a reader that must not wait for a client which does not read: whoever is writing flushes later.
func (w *writer) flushFree() error {
	if !w.mu.TryLock() {
		return nil
	}
	defer w.mu.Unlock()
	w.flushLocked()
	return w.err
}

// start turns frames on, once the handshake is over.
func (w *writer) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
	w.mux = true
}

func (w *writer) bytes(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 && w.err == nil {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p)
		w.buf, p = w.buf[:len(w.buf)+n], p[n:]
		if len(w.buf) == cap(w.buf) {
			w.flushLocked()
		}
	}
}

// unframed sends bytes between two frames.
func (w *writer) unframed(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
	w.send(p)
}

func (w *writer) int(v int32) {
	var b [4]byte
	w.bytes(appendInt(b[:0], v))
}

// index writes the index of a file, or one of the ndx constants.
func (w *writer) index(ndx int32) {
	var b [8]byte
	if w.proto < 30 {
		w.bytes(appendInt(b[:0], ndx))
		return
	}
	w.bytes(w.ndx.append(b[:0], ndx))
}

// message sends a message behind the data that was written before it. An empty one of data keeps the connection alive.
func (w *writer) message(code byte, payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mux {
		return
	}
	w.flushLocked()
	w.send(frame(code, payload))
}

// frame puts the head of a frame before its payload.
func frame(code byte, payload []byte) []byte {
	head := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(payload)), uint32(len(payload))|uint32(frameBase+code)<<24)
	return append(head, payload...)
}

func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
