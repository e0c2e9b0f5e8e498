package sftpd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/sftpd"

	"github.com/pkg/sftp"
)

// The traps of serving SFTP with this library, each of which once killed a process or broke a client.
func TestTraps(t *testing.T) {
	h := newHouse(t, nil)
	c, r := h.sftp(), h.raw()

	t.Run("attributes that are announced and then missing are refused, not a fault", func(t *testing.T) {
		r.status(badMessage, 9, "/user", 4)
		r.status(badMessage, 9, "/user", 0xf, []byte("xyz"))
		handle := r.open("/user/attributes", wireWrite|wireCreate)
		r.status(badMessage, 10, handle, 4)
		r.status(isOK, 10, handle, 4, 0o600)
		r.status(isOK, 4, handle)
		kind, _ := r.ask(3, "/user/attributes2", wireWrite|wireCreate, 4) // open that claims permissions, as sshfs does
		if kind != 102 && kind != 101 {
			t.Errorf("open gave type %d", kind)
		}
	})
	t.Run("a refusal is told as one, not as a failure", func(t *testing.T) {
		for name, err := range map[string]error{
			"put":    justErr(c.Create("/server/x")),
			"mkdir":  c.Mkdir("/server/x"),
			"rm":     c.Remove("/server/parquet/sales/orders.parquet"),
			"rename": c.Rename("/server/parquet/sales/orders.parquet", "/user/x"),
			"chmod":  c.Chmod("/server/parquet/sales/orders.parquet", 0o777),
			"ln":     c.Link("/server/parquet/sales/orders.parquet", "/user/x"),
			"chown":  c.Chown("/user", 0, 0),
		} {
			if !errors.Is(err, os.ErrPermission) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.Stat("/server/nothing"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what is not there: %v", err)
		}
	})
	t.Run("relative paths begin at the root, which is home", func(t *testing.T) {
		for path, want := range map[string]string{".": "/", "": "/", "server": "/server", "./server/": "/server", "~": "/", "~/server": "/server", "/~/server/../user": "/user", "../../etc/passwd": "/etc/passwd"} {
			if got, err := c.RealPath(path); err != nil || got != want {
				t.Errorf("realpath of %q is %q, %v; want %q", path, got, err, want)
			}
		}
		for _, path := range []string{"server/docs/schema.yml", "./server/docs/schema.yml", "/~/server/docs/schema.yml", "~/server/docs/schema.yml"} {
			if _, err := c.Stat(path); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
	t.Run("appending goes to the end, whatever the offset", func(t *testing.T) {
		ok(t, os.WriteFile(filepath.Join(h.dir, "home", "eva", "user", "log"), []byte("one\n"), 0o640))
		a, b := r.open("/user/log", wireWrite|wireAppend), r.open("/user/log", wireWrite|wireAppend|wireCreate)
		r.status(isOK, 6, a, uint64(0), "two\n")
		r.status(isOK, 6, b, uint64(0), "three\n")
		r.status(isOK, 6, a, uint64(99), "four\n")
		r.status(isOK, 4, a)
		r.status(isOK, 4, b)
		if text := read(t, c, "/user/log"); text != "one\ntwo\nthree\nfour\n" {
			t.Errorf("the file is %q", text)
		}
	})
	t.Run("a handle stays that of the file that was opened", func(t *testing.T) {
		ok(t, os.WriteFile(filepath.Join(h.dir, "home", "eva", "user", "new"), []byte("other"), 0o640))
		handle := r.open("/user/old", wireRead|wireWrite|wireCreate)
		r.status(isOK, 6, handle, uint64(0), "12")
		ok(t, c.Rename("/user/old", "/user/older"))
		ok(t, c.PosixRename("/user/new", "/user/old"))
		if kind, body := r.ask(8, handle); kind != 105 || binary.BigEndian.Uint64(body[4:]) != 2 {
			t.Errorf("fstat: type %d %x", kind, body)
		}
		r.status(isOK, 10, handle, 1|8, uint64(1), 1000, 2000) // size, atime, mtime
		r.status(isOK, 4, handle)
		if info, err := c.Stat("/user/older"); err != nil || info.Size() != 1 || info.ModTime().Unix() != 2000 {
			t.Errorf("the renamed file: %v, %v", info, err)
		}
		if text := read(t, c, "/user/old"); text != "other" {
			t.Errorf("the file that took its name is %q", text)
		}
	})
	t.Run("a handle that was never given, or is closed, is no handle", func(t *testing.T) {
		given := r.open("/user/given", wireRead|wireWrite|wireCreate)
		var next int
		if _, err := fmt.Sscanf(given, "f%d", &next); err != nil {
			t.Fatal(err)
		}
		for _, handle := range []string{fmt.Sprint("f", next+1), fmt.Sprint(next), fmt.Sprint(next + 1), "", "-1", "x", strings.Repeat("9", 100)} {
			r.status(failed, 5, handle, uint64(0), 10)
			r.status(failed, 6, handle, uint64(0), "text")
			r.status(failed, 8, handle)
			r.status(failed, 10, handle, 0)
			r.status(failed, 12, handle)
			r.status(failed, 4, handle)
		}
		r.status(isOK, 4, given)
		r.status(failed, 5, given, uint64(0), 10)
	})
	t.Run("a session that ends with files open ends well", func(t *testing.T) {
		dir := h.client()
		out, code := stock(t, dir, "get server/docs/schema.yml\n", "sftp", "-q", "-F", "ssh_config", "-b", "-", "aida")
		if code != 0 {
			t.Errorf("sftp ended with %d: %s", code, out)
		}
		if out, code := stock(t, dir, "", "scp", "-q", "-F", "ssh_config", "aida:server/docs/schema.yml", "copy"); code != 0 {
			t.Errorf("scp ended with %d: %s", code, out)
		}
	})
}

func justErr[T any](_ T, err error) error { return err }

func TestExtensionsWorkAsAnnounced(t *testing.T) {
	h := newHouse(t, nil)
	c, r := h.sftp(), h.raw()
	for _, name := range []string{"limits@openssh.com", "fsync@openssh.com", "lsetstat@openssh.com", "statvfs@openssh.com", "fstatvfs@openssh.com", "copy-data",
		"posix-rename@openssh.com", "hardlink@openssh.com", "expand-path@openssh.com", "home-directory"} {
		if _, announced := c.HasExtension(name); !announced {
			t.Errorf("%s is not announced", name)
		}
	}
	const extended = 200
	t.Run("limits", func(t *testing.T) {
		_, body := r.ask(extended, "limits@openssh.com")
		for i, want := range []uint64{262144, 261120, 261120, 256} {
			if got := binary.BigEndian.Uint64(body[8*i:]); got != want {
				t.Errorf("limit %d is %d, want %d", i, got, want)
			}
		}
		handle := r.open("/user/large", wireWrite|wireRead|wireCreate)
		r.status(isOK, 6, handle, uint64(0), strings.Repeat("x", 261120)) // the largest write that is promised
		if kind, body := r.ask(5, handle, uint64(0), 261120); kind != 103 || len(body) != 4+261120 {
			t.Errorf("the largest read gave type %d, %d bytes", kind, len(body))
		}
		r.status(isOK, 4, handle)
	})
	t.Run("expand-path and home-directory", func(t *testing.T) {
		for _, x := range [][3]string{{"expand-path@openssh.com", "~/server", "/server"}, {"expand-path@openssh.com", "x/../y", "/y"}, {"home-directory", "eva", "/"}} {
			if kind, body := r.ask(extended, x[0], x[1]); kind != 104 || !bytes.Contains(body, []byte("\x00\x00\x00"+string(rune(len(x[2])))+x[2])) {
				t.Errorf("%s %s: type %d %q", x[0], x[1], kind, body)
			}
		}
	})
	t.Run("fsync", func(t *testing.T) {
		handle := r.open("/user/f", wireWrite|wireCreate)
		r.status(isOK, extended, "fsync@openssh.com", handle)
		r.status(isOK, 4, handle)
		r.status(failed, extended, "fsync@openssh.com", handle)
		r.status(badMessage, extended, "fsync@openssh.com")
	})
	t.Run("statvfs and fstatvfs tell the quota", func(t *testing.T) {
		disk, err := c.StatVFS("/user")
		ok(t, err)
		if disk.TotalSpace() != 64<<20 || disk.Files != 1000 || disk.Bfree >= disk.Blocks {
			t.Errorf("%+v", disk)
		}
		handle := r.open("/user/f", wireRead)
		if kind, body := r.ask(extended, "fstatvfs@openssh.com", handle); kind != 201 || len(body) != 88 || binary.BigEndian.Uint64(body[16:]) != disk.Blocks {
			t.Errorf("type %d %x", kind, body)
		}
		r.status(isOK, 4, handle)
	})
	t.Run("copy-data", func(t *testing.T) {
		from, to := r.open("/server/parquet/sales/orders.parquet", wireRead), r.open("/user/copy", wireWrite|wireCreate|wireTruncate)
		r.status(isOK, extended, "copy-data", from, uint64(7), uint64(0), to, uint64(2))
		r.status(isOK, extended, "copy-data", from, uint64(0), uint64(2), to, uint64(0))
		r.status(denied, extended, "lsetstat@openssh.com", "/server", 4, 0o777)
		if text := read(t, c, "/user/copy"); text != "orof today" {
			t.Errorf("the copy is %q", text)
		}
		r.status(badMessage, extended, "copy-data", to, uint64(0), uint64(1), from, uint64(0)) // into what is read-only
		r.status(badMessage, extended, "copy-data", to, uint64(0), uint64(1), to, uint64(0))
		r.status(failed, extended, "copy-data", from, uint64(0), uint64(0), to, uint64(1<<40)) // beyond the quota
		r.status(badMessage, extended, "copy-data", from, uint64(1<<63), uint64(0), to, uint64(0))
		r.status(isOK, 4, from)
		r.status(isOK, 4, to)
	})
	t.Run("lsetstat changes the link, not what it leads to", func(t *testing.T) {
		ok(t, os.WriteFile(filepath.Join(h.dir, "home", "eva", "user", "target"), nil, 0o640))
		ok(t, c.Symlink("target", "/user/link"))
		before, err := c.Stat("/user/target")
		ok(t, err)
		r.status(isOK, extended, "lsetstat@openssh.com", "/user/link", 8, 3000, 4000)
		if info, err := c.Lstat("/user/link"); err != nil || info.ModTime().Unix() != 4000 || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link: %v %v", info, err)
		}
		if info, err := c.Stat("/user/link"); err != nil || !info.ModTime().Equal(before.ModTime()) {
			t.Errorf("the target: %v %v", info, err)
		}
		r.status(noSuchFile, extended, "lsetstat@openssh.com", "/user/none", 8, 3000, 4000)
	})
	t.Run("what is not known is unsupported", func(t *testing.T) { r.status(unsupported, extended, "check-file-name", "/user/f") })
}

// Requests that a client sends without waiting must all be answered, the shim's among the library's.
func TestRequestsInFlightAreAllAnswered(t *testing.T) {
	h := newHouse(t, nil)
	r := h.raw()
	handle := r.open("/user/many", wireRead|wireWrite|wireCreate)
	r.status(isOK, 6, handle, uint64(0), strings.Repeat("x", 200_000))
	const n = 2000
	go func() {
		for i := range n {
			body := binary.BigEndian.AppendUint32(nil, uint32(1_000_000+i))
			text := func(s string) { body = append(binary.BigEndian.AppendUint32(body, uint32(len(s))), s...) }
			switch i % 3 {
			case 0:
				text(handle)
				body = append(binary.BigEndian.AppendUint64(body, 0), 0, 3, 0, 0) // 192 KiB
				r.send(5, body)
			case 1:
				text(handle)
				r.send(8, body)
			case 2:
				text("fsync@openssh.com")
				text(handle)
				r.send(200, body)
			}
		}
	}()
	seen := map[uint32]byte{}
	for range n {
		kind, body := r.receive()
		seen[binary.BigEndian.Uint32(body)-1_000_000] = kind
	}
	for i := range uint32(n) {
		if want := []byte{103, 105, 101}[i%3]; seen[i] != want {
			t.Fatalf("request %d was answered by type %d, want %d", i, seen[i], want)
		}
	}
}

// What a person may not see leaves no trace in anything that a client can ask.
func TestAHiddenTableLeavesNoTrace(t *testing.T) {
	h := newHouse(t, nil)
	c, r := h.sftp(), h.raw()
	var all strings.Builder
	w := c.Walk("/")
	for w.Step() {
		ok(t, w.Err())
		fmt.Fprintln(&all, w.Path())
		if w.Stat().Mode().IsRegular() {
			all.WriteString(read(t, c, w.Path()))
		}
	}
	for _, command := range []string{"tables", "tables --json", "status", "status --json", "whoami", "help"} {
		out, _ := h.run(h.dial(), command)
		all.WriteString(out)
	}
	if !strings.Contains(all.String(), "orders") {
		t.Fatal("the walk saw nothing")
	}
	for _, trace := range []string{"payroll", "hr/", "Wages", "secret"} {
		if strings.Contains(all.String(), trace) {
			t.Errorf("%q shows", trace)
		}
	}
	// A hidden name answers, byte for byte, as a name that nobody ever had.
	for _, kind := range []byte{3, 7, 9, 11, 13, 14, 15, 16, 17, 18, 19} {
		var replies [2]string
		for i, name := range []string{"hr", "zz"} {
			for _, path := range []string{"/server/parquet/" + name, "/server/parquet/" + name + "/payroll.parquet", "/server/parquet/" + name + "/"} {
				got, body := r.ask(kind, path, 1, 0, "/user/t", 0)
				replies[i] += fmt.Sprintf("%d %s\n", got, strings.ReplaceAll(string(body), name, "NAME"))
			}
		}
		if replies[0] != replies[1] {
			t.Errorf("requests of type %d tell hidden from missing:\n%s\n%s", kind, replies[0], replies[1])
		}
	}
}

func TestQuotaIsToldAndKept(t *testing.T) {
	h := newHouse(t, func(o *sftpd.Options) { o.HomeQuota, o.HomeFiles = 1<<20, 20 })
	c := h.sftp()
	f, err := c.Create("/user/big")
	ok(t, err)
	if _, err := io.Copy(f, strings.NewReader(strings.Repeat("x", 2<<20))); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("two megabytes into one: %v", err)
	}
	ok(t, f.Close())
	ok(t, c.Remove("/user/big"))
	f, err = c.Create("/user/small")
	ok(t, err)
	if _, err := f.WriteAt([]byte("x"), 1<<40); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("a hole of a terabyte: %v", err)
	}
	if err := f.Truncate(2 << 20); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("truncate to more than there is: %v", err)
	}
	ok(t, f.Truncate(1<<19))
	ok(t, f.Close())
	for i := range 30 {
		if err = c.Mkdir(fmt.Sprintf("/user/d%d", i)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "files are used") {
		t.Errorf("thirty folders of twenty: %v", err)
	}
}

func TestTimesAndModesOfUploads(t *testing.T) {
	h := newHouse(t, nil)
	c := h.sftp()
	f, err := c.Create("/user/script.sh")
	ok(t, err)
	ok(t, f.Close())
	at := time.Unix(1_600_000_000, 0)
	ok(t, c.Chtimes("/user/script.sh", at, at))
	ok(t, c.Chmod("/user/script.sh", 0o4777))
	info, err := c.Stat("/user/script.sh")
	ok(t, err)
	if !info.ModTime().Equal(at) || info.Mode() != 0o700 {
		t.Errorf("%v %v", info.ModTime(), info.Mode())
	}
	ok(t, c.Chmod("/user/script.sh", 0))
	if text := read(t, c, "/user/script.sh"); text != "" {
		t.Error(text)
	}
	if st, isStat := info.Sys().(*sftp.FileStat); !isStat || st.UID != 0 || st.GID != 0 {
		t.Errorf("the server's own account shows: %+v", info.Sys())
	}
}

// What WinSCP does on the wire: it asks where it is, describes ".", uploads under a .filepart name with attributes set
// afterwards, resumes by offset, and renames over the old file.
func TestWinSCPHabits(t *testing.T) {
	h := newHouse(t, nil)
	c, r := h.sftp(), h.raw()
	for _, path := range []string{".", "/", "/user/.", "/user/./", ""} {
		if kind, _ := r.ask(17, path); kind != 105 {
			t.Errorf("stat of %q gave type %d", path, kind)
		}
		if kind, _ := r.ask(16, path); kind != 104 {
			t.Errorf("realpath of %q gave type %d", path, kind)
		}
	}
	handle := r.open("/user/report.xlsx.filepart", wireWrite|wireCreate|wireTruncate)
	r.status(isOK, 6, handle, uint64(0), "first ")
	r.status(isOK, 4, handle)
	handle = r.open("/user/report.xlsx.filepart", wireWrite) // the connection broke: resume
	if _, body := r.ask(8, handle); binary.BigEndian.Uint64(body[4:]) != 6 {
		t.Errorf("fstat: %x", body)
	}
	r.status(isOK, 6, handle, uint64(6), "second")
	r.status(isOK, 10, handle, 4|8, 0o644, 1_600_000_000, 1_600_000_000)
	r.status(isOK, 4, handle)
	r.status(isOK, 9, "/user/report.xlsx.filepart", 8, 1_600_000_001, 1_600_000_001)
	r.status(isOK, 18, "/user/report.xlsx.filepart", "/user/report.xlsx")
	handle = r.open("/user/report.xlsx.filepart", wireWrite|wireCreate|wireExclusive)
	r.status(isOK, 6, handle, uint64(0), "newer")
	r.status(isOK, 4, handle)
	r.status(failed, 18, "/user/report.xlsx.filepart", "/user/report.xlsx") // the plain rename never replaces
	r.status(isOK, 200, "posix-rename@openssh.com", "/user/report.xlsx.filepart", "/user/report.xlsx")
	if text := read(t, c, "/user/report.xlsx"); text != "newer" {
		t.Errorf("the report is %q", text)
	}
	for flags, want := range map[int]byte{wireCreate: 102, wireTruncate | wireCreate: 102, wireAppend: 102, wireRead | wireWrite: 102, wireWrite | wireTruncate: 102, 0: 101, wireExclusive: 101, wireWrite | wireCreate | wireExclusive: 101} {
		if kind, body := r.ask(3, "/user/report.xlsx", flags, 0); kind != want {
			t.Errorf("open with flags %#x gave type %d %q, want %d", flags, kind, body, want)
		}
	}
	r.status(denied, 3, "/server/docs/schema.yml", wireWrite, 0)
	r.status(denied, 3, "/server/docs/schema.yml", wireRead|wireWrite, 0)
	if kind, _ := r.ask(3, "/server/docs/schema.yml", wireRead, 0); kind != 102 {
		t.Errorf("a plain read gave type %d", kind)
	}
}
