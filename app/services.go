package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/portal/mail"
	"aida/portal/route"
	"aida/services/email"
	"aida/services/gateway"
	"aida/services/notify"
	"aida/services/notify/rule"
	"aida/services/script"
	"aida/services/telegram"
	"aida/sftpd"
	"aida/store"

	"golang.org/x/sync/errgroup"
)

// services are the goroutines that tell people what happened.
type services struct {
	notify   *notify.Notify
	gateway  *gateway.Gateway
	telegram *telegram.Bot // nil = no bot is configured
	rules    *rule.Runner
	scripts  *script.Service
	starter  *starter
	health   *checker
	live     *liveRuns
	watch    func(ctx context.Context)
	close    func() error
}

// newServices makes them. web is called when the portal, which they need and which needs them, is there.
func (p *program) newServices(ctx context.Context, providers []auth.Provider, ssh *sftpd.Server, mailer *mail.Mailer, web func() *portal.Portal) (*services, error) {
	s := &services{starter: newStarter(p), watch: p.watch}
	o := notify.Options{Store: p.store, Log: p.log, Keep: time.Duration(p.cfg.Alerts.Keep), Pictures: p.images(), PictureRoom: int64(p.cfg.Alerts.Pictures)}
	var err error
	if s.scripts, s.close, err = p.newScripts(ssh); err != nil {
		return nil, err
	}
	if t := p.cfg.Telegram; t.BotToken.Reveal() != "" {
		bot, err := telegram.New(telegram.Options{Token: t.BotToken.Reveal(), BaseURL: t.APIURL, Store: p.store, Images: p.images(), Instance: p.cfg.Instance.Name,
			Portal: p.publicURL(), DomainSuffix: t.DomainSuffix, Scripts: chatScripts{p.store, s.scripts}, Log: p.log})
		if err != nil {
			return nil, err
		}
		s.telegram = bot
		o.Channels = append(o.Channels, bot)
	}
	if mailer.Configured() {
		o.Channels = append(o.Channels, email.New(email.Options{URL: func(path string) string { return web().URL(path) }, Post: postLetter(mailer)}))
	}
	if s.notify, err = notify.New(ctx, o); err != nil {
		return nil, err
	}
	q, err := p.newQuerier()
	if err != nil {
		return nil, err
	}
	s.rules = rule.New(rule.Options{Store: p.store, Query: q, Home: filepath.Join(p.cfg.DataDir, "home"), Wake: s.notify.Wake, Log: p.log})
	s.gateway = gateway.New(gateway.Options{Store: p.store, Log: p.log, Token: deviceIdentity(providers),
		Session: func(r *http.Request) (gateway.Identity, bool) {
			u, valid, ok := web().Session(r)
			return gateway.Identity{User: u, Valid: valid}, ok
		},
		Origin: func(origin string) bool {
			u, err := url.Parse(origin)
			own, ownErr := url.Parse(web().URL(""))
			return err == nil && ownErr == nil && u.Scheme == own.Scheme && strings.EqualFold(u.Host, own.Host)
		}})
	s.notify.Watch(s.gateway.Post)
	p.live = &liveRuns{store: p.store, publish: s.gateway.Publish, log: p.log}
	s.live = p.live
	var ask func(context.Context) error
	if s.telegram != nil {
		ask = s.telegram.Check
	}
	s.health = newChecker(p, ask)
	return s, nil
}

// postLetter hands alerts to the portal's mailer, in its form of a letter.
func postLetter(mailer *mail.Mailer) func(context.Context, email.Letter) error {
	return func(ctx context.Context, l email.Letter) error {
		err := mailer.Post(ctx, auth.Message(l))
		var refused *mail.Refused
		if errors.As(err, &refused) {
			return &notify.Permanent{Err: err}
		}
		return err
	}
}

// images is where the pictures of alerts are.
func (p *program) images() string { return filepath.Join(p.cfg.DataDir, "images") }

// deviceIdentity finds whom a desktop app's token belongs to; nil when no provider knows such tokens.
func deviceIdentity(providers []auth.Provider) func(context.Context, string) (gateway.Identity, error) {
	for _, provider := range providers {
		d, ok := provider.(interface {
			Device(ctx context.Context, jwt, from string) (store.Token, store.User, error)
		})
		if !ok {
			continue
		}
		return func(ctx context.Context, jwt string) (gateway.Identity, error) {
			_, u, err := d.Device(ctx, jwt, "")
			return gateway.Identity{User: u, Valid: func(ctx context.Context) bool {
				_, _, err := d.Device(ctx, jwt, "")
				return err == nil
			}}, err
		}
	}
	return nil
}

// mounts are the doors of the services in the portal. /ws/notifications is the reference's.
func (s *services) mounts() (out []route.Route) {
	for _, path := range []string{"/ws", "/ws/notifications"} {
		out = append(out, route.Route{Pattern: "GET " + path, Who: route.Own, Handle: func(w http.ResponseWriter, r *http.Request) error {
			s.gateway.ServeHTTP(w, r)
			return nil
		}})
	}
	return out
}

// alerting is what the alerts page needs.
func (s *services) alerting(p *program) portal.Alerting {
	a := portal.Alerting{Images: p.images()}
	if s.telegram != nil {
		a.Telegram, a.Welcome = cmp.Or(p.cfg.Telegram.BotUsername, "the bot"), s.telegram.Welcome
	}
	return a
}

// run works until ctx is done.
func (s *services) run(ctx context.Context) error {
	defer s.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.scripts.Run(ctx) })
	group.Go(func() error { return s.notify.Run(ctx) })
	group.Go(func() error { return s.gateway.Run(ctx) })
	group.Go(func() error { return s.rules.Run(ctx) })
	group.Go(func() error { s.starter.run(ctx); return nil })
	group.Go(func() error { s.watch(ctx); return nil })
	group.Go(func() error { s.health.run(ctx); return nil })
	group.Go(func() error { s.live.follow(ctx); return nil })
	if s.telegram != nil {
		group.Go(func() error { return s.telegram.Run(ctx) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
