// Package sandbox runs a program that nobody vouches for: in namespaces of its own, without network, on a root of read-only
// views, as a user without rights, within bounds of time, memory, processes and output. It knows nothing of scripts and
// alerts. The program that guards it inside is our own binary, started again; main hands over to Main for that.
//
//	if len(os.Args) > 1 && sandbox.Stage(os.Args[1]) { os.Exit(sandbox.Main(os.Args[1:])) }
//	box, err := sandbox.New(sandbox.Options{})      // says in one sentence why there can be none
//	res, err := box.Run(ctx, sandbox.Job{Argv: []string{"/usr/bin/python3", "x.py"}, ...})
package sandbox

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Options is what a Sandbox works with. Zero values mean the defaults that stand beside them.
type Options struct {
	Exe     string   // our own program; /proc/self/exe
	UID     int      // first of the user ids that programs get when we are root; 2,000,000,000
	Slots   int      // programs at a time; 3
	Network bool     // programs may use the machine's network
	Folders []string // further folders that programs may read, such as an interpreter's
	Limits  Limits
	Log     *slog.Logger
}

// Limits bound one run.
type Limits struct {
	Wall      time.Duration `json:"wall"`      // 60 s
	Memory    int64         `json:"memory"`    // of all its processes, bytes; 1 GiB
	Processes int           `json:"processes"` // 64
	Output    int           `json:"output"`    // of stdout, bytes; 1 MiB
	Scratch   int64         `json:"scratch"`   // what it may write to /tmp, bytes; 64 MiB. It counts as memory
	File      int64         `json:"file"`      // the file that is handed out, bytes; 10 MiB
}

// Mount shows a folder of this machine inside, read-only.
type Mount struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Job is one run.
type Job struct {
	User   string   // name of the person inside
	Mounts []Mount  // below /home/USER
	Argv   []string // the program and its arguments; it runs in /home/USER
	Env    []string // beside HOME, USER, PATH, LANG and TMPDIR
	// Pick names a file that the program has made and that its caller wants, from what it printed; "" = none.
	Pick func(stdout []byte) string
}

// Reason says why a program was ended before it ended itself.
type Reason string

// The reasons.
const (
	Ended     Reason = "" // it ended itself
	TooLong   Reason = "time"
	TooBig    Reason = "memory"
	TooChatty Reason = "output"
)

// Result is how a run went.
type Result struct {
	Reason  Reason        `json:"reason"`
	Code    int           `json:"code"`   // exit code, -1 when a signal ended it
	Signal  string        `json:"signal"` // the signal's name
	Stdout  []byte        `json:"stdout"`
	Stderr  string        `json:"stderr"` // its end
	Peak    int64         `json:"peak"`   // most memory that was seen, bytes
	Elapsed time.Duration `json:"elapsed"`

	File    []byte `json:"-"` // what Pick asked for
	FileErr string `json:"-"` // why it could not be had, a sentence for the author
}

// maxStderr is how much of the end of stderr is kept.
const maxStderr = 4 << 10

// Unavailable is the reason why this machine offers no sandbox: one sentence, with the fix.
type Unavailable struct{ Sentence string }

func (u *Unavailable) Error() string { return u.Sentence }

// errSetup marks what failed before the program began.
var errSetup = errors.New("the sandbox could not be set up")

// The stages in which our program runs inside, in their order: build the root and give up all rights, guard the program,
// set its limits and become it.
const (
	stageBuild = "sandbox-build"
	stageGuard = "sandbox-guard"
	stageExec  = "sandbox-exec"
	stageHold  = "sandbox-hold" // lends its user namespace, for mapped mounts
)

// Stage tells whether an argument of our program is one of the stages.
func Stage(arg string) bool {
	return strings.HasPrefix(arg, "sandbox-")
}

// spec is what the stages inside need to know.
type spec struct {
	User    string   `json:"user"`
	UID     int      `json:"uid"` // to become; 0 = we are in a user namespace and have it already
	Network bool     `json:"network"`
	Folders []string `json:"folders"`
	Mounts  []Mount  `json:"mounts"`
	Argv    []string `json:"argv"` // empty = only try
	Env     []string `json:"env"`
	Limits  Limits   `json:"limits"`
	IDMap   bool     `json:"idmap"` // descriptor 5 is the user namespace that mounts are mapped by
	Group   bool     `json:"group"` // a cgroup bounds memory
}

func (s *spec) home() string { return "/home/" + s.User }

// answer is one message of the stages inside to us.
type answer struct {
	Failed string  `json:"failed,omitempty"` // the set-up did not work: what
	Result *Result `json:"result,omitempty"`
	File   []byte  `json:"file,omitempty"`
	NoFile string  `json:"no_file,omitempty"`
}

// ask is one message of ours to the stages inside, after the spec.
type ask struct {
	File string `json:"file"`
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs always encode
	}
	return append(text, '\n')
}

func (o *Options) defaults() {
	if o.Exe == "" {
		o.Exe = "/proc/self/exe"
	}
	if o.UID <= 0 {
		o.UID = 2_000_000_000
	}
	if o.Slots <= 0 {
		o.Slots = 3
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &o.Limits
	l.Wall = positive(l.Wall, time.Minute)
	l.Memory = positive(l.Memory, 1<<30)
	l.Processes = positive(l.Processes, 64)
	l.Output = positive(l.Output, 1<<20)
	l.Scratch = positive(l.Scratch, 64<<20)
	l.File = positive(l.File, 10<<20)
}

func positive[T int | int64 | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}
