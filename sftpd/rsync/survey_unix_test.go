//go:build unix

package rsync

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// A large file is read while its sums come, once: what is where it was is told without reading it again.
func TestALargeFileIsReadOnceForItsSums(t *testing.T) {
	const blockLen, blocks = 700, 9000
	had := noise(9, blocks*blockLen+100)
	now := bytes.Clone(had)
	now[3*blockLen+5] ^= 1
	now[8000*blockLen] ^= 1
	for _, c := range []struct {
		strongLen   int32
		falseWeakOf int32
		want        string
	}{
		{4, -1, "[=0..2 +700 =4..7999 +700 =8001..9000]"},
		{2, -1, "[=0..2 +700 =4..7999 +700 =8001..9000]"},
		{4, 100, "[=0..2 +700 =4..7999 +700 =8001..9000]"},
		{2, 100, "[=0..2 +700 =4..99 +700 =101..7999 +700 =8001..9000]"},
	} {
		src := &countingSource{memory: memory{fstest.MapFS{"f": {Data: now}}}}
		s := testSession(&options{}, 31, nil, true)
		s.Server = &Server{Source: src}
		head := sumHead{blocks + 1, blockLen, c.strongLen, 100}
		basis := sumsOf(had, head, newBlockHash(s.sum, s.seed))
		if c.falseWeakOf >= 0 {
			basis.weak[c.falseWeakOf]++
		}
		out := &told{}
		x := &sender{session: s, out: out, list: []*entry{{name: "f", mode: modeFile, size: int64(len(now))}}}
		known := x.survey(x.list[0], head)
		known.take(*basis)
		known.taken(false)
		<-known.ended
		once := src.bytes.Load()
		x.file(ask{it: item{ndx: 0}, head: head, known: known})
		if got := joined(out.words); got != c.want {
			t.Errorf("%d bytes of strong sum, a wrong weak sum of block %d: the tokens are %s, want %s", c.strongLen, c.falseWeakOf, got, c.want)
		}
		whole := s.sum.newHash(s.seed)
		whole.Write(now)
		digest, err := known.whole()
		if err != nil || !bytes.Equal(digest.Sum(nil), whole.Sum(nil)) {
			t.Errorf("the digest is %x, %v; want %x", digest.Sum(nil), err, whole.Sum(nil))
		}
		if again := src.bytes.Load() - once; once != int64(len(now)) || again > 4<<20 {
			t.Errorf("%d bytes were read for the sums, and %d again, of %d", once, again, len(now))
		}
	}
}

// joined makes one word of blocks that follow each other.
func joined(words []string) string {
	var out []string
	first, last := -1, -1
	flush := func() {
		if first >= 0 {
			out = append(out, fmt.Sprintf("=%d..%d", first, last))
		}
		first = -1
	}
	for _, w := range words {
		var i int
		if _, err := fmt.Sscanf(w, "=%d", &i); err != nil {
			flush()
			out = append(out, w)
			continue
		}
		if first < 0 || i != last+1 {
			flush()
			first = i
		}
		last = i
	}
	flush()
	return "[" + strings.Join(out, " ") + "]"
}

// countingSource counts what is read of its files.
type countingSource struct {
	memory
	bytes atomic.Int64
}

func (c *countingSource) Open(name string) (File, int64, error) {
	f, size, err := c.memory.Open(name)
	return countedFile{f, &c.bytes}, size, err
}

// A large file is answered while its sums come: of the first 5,000 blocks it is told before the sums of the others are there, with
// what changed between them. What may be from elsewhere in the client's copy has to wait.
func TestALargeFileIsAnsweredWhileItsSumsCome(t *testing.T) {
	const blockLen, blocks, first = 700, 10_000, 5000
	now := noise(9, blocks*blockLen)
	for _, c := range []struct {
		name   string
		change func(had []byte) []byte
		args   string
		early  bool
	}{
		{"the same", func(b []byte) []byte { return b }, "", true},
		{"300 blocks changed", func(b []byte) []byte { clear(b[100*blockLen : 400*blockLen]); return b }, "", true},
		{"as many as may be elsewhere changed", func(b []byte) []byte { clear(b[100*blockLen : 413*blockLen]); return b }, "", false},
		{"a byte before", func(b []byte) []byte { return append([]byte("x"), b[:len(b)-1]...) }, "", false},
		{"the same, in place", func(b []byte) []byte { return b }, " --inplace", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			had := c.change(bytes.Clone(now))
			srv := &Server{Source: memory{fstest.MapFS{"src/f": {Data: now, Mode: 0o644, ModTime: time.Unix(1e9, 0)}}}}
			sums := sumsOf(had, sumHead{blocks, blockLen, 4, 0}, newBlockHash(findAlgorithm("md5"), 7))
			client := pulling(31).item(1, itemTransfer).ints(blocks, blockLen, 4, 0).data(sums.wire(0, first)).wait().data(sums.wire(first, blocks))
			synctest.Test(t, func(t *testing.T) {
				far, near := net.Pipe()
				var heard atomic.Int64
				go func() {
					buf := make([]byte, 32<<10)
					for {
						n, err := far.Read(buf)
						if heard.Add(int64(n)); err != nil {
							return
						}
					}
				}()
				go srv.Serve(t.Context(), "rsync --server --sender -ltpre.LsfxC --checksum-seed=7"+c.args+" . src/", near, io.Discard)
				_, _ = far.Write(client.pieces[0])
				synctest.Wait()
				if early := heard.Load() > 4*(first-2*stepAhead); early != c.early {
					t.Errorf("%d bytes came before the last of the sums, early: %v", heard.Load(), c.early)
				}
				_, _ = far.Write(client.pieces[1])
				synctest.Wait()
				if n := heard.Load(); n < 4*blocks && c.early {
					t.Errorf("%d bytes came in all", n)
				}
				far.Close()
				synctest.Wait()
			})
		})
	}
}

