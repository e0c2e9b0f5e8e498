//go:build unix

package rsync

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// said is what a raw client sends, in pieces: before each but the first it waits until the server has nothing more to do.
type said struct {
	proto  int
	pieces [][]byte
	ndx    ndxState
}

func say(proto int) *said {
	s := &said{proto: proto, pieces: [][]byte{nil}, ndx: newNdxState()}
	return s.raw(appendInt(nil, int32(proto)))
}

// raw adds bytes as they are.
func (s *said) raw(b []byte) *said {
	last := len(s.pieces) - 1
	s.pieces[last] = append(s.pieces[last], b...)
	return s
}

func (s *said) text(t string) *said { return s.data([]byte(t)) }

// data adds bytes of the protocol, in frames where the protocol has them.
func (s *said) data(b []byte) *said {
	if s.proto < 30 {
		return s.raw(b)
	}
	for len(b) > 0 {
		n := min(len(b), 1<<20)
		s.raw(frame(msgData, b[:n]))
		b = b[n:]
	}
	return s
}

func (s *said) ints(list ...int32) *said {
	var b []byte
	for _, n := range list {
		b = appendInt(b, n)
	}
	return s.data(b)
}

func (s *said) wait() *said {
	s.pieces = append(s.pieces, nil)
	return s
}

// rule adds a rule of the filter, rules ends it.
func (s *said) rule(text string) *said { return s.ints(int32(len(text))).text(text) }
func (s *said) rules() *said           { return s.ints(0) }

// item adds an index with the flags of an item.
func (s *said) item(ndx int32, flags uint16) *said {
	if s.proto < 30 {
		s.ints(ndx)
	} else {
		s.data(s.ndx.append(nil, ndx))
	}
	if ndx >= 0 && s.proto >= 29 {
		s.data([]byte{byte(flags), byte(flags >> 8)})
	}
	return s
}

func (s *said) done() *said { return s.item(ndxDone, 0) }

// entry adds an entry of a list without owners: as protocol 30 and newer have it, without the flags that are numbers.
func (s *said) entry(name string, mode uint32, size int64, flags ...byte) *said {
	return s.data(s.entryBytes(name, mode, size, flags...))
}

func (s *said) entryBytes(name string, mode uint32, size int64, flags ...byte) []byte {
	first := byte(xSameUID | xSameGID)
	for _, f := range flags {
		first |= f
	}
	b := []byte{first}
	if len(name) > 255 {
		b[0] |= xLongName
		b = appendVarint(b, int32(len(name)))
	} else {
		b = append(b, byte(len(name)))
	}
	b = append(b, name...)
	b = appendVarlong(b, size, 3)
	b = appendVarlong(b, 1_700_000_000, 4)
	return appendInt(b, int32(mode))
}

func (s *said) link(name, target string) *said {
	return s.entry(name, modeLink|0o777, int64(len(target))).data(appendVarint(nil, int32(len(target)))).text(target)
}

func (s *said) end() *said { return s.data([]byte{0}) }

// answer is what a raw client gets.
type answer struct {
	code   int
	told   string // in frames of text, and on stderr
	s2c    []byte
	peak   uint64 // bytes of heap that the session held at most, where they were looked at
	passed time.Duration
}

// watched is the server's end of a connection, which looks at the heap now and then.
type watched struct {
	net.Conn
	total, read, next int
	base, peak        uint64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.read += n; w.read >= w.next {
		w.look()
		w.next += w.total/8 + 1
	}
	return n, err
}

func (w *watched) look() { w.peak = max(w.peak, heap()) }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// attack lets a raw client speak to a server, in a time of its own: it ends when the server is done with it, and fails the test
// when it leaves a goroutine behind. A client that hangs keeps its end open.
func attack(t *testing.T, srv *Server, command string, s *said, hangs bool) (a answer) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		far, near := net.Pipe()
		conn := &watched{Conn: near}
		for _, p := range s.pieces {
			conn.total += len(p)
		}
		conn.base = heap()
		var stderr strings.Builder
		start := time.Now()
		ended := make(chan struct{})
		heard := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(far)
			heard <- b
		}()
		go func() {
			for i, p := range s.pieces {
				if i > 0 {
					synctest.Wait()
				}
				if _, err := far.Write(p); err != nil {
					return
				}
			}
			if !hangs {
				synctest.Wait()
				far.Close()
			}
		}()
		go func() {
			a.code = srv.Serve(t.Context(), command, conn, &stderr)
			conn.look()
			near.Close()
			close(ended)
		}()
		<-ended
		a.passed = time.Since(start)
		a.s2c = <-heard
		a.peak = conn.peak - min(conn.peak, conn.base)
		a.told = stderr.String() + messages(a.s2c, s.proto)
	})
	return a
}

