package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// appliance is a running aida of a test, as its ready line tells of it.
type appliance struct {
	HTTP    string `json:"http"`
	SSH     string `json:"ssh"`
	HostKey string `json:"host_key"`
	User    string `json:"user"`
	Key     string `json:"key"`
	SignIn  string `json:"sign_in"`
	Dir     string `json:"-"`
	Binary  string `json:"-"`
}

// run starts the real binary and ends it with the test.
func run(t *testing.T, args ...string) *appliance {
	t.Helper()
	a := &appliance{Dir: t.TempDir()}
	var err error
	if a.Binary, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(a.Dir, "aida") // testscript's main runs as the command that it is called by
	if err := os.Symlink(a.Binary, link); err != nil {
		t.Fatal(err)
	}
	a.Binary = link
	cmd := exec.Command(link, append(args, "--json", "--data", filepath.Join(a.Dir, "data"), "--http", "127.0.0.1:0", "--ssh", "127.0.0.1:0")...)
	cmd.Dir = a.Dir
	log, err := os.Create(filepath.Join(a.Dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), a)
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("the server did not start: %v\n%s", err, text)
	}
	return a
}

// browser opens Chromium with a fresh profile.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("the browser tests need Chromium: `make clients` installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("Chromium did not start: %v", err)
	}
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	turn, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Run(turn, actions...); err != nil {
		var where, text string
		_ = chromedp.Run(ctx, chromedp.Location(&where), chromedp.Text("body", &text))
		t.Fatalf("%v\nat %s:\n%.600s", err, where, text)
	}
}

// shots keeps pictures of the page where AIDA_SHOTS says: light and dark, wide and as on a phone.
func shots(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("AIDA_SHOTS")
	if dir == "" {
		return
	}
	for _, v := range []struct {
		name, scheme string
		wide         int64
		phone        bool
	}{{"light", "light", 1280, false}, {"dark", "dark", 1280, false}, {"phone", "light", 390, true}} {
		var png []byte
		do(t, ctx, emulation.SetDeviceMetricsOverride(v.wide, 844, 1, v.phone),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}),
			chromedp.Sleep(150*time.Millisecond), chromedp.FullScreenshot(&png, 100))
		if err := os.WriteFile(filepath.Join(dir, name+"-"+v.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx, emulation.ClearDeviceMetricsOverride(), emulation.SetEmulatedMedia())
}
