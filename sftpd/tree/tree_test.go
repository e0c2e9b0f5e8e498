package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"aida/sftpd/tree"
	"aida/store"
)

// world is a tree of the analyst eva with what stands around it on disk.
type world struct {
	*tree.Tree
	st    *store.Store
	eva   store.User
	dir   string // holds home/eva, and outside, which nobody may reach
	user  string // home/eva/user on disk
	quota *tree.Quota
	cache *tree.Cache
	o     tree.Options
}

func newWorld(t testing.TB, files ...store.File) *world {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	st, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "aida.db")})
	ok(t, err)
	t.Cleanup(func() { ok(t, st.Close()) })
	ok(t, st.SetCatalog(ctx, []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess}}, []store.Table{
		{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales", Definition: store.Definition{Description: "Orders",
			ForeignKeys: []store.ForeignKey{{Column: "wage", References: "payroll.id", Description: "secret reference"}, {Column: "id", References: "orders.id"}}}},
		{SourceID: "h.payroll", Name: "payroll", Folder: "hr", Dataset: "hr", Definition: store.Definition{Description: "Wages"}},
	}))
	if files == nil {
		files = []store.File{lakeFile("sales/orders-x.parquet"), lakeFile("sales/orders/2026_01.parquet"), lakeFile("sales/orders/2026_02.parquet"), lakeFile("sales/orders.parquet")}
	}
	tables, err := st.Tables(ctx)
	ok(t, err)
	for _, x := range tables {
		c := store.Change{TableID: x.ID, Files: files}
		if x.Name == "payroll" {
			c.Files = []store.File{lakeFile("hr/payroll.parquet")}
		}
		_, _, err := st.Publish(ctx, 0, "", []store.Change{c})
		ok(t, err)
	}
	u, err := st.AddUser(ctx, "test", store.NewUser{Name: "eva"})
	ok(t, err)
	outside := filepath.Join(dir, "outside")
	ok(t, os.MkdirAll(outside, 0o750))
	ok(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o640))
	w := &world{st: st, eva: u, dir: dir, user: filepath.Join(dir, "home", "eva", "user"), quota: &tree.Quota{Bytes: 1 << 20, Files: 200}, cache: tree.NewCache()}
	w.o = tree.Options{Home: filepath.Join(dir, "home", "eva"), Quota: w.quota, Cache: w.cache, Kit: fstest.MapFS{"scripts/sync.sh": {Data: []byte("#!/bin/sh\n")}},
		Lake: func(f store.File) (tree.File, error) { return text{strings.NewReader(f.Logical)}, nil }}
	w.Tree = w.open(t)
	return w
}

// open builds another tree of eva, as a second connection would.
func (w *world) open(t testing.TB) *tree.Tree {
	t.Helper()
	o := w.o
	var err error
	o.Pin, err = w.st.Pin(context.Background())
	ok(t, err)
	o.Access, err = w.st.Access(context.Background(), w.eva.ID)
	ok(t, err)
	x, err := tree.Open(o)
	ok(t, err)
	t.Cleanup(func() { ok(t, x.Close()) })
	return x
}

type text struct{ *strings.Reader }

func (text) Close() error { return nil }

