package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aida/portal/route"
	"aida/store"

	"github.com/klauspost/compress/gzhttp"
)

// Files opens the tree of the person of an access, the same that SSH serves, at a generation (0 = the newest).
type Files interface {
	Open(ctx context.Context, a *store.Access, generation int64) (Tree, error)
}

// Tree is a person's files. It holds its generation until Close.
type Tree interface {
	Stat(path string, follow bool) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.FileInfo, error)
	Open(path string) (TreeFile, int64, error)
	SetAccess(a *store.Access)
	Generation() int64
	Close() error
}

// TreeFile is an open file of it.
type TreeFile interface {
	io.ReaderAt
	io.Closer
}

func (p *Portal) fileRoutes() []route.Route {
	text := map[string]string{"path": "Path in the tree, as over SSH: server/..., or user/... for your own files. A folder is listed as JSON, a file is sent as it is."}
	query := []route.Param{
		{Name: "generation", Type: "integer", Text: "Read this generation instead of the newest, as long as it is kept. Give the one of the manifest, and all files of a pull belong together."},
		{Name: "after", Text: "Of a folder: list the entries behind this name."},
		limitParam,
	}
	return []route.Route{{Pattern: "GET /api/v1/files/{path...}", Who: route.Caller, Handle: p.file, Doc: &route.Doc{
		Tag: "Files", Summary: "Download a file, or list a folder", Path: text, Query: query, Answer: folderView{}, Media: "application/octet-stream", Fails: []int{404, 410, 416, 429},
		Text: "Takes Range (one or several), If-Range, If-None-Match and HEAD. The ETag of a data file is its SHA-256, the one that server/metadata/manifest.json has. " +
			"Aida-Generation says which generation was read.",
	}}}
}

// folderView is a folder as programs get it.
type folderView struct {
	Path       string      `json:"path"`
	Generation int64       `json:"generation"`
	Entries    []entryView `json:"entries"`
	Next       string      `json:"next,omitempty"`
}

type entryView struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"` // file, folder or link
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mtime"`
	SHA256  string    `json:"sha256,omitempty"`
}

// hashed is what describes a file by its content too.
type hashed interface{ Hash() string }

func hashOf(i fs.FileInfo) string {
	if h, ok := i.(hashed); ok {
		return h.Hash()
	}
	return ""
}

var noFile = &route.Problem{Status: http.StatusNotFound, Title: "There is no such file for you", Text: "List the folder above it to see what there is."}

// file sends one file of the person's tree. What may not be seen is not there.
func (p *Portal) file(w http.ResponseWriter, r *http.Request) error {
	if p.o.Files == nil {
		return noFile
	}
	generation, err := queryNumber(r, "generation")
	if err != nil {
		return err
	}
	me := visitorFrom(r)
	leave, err := p.downloads.enter(me.User.ID)
	if err != nil {
		return err
	}
	defer leave()
	a, err := p.accessOf(r.Context(), me.User.ID)
	if err != nil {
		return err
	}
	t, err := p.o.Files.Open(r.Context(), a, generation)
	if err != nil {
		return err
	}
	defer t.Close()
	name := r.PathValue("path")
	i, err := t.Stat(name, true)
	if err != nil {
		return fileProblem(err)
	}
	w.Header().Set("Aida-Generation", strconv.FormatInt(t.Generation(), 10))
	if i.IsDir() {
		return p.folder(w, r, t, name)
	}
	if strings.HasSuffix(name, "/") {
		return noFile
	}
	f, size, err := t.Open(name)
	if err != nil {
		return fileProblem(err)
	}
	defer f.Close()
	if s, ok := f.(interface{ Stat() (fs.FileInfo, error) }); ok { // what is open, and not what the name meant a moment ago
		open, err := s.Stat()
		if err != nil {
			return err
		}
		if hashOf(i) == "" {
			i = open
		}
	}
	h := w.Header()
	h.Set("ETag", etagOf(i, size))
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Content-Type", mediaOf(name))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	h.Set(gzhttp.HeaderNoCompression, "1") // a packed answer would be another one than its hash says
	live := &liveFile{p: p, r: r, me: me, t: t, f: f, version: a.Version, checked: time.Now()}
	out := steady(w)
	http.ServeContent(out, r, "", i.ModTime(), io.NewSectionReader(live, 0, size))
	if out.took(r, size) && strings.HasPrefix(path.Clean("/"+name), "/server/parquet/") {
		p.notePull(r, me)
	}
	return nil
}

// notePull notes that a person took a table's file. The client may have gone already, which takes nothing back.
func (p *Portal) notePull(r *http.Request, me *visitor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
	defer cancel()
	if err := p.store.MarkSync(ctx, me.User.ID); err != nil {
		p.log.Error("a pull cannot be noted", "user", me.User.Name, "error", err) // the answer is out
	}
}

// etagOf names what a file holds: the hash of its bytes, or for files of the person's own folder, which nobody hashes, size and time.
func etagOf(i fs.FileInfo, size int64) string {
	if h := hashOf(i); h != "" {
		return `"` + h + `"`
	}
	return fmt.Sprintf(`"%x-%x"`, size, i.ModTime().UnixNano())
}

