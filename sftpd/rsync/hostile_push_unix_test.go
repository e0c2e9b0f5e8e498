//go:build unix

package rsync

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

const (
	pushCommand  = "rsync --server -ltpre.LsfxC . dst/"
	zippedPush   = "rsync --server -ltpre.LsfxC --compress-choice=%s . dst/"
	deletingPush = "rsync --server -ltpre.LsfxC --delete . dst/"
)

// pushing sends the list of one file of five bytes, and begins to send it.
func pushing() *said {
	return say(31).entry("f", modeFile|0o644, 5).end().wait().item(0, itemTransfer|itemNew).ints(0, 0, 0, 0)
}

// deep is a name in n folders.
func deep(n int) string { return strings.Repeat("d/", n) + "f" }

// zstdZeros is a frame of zstd that says in four bytes each that 128 KiB of zeros follow.
func zstdZeros(blocks int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}
	for range blocks {
		head := uint32(128<<10)<<3 | 1<<1
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return b
}

// packed puts compressed bytes into tokens.
func packed(b []byte) (out []byte) {
	for len(b) > 0 {
		n := min(len(b), maxPacked)
		out = append(append(out, byte(flagData|n>>8), byte(n)), b[:n]...)
		b = b[n:]
	}
	return append(out, flagEnd)
}

