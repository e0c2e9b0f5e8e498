//go:build unix

package rsync

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// capture is a recorded session of a client that may not be installed here: 2.6.9, 3.1.3, 3.2.7, 3.4.1, 3.5.0, openrsync.
type capture struct {
	name     string
	args     []string
	c2s, s2c []byte
	patient  bool // its bytes come bit by bit
}

func captures(t testing.TB) (out []capture) {
	t.Helper()
	list, err := filepath.Glob("testdata/captures/*.argv")
	if err != nil || len(list) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, f := range list {
		base := strings.TrimSuffix(f, ".argv")
		c := capture{name: filepath.Base(base)}
		var argv struct{ Raw []string }
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(text, &argv) != nil {
			continue // a client that was asked for its version
		}
		c.args = argv.Raw
		if c.c2s, err = os.ReadFile(base + ".c2s"); err != nil {
			t.Fatal(err)
		}
		if c.s2c, err = os.ReadFile(base + ".s2c"); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// recorded plays one side of a session.
type recorded struct {
	io.Reader
	bytes.Buffer
}

func (r *recorded) Read(p []byte) (int, error)  { return r.Reader.Read(p) }
func (r *recorded) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r *recorded) Close() error                { return nil }

// answers is what a server said in a pull, as a client reads it.
type answers struct {
	list     []*entry
	files    map[string][]byte // content of those that came as literal bytes only
	messages []string
	dones    int
	stats    []int64
}

// decodeAnswers reads the whole of a server's side.
func decodeAnswers(t testing.TB, c capture, s2c []byte) (a answers, err error) {
	var words []word
	for _, w := range c.args[1:] {
		words = append(words, word{text: w, pattern: w})
	}
	s := &session{Server: &Server{}, o: parse(words), log: slog.New(slog.DiscardHandler)}
	s.r = newReader(bytes.NewReader(s2c))
	client := newReader(bytes.NewReader(c.c2s))
	if s.o.secluded {
		_, _ = readSecluded(client)
	}
	s.proto = int(min(s.r.int(), client.int()))
	s.r.proto = s.proto
	if s.proto >= 30 {
		s.compat = s.r.varint()
	}
	both := s.compat&compatVarint != 0
	theirs, codecs := "", ""
	if both && s.o.checksumChoice == "" {
		offered := s.r.vstring(255)
		theirs = choose(client.vstring(255), offered)
	}
	if both && s.o.compress && s.o.compressChoice == "" {
		offered := s.r.vstring(255)
		codecs = choose(client.vstring(255), offered)
	}
	s.seed = s.r.int()
	switch {
	case s.o.checksumChoice != "":
		theirs = s.o.checksumChoice
		fallthrough
	case theirs != "":
		s.sum, s.listSum = s.named(theirs), s.named(theirs)
	case s.proto >= 30:
		s.sum, s.listSum = md5Old, md5Old
	default:
		s.sum, s.listSum = md4Old, findAlgorithm("md4")
	}
	if codecs == "" {
		codecs = s.o.compressChoice
	}
	if codecs == "" && s.o.compress {
		codecs = "zlib"
	}
	if err := s.setCodec(codecs); err != nil {
		return a, err
	}
	s.r.mux = true
	s.r.message = func(code byte, p []byte) error { a.messages = append(a.messages, string(p)); return nil }
	if s.compat&1 != 0 {
		return a, errIncremental
	}
	a.files = map[string][]byte{}
	if _, a.list, err = s.readList(); err != nil {
		return a, err
	}
	last := 3
	if s.proto < 29 {
		last = 2
	}
	tokens := newTokenReader(s)
	defer tokens.close()
	for a.dones < last && len(a.list) > 0 {
		ndx := s.r.index()
		if s.r.err != nil {
			return a, s.r.err
		}
		if ndx == ndxDone {
			a.dones++
			continue
		}
		if ndx < 0 || int(ndx) >= len(a.list) {
			return a, protocolError("index")
		}
		it := s.readItem(ndx)
		if it.flags&itemXattr != 0 && s.o.xattrs {
			s.r.byte()
		}
		if it.flags&itemTransfer == 0 || s.o.dryRun {
			continue
		}
		head := s.readHead()
		tokens.reset()
		h, content, whole := s.sum.newHash(s.seed), []byte{}, true
		for {
			p, block, err := tokens.next()
			if err != nil {
				return a, err
			}
			if p == nil && block < 0 {
				break
			}
			if block >= 0 {
				whole = false
				tokens.see(make([]byte, head.length(block)))
			}
			content = append(content, p...)
		}
		h.Write(content)
		digest := make([]byte, s.sum.size)
		s.r.full(digest)
		if whole && head.count == 0 && !bytes.Equal(h.Sum(nil), digest) {
			t.Errorf("%s: %s came with another digest", c.name, a.list[ndx].name)
		}
		if whole {
			a.files[a.list[ndx].name] = content
		}
	}
	for range 3 {
		a.stats = append(a.stats, s.r.varlong30(3))
	}
	return a, nil
}

var errIncremental = protocolError("an incremental list, which is not read here")

// recordedLists are the lists that the recorded servers sent in one piece, and how many of their files came whole.
var recordedLists = map[string]string{
	"app": ". f +1", "dz-lz4": ". f.bin +0", "dz-none": ". f.bin +0", "dz-zlib": ". f.bin +0", "dz-zlibx": ". f.bin +0", "dz-zstd": ". f.bin +0", "emp": "empty +1",
	"ff": "a.txt +1", "ff30": "a.txt +1", "h31": ". a.txt hard.txt sub sub/b.txt +2", "l0": ". a.txt sub sub/b.txt +2", "nc1": ". a.txt sub sub/b.txt +0",
	"noir1": ". a.txt sub sub/b.txt +2", "p27d": ". f.bin +0", "p27m": ". a.txt sub sub/b.txt +2", "p28": ". a.txt hard.txt sub sub/b.txt +2", "p29m": ". a.txt sub sub/b.txt +2",
	"p31a": ". a.txt sub sub/b.txt +2", "p31az": ". a.txt sub sub/b.txt +2", "po-6ff1694": ". a.txt sub sub/b.txt +2", "qd": ". a.txt sub +0", "qq": "src +0",
}

func summary(a answers) string {
	var b strings.Builder
	for _, e := range a.list {
		b.WriteString(e.name + " ")
	}
	fmt.Fprintf(&b, "+%d", len(a.files))
	return b.String()
}

func TestRecordedServersAreUnderstood(t *testing.T) {
	seen := 0
	for _, c := range captures(t) {
		want, ok := recordedLists[c.name]
		if !ok {
			continue
		}
		seen++
		a, err := decodeAnswers(t, c, c.s2c)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := summary(a); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
	if seen != len(recordedLists) {
		t.Errorf("%d captures of %d were found", seen, len(recordedLists))
	}
}

// recordedTree has the files that the recorded clients asked for.
func recordedTree(t testing.TB) Dir {
	t.Helper()
	dir := t.TempDir()
	at := time.Unix(0x65937d25, 0)
	write(t, filepath.Join(dir, "src", "a.txt"), []byte("hello world\n"), 0o644, at)
	write(t, filepath.Join(dir, "src", "sub", "b.txt"), []byte("second file, some text\n"), 0o644, at.Add(1500*time.Millisecond))
	write(t, filepath.Join(dir, "s3", "f.bin"), noise(5, 300_009), 0o644, at)
	write(t, filepath.Join(dir, "sa", "f"), bytes.Repeat([]byte("z"), 4000), 0o644, at)
	write(t, filepath.Join(dir, "sa", "empty"), nil, 0o644, at)
	for _, d := range []string{"dst", "dq"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Dir{root}
}

func replay(t testing.TB, d Dir, c capture) (code int, s2c []byte, stderr string) {
	t.Helper()
	conn := &recorded{Reader: bytes.NewReader(c.c2s)}
	if c.patient {
		conn.Reader = &patient{data: c.c2s}
	}
	var errs strings.Builder
	srv := &Server{Source: d, Sink: d}
	if len(c.s2c) >= 8 && c.c2s[0] < 30 {
		srv.seed = func() int32 { return int32(binary.LittleEndian.Uint32(c.s2c[4:])) } // it is in the digests of old clients
	}
	code = srv.Serve(t.Context(), strings.Join(c.args, " "), conn, &errs)
	return code, conn.Buffer.Bytes(), errs.String()
}

// patient gives a recorded push bit by bit, and its beginning, where the list ends and files follow, byte by byte: its client
// would not send a file before it was asked for it.
type patient struct {
	data []byte
	sent int
}

func (p *patient) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := min(len(b), len(p.data), 1+p.sent)
	if p.sent < 200 {
		time.Sleep(3 * time.Millisecond)
		n = 1
	}
	copy(b[:n], p.data)
	p.data, p.sent = p.data[n:], p.sent+n
	return n, nil
}

// TestRecordedClientsAreServed plays recorded clients of pulls: what is asked for comes, whole and with the right digest.
func TestRecordedClientsAreServed(t *testing.T) {
	for _, c := range captures(t) {
		if !slices.Contains(c.args, "--sender") {
			continue
		}
		d := recordedTree(t)
		if strings.Contains(strings.Join(c.args, " "), "H") {
			if err := d.Link("src/a.txt", "src/hard.txt"); err != nil {
				t.Fatal(err)
			}
		}
		if c.name == "app" {
			if err := d.Remove("sa/empty", false); err != nil {
				t.Fatal(err)
			}
		}
		code, s2c, _ := replay(t, d, c)
		want, ok := recordedLists[c.name]
		if !ok {
			continue // it speaks of an incremental list, or hung up: all that counts is that the server stands
		}
		if code != ExitOK {
			t.Errorf("%s ends with %d", c.name, code)
		}
		a, err := decodeAnswers(t, c, s2c)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want = strings.Replace(want, "f.bin +0", "f.bin +1", 1) // of a basis that has nothing in common
		if got := summary(a); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		for name, content := range a.files {
			file := map[string]string{"f.bin": "s3/f.bin", "f": "sa/f", "empty": "sa/empty"}[name]
			if file == "" {
				file = "src/" + name
			}
			f, size, err := d.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			have := make([]byte, size)
			if _, err := f.ReadAt(have, 0); err != nil && size > 0 {
				t.Fatal(err)
			}
			f.Close()
			if c.name == "app" {
				have = have[1500:] // what the client has of it stays
			}
			if !bytes.Equal(content, have) {
				t.Errorf("%s: %s came as other bytes", c.name, name)
			}
		}
	}
}

// TestRecordedPushesAreStored plays recorded clients of pushes into an empty folder.
func TestRecordedPushesAreStored(t *testing.T) {
	for _, c := range captures(t) {
		if slices.Contains(c.args, "--sender") || c.name == "neg" {
			continue
		}
		d := recordedTree(t)
		c.patient = c.name == "rs"
		code, _, _ := replay(t, d, c)
		if c.name != "rs" {
			continue // its answers fit what was asked for then, of another destination
		}
		f, size, err := d.Open("zz2")
		if err != nil || size != 4000 || code != ExitOK {
			t.Fatalf("%s: code %d, %d bytes, %v", c.name, code, size, err)
		}
		f.Close()
	}
}

// TestCutSessionsEnd plays every beginning of every recorded session: the server ends, with an error, and leaves no
// unfinished file.
func TestCutSessionsEnd(t *testing.T) {
	for _, c := range captures(t) {
		for n := 0; n < len(c.c2s); n += 1 + n/6 {
			d := recordedTree(t)
			cut := c
			cut.c2s = c.c2s[:n]
			if len(cut.c2s) < 4 {
				cut.s2c = nil
			}
			if code, _, _ := replay(t, d, cut); code == ExitOK && n < 4 {
				t.Errorf("%s cut at %d ends well", c.name, n)
			}
			for _, dir := range []string{".", "dst", "dq"} {
				list, err := d.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					if strings.HasPrefix(e.Name(), ".") {
						t.Errorf("%s cut at %d leaves %s", c.name, n, e.Name())
					}
				}
			}
		}
	}
}