func lakeFile(logical string) store.File {
	return store.File{Logical: logical, Physical: "p/" + logical, Size: int64(len(logical)), Rows: 1, Hash: fmt.Sprintf("%x", logical), ModTime: time.Unix(1_700_000_000, 0), Schema: []store.Column{{Name: "id", Type: "int64"}}}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, x *tree.Tree, p, text string) {
	t.Helper()
	f, err := x.Create(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	ok(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	ok(t, errors.Join(err, f.Close()))
}

func content(x *tree.Tree, p string) string {
	f, size, err := x.Open(p)
	if err != nil {
		return "error: " + err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

func names(x *tree.Tree, p string) string {
	list, err := x.ReadDir(p)
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	for _, i := range list {
		out = append(out, i.Name())
	}
	return strings.Join(out, " ")
}

func TestPathsResolveToOnePlace(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", ".": "/", "./": "/", "~": "/", "~/": "/", "/~": "/", "/~/": "/", "..": "/", "../../..": "/", "/..": "/",
		"server": "/server", "/server/": "/server", "./server": "/server", "~/server": "/server", "/~/server": "/server", "server//parquet": "/server/parquet", "server/./x": "/server/x",
		"server/../user": "/user", "user/../../etc/passwd": "/etc/passwd", "//etc": "/etc", "~eva": "/~eva", "user/~": "/user/~", "user/~/x": "/user/~/x", "user/a b": "/user/a b",
		"user/...": "/user/...", "user/..hidden": "/user/..hidden", `user\..\..`: `/user\..\..`, "user/\n": "/user/\n",
	} {
		if got := tree.Clean(in); got != want {
			t.Errorf("Clean(%q) is %q, want %q", in, got, want)
		}
	}
	w := newWorld(t)
	for _, p := range []string{"/server/parquet/sales/orders.parquet", "server/parquet/sales/orders.parquet", "./server/parquet/sales/../sales/orders.parquet", "~/server/parquet/sales/orders.parquet"} {
		if got := content(w.Tree, p); got != "sales/orders.parquet" {
			t.Errorf("%s holds %q", p, got)
		}
	}
	for _, p := range []string{"/user/" + strings.Repeat("x", 5000), "/user/" + strings.Repeat("d/", 200), "/user/\x00"} {
		if _, err := w.Stat(p, true); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("a path of %d bytes: %v", len(p), err)
		}
		if _, err := w.Create(p, os.O_CREATE|os.O_WRONLY); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("creating a path of %d bytes: %v", len(p), err)
		}
	}
}

func TestTheTreeHasItsFolders(t *testing.T) {
	w := newWorld(t)
	for dir, want := range map[string]string{
		"/": ".claude_rules .sync_settings.yaml server user", "/server": "docs examples metadata parquet scripts", "/server/parquet": "sales", "/server/parquet/sales": "orders orders-x.parquet orders.parquet",
		"/server/parquet/sales/orders": "2026_01.parquet 2026_02.parquet", "/server/scripts": "sync.sh", "/server/docs": "data_description.md schema.yml", "/server/metadata": "manifest.json sync_state.json views.sql",
		"/user": "artifacts duckdb notifications parquet scripts sessions", "/server/parquet/hr": "error: find /server/parquet/hr: file does not exist", "/server/docs/schema.yml": "error: list /server/docs/schema.yml: is not a folder",
	} {
		if got := names(w.Tree, dir); got != want {
			t.Errorf("%s lists %q, want %q", dir, got, want)
		}
	}
	// Everything that is listed can be described by its path, and says the same then.
	var walk func(dir string)
	walk = func(dir string) {
		list, err := w.ReadDir(dir)
		ok(t, err)
		if !slices.IsSortedFunc(list[:len(list)-min(len(list), 3)], func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) }) && dir != "/" {
			t.Errorf("%s is not in order", dir)
		}
		for _, i := range list {
			p := strings.TrimSuffix(dir, "/") + "/" + i.Name()
			again, err := w.Stat(p, false)
			ok(t, err)
			if again.Size() != i.Size() || again.Mode() != i.Mode() || !again.ModTime().Equal(i.ModTime()) || again.Name() != i.Name() {
				t.Errorf("%s is listed as %v and described as %v", p, i, again)
			}
			if i.ModTime().Before(time.Unix(1_600_000_000, 0)) {
				t.Errorf("%s is of %v", p, i.ModTime())
			}
			if i.IsDir() {
				walk(p)
			} else if got := content(w.Tree, p); int64(len(got)) != i.Size() {
				t.Errorf("%s holds %d bytes, not %d", p, len(got), i.Size())
			}
		}
	}
	walk("/")
}

