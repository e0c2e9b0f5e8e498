//go:build unix

package rsync

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// deaf is a client that says what it has to say, takes so many bytes of the answers, and then neither reads nor speaks.
type deaf struct {
	said   []byte
	takes  int
	closed chan struct{}
	once   sync.Once
}

func (d *deaf) Read(p []byte) (int, error) {
	if len(d.said) == 0 {
		<-d.closed
		return 0, io.EOF
	}
	n := copy(p, d.said)
	d.said = d.said[n:]
	return n, nil
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.takes -= len(p); d.takes < 0 {
		return 0, errors.New("the connection is gone")
	}
	return len(p), nil
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// TestAPullOfALostClientEnds loses recorded clients at every place of the answers: nothing goes on that belonged to them.
func TestAPullOfALostClientEnds(t *testing.T) {
	d := recordedTree(t)
	before := runtime.NumGoroutine()
	for _, c := range captures(t) {
		if _, known := recordedLists[c.name]; !known {
			continue
		}
		for takes := 100; takes < len(c.s2c); takes += 20 + takes/2 {
			srv := &Server{Source: d, Handshake: 100 * time.Millisecond, Idle: 100 * time.Millisecond}
			srv.Serve(t.Context(), strings.Join(c.args, " "), &deaf{said: c.c2s, takes: takes, closed: make(chan struct{})}, io.Discard)
		}
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// faulty is a source in which each file fails in some way at its first use, and is all right at the second.
type faulty struct {
	Dir
	used sync.Map
	uses atomic.Int32
}

func (f *faulty) Open(name string) (File, int64, error) {
	f.uses.Add(1)
	if _, again := f.used.LoadOrStore(name, true); again {
		return f.Dir.Open(name)
	}
	switch {
	case len(name) == 2: // f0 to f9
		panic("a fault of the source")
	case strings.HasPrefix(name, "f1"):
		return nil, 0, errors.New("too many open files")
	}
	return f.Dir.Open(name)
}

// TestFilesThatCannotBeReadAheadCome has small files that fail before their turn: they are opened again in their turn, and come
// whole, in between others that were read ahead, grew, or are too long to be.
func TestFilesThatCannotBeReadAheadCome(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for i := range 100 {
		write(t, filepath.Join(src, fmt.Sprintf("f%d", i)), noise(uint64(i), i*i*13), 0o644, time.Unix(1e9, 0))
	}
	root, err := os.OpenRoot(src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	source := &faulty{Dir: Dir{root}}
	rsh := serverShell(t, &Server{Source: source})
	if _, stderr, code := client(t, dst, rsh, "-a", "h:./", "."); code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for i := range 100 {
		got, err := os.ReadFile(filepath.Join(dst, fmt.Sprintf("f%d", i)))
		if err != nil || string(got) != string(noise(uint64(i), i*i*13)) {
			t.Errorf("f%d came as %d bytes: %v", i, len(got), err)
		}
	}
	if n := source.uses.Load(); n != 100+10+10 {
		t.Errorf("files were opened %d times, want 100 and once more for each failure", n)
	}
}
