package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sandbox runs programs, some at a time.
type Sandbox struct {
	o     Options
	root  bool
	slots chan int   // each is a user id's offset, so that no two running programs share one
	maps  []*os.File // root only: the user namespaces by which mounts are mapped, one for each slot
	group *groups    // nil = no cgroup can be had
}

// New makes a Sandbox, and tries whether the kernel gives one. The error is a sentence that says what is missing.
func New(o Options) (*Sandbox, error) {
	o.defaults()
	s := &Sandbox{o: o, root: os.Geteuid() == 0, slots: make(chan int, o.Slots)}
	if s.root {
		for slot := range o.Slots {
			m, err := holdMap(o.Exe, o.UID+slot)
			if err != nil {
				return nil, errors.Join(unavailable(err), s.Close())
			}
			s.maps = append(s.maps, m)
		}
	}
	var err error
	if s.group, err = newGroups(); err != nil {
		o.Log.Info("scripts run without a cgroup: their memory is watched and bounded per process", "cause", err)
	}
	for slot := range o.Slots {
		s.slots <- slot
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := s.Run(ctx, Job{User: "probe"}); err != nil {
		return nil, errors.Join(unavailable(err), s.Close())
	}
	return s, nil
}

// Limits are the bounds of a run.
func (s *Sandbox) Limits() Limits { return s.o.Limits }

// String says by what programs are contained.
func (s *Sandbox) String() string {
	how := "in a user namespace"
	if s.root {
		how = fmt.Sprintf("as the users %d to %d", s.o.UID, s.o.UID+s.o.Slots-1)
	}
	memory := "memory is watched, as no cgroup is handed to aida"
	if s.group != nil {
		memory = "a cgroup bounds memory"
	}
	network := "without network"
	if s.o.Network {
		network = "with the machine's network"
	}
	return how + ", " + network + "; " + memory
}

// Close lets go of what New took. No program may run any more.
func (s *Sandbox) Close() error {
	var err error
	for _, m := range s.maps {
		err = errors.Join(err, m.Close())
	}
	if s.group != nil {
		s.group.close()
	}
	return err
}

func unavailable(err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EUSERS):
		text = "this machine does not let aida make user namespaces (" + text + "): set sysctl kernel.apparmor_restrict_unprivileged_userns=0 or user.max_user_namespaces=10000, or give the service an AppArmor profile with userns"
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EINVAL):
		text = "the kernel lacks what contains scripts (" + text + "): Linux 5.14 or newer with namespaces is needed"
	}
	return &Unavailable{text}
}

// grace is what the guard inside has to report after the time is over, before it is ended with all in it.
const grace = 5 * time.Second

// Run runs one program to its end. An error means that it did not run; what the program did wrong is in the result.
func (s *Sandbox) Run(ctx context.Context, j Job) (*Result, error) {
	var slot int
	select {
	case slot = <-s.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { s.slots <- slot }()
	limit, cancel := context.WithTimeout(ctx, s.o.Limits.Wall+grace)
	defer cancel()
	g, err := s.start(limit, slot, j)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSetup, err)
	}
	defer g.end()
	r, err := g.talk(limit, j, s.o.Limits)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return r, err
}

// guarded is one run as we see it from outside.
type guarded struct {
	cmd     *exec.Cmd
	control *os.File // closed or our death = its end
	answers *os.File
	group   *group
	log     *slog.Logger
}

func (s *Sandbox) start(ctx context.Context, slot int, j Job) (_ *guarded, err error) {
	sp := spec{User: j.User, Network: s.o.Network, Folders: s.o.Folders, Mounts: slices.Clone(j.Mounts), Argv: j.Argv, Env: j.Env, Limits: s.o.Limits, IDMap: s.root}
	if s.root {
		sp.UID = s.o.UID + slot
	}
	for i := range sp.Mounts { // inside, another folder is the current one
		if sp.Mounts[i].From, err = filepath.Abs(sp.Mounts[i].From); err != nil {
			return nil, err
		}
	}
	inside, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer out.Close()
	g := &guarded{control: control, answers: answers, log: s.o.Log}
	defer func() {
		if err != nil {
			g.end()
		}
	}()
	cmd := exec.CommandContext(ctx, s.o.Exe)
	cmd.Args, cmd.Env, cmd.Dir = []string{"aida", stageBuild}, []string{"GOMAXPROCS=2"}, "/"
	cmd.ExtraFiles = []*os.File{inside, out}
	if s.root {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.maps[slot])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS, Setsid: true}
	if !s.o.Network {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if !s.root {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	if s.group != nil {
		if g.group, err = s.group.make(s.o.Limits); err != nil {
			return nil, err
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD, sp.Group = true, int(g.group.dir.Fd()), true
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g.cmd = cmd
	_, err = control.Write(encode(sp))
	return g, err
}

// nobody is the user that the program is inside.
const nobody = 65534

// maxAnswer bounds what is read from inside: stdout and a file, in base64, and some more.
func (l Limits) maxAnswer() int64 { return (int64(l.Output)+l.File)*4/3 + 1<<20 }

// talk reads how the run went, and the file that the caller wants. All that comes from inside is taken for hostile.
func (g *guarded) talk(ctx context.Context, j Job, l Limits) (*Result, error) {
	stop := context.AfterFunc(ctx, func() { g.answers.SetReadDeadline(time.Now()) })
	defer stop()
	in := json.NewDecoder(bufio.NewReader(io.LimitReader(g.answers, l.maxAnswer())))
	var a answer
	switch err := in.Decode(&a); {
	case err != nil && ctx.Err() != nil:
		return &Result{Reason: TooLong, Code: -1, Elapsed: l.Wall}, nil
	case err != nil && g.group.exhausted():
		return &Result{Reason: TooBig, Code: -1}, nil
	case err != nil:
		return nil, fmt.Errorf("%w: the guard inside ended without a word", errSetup)
	case a.Failed != "":
		return nil, fmt.Errorf("%w: %s", errSetup, a.Failed)
	case a.Result == nil || len(a.Result.Stdout) > l.Output:
		return nil, fmt.Errorf("%w: the guard inside gave a wrong answer", errSetup)
	}
	r := a.Result
	if r.Reason == Ended && r.Code != 0 && g.group.exhausted() {
		r.Reason = TooBig
	}
	if len(r.Stderr) > maxStderr {
		r.Stderr = r.Stderr[len(r.Stderr)-maxStderr:]
	}
	if r.Reason != Ended || j.Pick == nil {
		return r, nil
	}
	name := j.Pick(r.Stdout)
	if name == "" {
		return r, nil
	}
	var f answer
	_, err := g.control.Write(encode(ask{name}))
	if err == nil {
		err = in.Decode(&f)
	}
	if err != nil {
		f.NoFile = "it could not be read in time"
	}
	r.File, r.FileErr = f.File, f.NoFile
	return r, nil
}

// end ends all that may still run inside: without its first process, the kernel ends the others.
func (g *guarded) end() {
	g.control.Close()
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
	}
	g.answers.Close()
	if g.group != nil {
		if err := g.group.remove(); err != nil {
			g.log.Warn("a cgroup of a script stays", "error", err)
		}
	}
}
