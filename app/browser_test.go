package app_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
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

// startAida starts the real binary and ends it with the test.
func startAida(t *testing.T, args ...string) *appliance {
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

// tab is one page of a browser with a fresh profile, and what its console complained about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

func browser(t *testing.T) *tab {
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
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium did not start: %v", err)
	}
	b := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.complaints = append(b.complaints, m.String()+" at "+m.URL)
				b.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// quiet tells whether the console complained of anything since the last time.
func (b *tab) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("%s: the console says: %s", where, c)
	}
	b.complaints = nil
}

// stepTime is how long steps in a page may take; a machine that does much else is slow.
const stepTime = 3 * time.Minute

// do takes steps in the page; a step that fails tells where the page was.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	turn, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	if err := chromedp.Do(turn, steps...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
		b.t.Fatalf("%v\nat %s:\n%.800s", err, where, text)
	}
}

// visit opens a page and waits until it stands. A page that renews itself at that moment wins over the way to the next one,
// which is asked for again.
func (b *tab) visit(url string) {
	b.t.Helper()
	open := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		for {
			v, err := chromedp.Navigate(url)(ctx, target)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "net::ERR_ABORTED") {
				return v, err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	b.do(open, chromedp.WaitVisible(chromedp.CSS("main")))
}

// ofPage asks the page something that changes nothing. A page that renews itself meanwhile, as those of runs do, is asked again.
func ofPage[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	turn, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	v, err := chromedp.Run(turn, a)
	for err != nil && turn.Err() == nil && renewed.MatchString(err.Error()) {
		time.Sleep(50 * time.Millisecond)
		v, err = chromedp.Run(turn, a)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// renewed is what Chromium says when a page goes away while it is asked.
var renewed = regexp.MustCompile(`navigated or closed|context was destroyed|Cannot find context|Execution context`)

// text is what a person reads.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return ofPage(b, chromedp.Text(selector))
}

// shots looks at the page as people see it: light and dark, wide and as on a phone. Each time axe-core must find nothing, targets
// of less than 24 px included, the page must fit its screen, and a picture is kept, in .build/screens or where AIDA_SHOTS says.
func (b *tab) shots(name string) {
	b.t.Helper()
	dir := cmp.Or(os.Getenv("AIDA_SHOTS"), filepath.Join("..", ".build", "screens"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range []struct {
		name, scheme string
		wide         int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"phone", "light", 390}} {
		b.do(chromedp.EmulateViewport(v.wide, 844), b.scheme(v.scheme))
		b.settle()
		b.accessible(name+", "+v.name, v.scheme == "dark")
		b.fits(name + ", " + v.name)
		if err := os.WriteFile(filepath.Join(dir, name+"-"+v.name+".png"), ofPage(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.do(chromedp.EmulateReset(), b.scheme(""), chromedp.EmulateViewport(1280, 900))
	b.settle() // a click during the change would meet the bar of the phone
}

// settle waits until the page stands still: a frame with all that changed has been drawn, and no transition is under way.
func (b *tab) settle() {
	b.t.Helper()
	ofPage(b, chromedp.Evaluate[bool](`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(async () => {
		await Promise.allSettled(document.getAnimations().map((a) => a.finished));
		done(true);
	})))`, chromedp.EvalAwaitPromise))
}

// axe is the rules of WCAG as code; see testdata/axe.
var axe = sync.OnceValues(func() ([]byte, error) { return os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js")) })

// accessible fails on everything that keeps somebody from using the page. What was looked at in light differs in dark by its
// contrast alone.
func (b *tab) accessible(where string, contrastAlone bool) {
	b.t.Helper()
	code, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	options := `{resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}`
	if contrastAlone {
		options = `{resultTypes: ["violations"], runOnly: {type: "rule", values: ["color-contrast"]}}`
	}
	found := ofPage(b, chromedp.Evaluate[[]struct{ ID, Help, Where, HTML, Summary string }](`(() => { window.axe || (() => {`+string(code)+`})(); return axe.run(document, `+options+`).then((r) =>
		r.violations.flatMap((v) => v.nodes.map((n) => ({ID: v.id, Help: v.help, Where: n.target.join(" "), HTML: n.html.slice(0, 160), Summary: n.failureSummary.slice(0, 300)})))); })()`, chromedp.EvalAwaitPromise))
	for i, v := range found {
		if i == 5 {
			b.t.Errorf("%s: and %d more", where, len(found)-i)
			break
		}
		b.t.Errorf("%s: %s (%s) at %s: %s\n%s", where, v.ID, v.Help, v.Where, v.HTML, v.Summary)
	}
}

func (b *tab) scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		p := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, p)
		return err
	})
}