// messages gives the texts that a server sent. Its handshake has no lists of names here.
func messages(s2c []byte, proto int) (out string) {
	head := 4 + 4
	if proto >= 30 {
		head += len(appendVarint(nil, int32(0)))
		if len(s2c) > 4 && s2c[4] >= 0x80 {
			head++
		}
	}
	for b := s2c[min(head, len(s2c)):]; len(b) >= 4; {
		n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		code := int(b[3]) - frameBase
		b = b[4:]
		n = min(n, len(b))
		if code >= msgErrorXfer && code <= msgWarning {
			out += string(b[:n])
		}
		b = b[n:]
	}
	return out
}

// assault is one thing that a client does, and what it gets for it.
type assault struct {
	name    string
	command string
	say     *said
	long    func() *said // in its place, where it is long
	code    int
	text    string // is told to the client
	mib     uint64 // that the session may hold; 4 when zero
	quietly bool   // the client is not told anything
}

func (c assault) run(t *testing.T, srv *Server) answer {
	t.Helper()
	if c.long != nil {
		c.say = c.long()
	}
	a := attack(t, srv, c.command, c.say, true)
	if a.code != c.code {
		t.Errorf("code %d, want %d: %s", a.code, c.code, a.told)
	}
	if !strings.Contains(a.told, c.text) || (strings.TrimSpace(a.told) == "") != c.quietly {
		t.Errorf("the client is told %q, want %q", a.told, c.text)
	}
	if most := max(c.mib, 4) << 20; a.peak > most {
		t.Errorf("the session held %d bytes, at most %d are expected", a.peak, most)
	}
	return a
}

const pullCommand = "rsync --server --sender -ltpre.LsfxC . src/"

func pulling(proto int) *said { return say(proto).rules() }

func many(n int, what string) *said {
	s := say(31)
	var b []byte
	for range n {
		b = append(appendInt(b, int32(len(what))), what...)
	}
	return s.data(b).rules()
}

