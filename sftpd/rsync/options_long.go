package rsync

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// longOption is one option of two dashes; value tells whether a value follows, behind = or as the next word.
type longOption struct {
	value bool
	set   func(o *options, v string) error
}

// longOptions are all options that a client may send, or that a person may give with -M.
var longOptions = buildLongOptions()

func buildLongOptions() map[string]longOption {
	m := map[string]longOption{}
	flag := func(names string, set func(o *options)) {
		for name := range strings.FieldsSeq(names) {
			m[name] = longOption{false, func(o *options, _ string) error { set(o); return nil }}
		}
	}
	text := func(name string, set func(o *options, v string) error) { m[name] = longOption{true, set} }
	number := func(name string, set func(o *options, n int) error) {
		text(name, func(o *options, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return fmt.Errorf("%q is not a number", clip(v))
			}
			return set(o, n)
		})
	}
	for name, letter := range map[string]byte{"verbose": 'v', "quiet": 'q', "backup": 'b', "update": 'u', "dry-run": 'n', "links": 'l', "dirs": 'd', "keep-dirlinks": 'K',
		"prune-empty-dirs": 'm', "omit-dir-times": 'O', "omit-link-times": 'J', "fuzzy": 'y', "copy-links": 'L', "copy-dirlinks": 'k', "whole-file": 'W', "hard-links": 'H',
		"owner": 'o', "group": 'g', "times": 't', "atimes": 'U', "crtimes": 'N', "perms": 'p', "executability": 'E', "acls": 'A', "xattrs": 'X', "recursive": 'r', "checksum": 'c',
		"cvs-exclude": 'C', "ignore-times": 'I', "relative": 'R', "one-file-system": 'x', "sparse": 'S', "compress": 'z', "itemize-changes": 'i', "from0": '0', "8-bit-output": '8',
		"human-readable": 'h', "secluded-args": 's', "protect-args": 's'} {
		flag(name, letterOptions[letter])
	}
	flag("server", func(o *options) { o.server = true })
	flag("sender", func(o *options) { o.sender = true })
	flag("daemon", func(o *options) {
		o.refuse(ExitSyntax, "there are no rsync modules here: write HOST:path with one colon")
	})
	flag("devices", func(o *options) { o.devices = true })
	flag("specials", func(o *options) { o.specials, o.specialsSet = true, true })
	flag("no-specials", func(o *options) { o.specials = false })
	flag("no-r", func(o *options) { o.recurse = false })
	flag("list-only", func(o *options) { o.listOnly = true })
	flag("safe-links", func(o *options) { o.safeLinks = true })
	flag("copy-unsafe-links", func(o *options) { o.copyUnsafe = true })
	flag("no-relative no-R", func(o *options) { o.relative = false })
	flag("no-implied-dirs", func(o *options) { o.noImplied = true })
	flag("implied-dirs", func(o *options) { o.noImplied = false })
	flag("numeric-ids", func(o *options) { o.numericIDs = true })
	flag("size-only", func(o *options) { o.sizeOnly = true })
	flag("existing ignore-non-existing", func(o *options) { o.existing = true })
	flag("ignore-existing", func(o *options) { o.ignoreExisting = true })
	flag("delete", func(o *options) {
		if o.delete == deleteNever {
			o.delete = deleteDefault
		}
	})
	flag("del delete-during", func(o *options) { o.delete = deleteDuring })
	flag("delete-before", func(o *options) { o.delete = deleteBefore })
	flag("delete-after", func(o *options) { o.delete = deleteAfter })
	flag("delete-delay", func(o *options) { o.delete = deleteDelay })
	flag("delete-excluded", func(o *options) { o.deleteExcluded = true })
	flag("ignore-errors", func(o *options) { o.ignoreErrors = true })
	flag("force", func(o *options) { o.force = true })
	number("max-delete", func(o *options, n int) error { o.maxDelete, o.hasMaxDelete = n, true; return nil })
	flag("partial", func(o *options) { o.partial = true })
	text("partial-dir", func(o *options, v string) (err error) { o.partialDir, err = within(v); return })
	flag("inplace", func(o *options) { o.inplace = true })
	flag("append", func(o *options) { o.appendMode++ })
	flag("append-verify", func(o *options) { o.appendMode = 2 })
	flag("delay-updates", func(o *options) { o.delayUpdates = true })
	flag("fsync", func(o *options) { o.fsync = true })
	text("suffix", func(o *options, v string) error { o.suffix = v; return nil })
	text("backup-dir", func(o *options, v string) error { o.backupDir = v; return nil }) // a pull names one of the client
	number("block-size", func(o *options, n int) error { o.setBlockSize(n); return nil })
	number("modify-window", func(o *options, n int) error { o.modifyWindow = n; return nil })
	text("max-size", func(o *options, v string) (err error) { o.maxSize, err = bytesOf(v); return })
	text("min-size", func(o *options, v string) (err error) { o.minSize, err = bytesOf(v); return })
	text("bwlimit", func(o *options, v string) error {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || n < 0 || n > 1e12 {
			return fmt.Errorf("%q is not a rate in KiB", clip(v))
		}
		o.bwlimit = int64(n * 1024)
		return nil
	})
	number("timeout", func(o *options, n int) error {
		if n < 0 || n > 1e6 {
			return errors.New("it is out of range")
		}
		o.timeout = time.Duration(n) * time.Second
		return nil
	})
	text("files-from", func(o *options, v string) error { o.filesFrom = v; return nil })
	flag("mkpath", func(o *options) { o.mkpath = true })
	flag("ignore-missing-args", func(o *options) { o.ignoreMissing = true })
	flag("delete-missing-args", func(o *options) { o.ignoreMissing, o.deleteMissing = true, true })
	flag("remove-source-files remove-sent-files", func(o *options) { o.removeSource = true })
	text("checksum-choice", func(o *options, v string) error { o.checksumChoice = v; return nil })
	m["cc"] = m["checksum-choice"]
	number("checksum-seed", func(o *options, n int) error { o.checksumSeed, o.hasSeed = int32(n), true; return nil })
	text("compress-choice", func(o *options, v string) error { o.compressChoice, o.compress = v, true; return nil })
	m["zc"] = m["compress-choice"]
	flag("new-compress", func(o *options) { o.compressChoice, o.compress = "zlibx", true })
	flag("old-compress", func(o *options) { o.compressChoice, o.compress = "zlib", true })
	number("compress-level", func(o *options, n int) error { o.compressLevel, o.hasLevel = n, true; return nil })
	m["zl"] = m["compress-level"]
	text("log-format", func(o *options, v string) error {
		if strings.Contains(v, "%I") {
			o.itemize = 2
		} else if strings.Contains(v, "%i") {
			o.itemize = max(1, o.itemize)
		}
		return nil
	})
	m["out-format"] = m["log-format"]
	text("iconv", func(o *options, v string) error {
		if c := strings.ToLower(strings.ReplaceAll(v, "-", "")); c != "utf8" && c != "." {
			o.refuse(ExitUnsupported, "names are UTF-8 here: give --iconv with utf8 as the remote half")
		}
		o.iconv = true
		return nil
	})
	// Kept by the client, or of no effect where all files belong to one person.
	flag("msgs2stderr no-msgs2stderr super no-super use-qsort preallocate open-noatime no-W no-whole-file no-fuzzy no-times no-perms no-owner no-group no-links no-devices progress stats "+
		"blocking-io no-blocking-io no-inc-recursive no-i-r inc-recursive old-args no-old-args trust-sender munge-links no-munge-links", func(o *options) {})
	for name := range strings.FieldsSeq("info debug skip-compress max-alloc stderr outbuf temp-dir usermap groupmap chown compress-threads zt sockopts chmod stop-after stop-at") {
		text(name, func(*options, string) error { return nil })
	}
	refused := func(names, why string, value bool) {
		for name := range strings.FieldsSeq(names) {
			m[name] = longOption{value, func(o *options, _ string) error {
				o.refuse(ExitUnsupported, "option --%s is not served here: %s", name, why)
				return nil
			}}
		}
	}
	refused("copy-devices write-devices fake-super", "there are no devices and no other owners", false)
	refused("link-dest copy-dest compare-dest", "push the files themselves", true)
	refused("only-write-batch write-batch read-batch", "write batches on your own machine", true)
	refused("log-file log-file-format config password-file early-input", "it would name a file of the server", true)
	refused("exclude include filter exclude-from include-from", "give it to your own rsync, which sends it in its own way", true)
	return m
}

// within gives a folder below the place that it is relative to, or an error.
func within(v string) (string, error) {
	if v == "" || len(v) > maxArg || strings.ContainsRune(v, 0) || strings.HasPrefix(v, "/") {
		return "", fmt.Errorf("%q must be a relative path", clip(v))
	}
	v = cleanRel(v)
	if v == "." || v == ".." || strings.HasPrefix(v, "../") {
		return "", fmt.Errorf("%q must be a folder below the destination", clip(v))
	}
	return v, nil
}

// bytesOf reads a size as clients send it: bytes, mostly without a unit.
func bytesOf(v string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.ToLower(v), "b"), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a number of bytes", clip(v))
	}
	return n, nil
}
