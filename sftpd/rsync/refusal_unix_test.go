//go:build unix

package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusals are what is not served here.
var refusals = []struct {
	args string // as in a call
	code int
	text string
}{
	{"-aA {}src/ {}dst/ push", ExitUnsupported, "access control lists are not kept here: leave out -A (--acls)"},
	{"-aX {}src/ {}dst/ push", ExitUnsupported, "extended attributes are not kept here: leave out -X (--xattrs)"},
	{"-a --link-dest=../was {}src/ {}dst/ push", ExitUnsupported, "option --link-dest is not served here: push the files themselves"},
	{"-a --copy-dest=../was {}src/ {}dst/ push", ExitUnsupported, "option --copy-dest is not served here: push the files themselves"},
	{"-a --compare-dest=../was {}src/ {}dst/ push", ExitUnsupported, "option --compare-dest is not served here: push the files themselves"},
	{"-a --partial-dir=/etc {}src/ {}dst/ push", ExitSyntax, `option --partial-dir: "/etc" must be a relative path`},
	{"-a --partial-dir=../x {}src/ {}dst/ push", ExitSyntax, `option --partial-dir: "../x" must be a folder below the destination`},
	{"-ab --backup-dir=/etc {}src/ {}dst/ push", ExitSyntax, `option --backup-dir: "/etc" must be a relative path`},
	{"-ab --backup-dir=../../x {}src/ {}dst/ push", ExitSyntax, `option --backup-dir: "../../x" leads out of the tree`},
	{"-a {}src/ {}../x push", ExitFileSelect, `destination "../x" is outside of the tree`},
	{"-a --iconv=utf-8,latin1 {}src/ {}dst/", ExitUnsupported, "names are UTF-8 here: give --iconv with utf8 as the remote half"},
	{"-a -M--fake-super {}src/ {}dst/", ExitUnsupported, "option --fake-super is not served here: there are no devices and no other owners"},
	{"-a -M--copy-devices {}src/ {}dst/", ExitUnsupported, "option --copy-devices is not served here: there are no devices and no other owners"},
	{"-a -M--write-devices {}src/ {}dst/", ExitUnsupported, "option --write-devices is not served here: there are no devices and no other owners"},
	{"-a -M--log-file=/tmp/log {}src/ {}dst/", ExitUnsupported, "option --log-file is not served here: it would name a file of the server"},
	{"-a -M--write-batch=x {}src/ {}dst/", ExitUnsupported, "option --write-batch is not served here: write batches on your own machine"},
	{"-a -M--exclude=x {}src/ {}dst/", ExitUnsupported, "option --exclude is not served here: give it to your own rsync, which sends it in its own way"},
	{"-a -M--config=/etc/passwd {}src/ {}dst/", ExitUnsupported, "option --config is not served here: it would name a file of the server"},
	{"-a -M--nosuch {}src/ {}dst/", ExitSyntax, "option --nosuch is not known here"},
	{"-a -M--timeout=soon {}src/ {}dst/", ExitSyntax, `option --timeout: "soon" is not a number`},
	{"-a -M--daemon {}src/ {}dst/", ExitSyntax, "there are no rsync modules here: write HOST:path with one colon"},
	{"-a --remove-source-files {}src/ {}dst/ pull", ExitUnsupported, "files cannot be removed from here by a pull: leave out --remove-source-files"},
}

// TestWhatIsNotServedIsSaidInOneSentence also with older protocols, which can be told, but not the code.
func TestWhatIsNotServedIsSaidInOneSentence(t *testing.T) {
	for _, c := range refusals {
		for _, pull := range []bool{false, true} {
			for _, p := range []int{newest, 30, 29} {
				fields := strings.Fields(c.args)
				if last := fields[len(fields)-1]; last == "push" && pull || last == "pull" && !pull {
					continue
				}
				args := strings.TrimSuffix(strings.TrimSuffix(c.args, " push"), " pull")
				if p < 30 && (strings.HasPrefix(args, "-aA") || strings.HasPrefix(args, "-aX")) {
					continue // the client itself says that it cannot
				}
				t.Run(fmt.Sprintf("%s, pull %v, protocol %d", args, pull, p), func(t *testing.T) {
					t.Parallel()
					remote, local := t.TempDir(), t.TempDir()
					for _, dir := range []string{remote, local} {
						write(t, filepath.Join(dir, "src", "f"), []byte("f"), 0o644, theTime)
						write(t, filepath.Join(dir, "dst", "g"), []byte("g"), 0o644, theTime)
					}
					before := snapshot(t, remote)
					_, ours := remoteShells(t, remote)
					out, errs, code := client(t, local, ours, append(call{args: args}.words(pull), fmt.Sprintf("--protocol=%d", p))...)
					var lines []string
					for l := range strings.Lines(errs) {
						if !strings.HasPrefix(l, "rsync error: ") && !strings.HasPrefix(l, "rsync: connection unexpectedly closed") && !strings.Contains(l, "write error: Broken pipe") && strings.TrimSpace(l) != "" {
							lines = append(lines, l)
						}
					}
					role := map[bool]string{true: "sender", false: "receiver"}[pull]
					if len(lines) != 1 || lines[0] != "rsync: ["+role+"] "+c.text+"\n" {
						t.Errorf("the client is told %q%q, want %q", out, errs, c.text)
					}
					if code != c.code && (p >= 31 || code != ExitStream) {
						t.Errorf("code %d, want %d", code, c.code)
					}
					if after := snapshot(t, remote); after != before {
						t.Errorf("it changed something:\n%s", difference(before, after))
					}
				})
			}
		}
	}
}

