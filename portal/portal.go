// Package portal is the web portal: pages, sign-in, and the API that the pages use. It keeps nothing but what is in store,
// writes no SQL, opens no lake file, and hands out nothing that store.Access does not allow.
//
// To add a page: write its handler in a file of its own (func (p *Portal) things(w, r) error), list it in that file's
// routes (func (p *Portal) thingRoutes() []route.Route, added to Portal.routes) saying who may call it, and put its
// template beside the others as assets/portal/templates/pages/things.html, which defines "content":
//
//	return p.render(w, r, http.StatusOK, "things", page{Title: "Things", Lede: "What they are.", Data: things})
//
// A handler returns its errors: a *route.Problem or a *store.Error is shown to the person, anything else is logged and
// shown as a request id. In a template, {{asset "css/portal.css"}} is a static file, {{ago .Time}} a time, {{bytes .Size}} a
// size, {{icon "key"}} an icon, {{template "command" (command "text" "what it does")}} a command with its copy button. A page's
// navigation entry is a line of sections in nav.go. A page answers in JSON too when its Data is what {{/api/v1}} serves.
//
//	p, err := portal.New(portal.Options{Store: s, PublicURL: "https://data.example.com", Addr: ":8080"})
package portal

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"aida/assets"
	"aida/config"
	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"

	"github.com/benbjohnson/hashfs"
	"github.com/gorilla/sessions"
	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/sync/errgroup"
)

// SSH is how analysts reach the data: what onboarding shows.
type SSH struct {
	Host string
	Port string
	Key  string // the host key, one line as in authorized_keys
}

// People does what needs more than the database.
type People interface {
	// Remove takes an account away and puts its home folder aside; kept says where.
	Remove(ctx context.Context, actor, name string) (kept string, err error)
}

// Check is one promise of the place, as the health page shows it.
type Check struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // good, late, bad or unknown
	Evidence string    `json:"evidence"`
	Since    time.Time `json:"since,omitzero"`
	Fix      string    `json:"fix,omitempty"`
}

// Health makes the checks of the whole place.
type Health interface {
	// Checks gives what was found lately, or looks when that is some time ago, or when fresh is set.
	Checks(ctx context.Context, fresh bool) []Check
	// Known gives what was found last without looking.
	Known() []Check
}

// Options is what the portal is made of.
type Options struct {
	Addr      string // where it listens; port 0 = any free one
	PublicURL string // the only base of absolute links; empty = the address that it listens on
	Proxies   []netip.Prefix
	Instance  config.Instance
	Theme     config.Theme
	Users     map[string]config.Person
	Names     store.UserNameRule
	Store     *store.Store
	Providers []auth.Provider
	Mailer    auth.Mailer
	People    People
	SSH       func() SSH
	Due       func(last time.Time) time.Time // when the next sync after this one is expected; nil = none is
	Settings  func() Settings                // nil = they are not shown
	Health    Health                         // nil = only the portal's own checks are shown
	Alerting  Alerting
	Rules     Rules // nil = there are no alert rules
	Scripts   Scripts
	Syncs     Syncs        // nil = none can be started from here
	Files     Files        // nil = nothing can be downloaded from here
	Downloads string       // folder of files for everybody, such as the desktop app; "" = none
	Tables    Declarations // nil = the description is not changed from here
	Catalog   config.Catalog
	Mounts    []route.Route // handlers of other rooms: webhooks, WebSocket
	Log       *slog.Logger
	Now       func() time.Time
}

// Portal is the HTTP server with its pages.
type Portal struct {
	o         Options
	store     *store.Store
	log       *slog.Logger
	now       func() time.Time
	public    *url.URL
	secure    bool
	listener  net.Listener
	static    *hashfs.FS
	theme     theme
	pages     map[string]*template.Template
	sessions  *sessionStore
	nav       []section
	access    accessCache
	tables    knownCache
	contents  contentCache
	downloads downloads
	doors     []route.Route
	spec      []byte // the OpenAPI document
	server    *http.Server
}

