package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aida/app"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aida": func() { os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts drives the real binary with stock clients; each script reads as a session of a person.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			for _, k := range []string{"AIDA_DUCKDB"} {
				env.Setenv(k, os.Getenv(k))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "stop": stop, "duckdb": duckdb, "keboola": keboolaCommand, "bigquery": bigquery},
	})
}

// server is a running `aida serve` or `aida demo` of a script.
type server struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// serve starts aida with the given arguments, waits until it listens, and writes ssh_config, in which the host "aida" is
// this server.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("aida", append(args, "--json", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0")...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "CONFIG_DIR="+ts.Getenv("CONFIG_DIR"), "DATA_DIR="+ts.Getenv("DATA_DIR"))
	for _, k := range []string{"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"} { // of a source that the script started
		if ts.Getenv("HTTPS_PROXY") != "" {
			cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
		}
	}
	log, err := os.Create(ts.MkAbs("server.log"))
	ts.Check(err)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s := &server{cmd, make(chan struct{})}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = cmd.Wait()
		log.Close()
		close(s.done)
	}()
	ts.Defer(func() { _ = cmd.Process.Kill(); <-s.done })
	if err != nil {
		text, _ := os.ReadFile(ts.MkAbs("server.log"))
		ts.Fatalf("the server did not start: %v\n%s", err, text)
	}
	ts.Check(os.WriteFile(ts.MkAbs("ready.json"), []byte(line), 0o600))
	var ready struct{ HTTP, SSH, Host_Key, Key, Sign_In string }
	ts.Check(json.Unmarshal([]byte(line), &ready))
	host, port, err := net.SplitHostPort(ready.SSH)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("known_hosts"), fmt.Appendf(nil, "[%s]:%s %s\n", host, port, ready.Host_Key), 0o600))
	config := fmt.Sprintf("Host aida\n HostName %s\n Port %s\n UserKnownHostsFile %s\n GlobalKnownHostsFile /dev/null\n IdentitiesOnly yes\n BatchMode yes\n ConnectTimeout 10\n",
		host, port, ts.MkAbs("known_hosts"))
	ts.Check(os.WriteFile(ts.MkAbs("ssh_config"), []byte(config), 0o600))
	ts.Setenv("PORT", port)
	ts.Setenv("KEY", ready.Key)
	ts.Setenv("PORTAL", ready.HTTP)
	ts.Setenv("SIGN_IN", ready.Sign_In)
	current[ts.Getenv("WORK")] = s
}

// current is the server of each script, by its work folder.
var current = map[string]*server{}

// stop ends the server in order, or with "kill" as a power cut would.
func stop(ts *testscript.TestScript, neg bool, args []string) {
	s := current[ts.Getenv("WORK")]
	signal := syscall.SIGTERM
	if len(args) > 0 && args[0] == "kill" {
		signal = syscall.SIGKILL
	}
	ts.Check(s.cmd.Process.Signal(signal))
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		ts.Fatalf("the server did not end")
	}
}

// duckdb runs SQL and compares what it prints with the last argument.
func duckdb(ts *testscript.TestScript, neg bool, args []string) {
	if os.Getenv("AIDA_DUCKDB") == "" {
		if os.Getenv("CI") != "" {
			ts.Fatalf("AIDA_DUCKDB is not set: run the tests with make test")
		}
		return
	}
	if len(args) != 2 {
		ts.Fatalf("usage: duckdb SQL WANT")
	}
	cmd := exec.Command(os.Getenv("AIDA_DUCKDB"), args[0])
	cmd.Dir = ts.MkAbs(".")
	out, err := cmd.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != strings.TrimSpace(args[1]) {
		ts.Fatalf("duckdb %s\n got %s\nwant %s (%v)", args[0], got, args[1], err)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