// mediaOf says what a file is by its name. Nothing that a browser would run is among them; all are sent as attachments.
func mediaOf(name string) string {
	known := map[string]string{".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".yml": "application/yaml", ".yaml": "application/yaml",
		".md": "text/markdown; charset=utf-8", ".sql": "application/sql", ".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8"}
	if media := known[strings.ToLower(path.Ext(name))]; media != "" {
		return media
	}
	return "application/octet-stream"
}

func fileProblem(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) || store.CodeOf(err) == store.NotFound {
		return noFile
	}
	var pe *fs.PathError
	if errors.As(err, &pe) || strings.Contains(err.Error(), "not a directory") || strings.Contains(err.Error(), "too many levels of symbolic links") {
		return noFile
	}
	return err
}

func (p *Portal) folder(w http.ResponseWriter, r *http.Request, t Tree, name string) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	list, err := t.ReadDir(name)
	if err != nil {
		return fileProblem(err)
	}
	v := folderView{Path: "/" + strings.Trim(path.Clean("/"+name), "/"), Generation: t.Generation(), Entries: []entryView{}}
	after := r.URL.Query().Get("after")
	list = slices.SortedFunc(slices.Values(list), func(x, y fs.FileInfo) int { return strings.Compare(x.Name(), y.Name()) })
	for _, i := range list {
		if i.Name() <= after && after != "" {
			continue
		}
		if len(v.Entries) == limit {
			v.Next = v.Entries[limit-1].Name
			break
		}
		e := entryView{Name: i.Name(), Type: "file", Size: i.Size(), ModTime: i.ModTime().UTC(), SHA256: hashOf(i)}
		switch {
		case i.IsDir():
			e.Type, e.Size = "folder", 0
		case !i.Mode().IsRegular():
			e.Type = "link"
		}
		v.Entries = append(v.Entries, e)
	}
	return p.JSON(w, http.StatusOK, v)
}

// liveFile is a file that is on its way to somebody. While it goes, it is asked once a second whether they may still have it.
type liveFile struct {
	p       *Portal
	r       *http.Request
	me      *visitor
	t       Tree
	f       TreeFile
	version int64
	checked time.Time
}

var errEnded = errors.New("the download ended: access was taken back")

// ReadAt reads, as long as the person may.
func (l *liveFile) ReadAt(b []byte, off int64) (int, error) {
	if now := time.Now(); now.Sub(l.checked) >= time.Second {
		l.checked = now
		if err := l.check(); err != nil {
			return 0, err
		}
	}
	return l.f.ReadAt(b, off)
}

func (l *liveFile) check() error {
	ctx := l.r.Context()
	if ok, err := l.p.stillIn(ctx, l.me); err != nil || !ok {
		return errors.Join(errEnded, err)
	}
	a, err := l.p.accessOf(ctx, l.me.User.ID)
	if err != nil {
		return err
	}
	if a.Version != l.version {
		l.version = a.Version
		l.t.SetAccess(a)
		if !a.User.SuspendedAt.IsZero() {
			return errEnded
		}
	}
	return nil
}

// steadyWriter gives a client that takes what it is sent as long as it needs, and one that takes nothing a minute.
type steadyWriter struct {
	http.ResponseWriter
	c      *http.ResponseController
	status int
	sent   int64
}

func steady(w http.ResponseWriter) *steadyWriter {
	return &steadyWriter{ResponseWriter: w, c: http.NewResponseController(w)}
}

const (
	stall     = time.Minute
	copyBytes = 256 << 10
)

func (w *steadyWriter) Write(b []byte) (int, error) {
	_ = w.c.SetWriteDeadline(time.Now().Add(stall)) // where none can be set the server's own one counts
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}

func (w *steadyWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// theRest asks for a file from somewhere on, as a client does that goes on with one.
var theRest = regexp.MustCompile(`^bytes=[0-9]+-$`)

// took tells whether the client has the whole file now: it was sent, or the rest of it was, or it was there already. Pieces
// out of the middle, as engines read them, are no pull.
func (w *steadyWriter) took(r *http.Request, size int64) bool {
	switch {
	case r.Method != http.MethodGet:
		return false
	case w.status == http.StatusOK:
		return w.sent == size
	case w.status == http.StatusPartialContent && theRest.MatchString(r.Header.Get("Range")):
		return strconv.FormatInt(w.sent, 10) == w.Header().Get("Content-Length")
	}
	return w.status == http.StatusNotModified
}

// ReadFrom copies in larger pieces than io.Copy would by itself.
func (w *steadyWriter) ReadFrom(src io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, src, make([]byte, copyBytes))
}

// downloads counts what each person has under way, as each holds a file and a generation.
type downloads struct {
	mu    sync.Mutex
	under map[int64]int
}

const maxDownloads = 16

func (d *downloads) enter(userID int64) (leave func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.under[userID] >= maxDownloads {
		return nil, &route.Problem{Status: http.StatusTooManyRequests, Title: "Too many downloads at once", RetryAfter: time.Second,
			Text: fmt.Sprintf("You have %d under way. Wait for one to end, then try again.", maxDownloads)}
	}
	if d.under == nil {
		d.under = map[int64]int{}
	}
	d.under[userID]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.under[userID]--; d.under[userID] == 0 {
			delete(d.under, userID)
		}
	}, nil
}