// New checks the options, listens, and prepares every page. Serve does the rest.
func New(o Options) (*Portal, error) {
	p := &Portal{o: o, store: o.Store, log: o.Log, now: o.Now, static: hashfs.NewFS(assets.PortalStatic())}
	if p.now == nil {
		p.now = time.Now
	}
	var err error
	if p.theme, err = newTheme(o.Theme, o.Instance.LogoSVG); err != nil {
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("portal: listen.http: %w: choose another address, or port 0 for any free one", err)
	}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, p.listener.Close())
	}
	return p, nil
}

func (p *Portal) prepare() error {
	var err error
	if p.public, err = publicURL(p.o.PublicURL, p.listener.Addr()); err != nil {
		return err
	}
	p.secure = p.public.Scheme == "https"
	p.sessions = &sessionStore{p: p}
	if p.pages, err = p.parsePages(); err != nil {
		return err
	}
	handler, err := p.handler()
	if err != nil {
		return err
	}
	p.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	return p.store.SetSetting(context.Background(), "public_url", p.public.String()) // `aida analyst link` makes links with it
}

// publicURL checks the configured URL, or makes one of the address that is listened on.
func publicURL(text string, addr net.Addr) (*url.URL, error) {
	if text == "" {
		host, port, err := net.SplitHostPort(addr.String())
		if err != nil {
			return nil, fmt.Errorf("portal: address %s: %w", addr, err)
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}, nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("public_url: %q is not the address of a site: write it as https://data.example.com", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// Addr is where the portal listens.
func (p *Portal) Addr() net.Addr { return p.listener.Addr() }

// URL makes an absolute link on the public URL.
func (p *Portal) URL(path string) string { return p.public.String() + path }

// drain is how long running requests may go on when the process is asked to end.
const drain = 10 * time.Second

// Serve answers requests until ctx is done, then lets running ones end.
func (p *Portal) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("portal: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := p.server.Shutdown(end); err != nil {
			return p.server.Close()
		}
		return nil
	})
	group.Go(func() error { p.prune(ctx); return nil })
	return group.Wait()
}

// Close ends listening without serving.
func (p *Portal) Close() error { return p.listener.Close() }

func (p *Portal) prune(ctx context.Context) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		if err := p.store.PrunePortal(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("old sessions and links could not be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// routes is every door of the portal.
func (p *Portal) routes() []route.Route {
	all := slices.Concat(
		p.siteRoutes(), p.signInRoutes(), p.linkRoutes(), p.homeRoutes(), p.connectRoutes(),
		p.accountRoutes(), p.peopleRoutes(), p.auditRoutes(), p.healthRoutes(), p.findRoutes(),
		p.alertRoutes(), p.ruleRoutes(), p.scriptRoutes(), p.catalogRoutes(), p.fileRoutes(),
		p.apiCatalogRoutes(), p.apiAccountRoutes(), p.apiPeopleRoutes(), p.apiGroupRoutes(), p.apiPlaceRoutes(), p.apiDeclareRoutes(), p.apiDocRoutes(),
		p.referenceRoutes(), p.referenceTableRoutes(), p.metricRoutes(), p.runRoutes(), p.tableRoutes(), p.settingsRoutes(), p.generationRoutes(),
	)
	for _, provider := range p.o.Providers {
		all = append(all, provider.Routes(p)...)
	}
	return append(all, p.o.Mounts...)
}

func (p *Portal) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	p.doors = p.routes()
	for _, rt := range p.doors {
		mux.Handle(rt.Pattern, p.guard(rt))
	}
	var err error
	if p.spec, err = p.document(p.doors); err != nil {
		return nil, fmt.Errorf("the description of the API: %w", err)
	}
	p.nav = sectionsOf(p.doors)
	cross := http.NewCrossOriginProtection()
	if err := cross.AddTrustedOrigin(p.public.String()); err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	cross.SetDenyHandler(p.problemHandler(&route.Problem{Status: http.StatusForbidden, Title: "This request came from another site",
		Text: "For your safety it was not carried out. Open the page here and try again."}))
	squeeze, err := gzhttp.NewWrapper(gzhttp.MinSize(1400), gzhttp.RandomJitter(32, 0, false))
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	return p.observe(p.headers(p.checkHost(squeeze(cross.Handler(mux))))), nil
}

var _ auth.Host = (*Portal)(nil)
var _ sessions.Store = (*sessionStore)(nil)
