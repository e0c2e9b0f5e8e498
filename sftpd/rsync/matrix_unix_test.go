//go:build unix

package rsync

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// call is one command of a client: it is run against the installed rsync and against ours, and both must print the same,
// end with the same code, and leave the same trees on both sides.
type call struct {
	name string
	args string // SRC and DST stand for the two places, with a slash after SRC unless it is given with a suffix
	dst  func(t testing.TB, dir string)
}

// calls are the options that a client may give. {} is the source's name, as the side that it is on has it.
var calls = []call{
	{name: "archive into nothing", args: "-a {}src/ {}new"},
	{name: "the folder itself", args: "-a {}src {}dst/"},
	{name: "verbose", args: "-av {}src/ {}dst/"},
	{name: "very verbose", args: "-avv {}src/ {}dst/"},
	{name: "itemized", args: "-ai {}src/ {}dst/"},
	{name: "itemized with what is the same", args: "-aii {}src/ {}dst/", dst: older},
	{name: "recursive alone", args: "-r {}src/ {}dst/"},
	{name: "times alone", args: "-rt {}src/ {}dst/", dst: older},
	{name: "no recursion", args: "-v {}src/ {}dst/"},
	{name: "folders without their content", args: "-dlt {}src/ {}dst/"},
	{name: "compressed", args: "-az {}src/ {}dst/", dst: older},
	{name: "zstd", args: "-a --zc=zstd {}src/ {}dst/", dst: older},
	{name: "lz4", args: "-a --zc=lz4 {}src/ {}dst/", dst: older},
	{name: "zlibx", args: "-a --zc=zlibx {}src/ {}dst/", dst: older},
	{name: "zlib", args: "-a --zc=zlib {}src/ {}dst/", dst: older},
	{name: "compression level", args: "-az --zc=zlib --compress-level=9 {}src/ {}dst/", dst: older},
	{name: "md5", args: "-ac --cc=md5 {}src/ {}dst/", dst: older},
	{name: "md4 is not offered but known", args: "-ai --cc=md4 --whole-file {}src/ {}dst/", dst: older},
	{name: "xxh3", args: "-ac --cc=xxh3 {}src/ {}dst/", dst: older},
	{name: "xxh64", args: "-ac --cc=xxh64 {}src/ {}dst/", dst: older},
	{name: "xxh128", args: "-ac --cc=xxh128 {}src/ {}dst/", dst: older},
	{name: "sha1", args: "-ac --cc=sha1 {}src/ {}dst/", dst: older},
	{name: "no checksum", args: "-a --cc=none {}src/ {}dst/", dst: older},
	{name: "checksum seed", args: "-a --checksum-seed=7 {}src/ {}dst/", dst: older},
	{name: "by checksum", args: "-aci {}src/ {}dst/", dst: older},
	{name: "update only", args: "-aui {}src/ {}dst/", dst: newer},
	{name: "size only", args: "-ai --size-only {}src/ {}dst/", dst: older},
	{name: "ignoring times", args: "-aiI {}src/ {}dst/", dst: older},
	{name: "times within a window", args: "-ai --modify-window=3 {}src/ {}dst/", dst: older},
	{name: "times to the nanosecond", args: "-ai --modify-window=-1 {}src/ {}dst/", dst: older},
	{name: "whole files", args: "-aiW {}src/ {}dst/", dst: older},
	{name: "block size", args: "-ai -B 1000 {}src/ {}dst/", dst: older},
	{name: "existing", args: "-avv --existing {}src/ {}dst/", dst: older},
	{name: "ignore existing", args: "-avv --ignore-existing {}src/ {}dst/", dst: older},
	{name: "delete", args: "-ai --delete {}src/ {}dst/", dst: extra},
	{name: "delete before", args: "-ai --delete-before {}src/ {}dst/", dst: extra},
	{name: "delete during", args: "-ai --delete-during {}src/ {}dst/", dst: extra},
	{name: "delete delay", args: "-ai --delete-delay {}src/ {}dst/", dst: extra},
	{name: "delete after", args: "-ai --delete-after {}src/ {}dst/", dst: extra},
	{name: "delete as a preview", args: "-ain --delete {}src/ {}dst/", dst: extra},
	{name: "delete with a limit", args: "-ai --delete --max-delete=2 {}src/ {}dst/", dst: extra},
	{name: "delete with a limit of none", args: "-ai --delete --max-delete=0 {}src/ {}dst/", dst: extra},
	{name: "delete with a filter", args: "-ai --delete --exclude=*.tmp --exclude=/extra/keep {}src/ {}dst/", dst: extra},
	{name: "delete excluded", args: "-ai --delete-excluded --exclude=*.tmp {}src/ {}dst/", dst: extra},
	{name: "protect", args: "-ai --delete --filter=P_*.tmp {}src/ {}dst/", dst: extra},
	{name: "risk", args: "-ai --delete --filter=R_/extra/** --filter=P_* {}src/ {}dst/", dst: extra},
	{name: "hide and show", args: "-ai --delete --filter=S_b.bin --filter=H_*.bin {}src/ {}dst/", dst: extra},
	{name: "include and exclude", args: "-ai --include=*/ --include=*.bin --exclude=* {}src/ {}dst/"},
	{name: "anchored patterns", args: "-ai --exclude=/sub/deep --exclude=sub/*.t?t --exclude=[a-c].bin {}src/ {}dst/"},
	{name: "double stars", args: "-ai --exclude=sub/** --include=**/x --exclude=**.txt {}src/ {}dst/"},
	{name: "triple stars", args: "-ai --include=/sub/*** --exclude=* {}src/ {}dst/"},
	{name: "negated pattern", args: "-ai --filter=-!_*/ --filter=-_nothing {}src/ {}dst/"},
	{name: "merge files in folders", args: "-ai --filter=:_.rules {}src/ {}dst/", dst: extra},
	{name: "merge files and delete", args: "-ai -FF --delete --filter=dir-merge,en_.rules {}src/ {}dst/", dst: extra},
	{name: "what CVS ignores", args: "-aiC --delete {}src/ {}dst/", dst: extra},
	{name: "prune empty folders", args: "-aim --exclude=*.txt {}src/ {}dst/"},
	{name: "backup", args: "-aib {}src/ {}dst/", dst: older},
	{name: "backup with a suffix and delete", args: "-aib --suffix=.old --delete {}src/ {}dst/", dst: extra},
	{name: "backup into a folder", args: "-aib --backup-dir=attic --delete {}src/ {}dst/", dst: extra},
	{name: "backup in place", args: "-aib --inplace {}src/ {}dst/", dst: older},
	{name: "in place", args: "-ai --inplace {}src/ {}dst/", dst: older},
	{name: "append", args: "-ai --append {}src/ {}dst/", dst: shorter},
	{name: "append and verify", args: "-ai --append-verify {}src/ {}dst/", dst: shorter},
	{name: "append to what is wrong", args: "-ai --append-verify {}src/ {}dst/", dst: shorterWrong},
	{name: "partial", args: "-ai --partial {}src/ {}dst/", dst: shorter},
	{name: "partial dir", args: "-ai --partial-dir=.part {}src/ {}dst/", dst: partials},
	{name: "partial dir and delete", args: "-ai --delete --partial-dir=.part {}src/ {}dst/", dst: partials},
	{name: "delayed updates", args: "-ai --delay-updates {}src/ {}dst/", dst: older},
	{name: "fsync", args: "-ai --fsync {}src/ {}dst/", dst: older},
	{name: "preallocate and sparse", args: "-aiS --preallocate {}src/ {}dst/"},
	{name: "preview", args: "-ain {}src/ {}dst/", dst: older},
	{name: "preview into nothing", args: "-ain {}src/ {}new/"},
	{name: "stats and progress", args: "-a --info=progress2 --no-i-r {}src/ {}dst/"},
	{name: "permissions by chmod", args: "-ai --chmod=D750,F640 {}src/ {}dst/"},
	{name: "executability", args: "-rtiE {}src/ {}dst/", dst: older},
	{name: "no times of folders", args: "-aiO {}src/ {}dst/", dst: older},
	{name: "bandwidth", args: "-a --bwlimit=50000 {}src/ {}dst/"},
	{name: "timeout", args: "-a --timeout=30 {}src/ {}dst/"},
	{name: "copy links", args: "-rtiL {}src/sub {}dst/"},
	{name: "copy links that dangle", args: "-rtiL {}src/ {}dst/"},
	{name: "copy links to folders", args: "-aik {}src/ {}dst/"},
	{name: "safe links", args: "-av --safe-links {}src/ {}dst/"},
	{name: "copy unsafe links", args: "-ai --copy-unsafe-links {}src/sub {}dst/"},
	{name: "keep links to folders", args: "-aiK {}src/ {}dst/", dst: linked},
	{name: "links to folders are replaced", args: "-ai --force {}src/ {}dst/", dst: linked},
	{name: "another kind in the way", args: "-ai --delete {}src/ {}dst/", dst: otherKinds},
	{name: "a full folder in the way", args: "-ai {}src/ {}dst/", dst: otherKinds},
	{name: "hard links", args: "-aH {}src/ {}dst/"},
	{name: "hard links that are there", args: "-aH {}src/ {}dst/", dst: older},
	{name: "relative", args: "-aiR {}src/sub/deep {}dst/"},
	{name: "relative from a point", args: "-aiR {}src/./sub/deep {}dst/"},
	{name: "no implied folders", args: "-aiR --no-implied-dirs {}src/./sub/deep {}dst/"},
	{name: "one file to a name", args: "-ai {}src/b.bin {}dst/renamed"},
	{name: "one file into a folder", args: "-ai {}src/b.bin {}dst/"},
	{name: "one file to a new folder", args: "-ai {}src/b.bin {}new/"},
	{name: "one file to a missing folder", args: "-ai {}src/b.bin {}no/such/"},
	{name: "a folder to a file", args: "-ai {}src/ {}dst/b.bin", dst: older},
	{name: "with the path made", args: "-ai --mkpath {}src/b.bin {}new/a/b/c"},
	{name: "with the path to a folder made", args: "-aiv --mkpath {}src/ {}new/a/b/"},
	{name: "sizes", args: "-avv --max-size=100k --min-size=2 {}src/ {}dst/"},
	{name: "secluded arguments", args: "-ais {}src/ {}dst/"},
	{name: "old arguments", args: "-ai --old-args {}src/ {}dst/"},
	{name: "numeric ids", args: "-ai --numeric-ids {}src/ {}dst/"},
	{name: "access times", args: "-rtiU --exclude=* {}src/ {}dst/"},
	{name: "no incremental recursion", args: "-ai --no-i-r {}src/ {}dst/"},
	{name: "quiet", args: "-aq {}src/ {}dst/"},
	{name: "ignore errors", args: "-ai --delete --ignore-errors {}src/ {}dst/", dst: extra},
	{name: "fuzzy", args: "-aiy {}src/ {}dst/", dst: older},
	{name: "a missing source", args: "-ai {}nosuch {}dst/"},
	{name: "an empty folder", args: "-ai {}src/emptydir/ {}dst/"},
	{name: "an empty file", args: "-ai {}src/empty {}dst/"},
}

