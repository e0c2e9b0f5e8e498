//go:build unix

package rsync

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// memory is a small read-only tree.
type memory struct{ fstest.MapFS }

func (m memory) Lstat(name string) (fs.FileInfo, error) { return fs.Stat(m.MapFS, name) }
func (m memory) Readlink(string) (string, error)        { return "", fs.ErrInvalid }
func (m memory) ReadDir(name string) (out []fs.FileInfo, err error) {
	list, err := fs.ReadDir(m.MapFS, name)
	for _, e := range list {
		if info, err := e.Info(); err == nil {
			out = append(out, info)
		}
	}
	return out, err
}

func (m memory) Open(name string) (File, int64, error) {
	f, err := m.MapFS.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		f.Close()
		return nil, 0, fs.ErrInvalid
	}
	return struct {
		io.ReaderAt
		io.Closer
	}{f.(io.ReaderAt), f}, info.Size(), nil
}

func smallTree() memory {
	return memory{fstest.MapFS{"src/a.txt": {Data: []byte("hello world\n")}, "src/sub/b.bin": {Data: noise(1, 5000)}, "src/.cvsignore": {Data: []byte("*.o !\n")}}}
}

type pipe struct {
	io.Reader
	io.Writer
}

func (pipe) Close() error { return nil }

// testSession is one behind its handshake, which reads b.
func testSession(o *options, proto int, b []byte, framed bool) *session {
	s := &session{Server: &Server{Source: smallTree(), MaxFiles: 1000}, ctx: context.Background(), o: o, r: newReader(bytes.NewReader(b)), w: newWriter(io.Discard),
		log: slog.New(slog.DiscardHandler), proto: proto, seed: 7, codec: "none"}
	s.r.proto, s.w.proto, s.r.mux = proto, proto, framed
	s.r.message = s.fromClient
	s.sum, s.listSum = findAlgorithm("xxh128"), findAlgorithm("xxh128")
	if proto < 30 {
		s.sum, s.listSum = md4Old, findAlgorithm("md4")
	}
	if proto >= 31 {
		s.compat = compatSafeList | compatVarint | compatIDZero | compatSeedFix
	}
	s.established.Store(true)
	return s
}

func protocols(n byte) int { return 27 + int(n)%6 }

// FuzzCommand gives any command line and any bytes to a server: it ends by itself, and says so with a code.
func FuzzCommand(f *testing.F) {
	if list, err := os.ReadDir("testdata/captures"); err == nil && len(list) > 0 {
		for _, c := range captures(f) {
			f.Add(strings.Join(c.args, " "), c.c2s)
		}
	}
	f.Add("rsync --server --sender -vlogDtprze.iLsfxCIvu . 'src/*.txt' ~/src", []byte("\x1f\x00\x00\x00"))
	f.Add("rsync --server -slogDtpre.iLsfxCIvu", []byte("rsync\x00--delete\x00.\x00dst\x00\x00\x1f\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, command string, c2s []byte) {
		srv := &Server{Source: smallTree(), MaxFiles: 1000}
		start := time.Now()
		code := srv.Serve(t.Context(), command, pipe{bytes.NewReader(c2s), io.Discard}, io.Discard)
		if code < 0 || code > 255 || time.Since(start) > 10*time.Second {
			t.Fatalf("code %d after %v", code, time.Since(start))
		}
	})
}

// FuzzPush gives any bytes to a server that writes: nothing leaves the folder, whatever they say.
func FuzzPush(f *testing.F) {
	for _, c := range captures(f) {
		if command := strings.Join(c.args, " "); !strings.Contains(command, "--sender") {
			f.Add(command, c.c2s)
		}
	}
	f.Fuzz(func(t *testing.T, command string, c2s []byte) {
		if strings.Contains(command, "--sender") || len(c2s) > 1<<16 {
			return
		}
		work := t.TempDir()
		if err := os.Mkdir(work+"/jail", 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(work + "/jail")
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		srv := &Server{Source: Dir{root}, Sink: Dir{root}, MaxFiles: 1000, seed: func() int32 { return 7 }}
		srv.Serve(t.Context(), command, pipe{bytes.NewReader(c2s), io.Discard}, io.Discard)
		if list, err := os.ReadDir(work); err != nil || len(list) != 1 {
			t.Fatalf("outside of the folder: %v %v", list, err)
		}
	})
}

// FuzzFrames reads any bytes as frames.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x07abcd\x02\x00\x00\x08hi\x00\x00\x00\x07"))
	f.Add([]byte("\xff\xff\xff\x07"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := testSession(&options{}, 31, b, true)
		n := 0
		for s.r.err == nil {
			s.r.byte()
			s.r.varint()
			s.r.varlong(3)
			s.r.index()
			_ = s.r.vstring(300)
			if n++; n > len(b)+1 {
				t.Fatal("more was read than was there")
			}
		}
	})
}

