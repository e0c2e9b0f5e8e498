//go:build unix

package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// referenceCalls are those of the sync script that analysts of the reference have, with what they make the server start.
var referenceCalls = []struct {
	name, args, server string
	pull               bool
}{
	{"the script itself", "-avz --quiet --timeout=30 {}src/ {}dst/", "--server --sender -vqlogDtprze --timeout=30 . src/", true},
	{"documents", "-avz --delete --timeout=300 --partial-dir=.rsync-partial --exclude=text.txt --exclude=sub/deep* {}src/ {}dst/", "--server --sender -vlogDtprze --timeout=300 . src/", true},
	{"documents, previewed", "-avz --delete --timeout=300 --partial-dir=.rsync-partial --exclude=text.txt --exclude=sub/deep* --dry-run {}src/ {}dst/", "--server --sender -vnlogDtprze --timeout=300 . src/", true},
	{"scripts, examples, metadata", "-avz --delete --timeout=300 --partial-dir=.rsync-partial {}src/ {}dst/", "--server --sender -vlogDtprze --timeout=300 . src/", true},
	{"tables", "-av --delete --progress --timeout=300 --partial-dir=.rsync-partial --exclude=sub/ --exclude=sub-b/ {}src/ {}dst/", "--server --sender -vlogDtpre --timeout=300 . src/", true},
	{"tables, previewed", "-av --delete --progress --timeout=300 --partial-dir=.rsync-partial --exclude=sub/ --exclude=sub-b/ --dry-run {}src/ {}dst/", "--server --sender -vnlogDtpre --timeout=300 . src/", true},
	{"tables, one by one", "-av --delete --progress --timeout=300 --partial-dir=.rsync-partial --filter=merge_explicit {}src/ {}dst/", "--server --sender -vlogDtpre --timeout=300 . src/", true},
	{"tables of a dataset", "-av --delete --progress --timeout=300 --partial-dir=.rsync-partial {}src/sub/ {}dst/", "--server --sender -vlogDtpre --timeout=300 . src/sub/", true},
	{"attachments", "-av --copy-links --progress --timeout=300 --partial-dir=.rsync-partial {}src/times/ {}dst/", "--server --sender -vlLogDtpre --timeout=300 . src/times/", true},
	{"documents of a dataset", "-avz --timeout=300 --partial-dir=.rsync-partial {}src/sub* {}dst/", "--server --sender -vlogDtprze --timeout=300 . src/sub*", true},
	{"the person's own folder", "-avz --delete --timeout=300 --partial-dir=.rsync-partial {}src/ {}dst/", "--server -vlogDtprze --timeout=300 --delete --partial-dir .rsync-partial . dst/", false},
	{"the person's own folder, previewed", "-avz --delete --timeout=300 --partial-dir=.rsync-partial --dry-run {}src/ {}dst/", "--server -vnlogDtprze --timeout=300 --delete --partial-dir .rsync-partial . dst/", false},
	{"first scripts", "-avz {}src/ {}dst/", "--server --sender -vlogDtprze . src/", true},
	{"first documents", "-avz --exclude=times/first* --exclude=sub_* {}src/ {}dst/", "--server --sender -vlogDtprze . src/", true},
	{"first tables", "-avz --progress --exclude=sub/ {}src/ {}dst/", "--server --sender -vlogDtprze . src/", true},
	{"first tables of a dataset", "-avz --progress {}src/sub/ {}dst/sub/", "--server --sender -vlogDtprze . src/sub/", true},
}

var capabilities = regexp.MustCompile(`(-\w+e)\d*\.\w+`)

// TestCallsOfTheReferenceAreThoseOfRsync makes each call, on a folder that is out of date, as new clients and those of macOS make it.
func TestCallsOfTheReferenceAreThoseOfRsync(t *testing.T) {
	for _, r := range referenceCalls {
		for _, p := range []int{newest, 31, 29} {
			t.Run(fmt.Sprintf("%s, protocol %d", r.name, p), func(t *testing.T) {
				t.Parallel()
				c := call{name: r.name, args: r.args, dst: extra}
				if theirs, ours := runCall(t, c, p, r.pull, false), runCall(t, c, p, r.pull, true); theirs != ours {
					t.Errorf("rsync %s\n%s", c.args, difference(theirs, ours))
				}
			})
		}
		t.Run(r.name+", as the server gets it", func(t *testing.T) {
			dir := t.TempDir()
			rsh, line := filepath.Join(dir, "rsh"), filepath.Join(dir, "line")
			if err := os.WriteFile(rsh, []byte("#!/bin/sh\nshift\nprintf %s \"$*\" >"+line+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "explicit"), nil, 0o644, theTime)
			write(t, filepath.Join(dir, "src", "f"), nil, 0o644, theTime)
			client(t, dir, rsh, call{args: r.args}.words(r.pull)...)
			got, err := os.ReadFile(line)
			if err != nil {
				t.Fatal(err)
			}
			if got := capabilities.ReplaceAllString(string(got), "$1"); got != "rsync "+r.server {
				t.Errorf("the server gets %q, not %q", got, r.server)
			}
			if o := parse(wordsOf(t, string(got))[1:]); o.refusal != nil {
				t.Error(o.refusal)
			}
		})
	}
}

func wordsOf(t *testing.T, line string) []word {
	t.Helper()
	words, err := split(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return words
}