// Links that were put there by whatever means lead nowhere outside /user.
func TestNothingOutsideUserIsReached(t *testing.T) {
	w := newWorld(t)
	ok(t, os.WriteFile(filepath.Join(w.o.Home, "beside"), []byte("secret"), 0o640))
	for link, target := range map[string]string{"etc": "/etc", "up": "../../../outside", "abs": filepath.Join(w.dir, "outside"), "home": "..", "beside": "../beside", "dangling": "nowhere", "loop": "loop", "escape": "../../../outside/new"} {
		ok(t, os.Symlink(target, filepath.Join(w.user, link)))
	}
	ok(t, os.Mkdir(filepath.Join(w.user, "deep"), 0o750))
	ok(t, os.Symlink("../..", filepath.Join(w.user, "deep", "two")))
	for _, p := range []string{"/user/etc/passwd", "/user/up/secret", "/user/abs/secret", "/user/home/beside", "/user/beside", "/user/deep/two/beside", "/user/home/user/home/beside", "/user/loop", "/user/escape",
		"/user/dangling", "/etc/passwd", "/beside", "/user/../beside", "/user/../../outside/secret", "/server/../../outside/secret", "user/../../../../../../../../etc/passwd"} {
		if got := content(w.Tree, p); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s holds %q", p, got)
		}
		if _, err := w.Stat(p, true); err == nil {
			t.Errorf("%s can be described", p)
		} else if strings.Contains(err.Error(), w.dir) {
			t.Errorf("%s: the error names a place of this machine: %v", p, err)
		}
		if p == "/user/dangling" {
			continue // a file may be made there
		}
		if f, err := w.Create(p, os.O_WRONLY|os.O_CREATE); err == nil {
			t.Errorf("%s can be written", p)
			f.Close()
		}
		for what, err := range map[string]error{"mkdir": w.Mkdir(p + "/x"), "link": w.Link(p, "/user/stolen"), "chmod": w.Set(p, tree.Attributes{Mode: new(fs.FileMode)}), "remove below": w.Remove(p+"/secret", false),
			"rename into": w.Rename("/user/duckdb", p+"/x", true), "list": justErr(w.ReadDir(p))} {
			if err == nil {
				t.Errorf("%s %s works", what, p)
			}
		}
	}
	for target, link := range map[string]string{"/etc": "/user/a", "../x": "/user/b", "../../..": "/user/deep/c", "": "/user/d", "x\x00y": "/user/e", "user/x": "/CLAUDE.local.md", "duckdb": "/.analyst_requirements.txt"} {
		if err := w.Symlink(target, link); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a link %s to %q: %v", link, target, err)
		}
	}
	for _, p := range []string{"/CLAUDE.local.md", "/.analyst_requirements.txt"} {
		if err := w.Mkdir(p); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a folder %s: %v", p, err)
		}
	}
	write(t, w.Tree, "/CLAUDE.local.md", "notes")
	for what, err := range map[string]error{
		"from user to a file beside it": w.Rename("/user/duckdb", "/CLAUDE.local.md", true), "and back": w.Rename("/CLAUDE.local.md", "/user/notes", true), "over the server": w.Rename("/CLAUDE.local.md", "/server/x", true),
		"the folder user": w.Rename("/user", "/user2", true), "something over the folder user": w.Rename("/user/duckdb", "/user", true), "a hard link beside user": w.Link("/user/x", "/CLAUDE.local.md"), "removing user": w.Remove("/user", true), "removing the root": w.Remove("/", true),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	left, err := os.ReadDir(filepath.Join(w.dir, "outside"))
	ok(t, err)
	if len(left) != 1 || content(w.Tree, "/CLAUDE.local.md") != "notes" {
		t.Errorf("outside holds %v", left)
	}
}

func justErr[T any](_ T, err error) error { return err }

func TestLinksWithinUserWork(t *testing.T) {
	w := newWorld(t)
	write(t, w.Tree, "/user/a", "text")
	ok(t, w.Symlink("a", "/user/soft"))
	ok(t, w.Symlink("../a", "/user/scripts/up"))
	ok(t, w.Link("/user/a", "/user/hard"))
	for _, p := range []string{"/user/soft", "/user/scripts/up", "/user/hard"} {
		if got := content(w.Tree, p); got != "text" {
			t.Errorf("%s holds %q", p, got)
		}
	}
	if got, err := w.Readlink("/user/scripts/up"); err != nil || got != "../a" {
		t.Errorf("the link says %q, %v", got, err)
	}
	if i, err := w.Stat("/user/soft", false); err != nil || i.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link itself: %v %v", i, err)
	}
	if _, err := w.Readlink("/user/a"); err == nil {
		t.Error("a plain file is read as a link")
	}
	if _, err := w.Readlink("/server/docs"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a folder of the server is read as a link: %v", err)
	}
	ok(t, w.Symlink("nowhere", "/user/dangling"))
	write(t, w.Tree, "/user/dangling", "made")
	if got := content(w.Tree, "/user/nowhere"); got != "made" {
		t.Errorf("through a dangling link: %q", got)
	}
	ok(t, w.Remove("/user/soft", false))
	if got := content(w.Tree, "/user/a"); got != "text" {
		t.Errorf("removing the link took the file: %q", got)
	}
}

