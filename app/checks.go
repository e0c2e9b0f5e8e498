package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"aida/config"
	"aida/portal"
	"aida/store"
	"aida/syncer/datadoc"
)

const (
	checkLife = 30 * time.Second // what was found is shown this long
	firstLook = 10 * time.Second // a start has other things to do
	checkTime = 5 * time.Second  // one check may take this long; one that takes longer is unknown
)

// checker makes the checks of `aida doctor` for the pages of the serving process.
type checker struct {
	p     *program
	bot   func(context.Context) error // asks Telegram who the bot is; nil = there is no bot
	turn  sync.Mutex                  // held while looking, which may take seconds
	mu    sync.Mutex                  // of what is below
	at    time.Time
	last  []portal.Check
	since map[string]since

	described struct { // what was found of the description files in a state of theirs
		state   string
		finding finding
	}
}

type since struct {
	state string
	at    time.Time
}

func newChecker(p *program, bot func(context.Context) error) *checker {
	return &checker{p: p, bot: bot, since: map[string]since{}}
}

// Known gives what was found last, without looking.
func (c *checker) Known() []portal.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Checks gives what was found lately, or looks. With fresh it looks in any case.
func (c *checker) Checks(ctx context.Context, fresh bool) []portal.Check {
	c.turn.Lock()
	defer c.turn.Unlock() // who asks meanwhile gets the same answer
	c.mu.Lock()
	last, age := c.last, time.Since(c.at)
	c.mu.Unlock()
	if !fresh && age < checkLife {
		return last
	}
	found := c.look(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[string]string{"ok": "good", "warn": "late", "fail": "bad"}
	var out []portal.Check
	for _, f := range found {
		k := portal.Check{Name: strings.ToUpper(f.Check[:1]) + f.Check[1:], State: states[f.State], Evidence: f.Evidence, Fix: f.Fix}
		if k.State == "" {
			k.State = "unknown"
		}
		s := c.since[k.Name]
		if s.state != k.State {
			s = since{k.State, time.Now()}
			c.since[k.Name] = s
		}
		k.Since = s.at
		out = append(out, k)
	}
	c.at, c.last = time.Now(), out
	return out
}

// run looks now and then, so that pages know how things stand without waiting, and since when.
func (c *checker) run(ctx context.Context) {
	next := time.NewTimer(firstLook)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			c.Checks(ctx, true)
			next.Reset(watchEvery)
		}
	}
}

// look makes all checks side by side, each within its time.
func (c *checker) look(ctx context.Context) []finding {
	cfg, p := c.p.cfg, c.p
	checks := []struct {
		name string
		make func(context.Context) finding
	}{
		{"config", func(context.Context) finding { return checkConfig(cfg) }},
		{"description", func(context.Context) finding { return c.description(p.doc.Files) }},
		{"metrics", func(context.Context) finding { return checkMetrics(cfg) }},
		{"source", func(ctx context.Context) finding { return checkSource(ctx, cfg) }},
		{"tables", func(ctx context.Context) finding { return checkTables(ctx, p.store) }},
		{"lake", func(ctx context.Context) finding { return checkLake(ctx, p.store, cfg.DataDir) }},
		{"data time", func(ctx context.Context) finding {
			f := checkAge(ctx, p.store, p.due())
			if f.State == "ok" && p.due() == nil {
				f.State, f.Fix = "unknown", "set schedule.default in instance.yaml"
			}
			return f
		}},
		{"database", func(ctx context.Context) finding { return checkStore(ctx, p.store) }},
		{"disk", func(context.Context) finding { return checkDisk(cfg.DataDir) }},
		{"backups", func(context.Context) finding { return checkBackups() }},
		{"host key", func(context.Context) finding { return checkHostKey(cfg.DataDir) }},
		{"certificate", func(ctx context.Context) finding { return checkCertificate(ctx, p.publicURL()) }},
		{"delivery", func(ctx context.Context) finding { return checkDelivery(ctx, p.store) }},
		{"telegram", func(ctx context.Context) finding { return checkTelegram(ctx, c.bot) }},
	}
	out := make([]finding, len(checks))
	var all sync.WaitGroup
	for i, k := range checks {
		all.Go(func() { out[i] = bounded(ctx, k.name, k.make) })
	}
	all.Wait()
	var told []finding
	for _, f := range out {
		if f.State != "" { // "" = there is nothing of the kind here
			told = append(told, f)
		}
	}
	return told
}

// bounded makes a check that is told as unknown when it takes too long, or panics.
func bounded(ctx context.Context, name string, check func(context.Context) finding) finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	done := make(chan finding, 1)
	go func() { // it ends by itself when its context does; a file system that hangs holds it longer, and its answer is not waited for
		defer func() {
			if p := recover(); p != nil {
				done <- finding{name, "unknown", fmt.Sprintf("the check failed: %v", p), ""}
			}
		}()
		done <- check(ctx)
	}()
	select {
	case f := <-done:
		return f
	case <-ctx.Done():
		return finding{name, "unknown", fmt.Sprintf("no answer within %v", checkTime), "aida doctor"}
	}
}

// checkConfig reads instance.yaml as the next start would.
func checkConfig(cfg *config.Config) finding {
	if cfg.File == "" {
		return finding{}
	}
	now, err := config.Load(config.Options{ConfigDir: cfg.Dir, DataDir: cfg.DataDir})
	switch {
	case err != nil:
		return finding{"config", "fail", "the next start would fail: " + strings.ReplaceAll(err.Error(), "\n", "; "), "correct what it names"}
	case len(now.Warnings) > 0:
		return finding{"config", "warn", strings.Join(now.Warnings, "; "), "set the variables in .env"}
	}
	return finding{"config", "ok", cfg.File + " can be read", ""}
}

