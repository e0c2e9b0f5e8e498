package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"aida/assets"
	"aida/assets/sample"
	"aida/config"
	"aida/store"
	"aida/syncer"
	"aida/syncer/datadoc"

	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"
)

const demoUser = "demo"

func demoCommand(c *cli) *cobra.Command {
	var size, httpAddr, sshAddr string
	var seed uint64
	cmd := &cobra.Command{
		Use: "demo", Short: "Serve a generated sample company, without any configuration", Args: cobra.NoArgs,
		Long:    "Generates a sample company, syncs it like any other, makes an analyst with a fresh key pair, and serves.\nState stays in the data folder (default ./data/demo), so that the next start goes on where this one ended.",
		Example: "  aida demo\n  aida demo --size m --ssh 127.0.0.1:0",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.demo(cmd.Context(), sample.Size(size), seed, httpAddr, sshAddr)
		},
	}
	cmd.Flags().StringVar(&size, "size", "s", "size of the company: xs, s, m or l")
	cmd.Flags().Uint64Var(&seed, "seed", 42, "another seed makes another company")
	cmd.Flags().StringVar(&httpAddr, "http", "", "address of the portal (default 127.0.0.1:8080, or any free port when that is taken)")
	cmd.Flags().StringVar(&sshAddr, "ssh", "", "address of the SSH server (default 127.0.0.1:2222, or any free port when that is taken)")
	return cmd
}

func (c *cli) demo(ctx context.Context, size sample.Size, seed uint64, httpAddr, sshAddr string) error {
	cfg := config.Defaults()
	cfg.Instance.Name = "the sample company"
	cfg.DataDir = c.dataDir
	if cfg.DataDir == "" {
		cfg.DataDir = filepath.Join("data", "demo")
	}
	source := filepath.Join(cfg.DataDir, "sample")
	if exists(filepath.Join(cfg.DataDir, "aida.db")) && !exists(source) {
		return fmt.Errorf("the data folder %s belongs to a real company: give another one with --data", cfg.DataDir)
	}
	if err := makeSample(ctx, c, source, size, seed); err != nil {
		return err
	}
	cfg.Dir = filepath.Join(cfg.DataDir, "config")
	doc, err := sampleConfig(cfg.Dir)
	if err != nil {
		return err
	}
	cfg.DataSource.CSV.Root = source
	cfg.Listen.HTTP, cfg.Listen.SSH = demoAddress(httpAddr, "127.0.0.1:8080"), demoAddress(sshAddr, "127.0.0.1:2222")
	cfg.Auth.AllowedDomain = "example.com"
	p, err := openProgram(ctx, cfg, doc, c.logger(level(c)))
	if err != nil {
		return err
	}
	return errors.Join(c.runDemo(ctx, p), p.close())
}

func (c *cli) runDemo(ctx context.Context, p *program) error {
	if err := p.start(ctx); err != nil {
		return err
	}
	progress := syncer.Progress(nil)
	if !c.json && !c.quiet {
		progress = &lines{w: c.out}
	}
	report, err := p.sync.Sync(ctx, syncer.Request{Trigger: "demo", Progress: progress})
	if err != nil {
		return err
	}
	if report.Outcome != store.Done {
		return fmt.Errorf("the sample company could not be synced: %s", report.Outcome)
	}
	key, err := demoAnalyst(ctx, p)
	if err != nil {
		return err
	}
	if err := errors.Join(demoAdmin(ctx, p), demoRule(p)); err != nil {
		return err
	}
	return p.serve(ctx, func(r readyLine) error {
		r.User, r.Key = demoUser, key
		known, err := knownHosts(filepath.Dir(key), r)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(r)
		}
		_, port, err := net.SplitHostPort(r.SSH)
		if err != nil {
			return err
		}
		c.say("\nThe sample company is served. The portal signs you in as its admin by this link, once:\n\n  %s\n\nIn a second terminal:\n\n  sftp -i %s -o UserKnownHostsFile=%s -P %s %s@127.0.0.1\n\nthen for example:\n\n  ls -l server/parquet/sales\n  get -r server\n\nCtrl-C ends it; the data stays in %s.",
			r.SignIn, key, known, port, demoUser, p.cfg.DataDir)
		return nil
	})
}