// hostilePulls are those of a tree of: ".", ".cvsignore", "a.txt", "sub", "sub/b.bin".
func hostilePulls() []assault {
	return []assault{
		{name: "a version from the future", say: say(255), code: ExitProtocol, text: "is not rsync"},
		{name: "another protocol", say: &said{proto: 31, pieces: [][]byte{[]byte("SSH-2.0-x\r\n")}}, code: ExitProtocol, text: "is not rsync"},
		{name: "a version of the past", say: say(26), code: ExitProtocol, text: "too old"},
		{name: "checksums that nobody knows", command: "rsync --server --sender -re.vC . src/", say: say(31).raw([]byte("\x03xyz")), code: ExitUnsupported, text: "no checksum that both sides know"},
		{name: "a list of names without an end", command: "rsync --server --sender -re.vC . src/", say: say(31).raw([]byte("\xff\xff")), code: ExitProtocol, text: "a text of 32767 bytes"},
		{name: "no arguments", command: "rsync --server -s", say: &said{pieces: [][]byte{{0}}}, code: ExitProtocol, text: "no arguments"},
		{name: "too many arguments", command: "rsync --server -s", say: &said{pieces: [][]byte{bytes.Repeat([]byte("a\x00"), 1002)}}, code: ExitProtocol, text: "too many arguments"},
		{name: "too long arguments", command: "rsync --server -s", say: &said{pieces: [][]byte{bytes.Repeat([]byte(strings.Repeat("a", 4000)+"\x00"), 17)}}, code: ExitProtocol, text: "too many arguments"},
		{name: "an argument without an end", command: "rsync --server -s", say: &said{pieces: [][]byte{bytes.Repeat([]byte("a"), 5000)}}, code: ExitProtocol, text: "more than 4096 bytes"},
		{name: "an open quote", command: "rsync --server 'x", say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "not closed"},
		{name: "a second command", command: "rsync --server . x; rm -rf /", say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "no shell"},
		{name: "a backslash at the end", command: `rsync --server . x\`, say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "backslash"},
		{name: "a zero byte", command: "rsync --server . x\x00y", say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "zero byte"},
		{name: "a thousand words", command: "rsync --server" + strings.Repeat(" x", 1000), say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "more than 1000 words"},
		{name: "a command of 70,000 bytes", command: "rsync --server " + strings.Repeat("x", 70_000), say: &said{pieces: [][]byte{nil}}, code: ExitSyntax, text: "longer than"},
		{name: "a daemon", command: "rsync --server --daemon .", say: say(31), code: ExitSyntax, text: "no rsync modules"},

		{name: "an unknown frame", say: say(31).raw(frame(200, []byte("x"))), code: ExitProtocol, text: "unknown message 200"},
		{name: "a frame below the first", say: say(31).raw([]byte{0, 0, 0, 3}), code: ExitProtocol, text: "unknown message -4"},
		{name: "a frame of rsync's own processes", say: say(31).raw(frame(6, []byte("x"))), code: ExitProtocol, text: "unknown message 6"},
		{name: "a message of a mebibyte", say: say(31).raw(frame(msgInfo, make([]byte, 1<<20))), code: ExitProtocol, text: "too long"},
		{name: "an I/O error of five bytes", say: say(31).raw(frame(msgIOError, make([]byte, 5))), code: ExitProtocol, text: "strange length"},
		{name: "a receiver that does not send", say: say(31).raw(frame(msgNoSend, make([]byte, 4))), code: ExitProtocol, text: "from the wrong side"},
		{name: "an end with a negative code", say: say(31).raw(frame(msgErrorExit, appendInt(nil, -7))), code: 1, quietly: true},
		{name: "a flood of messages", long: func() *said {
			return say(31).raw(bytes.Repeat(frame(msgInfo, make([]byte, 60_000)), 300)).raw(frame(200, nil))
		}, code: ExitProtocol, text: "unknown message"},
		{name: "a flood of empty frames", say: say(31).raw(bytes.Repeat(frame(msgData, nil), 1<<20)).raw(frame(200, nil)), code: ExitProtocol, text: "unknown message"},

		{name: "a rule of negative length", say: say(31).ints(-1), code: ExitProtocol, text: "a text of -1 bytes"},
		{name: "a rule of 5,000 bytes", say: say(31).ints(5000), code: ExitProtocol, text: "a text of 5000 bytes"},
		{name: "two mebibytes of rules", say: many(600, "- "+strings.Repeat("x", 3900)), code: ExitProtocol, text: "filter is too long", mib: 8},
		{name: "ten thousand and one rules", say: many(10_001, "- x"), code: ExitSyntax, text: "more than 10000 rules", mib: 8},
		{name: "a rule that is none", say: say(31).rule("Zx y"), code: ExitSyntax, text: "cannot be read"},
		{name: "a rule with a zero byte", say: say(31).rule("- a\x00b"), code: ExitSyntax, text: "cannot be read"},
		{name: "a merge of a file of the server", say: say(31).rule(". /etc/passwd"), code: ExitSyntax, text: "names a file of this side"},
		{name: "many merge files for each folder", say: many(33, ": .x"), code: ExitSyntax, text: "more than 32 merge files"},
		{name: "patterns of stars", say: many(101, "- "+strings.Repeat("*a", 200)), code: ExitSyntax, text: "too many stars", mib: 8},
		{name: "patterns of sets", say: many(300, "- "+strings.Repeat("[a]", 1100)).item(99, 0), code: ExitProtocol, text: "index 99", mib: 40},

		{name: "an index behind the list", say: pulling(31).item(5, itemTransfer), code: ExitProtocol, text: "index 5 is not in the list of 5"},
		{name: "an index behind the list, protocol 28", say: pulling(28).item(5, itemTransfer), code: ExitProtocol, text: "index 5 is not in the list of 5"},
		{name: "an index that is negative", say: pulling(31).item(-101, 0), code: ExitProtocol, text: "index -101"},
		{name: "an index that is negative, protocol 29", say: pulling(29).ints(-2), code: ExitProtocol, text: "index -2"},
		{name: "an index that overflows", say: pulling(31).data([]byte{0xfe, 0xff, 0xff, 0xff, 0xff}).data([]byte{0xfd, 0, 0}), code: ExitProtocol, text: "protocol error"},
		{name: "a folder is asked for", say: pulling(31).item(0, itemTransfer), code: ExitProtocol, text: "which is not a file"},
		{name: "a basis of a name without an end", say: pulling(31).item(2, itemTransfer|itemName).data([]byte{0xff, 0xff}), code: ExitProtocol, text: "a text of 32767 bytes"},
		{name: "a negative count of blocks", say: pulling(31).item(2, itemTransfer).ints(-1, 700, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "negative blocks", say: pulling(31).item(2, itemTransfer).ints(1, -700, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "blocks of nothing", say: pulling(31).item(2, itemTransfer).ints(1, 0, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "blocks that are too long", say: pulling(31).item(2, itemTransfer).ints(1, 1<<17+1, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "blocks that are too long, protocol 29", say: pulling(29).item(2, itemTransfer).ints(1, 1<<29+1, 2, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "strong sums that are too long", say: pulling(31).item(2, itemTransfer).ints(1, 700, 17, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "strong sums of a negative length", say: pulling(31).item(2, itemTransfer).ints(1, 700, -1, 0), code: ExitProtocol, text: "impossible sums"},
		{name: "a remainder above the block", say: pulling(31).item(2, itemTransfer).ints(1, 700, 2, 701), code: ExitProtocol, text: "impossible sums"},
		{name: "a negative remainder", say: pulling(31).item(2, itemTransfer).ints(1, 700, 2, -1), code: ExitProtocol, text: "impossible sums"},
		{name: "blocks of half a gibibyte", say: pulling(29).item(2, itemTransfer).ints(1, 1<<29, 2, 0).raw(make([]byte, 6)).ints(99), code: ExitProtocol, text: "index 99"},
		{name: "more sums than are kept", long: func() *said {
			return pulling(31).item(2, itemTransfer).ints(5_100_000, 700, 16, 0).data(make([]byte, 20*5_100_000)).item(99, 0)
		}, code: ExitProtocol, text: "index 99"},
		{name: "sums of a large file that fall silent", say: pulling(31).item(4, itemTransfer).ints(20_000, 700, 4, 0).data(make([]byte, 8*15_000)), code: ExitTimeout, text: "nothing came from the client"},
		{name: "sums of a large file that fall silent, protocol 29", say: pulling(29).item(4, itemTransfer).ints(20_000, 700, 4, 0).raw(make([]byte, 8*15_000)), code: ExitTimeout, text: "nothing came from the client"},
		{name: "sums of a large file that break off", say: pulling(31).item(4, itemTransfer).ints(20_000, 700, 4, 0).data(make([]byte, 8*15_000)).raw(frame(200, nil)), code: ExitProtocol, text: "unknown message 200"},
		{name: "sums of a large file, and an end", say: pulling(31).item(4, itemTransfer).ints(20_000, 700, 4, 0).data(make([]byte, 8*15_000)).raw(frame(msgErrorExit, appendInt(nil, 20))), code: 20, quietly: true},
		{name: "sums that match everything", say: pulling(31).item(4, itemTransfer).ints(8, 700, 0, 100).data(make([]byte, 8*4)).item(99, 0), code: ExitProtocol, text: "index 99"},
		{name: "a request after the last", say: pulling(31).done().done().done().item(2, itemTransfer), code: ExitProtocol, text: "after the last"},

		{name: "names without an end", command: "rsync --server --sender -Re.LsfxC --files-from=- --from0 . src", say: pulling(31).data(bytes.Repeat([]byte("a"), 5000)), code: ExitProtocol, text: "more than 4096 bytes"},
		{name: "more names than files may be listed", command: "rsync --server --sender -Re.LsfxC --files-from=- --from0 . src", say: pulling(31).data(bytes.Repeat([]byte("a\x00"), 1001)), code: ExitFileIO, text: "too long"},
		{name: "names that climb", command: "rsync --server --sender -Re.LsfxC --files-from=- --from0 . src", say: pulling(31).text("../../etc/passwd\x00/etc/passwd\x00\x00"), code: ExitPartial, text: "etc/passwd\" failed: No such file"},
		{name: "a list that names itself again and again", command: "rsync --server --sender -re.LsfxC . " + strings.Repeat("src/ ", 150), say: pulling(31).item(99, 0), code: ExitProtocol, text: "of 5"},
		{name: "an argument that climbs", command: "rsync --server --sender -re.LsfxC . ../../etc/passwd", say: pulling(31), code: ExitPartial, text: "Permission denied"},
		{name: "an argument that climbs, relative", command: "rsync --server --sender -rRe.LsfxC . src/../../etc", say: pulling(31), code: ExitPartial, text: "Permission denied"},
		{name: "an absolute argument", command: "rsync --server --sender -re.LsfxC . /etc/passwd", say: pulling(31), code: ExitPartial, text: "No such file"},
		{name: "a list of names on the server that climbs", command: "rsync --server --sender -re.LsfxC --files-from=../../etc/passwd . src", say: pulling(31), code: ExitFileIO, text: "failed to open files-from file"},
	}
}

func TestHostileClientsOfPulls(t *testing.T) {
	for _, c := range hostilePulls() {
		t.Run(c.name, func(t *testing.T) {
			if c.command == "" {
				c.command = pullCommand
			}
			c.run(t, &Server{Source: smallTree(), MaxFiles: 1000, Idle: time.Minute})
		})
	}
}

// jail gives a folder, and one beside it that nothing may change.
func jail(t *testing.T) (d Dir, inside string, untouched func()) {
	t.Helper()
	work := t.TempDir()
	inside, outside := filepath.Join(work, "jail"), filepath.Join(work, "outside")
	write(t, filepath.Join(outside, "secret"), []byte("secret"), 0o600, theTime)
	write(t, filepath.Join(inside, "dst", "here"), []byte("here"), 0o600, theTime)
	settle(t, outside)
	before := snapshot(t, outside)
	root, err := os.OpenRoot(inside)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Dir{root}, inside, func() {
		t.Helper()
		if after := snapshot(t, outside); after != before {
			t.Errorf("outside of the folder:\n%s", difference(before, after))
		}
		if list, err := os.ReadDir(work); err != nil || len(list) != 2 {
			t.Errorf("beside the folder: %v %v", list, err)
		}
	}
}
