package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aida/config"
	"aida/services/script"
	"aida/services/script/sandbox"
	"aida/services/telegram"
	"aida/sftpd"
	"aida/store"
	"aida/syncer"
)

// newScripts makes the service that runs notification scripts. When they are switched off, or this machine cannot contain them,
// it says so to everybody who asks and runs none.
func (p *program) newScripts(ssh *sftpd.Server) (*script.Service, func() error, error) {
	c := p.cfg.Scripts
	o := script.Options{Store: p.store, Tree: scriptTree{p, ssh}, Homes: filepath.Join(p.cfg.DataDir, "home"), Pictures: p.images(), Interpreter: c.Interpreter,
		Parallel: c.Parallel, Log: p.log}
	if !c.Enabled {
		return script.New(o), func() error { return nil }, nil
	}
	next, err := syncer.ParseSchedule(c.Schedule, timingOf(p.cfg).Zone)
	if err != nil {
		return nil, nil, fmt.Errorf("scripts.schedule: %w", err)
	}
	o.Next = next.Next
	box, err := openSandbox(c, p.log)
	if err != nil {
		o.Off = "scripts cannot run here: " + err.Error()
		p.log.Error("notification scripts stay off", "cause", err)
		return script.New(o), func() error { return nil }, nil
	}
	o.Box, o.Limits = box, box.Limits()
	return script.New(o), box.Close, nil
}

// openSandbox tries what scripts need of this machine. The error is a sentence.
func openSandbox(c config.Scripts, log *slog.Logger) (*sandbox.Sandbox, error) {
	if _, err := os.Stat(c.Interpreter); err != nil {
		return nil, fmt.Errorf("%s is missing: install Python, or set scripts.interpreter", c.Interpreter)
	}
	folders := append([]string(nil), c.Folders...)
	if !strings.HasPrefix(c.Interpreter, "/usr/") && !strings.HasPrefix(c.Interpreter, "/bin/") {
		folders = append(folders, filepath.Dir(filepath.Dir(c.Interpreter))) // of a virtual environment, bin/python and lib/
	}
	return sandbox.New(sandbox.Options{UID: c.UID, Slots: c.Parallel + 1, Network: c.Network, Folders: folders, Log: log,
		Limits: sandbox.Limits{Wall: time.Duration(c.Timeout), Memory: int64(c.Memory), Processes: c.Processes}})
}

func checkScripts(cfg *config.Config) finding {
	if !cfg.Scripts.Enabled {
		return finding{"scripts", "ok", "notification scripts are switched off", ""}
	}
	box, err := openSandbox(cfg.Scripts, nil)
	if err != nil {
		return finding{"scripts", "fail", err.Error(), "see docs/scripts.md, or set scripts.enabled: false"}
	}
	defer box.Close()
	return finding{"scripts", "ok", "they run contained: " + box.String(), ""}
}

// scriptTree lays out what a person may read of the newest generation, by links to the lake's files.
type scriptTree struct {
	p   *program
	ssh *sftpd.Server
}

func (s scriptTree) Lay(ctx context.Context, u store.User) (string, func(), error) {
	access, err := s.p.store.Access(ctx, u.ID)
	if err != nil {
		return "", nil, err
	}
	t, err := s.ssh.Tree(ctx, access, 0)
	if err != nil {
		return "", nil, err
	}
	defer t.Close()
	work, err := s.p.lake.Scratch()
	if err != nil {
		return "", nil, err
	}
	release := func() {
		if err := work.Release(); err != nil {
			s.p.log.Error("what was laid out for a script stays until the next start", "error", err)
		}
	}
	dir := filepath.Join(work.Dir, "server")
	if err := os.Mkdir(dir, 0o750); err != nil {
		release()
		return "", nil, err
	}
	if err := t.Lay(dir, s.p.lake.Link); err != nil {
		release()
		return "", nil, err
	}
	return dir, release, nil
}

// chatScripts are a person's scripts as the Telegram bot knows them.
type chatScripts struct {
	store *store.Store
	s     *script.Service
}

func (c chatScripts) List(ctx context.Context, user string) ([]telegram.Script, error) {
	u, err := c.store.UserByName(ctx, user)
	if err != nil {
		return nil, err
	}
	list, err := c.s.List(ctx, u)
	out := make([]telegram.Script, 0, len(list))
	for _, x := range list {
		out = append(out, telegram.Script{Name: x.Name, LastSent: x.SentAt, Error: x.Error})
	}
	return out, err
}

func (c chatScripts) Run(ctx context.Context, user, name string) (bool, error) {
	u, err := c.store.UserByName(ctx, user)
	if err != nil {
		return false, err
	}
	return c.s.Now(ctx, u, name)
}
