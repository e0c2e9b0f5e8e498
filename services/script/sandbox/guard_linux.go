package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guard is the second stage, the first process inside: it starts the program, watches its time, memory and output, and when the
// program is over it ends all that is left of it and reports. It has no more rights than the program.
func guard(order string) int {
	answers := os.NewFile(fdAnswers, "answers")
	reply := func(a answer) int {
		if _, err := answers.Write(encode(a)); err != nil {
			return 1
		}
		return 0
	}
	var sp spec
	err := json.Unmarshal([]byte(order), &sp)
	if err == nil {
		err = harden(sp)
	}
	if err != nil {
		return reply(answer{Failed: err.Error()})
	}
	asks := make(chan ask)
	go func() { // its end is ours: whoever started us is gone, or has what it wants
		in := json.NewDecoder(lines())
		for {
			var a ask
			if err := in.Decode(&a); err != nil {
				os.Exit(0)
			}
			asks <- a
		}
	}()
	if len(sp.Argv) == 0 {
		reply(answer{Result: &Result{}})
	} else if r, err := run(sp); err != nil {
		return reply(answer{Failed: err.Error()})
	} else if reply(answer{Result: r}) != 0 {
		return 1
	}
	for a := range asks {
		data, err := handOut(sp, a.File)
		var out answer
		if out.File = data; err != nil {
			out = answer{NoFile: err.Error()}
		}
		reply(out)
	}
	return 0
}

// harden closes to the program what the guard holds, and bounds both.
func harden(sp spec) error {
	if err := closeOnExec(fdControl); err != nil {
		return err
	}
	// Nothing inside can look into the guard or change it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("dumpable: %w", err)
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // when memory is short everywhere, scripts go first
	if err := restrictCalls(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

func run(sp spec) (*Result, error) {
	order := string(encode(last{sp.Limits, sp.Network}))
	cmd := exec.Command(ourselves)
	cmd.Args = append([]string{"aida", stageExec, order}, sp.Argv...)
	cmd.Dir = sp.home()
	cmd.Env = slices.Concat([]string{"HOME=" + sp.home(), "USER=" + sp.User, "LOGNAME=" + sp.User, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=/tmp"}, sp.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	w := &watch{limits: sp.Limits, home: sp.home(), stop: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &head{w: w, limit: sp.Limits.Output}, &tail{limit: maxStderr}
	cmd.WaitDelay = 2 * time.Second // for those that the program left behind and that hold its output
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	timer := time.AfterFunc(sp.Limits.Wall, func() { w.kill(TooLong) })
	var watching sync.WaitGroup
	watching.Go(func() { w.memory(!sp.Group) })
	err := cmd.Wait()
	timer.Stop()
	close(w.stop)
	_ = unix.Kill(-1, unix.SIGKILL) // all but ourselves
	watching.Wait()
	if cmd.ProcessState == nil {
		return nil, err
	}
	r := &Result{Code: cmd.ProcessState.ExitCode(), Stdout: cmd.Stdout.(*head).data, Stderr: string(cmd.Stderr.(*tail).data), Elapsed: time.Since(start)}
	r.Reason, r.Peak = w.outcome()
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		r.Signal = unix.SignalName(st.Signal())
		if st.Signal() == unix.SIGXCPU {
			r.Reason = cmp.Or(r.Reason, TooLong)
		}
	}
	return r, nil
}

// watch ends a program that goes beyond its bounds.
type watch struct {
	limits Limits
	home   string
	stop   chan struct{}

	mu     sync.Mutex
	reason Reason
	peak   int64
}

func (w *watch) kill(r Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reason = cmp.Or(w.reason, r)
	_ = unix.Kill(-1, unix.SIGKILL)
}

func (w *watch) outcome() (Reason, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason, w.peak
}

const look = 50 * time.Millisecond

// memory adds up what all processes use, with what they have written to memory file systems.
func (w *watch) memory(end bool) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		used := w.used("status")
		if used > w.limits.Memory { // pages that processes share were counted for each: ask more exactly
			if exact := w.used("smaps_rollup"); exact > 0 {
				used = min(used, exact)
			}
		}
		w.mu.Lock()
		w.peak = max(w.peak, used)
		w.mu.Unlock()
		if end && used > w.limits.Memory {
			w.kill(TooBig)
		}
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
	}
}

// keys are the lines of the two files that tell of memory, in KiB. A process that hides its map is taken by its status.
var keys = map[string][]string{"status": {"RssAnon:", "RssShmem:"}, "smaps_rollup": {"Pss_Anon:", "Pss_Shmem:"}}

func (w *watch) used(file string) (sum int64) {
	for _, dir := range []string{"/tmp", w.home} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil {
			sum += int64(st.Blocks-st.Bfree) * st.Bsize
		}
	}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return sum
	}
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == 1 {
			continue
		}
		text, err := os.ReadFile(path.Join("/proc", e.Name(), file))
		names := keys[file]
		if err != nil && file != "status" {
			text, err = os.ReadFile(path.Join("/proc", e.Name(), "status"))
			names = keys["status"]
		}
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 1 && slices.Contains(names, f[0]) {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}

