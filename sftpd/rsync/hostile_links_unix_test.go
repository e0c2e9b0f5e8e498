//go:build unix

package rsync

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// swapping is a sink in which somebody else, at a certain call, puts a link out of the tree in the place of a folder.
type swapping struct {
	Dir
	inside string
	when   string // create, rename, mkdir, mode, time, remove or list
	done   *bool
}

func (s swapping) swap(when string) {
	if when != s.when || *s.done {
		return
	}
	*s.done = true
	dst := filepath.Join(s.inside, "dst")
	if err := os.Rename(dst, dst+".was"); err != nil {
		panic(err)
	}
	if err := os.Symlink("../outside", dst); err != nil {
		panic(err)
	}
}

func (s swapping) Create(name string, flags int) (Writable, error) {
	s.swap("create")
	return s.Dir.Create(name, flags)
}
func (s swapping) Rename(from, to string) error { s.swap("rename"); return s.Dir.Rename(from, to) }
func (s swapping) Mkdir(name string) error      { s.swap("mkdir"); return s.Dir.Mkdir(name) }
func (s swapping) SetMode(name string, m os.FileMode) error {
	s.swap("mode")
	return s.Dir.SetMode(name, m)
}
func (s swapping) SetTime(name string, at time.Time) error {
	s.swap("time")
	return s.Dir.SetTime(name, at)
}
func (s swapping) Remove(name string, dir bool) error {
	s.swap("remove")
	return s.Dir.Remove(name, dir)
}
func (s swapping) ReadDir(name string) ([]os.FileInfo, error) {
	s.swap("list")
	return s.Dir.ReadDir(name)
}

// TestALinkThatComesInDuringAPushLeadsNowhere swaps the destination for a link out of the tree at each kind of call, with the ways
// of a receiver to write: the push fails or is not complete, and nothing outside changes.
func TestALinkThatComesInDuringAPushLeadsNowhere(t *testing.T) {
	for _, when := range []string{"create", "rename", "mkdir", "mode", "time", "remove", "list"} {
		for _, options := range []string{"-a", "-a --inplace", "-a --append-verify", "-ab", "-a --partial-dir=.p", "-a --delay-updates", "-aK", "-a --delete-after"} {
			t.Run(when+" "+options, func(t *testing.T) {
				d, inside, untouched := jail(t)
				local := t.TempDir()
				write(t, filepath.Join(local, "secret"), []byte("another, and a longer one"), 0o666, theTime.Add(time.Hour))
				write(t, filepath.Join(local, "sub", "x"), []byte("x"), 0o644, theTime)
				write(t, filepath.Join(inside, "dst", "secret"), []byte("another"), 0o644, theTime)
				write(t, filepath.Join(inside, "dst", "gone"), []byte("gone"), 0o644, theTime)
				done := false
				rsh := serverShell(t, &Server{Source: d, Sink: swapping{d, inside, when, &done}})
				if when == "list" || when == "remove" {
					options += " --delete"
				}
				out, errs, code := client(t, local, rsh, append(strings.Fields(options), "./", "h:dst/")...)
				untouched()
				if !done {
					t.Skipf("no such call is made: code %d, %s", code, errs)
				}
				if code == 0 && when != "time" && when != "mode" {
					t.Errorf("the push went well: %s", out)
				}
			})
		}
	}
}

// Links that were there before are followed below the tree only.
func TestLinksInADestinationLeadNowhere(t *testing.T) {
	for _, c := range []struct {
		name, link, target, args string
		want                     string
	}{
		{"as the destination", "out", "../outside", "-a ./ h:out/", "escapes"},
		{"as the destination, with its path made", "out", "../outside", "-a --mkpath ./ h:out/new/", "escapes"},
		{"as the destination of a file", "out", "../outside/secret", "-a --inplace secret h:out", ""},
		{"as a folder of the destination", "dst/sub", "../../outside", "-aK ./ h:dst/", ""},
		{"as a file of the destination", "dst/secret", "../../outside/secret", "-a --inplace ./ h:dst/", ""},
		{"as a file to append to", "dst/secret", "../../outside/secret", "-a --append ./ h:dst/", ""},
		{"absolute, as a file of the destination", "dst/secret", "/etc/hosts", "-a --inplace ./ h:dst/", ""},
		{"as the partial dir", "dst/.p", "../../outside", "-a --partial-dir=.p ./ h:dst/", ""},
		{"as the partial dir of what waits", "dst/.p", "../../outside", "-a --delay-updates --partial-dir=.p ./ h:dst/", "escapes"},
		{"as the backup dir", "dst/attic", "../../outside", "-ab --backup-dir=attic ./ h:dst/", "escapes"},
		{"as a backup", "dst/here~", "../../outside/secret", "-ab --inplace ./ h:dst/", ""},
		{"as what is deleted", "dst/out", "../../outside", "-a --delete --force ./ h:dst/", ""},
		{"as a folder above", "dst/way", "../../outside", "-aR --no-implied-dirs way/new/x h:dst/", ""},
		{"as a merge file", "dst/.m", "../../outside/secret", "-a --delete --filter=:_.m ./ h:dst/", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, inside, untouched := jail(t)
			local := t.TempDir()
			for _, name := range []string{"secret", "here", "sub/secret", "way/new/x"} {
				write(t, filepath.Join(local, name), []byte("of the client: "+name), 0o666, theTime.Add(time.Hour))
			}
			if err := os.Symlink(c.target, filepath.Join(inside, c.link)); err != nil {
				t.Fatal(err)
			}
			rsh := serverShell(t, &Server{Source: d, Sink: d})
			var args []string
			for a := range strings.FieldsSeq(c.args) {
				args = append(args, strings.Replace(a, ":_", ": ", 1))
			}
			out, errs, code := client(t, local, rsh, args...)
			if c.want != "" && (code == 0 || !strings.Contains(errs, c.want)) {
				t.Errorf("code %d, %s%s", code, out, errs)
			}
			untouched()
		})
	}
}

// A client that sends a link, and then a file below it, gets nothing through it.
func TestALinkOfTheListLeadsNowhere(t *testing.T) {
	for _, letters := range []string{"ltpr", "ltprK", "ltprR", "ltprKH"} {
		for _, target := range []string{"../../outside", "/etc", "../../../../../../../../tmp"} {
			for _, folder := range []bool{false, true} {
				t.Run(fmt.Sprint(letters, " ", target, folder), func(t *testing.T) {
					d, _, untouched := jail(t)
					ndx, code := int32(1), ExitStream
					s := say(31).link("l", target).entry("l/x-of-the-client", modeFile|0o644, 5).entry("l/d", modeDir|0o755, 0)
					if folder { // it wins over the link, but the link was there first
						s.entry("l", modeDir|0o755, 0)
						ndx = 2
					}
					s.end().wait().item(ndx, itemTransfer|itemNew).ints(0, 0, 0, 0).ints(5).text("hello").ints(0).data(make([]byte, 16)).wait()
					a := attack(t, &Server{Source: d, Sink: d, Idle: time.Minute}, fmt.Sprintf("rsync --server -%se.LsfxC . dst/", letters), s, false)
					if a.code != code || !strings.Contains(a.told, "l/x-of-the-client") {
						t.Errorf("code %d: %s", a.code, a.told)
					}
					untouched()
					for _, dir := range []string{"/etc", "/tmp"} {
						if _, err := os.Lstat(path.Join(dir, "x-of-the-client")); err == nil {
							t.Errorf("a file came to %s", dir)
						}
					}
				})
			}
		}
	}
}
