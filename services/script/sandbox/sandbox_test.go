//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aida/services/script/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && sandbox.Stage(os.Args[1]) {
		os.Exit(sandbox.Main(os.Args[1:]))
	}
	os.Setenv("AIDA_SECRET", "opensesame")
	os.Exit(m.Run())
}

const python = "/usr/bin/python3"

// firstUID is one that no other test's sandbox has.
const firstUID = 2_100_000_000

// Programs that end themselves have time to, on a slow machine too; those that never do are ended soon.
var (
	limits = sandbox.Limits{Wall: time.Minute, Memory: 256 << 20, Processes: 64}
	short  = sandbox.Limits{Wall: 2 * time.Second, Memory: 256 << 20, Processes: 64}
)

// slots is how many programs of a box run side by side here.
const slots = 4

func newBox(t *testing.T, l sandbox.Limits) *sandbox.Sandbox {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		t.Skip("python3 is missing: install it, or run `make clients`")
	}
	uid := firstUID
	if l.Wall == short.Wall {
		uid += slots
	}
	box, err := sandbox.New(sandbox.Options{Limits: l, UID: uid, Slots: slots})
	var u *sandbox.Unavailable
	if errors.As(err, &u) && os.Getenv("AIDA_NO_SANDBOX") != "" {
		t.Skipf("AIDA_NO_SANDBOX is set, and %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	return box
}

// homes makes a home with a server/ and a user/ folder, beside that of somebody else.
func homes(t *testing.T) (mounts []sandbox.Mount, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"eva/user/notes.txt": "mine", "eva/server/orders.txt": "rows", "bob/user/diary.txt": "bob's diary"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"shadow": "/etc/shadow", "diary": filepath.Join(dir, "bob/user/diary.txt"), "up": "../../bob/user/diary.txt"} {
		if err := os.Symlink(to, filepath.Join(dir, "eva/user", link)); err != nil {
			t.Fatal(err)
		}
	}
	return []sandbox.Mount{{From: filepath.Join(dir, "eva/user"), To: "/home/eva/user"}, {From: filepath.Join(dir, "eva/server"), To: "/home/eva/server"}}, dir
}

func TestAProgramSeesItsHomeAndTheMachinesProgramsAndNothingElse(t *testing.T) {
	mounts, dir := homes(t)
	out := runs(t, newBox(t, limits), mounts, `
import os
print(os.getcwd(), open("user/notes.txt").read(), open("server/orders.txt").read(), os.path.expanduser("~"))
print(sorted(os.listdir("/")), sorted(os.listdir("/home")), sorted(os.listdir("/etc"))[-3:])
print(os.getuid() != 0, sorted(os.environ))
open("/tmp/x", "w").write("scratch"); open(os.path.expanduser("~/cache"), "w").write("x")
`)
	for _, want := range []string{"/home/eva mine rows /home/eva", "['bin', 'dev', 'etc', 'home'", "['eva']", "True ['HOME', 'LANG', 'LC_CTYPE', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']"} {
		if !strings.Contains(strings.ReplaceAll(out, "'LC_CTYPE', ", ""), strings.ReplaceAll(want, "'LC_CTYPE', ", "")) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, dir) {
		t.Errorf("the path outside is told:\n%s", out)
	}
}

