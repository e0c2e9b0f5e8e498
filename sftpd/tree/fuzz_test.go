package tree_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aida/sftpd/tree"
)

// FuzzResolve does everything that a client can do with two paths, among links that lead out, and looks whether anything
// outside /user was read or touched.
func FuzzResolve(f *testing.F) {
	for _, p := range []string{"", "/", "user", "server/parquet/sales/orders.parquet", "user/../../outside/secret", "user/out/secret", "user/abs/secret", "user/deep/two/beside", "~/user/a", "user/dangling", "user/loop/x",
		"CLAUDE.local.md", "user/a/b/../../..", "/server/parquet/hr/payroll.parquet", "user//./x\x00", "user/\xff", strings.Repeat("../", 50) + "etc/passwd"} {
		f.Add(p, "user/b")
		f.Add("user/b", p)
		f.Add(p, "../"+p)
	}
	w := newWorld(f)
	beside := filepath.Join(w.o.Home, "beside")
	ok(f, os.WriteFile(beside, []byte("secret"), 0o640))
	outside := filepath.Join(w.dir, "outside")
	f.Fuzz(func(t *testing.T, p, q string) {
		ok(t, os.RemoveAll(w.user))
		ok(t, os.MkdirAll(filepath.Join(w.user, "deep"), 0o750))
		x := w.open(t)
		for link, target := range map[string]string{"out": "../../../outside", "abs": outside, "home": "..", "dangling": "nowhere", "loop": "loop", "deep/two": "../.."} {
			ok(t, os.Symlink(target, filepath.Join(w.user, link)))
		}
		c := tree.Clean(p)
		if !strings.HasPrefix(c, "/") || tree.Clean(c) != c && !strings.HasPrefix(c, "/~") || strings.Contains(c+"/", "/../") || strings.Contains(c[1:], "//") {
			t.Fatalf("Clean(%q) is %q", p, c)
		}
		if text := content(x, p); strings.Contains(text, "secret") && !strings.HasPrefix(text, "error") || strings.Contains(text, "payroll") && !strings.HasPrefix(text, "error") {
			t.Fatalf("%q gives %q", p, text)
		}
		if list, err := x.ReadDir(p); err == nil {
			for _, i := range list {
				if i.Name() == "secret" || i.Name() == "beside" || i.Name() == "payroll.parquet" {
					t.Fatalf("%q lists %s", p, i.Name())
				}
			}
		}
		mode, size := fs.FileMode(0o777), int64(3)
		if f, err := x.Create(p, os.O_RDWR|os.O_CREATE|os.O_TRUNC); err == nil {
			_, _ = f.WriteAt([]byte("mine"), 0)
			f.Close()
		}
		_, _ = x.Stat(p, true)
		_, _ = x.Readlink(p)
		_ = x.Mkdir(p)
		_ = x.Symlink(q, p)
		_ = x.Link(p, q)
		_ = x.Set(p, tree.Attributes{Mode: &mode, Size: &size})
		_ = x.SetLink(q, tree.Attributes{Mode: &mode})
		_ = x.Rename(p, q, true)
		_ = x.Rename(q, p, false)
		_ = x.Remove(p, false)
		_ = x.Remove(q, true)
		for place, want := range map[string]string{beside: "secret", filepath.Join(outside, "secret"): "secret"} {
			if got, err := os.ReadFile(place); err != nil || string(got) != want {
				t.Fatalf("%s now holds %q, %v", place, got, err)
			}
		}
		for dir, want := range map[string]string{outside: "secret", filepath.Dir(w.o.Home): "eva"} {
			list, err := os.ReadDir(dir)
			if err != nil || len(list) != 1 || list[0].Name() != want {
				t.Fatalf("%s now holds %v, %v", dir, list, err)
			}
		}
		list, err := os.ReadDir(w.o.Home)
		ok(t, err)
		for _, e := range list {
			if n := e.Name(); n != "user" && n != "beside" && n != "CLAUDE.local.md" && n != ".analyst_requirements.txt" || n != "user" && !e.Type().IsRegular() {
				t.Fatalf("beside user/ there is %s now", e)
			}
		}
	})
}