// head keeps the beginning of what is printed; more than its limit ends the program.
type head struct {
	w     *watch
	limit int
	data  []byte
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - len(h.data); len(p) > room {
		h.data = append(h.data, p[:room]...)
		h.w.kill(TooChatty)
	} else {
		h.data = append(h.data, p...)
	}
	return len(p), nil
}

// tail keeps the end of what is printed.
type tail struct {
	limit int
	data  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[max(0, len(p)-t.limit):]...)
	if over := len(t.data) - t.limit; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

// handOut reads a file that the program has made. Errors are sentences for the author.
func handOut(sp spec, name string) ([]byte, error) {
	if !path.IsAbs(name) {
		name = path.Join(sp.home(), name)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("it is a link")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, errors.New("it cannot be read")
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	i, err := f.Stat()
	switch {
	case err != nil || !i.Mode().IsRegular():
		return nil, errors.New("it is not a file")
	case i.Size() > sp.Limits.File:
		return nil, fmt.Errorf("it has more than %d MiB", sp.Limits.File>>20)
	}
	data, err := io.ReadAll(io.LimitReader(f, i.Size()))
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	return data, nil
}

// closeOnExec keeps descriptors, from one on, from the programs that we become or start; among them may be some that we were
// started with and know nothing of.
func closeOnExec(from uint) error {
	if err := unix.CloseRange(from, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	return nil
}

// last is what the last stage needs to know.
type last struct {
	Limits
	Network bool `json:"network"`
}

// become is the last stage: it sets the limits that a process hands to its children, and becomes the program. Landlock comes
// here, as the guard has to stay outside of it: signals do not pass from one thread's domain to another's.
func become(order string, argv []string) int {
	fail := func(err error) int {
		fmt.Fprintf(os.Stderr, "%s cannot be started: %v\n", argv[0], err)
		return 127
	}
	debug.SetTraceback("none") // stderr is the author's
	var l last
	if err := json.Unmarshal([]byte(order), &l); err != nil {
		return fail(err)
	}
	home, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(closeOnExec(3), restrictFiles(home, l.Network)); err != nil {
		return fail(err)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // syncs and people go first
	program, err := syscall.BytePtrFromString(argv[0])
	if err != nil {
		return fail(err)
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return fail(err)
	}
	env, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return fail(err)
	}
	runtime.GOMAXPROCS(1)  // no thread begins any more,
	debug.SetGCPercent(-1) // and no memory is cleaned up
	return fail(bounded(bounds(l.Limits), program, args, env))
}

// bound is a limit of a process, which its children have too.
type bound struct {
	what uintptr
	most unix.Rlimit
}

func bounds(l Limits) (out []bound) {
	add := func(what int, most uint64) {
		out = append(out, bound{uintptr(what), unix.Rlimit{Cur: most, Max: most}})
	}
	add(unix.RLIMIT_FSIZE, uint64(l.Scratch))
	add(unix.RLIMIT_NOFILE, 256)
	add(unix.RLIMIT_CORE, 0)
	add(unix.RLIMIT_CPU, uint64(l.Wall/time.Second)+1)
	add(unix.RLIMIT_MEMLOCK, 64<<10)
	add(unix.RLIMIT_MSGQUEUE, 0)
	add(unix.RLIMIT_SIGPENDING, 256)
	add(unix.RLIMIT_NPROC, uint64(l.Processes)+16) // threads count, and those of the guard do
	add(unix.RLIMIT_DATA, uint64(l.Memory))
	return out
}

// bounded sets the limits and becomes the program. Our own runtime may have more memory than they allow, that of a build with
// the race detector has terabytes of it: so from the first limit on nothing here takes memory or begins a thread.
//
//go:norace
func bounded(list []bound, program *byte, args, env []*byte) error {
	for i := range list {
		if _, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, list[i].what, uintptr(unsafe.Pointer(&list[i].most)), 0, 0, 0); e != 0 {
			return e
		}
	}
	_, _, e := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(program)), uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&env[0])))
	return e
}