// Large files of which a little changed, moved, went or came, in all codecs and protocols, into place and not.
func TestLargeFilesComeRight(t *testing.T) {
	src := t.TempDir()
	rnd := rand.New(rand.NewPCG(4, 4))
	now := noise(6, 8<<20)
	write(t, filepath.Join(src, "big"), now, 0o644, time.Unix(1e9, 0))
	root, err := os.OpenRoot(src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	rsh := serverShell(t, &Server{Source: Dir{root}})
	had := map[string][]byte{
		"the same":       bytes.Clone(now),
		"a byte before":  append([]byte("x"), now...),
		"a byte less":    now[1:],
		"shorter":        now[:5<<20],
		"longer":         append(bytes.Clone(now), noise(8, 3<<20)...),
		"halves swapped": append(bytes.Clone(now[4<<20:]), now[:4<<20]...),
		"something else": noise(7, 8<<20),
		"changes all over": func() []byte {
			b := bytes.Clone(now)
			for range 200 {
				b[rnd.IntN(len(b))] ^= 1
			}
			return b
		}(),
	}
	literal := map[string]int{ // what may come at most, as it is nowhere in the client's copy
		"the same": 0, "a byte before": 1400, "a byte less": 1400, "shorter": 3<<20 + 1400, "longer": 1400, "halves swapped": 2800, "something else": 8 << 20, "changes all over": 200 * 1400,
	}
	i := 0
	for _, name := range []string{"the same", "a byte before", "a byte less", "shorter", "longer", "halves swapped", "something else", "changes all over"} {
		for _, codec := range []string{"", "-z --zc=zlib", "-z --zc=zlibx", "-z --zc=lz4", "-z --zc=zstd"} {
			i++
			protocol := []int{32, 31, 30, 29, 28, 27}[i%6]
			args := "-at --no-W -B700 --protocol=" + fmt.Sprint(protocol) + " " + codec + []string{"", " --inplace", " --inplace --backup"}[i/2%3]
			t.Run(name+", "+args, func(t *testing.T) {
				dst := t.TempDir()
				write(t, filepath.Join(dst, "big"), had[name], 0o644, time.Unix(1e8, 0))
				stdout, stderr, code := client(t, dst, rsh, append(strings.Fields(args), "--stats", "h:big", ".")...)
				if code != 0 || stderr != "" {
					t.Fatalf("exit %d: %s", code, stderr)
				}
				if got, err := os.ReadFile(filepath.Join(dst, "big")); err != nil || !bytes.Equal(got, now) {
					t.Fatalf("the file came as %d bytes: %v", len(got), err)
				}
				_, after, _ := strings.Cut(stdout, "Literal data: ")
				after, _, _ = strings.Cut(after, " ")
				came, err := strconv.Atoi(strings.ReplaceAll(after, ",", ""))
				if most := literal[name]; err != nil || came > most && !strings.Contains(args, "--inplace") {
					t.Errorf("what is there came all the same, %d bytes, not at most %d: %v\n%s", came, most, err, stdout)
				}
			})
		}
	}
}

// Of a file that changes while its sums come, what it was comes, or what it is, and never a part of each. One that became shorter
// is told of, as it is by rsync.
func TestAFileThatChangesMeanwhileComesRight(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for i, c := range []struct {
		change func(old []byte) []byte
		code   int
		told   string
	}{
		{func(old []byte) []byte { b := bytes.Clone(old); b[4<<20] ^= 1; return b }, 0, ""},
		{func(old []byte) []byte { return old[:7<<20] }, 23, "rsync: [sender] read errors mapping \"big\": EOF\n"},
		{func(old []byte) []byte { return append(bytes.Clone(old), "more"...) }, 0, ""},
	} {
		old := noise(6, 8<<20)
		path := filepath.Join(src, "big")
		write(t, path, old, 0o644, time.Unix(1e9, 0))
		write(t, filepath.Join(dst, "big"), append(bytes.Clone(old[:5<<20]), noise(3, 3<<20)...), 0o644, time.Unix(1e8, 0))
		root, err := os.OpenRoot(src)
		if err != nil {
			t.Fatal(err)
		}
		now := c.change(old)
		source := &changing{Dir: Dir{root}, change: func() { write(t, path, now, 0o644, time.Unix(1e9, 0)) }}
		stdout, stderr, code := client(t, dst, serverShell(t, &Server{Source: source}), "-at", "--no-W", "-B700", "h:big", ".")
		got, err := os.ReadFile(filepath.Join(dst, "big"))
		if err != nil || code != c.code || !strings.HasPrefix(stderr, c.told) || !bytes.Equal(got, now) && !bytes.Equal(got, old) {
			t.Errorf("change %d: %d bytes came, not %d: %v; exit %d: %s%s", i, len(got), len(now), err, code, stdout, stderr)
		}
		root.Close()
	}
}

// changing is a source whose file changes as soon as it was opened.
type changing struct {
	Dir
	opens  atomic.Int32
	change func()
}

func (c *changing) Open(name string) (File, int64, error) {
	f, size, err := c.Dir.Open(name)
	if c.opens.Add(1) == 1 {
		c.change()
	}
	return f, size, err
}
