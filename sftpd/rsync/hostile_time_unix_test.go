//go:build unix

package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// line is a connection of two pipes, either of which a client may leave alone.
type line struct {
	*io.PipeReader
	*io.PipeWriter
}

func (l line) Close() error {
	l.PipeReader.Close()
	return l.PipeWriter.Close()
}

// timed runs a client in a time of its own, and gives what became of it. The server may leave no goroutine behind.
func timed(t *testing.T, srv *Server, command string, client func(out io.WriteCloser, in io.ReadCloser)) (code int, stderr string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { code, stderr, took = untimed(t, srv, command, client) })
	return code, stderr, took
}

// untimed is timed in the time of us all, for where one waits for another's lock: there, a bubble's time stands still.
func untimed(t *testing.T, srv *Server, command string, client func(out io.WriteCloser, in io.ReadCloser)) (code int, stderr string, took time.Duration) {
	t.Helper()
	c2s, out := io.Pipe()
	in, s2c := io.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); client(out, in) }()
	var errs strings.Builder
	start := time.Now()
	code = srv.Serve(t.Context(), command, line{c2s, s2c}, &errs)
	took, stderr = time.Since(start), errs.String()
	c2s.Close()
	s2c.Close()
	in.Close()
	<-done
	return code, stderr, took
}

// slowly sends a byte every ten seconds, until nobody takes it.
func slowly(out io.Writer, b []byte) {
	for i := range b {
		if _, err := out.Write(b[i : i+1]); err != nil {
			return
		}
		time.Sleep(10 * time.Second)
	}
}

// heard reads what comes, and says at the end what messages were in it.
func heard(in io.Reader, into *string) {
	b, _ := io.ReadAll(in)
	*into = messages(b, 31)
}

func TestSlowClientsAreLetGoInTheHandshake(t *testing.T) {
	for _, c := range []struct {
		name, command string
		fast, slow    []byte
	}{
		{"that say nothing", pullCommand, nil, nil},
		{"in the version", pullCommand, nil, []byte{31, 0, 0, 0}},
		{"in the names of checksums", "rsync --server --sender -re.vC . src/", []byte{31, 0, 0, 0}, []byte("\x20md5 md5 md5")},
		{"in the arguments", "rsync --server -s", nil, []byte("rsync\x00--sender\x00")},
		{"in the filter of a pull", pullCommand, []byte{31, 0, 0, 0}, say(31).rule("- a rule that takes its time").pieces[0][4:]},
		{"in the filter of a push", deletingPush, []byte{31, 0, 0, 0}, say(31).rule("- a rule that takes its time").pieces[0][4:]},
		{"in empty frames", pullCommand, []byte{31, 0, 0, 0}, []byte(strings.Repeat("\x00\x00\x00\x07", 100))},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _, _ := jail(t)
			var told string
			code, stderr, took := timed(t, &Server{Source: smallTree(), Sink: d}, c.command, func(out io.WriteCloser, in io.ReadCloser) {
				go heard(in, &told)
				_, _ = out.Write(c.fast)
				slowly(out, c.slow)
			})
			if code != ExitTimeout || took < 30*time.Second || took > 32*time.Second || !strings.Contains(stderr+told, "did not say within 30s what it wants") {
				t.Errorf("code %d after %v: %q %q", code, took, stderr, told)
			}
		})
	}
}

// Later, a client that sends a byte now and then cannot be told from one whose line is slow or that has nothing to say, as long
// as the connection stands; it costs no more for it. One that says nothing any more is let go.
func TestSlowClientsGrowNothingLater(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		fast    *said
		slow    []byte
	}{
		"in the list":       {pushCommand, say(31), say(31).entry(strings.Repeat("a", 250), modeFile|0o644, 5).pieces[0][4:]},
		"in their requests": {pullCommand, pulling(31), say(31).item(2, itemTransfer).ints(100, 700, 16, 0).data(make([]byte, 300)).pieces[0][4:]},
		"in empty frames":   {pullCommand, pulling(31), []byte(strings.Repeat("\x00\x00\x00\x07", 60))},
	} {
		t.Run(name, func(t *testing.T) {
			d, _, _ := jail(t)
			var told string
			before, most := heap(), uint64(0)
			code, _, took := timed(t, &Server{Source: smallTree(), Sink: d, Idle: time.Minute}, c.command, func(out io.WriteCloser, in io.ReadCloser) {
				go heard(in, &told)
				_, _ = out.Write(c.fast.pieces[0])
				slowly(out, c.slow)
				most = heap()
			})
			want := time.Duration(len(c.slow)+5) * 10 * time.Second
			if code != ExitTimeout || took < want || took > want+2*time.Second || !strings.Contains(told, "nothing came from the client for 1m0s") {
				t.Errorf("code %d after %v, not %v: %q", code, took, want, told)
			}
			if most > before+1<<20 {
				t.Errorf("it held %d KiB more", (most-before)>>10)
			}
		})
	}
}

func largeTree() memory {
	return memory{fstest.MapFS{"src/large": {Data: noise(6, 8<<20)}}}
}