func TestFilesResumeGrowAndMove(t *testing.T) {
	w := newWorld(t)
	write(t, w.Tree, "/user/part", "12345")
	f, err := w.Create("/user/part", os.O_RDWR)
	ok(t, err)
	_, err = f.WriteAt([]byte("678"), 5)
	ok(t, err)
	ok(t, f.Append([]byte("9")))
	b := make([]byte, 9)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "123456789" {
		t.Errorf("resumed: %q %v", b, err)
	}
	ok(t, errors.Join(f.Truncate(3), f.Close(), f.Close()))
	if got := content(w.Tree, "/user/part"); got != "123" {
		t.Errorf("truncated: %q", got)
	}
	if _, err := w.Create("/user/part", os.O_WRONLY|os.O_CREATE|os.O_EXCL); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusively: %v", err)
	}
	if _, err := w.Create("/user/none", os.O_WRONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without create: %v", err)
	}
	at := time.Unix(1_500_000_000, 123_000_000)
	ok(t, w.Set("/user/part", tree.Attributes{Mtime: &at}))
	if i, _ := w.Stat("/user/part", true); !i.ModTime().Equal(at) {
		t.Errorf("of %v", i.ModTime())
	}
	ok(t, w.Set("/user", tree.Attributes{Mtime: &at}))
	write(t, w.Tree, "/user/part.filepart", "whole")
	if err := w.Rename("/user/part.filepart", "/user/part", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("without replace: %v", err)
	}
	ok(t, w.Rename("/user/part.filepart", "/user/part", true))
	if got := content(w.Tree, "/user/part"); got != "whole" {
		t.Errorf("renamed: %q", got)
	}
	ok(t, w.Rename("/user/duckdb", "/user/scripts/duckdb", false))
	if err := w.Rename("/user/scripts", "/user/scripts/duckdb/x", false); err == nil {
		t.Error("a folder moved into itself")
	}
	if err := w.Remove("/user/scripts", true); err == nil {
		t.Error("a folder that is not empty was removed")
	}
	if err := w.Remove("/user/part", true); err == nil {
		t.Error("a file was removed as a folder")
	}
}

func TestAccessThatChangesShowsAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	see := func() string {
		return names(w.Tree, "/server/parquet") + content(w.Tree, "/server/docs/schema.yml") + content(w.Tree, "/server/metadata/manifest.json") + content(w.Tree, "/server/metadata/views.sql") +
			content(w.Tree, "/server/docs/data_description.md") + content(w.Tree, "/server/metadata/sync_state.json")
	}
	renew := func() {
		a, err := w.st.Access(ctx, w.eva.ID)
		ok(t, err)
		w.SetAccess(a)
	}
	for _, trace := range []string{"payroll", "hr", "Wages", "secret"} {
		if strings.Contains(see(), trace) {
			t.Errorf("%q shows without a grant", trace)
		}
	}
	ok(t, w.st.Grant(ctx, "test", "eva", false, "hr"))
	renew()
	for _, want := range []string{"payroll", "hr", "Wages", "secret reference"} {
		if !strings.Contains(see(), want) {
			t.Errorf("%q does not show with a grant", want)
		}
	}
	f, _, err := w.Open("/server/parquet/hr/payroll.parquet")
	ok(t, err)
	ok(t, w.st.Revoke(ctx, "test", "eva", false, "hr"))
	renew()
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an open file can still be read: %v", err)
	}
	if strings.Contains(see(), "payroll") {
		t.Error("the table still shows")
	}
}

// Documents of one user must never be served to another who sees other tables, whatever is shared between connections.
func TestWhatIsSharedBetweenConnectionsIsSharedByAccess(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	boss, err := w.st.AddUser(ctx, "test", store.NewUser{Name: "boss", Role: store.Admin})
	ok(t, err)
	eva, err := w.st.Access(ctx, w.eva.ID)
	ok(t, err)
	w.SetAccess(eva)
	all, err := w.st.Access(ctx, boss.ID)
	ok(t, err)
	o := w.o
	o.Home, o.Access = filepath.Join(w.dir, "home", "boss"), all
	o.Pin, err = w.st.Pin(ctx)
	ok(t, err)
	b, err := tree.Open(o)
	ok(t, err)
	defer b.Close()
	for range 2 {
		if got := content(b, "/server/metadata/manifest.json"); !strings.Contains(got, "payroll") {
			t.Error("the admin misses a table")
		}
		if got := content(w.Tree, "/server/metadata/manifest.json"); strings.Contains(got, "payroll") {
			t.Error("the analyst sees the admin's manifest")
		}
	}
	// A sync that found nothing new moves what the manifest tells, without a generation or a change of access.
	before := content(w.open(t), "/server/metadata/manifest.json")
	tables, err := w.st.Tables(ctx)
	ok(t, err)
	time.Sleep(2 * time.Millisecond)
	for _, x := range tables {
		ok(t, w.st.Unchanged(ctx, x.ID))
	}
	if after := content(w.open(t), "/server/metadata/manifest.json"); after == before {
		t.Error("a new connection gets the manifest of before the last sync")
	}
}
