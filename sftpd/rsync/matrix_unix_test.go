//go:build unix

package rsync

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPullsAreThoseOfRsync(t *testing.T)  { compare(t, slices.Concat(calls, pulls), true) }
func TestPushesAreThoseOfRsync(t *testing.T) { compare(t, slices.Concat(calls, pushes), false) }

// compare makes all calls to both hosts, with the newest protocol and every third also with one of the older ones; AIDA_TORTURE takes all
// calls through all protocols.
func compare(t *testing.T, list []call, pull bool) {
	for i, c := range list {
		first := max(oldest, c.since)
		protocols := []int{newest}
		if i%3 == 0 {
			protocols = append(protocols, first+i/3%(newest-first))
		}
		if os.Getenv("AIDA_TORTURE") != "" {
			protocols = []int{27, 28, 29, 30, 31, 32}[first-oldest:]
		}
		for _, p := range protocols {
			t.Run(fmt.Sprintf("%s, protocol %d", c.name, p), func(t *testing.T) {
				t.Parallel()
				theirs := runCall(t, c, p, pull, false)
				ours := runCall(t, c, p, pull, true)
				if theirs != ours {
					t.Errorf("rsync %s\n%s", c.args, difference(theirs, ours))
				}
			})
		}
	}
}

// runCall gives all that can be seen of a call.
func runCall(t *testing.T, c call, protocol int, pull, ours bool) string {
	work := t.TempDir()
	remote, local := filepath.Join(work, "remote"), filepath.Join(work, "local")
	from, to := local, remote
	if pull {
		from, to = remote, local
	}
	for _, dir := range []string{remote, local} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sourceTree(t, filepath.Join(from, "src"))
	for _, name := range []string{"names", "names0"} {
		copyFile(t, filepath.Join(from, "src", name), filepath.Join(local, name))
		copyFile(t, filepath.Join(from, "src", name), filepath.Join(remote, name))
	}
	write(t, filepath.Join(local, "rules"), []byte("- *.txt\n; a comment\n- sub/\n"), 0o644, theTime)
	write(t, filepath.Join(local, "explicit"), []byte("+ **/x.txt\n+ **/sub-b/***\n- **/text.txt\n- **/times/***\n+ */\n- *\n"), 0o644, theTime)
	if err := os.Mkdir(filepath.Join(to, "dst"), 0o755); err != nil {
		t.Fatal(err)
	}
	if c.dst != nil {
		c.dst(t, filepath.Join(to, "dst"))
	}
	if strings.Contains(c.args, "../same") {
		older(t, filepath.Join(to, "same"))
	}
	theirShell, rsh := remoteShells(t, remote)
	if !ours {
		rsh = theirShell
	}
	stdout, stderr, code := client(t, local, rsh, append(c.words(pull), fmt.Sprintf("--protocol=%d", protocol))...)
	if protocol < 30 { // these have no warnings: they go out as one or the other
		stdout, stderr = stdout+stderr, ""
	}
	return fmt.Sprintf("exit code %d\n== out\n%s== errors\n%s== client\n%s== server\n%s", code, normal(stdout), normal(stderr), snapshot(t, local), snapshot(t, remote))
}

// words gives the command line of a call: the places of the far side get a host.
func (c call) words(pull bool) (out []string) {
	places := strings.Count(" "+c.args, " {}")
	only := places == 1
	for a := range strings.FieldsSeq(" " + c.args) {
		if place, ok := strings.CutPrefix(a, "{}"); ok {
			places--
			if isSource := places > 0 || only; isSource == pull {
				place = "h:" + place
			}
			a = place
		} else if strings.Contains(a, "--filter=") {
			a = strings.Replace(a, "_", " ", 1)
		}
		out = append(out, a)
	}
	return out
}

var (
	numbers  = regexp.MustCompile(`(?m)^(opening connection using|(rsync: \[\w+\] )?write error: Broken pipe|total: matches=|rsync: connection unexpectedly closed|rsync error: (errors|error in) |building file list|\*deleting +$|sent |total size is .* speedup|File list (size|generation|transfer)|Total bytes (sent|received)| *\d+ files(\.\.\.| to consider)|receiving |sending ).*\n|[\d.,]+[kMG]?B/s|\d+:\d\d:\d\d`)
	progress = regexp.MustCompile(`^ +[\d,]+ +\d+% *(\(xfr#\d+, \w+-chk=\d+/\d+\))?`) // another process of the client may print behind it, in the same line
	tempName = regexp.MustCompile(`(\.[^ /"]+)\.[A-Za-z0-9]{6}"`)
	ending   = regexp.MustCompile(`at \w+\.c\(\d+\) \[\w+=[\d.]+\]`)
	role     = regexp.MustCompile(`(?m)^rsync: \[\w+\] `)
	absolute = regexp.MustCompile(`"(/[^"]*/remote|/[^"]*?/local)/`)
)

// normal takes out of a text what differs from run to run, what one side says of its own end, and the order of lines, as the two sides print at once.
func normal(s string) string {
	s = numbers.ReplaceAllString(s, "")
	s = tempName.ReplaceAllString(s, `$1.XXXXXX"`)
	s = ending.ReplaceAllString(s, "")
	s = absolute.ReplaceAllString(s, `"`)
	s = role.ReplaceAllString(s, "")
	var lines []string
	for l := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if l = progress.ReplaceAllString(l, ""); strings.TrimSpace(l) != "" {
			lines = append(lines, l+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// snapshot describes all files of a folder.
func snapshot(t testing.TB, root string) string {
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		what := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(p)
		case info.Mode().IsRegular():
			what = fmt.Sprintf("%d %.12x", info.Size(), contentSum(t, p))
			_, _, links := identity(info)
			what += fmt.Sprintf(" x%d", links)
		}
		when := info.ModTime().UTC().Format(time.RFC3339Nano)
		if since := time.Since(info.ModTime()); since < time.Hour && since > -time.Hour {
			when = "now"
		}
		fmt.Fprintf(&b, "%q %v %s %s\n", rel, info.Mode(), when, what)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func contentSum(t testing.TB, name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}

func difference(theirs, ours string) string {
	count := map[string]int{}
	for l := range strings.Lines(theirs) {
		count[l]++
	}
	var b strings.Builder
	for l := range strings.Lines(ours) {
		if count[l]--; count[l] < 0 {
			b.WriteString("  ours:   " + l)
		}
	}
	for l, n := range count {
		for ; n > 0; n-- {
			b.WriteString("  theirs: " + l)
		}
	}
	return b.String()
}
