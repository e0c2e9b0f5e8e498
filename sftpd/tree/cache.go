package tree

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"sync"
	"time"

	"aida/store"
)

// Cache holds what trees of the same generation and access have in common, so that a connection costs neither time nor
// memory in proportion to the number of files. What is dropped is made anew when it is asked for; connections that hold
// it keep it.
type Cache struct {
	mu       sync.Mutex
	catalogs lru[catalogKey, *catalog]
	sets     lru[documentsKey, []document]
	kit      map[string]*doc
	texts    lru[*doc, string]
	profiled lru[profilesKey, *doc]
	metric   lru[metricsKey, []document]
}

// Bounds of what is kept beyond the connections' own hold.
const (
	maxCatalogFiles = 1 << 20  // file records in all catalogs
	maxDocuments    = 64       // sets of documents
	maxTextBytes    = 64 << 20 // of generated texts
)

// NewCache makes an empty cache.
func NewCache() *Cache {
	return &Cache{
		catalogs: lru[catalogKey, *catalog]{room: maxCatalogFiles},
		sets:     lru[documentsKey, []document]{room: maxDocuments},
		texts:    lru[*doc, string]{room: maxTextBytes},
		profiled: lru[profilesKey, *doc]{room: maxDocuments},
		metric:   lru[metricsKey, []document]{room: maxDocuments},
		kit:      map[string]*doc{},
	}
}

type catalogKey struct {
	generation int64
	tables     [sha256.Size]byte // which
}

type documentsKey struct {
	catalogKey
	version int64             // of access; every change of a definition moves it too
	times   [sha256.Size]byte // of the tables' data and syncs, which move without a generation
}

func keyOf(snap *store.Snapshot, a *store.Access) catalogKey {
	ids := make([]byte, 0, 8*len(a.Tables))
	for _, t := range a.Tables {
		ids = binary.BigEndian.AppendUint64(ids, uint64(t.ID))
	}
	return catalogKey{snap.Generation, sha256.Sum256(ids)}
}

func (c *Cache) catalog(snap *store.Snapshot, a *store.Access) *catalog {
	key := keyOf(snap, a)
	c.mu.Lock()
	defer c.mu.Unlock() // held while one is built: others that sign in meanwhile want the same one
	if x, ok := c.catalogs.get(key); ok {
		return x
	}
	x := newCatalog(snap, a)
	c.catalogs.put(key, x, int64(len(x.files))+1)
	return x
}

// document is one generated file of the tree.
type document struct {
	path  string // below /server
	doc   *doc
	fresh time.Time // when what it tells last changed, if that moves without a generation
}

func (c *Cache) documents(snap *store.Snapshot, a *store.Access, of *catalog) []document {
	times := make([]byte, 0, 16*len(a.Tables))
	var synced time.Time
	for _, t := range a.Tables {
		times = binary.BigEndian.AppendUint64(times, uint64(t.DataTime.UnixNano()))
		times = binary.BigEndian.AppendUint64(times, uint64(t.SyncedAt.UnixNano()))
		if t.SyncedAt.After(synced) {
			synced = t.SyncedAt
		}
	}
	key := documentsKey{keyOf(snap, a), a.Version, sha256.Sum256(times)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x, ok := c.sets.get(key); ok {
		return x
	}
	v := &view{access: a, snapshot: snap, files: of.files}
	made := func(text func() string) *doc { return &doc{c: c, write: text} }
	x := []document{
		{"docs/schema.yml", made(v.schema), time.Time{}}, {"docs/data_description.md", made(v.description), time.Time{}},
		{"metadata/views.sql", made(v.views), time.Time{}},
		{"metadata/manifest.json", made(v.manifest), synced}, {"metadata/sync_state.json", made(v.syncState), synced},
	}
	c.sets.put(key, x, 1)
	return x
}

func (c *Cache) kitFile(kit fs.FS, p string) *doc {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kit[p] == nil {
		c.kit[p] = &doc{c: c, write: func() string {
			text, err := fs.ReadFile(kit, p)
			if err != nil {
				return ""
			}
			return string(text)
		}}
	}
	return c.kit[p]
}

// doc is a text that is written when it is first asked for. Its size is kept for good, the text while there is room.
type doc struct {
	c     *Cache
	write func() string
	only  string // of a doc without a cache

	mu    sync.Mutex
	known bool
	bytes int64
	sum   string // SHA-256 of the text, hex
}

// fixed is a doc that is too small to be worth a cache.
func fixed(text string) *doc {
	return &doc{only: text, known: true, bytes: int64(len(text)), sum: sumOf(text)}
}

func sumOf(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// hash is asked for by few and so made apart from the size; it is kept for good, too.
func (d *doc) hash() string {
	d.mu.Lock()
	sum := d.sum
	d.mu.Unlock()
	if sum != "" {
		return sum
	}
	sum = sumOf(d.text())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sum = sum
	return sum
}

func (d *doc) size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.known {
		d.make()
	}
	return d.bytes
}

func (d *doc) text() string {
	if d.c == nil {
		return d.only
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.c.mu.Lock()
	text, ok := d.c.texts.get(d)
	d.c.mu.Unlock()
	if ok {
		return text
	}
	return d.make()
}

func (d *doc) make() string {
	text := d.write()
	d.known, d.bytes = true, int64(len(text))
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	d.c.texts.put(d, text, d.bytes)
	return text
}

// lru keeps what was used last, within room. One item larger than room is not kept.
type lru[K comparable, V any] struct {
	room, used int64
	order      list.List
	items      map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	key    K
	value  V
	weight int64
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e := l.items[k]
	if e == nil {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

func (l *lru[K, V]) put(k K, v V, weight int64) {
	if l.items == nil {
		l.items = map[K]*list.Element{}
	}
	if weight > l.room || l.items[k] != nil {
		return
	}
	l.items[k] = l.order.PushFront(&lruItem[K, V]{k, v, weight})
	for l.used += weight; l.used > l.room; {
		last := l.order.Back()
		i := l.order.Remove(last).(*lruItem[K, V])
		delete(l.items, i.key)
		l.used -= i.weight
	}
}
