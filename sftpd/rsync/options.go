package rsync

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// options is what a client asks for. Names follow rsync's own.
type options struct {
	server, sender, secluded bool
	caps                     string // what the client can do, behind the letter e; empty before protocol 30
	hasCaps                  bool
	paths                    []word

	verbose                                                   int
	quiet, dryRun, listOnly                                   bool
	recurse, dirs, relative, noImplied, oneFileSystem         bool
	links, copyLinks, copyDirlinks, copyUnsafe, safeLinks     bool
	keepDirlinks                                              bool
	hardLinks, perms, executability, owner, group             bool
	devices, specials, specialsSet                            bool
	times, omitDirTimes, omitLinkTimes, atimes, crtimes       bool
	acls, xattrs, numericIDs                                  bool
	checksum, ignoreTimes, sizeOnly, update, wholeFile        bool
	existing, ignoreExisting                                  bool
	modifyWindow                                              int
	compress                                                  bool
	compressChoice, checksumChoice                            string
	compressLevel                                             int
	hasLevel                                                  bool
	checksumSeed                                              int32
	hasSeed                                                   bool
	cvsExclude, prune                                         bool
	delete                                                    deleteTime
	deleteExcluded, ignoreErrors, force                       bool
	maxDelete                                                 int // -1 is none at all
	hasMaxDelete                                              bool
	partial, inplace, delayUpdates, fsync                     bool
	partialDir                                                string
	appendMode                                                int
	backup                                                    bool
	suffix, backupDir                                         string
	iconv                                                     bool
	blockSize                                                 int
	maxSize, minSize                                          int64
	filesFrom                                                 string
	from0, mkpath, ignoreMissing, deleteMissing, removeSource bool
	timeout                                                   time.Duration
	itemize                                                   int // how often %i or %I is in the format
	bwlimit                                                   int64

	refusal *refusal
}

// deleteTime is when a receiver deletes what the sender has not.
type deleteTime int

const (
	deleteNever deleteTime = iota
	deleteDefault
	deleteBefore
	deleteDuring
	deleteDelay
	deleteAfter
)

// refusal is an answer to what is not served: one sentence, and the exit code that goes with it.
type refusal struct {
	text string
	code int
}

func (r *refusal) Error() string { return r.text }

func (o *options) refuse(code int, format string, args ...any) {
	if o.refusal == nil {
		o.refusal = &refusal{fmt.Sprintf(format, args...), code}
	}
}

// parse reads the words of a server's command line, without the program's name. What is refused is kept in o.refusal, so
// that it can be said through the protocol, once both sides have shaken hands.
func parse(words []word) *options {
	o := &options{maxSize: -1}
	o.take(words)
	return o
}

func (o *options) take(words []word) {
	for i := 0; i < len(words); i++ {
		w := words[i].text
		switch {
		case strings.HasPrefix(w, "--") && len(w) > 2:
			name, value, has := strings.Cut(w[2:], "=")
			opt, known := longOptions[name]
			switch {
			case !known:
				o.refuse(ExitSyntax, "option --%s is not known here", clip(name))
			case opt.value && !has:
				if i++; i == len(words) {
					o.refuse(ExitSyntax, "option --%s needs a value", name)
					o.check()
					return
				}
				value = words[i].text
				fallthrough
			default:
				if has && !opt.value {
					o.refuse(ExitSyntax, "option --%s takes no value", name)
				} else if err := opt.set(o, value); err != nil {
					o.refuse(ExitSyntax, "option --%s: %v", name, err)
				}
			}
		case strings.HasPrefix(w, "-") && len(w) > 1 && w != "--":
			o.letters(w[1:], func() string {
				if i++; i < len(words) {
					return words[i].text
				}
				return ""
			})
		default:
			if w == "." || w == "--" {
				i++
			}
			if i < len(words) {
				o.paths = words[i:]
			}
			o.check()
			return
		}
	}
	o.check()
}

func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return escape(s)
}

// letters reads a group of single-letter options. The letter e takes the rest of the word: [version].CAPABILITIES.
func (o *options) letters(group string, next func() string) {
	for i := 0; i < len(group); i++ {
		rest := func() string {
			v := group[i+1:]
			i = len(group)
			if v == "" {
				v = next()
			}
			return strings.TrimPrefix(v, "=")
		}
		number := func(c byte) int {
			text := rest()
			n, err := strconv.Atoi(text)
			if err != nil {
				o.refuse(ExitSyntax, "option -%c: %q is not a number", c, clip(text))
			}
			return n
		}
		switch c := group[i]; c {
		case 'e':
			o.hasCaps = true
			_, o.caps, _ = strings.Cut(rest(), ".")
		case 'B':
			o.setBlockSize(number(c))
		case '@':
			o.modifyWindow = number(c)
		case 'f', 'T', 'M':
			o.refuse(ExitSyntax, "option -%c is not known here", c)
			rest()
		default:
			if set, ok := letterOptions[c]; ok {
				set(o)
			} else {
				o.refuse(ExitSyntax, "option -%c is not known here", c)
			}
		}
	}
}