func hostilePushes() []assault {
	return []assault{
		{name: "a file without a name", say: say(31).entry("", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "an absolute name", say: say(31).entry("/etc/passwd", modeFile|0o644, 5), code: ExitProtocol, text: "absolute file name"},
		{name: "an absolute name, relative", command: "rsync --server -ltpRre.LsfxC . dst/", say: say(31).entry("/../../outside/secret", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a name that climbs", say: say(31).entry("../../outside/secret", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a name that climbs on its way", say: say(31).entry("a/../../../outside/secret", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a name that climbs, relative", command: "rsync --server -ltpRre.LsfxC . dst/", say: say(31).entry("a/../../x", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a name with a zero byte", say: say(31).entry("a\x00b", modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a name of 300 bytes", say: say(31).entry(strings.Repeat("a", 300), modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a path of 5,000 bytes", say: say(31).entry(strings.Repeat("a/", 2500), modeFile|0o644, 5), code: ExitProtocol, text: "impossible file name"},
		{name: "a path of a length that is negative", say: say(31).data([]byte{xLongName | xSameUID, 0xf0, 0xff, 0xff, 0xff, 0xff}), code: ExitProtocol, text: "impossible file name"},
		{name: "more of the last name than it has", say: say(31).data([]byte{xSameName | xSameUID, 200, 1, 'a'}), code: ExitProtocol, text: "impossible file name"},
		{name: "a thousand folders in each other", say: say(31).entry(deep(1000), modeFile|0o644, 5), code: ExitFileSelect, text: "nested too deep"},
		{name: "a negative size", say: say(31).data([]byte{xSameUID, 1, 'a'}).data(appendVarlong(nil, -1, 3)).data(appendVarlong(nil, 1, 4)).ints(modeFile), code: ExitProtocol, text: "impossible entry"},
		{name: "a number of ten bytes", say: say(31).data([]byte{xSameUID, 1, 'a', 0xff}).data(make([]byte, 20)), code: ExitProtocol, text: "a number is too l"},
		{name: "a file of an unknown kind", say: say(31).entry("a", 0o050000|0o644, 5), code: ExitProtocol, text: "impossible entry"},
		{name: "a file of no kind", say: say(31).entry("a", 0o644, 5), code: ExitProtocol, text: "impossible entry"},
		{name: "a file in the place of the destination", say: say(31).entry(".", modeFile|0o644, 5), code: ExitProtocol, text: "impossible entry"},
		{name: "a link to nothing", say: say(31).link("l", ""), code: ExitProtocol, text: "impossible symbolic link"},
		{name: "a link with a zero byte", say: say(31).link("l", "a\x00b"), code: ExitProtocol, text: "impossible symbolic link"},
		{name: "a link of 5,000 bytes", say: say(31).link("l", strings.Repeat("a", 5000)), code: ExitProtocol, text: "a text of 5000 bytes"},
		{name: "a hard link to what does not come", command: "rsync --server -Hre.LsfxC . dst/", say: say(31).data([]byte{xSameUID | xExtended, xHardLink >> 8, 1, 'a', 7}), code: ExitProtocol, text: "not in the list"},
		{name: "a hard link in the place of the destination", command: "rsync --server -Htre.LsfxC . dst/", code: ExitProtocol, text: "in the place of the destination",
			say: say(31).data([]byte{xSameUID | xSameGID | xExtended, xLinkFirst >> 8}).data(say(31).entryBytes("a", modeFile|0o644, 5)[1:]).data([]byte{xSameUID | xExtended, xHardLink >> 8, 1, '.', 0})},
		{name: "owners without an end", command: "rsync --server -ore.LsfxC . dst/", say: say(31).end().data(bytes.Repeat([]byte{1, 1, 'a'}, 1<<20+2)), code: ExitProtocol, text: "too many owners"},
		{name: "nanoseconds of more than a second", say: say(31).data([]byte{xSameUID | xExtended, xNsec >> 8, 1, 'a', 0, 5, 0, 0x65, 0, 0, 0}).data(appendVarint(nil, 1e9)).ints(modeFile), code: ExitProtocol, text: "impossible entry"},
		{name: "a list of more files than may be listed", say: manyEntries(1001), code: ExitProtocol, text: "more than 1000 files"},
		{name: "a list of long names", say: longNames(900), code: ExitProtocol, text: "list is too long", mib: 8},

		{name: "a file that nobody asked for", say: say(31).end().item(0, itemTransfer), code: ExitProtocol, text: "index 0 is not in the list of 0"},
		{name: "a folder that nobody asked for", say: say(31).entry("d", modeDir|0o755, 0).end().item(0, itemTransfer), code: ExitProtocol, text: "which was not asked for"},
		{name: "a negative index", say: say(31).entry("f", modeFile|0o644, 5).end().item(-102, 0), code: ExitProtocol, text: "index -102"},
		{name: "the sums of another file", say: say(31).entry("f", modeFile|0o644, 5).end().wait().item(0, itemTransfer).ints(1, 700, 2, 0), code: ExitProtocol, text: "sums of another file"},
		{name: "impossible sums", say: say(31).entry("f", modeFile|0o644, 5).end().wait().item(0, itemTransfer).ints(1, 0, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "a block of nothing", say: pushing().ints(-1), code: ExitProtocol, text: "block 0 of 0"},
		{name: "the block before the first", say: pushing().ints(-1 << 31), code: ExitProtocol, text: "impossible block"},
		{name: "a token of a gibibyte", say: pushing().ints(1 << 30), code: ExitProtocol, text: "a literal of 1073741824 bytes"},
		{name: "a wrong digest, twice", code: ExitPartial, text: "ERROR: f failed verification -- update discarded.",
			say: pushing().ints(5).text("hello").ints(0).data(make([]byte, 16)).done().wait().item(0, itemTransfer).ints(0, 0, 0, 0).ints(5).text("hello").ints(0).data(make([]byte, 16)).done().wait().done().wait().done().wait()},
		{name: "an unknown token", command: fmt.Sprintf(zippedPush, "zlibx"), say: pushing().data([]byte{0x01}), code: ExitProtocol, text: "unknown token"},
		{name: "a run of blocks of nothing", command: fmt.Sprintf(zippedPush, "zlib"), say: pushing().data([]byte{flagRelRun, 0xff, 0xff}), code: ExitProtocol, text: "block 0 of 0"},
		{name: "a run of blocks that overflows", command: fmt.Sprintf(zippedPush, "lz4"), say: pushing().data([]byte{flagLongRun, 0xfe, 0xff, 0xff, 0x7f, 0xff, 0xff}), code: ExitProtocol, text: "impossible block"},
		{name: "what no zlib writes", command: fmt.Sprintf(zippedPush, "zlibx"), say: pushing().data(packed(bytes.Repeat([]byte{0xff}, 100))), code: ExitProtocol, text: "cannot be read"},
		{name: "what no zlib writes, of the older form", command: fmt.Sprintf(zippedPush, "zlib"), say: pushing().data(packed(bytes.Repeat([]byte{0xff}, 100))), code: ExitProtocol, text: "cannot be read"},
		{name: "what no zstd writes", command: fmt.Sprintf(zippedPush, "zstd"), say: pushing().data(packed(bytes.Repeat([]byte{0xff}, 100))), code: ExitProtocol, text: "cannot be read"},
		{name: "what no lz4 writes", command: fmt.Sprintf(zippedPush, "lz4"), say: pushing().data(packed(bytes.Repeat([]byte{0xff}, 100))), code: ExitProtocol, text: "cannot be read"},
		{name: "a zstd that wants 2 GiB", command: fmt.Sprintf(zippedPush, "zstd"), say: pushing().data(packed([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0})), code: ExitProtocol, text: "cannot be read"},
		{name: "zeros without an end", command: fmt.Sprintf(zippedPush, "zstd"), code: ExitProtocol, text: "write failed on \"f\": quota", mib: 12,
			say: pushing().data(packed(zstdZeros(2000))).data(make([]byte, 16)).item(7, 0)},
		{name: "a flood of files that are not sent", say: say(31).entry("f", modeFile|0o644, 5).end().wait().raw(refusedFiles(200_000)).item(9, 0), code: ExitProtocol, text: "index 9"},
		{name: "items without an end", say: say(31).entry("f", modeFile|0o644, 5).end().wait().item(0, 0).data(bytes.Repeat([]byte{0xfe, 0, 0, 0, 0}, 1<<18)).item(9, 0), code: ExitProtocol, text: "index 9"},
		{name: "phases without an end", say: say(31).end().data(make([]byte, 1<<16)).item(9, 0), code: ExitOK, quietly: true},

		{name: "a destination that climbs", command: "rsync --server -ltpre.LsfxC . ../outside", say: say(31).end(), code: ExitFileSelect, text: "outside of the tree"},
		{name: "a destination that climbs on its way", command: "rsync --server -ltpre.LsfxC . dst/../../outside", say: say(31).end(), code: ExitFileSelect, text: "outside of the tree"},
		{name: "an absolute partial dir", command: "rsync --server -ltpre.LsfxC --partial-dir=/etc . dst/", say: say(31), code: ExitSyntax, text: "must be a relative path"},
		{name: "a partial dir that climbs", command: "rsync --server -ltpre.LsfxC --partial-dir=a/../../../outside . dst/", say: say(31), code: ExitSyntax, text: "must be a folder below"},
		{name: "an absolute backup dir", command: "rsync --server -bltpre.LsfxC --backup-dir=/etc . dst/", say: say(31), code: ExitSyntax, text: "must be a relative path"},
		{name: "a backup dir that climbs", command: "rsync --server -bltpre.LsfxC --backup-dir=../.. . dst/", say: say(31).entry("here", modeFile|0o644, 5).end(), code: ExitSyntax, text: "leads out of the tree"},
		{name: "a basis elsewhere", command: "rsync --server -ltpre.LsfxC --link-dest=../../outside . dst/", say: say(31), code: ExitUnsupported, text: "--link-dest is not served here"},
		{name: "a list of names that climbs", command: "rsync --server -ltpre.LsfxC --files-from=../outside/secret . dst/", say: say(31), code: ExitFileIO, text: "failed to open files-from"},
		{name: "a deletion of the destination", command: deletingPush, say: say(31).rules().entry(".", modeLink|0o777, 1).data([]byte("\x01x")).end(), code: ExitProtocol, text: "impossible entry"},
	}
}

func manyEntries(n int) *said {
	s := say(31)
	var b []byte
	for i := range n {
		b = append(b, s.entryBytes(fmt.Sprintf("%07d", i), modeFile|0o644, 5)...)
	}
	return s.data(b).end()
}

// longNames are as long as names can be, of which the wire does not repeat all.
func longNames(n int) *said {
	s := say(31)
	var b []byte
	for i := range n {
		b = append(b, s.entryBytes(fmt.Sprintf("%s%05d", strings.Repeat("0123456789abcde/", 255), i), modeFile|0o644, 5)...)
	}
	return s.data(b).end()
}

func refusedFiles(n int) (b []byte) {
	for i := range n {
		b = append(b, frame(msgNoSend, appendInt(nil, int32(i)))...)
	}
	return b
}

// full is a sink with room for a mebibyte in each file.
type full struct{ Dir }

type fullFile struct{ Writable }

func (f full) Create(name string, flags int) (Writable, error) {
	w, err := f.Dir.Create(name, flags)
	return fullFile{w}, err
}

func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	if off > 1<<20 {
		return 0, errors.New("quota: this does not fit")
	}
	return f.Writable.WriteAt(p, off)
}

// A block of 700 bytes takes four to name, or a share of three: what is named of a file that cannot be stored has an end.
func TestAFileThatCannotBeStoredEnds(t *testing.T) {
	d, inside, _ := jail(t)
	write(t, filepath.Join(inside, "dst", "f"), noise(1, 700*700), 0o644, theTime)
	for name, tokens := range map[string][]byte{"none": bytes.Repeat(appendInt(nil, -700), 1<<20), "lz4": bytes.Repeat([]byte{flagLongRun, 0, 0, 0, 0, 0xbb, 2}, 1<<14)} {
		command := pushCommand
		if name != "none" {
			command = fmt.Sprintf(zippedPush, name)
		}
		start := say(31).entry("f", modeFile|0o644, 700*700+1).end().wait().item(0, itemTransfer).ints(700, 700, 2, 0)
		watch := &counting{Sink: full{d}}
		a := attack(t, &Server{Source: d, Sink: watch, Idle: time.Minute}, command, start.data(tokens), true)
		if a.code != ExitFileIO || !strings.Contains(a.told, "cannot be stored and goes on without an end: quota: this does not fit") {
			t.Errorf("%s: code %d, %q", name, a.code, a.told)
		}
		if n := watch.bytes.Load(); n < maxDropped || n > maxDropped+2<<20 {
			t.Errorf("%s: %d bytes of the basis were read", name, n)
		}
	}
}

// counting counts what is read.
type counting struct {
	Sink
	bytes atomic.Int64
}

type countedFile struct {
	File
	bytes *atomic.Int64
}

func (c *counting) Open(name string) (File, int64, error) {
	f, size, err := c.Sink.Open(name)
	return countedFile{f, &c.bytes}, size, err
}

func (f countedFile) ReadAt(p []byte, off int64) (int, error) {
	f.bytes.Add(int64(len(p)))
	return f.File.ReadAt(p, off)
}

func TestHostileClientsOfPushes(t *testing.T) {
	for _, c := range hostilePushes() {
		t.Run(c.name, func(t *testing.T) {
			if c.command == "" {
				c.command = pushCommand
			}
			d, inside, untouched := jail(t)
			c.run(t, &Server{Source: d, Sink: full{d}, MaxFiles: 1000, Idle: time.Minute})
			untouched()
			left, err := filepath.Glob(filepath.Join(inside, "dst", ".*"))
			if err != nil || len(left) > 0 {
				t.Errorf("unfinished files are left: %v %v", left, err)
			}
			if b, err := os.ReadFile(filepath.Join(inside, "dst", "here")); err != nil || string(b) != "here" {
				t.Errorf("what was there is %q, %v", b, err)
			}
			if _, err := os.Lstat(filepath.Join(inside, "dst", "f")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file came of it: %v", err)
			}
		})
	}
}

// What a list of the default length makes the server keep is bounded, and so is that of merge files and of patterns.
func TestHostileSizesAreBounded(t *testing.T) {
	t.Run("two million files", func(t *testing.T) {
		d, _, _ := jail(t)
		a := attack(t, &Server{Source: d, Sink: d, Idle: time.Minute}, pushCommand, manyEntries(defaultMaxFiles+1), true)
		if a.code != ExitProtocol || !strings.Contains(a.told, "more than 2000000 files") {
			t.Errorf("code %d, %q", a.code, a.told)
		}
		if t.Logf("%d MiB held", a.peak>>20); a.peak > 500<<20 {
			t.Errorf("the session held %d MiB", a.peak>>20)
		}
	})
	t.Run("as many as a person may have", func(t *testing.T) {
		d, _, _ := jail(t)
		a := attack(t, &Server{Source: d, Sink: d, MaxPushed: 1000, Idle: time.Minute}, pushCommand, manyEntries(1001), true)
		if a.code != ExitProtocol || !strings.Contains(a.told, "more than 1000 files") {
			t.Errorf("code %d, %q", a.code, a.told)
		}
	})
	t.Run("a pattern that goes up and down", func(t *testing.T) {
		tree := memory{fstest.MapFS{}}
		for i := range 40 {
			tree.MapFS[fmt.Sprintf("d%d/f", i)] = &fstest.MapFile{}
		}
		a := attack(t, &Server{Source: tree, Idle: time.Minute}, "rsync --server --sender -re.LsfxC . "+strings.Repeat("*/../", 600)+"*", pulling(31), true)
		if a.code != ExitFileIO || !strings.Contains(a.told, "too long") {
			t.Errorf("code %d, %q", a.code, a.told)
		}
	})
	t.Run("a merge file of a mebibyte in each folder", func(t *testing.T) {
		tree := &looking{memory: memory{fstest.MapFS{}}, at: strings.Repeat("d/", 99) + ".m"}
		for i := range 100 {
			tree.MapFS[strings.Repeat("d/", i)+".m"] = &fstest.MapFile{Data: []byte(strings.Repeat("- [a][b]*\n", 2500))}
		}
		before := heap()
		a := attack(t, &Server{Source: tree, Idle: time.Minute}, "rsync --server --sender -re.LsfxC . .", say(31).rule(": .m").rules(), false)
		if !strings.Contains(a.told, "are too many") || a.code != ExitStream {
			t.Errorf("code %d, %q", a.code, a.told)
		}
		if t.Logf("%d KiB held", (tree.heap-before)>>10); tree.heap > before+8<<20 {
			t.Errorf("the session held %d KiB", (tree.heap-before)>>10)
		}
	})
}

// looking looks at the heap when a file is opened.
type looking struct {
	memory
	at   string
	heap uint64
}

func (l *looking) Open(name string) (File, int64, error) {
	if name == l.at {
		l.heap = heap()
	}
	return l.memory.Open(name)
}