// Each attack prints what it reached; "stopped" is printed where an error came in its way.
func TestHostileProgramsAreContained(t *testing.T) {
	box := newBox(t, limits)
	mounts, dir := homes(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	abstract := fmt.Sprintf("@aida-%d", os.Getpid())
	unix, err := net.Listen("unix", abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	tries := func(lines ...string) string {
		code := "import os, socket, ctypes, subprocess\nlibc = ctypes.CDLL(None, use_errno=True)\n" +
			"def sure(r):\n    if r < 0: raise OSError(ctypes.get_errno())\n"
		for _, l := range lines {
			code += "try:\n    " + l + "\n    print('REACHED', " + fmt.Sprintf("%q", l) + ")\nexcept (OSError, subprocess.CalledProcessError) as e: print('stopped', type(e).__name__)\n"
		}
		return code
	}
	for _, c := range []struct {
		name, code string
		stopped    int
	}{
		{"a call to this machine", tries(fmt.Sprintf("socket.create_connection(('127.0.0.1', %d), 1)", tcp.Addr().(*net.TCPAddr).Port)), 1},
		{"a call to the world", tries("socket.create_connection(('1.1.1.1', 53), 1)", "socket.create_connection(('2606:4700:4700::1111', 53), 1)"), 2},
		{"a name is looked up", tries("socket.getaddrinfo('example.com', 80)"), 1},
		{"an abstract socket of this machine", tries(fmt.Sprintf("socket.socket(socket.AF_UNIX).connect('\\0%s')", abstract[1:])), 1},
		{"sockets that no network namespace contains", tries("socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)", "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"), 3},
		{"somebody else's home", tries(fmt.Sprintf("open(%q).read()", filepath.Join(dir, "bob/user/diary.txt")), "open('/home/bob/user/diary.txt').read()", "open('user/../../bob/user/diary.txt').read()"), 3},
		{"links in the home", tries("open('user/shadow').read()", "open('user/diary').read()", "open('user/up').read()", "open('/etc/shadow').read()"), 4},
		{"folders of this machine", tries("os.listdir('/root')", "os.listdir('/var')", "os.listdir('/sys')", "os.listdir('/run')"), 4},
		{"writes outside of scratch", tries("open('/usr/x', 'w')", "open('/x', 'w')", "open('/etc/passwd', 'a')", "open('user/x', 'w')", "open('server/orders.txt', 'a')", "os.remove('user/notes.txt')",
			"os.chmod('user/notes.txt', 0o777)", "open('/proc/sys/kernel/hostname', 'w').write('x')", "open('/proc/sysrq-trigger', 'w').write('b')"), 9},
		{"other processes", tries(fmt.Sprintf("os.kill(%d, 9)", os.Getpid()), fmt.Sprintf("open('/proc/%d/environ').read()", os.Getpid())), 2},
		{"the guard is looked into", tries("open('/proc/1/environ').read()", "open('/proc/1/mem', 'r+b')", "os.listdir('/proc/1/fd')", "sure(libc.ptrace(16, 1, 0, 0))", "os.readlink('/proc/1/root')"), 5},
		{"descriptors that were left open", "import os\nfor f in os.listdir('/proc/self/fd'):\n    try:\n        if int(f) > 2 and 'proc' not in os.readlink('/proc/self/fd/'+f): print('REACHED', f)\n    except OSError: pass\nprint('stopped')", 1},
		{"namespaces of its own", tries("sure(libc.unshare(0x10000000))", "sure(libc.unshare(0x20000))", "sure(libc.syscall(56, 0x10000011, 0, 0, 0, 0))", "sure(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))", "os.chroot('/tmp')"), 5},
		{"memory that no limit counts", tries("os.memfd_create('x')", "sure(libc.shmget(0, 1 << 20, 0o1600))"), 2},
		{"programs with another user's rights", tries("subprocess.run(['/usr/bin/su', '-c', 'id'], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
			"os.setuid(0)", "os.setgid(0)", "os.setgroups([0])"), 4},
		{"devices", tries("os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))", "open('/dev/mem', 'rb')", "open('/dev/vda', 'rb')", "open('/dev/kmsg')"), 4},
		{"limits are raised", "import resource\ntry:\n    resource.setrlimit(resource.RLIMIT_NPROC, (10000, 10000)); print('REACHED')\nexcept (ValueError, OSError): print('stopped')", 1},
		{"more files than may be open", "l = []\ntry:\n    while len(l) < 1000: l.append(open('/dev/null'))\n    print('REACHED')\nexcept OSError: print('stopped')", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := runs(t, box, mounts, c.code)
			if strings.Contains(out, "REACHED") || strings.Count(out, "stopped") != c.stopped {
				t.Errorf("want %d times stopped:\n%s", c.stopped, out)
			}
		})
	}
	if got, err := os.ReadFile(filepath.Join(dir, "eva/user/notes.txt")); err != nil || string(got) != "mine" {
		t.Errorf("a file of the home was changed: %q, %v", got, err)
	}
}

func TestWithNetworkAProgramReachesWhatTheMachineReaches(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	newBox(t, limits) // says why there can be none
	box, err := sandbox.New(sandbox.Options{Limits: limits, Network: true})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	out := runs(t, box, nil, fmt.Sprintf("import socket; socket.create_connection(('127.0.0.1', %d), 1); print('reached')\ntry: open('/usr/x', 'w')\nexcept OSError: print('stopped')", l.Addr().(*net.TCPAddr).Port))
	if out != "reached\nstopped\n" {
		t.Errorf("%q", out)
	}
}

func TestGreedyProgramsAreEnded(t *testing.T) {
	patient, hasty := newBox(t, limits), newBox(t, short)
	t.Run("all", func(t *testing.T) { greedy(t, patient, hasty) })
	noneLeft(t)
}

func greedy(t *testing.T, patient, hasty *sandbox.Sandbox) {
	for _, c := range []struct {
		name, code string
		want       sandbox.Reason
		stderr     string
	}{
		{"one that never ends", "while True: pass", sandbox.TooLong, ""},
		{"one that sleeps", "import time; time.sleep(1000)", sandbox.TooLong, ""},
		{"one that ignores signals", "import signal, time\nfor s in range(1, 64):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\ntime.sleep(1000)", sandbox.TooLong, ""},
		{"a fork bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", sandbox.TooLong, ""},
		{"a fork bomb of threads", "import threading, time\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(1000,)).start()\n    except RuntimeError: pass", sandbox.TooLong, ""},
		{"ten gigabytes at once", "x = bytearray(10 << 30)", sandbox.Ended, "MemoryError"},
		{"ten gigabytes bit by bit", "x = []\nwhile True: x.append(bytearray(1 << 20))", sandbox.Ended, "MemoryError"},
		{"ten gigabytes by many", "import os, time\nfor i in range(40):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (250 << 20); time.sleep(100)\ntime.sleep(100)", sandbox.TooBig, ""},
		{"ten gigabytes that are shared", "import mmap\nm = mmap.mmap(-1, 10 << 30)\nfor i in range(0, 10 << 30, 4096): m[i] = 1", sandbox.TooBig, ""},
		{"ten gigabytes of scratch", "f = 0\nwhile True:\n    f += 1\n    open(f'/tmp/{f}', 'wb').write(b'x' * (8 << 20))", sandbox.Ended, "No space left"},
		{"ten gigabytes in one file", "f = open('/tmp/x', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", sandbox.Ended, ""},
		{"one that prints without end", "while True: print('x' * 1000)", sandbox.TooChatty, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			box := patient
			if c.want == sandbox.TooLong {
				box = hasty
			}
			start := time.Now()
			r, err := box.Run(t.Context(), sandbox.Job{User: "eva", Argv: []string{python, "-c", c.code}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Reason != c.want || !strings.Contains(r.Stderr, c.stderr) || r.Reason == sandbox.Ended && r.Code == 0 {
				t.Errorf("ended by %q, code %d, signal %s: %s", r.Reason, r.Code, r.Signal, r.Stderr)
			}
			if took := time.Since(start); took > time.Minute { // most of them would take for ever
				t.Errorf("it took %v", took)
			}
			if r.Peak > 3*limits.Memory {
				t.Errorf("%d MiB were used", r.Peak>>20)
			}
			if len(r.Stdout) > 1<<20 || len(r.Stderr) > 4<<10 {
				t.Errorf("%d and %d bytes were kept", len(r.Stdout), len(r.Stderr))
			}
		})
	}
}

func TestWhatAProgramLeavesBehindEndsWithIt(t *testing.T) {
	box := newBox(t, limits)
	start := time.Now()
	r, err := box.Run(t.Context(), sandbox.Job{User: "eva", Argv: []string{python, "-c", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nprint('done')"}})
	if err != nil || string(r.Stdout) != "done\n" || r.Reason != sandbox.Ended {
		t.Fatalf("%+v, %v", r, err)
	}
	if took := time.Since(start); took >= limits.Wall {
		t.Errorf("it took %v", took)
	}
	noneLeft(t)
}

func TestTheCallersEndEndsTheProgram(t *testing.T) {
	box := newBox(t, sandbox.Limits{Wall: time.Minute})
	ctx, cancel := contextWith(t, 500*time.Millisecond)
	defer cancel()
	if _, err := box.Run(ctx, sandbox.Job{User: "eva", Argv: []string{python, "-c", "import time; time.sleep(1000)"}}); err == nil {
		t.Error("a run that was given up has a result")
	}
	noneLeft(t)
}

func TestTheCallerGetsOneFileThatTheProgramMade(t *testing.T) {
	box := newBox(t, limits)
	mounts, _ := homes(t)
	for _, c := range []struct{ name, make, path, want, wrong string }{
		{"a file", "open('/tmp/x.png','w').write('picture')", "/tmp/x.png", "picture", ""},
		{"a file by its relative name", "open('x.png','w').write('picture')", "x.png", "picture", ""},
		{"one that is not there", "", "/tmp/x.png", "", "there is no such file"},
		{"a link", "import os; os.symlink('/etc/passwd', '/tmp/x.png')", "/tmp/x.png", "", "it is a link"},
		{"a folder", "import os; os.mkdir('/tmp/x.png')", "/tmp/x.png", "", "it is not a file"},
		{"a pipe, which would never end", "import os; os.mkfifo('/tmp/x.png')", "/tmp/x.png", "", "it is not a file"},
		{"a device", "", "/dev/zero", "", "it is not a file"},
		{"one that is too large", "open('/tmp/x.png','wb').truncate(20 << 20)", "/tmp/x.png", "", "it has more than 10 MiB"},
		{"a file of the machine", "", "/etc/shadow", "", "there is no such file"},
		{"the guard's own secrets", "", "/proc/1/environ", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := box.Run(t.Context(), sandbox.Job{User: "eva", Mounts: mounts, Argv: []string{python, "-c", c.make}, Pick: func([]byte) string { return c.path }})
			if err != nil {
				t.Fatal(err)
			}
			if string(r.File) != c.want || c.wrong != "" && r.FileErr != c.wrong {
				t.Errorf("%q, %q", r.File, r.FileErr)
			}
		})
	}
}

// The same holds for an aida that is not root, which has a user namespace in root's place.
func TestAllOfItHoldsWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests have shown it")
	}
	dir, err := os.MkdirTemp("/tmp", "aida-sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "test"), self, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run", "TestAProgram|TestWith|TestHostile|TestGreedy|TestWhat|TestTheCaller", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestHostile") {
		t.Errorf("%v\n%s", err, out)
	}
}

// runs gives what a program printed that has to end well.
func runs(t *testing.T, box *sandbox.Sandbox, mounts []sandbox.Mount, code string) string {
	t.Helper()
	r, err := box.Run(t.Context(), sandbox.Job{User: "eva", Mounts: mounts, Argv: []string{python, "-c", code}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 || r.Reason != sandbox.Ended {
		t.Fatalf("ended by %q, code %d, signal %s: %s", r.Reason, r.Code, r.Signal, r.Stderr)
	}
	if strings.Contains(string(r.Stdout), "opensesame") {
		t.Error("a secret of ours came out")
	}
	return string(r.Stdout)
}

// noneLeft tells whether a process of a sandbox still runs.
func noneLeft(t *testing.T) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		i, err := os.Stat(p)
		if err != nil {
			continue
		}
		text, _ := os.ReadFile(p)
		uid := i.Sys().(*syscall.Stat_t).Uid
		if uid >= firstUID && uid < firstUID+2*slots || os.Geteuid() != 0 && strings.Contains(string(text), "sandbox-guard") && strings.Contains(string(text), `"uid":0,`) { // root's have one of their own
			t.Errorf("still there: %s %s", p, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}

func contextWith(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