var letterOptions = map[byte]func(o *options){
	's': func(o *options) { o.secluded = true },
	'v': func(o *options) { o.verbose++ },
	'q': func(o *options) { o.quiet = true },
	'b': func(o *options) { o.backup = true },
	'u': func(o *options) { o.update = true },
	'n': func(o *options) { o.dryRun = true },
	'l': func(o *options) { o.links = true },
	'd': func(o *options) { o.dirs = true },
	'K': func(o *options) { o.keepDirlinks = true },
	'm': func(o *options) { o.prune = true },
	'O': func(o *options) { o.omitDirTimes = true },
	'J': func(o *options) { o.omitLinkTimes = true },
	'y': func(o *options) {}, // a similar file as basis only saves bytes
	'L': func(o *options) { o.copyLinks = true },
	'k': func(o *options) { o.copyDirlinks = true },
	'W': func(o *options) { o.wholeFile = true },
	'H': func(o *options) { o.hardLinks = true },
	'o': func(o *options) { o.owner = true },
	'g': func(o *options) { o.group = true },
	'D': func(o *options) { o.devices, o.specials = true, true },
	't': func(o *options) { o.times = true },
	'U': func(o *options) { o.atimes = true },
	'N': func(o *options) { o.crtimes = true },
	'p': func(o *options) { o.perms = true },
	'E': func(o *options) { o.executability = true },
	'A': func(o *options) { o.acls = true },
	'X': func(o *options) { o.xattrs = true },
	'r': func(o *options) { o.recurse = true },
	'c': func(o *options) { o.checksum = true },
	'C': func(o *options) { o.cvsExclude = true },
	'I': func(o *options) { o.ignoreTimes = true },
	'R': func(o *options) { o.relative = true },
	'x': func(o *options) { o.oneFileSystem = true },
	'S': func(o *options) {}, // holes are the disk's business
	'z': func(o *options) { o.compress = true },
	'i': func(o *options) { o.itemize++ },
	'P': func(o *options) { o.partial = true },
	'8': func(o *options) {},
	'0': func(o *options) { o.from0 = true },
	'h': func(o *options) {},
}

func (o *options) setBlockSize(n int) {
	if n < 0 || n > 1<<17 {
		o.refuse(ExitSyntax, "a block size of %d is not possible: use up to %d", n, 1<<17)
		n = 0
	}
	o.blockSize = n
}

// check refuses what does not go together or cannot be served.
func (o *options) check() {
	if len(o.paths) == 0 {
		o.paths = []word{{text: ".", pattern: "."}}
	}
	switch {
	case o.acls && !o.sender:
		o.refuse(ExitUnsupported, "access control lists are not kept here: leave out -A (--acls)")
	case o.xattrs && !o.sender:
		o.refuse(ExitUnsupported, "extended attributes are not kept here: leave out -X (--xattrs)")
	case o.backupDir != "" && !o.sender && (o.backupDir[0] == '/' || len(o.backupDir) > maxArg):
		o.refuse(ExitSyntax, "option --backup-dir: %q must be a relative path", clip(o.backupDir))
	case o.removeSource && o.sender:
		o.refuse(ExitUnsupported, "files cannot be removed from here by a pull: leave out --remove-source-files")
	case o.appendMode > 0 && o.wholeFile:
		o.refuse(ExitSyntax, "--append cannot be used with --whole-file")
	case o.inplace && o.partialDir != "":
		o.refuse(ExitSyntax, "--inplace cannot be used with --partial-dir")
	case !o.sender && len(o.paths) > 1:
		o.refuse(ExitSyntax, "only one destination can be given")
	}
	if o.appendMode > 0 {
		o.inplace = true
	}
	if o.delayUpdates && o.partialDir == "" {
		o.partialDir = ".~tmp~"
	}
	if o.inplace {
		o.partial = false
	}
	if o.partialDir != "" {
		o.partial = true
	}
	if o.backup && o.suffix == "" && o.backupDir == "" {
		o.suffix = "~"
	}
	if o.backup && o.backupDir == "" {
		o.omitDirTimes = true // backups change them anyway
	}
	if o.delete == deleteNever && o.deleteExcluded {
		o.delete = deleteDefault
	}
	if o.dirs && o.recurse {
		o.dirs = false
	}
	if strings.ContainsAny(o.suffix, "/\x00") {
		o.refuse(ExitSyntax, "a suffix must not have a slash")
	}
}
