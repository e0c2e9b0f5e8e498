package portal_test

import (
	"bytes"
	"encoding/json"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/store"
)

func TestThreeStepsAreTickedAsTheServerSeesThem(t *testing.T) {
	p := open(t, setup{})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b := p.as(eva)
	state := func() (s struct {
		Step                   int
		Key, Connected, Pulled bool
		Pull_Text              string
		Keys                   []struct{ Fingerprint, Art string }
	}) {
		if err := json.Unmarshal([]byte(b.get("/connect/state").body), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(); s.Step != 1 || s.Key {
		t.Errorf("%+v", s)
	}
	wants(t, b.get("/connect"), http.StatusOK, "waiting for a key", "SHA256:", "rsync -a")
	wants(t, b.follow(b.post("/connect/key", url.Values{"key": {"  ssh-ed25519\n" + strings.TrimPrefix(evaKey, "ssh-ed25519 ")}})), http.StatusOK, "is connected")
	s := state()
	if s.Step != 2 || len(s.Keys) != 1 {
		t.Fatalf("%+v", s)
	}
	keys, err := p.store.Keys(t.Context(), "eva")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.store.KeyUsed(t.Context(), keys[0].ID, "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.Step != 3 {
		t.Errorf("%+v", s)
	}
	if err := p.store.MarkSync(t.Context(), eva.ID); err != nil {
		t.Fatal(err)
	}
	if s := state(); s.Step != 4 || !strings.HasPrefix(s.Pull_Text, "0 tables, 0 B") {
		t.Errorf("%+v", s)
	}
	wants(t, b.get("/connect"), http.StatusOK, "You are connected")
}

func TestKeysThatAreNoneAreRefusedWithTheWayOut(t *testing.T) {
	p := open(t, setup{})
	p.addUser(store.NewUser{Name: "paul", Email: "paul@example.com", Key: evaKey})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	private := "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----"
	a := b.post("/connect/key", url.Values{"key": {private}})
	wants(t, a, http.StatusBadRequest, "This is a private key")
	if strings.Contains(a.body, "b3BlbnNz") {
		t.Error("the private key is shown again")
	}
	wants(t, b.post("/connect/key", url.Values{"key": {"hello"}}), http.StatusBadRequest, "not an SSH public key")
	a = b.post("/connect/key", url.Values{"key": {evaKey}})
	wants(t, a, http.StatusBadRequest, "connected already")
	if strings.Contains(a.body, "paul") {
		t.Error("it says whose key it is")
	}
}

func TestAKeyComesInByFile(t *testing.T) {
	p := open(t, setup{})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "id_ed25519.pub")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(evaKey + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	r := b.request("POST", "/connect/key", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	wants(t, b.follow(b.do(r)), http.StatusOK, "is connected", "eva@laptop")
}

// The command that the page shows is run by a real shell, with real ssh-keygen and curl.
func TestTheOneLineCommandConnectsAKeyOnce(t *testing.T) {
	for _, tool := range []string{"curl", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed: make clients", tool)
		}
	}
	p := open(t, setup{})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	page := b.post("/connect/command", nil)
	command := html.UnescapeString(regexp.MustCompile(`<code>(test -f [^<]*)</code>`).FindStringSubmatch(page.body)[1])
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := func() string {
		cmd := exec.Command("sh", "-c", command)
		cmd.Env = append(os.Environ(), "HOME="+home)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if out := shell(); !strings.Contains(out, "to eva.") {
		t.Fatalf("%s\n%s", command, out)
	}
	keys, err := p.store.Keys(t.Context(), "eva")
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if out := shell(); !strings.Contains(out, "403") {
		t.Errorf("the command worked twice: %s", out)
	}
	art, err := exec.Command("ssh-keygen", "-lv", "-f", filepath.Join(home, ".ssh", "aida.pub")).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(art), "\n")
	if got := portal.Randomart(keys[0].Fingerprint, keys[0].Type); got != strings.TrimSpace(want) {
		t.Errorf("randomart\n%s\nwant\n%s", got, want)
	}
	if a := b.get("/connect"); !strings.Contains(html.UnescapeString(a.body), keys[0].Fingerprint) {
		t.Errorf("the page does not show %s", keys[0].Fingerprint)
	}

	old := regexp.MustCompile(`Bearer ([\w-]+)`).FindStringSubmatch(b.post("/connect/command", nil).body)[1]
	p.clock.on(16 * time.Minute)
	r := p.browser().request("POST", "/enrol", strings.NewReader(evaKey))
	r.Header.Set("Authorization", "Bearer "+old)
	wants(t, p.browser().do(r), http.StatusForbidden, "too old or was used already")
}
