// Package app is the composition root and the command line: it opens the rooms, wires them, runs them and shuts them down
// in order. It holds no rule of its own; what a table, a person or a generation is, the rooms know.
//
//	os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"aida/services/script/sandbox"
)

// version is set by the linker; see the Makefile.
var version = "dev"

// Exit codes of every command.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
)

// Main runs one command line and gives the exit code. The first interrupt ends work in order, a second one at once.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) > 0 && sandbox.Stage(args[0]) {
		return sandbox.Main(args) // ourselves again, inside of a script's sandbox
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	root := newRoot(&cli{in: in, out: out, err: errOut})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var e *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(errOut, "aida: "+strings.TrimSpace(e.err.Error()))
		}
		return e.code
	}
	fmt.Fprintln(errOut, "aida: "+strings.TrimSpace(err.Error()))
	return exitFailed
}

// exitError ends the program with a code; a nil err means that all is said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}