// Devices, pipes and sockets are no files of an analyst: they are left out, and the others come.
func TestSpecialFilesAreLeftOut(t *testing.T) {
	for _, pull := range []bool{false, true} {
		for _, args := range []string{"-av {}src/ {}dst/", "-rltDv {}src/ {}dst/", "-av --specials --devices {}src/ {}dst/"} {
			for _, p := range []int{newest, 30, 28, 27} {
				remote, local := t.TempDir(), t.TempDir()
				from, to := local, remote
				if pull {
					from, to = remote, local
				}
				write(t, filepath.Join(from, "src", "f"), []byte("f"), 0o644, theTime)
				write(t, filepath.Join(from, "src", "z"), []byte("z"), 0o644, theTime)
				if err := syscall.Mkfifo(filepath.Join(from, "src", "pipe"), 0o644); err != nil {
					t.Fatal(err)
				}
				_, ours := remoteShells(t, remote)
				out, errs, code := client(t, local, ours, append(call{args: args}.words(pull), fmt.Sprintf("--protocol=%d", p))...)
				if code != ExitOK || !strings.Contains(out+errs, `skipping non-regular file "pipe"`) {
					t.Errorf("rsync %s, pull %v, protocol %d: code %d, %s%s", args, pull, p, code, out, errs)
				}
				for name, want := range map[string]bool{"f": true, "z": true, "pipe": false} {
					if got := exists(filepath.Join(to, "dst", name)); got != want {
						t.Errorf("rsync %s, pull %v, protocol %d: %s came: %v", args, pull, p, name, got)
					}
				}
			}
		}
	}
}

// A pipe in the place of a file is never waited for.
func TestAPipeInThePlaceOfAFileIsNotWaitedFor(t *testing.T) {
	remote, local := t.TempDir(), t.TempDir()
	write(t, filepath.Join(local, "src", "f"), []byte("of the client"), 0o644, theTime)
	write(t, filepath.Join(remote, "dst", "g"), []byte("g"), 0o644, theTime)
	if err := syscall.Mkfifo(filepath.Join(remote, "dst", "f"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, ours := remoteShells(t, remote)
	start := time.Now()
	if _, errs, code := client(t, local, ours, "-ac", "--inplace", "src/", "h:dst/"); code != ExitOK {
		t.Errorf("code %d, %s", code, errs)
	}
	if b, err := os.ReadFile(filepath.Join(remote, "dst", "f")); err != nil || string(b) != "of the client" || time.Since(start) > 30*time.Second {
		t.Errorf("%q %v after %v", b, err, time.Since(start))
	}
}

// A client may order what it knows, and gets the first that is known here.
func TestTheClientsOrderOfNamesCounts(t *testing.T) {
	for _, c := range [][2]string{{"RSYNC_CHECKSUM_LIST", "md5 xxh64"}, {"RSYNC_CHECKSUM_LIST", "xxh64 md5"}, {"RSYNC_CHECKSUM_LIST", "sha1"}, {"RSYNC_CHECKSUM_LIST", "xxh3 sha1"},
		{"RSYNC_CHECKSUM_LIST", "md4 md5"}, {"RSYNC_COMPRESS_LIST", "lz4 zstd"}, {"RSYNC_COMPRESS_LIST", "zlibx zstd"}, {"RSYNC_COMPRESS_LIST", "zlib"}, {"RSYNC_COMPRESS_LIST", "none"}} {
		for _, pull := range []bool{false, true} {
			t.Run(fmt.Sprint(c, " pull ", pull), func(t *testing.T) {
				t.Setenv(c[0], c[1])
				remote, local := t.TempDir(), t.TempDir()
				from, to := local, remote
				if pull {
					from, to = remote, local
				}
				sourceTree(t, filepath.Join(from, "src"))
				older(t, filepath.Join(to, "dst"))
				_, ours := remoteShells(t, remote)
				words := call{args: "-aczi --delete {}src/ {}dst/"}.words(pull)
				if _, errs, code := client(t, local, ours, words...); code != ExitOK {
					t.Fatalf("code %d, %s", code, errs)
				}
				if out, errs, code := client(t, local, ours, words...); code != ExitOK || strings.TrimSpace(out) != "" {
					t.Errorf("again: code %d, %s%s", code, out, errs)
				}
				if err := os.Rename(filepath.Join(to, "dst"), filepath.Join(to, "src")); err != nil {
					t.Fatal(err)
				}
				if err := os.RemoveAll(filepath.Join(local, "dst")); err != nil {
					t.Fatal(err)
				}
				if a, b := snapshot(t, filepath.Join(remote, "src")), snapshot(t, filepath.Join(local, "src")); a != b {
					t.Error(difference(a, b))
				}
			})
		}
	}
}
