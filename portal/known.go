package portal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"aida/store"
)

// known is what all pages tell of tables, made once for each state of them. What of it a person sees is asked each time.
type known struct {
	version string
	tables  []homeTable
	fresh   store.Freshness
	count   map[string]int   // tables, by dataset
	bytes   map[string]int64 // by dataset
}

type knownCache struct {
	mu     sync.Mutex
	last   *known
	trends map[int64][]int64 // of the rows of tables, as of a generation
	of     int64
}

// knownOnce is what a request was told, so that all of a page is of one state, and is asked for once.
type knownOnce struct{ k *known }

// known gives it, from memory when nothing changed.
func (p *Portal) known(ctx context.Context) (*known, error) {
	once, _ := ctx.Value(keyKnown).(*knownOnce)
	if once != nil && once.k != nil {
		return once.k, nil
	}
	k, err := p.knownNow(ctx)
	if once != nil && err == nil {
		once.k = k
	}
	return k, err
}

func (p *Portal) knownNow(ctx context.Context) (*known, error) {
	version, err := p.store.CatalogVersion(ctx)
	if err != nil {
		return nil, err
	}
	p.tables.mu.Lock()
	defer p.tables.mu.Unlock() // who asks meanwhile wants the same
	if k := p.tables.last; k != nil && k.version == version {
		return k, nil
	}
	k := &known{version: version, count: map[string]int{}, bytes: map[string]int64{}}
	if k.fresh, err = p.store.Freshness(ctx); err != nil {
		return nil, err
	}
	states, err := p.store.TableStates(ctx)
	if err != nil {
		return nil, err
	}
	trends, err := p.tables.trendsOf(ctx, p.store)
	if err != nil {
		return nil, err
	}
	for _, t := range states {
		h := homeTable{Table: t.Table, Rows: t.Rows, Bytes: t.Bytes, State: "good", Why: "good", Trend: trendOf(trends[t.ID], t.Rows)}
		switch {
		case t.Definition.QueryMode == "remote":
			h.Why = "stays at its source"
		case t.SyncedAt.IsZero():
			h.State, h.Why = "unknown", "no data yet"
		case t.Outcome == store.Failed:
			h.State, h.Why = "late", "last sync failed"
		case !t.PausedAt.IsZero():
			h.State, h.Why = "unknown", "paused"
		}
		k.tables = append(k.tables, h)
		k.count[t.Dataset]++
		k.bytes[t.Dataset] += t.Bytes
	}
	p.tables.last = k
	return k, nil
}

// trendsOf reads how the rows of tables went, once for each generation.
func (c *knownCache) trendsOf(ctx context.Context, s *store.Store) (map[int64][]int64, error) {
	list, err := s.GenerationsBefore(ctx, 0, 1)
	if err != nil || len(list) == 0 || c.trends != nil && c.of == list[0].ID {
		return c.trends, err
	}
	if c.trends, err = s.RowTrends(ctx); err != nil {
		return nil, err
	}
	c.of = list[0].ID
	return c.trends, nil
}

// contentLife is how long a page's content is shown again while nothing changed: its relative times grow old.
const contentLife = 5 * time.Second

// contentCache keeps what takes long to write and is the same for many.
type contentCache struct {
	mu  sync.Mutex
	all map[string]content
}

type content struct {
	page *packed
	at   time.Time
}

const maxContents = 200

// get gives what was written before. When that grew old, one caller is told that there is nothing, and writes it anew, while
// the others go on with what there is.
func (c *contentCache) get(key string, now time.Time) (*packed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.all[key]
	if !ok {
		return nil, false
	}
	if age := now.Sub(x.at); age < 0 || age > contentLife {
		c.all[key] = content{x.page, now}
		return nil, false
	}
	return x.page, true
}

func (c *contentCache) put(key string, page *packed, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= maxContents {
		c.all = map[string]content{}
	}
	c.all[key] = content{page, now}
}

// viewKey names what of the tables a person sees: those who see the same share a key.
func viewKey(k *known, a *store.Access, changed map[int64]time.Time) string {
	h := sha256.New()
	var b [8]byte
	for _, t := range k.tables {
		if a.CanRead(t.ID) {
			binary.BigEndian.PutUint64(b[:], uint64(t.ID))
			h.Write(b[:])
			if _, isNew := changed[t.ID]; isNew {
				h.Write([]byte("new"))
			}
		}
	}
	for _, d := range a.Datasets {
		fmt.Fprintf(h, "%s=%s:%t:%t;", d.Name, d.Access, d.Optional, a.Enabled[d.Name])
	}
	return k.version + " " + string(h.Sum(nil))
}
