package sftpd

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aida/sftpd/tree"
	"aida/store"

	"github.com/pkg/sftp"
)

// pipe is a channel whose client has sent all of in already. It hands it out in small pieces.
type pipe struct {
	in  *bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error) { return p.in.Read(b[:min(len(b), 7)]) }
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}
func (p *pipe) Close() error { return nil }

func packet(kind byte, fields ...any) []byte {
	var body []byte
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			body = appendString(body, f)
		case int:
			body = binary.BigEndian.AppendUint32(body, uint32(f))
		case uint64:
			body = binary.BigEndian.AppendUint64(body, f)
		}
	}
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1)), kind), body...)
}

// FuzzShim feeds a whole SFTP session of any bytes to the shim, the library and the handlers, and looks whether the server
// stays up, answers in whole packets, and keeps what is not the user's.
func FuzzShim(f *testing.F) {
	greet := packet(1, 3)
	open := packet(3, 1, "/user/f", 0x1b, 0)
	for _, seed := range [][]byte{
		nil, greet, append(greet, greet...), []byte("\xff\xff\xff\xff\x01"), packet(200, 1, "limits@openssh.com"),
		bytes.Join([][]byte{greet, packet(200, 1, "limits@openssh.com"), packet(200, 2, "expand-path@openssh.com", "~/x"), packet(200, 3, "home-directory", "eva")}, nil),
		bytes.Join([][]byte{greet, open, packet(6, 2, "f1", uint64(0), "text"), packet(5, 3, "f1", uint64(0), 10), packet(8, 4, "f1"), packet(10, 5, "f1", 0xf, uint64(3), 0, 0, 0o600, 1, 2), packet(4, 6, "f1")}, nil),
		bytes.Join([][]byte{greet, packet(3, 1, "/user/f", 0xe, 0), packet(6, 2, "f1", uint64(0), "text"), packet(200, 3, "fsync@openssh.com", "f1"), packet(200, 4, "fstatvfs@openssh.com", "f1")}, nil),
		bytes.Join([][]byte{greet, packet(3, 1, "/server/parquet/sales/orders.parquet", 1, 0), open, packet(200, 3, "copy-data", "f1", uint64(0), uint64(0), "f2", uint64(0))}, nil),
		bytes.Join([][]byte{greet, packet(11, 1, "/"), packet(12, 2, "1"), packet(12, 3, "1"), packet(17, 4, "/server"), packet(7, 5, "/user"), packet(16, 6, "."), packet(19, 7, "/user/x")}, nil),
		bytes.Join([][]byte{greet, packet(14, 1, "/user/d", 0), packet(15, 2, "/user/d"), packet(18, 3, "/user/f", "/user/g"), packet(13, 4, "/user/g"), packet(20, 5, "../../outside", "/user/l"), packet(9, 6, "/user", 4, 0o777)}, nil),
		bytes.Join([][]byte{greet, packet(200, 1, "lsetstat@openssh.com", "/user/l", 8, 1, 2), packet(200, 2, "posix-rename@openssh.com", "/user/f", "/user/g"), packet(200, 3, "hardlink@openssh.com", "/user/f", "/user/h"), packet(200, 4, "statvfs@openssh.com", "/")}, nil),
	} {
		f.Add(seed)
	}
	ctx := context.Background()
	dir := f.TempDir()
	st, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "aida.db")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { st.Close() })
	if err := st.SetCatalog(ctx, []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}}, []store.Table{
		{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales"}, {SourceID: "h.payroll", Name: "payroll", Folder: "hr", Dataset: "hr"}}); err != nil {
		f.Fatal(err)
	}
	tables, err := st.Tables(ctx)
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range tables {
		file := store.File{Logical: x.Folder + "/" + x.Name + ".parquet", Physical: x.Name, Size: 6, Hash: x.Name, ModTime: time.Unix(1_700_000_000, 0), Schema: []store.Column{{Name: "id", Type: "int64"}}}
		if _, _, err := st.Publish(ctx, 0, "", []store.Change{{TableID: x.ID, Files: []store.File{file}}}); err != nil {
			f.Fatal(err)
		}
	}
	u, err := st.AddUser(ctx, "test", store.NewUser{Name: "eva"})
	if err != nil {
		f.Fatal(err)
	}
	access, err := st.Access(ctx, u.ID)
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outside"), []byte("secret"), 0o600); err != nil {
		f.Fatal(err)
	}
	lake := func(x store.File) (tree.File, error) {
		if x.Physical != "orders" {
			panic("a hidden file was opened")
		}
		return lakeText{strings.NewReader("orders")}, nil
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		home := filepath.Join(dir, "home")
		if err := os.RemoveAll(home); err != nil {
			t.Fatal(err)
		}
		pin, err := st.Pin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := tree.Open(tree.Options{Pin: pin, Access: access, Lake: lake, Home: home, Quota: &tree.Quota{Bytes: 1 << 20, Files: 100}})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		h := &handlers{t: tr, log: slog.New(slog.DiscardHandler), busy: &atomic.Int32{}, done: make(chan struct{}), open: map[string]*openFile{}}
		p := &pipe{in: bytes.NewReader(input)}
		rs := sftp.NewRequestServer(newShim(p, h), sftp.Handlers{FileCmd: h, FileList: h}, sftp.WithRSAllocator(), sftp.WithRSMaxTxPacket(maxPacket))
		ended := make(chan struct{})
		go func() { _ = rs.Serve(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("the session hangs")
		}
		_ = rs.Close()
		h.closeAll()
		if n := h.busy.Load(); n != 0 {
			t.Errorf("%d files stay open", n)
		}
		p.mu.Lock()
		out := p.out.Bytes()
		p.mu.Unlock()
		for rest := out; len(rest) > 0; {
			size, body, ok := take32(rest)
			if !ok || size == 0 || int(size) > len(body) {
				t.Fatalf("half a packet at the end of %q", out)
			}
			rest = body[size:]
		}
		if bytes.Contains(out, []byte("secret")) && !bytes.Contains(input, []byte("secret")) || bytes.Contains(out, []byte("payroll")) && !bytes.Contains(input, []byte("payroll")) {
			t.Fatalf("something hidden shows: %q", out)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "outside")); err != nil || string(got) != "secret" {
			t.Fatalf("the file outside is now %q, %v", got, err)
		}
	})
}

