package portal

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

func (p *Portal) connectRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /connect", Who: route.Person, Handle: p.connect},
		{Pattern: "GET /connect/state", Who: route.Person, Handle: p.connectState},
		{Pattern: "POST /connect/key", Who: route.Person, Handle: p.addKey},
		{Pattern: "POST /register", Who: route.Person, Handle: p.addKey}, // the reference's address
		{Pattern: "POST /connect/command", Who: route.Person, Handle: p.enrolCommand},
		{Pattern: "POST /enrol", Who: route.Own, Handle: p.enrol},
	}
}

// progress is how far somebody is with connecting: what the three ticks show.
type progress struct {
	Key       bool   `json:"key"`
	Connected bool   `json:"connected"`
	Pulled    bool   `json:"pulled"`
	KeyText   string `json:"key_text"`
	SeenText  string `json:"seen_text"`
	PullText  string `json:"pull_text"`
}

// Step is the first one that is open: 1, 2, 3, or 4 when all is done.
func (v progress) Step() int {
	switch {
	case !v.Key:
		return 1
	case !v.Connected:
		return 2
	case !v.Pulled:
		return 3
	}
	return 4
}

type connectView struct {
	progress
	Keys                        []keyView
	SSH                         SSH
	HostFingerprint             string
	User                        string
	Wrong, Text                 string // what was pasted and why it was refused
	Unix, Windows               string // one-line commands with their token, when asked for
	Expires                     time.Duration
	Alias                       string
	Config, ConfigWindows, Sftp string
	Rsync, ClaudeText           string
}

type keyView struct {
	store.Key
	Art string
}

const (
	enrolLife = 15 * time.Minute
	sshAlias  = "data-analyst" // the name that the reference's scripts use
)

func (p *Portal) connect(w http.ResponseWriter, r *http.Request) error {
	return p.showConnect(w, r, http.StatusOK, connectView{})
}

func (p *Portal) showConnect(w http.ResponseWriter, r *http.Request, status int, v connectView) error {
	me := visitorFrom(r)
	keys, err := p.store.Keys(r.Context(), me.User.Name)
	if err != nil {
		return err
	}
	if v.progress, err = p.progressOf(r, keys); err != nil {
		return err
	}
	for _, k := range keys {
		v.Keys = append(v.Keys, keyView{k, randomart(k.Fingerprint, k.Type)})
	}
	v.User, v.Alias, v.Expires = me.User.Name, sshAlias, enrolLife
	if p.o.SSH != nil {
		v.SSH = p.o.SSH()
		if k, err := store.ParsePublicKey(v.SSH.Key); err == nil {
			v.HostFingerprint = k.Fingerprint
		}
	}
	known := v.SSH.Host
	if v.SSH.Port != "22" {
		known = "[" + v.SSH.Host + "]:" + v.SSH.Port
	}
	v.Config = fmt.Sprintf("mkdir -p ~/.ssh\n{ printf '\\nHost %[1]s\\n  HostName %[2]s\\n  Port %[3]s\\n  User %[4]s\\n'; test ! -f ~/.ssh/aida || echo '  IdentityFile ~/.ssh/aida'; } >> ~/.ssh/config\necho '%[5]s %[6]s' >> ~/.ssh/known_hosts",
		sshAlias, v.SSH.Host, v.SSH.Port, v.User, known, v.SSH.Key)
	v.ConfigWindows = fmt.Sprintf("mkdir -Force ~/.ssh | Out-Null\nAdd-Content ~/.ssh/config \"`nHost %[1]s`n  HostName %[2]s`n  Port %[3]s`n  User %[4]s\"\nif (Test-Path ~/.ssh/aida) { Add-Content ~/.ssh/config \"  IdentityFile ~/.ssh/aida\" }\nAdd-Content ~/.ssh/known_hosts '%[5]s %[6]s'",
		sshAlias, v.SSH.Host, v.SSH.Port, v.User, known, v.SSH.Key)
	v.Sftp = "sftp " + sshAlias
	v.Rsync = "rsync -a --partial " + sshAlias + ":server/ server/"
	v.ClaudeText = p.claudeText(v)
	return p.render(w, r, status, "connect", page{Title: "Connect", Lede: "Three steps, and the data is on your computer.", Script: "connect.js", Data: v})
}

