package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aida/config"
	"aida/services/telegram"
	"aida/store"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"
	"aida/syncer/lake"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"
)

// finding is what one check found. State is ok, warn, fail or unknown; a check that could not be made is unknown.
type finding struct {
	Check    string `json:"check"`
	State    string `json:"state"`
	Evidence string `json:"evidence"`
	Fix      string `json:"fix,omitempty"`
}

func doctorCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check everything that matters, and say the fix for each", Args: cobra.NoArgs, Example: "  aida doctor --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := c.examine(cmd.Context())
			if c.json {
				if err := c.printJSON(list); err != nil {
					return err
				}
			}
			failed := 0
			for _, f := range list {
				if f.State == "fail" || f.State == "unknown" {
					failed++
				}
				c.say("%-8s %-12s %s", f.State, f.Check, f.Evidence)
				if f.Fix != "" {
					c.say("%-8s %-12s -> %s", "", "", f.Fix)
				}
			}
			if failed > 0 {
				return &exitError{exitFailed, fmt.Errorf("%d checks did not pass", failed)}
			}
			return nil
		},
	}
}

func (c *cli) examine(ctx context.Context) []finding {
	cfg, err := config.Load(c.options())
	broken := err != nil
	dir := ""
	var out []finding
	if err != nil {
		out = append(out, finding{"config", "fail", strings.ReplaceAll(err.Error(), "\n", "; "), "correct what it names, or run `aida init`"})
		if dir, err = c.dataFolder(); err != nil || !exists(filepath.Join(dir, "aida.db")) {
			return out
		}
		cfg = config.Defaults()
		cfg.DataDir = dir
	} else {
		f := finding{"config", "ok", cfg.File, ""}
		if len(cfg.Warnings) > 0 {
			f.State, f.Evidence, f.Fix = "warn", strings.Join(cfg.Warnings, "; "), "set the variables in "+filepath.Join(cfg.Dir, ".env")
		}
		out = append(out, f)
	}
	dir = cfg.DataDir
	out = append(out, checkScripts(cfg))
	if hasKeboola(cfg) {
		out = append(out, checkKeboola(ctx, cfg))
	}
	if !broken {
		out = append(out, c.checkFiles(cfg))
		if !hasKeboola(cfg) {
			out = append(out, bounded(ctx, "source", func(ctx context.Context) finding { return checkSource(ctx, cfg) }))
		}
	}
	out = append(out, checkMetrics(cfg), checkDisk(dir), checkHostKey(dir), checkServing(dir, cfg.Listen.SSH),
		bounded(ctx, "certificate", func(ctx context.Context) finding { return checkCertificate(ctx, (&program{cfg: cfg}).publicURL()) }))
	if !exists(filepath.Join(dir, "aida.db")) {
		return append(out, finding{"database", "fail", "there is no database in " + dir, "run `aida sync`"})
	}
	s, err := store.Open(ctx, store.Options{Path: filepath.Join(dir, "aida.db")})
	if err != nil {
		return append(out, finding{"database", "fail", err.Error(), "restore a backup"})
	}
	defer s.Close()
	out = append(out, checkStore(ctx, s), checkTables(ctx, s), checkAge(ctx, s, (&program{cfg: cfg}).due()), checkLake(ctx, s, dir), checkPeople(ctx, s), checkDelivery(ctx, s),
		bounded(ctx, "telegram", func(ctx context.Context) finding { return checkBot(ctx, cfg, s) }))
	return slices.DeleteFunc(out, func(f finding) bool { return f.State == "" }) // there is nothing of the kind here
}

// checkFiles looks at the description as a sync would.
func (c *cli) checkFiles(cfg *config.Config) finding {
	work, err := os.Getwd()
	if err != nil {
		return finding{"description", "unknown", err.Error(), ""}
	}
	files, err := datadoc.Find(cfg.Dir, work)
	if err != nil {
		return finding{"description", "warn", err.Error(), "aida init"}
	}
	return checkDescription(files)
}

// checkBot asks Telegram about the configured bot.
func checkBot(ctx context.Context, cfg *config.Config, s *store.Store) finding {
	t := cfg.Telegram
	if t.BotToken.Reveal() == "" {
		return finding{}
	}
	bot, err := telegram.New(telegram.Options{Token: t.BotToken.Reveal(), BaseURL: t.APIURL, Store: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return finding{"telegram", "fail", err.Error(), "correct telegram.bot_token"}
	}
	return checkTelegram(ctx, bot.Check)
}

const lowDisk = 1 << 30

// checkKeboola asks whose token it is: an answer that needs the token tells more than one that anybody gets.
func checkKeboola(ctx context.Context, cfg *config.Config) finding {
	src, err := keboolaSource(cfg)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		var p keboola.Project
		if p, err = src.Check(ctx); err == nil {
			return finding{"keboola", "ok", fmt.Sprintf("the token reads project %s (%s)", p.ID, p.Name), ""}
		}
	}
	return finding{"keboola", "fail", err.Error(), "correct stack_url, storage_token and project_id under data_source.keboola"}
}

func checkDisk(dir string) finding {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return finding{"disk", "fail", err.Error(), "let this user write to " + dir}
	}
	free, err := lake.Free(dir)
	switch {
	case err != nil:
		return finding{"disk", "unknown", err.Error(), ""}
	case free < lowDisk:
		return finding{"disk", "warn", sizeOf(free) + " free in " + dir, "free some, or move the data folder"}
	}
	return finding{"disk", "ok", sizeOf(free) + " free in " + dir, ""}
}

