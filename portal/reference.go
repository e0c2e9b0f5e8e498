package portal

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"

	"aida/portal/route"
	"aida/store"
)

// The addresses of the product that this one follows, for scripts and links that were made for it. They mean what the pages
// and the API of today mean; what they did beyond that, such as running scripts on the server, is not there.
func (p *Portal) referenceRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /logout", Who: route.Anyone, Handle: p.askSignOut},
		{Pattern: "GET /download/{file}", Who: route.Caller, Handle: p.download},
		{Pattern: "GET /api/catalog/profile/{table}", Who: route.Caller, Handle: p.profileByName, Doc: reference("What is known of a table's values", route.Doc{Path: map[string]string{"table": "The table by its name, or as folder.name."}, Answer: store.Profile{}, Fails: []int{404}})},
		{Pattern: "GET /api/catalog/metrics/{name}", Who: route.Caller, Handle: p.externalMetric, Doc: reference("A metric of an external catalog; none can be connected here", route.Doc{Path: map[string]string{"name": "Its name in that catalog."}, Status: 503, Answer: problemView{}})},
		{Pattern: "GET /api/sync-settings", Who: route.Caller, Handle: p.syncSettings, Doc: reference("Which optional datasets you carry", route.Doc{Answer: settingsAnswer{}})},
		{Pattern: "POST /api/sync-settings", Who: route.Caller, Handle: p.setSyncSettings, Doc: reference("Switch optional datasets on or off", route.Doc{Body: settingsBody{map[string]bool{"jira": true}}, Answer: doneMessage{}})},
		{Pattern: "GET /api/table-subscriptions", Who: route.Caller, Handle: p.tableSubscriptions, Doc: reference("Which tables you carry", route.Doc{Answer: tableChoice{}})},
		{Pattern: "POST /api/table-subscriptions", Who: route.Caller, Handle: p.setTableSubscriptions, Doc: reference("Choose which tables you carry", route.Doc{Body: tableChoice{"explicit", map[string]bool{"orders": true}}, Answer: doneMessage{}})},
	}
}

const olderTag = "Older addresses"

func reference(summary string, d route.Doc) *route.Doc {
	d.Tag, d.Summary = olderTag, summary
	return &d
}

type (
	settingsAnswer struct {
		Datasets  map[string]bool        `json:"datasets"`
		Metadata  map[string]settingMeta `json:"metadata"`
		UpdatedAt *string                `json:"updated_at"`
	}
	settingMeta struct {
		Label       string `json:"label"`
		Description string `json:"description"`
		SizeHint    string `json:"size_hint"`
		Requires    string `json:"requires"`
	}
	settingsBody struct {
		Datasets map[string]bool `json:"datasets"`
	}
	tableChoice struct {
		Mode   string          `json:"table_mode"` // all or explicit
		Tables map[string]bool `json:"tables"`
	}
	doneMessage struct {
		OK      bool   `json:"ok"`
		Message string `json:"message"`
	}
)

// askSignOut asks, as a link from anywhere may lead here and must not end anybody's session.
func (p *Portal) askSignOut(w http.ResponseWriter, r *http.Request) error {
	if visitorFrom(r) == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	return p.render(w, r, http.StatusOK, "signout", page{Title: "Sign out", Bare: true, Data: visitorFrom(r)})
}

var downloadName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.(zip|dmg)$`)

// download gives a file that an admin put into the folder downloads of the data, such as the desktop app.
func (p *Portal) download(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if p.o.Downloads == "" || !downloadName.MatchString(name) {
		return noFile
	}
	root, err := os.OpenRoot(p.o.Downloads)
	if err != nil {
		return noFile
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return noFile
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil || !i.Mode().IsRegular() {
		return noFile
	}
	w.Header().Set("ETag", etagOf(i, i.Size()))
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	http.ServeContent(steady(w), r, "", i.ModTime(), f)
	return nil
}

func (p *Portal) profileByName(w http.ResponseWriter, r *http.Request) error {
	a, err := p.accessOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	t, err := store.FindTable(a.Tables, r.PathValue("table"))
	if err != nil {
		return err
	}
	profile, err := p.store.Profile(r.Context(), a, t.ID)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, profile)
}

func (p *Portal) externalMetric(http.ResponseWriter, *http.Request) error {
	return &route.Problem{Status: http.StatusServiceUnavailable, Title: "No external catalog is connected", Text: "The metrics of this place are at /api/v1/metrics."}
}

// readLoose reads a body as clients of the reference send it: what is not known is left out.
func readLoose(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return &store.Error{Code: store.Invalid, Message: "the body is not the JSON that is expected", Hint: jsonFault(err)}
	}
	return nil
}

func (p *Portal) syncSettings(w http.ResponseWriter, r *http.Request) error {
	a, err := p.accessOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	out := settingsAnswer{Datasets: map[string]bool{}, Metadata: map[string]settingMeta{}}
	for _, d := range a.Datasets {
		if d.Optional {
			out.Datasets[d.Name] = a.Enabled[d.Name]
			out.Metadata[d.Name] = settingMeta{d.Label, d.Description, d.SizeHint, d.Requires}
		}
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) setSyncSettings(w http.ResponseWriter, r *http.Request) error {
	var b settingsBody
	if err := readLoose(r, &b); err != nil {
		return err
	}
	if len(b.Datasets) == 0 {
		return &store.Error{Code: store.Invalid, Message: "no dataset is named", Hint: `send {"datasets": {"name": true}}`}
	}
	return p.answer(w, r, p.choose(r, subscriptionsBody{Datasets: b.Datasets}), "It counts from the next sync.")
}

func (p *Portal) tableSubscriptions(w http.ResponseWriter, r *http.Request) error {
	s, err := p.store.Subscription(r.Context(), actor(r))
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, tableChoice{modeOf(s.Explicit), s.Tables})
}

// setTableSubscriptions replaces the choice: what is not named is off.
func (p *Portal) setTableSubscriptions(w http.ResponseWriter, r *http.Request) error {
	b := tableChoice{Mode: "all"}
	if err := readLoose(r, &b); err != nil {
		return err
	}
	s, err := p.store.Subscription(r.Context(), actor(r))
	if err != nil {
		return err
	}
	tables := map[string]bool{}
	for name := range s.Tables {
		tables[name] = false
	}
	for name, on := range b.Tables {
		tables[name] = on
	}
	return p.answer(w, r, p.choose(r, subscriptionsBody{Mode: b.Mode, Tables: tables}), "It counts from the next sync.")
}