// claudeText is what a person gives Claude Code so that it does the rest. It holds no secret.
func (p *Portal) claudeText(v connectView) string {
	return fmt.Sprintf(`Please set up this folder for analysing the data of %s.

Server: ssh %s@%s, port %s (host key %s)
My key is connected already; use it from ~/.ssh/aida, or the one that ~/.ssh/config names for %s.

1. Pull the data: sftp or rsync server/ into ./server (rsync -a --partial %s:server/ server/). server/ is read-only; never change it.
2. Read server/docs/data_description.md and server/docs/schema.yml before any query. Never guess a column.
3. Query the files below server/parquet/ with DuckDB, for example: SELECT count(*) FROM 'server/parquet/*/*.parquet'.
4. Keep my own notes in CLAUDE.local.md and my own work in user/.`,
		p.o.Instance.Name, v.User, v.SSH.Host, v.SSH.Port, v.HostFingerprint, sshAlias, sshAlias)
}

func (p *Portal) progressOf(r *http.Request, keys []store.Key) (progress, error) {
	v := progress{Key: len(keys) > 0, KeyText: "waiting for a key", SeenText: "waiting for the first connection", PullText: "waiting for the first pull"}
	if len(keys) > 0 {
		v.KeyText = plural(len(keys), "key", "keys")
	}
	for _, k := range keys {
		if !k.LastUsedAt.IsZero() {
			v.Connected = true
			v.SeenText = "seen " + relative(k.LastUsedAt, p.now()) + " from " + k.LastUsedFrom
		}
	}
	u := visitorFrom(r).User
	if u.LastSyncAt.IsZero() {
		return v, nil
	}
	v.Pulled = true
	a, err := p.accessOf(r.Context(), u.ID)
	if err != nil {
		return v, err
	}
	snap, err := p.store.Newest(r.Context())
	if err != nil {
		return v, err
	}
	var size int64
	for _, f := range snap.Files {
		if a.CanRead(f.TableID) {
			size += f.Size
		}
	}
	v.PullText = fmt.Sprintf("%s, %s, %s", plural(len(a.Tables), "table", "tables"), sizeText(size), relative(u.LastSyncAt, p.now()))
	return v, nil
}

// connectState is what the page asks for while it waits.
func (p *Portal) connectState(w http.ResponseWriter, r *http.Request) error {
	keys, err := p.store.Keys(r.Context(), visitorFrom(r).User.Name)
	if err != nil {
		return err
	}
	v, err := p.progressOf(r, keys)
	if err != nil {
		return err
	}
	type shownKey struct {
		Fingerprint string `json:"fingerprint"`
		Art         string `json:"art"`
		Note        string `json:"note"`
	}
	shown := []shownKey{}
	for _, k := range keys {
		shown = append(shown, shownKey{k.Fingerprint, randomart(k.Fingerprint, k.Type), strings.Trim(k.Type+" · "+k.Comment, " ·")})
	}
	return p.JSON(w, http.StatusOK, struct {
		progress
		Step int        `json:"step"`
		Keys []shownKey `json:"keys"`
	}{v, v.Step(), shown})
}