// pulls can only be asked of a sender.
var pulls = []call{
	{name: "several sources", args: "-ai {}src/b.bin :src/sub :src/b.bin dst/"},
	{name: "a pattern", args: "-ai {}src/*.bin dst/"},
	{name: "a pattern of folders", args: "-ai {}s*/sub/d[a-e]*/ dst/"},
	{name: "a pattern without a match", args: "-ai {}src/*.nosuch dst/"},
	{name: "a missing source among others", args: "-ai {}nosuch :src/b.bin dst/"},
	{name: "missing sources ignored", args: "-ai --ignore-missing-args {}nosuch :src/b.bin dst/"},
	{name: "names from a list", args: "-ai --files-from=names {}src/ dst/"},
	{name: "names from a list with zeros", args: "-ai --from0 --files-from=names0 {}src/ dst/"},
	{name: "names from a list, recursively", args: "-air --files-from=names {}src/ dst/"},
	{name: "names from a list of the other side", args: "-ai --files-from=:src/names {}src/ dst/"},
	{name: "names from a list without their folders", args: "-ai --no-relative --files-from=names {}src/ dst/"},
	{name: "a listing", args: "{}src/"},
	{name: "a listing of all", args: "-r --list-only {}src/"},
	{name: "a listing of one", args: "--list-only {}src"},
	{name: "a name with a quote", args: "-ai {}src/it's.txt dst/"},
	{name: "a name with a quote, secluded", args: "-ais {}src/it's.txt dst/"},
}

