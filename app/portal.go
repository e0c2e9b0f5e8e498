package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/portal/auth/desktop"
	"aida/portal/auth/google"
	"aida/portal/auth/password"
	"aida/portal/mail"
	"aida/sftpd"
	"aida/store"
	"aida/syncer"

	"github.com/spf13/cobra"
)

// site is the portal with what works behind it.
type site struct {
	*portal.Portal
	mailer   *mail.Mailer
	services *services
}

// portal builds the web portal; ssh is where the SSH server listens.
func (p *program) portal(ctx context.Context, srv *sftpd.Server, ssh net.Addr) (*site, error) {
	c := p.cfg
	proxies, err := prefixes(c.Listen.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("%s: listen.trusted_proxies: %w", c.File, err)
	}
	mailer, err := mail.New(mail.Options{Config: c.Email, Instance: c.Instance.Name, Log: p.log})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	providers, err := p.providers(mailer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	public := p.publicURL()
	s := &site{mailer: mailer}
	if s.services, err = p.newServices(ctx, providers, srv, mailer, func() *portal.Portal { return s.Portal }); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	s.Portal, err = portal.New(portal.Options{
		Addr: c.Listen.HTTP, PublicURL: public, Proxies: proxies, Instance: c.Instance, Theme: c.Theme, Users: c.Users,
		Names: store.UserNameRule{StripDomain: c.Auth.UsernameStripDomain, Prefix: c.Auth.UsernamePrefix},
		Store: p.store, Providers: providers, Mailer: mailer, People: people{p.store, c.DataDir}, SSH: p.sshFacts(ssh, srv.HostKey()), Log: p.log,
		Due: p.due(), Alerting: s.services.alerting(p), Rules: s.services.rules, Scripts: s.services.scripts, Syncs: s.services.starter, Files: files{srv}, Downloads: filepath.Join(c.DataDir, "downloads"), Catalog: c.Catalog, Tables: p.declared, Health: s.services.health, Settings: p.settings, Mounts: s.services.mounts(),
	})
	return s, err
}

// providers are the ways to sign in that are configured and not disabled. A name in disabled_providers that no provider
// has is refused: it would leave on what somebody wanted off.
func (p *program) providers(mailer auth.Mailer) ([]auth.Provider, error) {
	c := p.cfg
	known := []string{"google", "password", "email", "desktop"}
	off := map[string]bool{}
	for _, name := range c.Auth.DisabledProviders {
		if name = strings.ToLower(strings.TrimSpace(name)); !slices.Contains(known, name) {
			return nil, fmt.Errorf("auth.disabled_providers: %q is not one of %s", name, strings.Join(known, ", "))
		}
		off[name] = true
	}
	var out []auth.Provider
	if !off["google"] && c.Auth.GoogleClientID != "" {
		out = append(out, google.New(google.Options{Issuer: c.Auth.OIDCIssuer, ButtonName: c.Auth.OIDCName, ClientID: c.Auth.GoogleClientID,
			ClientSecret: c.Auth.GoogleClientSecret.Reveal(), Domains: c.Auth.Domains(), Allowed: c.Auth.Allows, Log: p.log}))
	}
	if !off["desktop"] && c.Desktop.JWTSecret != "" {
		d, err := desktop.New(desktop.Options{Store: p.store, Secret: c.Desktop.JWTSecret.Reveal(), Issuer: c.Desktop.JWTIssuer, Scheme: c.Desktop.URLScheme})
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if !off["password"] || !off["email"] {
		out = append(out, password.New(password.Options{Store: p.store, Mailer: mailer, Allowed: c.Auth.Allows, Instance: c.Instance.Name,
			Links: !off["email"], Words: !off["password"]}))
	}
	return out, nil
}

// publicURL is how people reach the portal: as configured, else https on the configured host name. Without a host name
// that others could use, it is the address that is listened on.
func (p *program) publicURL() string {
	if p.cfg.PublicURL != "" {
		return p.cfg.PublicURL
	}
	host := strings.TrimSpace(p.cfg.Server.Hostname)
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return ""
	}
	return "https://" + host
}

// sshFacts is what onboarding shows of the SSH server.
func (p *program) sshFacts(addr net.Addr, hostKey string) func() portal.SSH {
	host, port, err := net.SplitHostPort(reachable(addr))
	if err != nil {
		host, port = addr.String(), "22"
	}
	if name := cmp.Or(p.cfg.Server.Hostname, p.cfg.Server.Host); name != "" {
		host = name
	}
	return func() portal.SSH { return portal.SSH{Host: host, Port: port, Key: hostKey} }
}

// due tells when the next scheduled sync after a moment is.
func (p *program) due() func(time.Time) time.Time {
	t := timingOf(p.cfg)
	s, err := syncer.ParseSchedule(t.Default, t.Zone)
	if t.Default == "" || err != nil {
		return nil
	}
	return s.Next
}

func prefixes(list []string) (out []netip.Prefix, err error) {
	for _, text := range list {
		text = strings.TrimSpace(text)
		n, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is not an address or a range: write it as 10.0.0.0/8", text)
			}
			n = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, n)
	}
	return out, nil
}

