package portal

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"aida/assets"
	"aida/store"
)

// page is what a handler says about the page that it shows.
type page struct {
	Title  string
	Lede   string  // one sentence below the title
	Crumbs []crumb // the pages above this one
	Action *action // what people come for, beside the title
	Bare   bool    // one narrow column without navigation, as for signing in
	Script string  // a module of static/js besides the one that every page has
	Data   any

	Content *packed // the template's content, when it was written before; Data is not asked then
}

// crumb is a link to a page above.
type crumb struct{ Name, Path string }

// action is a link beside the title. On a page that is for doing it, it is the primary one.
type action struct {
	Name, Path, Icon string
	Primary          bool
}

// view is what a template sees.
type view struct {
	page
	Content    template.HTML
	Instance   instanceView
	Visitor    *visitor
	Nav        []section
	Path       string
	Chip       chip
	Notice     string // what the last action did
	Appearance string
	RequestID  string
	ThemeCSS   string
}

type instanceView struct{ Name, Subtitle, Copyright, Logo string }

const (
	appearanceCookie = "aida_appearance"
	noticeKey        = "notice"
)

// render writes a page. It is made whole before the first byte leaves, so that an error never leaves half of one.
func (p *Portal) render(w http.ResponseWriter, r *http.Request, status int, name string, pg page) error {
	t, ok := p.pages[name]
	if !ok {
		return fmt.Errorf("page %s does not exist", name)
	}
	v := view{page: pg, Visitor: visitorFrom(r), Path: r.URL.Path, RequestID: requestID(r), ThemeCSS: p.theme.path, Appearance: appearance(r),
		Instance: instanceView{cmp.Or(p.o.Instance.Name, "AI Data Analyst"), p.o.Instance.Subtitle, p.o.Instance.Copyright, p.theme.logoPath}}
	if v.Visitor != nil && !pg.Bare {
		v.Nav = p.navOf(v.Visitor, r.URL.Path)
		v.Chip = p.chipOf(r.Context())
		v.Notice = p.takeNotice(w, r)
	}
	apart := pg.Content != nil && takesGzip(r)
	switch {
	case apart:
		v.Content = contentMark
	case pg.Content != nil:
		v.Content = pg.Content.text
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := t.ExecuteTemplate(b, "layout", v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if apart {
		head, tail, _ := bytes.Cut(b.Bytes(), []byte(contentMark))
		return sendPacked(w, status, head, pg.Content, tail)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// contentMark stands for content that is put in later. Text of a page cannot hold it, as its < would be escaped.
const contentMark = "<!--content-->"

// buffers are what pages are written in.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// write gives the content of a page, without the frame around it.
func (p *Portal) write(r *http.Request, name string, pg page) (*packed, error) {
	t, ok := p.pages[name]
	if !ok {
		return nil, fmt.Errorf("page %s does not exist", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "content", view{page: pg, Visitor: visitorFrom(r), Path: r.URL.Path}); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return pack(template.HTML(b.String()))
}

// Render shows a page for a provider.
func (p *Portal) Render(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) error {
	return p.render(w, r, status, name, page{Title: title, Bare: true, Data: data})
}

// notify remembers a sentence for the next page of this person.
func (p *Portal) notify(w http.ResponseWriter, r *http.Request, format string, args ...any) error {
	v, err := p.sessions.Get(r, sessionName)
	if err != nil {
		return err
	}
	v.Values[noticeKey] = fmt.Sprintf(format, args...)
	return p.sessions.Save(r, w, v)
}

func (p *Portal) takeNotice(w http.ResponseWriter, r *http.Request) string {
	v, err := p.sessions.Get(r, sessionName)
	if err != nil {
		return ""
	}
	text, _ := v.Values[noticeKey].(string)
	if text != "" {
		delete(v.Values, noticeKey)
		if err := p.sessions.Save(r, w, v); err != nil {
			p.log.Error("a notice could not be taken down", "error", err)
		}
	}
	return text
}

// done tells what was done on the page that the browser is sent to.
func (p *Portal) done(w http.ResponseWriter, r *http.Request, to, format string, args ...any) error {
	if err := p.notify(w, r, format, args...); err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func appearance(r *http.Request) string {
	if c, err := r.Cookie(appearanceCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return "system"
}

// parsePages reads every template once: the frame and its parts, and over a copy of them each page.
func (p *Portal) parsePages() (map[string]*template.Template, error) {
	files := assets.PortalTemplates()
	frame, err := template.New("layout").Funcs(p.functions()).Option("missingkey=error").ParseFS(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		out[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return out, nil
}

// displayName is how a person is called: by the configuration, by themselves, or by their user name.
func (p *Portal) displayName(u store.User) string {
	return cmp.Or(p.o.Users[u.Name].Name, u.FullName, nameOf(u.Name))
}