type lakeText struct{ *strings.Reader }

func (lakeText) Close() error { return nil }

// The library's answers arrive whole and in order, in whatever pieces it writes them, and ours behind those to what came before.
func TestAnswersAreNeverMixed(t *testing.T) {
	h := &handlers{open: map[string]*openFile{}}
	p := &pipe{in: bytes.NewReader(nil)}
	s := newShim(p, h)
	if err := s.reply([]byte("too early")); err == nil {
		t.Error("an answer went out before the greeting")
	}
	library := [][]byte{packet(typeVersion, 3), packet(103, 1, strings.Repeat("x", 100_000)), packet(101, 2, 0), packet(103, 3, strings.Repeat("y", sshPacket)), packet(103, 4, "")}
	var kinds string
	for range 20 {
		for _, l := range library {
			s.pass(nil, 0)
			kinds += string(l[4])
		}
		kinds += "o"
		go func() {
			stream := bytes.Join(library, nil)
			for size := 1; len(stream) > 0; size = size*3 + 1 {
				n := min(size, len(stream))
				if _, err := s.Write(stream[:n]); err != nil {
					t.Error(err)
				}
				stream = stream[n:]
			}
		}()
		if err := s.settle(); err != nil {
			t.Fatal(err)
		}
		if err := s.reply([]byte("ours")); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for rest := p.out.Bytes(); len(rest) > 0; {
		size, body, ok := take32(rest)
		if !ok || int(size) > len(body) {
			t.Fatal("half a packet")
		}
		got += string(body[0])
		rest = body[size:]
	}
	if got != kinds {
		t.Errorf("packets %q, want %q", got, kinds)
	}
	s.pass(nil, 0)
	go s.Close()
	if err := s.settle(); err == nil {
		t.Error("the library has answered what it was asked behind its end")
	}
}