// A client that does not read holds up whoever writes to it: that ends too, as do those that wait for the writer.
func TestClientsThatDoNotReadAreLetGo(t *testing.T) {
	ask := pulling(31).item(1, itemTransfer|itemNew).ints(0, 0, 0, 0)
	for _, c := range []struct {
		name, command string
		say           *said
		read          int64 // bytes that are read
		closes        bool  // the client's way to the server
		idle          time.Duration
		code          int
		most          time.Duration
	}{
		{"not even the version", pullCommand, say(31), 0, false, time.Hour, ExitTimeout, 32 * time.Second},
		{"nor a list", pullCommand, ask, 9, false, time.Minute, ExitTimeout, 2 * time.Minute},
		{"nor a file", pullCommand, ask, 1 << 20, false, time.Minute, ExitTimeout, 2 * time.Minute},
		{"and goes, in the list", pullCommand, pulling(31), 9, true, time.Minute, ExitTimeout, 2 * time.Minute},
		{"with a timeout of its own", "rsync --server --sender -ltpre.LsfxC --timeout=10 . src/", ask, 1 << 20, false, 0, ExitTimeout, time.Minute},
		{"why it was refused", "rsync --server --nosuch .", say(31), 9, false, time.Hour, ExitSyntax, 6 * time.Second},
		{"what it did wrong", pullCommand, say(31).ints(-1), 9, false, time.Hour, ExitProtocol, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _, _ := jail(t)
			code, _, took := timed(t, &Server{Source: largeTree(), Sink: d, Idle: c.idle}, c.command, func(out io.WriteCloser, in io.ReadCloser) {
				go func() { _, _ = io.CopyN(io.Discard, in, c.read) }()
				for i, p := range c.say.pieces {
					if i > 0 {
						synctest.Wait()
					}
					if _, err := out.Write(p); err != nil {
						return
					}
				}
				if c.closes {
					out.Close()
					return
				}
				for { // what it still sends does not keep it
					if _, err := out.Write(frame(msgData, nil)); err != nil {
						return
					}
					time.Sleep(5 * time.Second)
				}
			})
			if code != c.code || took > c.most {
				t.Errorf("code %d, want %d, after %v of %v", code, c.code, took, c.most)
			}
		})
	}
}

// The two halves of a receiver wait for each other's lock when a client does not read what it is asked.
func TestClientsThatDoNotReadWhatIsAskedOfThemAreLetGo(t *testing.T) {
	for name, what := range map[string]string{"and are silent": "", "and speak nonsense": "nonsense", "and go": "goes", "and keep sending": "empty frames"} {
		t.Run(name, func(t *testing.T) {
			d, _, _ := jail(t)
			before := runtime.NumGoroutine()
			code, _, took := untimed(t, &Server{Sink: d, Idle: time.Second}, pushCommand, func(out io.WriteCloser, in io.ReadCloser) {
				go func() { _, _ = io.CopyN(io.Discard, in, 9) }()
				s := manyEntries(1000)
				if what == "nonsense" {
					s.item(5000, 0)
				}
				if _, err := out.Write(s.pieces[0]); err != nil || what == "goes" {
					out.Close()
					return
				}
				for what == "empty frames" {
					if _, err := out.Write(frame(msgData, nil)); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			if code == ExitOK || took > 2*drainLimit+5*time.Second {
				t.Errorf("code %d after %v", code, took)
			}
			for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d goroutines are left", runtime.NumGoroutine()-before)
				}
			}
		})
	}
}

func TestASessionEndsWithItsContext(t *testing.T) {
	for _, command := range []string{pullCommand, pushCommand} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c2s, out := io.Pipe()
			in, s2c := io.Pipe()
			go func() { _, _ = io.Copy(io.Discard, in) }()
			go func() {
				_, _ = out.Write(say(31).pieces[0])
				time.Sleep(time.Second)
				cancel()
			}()
			start := time.Now()
			srv := &Server{Source: smallTree()}
			if code := srv.Serve(ctx, command, line{c2s, s2c}, io.Discard); code == ExitOK || time.Since(start) > 10*time.Second {
				t.Errorf("code %d after %v", code, time.Since(start))
			}
			s2c.Close()
		})
	}
}

// vast is a source without an end: a folder of ten thousand of a kind, files of a TiB. After some uses its session is over.
type vast struct {
	memory
	kind   fs.FileMode
	uses   *int
	cancel func()
}

func (v vast) use() {
	if *v.uses++; *v.uses == 300 {
		v.cancel()
	}
}

func (v vast) Lstat(string) (fs.FileInfo, error) { v.use(); return v.memory.Lstat("src") }
func (v vast) Readlink(string) (string, error)   { v.use(); return "nowhere", nil }
func (v vast) Open(string) (File, int64, error)  { return v, 1 << 40, nil }
func (v vast) Close() error                      { return nil }
func (v vast) ReadAt(p []byte, _ int64) (int, error) {
	v.use()
	return len(p), nil
}
func (v vast) ReadDir(string) ([]fs.FileInfo, error) {
	all := fstest.MapFS{}
	for i := range 10_000 {
		all[fmt.Sprintf("%05d", i)] = &fstest.MapFile{Mode: v.kind}
	}
	return memory{all}.ReadDir(".")
}

// What is looked through for a client that left is left too, in the middle of a folder, of a file, of a pattern.
func TestASessionThatEndsLooksThroughNothingMore(t *testing.T) {
	for name, look := range map[string]func(s *session) error{
		"a folder": func(s *session) error { _, err := s.sendList(); return err },
		"a file":   func(s *session) error { _, err := s.digest(&entry{name: "f"}); return err },
		"a pattern": func(s *session) error {
			_, err := expand(s.ctx, s.Source, "*/x", &s.looks)
			return err
		},
	} {
		words, err := split("--server --sender -rle.LsfxCIvu . ./")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		uses := 0
		s := testSession(parse(words), 31, nil, true)
		s.ctx, s.MaxFiles, s.filter = ctx, 1<<20, &filter{proto: s.proto}
		s.Source = vast{smallTree(), map[bool]fs.FileMode{true: fs.ModeSymlink, false: fs.ModeDir}[name == "a folder"], &uses, cancel}
		if err := look(s); !errors.Is(err, context.Canceled) || uses < 300 || uses > 300+256 {
			t.Errorf("%s: %d uses, 300 till the end; error %v", name, uses, err)
		}
	}
}
