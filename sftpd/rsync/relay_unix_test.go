//go:build unix

package rsync

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// serverShell gives a command that stands for ssh and leads to a server of this process.
func serverShell(t testing.TB, srv *Server) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "relay") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
		os.RemoveAll(dir)
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				command, err := in.ReadString(0)
				if err != nil {
					return
				}
				var stderr strings.Builder
				code := srv.Serve(context.Background(), strings.TrimSuffix(command, "\x00"), relayed{in, c}, &stderr)
				_ = os.WriteFile(filepath.Join(dir, "end"), fmt.Appendf(nil, "%d %s", code, stderr.String()), 0o600)
			})
		}
	})
	script := filepath.Join(dir, "rsh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nRSYNC_TEST_RELAY="+dir+" exec "+os.Args[0]+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// relayed is a connection of which the first bytes were read already.
type relayed struct {
	io.Reader
	net.Conn
}

func (r relayed) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// relay is the process at the client's side of serverShell.
func relay(dir, command string) int {
	c, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		return 127
	}
	if _, err := io.WriteString(c, command+"\x00"); err != nil {
		return 127
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, c)
	text, err := os.ReadFile(filepath.Join(dir, "end"))
	if err != nil {
		return 127
	}
	end, said, _ := strings.Cut(string(text), " ")
	fmt.Fprint(os.Stderr, said)
	code := 127
	_, _ = fmt.Sscan(end, &code)
	return code
}
