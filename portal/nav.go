package portal

import (
	"context"
	"strings"
	"sync"
	"time"

	"aida/portal/route"
	"aida/store"
)

// section is one entry of the navigation.
type section struct {
	Name, Path, Icon string
	Admin            bool
	Current          bool
}

// sections are all entries, in their order. One whose path no route serves is not shown.
var sections = []section{
	{Name: "Home", Path: "/", Icon: "home"},
	{Name: "Catalog", Path: "/catalog", Icon: "catalog"},
	{Name: "Metrics", Path: "/metrics", Icon: "metrics"},
	{Name: "Alerts", Path: "/alerts", Icon: "alerts"},
	{Name: "Account", Path: "/account", Icon: "account"},
	{Name: "People", Path: "/admin/people", Icon: "people", Admin: true},
	{Name: "Tables", Path: "/admin/tables", Icon: "tables", Admin: true},
	{Name: "Runs", Path: "/admin/runs", Icon: "runs", Admin: true},
	{Name: "Generations", Path: "/admin/generations", Icon: "generations", Admin: true},
	{Name: "Audit", Path: "/admin/audit", Icon: "audit", Admin: true},
	{Name: "Health", Path: "/admin/health", Icon: "health", Admin: true},
	{Name: "Settings", Path: "/admin/settings", Icon: "settings", Admin: true},
}

func sectionsOf(routes []route.Route) (out []section) {
	served := map[string]bool{"/": true}
	for _, rt := range routes {
		if path, ok := strings.CutPrefix(rt.Pattern, "GET "); ok {
			served[path] = true
		}
	}
	for _, s := range sections {
		if served[s.Path] {
			out = append(out, s)
		}
	}
	return out
}

func (p *Portal) navOf(v *visitor, path string) (out []section) {
	for _, s := range p.nav {
		if s.Admin && v.User.Role != store.Admin {
			continue
		}
		s.Current = path == s.Path || s.Path != "/" && strings.HasPrefix(path, s.Path+"/")
		out = append(out, s)
	}
	return out
}

// chip is the freshness of the data as a whole, at the top of each page.
type chip struct {
	State, Text string
	At          time.Time // of the newest data; zero = nobody knows
}

func (p *Portal) chipOf(ctx context.Context) chip {
	k, err := p.known(ctx)
	if err != nil {
		return chip{State: "unknown", Text: "freshness unknown"}
	}
	return p.chipFor(k.fresh)
}

func (p *Portal) chipFor(f store.Freshness) chip {
	if f.SyncedAt.IsZero() {
		return chip{State: "unknown", Text: "no data yet"}
	}
	now := p.now()
	text := "data of " + f.SyncedAt.UTC().Format("15:04")
	if now.Sub(f.SyncedAt) > 20*time.Hour {
		text = "data of " + f.SyncedAt.UTC().Format("2 Jan 15:04")
	}
	overdue := p.o.Due != nil && now.After(p.o.Due(p.o.Due(f.SyncedAt)))
	if f.Failing > 0 || overdue {
		return chip{"late", text, f.SyncedAt}
	}
	if now.Add(5 * time.Minute).Before(f.SyncedAt) {
		return chip{"unknown", text, f.SyncedAt}
	}
	if p.o.Health != nil { // data that cannot be read is not fresh, whatever its time
		for _, c := range p.o.Health.Known() {
			if (c.Name == "Lake" || c.Name == "Database") && c.State != "good" {
				return chip{c.State, text, f.SyncedAt}
			}
		}
	}
	return chip{"good", text, f.SyncedAt}
}

// accessCache keeps what people may read as long as nobody's access changed.
type accessCache struct {
	mu   sync.Mutex
	byID map[int64]*store.Access
}

const maxCachedAccess = 1000

// accessOf answers what a person may read. It is the one way a page asks.
func (p *Portal) accessOf(ctx context.Context, userID int64) (*store.Access, error) {
	version, err := p.store.AccessVersion(ctx)
	if err != nil {
		return nil, err
	}
	p.access.mu.Lock()
	a, ok := p.access.byID[userID]
	p.access.mu.Unlock()
	if ok && a.Version == version {
		return a, nil
	}
	if a, err = p.store.Access(ctx, userID); err != nil {
		return nil, err
	}
	p.access.mu.Lock()
	defer p.access.mu.Unlock()
	if p.access.byID == nil || len(p.access.byID) >= maxCachedAccess {
		p.access.byID = map[int64]*store.Access{}
	}
	p.access.byID[userID] = a
	return a, nil
}
