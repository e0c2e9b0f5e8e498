package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"aida/config"
	"aida/store"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// startGC lets the heap grow while the program starts, when it reads much that it soon drops.
const startGC = 400

func serveCommand(c *cli) *cobra.Command {
	var httpAddr, sshAddr string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the appliance: the portal, the SSH server and the schedule", Args: cobra.NoArgs,
		Example: "  aida serve\n  aida serve --config /etc/aida --data /srv/aida --ssh :22",
		RunE: func(cmd *cobra.Command, _ []string) error {
			usual := debug.SetGCPercent(startGC)
			return c.withProgram(cmd.Context(), level(c), func(p *program) error {
				p.cfg.Listen.SSH = cmp.Or(sshAddr, p.cfg.Listen.SSH)
				p.cfg.Listen.HTTP = cmp.Or(httpAddr, p.cfg.Listen.HTTP)
				for key, flag := range map[string]string{"listen.http": httpAddr, "listen.ssh": sshAddr} {
					if flag != "" {
						p.cfg.SetOrigin(key, "--"+strings.TrimPrefix(key, "listen."))
					}
				}
				return p.serve(cmd.Context(), func(ready readyLine) error {
					debug.SetGCPercent(usual)
					if c.json {
						return c.printJSON(ready)
					}
					c.say("aida serves %s.\n  portal  %s\n  ssh     %s  %s", p.cfg.Instance.Name, ready.HTTP, ready.SSH, ready.HostKey)
					if ready.SignIn != "" {
						c.say("\nNo admin has signed in yet. This link does it, once, within a day:\n\n  %s\n", ready.SignIn)
					}
					return nil
				})
			})
		},
	}
	cmd.Flags().StringVar(&httpAddr, "http", "", "address of the portal (default listen.http; port 0 = any free one)")
	cmd.Flags().StringVar(&sshAddr, "ssh", "", "address of the SSH server (default listen.ssh; port 0 = any free one)")
	return cmd
}

func level(c *cli) slog.Level {
	if c.json {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// readyLine is printed once when everything listens.
type readyLine struct {
	Event   string `json:"event"`
	HTTP    string `json:"http"`
	SSH     string `json:"ssh"`
	HostKey string `json:"host_key"`
	User    string `json:"user,omitempty"`
	Key     string `json:"key,omitempty"`
	SignIn  string `json:"sign_in,omitempty"` // one-time link for an admin
}

// start takes the data folder for serving and puts right what a killed process left.
func (p *program) start(ctx context.Context) error {
	p.lock = flock.New(filepath.Join(p.cfg.DataDir, "serve.lock"))
	if ok, err := p.lock.TryLock(); err != nil {
		return fmt.Errorf("data folder %s: %w", p.cfg.DataDir, err)
	} else if !ok {
		return fmt.Errorf("another aida serves the data folder %s: stop it first, or give another one with --data", p.cfg.DataDir)
	}
	removed, err := p.lake.Clean(ctx)
	if err != nil {
		return err
	}
	if removed > 0 {
		p.log.Warn("files of an interrupted run were removed", "files", removed)
	}
	if err := p.sync.Register(ctx); err != nil {
		return err
	}
	if err := p.loadMetrics(ctx); err != nil {
		p.log.Error("the metrics could not be read", "error", err)
	}
	return p.addAdmins(ctx)
}

// addAdmins makes the admins of instance.yaml that are missing.
func (p *program) addAdmins(ctx context.Context) error {
	for _, a := range p.cfg.Admins {
		_, err := p.store.UserByName(ctx, a.Username)
		if err == nil {
			continue
		}
		if store.CodeOf(err) != store.NotFound {
			return err
		}
		if _, err := p.store.AddUser(ctx, "config", store.NewUser{Name: a.Username, Role: store.Admin, Key: a.SSHPublicKey}); err != nil {
			return fmt.Errorf("%s: admins: %s: %w", p.cfg.File, a.Username, err)
		}
	}
	return nil
}

// serve runs until ctx is done.
func (p *program) serve(ctx context.Context, ready func(readyLine) error) error {
	if p.lock == nil {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	if err := p.sync.CheckSchedule(); err != nil {
		return fmt.Errorf("%s: %w", p.cfg.File, err)
	}
	srv, err := p.sshServer()
	if err != nil {
		return err
	}
	addr, err := srv.Listen()
	if err != nil {
		return err
	}
	web, err := p.portal(ctx, srv, addr)
	if err != nil {
		return err
	}
	line := readyLine{Event: "ready", HTTP: "http://" + reachable(web.Addr()), SSH: reachable(addr), HostKey: srv.HostKey()}
	if line.SignIn, err = p.firstLink(ctx, web.Portal); err != nil {
		return errors.Join(err, web.Close())
	}
	if err := ready(line); err != nil {
		return errors.Join(err, web.Close())
	}
	debug.FreeOSMemory() // reading the description of many tables takes memory that serving does not need
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return srv.Serve(ctx) })
	group.Go(func() error { return web.Serve(ctx) })
	group.Go(func() error { web.mailer.Run(ctx); return nil })
	group.Go(func() error { return web.services.run(ctx) })
	group.Go(func() error { p.sweep(ctx); return nil })
	group.Go(func() error { return p.sync.Schedule(ctx) })
	return group.Wait()
}

// reachable writes an address so that a client on this machine can use it.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

const sweepEvery = 10 * time.Minute

// sweep removes old files that nobody reads.
func (p *program) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		n, err := p.lake.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Error("sweep failed", "error", err)
		case n > 0:
			p.log.Info("old files swept", "files", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// configDirOf makes errors name the folder that was looked at.
func configDirOf(o config.Options) string {
	if o.ConfigDir != "" {
		return o.ConfigDir
	}
	if dir := os.Getenv("CONFIG_DIR"); dir != "" {
		return dir
	}
	return "config"
}