// FuzzList reads any bytes as a list of files: what comes out has only names that stay below.
func FuzzList(f *testing.F) {
	f.Add(byte(4), []byte("\x01\x01.\x00\x00\x10\x65\x20\x7d\x93\xed\x41\x00\x00\x00\x00\x00\x00"), "-logDtpre.LsfxCIvu")
	f.Add(byte(2), []byte("\x18\x05a.txt"), "-lHogDtprc")
	f.Fuzz(func(t *testing.T, proto byte, b []byte, letters string) {
		o := parse([]word{{text: letters}})
		s := testSession(o, protocols(proto), b, false)
		_, list, err := s.readList()
		if err != nil {
			return
		}
		for i, e := range list {
			if e.name == "" || e.name[0] == '/' || strings.HasPrefix(e.name, "../") || strings.Contains(e.name, "/../") || strings.ContainsRune(e.name, 0) || e.size < 0 {
				t.Fatalf("entry %q of size %d", e.name, e.size)
			}
			if i > 0 && compareNames(list[i-1].name, e.name, list[i-1].isDir(), e.isDir(), s.proto) > 0 {
				t.Fatalf("%q stands before %q", list[i-1].name, e.name)
			}
		}
	})
}

// FuzzFilter reads any bytes as rules and asks them about a name: the time is bounded whatever the pattern.
func FuzzFilter(f *testing.F) {
	f.Add(byte(4), "- *.tmp", "a/b.tmp", true)
	f.Add(byte(4), "+ **/company/***", "x/company/y", false)
	f.Add(byte(0), "*?[a-z]\\", "abc", false)
	f.Add(byte(4), "- [[:alpha:]-]*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)
	f.Fuzz(func(t *testing.T, proto byte, text, name string, dir bool) {
		if len(text) > maxRule || len(name) > maxArg {
			return
		}
		fl := &filter{sender: true, proto: protocols(proto)}
		if fl.add(text) != nil {
			return
		}
		start := time.Now()
		fl.top().check(name, dir, true)
		if time.Since(start) > 5*time.Second {
			t.Fatalf("%q on %q took %v", text, name, time.Since(start))
		}
	})
}

// FuzzTokens reads any bytes as the content of a file, by each codec.
func FuzzTokens(f *testing.F) {
	for i := range 5 {
		f.Add(byte(i), []byte("\x42\x05hello\x80\xc1\x02\x00\x21\x00\x00\x00\x00\x01\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, codec byte, b []byte) {
		s := testSession(&options{}, 27+int(codec)%6, b, false)
		s.codec = strings.Fields(offeredCodecs)[int(codec)%5]
		r := newTokenReader(s)
		defer r.close()
		total, blocks := 0, 0
		for range 3 {
			r.reset()
			for {
				p, block, err := r.next()
				if err != nil || p == nil && block < 0 {
					break
				}
				if block >= 0 {
					r.see([]byte("block"))
					blocks++
				}
				if total += len(p) + 1; total > 64<<20 || blocks > 1<<16 { // a few bytes can name a run of as many
					return
				}
			}
		}
	})
}

// FuzzOptions reads any words as options.
func FuzzOptions(f *testing.F) {
	f.Add("--server --sender -vlogDtprze.iLsfxCIvu --timeout=300 . src/")
	f.Add("--server -B700 -@-1 -e.x --partial-dir ../x --max-delete=-1 --suffix ~")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := split(line)
		if err != nil {
			return
		}
		o := parse(words)
		if len(o.paths) == 0 || o.blockSize < 0 || o.refusal == nil && o.partialDir != "" && !filepath.IsLocal(o.partialDir) {
			t.Fatalf("%q gives %+v", line, o)
		}
	})
}

// FuzzGlob compares the matcher with a plain recursive one.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?c**d", "axxbyc/zd")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 20 || strings.ContainsAny(pattern, "[\\") {
			return
		}
		if got, want := compileGlob(pattern).match(name), slowMatch(pattern, name); got != want {
			t.Fatalf("%q on %q: %v", pattern, name, got)
		}
	})
}

func slowMatch(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case strings.HasPrefix(p, "**"):
		return slowMatch(strings.TrimLeft(p, "*"), s) || s != "" && slowMatch(p, s[1:])
	case p[0] == '*':
		return slowMatch(p[1:], s) || s != "" && s[0] != '/' && slowMatch(p, s[1:])
	case s == "":
		return false
	case p[0] == '?':
		return s[0] != '/' && slowMatch(p[1:], s[1:])
	}
	return p[0] == s[0] && slowMatch(p[1:], s[1:])
}
