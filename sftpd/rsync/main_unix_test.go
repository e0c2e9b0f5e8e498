//go:build unix

package rsync

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is, under the name of a remote shell, the far end of a client: the words after the host are its command.
func TestMain(m *testing.M) {
	if place := os.Getenv("RSYNC_TEST_RELAY"); place != "" && len(os.Args) > 2 {
		os.Exit(relay(place, strings.Join(os.Args[2:], " ")))
	}
	if os.Getenv("RSYNC_TEST_ROOT") != "" && len(os.Args) > 2 {
		os.Exit(remoteShell(os.Args[2:]))
	}
	code := m.Run()
	farHosts.close()
	os.Exit(code)
}

func remoteShell(words []string) int {
	root, err := os.OpenRoot(os.Getenv("RSYNC_TEST_ROOT"))
	if err != nil {
		return 127
	}
	defer root.Close()
	srv := &Server{Source: Dir{root}, Sink: Dir{root}}
	if os.Getenv("RSYNC_TEST_READONLY") != "" {
		srv.Sink = nil
	}
	_ = syscall.SetNonblock(0, true) // so that Close ends a read
	conn := stdio{os.NewFile(0, "stdin"), os.Stdout}
	if cut := os.Getenv("RSYNC_TEST_CUT"); cut != "" {
		return serveUntil(srv, cut, strings.Join(words, " "), conn)
	}
	return srv.Serve(context.Background(), strings.Join(words, " "), conn, os.Stderr)
}

type stdio struct {
	io.ReadCloser
	io.Writer
}

// processShell gives a command that stands for ssh and runs this package in a process of its own.
func processShell(t testing.TB, root string) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "rsh")
	text := "#!/bin/sh\nRSYNC_TEST_ROOT=" + root + " exec " + os.Args[0] + " \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// client runs the installed rsync, and gives what it printed and its exit code.
func client(t testing.TB, dir, rsh string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	limit := time.Minute
	if os.Getenv("AIDA_TORTURE") != "" {
		limit = 30 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "rsync", append([]string{"-e", rsh}, args...)...)
	cmd.Dir, cmd.WaitDelay, cmd.Env = dir, time.Second, append(os.Environ(), "LC_ALL=C")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ee, ok := err.(*exec.ExitError); ok {
		code = ee.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// torture is how often a test repeats itself: n, or what AIDA_TORTURE says.
func torture(t testing.TB, n int) int {
	t.Helper()
	if s := os.Getenv("AIDA_TORTURE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("AIDA_TORTURE=%s is not a number", s)
		}
	}
	return n
}

// seeded is chance that AIDA_SEED repeats.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("AIDA_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("AIDA_SEED=%s is not a number", s)
		}
	}
	t.Logf("AIDA_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 5))
}