func checkDescription(files []string) finding {
	if len(files) == 0 {
		return finding{"description", "warn", "no file describes tables", "aida init"}
	}
	doc, err := datadoc.Load(files)
	if err != nil {
		return finding{"description", "fail", strings.ReplaceAll(err.Error(), "\n", "; "), "correct what it names; until then the tables stay as they were"}
	}
	return finding{"description", "ok", fmt.Sprintf("%s in %s", counted(len(doc.Tables), "table", "tables"), strings.Join(files, ", ")), ""}
}

// description is checkDescription, made again when a file is another one: reading many tables is work.
func (c *checker) description(files []string) finding {
	h := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return checkDescription(files)
		}
		fmt.Fprintf(h, "%q %d\n%s\n", f, len(text), text)
	}
	state := string(h.Sum(nil))
	c.mu.Lock()
	known := c.described
	c.mu.Unlock()
	if known.state == state {
		return known.finding
	}
	known.state, known.finding = state, checkDescription(files)
	c.mu.Lock()
	c.described = known
	c.mu.Unlock()
	return known.finding
}

// checkSource asks whether the default source can be reached.
func checkSource(ctx context.Context, cfg *config.Config) finding {
	switch defaultSource(cfg) {
	case "keboola":
		f := checkKeboola(ctx, cfg)
		f.Check = "source"
		return f
	case "csv":
		root := cfg.DataSource.CSV.Root
		switch list, err := os.ReadDir(root); {
		case err != nil:
			return finding{"source", "fail", err.Error(), "correct data_source.csv.root, or mount the folder"}
		case len(list) == 0:
			return finding{"source", "warn", "the folder " + root + " is empty", "put the CSV files there, or mount the folder"}
		default:
			return finding{"source", "ok", "the folder " + root + " can be read", ""}
		}
	}
	return finding{}
}

func checkBackups() finding {
	return finding{"backups", "unknown", "nothing tells this place whether its configuration and data folders are backed up", "see \"Backup and moving\" in the admin's guide"}
}

const certificateSoon = 14 * 24 * time.Hour

// checkCertificate looks at the certificate that people's browsers get.
func checkCertificate(ctx context.Context, public string) finding {
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "https" {
		return finding{}
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	conn, err := (&tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	var wrong *tls.CertificateVerificationError
	switch {
	case errors.As(err, &wrong):
		return finding{"certificate", "fail", wrong.Err.Error(), "renew the certificate of " + u.Host}
	case err != nil:
		return finding{"certificate", "warn", "it could not be looked at: " + err.Error(), "put a TLS proxy for " + u.Host + " in front, or correct public_url"}
	}
	defer conn.Close()
	c := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	left := time.Until(c.NotAfter)
	text := fmt.Sprintf("valid until %s", c.NotAfter.UTC().Format("2 Jan 2006"))
	if left < certificateSoon {
		return finding{"certificate", "warn", text, "renew it"}
	}
	return finding{"certificate", "ok", text, ""}
}

const manyAttempts = 3

// checkDelivery tells of messages that did not reach people.
func checkDelivery(ctx context.Context, s *store.Store) finding {
	const most = 100
	dead, err := s.Deliveries(ctx, store.Dead, most)
	if err != nil {
		return finding{"delivery", "unknown", err.Error(), ""}
	}
	waiting, err := s.Deliveries(ctx, store.Pending, most)
	if err != nil {
		return finding{"delivery", "unknown", err.Error(), ""}
	}
	stuck, cause := 0, ""
	for _, d := range waiting {
		if d.Attempts >= manyAttempts {
			stuck, cause = stuck+1, d.Error
		}
	}
	switch {
	case len(dead) > 0:
		return finding{"delivery", "fail", fmt.Sprintf("%d alerts were given up, the newest: %s", len(dead), dead[0].Error), "look at the deliveries, and try them again"}
	case stuck > 0:
		return finding{"delivery", "warn", fmt.Sprintf("%d alerts wait after %d attempts or more: %s", stuck, manyAttempts, cause), "look at the deliveries"}
	}
	return finding{"delivery", "ok", "no alert was given up", ""}
}

func checkTelegram(ctx context.Context, ask func(context.Context) error) finding {
	if ask == nil {
		return finding{}
	}
	if err := ask(ctx); err != nil {
		return finding{"telegram", "fail", err.Error(), "check telegram.bot_token, and whether this machine reaches the Bot API"}
	}
	return finding{"telegram", "ok", "the bot answers", ""}
}

// checkAge compares the newest sync with the schedule.
func checkAge(ctx context.Context, s *store.Store, due func(time.Time) time.Time) finding {
	f, err := s.Freshness(ctx)
	switch {
	case err != nil:
		return finding{"data time", "unknown", err.Error(), ""}
	case f.SyncedAt.IsZero():
		return finding{"data time", "warn", "no table was ever synced", "aida sync"}
	case f.SyncedAt.After(time.Now().Add(5 * time.Minute)):
		return finding{"data time", "unknown", "the newest sync is in the future: " + timeOf(f.SyncedAt), "set the clock of this machine"}
	case due == nil:
		return finding{"data time", "ok", "the newest sync was at " + timeOf(f.SyncedAt) + "; no schedule says when the next one is due", ""}
	case time.Now().After(due(due(f.SyncedAt))):
		return finding{"data time", "fail", "the newest sync was at " + timeOf(f.SyncedAt) + ", and two scheduled ones were missed since", "start `aida serve`, or `aida sync`"}
	}
	return finding{"data time", "ok", "the newest sync was at " + timeOf(f.SyncedAt), ""}
}