// makeSample generates the company unless the same one is there already.
func makeSample(ctx context.Context, c *cli, dir string, size sample.Size, seed uint64) error {
	mark := filepath.Join(dir, "made")
	want := fmt.Sprintf("%s %d %s\n", size, seed, version)
	if have, err := os.ReadFile(mark); err == nil && string(have) == want {
		return nil
	}
	m, err := sample.Generate(ctx, dir, size, seed)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(dir), "config")); err != nil { // it describes another company
		return err
	}
	c.say("Generated a sample company: %d tables, %d rows.", len(m.Tables), m.TotalRows)
	return os.WriteFile(mark, []byte(want), 0o640)
}

// sampleConfig writes the description and the metrics of the sample company where they are missing, and reads the description.
func sampleConfig(dir string) (*datadoc.Doc, error) {
	file := filepath.Join(dir, "data_description.md")
	if !exists(file) {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
		if err := os.CopyFS(filepath.Join(dir, "metrics"), sample.Metrics()); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := os.WriteFile(file, sample.Description(), 0o640); err != nil {
			return nil, err
		}
	}
	return datadoc.Load([]string{file})
}

// demoAddress is the usual port on this machine alone, or any free one when that is taken.
func demoAddress(chosen, usual string) string {
	if chosen != "" {
		return chosen
	}
	l, err := net.Listen("tcp", usual)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return usual
}

const (
	demoAdminName  = "ada"
	demoAdminEmail = "ada@example.com"
)

// demoAdmin makes the admin whom the printed link signs in.
func demoAdmin(ctx context.Context, p *program) error {
	if _, err := p.store.UserByName(ctx, demoAdminName); store.CodeOf(err) != store.NotFound {
		return err
	}
	_, err := p.store.AddUser(ctx, "demo", store.NewUser{Name: demoAdminName, Email: demoAdminEmail, Role: store.Admin})
	return err
}

// demoRule puts the kit's example of an alert rule into the analyst's home, once: what the analyst makes of it stays.
func demoRule(p *program) error {
	const name = "many_cancelled.yaml"
	home := filepath.Join(p.cfg.DataDir, "home", demoUser)
	if exists(home) {
		return nil
	}
	text, err := fs.ReadFile(assets.Kit(), "examples/notifications/"+name)
	if err != nil {
		return err
	}
	dir := filepath.Join(home, "user", "notifications")
	return errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(filepath.Join(dir, name), text, 0o640))
}

// demoAnalyst makes the analyst and the key pair, and gives the path of the private key.
func demoAnalyst(ctx context.Context, p *program) (string, error) {
	path := filepath.Join(p.cfg.DataDir, "keys", "demo_ed25519")
	if _, err := p.store.UserByName(ctx, demoUser); err == nil && exists(path) {
		return path, nil
	} else if err != nil && store.CodeOf(err) != store.NotFound {
		return "", err
	}
	public, err := newKeyPair(path)
	if err != nil {
		return "", fmt.Errorf("key pair of the sample analyst: %w", err)
	}
	_, err = p.store.AddUser(ctx, "demo", store.NewUser{Name: demoUser, Key: public})
	if store.CodeOf(err) == store.Conflict { // the account stayed, the key file was lost
		_, err = p.store.AddKey(ctx, "demo", demoUser, public)
	}
	return path, err
}

func newKeyPair(path string) (public string, err error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := gossh.MarshalPrivateKey(private, "aida demo")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	key, err := gossh.NewPublicKey(pub)
	if err != nil {
		return "", err
	}
	public = string(gossh.MarshalAuthorizedKey(key))
	return public, errors.Join(os.WriteFile(path, pem.EncodeToMemory(block), 0o600), os.WriteFile(path+".pub", []byte(public), 0o600))
}

// knownHosts writes the server's key where the printed command looks, so that no question is asked.
func knownHosts(dir string, r readyLine) (string, error) {
	host, port, err := net.SplitHostPort(r.SSH)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "known_hosts")
	return path, os.WriteFile(path, fmt.Appendf(nil, "[%s]:%s %s\n", host, port, r.HostKey), 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
