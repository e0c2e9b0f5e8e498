package app_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A whole first day: the printed link signs an admin in, who invites an analyst; the analyst signs in, pastes a key, runs the
// commands that the page shows, and the page ticks each step off by itself.
func TestTheFirstDayOfAnAnalyst(t *testing.T) {
	a := startAida(t, "demo", "--size", "xs")
	admin := browser(t)
	admin.visit(a.SignIn)
	admin.do(chromedp.Click("form button"), chromedp.WaitVisible(".rail"))
	admin.visit(a.HTTP + "/admin/people")
	admin.do(chromedp.Click(chromedp.CSS("details.fold summary")), chromedp.WaitVisible(chromedp.CSS("[name=email]")), chromedp.SendKeys(chromedp.CSS("[name=email]"), "eva@example.com"),
		chromedp.SendKeys(chromedp.CSS("[name=full_name]"), "Eva Novak"), chromedp.SendKeys(chromedp.CSS("[name=name]"), "eva"),
		chromedp.Click(chromedp.CSS("details.fold button.primary")), chromedp.WaitVisible(chromedp.CSS(".notice")))
	if text := admin.text(".notice"); !strings.Contains(text, "aida analyst link eva@example.com") {
		t.Fatalf("the page says %q", text)
	}
	out, err := exec.Command(a.Binary, "analyst", "link", "eva@example.com", "--data", filepath.Join(a.Dir, "data"), "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var link struct{ Link string }
	if err := json.Unmarshal(out, &link); err != nil {
		t.Fatal(err)
	}

	eva := browser(t)
	eva.visit(link.Link)
	eva.do(chromedp.Click("form button"), chromedp.WaitVisible(chromedp.CSS("#step-1.next")))
	eva.shots("connect-1")
	home := t.TempDir()
	ssh := filepath.Join(home, ".ssh")
	if err := os.Mkdir(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(ssh, "aida"), "-C", "eva@laptop").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(filepath.Join(ssh, "aida.pub"))
	if err != nil {
		t.Fatal(err)
	}
	eva.do(chromedp.Click(`//button[text()="I have a key already"]`), chromedp.SendKeys(chromedp.CSS("#key-text"), strings.TrimSpace(string(public))),
		chromedp.Click(`//button[text()="Add key"]`), chromedp.WaitVisible(chromedp.CSS("#step-2.next")))
	eva.shots("connect-2")
	loaded := ofPage(eva, chromedp.Evaluate[float64]("performance.timeOrigin"))

	// The commands are those of the page; only the places of the two files are the test's, as ssh finds them by the account.
	config := eva.command("#step-2 .tab code")
	shell(t, home, config)
	list := "sftp -F ~/.ssh/config -o UserKnownHostsFile=~/.ssh/known_hosts -i ~/.ssh/aida -b - data-analyst"
	shell(t, home, "echo ls | "+strings.ReplaceAll(list, "~", home))
	eva.do(chromedp.WaitVisible(chromedp.CSS("#step-3.next")))
	if text := eva.text("#step-2 .step-said"); !strings.Contains(text, "from 127.0.0.1") {
		t.Errorf("step 2 says %q", text)
	}
	pull := eva.command("#step-3 .tab code")
	if !strings.HasPrefix(pull, "rsync ") {
		t.Fatalf("the page shows %q", pull)
	}
	shell(t, home, "RSYNC_RSH='ssh -F "+home+"/.ssh/config -o UserKnownHostsFile="+home+"/.ssh/known_hosts -i "+home+"/.ssh/aida' "+pull)
	eva.do(chromedp.WaitVisible(chromedp.CSS("#all-done")))
	if text := eva.text("#step-3 .step-said"); !strings.Contains(text, "9 tables, ") {
		t.Errorf("step 3 says %q", text)
	}
	if ofPage(eva, chromedp.Evaluate[float64]("performance.timeOrigin")) != loaded {
		t.Error("the page was loaded again")
	}
	if files, err := filepath.Glob(filepath.Join(home, "server", "parquet", "*", "*.parquet")); err != nil || len(files) != 9 {
		t.Errorf("%d files were pulled: %v", len(files), err)
	}
	eva.shots("connect-3")
	eva.quiet("onboarding")
	eva.visit(a.HTTP + "/")
	eva.shots("home-analyst")
	admin.visit(a.HTTP + "/admin/people/eva")
	admin.shots("person-eva")
	admin.visit(a.HTTP + "/admin/people/eva/remove")
	admin.shots("remove-eva")
	admin.do(chromedp.SendKeys(chromedp.CSS("[name=confirm]"), "eva"), chromedp.Click(chromedp.CSS("button.danger")), chromedp.WaitVisible(chromedp.CSS(".notice")))
	eva.do(chromedp.Navigate(a.HTTP+"/account"), chromedp.WaitVisible(chromedp.CSS("main.narrow")))
	admin.quiet("people")
}

// command is the first command that a person would copy there.
func (b *tab) command(selector string) string {
	b.t.Helper()
	return ofPage(b, chromedp.TextContent(chromedp.CSS(selector)))
}

// shell runs a command as a person's shell does, in their home.
func shell(t *testing.T, home, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = home, append(os.Environ(), "HOME="+home), 30*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v\n%s", command, err, out)
	}
}
