//go:build linux

package script_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/services/script"
	"aida/services/script/sandbox"
	"aida/store"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && sandbox.Stage(os.Args[1]) {
		os.Exit(sandbox.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// place is an appliance with one author, eva, and somebody else, bob.
type place struct {
	t     *testing.T
	dir   string
	store *store.Store
	eva   store.User
	s     *script.Service
	now   time.Time
	log   bytes.Buffer
}

func (p *place) Lay(context.Context, store.User) (string, func(), error) {
	return filepath.Join(p.dir, "server"), func() {}, nil
}

func newPlace(t *testing.T) *place {
	t.Helper()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("python3 is missing: install it, or run `make clients`")
	}
	p := &place{t: t, dir: t.TempDir(), now: time.Now()}
	var err error
	if p.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(p.dir, "aida.db"), Now: func() time.Time { return p.now }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	for _, name := range []string{"eva", "bob"} {
		u, err := p.store.AddUser(t.Context(), "test", store.NewUser{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if name == "eva" {
			p.eva = u
		}
	}
	p.file("server/parquet/sales/orders.parquet", "rows")
	p.file("home/bob/user/diary.txt", "bob's diary")
	p.open(sandbox.Limits{Wall: time.Minute, Memory: 256 << 20}) // on a slow machine, too, scripts come to their end
	return p
}

// open gives the service a sandbox with these limits.
func (p *place) open(l sandbox.Limits) {
	p.t.Helper()
	box, err := sandbox.New(sandbox.Options{Limits: l})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { box.Close() })
	p.s = script.New(script.Options{Box: box, Store: p.store, Tree: p, Homes: filepath.Join(p.dir, "home"), Pictures: filepath.Join(p.dir, "images"), Limits: box.Limits(),
		Log: slog.New(slog.NewTextHandler(&p.log, nil)), Now: func() time.Time { return p.now }})
}

func (p *place) file(name, text string) {
	p.t.Helper()
	to := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(text), 0o640); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) script(name, code string) { p.file("home/eva/user/notifications/"+name, code) }

// inbox gives eva's alerts, oldest first, as state: title: message.
func (p *place) inbox() (out []store.Alert) {
	p.t.Helper()
	out, err := p.store.Inbox(p.t.Context(), p.eva.ID, 0, 1000)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *place) last() store.Alert {
	p.t.Helper()
	list := p.inbox()
	if len(list) == 0 {
		p.t.Fatalf("eva was told nothing\n%s", p.log.String())
	}
	return list[len(list)-1]
}

func TestAScriptTellsItsAuthorAndIsQuietWhileItsCooldownLasts(t *testing.T) {
	p := newPlace(t)
	p.script("revenue.py", `
import json, os
assert os.path.exists("server/parquet/sales/orders.parquet")
print(json.dumps({"notify": True, "title": "Revenue", "message": "down *12 %*", "cooldown": "6h", "data": {"x": 1}}))
`)
	p.s.Round(t.Context())
	a := p.last()
	if a.Title != "Revenue" || a.Message != "down *12 %*" || a.Script != "revenue" || a.Source != "script:eva/revenue.py" || a.Audience != "user eva" {
		t.Errorf("%+v", a)
	}
	ran := p.known("revenue.py").RanAt
	p.now = p.now.Add(5*time.Hour + 59*time.Minute)
	p.s.Round(t.Context())
	if x := p.known("revenue.py"); len(p.inbox()) != 1 || !x.RanAt.Equal(ran) {
		t.Errorf("it ran within its cool-down: %+v", x)
	}
	p.now = p.now.Add(time.Minute)
	p.s.Round(t.Context())
	if len(p.inbox()) != 2 {
		t.Error("nothing came behind the cool-down")
	}
}

func TestOnDemandNoCooldownCountsAndNoneBegins(t *testing.T) {
	p := newPlace(t)
	p.script("revenue.py", `print('{"notify": true, "message": "down", "cooldown": "1d"}')`)
	for range 2 {
		if told, err := p.s.Now(t.Context(), p.eva, "revenue.py"); err != nil || !told {
			t.Fatal(told, err)
		}
	}
	if len(p.inbox()) != 2 || !p.known("revenue.py").SentAt.IsZero() {
		t.Errorf("%v", p.inbox())
	}
	p.s.Round(t.Context())
	p.s.Round(t.Context())
	if len(p.inbox()) != 3 {
		t.Errorf("%d alerts", len(p.inbox()))
	}
	for _, name := range []string{"other.py", "../revenue.py", "/etc/passwd", "", "revenue"} {
		if _, err := p.s.Now(t.Context(), p.eva, name); store.CodeOf(err) != store.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What a script prints, and what comes of it. An empty title means that nothing is told.
func TestTheContractOfWhatAScriptPrints(t *testing.T) {
	p := newPlace(t)
	for i, c := range []struct{ name, out, title, message string }{
		{"nothing at all", ``, "", ""},
		{"no", `{"notify": false, "title": "x"}`, "", ""},
		{"an empty object", `{}`, "", ""},
		{"a title alone", `{"notify": true, "title": "T"}`, "T", ""},
		{"a message alone", `{"notify": true, "message": "M"}`, "STEM", "M"},
		{"a cooldown that is no text", `{"notify": true, "title": "T", "cooldown": 6}`, "T", ""},
		{"fields that are null", `{"notify": true, "title": "T", "message": null, "image_path": null}`, "T", ""},
		{"Python's numbers that are none", `{"notify": true, "title": "NaN", "message": "-Infinity \" NaN", "data": {"a": NaN, "b": [-Infinity, Infinity]}}`, "NaN", `-Infinity " NaN`},
		{"a word that is none of them", `{"notify": true, "title": "T", "data": NaNs}`, "Your script NAME fails", "something else than one JSON object"},
		{"white space around it", "\n\n {\"notify\": true, \"title\": \"T\"} \n", "T", ""},
		{"no text at all", `{"notify": true}`, "Your script NAME fails", "without a title, a message or a picture"},
		{"an array", `[1]`, "Your script NAME fails", "something else than one JSON object: [1]"},
		{"null", `null`, "Your script NAME fails", "something else than one JSON object"},
		{"words", `all is well`, "Your script NAME fails", "all is well"},
		{"a line before it", "debug\n{}", "Your script NAME fails", "debug"},
		{"two objects", "{}\n{}", "Your script NAME fails", "more than one JSON object"},
		{"notify that is text", `{"notify": "yes", "title": "T"}`, "Your script NAME fails", `"notify" must be true or false, not "yes"`},
		{"a title that is a number", `{"notify": true, "title": 7}`, "Your script NAME fails", `"title" must be text, not 7`},
		{"a picture that is not there", `{"notify": true, "title": "T", "image_path": "/tmp/no.png"}`, "T", "(The picture was left out: there is no such file.)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("s%d.py", i)
			p.script(name, "import sys; sys.stdout.write("+fmt.Sprintf("%q", c.out)+")")
			defer os.Remove(filepath.Join(p.dir, "home/eva/user/notifications", name))
			before := len(p.inbox())
			p.s.Round(t.Context())
			if c.title == "" {
				if len(p.inbox()) != before {
					t.Errorf("told: %+v", p.last())
				}
				return
			}
			a := p.last()
			want := strings.NewReplacer("NAME", name, "STEM", strings.TrimSuffix(name, ".py")).Replace(c.title)
			if len(p.inbox()) != before+1 || a.Title != want || !strings.Contains(a.Message, c.message) {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestAFailingScriptIsToldOnceADayAndWhenItWorksAgain(t *testing.T) {
	p := newPlace(t)
	p.script("a.py", "raise ValueError('no such table: orders')")
	p.script("b.py", `print('{"notify": true, "title": "the others run"}')`)
	p.s.Round(t.Context())
	list := p.inbox()
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	var a store.Alert
	for _, x := range list {
		if x.Script == "a" {
			a = x
		}
	}
	if a.Title != "Your script a.py fails" || !strings.Contains(a.Message, "It ended with the exit code 1: ValueError: no such table: orders\n```\nTraceback") || !strings.Contains(a.Message, "ValueError: no such table: orders") {
		t.Errorf("%+v", a)
	}
	if strings.Contains(a.Message, p.dir) {
		t.Errorf("a path of this machine is told: %s", a.Message)
	}
	p.now = p.now.Add(30 * time.Minute)
	p.s.Round(t.Context())
	if len(p.inbox()) != 2 {
		t.Errorf("told again at once: %+v", p.last())
	}
	p.script("a.py", "print('{}')")
	p.s.Round(t.Context())
	if a := p.last(); a.State != store.Recovered || a.Title != "Your script a.py works" {
		t.Errorf("%+v", a)
	}
}

func TestHostileScriptsAreContainedAndTheirAuthorGetsASentence(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct{ name, code, sentence string }{
		{"ten gigabytes", "x = bytearray(10 << 30)", "It needed more than the 256 MiB of memory"},
		{"ten gigabytes by many", "import os, time\nfor i in range(40):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (250 << 20); time.sleep(100)\ntime.sleep(100)", "It was stopped as it needed more than 256 MiB of memory."},
		{"a network call", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/')", "It ended with the exit code 1: urllib.error.URLError: <urlopen error [Errno"},
		{"a network call by name", "import urllib.request; urllib.request.urlopen('https://example.com/')", "Temporary failure in name resolution"},
		{"another one's home", fmt.Sprintf("print(open(%q).read())", filepath.Join(p.dir, "home/bob/user/diary.txt")), "FileNotFoundError"},
		{"a link to the passwords", "import os; os.symlink('/etc/shadow', '/tmp/x'); print(open('/tmp/x').read())", "FileNotFoundError"},
		{"a write to its own home", "open('user/notifications/more.py', 'w')", "Read-only file system"},
		{"endless output", "while True: print('x' * 1000)", "It was stopped as it printed more than 1024 KiB."},
		{"its own end by a signal", "import os; os.kill(os.getpid(), 11)", "It was ended by the signal SIGSEGV."},
		{"a shell that goes on behind it", "import subprocess; subprocess.Popen(['sleep', '1000']); raise SystemExit(3)", "It ended with the exit code 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.script("bad.py", c.code)
			_, err := p.s.Now(t.Context(), p.eva, "bad.py")
			if store.CodeOf(err) != store.Invalid || !strings.Contains(err.Error(), c.sentence) || strings.Contains(err.Error(), "diary\n") {
				t.Errorf("%v", err)
			}
			if x := p.known("bad.py"); !strings.Contains(x.Error, c.sentence) {
				t.Errorf("noted: %q", x.Error)
			}
		})
	}
	p.open(sandbox.Limits{Wall: time.Second, Memory: 256 << 20})
	for what, code := range map[string]string{"a fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "one that never ends": "while True: pass"} {
		p.script("bad.py", code)
		if _, err := p.s.Now(t.Context(), p.eva, "bad.py"); store.CodeOf(err) != store.Invalid || !strings.Contains(err.Error(), "It was stopped after 1s.") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("a script's fault was taken for ours:\n%s", p.log.String())
	}
}

func TestAScriptThatBecomesALinkIsNone(t *testing.T) {
	p := newPlace(t)
	p.script("x.py", "print('{}')")
	at := filepath.Join(p.dir, "home/eva/user/notifications/x.py")
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/shadow", at); err != nil {
		t.Fatal(err)
	}
	if list, err := p.s.List(t.Context(), p.eva); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	// It may become one between the look and the run: then the sandbox has no such file.
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	p.script("x.py", "print('{}')")
	swapping := p.s
	*swapping = *script.New(script.Options{Box: swap{p, at}, Store: p.store, Tree: p, Homes: filepath.Join(p.dir, "home"), Pictures: filepath.Join(p.dir, "images"), Now: func() time.Time { return p.now }})
	if _, err := swapping.Now(t.Context(), p.eva, "x.py"); err == nil || !strings.Contains(err.Error(), "No such file or directory") || strings.Contains(err.Error(), "root:") {
		t.Errorf("%v", err)
	}
}

// swap puts a link in the script's place at the last moment.
type swap struct {
	p  *place
	at string
}

func (s swap) Run(ctx context.Context, j sandbox.Job) (*sandbox.Result, error) {
	if err := os.Remove(s.at); err != nil {
		return nil, err
	}
	if err := os.Symlink("/etc/shadow", s.at); err != nil {
		return nil, err
	}
	box, err := sandbox.New(sandbox.Options{})
	if err != nil {
		return nil, err
	}
	defer box.Close()
	return box.Run(ctx, j)
}

func TestPicturesAreTakenWhenTheyAreBearable(t *testing.T) {
	p := newPlace(t)
	var small bytes.Buffer
	img := image.NewRGBA(image.Rect(0, 0, 40, 20))
	img.Set(3, 3, color.RGBA{255, 0, 0, 255})
	if err := png.Encode(&small, img); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		wrong string
	}{
		{"a small one", small.Bytes(), ""},
		{"one that is cut off", small.Bytes()[:small.Len()-20], "it is damaged or cut off"},
		{"a bomb of 30,000 by 30,000 pixels in a few kilobytes", bomb(30_000, 30_000), "it is 30000 by 30000 pixels"},
		{"one with the size of a bomb", bomb(1<<31-1, 1<<31-1), "it is"},
		{"text", []byte("<svg onload=alert(1)>"), "it is no PNG or JPEG"},
		{"nothing", nil, "it is no PNG or JPEG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.file("home/eva/user/artifacts/chart.png", string(c.bytes))
			p.script("chart.py", `
import json, shutil
shutil.copy("user/artifacts/chart.png", "/tmp/notify_eva.png")
print(json.dumps({"notify": True, "message": "look", "image_path": "/tmp/notify_eva.png"}))`)
			if told, err := p.s.Now(t.Context(), p.eva, "chart.py"); err != nil || !told {
				t.Fatal(told, err)
			}
			a := p.last()
			if c.wrong != "" {
				if a.Image != "" || !strings.Contains(a.Message, "(The picture was left out: "+c.wrong) {
					t.Errorf("%+v", a)
				}
				return
			}
			got, err := os.ReadFile(filepath.Join(p.dir, "images", a.Image))
			if err != nil || !bytes.Equal(got, c.bytes) || len(a.Image) < 26 || !strings.HasSuffix(a.Image, ".png") {
				t.Errorf("%q, %v", a.Image, err)
			}
		})
	}
	list, err := os.ReadDir(filepath.Join(p.dir, "images"))
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// bomb is a PNG that says it is large and whose data unfold to a lot.
func bomb(w, h uint32) []byte {
	var out bytes.Buffer
	out.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		_ = binary.Write(&out, binary.BigEndian, uint32(len(data)))
		body := append([]byte(kind), data...)
		out.Write(body)
		_ = binary.Write(&out, binary.BigEndian, crc32.ChecksumIEEE(body))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	chunk("IHDR", append(head, 8, 2, 0, 0, 0))
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	_, _ = z.Write(make([]byte, 4<<20))
	z.Close()
	chunk("IDAT", data.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

func TestWhatIsSwitchedOffSaysSo(t *testing.T) {
	p := newPlace(t)
	off := script.New(script.Options{Store: p.store, Tree: p, Homes: filepath.Join(p.dir, "home")})
	p.script("x.py", "print('{}')")
	if _, err := off.Now(t.Context(), p.eva, "x.py"); err == nil || !strings.Contains(err.Error(), "an admin switches them on with scripts.enabled") {
		t.Errorf("%v", err)
	}
	if list, err := off.List(t.Context(), p.eva); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := off.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func (p *place) known(name string) store.Script {
	p.t.Helper()
	list, err := p.s.List(p.t.Context(), p.eva)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, x := range list {
		if x.Name == name {
			return x
		}
	}
	return store.Script{}
}