// addKey connects a pasted key, or the one in a file.
func (p *Portal) addKey(w http.ResponseWriter, r *http.Request) error {
	text := r.FormValue("key")
	if text == "" {
		text = r.FormValue("ssh_key") // the reference's field
	}
	if f, _, err := r.FormFile("file"); err == nil {
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 32<<10))
		if err != nil {
			return err
		}
		if len(b) > 0 {
			text = string(b)
		}
	}
	k, err := p.store.AddKey(r.Context(), visitorFrom(r).User.Name, visitorFrom(r).User.Name, text)
	if code := store.CodeOf(err); code == store.Invalid || code == store.Conflict {
		v := connectView{Wrong: keyRefusal(err), Text: text}
		if strings.Contains(text, "PRIVATE KEY") {
			v.Text = ""
		}
		return p.showConnect(w, r, http.StatusBadRequest, v)
	}
	if err != nil {
		return err
	}
	return p.done(w, r, "/connect", "The key %s is connected.", k.Fingerprint)
}

// keyRefusal says why a key was refused, but not whose it is.
func keyRefusal(err error) string {
	if store.CodeOf(err) == store.Conflict {
		return "This key is connected already. Each key belongs to one person; make another pair."
	}
	return sentence(err.Error())
}

// enrolCommand makes the one-line command that sends a key by itself.
func (p *Portal) enrolCommand(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	if err := p.Limit(r.Context(), store.Limit{Name: "enrol " + me.Name, Burst: 10, Every: time.Minute}); err != nil {
		return err
	}
	secret := auth.NewSecret()
	if err := p.store.AddLink(r.Context(), me.Name, secret, store.NewLink{Kind: store.EnrolLink, UserID: me.ID, Life: enrolLife}); err != nil {
		return err
	}
	url := p.URL("/enrol")
	v := connectView{
		Unix: fmt.Sprintf("test -f ~/.ssh/aida || ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/aida; curl -fsS -H 'Authorization: Bearer %s' --data-binary @$HOME/.ssh/aida.pub %s", secret, url),
		Windows: fmt.Sprintf("mkdir -Force ~/.ssh | Out-Null; if (!(Test-Path ~/.ssh/aida)) { ssh-keygen -q -t ed25519 -N '\"\"' -f \"$HOME/.ssh/aida\" }; Invoke-RestMethod -Method Post -Headers @{Authorization='Bearer %s'} -ContentType text/plain -InFile \"$HOME/.ssh/aida.pub\" %s",
			secret, url),
	}
	return p.showConnect(w, r, http.StatusOK, v)
}

// enrol takes a key from that command. It answers in plain text, as a person reads it in a terminal.
func (p *Portal) enrol(w http.ResponseWriter, r *http.Request) error {
	if err := p.Limit(r.Context(), store.Limit{Name: "enrol from " + p.Address(r), Burst: 20, Every: 10 * time.Second}); err != nil {
		return err
	}
	say := func(status int, text string) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text+"\n")
		return nil
	}
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	l, err := p.store.Link(r.Context(), store.EnrolLink, secret)
	if err := auth.CheckLink(l, err, p.now()); !ok || err != nil {
		return say(http.StatusForbidden, "This command is too old or was used already. Make a new one on "+p.URL("/connect"))
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 32<<10))
	if err != nil {
		return err
	}
	if _, err := store.ParsePublicKey(string(body)); err != nil { // before the token is spent, so that one can try again
		return say(http.StatusBadRequest, sentence(err.Error()))
	}
	if _, err := p.store.UseLink(r.Context(), store.EnrolLink, secret, ""); err != nil {
		return say(http.StatusForbidden, "This command is too old or was used already. Make a new one on "+p.URL("/connect"))
	}
	u, err := p.store.UserByID(r.Context(), l.UserID)
	if err != nil {
		return err
	}
	k, err := p.store.AddKey(r.Context(), u.Name, u.Name, string(body))
	if store.CodeOf(err) == store.Conflict {
		return say(http.StatusConflict, keyRefusal(err))
	}
	if err != nil {
		return err
	}
	return say(http.StatusOK, fmt.Sprintf("Connected %s to %s. The page in your browser goes on by itself.", k.Fingerprint, u.Name))
}