const (
	firstLinkLife = 24 * time.Hour
	linkLife      = time.Hour
	linkPath      = "/login/email/verify/"
)

// firstLink is the way in for the first admin: a link that is printed as long as no admin has signed in, and at every
// start of the sample company.
func (p *program) firstLink(ctx context.Context, web *portal.Portal) (string, error) {
	users, err := p.store.Users(ctx)
	if err != nil {
		return "", err
	}
	n := store.NewLink{Kind: store.AdminLink, Life: firstLinkLife}
	for _, u := range users {
		if u.Role != store.Admin || !u.SuspendedAt.IsZero() {
			continue
		}
		if !u.SignedInAt.IsZero() && p.cfg.File != "" {
			return "", nil
		}
		if n.UserID == 0 {
			n = store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: firstLinkLife}
		}
	}
	secret := auth.NewSecret()
	if err := p.store.AddLink(ctx, "start", secret, n); err != nil {
		return "", err
	}
	return web.URL(linkPath + secret), nil
}

// people does to accounts what needs the file system too.
type people struct {
	store *store.Store
	data  string
}

// Remove takes an account away and puts its home folder aside.
func (p people) Remove(ctx context.Context, actor, name string) (kept string, err error) {
	if err := p.store.RemoveUser(ctx, actor, name); err != nil {
		return "", err
	}
	home := filepath.Join(p.data, "home", name)
	aside := filepath.Join(p.data, "removed", name+"-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.MkdirAll(filepath.Dir(aside), 0o750); err != nil {
		return "", fmt.Errorf("the account is gone, but its home stayed in %s: %w", home, err)
	}
	switch err := os.Rename(home, aside); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("the account is gone, but its home stayed in %s: %w", home, err)
	}
	return aside, nil
}

func analystLink(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "link EMAIL", Short: "Print a link that signs a person in to the portal, once", Args: cobra.ExactArgs(1),
		Long:    "Prints a link that signs one person in to the portal, once, within an hour. It works whatever ways to sign in are configured,\nand so it is the way back in when none does. EMAIL may also be a user name.",
		Example: "  aida analyst link eva@example.com",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.printLink(cmd.Context(), args[0]) },
	}
}

func (c *cli) printLink(ctx context.Context, who string) error {
	return c.withStore(ctx, func(s *store.Store) error {
		find := s.UserByName
		if strings.Contains(who, "@") {
			find = s.UserByEmail
		}
		u, err := find(ctx, who)
		if store.CodeOf(err) == store.NotFound {
			return fmt.Errorf("nobody has the address or name %s: add them with `aida analyst add NAME --email %s`", who, who)
		}
		if err != nil {
			return err
		}
		base, err := s.Setting(ctx, "public_url")
		if err != nil {
			return err
		}
		if base == "" {
			return errors.New("the address of the portal is not known yet: start `aida serve` once, then try again")
		}
		secret := auth.NewSecret()
		if err := s.AddLink(ctx, actor(), secret, store.NewLink{Kind: store.SignInLink, UserID: u.ID, Life: linkLife}); err != nil {
			return err
		}
		link := base + linkPath + secret
		if c.json {
			return c.printJSON(map[string]any{"user": u.Name, "link": link, "expires_at": time.Now().Add(linkLife).UTC()})
		}
		c.say("This signs %s in, once, within an hour. Hand it to nobody else:\n", u.Name)
		_, err = fmt.Fprintln(c.out, link)
		return err
	})
}