func checkHostKey(dir string) finding {
	p := filepath.Join(dir, "ssh", "host_ed25519")
	info, err := os.Stat(p)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return finding{"host key", "warn", "not made yet", "the first `aida serve` makes it"}
	case err != nil:
		return finding{"host key", "unknown", err.Error(), ""}
	case info.Mode().Perm()&0o077 != 0:
		return finding{"host key", "fail", fmt.Sprintf("%s has mode %v", p, info.Mode().Perm()), "chmod 600 " + p}
	}
	text, err := os.ReadFile(p)
	if err != nil {
		return finding{"host key", "unknown", err.Error(), ""}
	}
	if _, err := gossh.ParsePrivateKey(text); err != nil {
		return finding{"host key", "fail", p + " is no private key: " + err.Error(), "restore it from a backup; a new one makes every analyst's client warn"}
	}
	return finding{"host key", "ok", p, ""}
}

// checkServing asks the lock who holds the data folder, and the port who answers.
func checkServing(dir, addr string) finding {
	lock := flock.New(filepath.Join(dir, "serve.lock"))
	defer lock.Close()
	free, err := lock.TryLock()
	if err != nil {
		return finding{"serving", "unknown", err.Error(), ""}
	}
	if free {
		return finding{"serving", "warn", "no aida serves this data folder", "run `aida serve`"}
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return finding{"serving", "warn", "a server runs, but not on " + addr, "compare listen.ssh with how it was started"}
	}
	conn.Close()
	return finding{"serving", "ok", "SSH answers on " + addr, ""}
}

func checkStore(ctx context.Context, s *store.Store) finding {
	if err := s.Check(ctx); err != nil {
		return finding{"database", "fail", err.Error(), "restore a backup"}
	}
	return finding{"database", "ok", s.Path(), ""}
}

func checkTables(ctx context.Context, s *store.Store) finding {
	tables, err := s.Tables(ctx)
	if err != nil {
		return finding{"tables", "unknown", err.Error(), ""}
	}
	last, err := s.LastRuns(ctx)
	if err != nil {
		return finding{"tables", "unknown", err.Error(), ""}
	}
	var failed, never, paused []string
	for _, t := range tables {
		switch r := last[t.ID]; {
		case r.Outcome == store.Failed:
			failed = append(failed, t.FullName()+" ("+r.Reason+")")
		case r.Outcome == "":
			never = append(never, t.FullName())
		}
		if !t.PausedAt.IsZero() {
			paused = append(paused, t.FullName())
		}
	}
	switch {
	case len(tables) == 0:
		return finding{"tables", "warn", "none is described", "describe them in data_description.md, then `aida sync`"}
	case len(failed) > 0:
		return finding{"tables", "fail", "the last sync failed for " + strings.Join(failed, "; "), "correct the cause, then `aida sync`"}
	case len(never) > 0:
		return finding{"tables", "warn", "never synced: " + strings.Join(never, ", "), "aida sync"}
	case len(paused) > 0:
		return finding{"tables", "warn", "paused: " + strings.Join(paused, ", "), "aida table resume TABLE"}
	}
	return finding{"tables", "ok", counted(len(tables), "table", "tables") + ", the last sync of each worked", ""}
}

// checkLake compares the sizes of all files of the newest generation with the manifest; `aida verify` reads them whole.
func checkLake(ctx context.Context, s *store.Store, dir string) finding {
	snap, err := s.Newest(ctx)
	if err != nil {
		return finding{"lake", "unknown", err.Error(), ""}
	}
	l, err := lake.Open(lake.Options{Data: dir, Store: s})
	if err != nil {
		return finding{"lake", "unknown", err.Error(), ""}
	}
	defer l.Close()
	if f, wrong := l.Wrong(snap.Files); wrong {
		file, err := l.Open(f) // it tells what is wrong
		if err != nil {
			return finding{"lake", "fail", err.Error(), "aida sync --full"}
		}
		file.Close()
		return finding{"lake", "unknown", fmt.Sprintf("lake file %s could not be looked at", f.Logical), "aida verify"}
	}
	return finding{"lake", "ok", fmt.Sprintf("generation %d, %s", snap.Generation, counted(len(snap.Files), "file", "files")), ""}
}

func checkPeople(ctx context.Context, s *store.Store) finding {
	users, err := s.Users(ctx)
	if err != nil {
		return finding{"people", "unknown", err.Error(), ""}
	}
	var without []string
	for _, u := range users {
		keys, err := s.Keys(ctx, u.Name)
		if err != nil {
			return finding{"people", "unknown", err.Error(), ""}
		}
		if len(keys) == 0 {
			without = append(without, u.Name)
		}
	}
	switch {
	case len(users) == 0:
		return finding{"people", "warn", "nobody has an account", "aida analyst add NAME \"$(cat key.pub)\""}
	case len(without) == len(users):
		return finding{"people", "warn", "nobody has a key: " + strings.Join(without, ", "), "aida analyst key add NAME \"$(cat key.pub)\", or they connect one in the portal"}
	case len(without) > 0: // some only look at pages
		return finding{"people", "ok", counted(len(users), "person", "people") + ", without a key: " + strings.Join(without, ", "), ""}
	}
	return finding{"people", "ok", counted(len(users), "person", "people"), ""}
}