func TestPullsAreThoseOfRsync(t *testing.T) {
	compare(t, slices.Concat(calls, pulls), true)
}

func TestPushesAreThoseOfRsync(t *testing.T) { compare(t, calls, false) }

// compare runs calls with both servers. RSYNC_MATRIX=full takes all calls through all protocols.
func compare(t *testing.T, list []call, pull bool) {
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("rsync is not installed")
	}
	t.Setenv("LC_ALL", "C")
	for i, c := range list {
		protocols := []int{31}
		switch {
		case os.Getenv("RSYNC_MATRIX") == "full" || i < 2 || c.name == "compressed" || c.name == "delete":
			protocols = []int{27, 28, 29, 30, 31}
		case i%8 == 0:
			protocols = []int{29, 31}
		}
		for _, p := range protocols {
			if p < 31 && (strings.Contains(c.args, "--zc=") || strings.Contains(c.args, "--cc=")) {
				continue // decided without the other side, which may not follow
			}
			if p < 30 && strings.Contains(c.args, "U ") || p < 29 && strings.Contains(c.args, "--filter") || p < 29 && strings.Contains(c.args, "-FF") || p < 29 && strings.Contains(c.args, "C ") {
				continue // not part of these protocols
			}
			t.Run(fmt.Sprintf("%s, protocol %d", c.name, p), func(t *testing.T) {
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
	}
	if err := os.Mkdir(filepath.Join(to, "dst"), 0o755); err != nil {
		t.Fatal(err)
	}
	if c.dst != nil {
		c.dst(t, filepath.Join(to, "dst"))
	}
	var args []string
	for i, a := range strings.Fields(c.args) {
		if strings.HasPrefix(a, "{}") {
			isSource := strings.HasPrefix(a, "{}src") || strings.HasPrefix(a, "{}s*") || strings.HasPrefix(a, "{}nosuch")
			host := ""
			if isSource == pull {
				host = "h:"
			}
			a = host + a[2:]
		}
		if strings.Contains(a, "=P_") || strings.Contains(a, "=R_") || strings.Contains(a, "=S_") || strings.Contains(a, "=H_") || strings.Contains(a, "=-!_") || strings.Contains(a, "=:_") || strings.Contains(a, "en_") {
			a = strings.Replace(a, "_", " ", 1)
		}
		_ = i
		args = append(args, a)
	}
	args = append(args, fmt.Sprintf("--protocol=%d", protocol))
	stdout, stderr, code := client(t, local, peer(t, remote, ours), args...)
	if protocol < 30 { // these have no warnings: they go out as one or the other
		stdout, stderr = stdout+stderr, ""
	}
	return fmt.Sprintf("exit code %d\n== out\n%s== errors\n%s== client\n%s== server\n%s", code, normal(stdout), normal(stderr), snapshot(t, local), snapshot(t, remote))
}

var (
	numbers  = regexp.MustCompile(`(?m)^(opening connection using|total: matches=|rsync: connection unexpectedly closed|rsync error: (errors|error in) |building file list|\*deleting +$|sent |total size is .* speedup|File list (generation|transfer)|receiving |sending ).*\n|[\d.,]+[kMG]?B/s|\d+:\d\d:\d\d`)
	tempName = regexp.MustCompile(`(\.[^ /"]+)\.[A-Za-z0-9]{6}"`)
	ending   = regexp.MustCompile(`at \w+\.c\(\d+\) \[\w+=[\d.]+\]`)
	role     = regexp.MustCompile(`(?m)^rsync: \[\w+\] `)
	absolute = regexp.MustCompile(`"(/[^"]*/remote|/tmp/[^"]*?/local)/`)
)

// normal takes out of a text what differs from run to run, what one side says of its own end, and the order of lines, as the two sides print at once.
func normal(s string) string {
	s = numbers.ReplaceAllString(s, "")
	s = tempName.ReplaceAllString(s, `$1.XXXXXX"`)
	s = ending.ReplaceAllString(s, "")
	s = absolute.ReplaceAllString(s, `"`)
	s = role.ReplaceAllString(s, "")
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	slices.Sort(lines)
	out := ""
	for _, l := range lines {
		if strings.TrimSpace(l) != "" && !strings.Contains(l, "(xfr#") {
			out += l + "\n"
		}
	}
	return out
}

// snapshot describes all files of a folder.
func snapshot(t *testing.T, root string) string {
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
			var text []byte
			text, err = os.ReadFile(p)
			what = fmt.Sprintf("%d %x", len(text), sha256.Sum256(text))[:24]
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
