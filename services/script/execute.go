package script

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"aida/services/script/sandbox"
	"aida/store"
)

// environment is what scripts find beside what the sandbox sets. Numeric libraries take memory for each thread, 128 MiB each as
// OpenBLAS does, and one per core of a large machine is more than there is for a script: OpenBLAS then asks for ever.
var environment = []string{"MPLCONFIGDIR=/tmp/mpl", "MPLBACKEND=Agg", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1", "PYTHONIOENCODING=utf-8",
	"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "NUMEXPR_MAX_THREADS=1"}

// fault is what a script did wrong, a sentence for its author.
type fault struct{ sentence string }

func (f *fault) Error() string { return f.sentence }

func faulty(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }

// execute runs a script and gives what it said, with the name of its picture. A picture that cannot be taken is told in the
// message, and the alert goes without it.
func (s *Service) execute(ctx context.Context, u store.User, name string) (said, string, error) {
	dir, release, err := s.o.Tree.Lay(ctx, u)
	if err != nil {
		return said{}, "", fmt.Errorf("the author's data: %w", err)
	}
	defer release()
	home := "/home/" + u.Name
	r, err := s.o.Box.Run(ctx, sandbox.Job{
		User:   u.Name,
		Mounts: []sandbox.Mount{{From: dir, To: home + "/server"}, {From: filepath.Join(s.o.Homes, u.Name, "user"), To: home + "/user"}},
		Argv:   []string{s.o.Interpreter, "user/notifications/" + name},
		Env:    environment,
		Pick: func(stdout []byte) string {
			if out, err := parse(stdout); err == nil && out.Notify {
				return out.Image
			}
			return ""
		},
	})
	if err != nil {
		return said{}, "", err
	}
	if err := s.judge(r); err != nil {
		return said{}, "", err
	}
	out, err := parse(r.Stdout)
	if errors.Is(err, errSilent) {
		return said{}, "", errSilent
	}
	if err != nil {
		return said{}, "", withTail(faulty("%v", err), r.Stderr)
	}
	if !out.Notify || out.Image == "" {
		return out, "", nil
	}
	picture, why := "", r.FileErr
	if why == "" {
		if picture, err = s.keepPicture(r.File); err != nil {
			var l *leftOut
			if !errors.As(err, &l) {
				return said{}, "", err
			}
			why = l.why
		}
	}
	if why != "" {
		out.Message = strings.TrimSpace(out.Message + "\n\n(The picture was left out: " + why + ".)")
	}
	return out, picture, nil
}

// judge says what went wrong in a run.
func (s *Service) judge(r *sandbox.Result) error {
	l := s.o.Limits
	switch {
	case r.Reason == sandbox.TooLong:
		return withTail(faulty("It was stopped after %v. Let it look at less data, or look at it in fewer steps.", l.Wall.Round(time.Second)), r.Stderr)
	case r.Reason == sandbox.TooBig:
		return withTail(faulty("It was stopped as it needed more than %d MiB of memory. Let it look at less data at a time.", l.Memory>>20), r.Stderr)
	case r.Reason == sandbox.TooChatty:
		return withTail(faulty("It was stopped as it printed more than %d KiB. Print one JSON object and nothing else.", l.Output>>10), r.Stderr)
	case r.Signal != "":
		return withTail(faulty("It was ended by the signal %s.", r.Signal), r.Stderr)
	case r.Code != 0 && strings.Contains(r.Stderr, "MemoryError"):
		return withTail(faulty("It needed more than the %d MiB of memory that there are for it. Let it look at less data at a time.", l.Memory>>20), r.Stderr)
	case r.Code != 0:
		return withTail(faulty("It ended with the exit code %d%s", r.Code, lastLine(r.Stderr)), r.Stderr)
	}
	return nil
}

// lastLine is where Python says what went wrong.
func lastLine(stderr string) string {
	stderr = strings.TrimSpace(stderr)
	line := begin([]byte(stderr[strings.LastIndexByte(stderr, '\n')+1:]))
	if line == "" {
		return "."
	}
	return ": " + line
}

// withTail adds the end of what the script wrote to stderr, which is the author's own.
func withTail(err error, stderr string) error {
	const most = 1500
	stderr = strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(stderr, "\x00", ""), "\uFFFD"))
	if stderr == "" {
		return err
	}
	if len(stderr) > most {
		stderr = strings.ToValidUTF8("..."+stderr[len(stderr)-most:], "")
	}
	return faulty("%v\n```\n%s\n```", err, strings.ReplaceAll(stderr, "```", "'''"))
}

// sentence is what the author is told. What is not the script's fault is ours: the log has it.
func (s *Service) sentence(u store.User, name string, err error) string {
	var f *fault
	if errors.As(err, &f) {
		return f.sentence
	}
	if errors.Is(err, errSilent) {
		return strings.ToUpper(errSilent.Error()[:1]) + errSilent.Error()[1:] + "."
	}
	s.o.Log.Error("a script could not be run", "user", u.Name, "script", name, "error", err)
	return "It could not be run, which is not its fault. An admin finds the cause in the log."
}
