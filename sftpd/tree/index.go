package tree

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"aida/store"
)

// entry is a folder or a generated document of the virtual part; it describes itself.
type entry struct {
	name     string
	children []fs.FileInfo // of a folder, by name
	doc      *doc          // nil for a folder
	mtime    time.Time
}

func (e *entry) Name() string       { return e.name }
func (e *entry) ModTime() time.Time { return e.mtime }
func (e *entry) IsDir() bool        { return e.doc == nil }
func (e *entry) Sys() any           { return nil }

// Size is that of the text, which is written when nobody asked before.
func (e *entry) Size() int64 {
	if e.doc == nil {
		return 0
	}
	return e.doc.size()
}

// Mode is read-only.
func (e *entry) Mode() fs.FileMode {
	if e.doc == nil {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// Hash is the SHA-256 of the text, in hex; "" for a folder.
func (e *entry) Hash() string {
	if e.doc == nil {
		return ""
	}
	return e.doc.hash()
}

// child finds a file or folder by name.
func (e *entry) child(name string) fs.FileInfo {
	i, ok := slices.BinarySearchFunc(e.children, name, func(c fs.FileInfo, n string) int { return strings.Compare(c.Name(), n) })
	if !ok {
		return nil
	}
	return e.children[i]
}

// lakeEntry is a file of the lake; it describes itself and costs nothing beside the snapshot's own record.
type lakeEntry struct{ f *store.File }

func (e lakeEntry) Name() string       { return path.Base(e.f.Logical) }
func (e lakeEntry) Size() int64        { return e.f.Size }
func (e lakeEntry) Mode() fs.FileMode  { return 0o444 }
func (e lakeEntry) ModTime() time.Time { return e.f.ModTime }
func (e lakeEntry) IsDir() bool        { return false }
func (e lakeEntry) Sys() any           { return nil }

// Hash is the SHA-256 of the bytes, in hex, as the manifest has it.
func (e lakeEntry) Hash() string { return e.f.Hash }

// catalog is the folder parquet/ of one generation for all who read the same tables. It never changes.
type catalog struct {
	dirs  map[string]*entry // by path below parquet/, "." is parquet/ itself
	files []*store.File     // that can be read, by path
}

func newCatalog(snap *store.Snapshot, a *store.Access) *catalog {
	c := &catalog{dirs: map[string]*entry{".": {name: "parquet"}}}
	last, dir := "", (*entry)(nil)
	for i := range snap.Files {
		f := &snap.Files[i]
		if !a.CanRead(f.TableID) {
			continue
		}
		c.files = append(c.files, f)
		if name := path.Dir(f.Logical); dir == nil || name != last {
			last, dir = name, c.dir(name)
		}
		dir.children = append(dir.children, lakeEntry{f})
		for p, d := last, dir; d.mtime.Before(f.ModTime); d = c.dirs[p] {
			d.mtime = f.ModTime
			p = path.Dir(p)
		}
	}
	for _, d := range c.dirs {
		slices.SortFunc(d.children, byName)
	}
	return c
}

// dir gives a folder, made with those above it.
func (c *catalog) dir(p string) *entry {
	if d := c.dirs[p]; d != nil {
		return d
	}
	d := &entry{name: path.Base(p)}
	c.dirs[p] = d
	above := c.dir(path.Dir(p))
	above.children = append(above.children, d)
	return d
}

// find gives what is at a path below parquet/, or nil.
func (c *catalog) find(p string) fs.FileInfo {
	if d := c.dirs[p]; d != nil {
		return d
	}
	if d := c.dirs[path.Dir(p)]; d != nil {
		return d.child(path.Base(p))
	}
	return nil
}

// index is the virtual part for one access.
type index struct {
	access  *store.Access
	catalog *catalog
	byPath  map[string]*entry // all but what is below /server/parquet
}

const parquet = "/server/parquet"

func (x *index) find(p string) fs.FileInfo {
	if rest, ok := strings.CutPrefix(p, parquet+"/"); ok {
		return x.catalog.find(rest)
	}
	if e := x.byPath[p]; e != nil {
		return e
	}
	return nil
}

func newIndex(o Options, a *store.Access) *index {
	c := o.Cache
	x := &index{access: a, byPath: map[string]*entry{"/": {name: "/"}}, catalog: c.catalog(o.Pin.Snapshot, a)}
	changed := o.Pin.CreatedAt
	if a.ChangedAt.After(changed) {
		changed = a.ChangedAt
	}
	changed = changed.Truncate(time.Second)
	top := *x.catalog.dirs["."]
	if top.mtime.IsZero() {
		top.mtime = changed
	}
	x.put(parquet, &top)
	for _, dir := range []string{"/server/docs", "/server/scripts", "/server/examples", "/.claude_rules"} {
		x.put(dir, &entry{mtime: changed})
	}
	for _, d := range slices.Concat(c.documents(o.Pin.Snapshot, a, x.catalog), c.profiles(o, a), c.metrics(o, a)) {
		at := changed
		if d.fresh.After(at) {
			at = d.fresh.Truncate(time.Second)
		}
		x.put("/server/"+d.path, &entry{doc: d.doc, mtime: at})
	}
	settings := string(a.SettingsYAML())
	x.put("/.sync_settings.yaml", &entry{doc: fixed(settings), mtime: changed})
	if o.Kit != nil {
		x.putKit(o.Kit, c)
	}
	for _, e := range x.byPath {
		slices.SortFunc(e.children, byName)
	}
	return x
}

// put adds an entry with the folders above it.
func (x *index) put(p string, e *entry) {
	e.name = path.Base(p)
	x.byPath[p] = e
	dir := path.Dir(p)
	if x.byPath[dir] == nil {
		x.put(dir, &entry{})
	}
	x.byPath[dir].children = append(x.byPath[dir].children, e)
	for ; e.mtime.After(x.byPath[dir].mtime); dir = path.Dir(dir) {
		x.byPath[dir].mtime = e.mtime
	}
}

// kitTime is the time of all kit files: they come with the binary.
var kitTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (x *index) putKit(kit fs.FS, c *Cache) {
	_ = fs.WalkDir(kit, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || x.byPath["/server/"+p] != nil {
			return nil
		}
		x.put("/server/"+p, &entry{doc: c.kitFile(kit, p), mtime: kitTime})
		return nil
	})
}
