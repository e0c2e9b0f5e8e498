package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"aida/portal/route"
	"aida/store"
)

// Scripts are people's notification scripts.
type Scripts interface {
	// Off says why no script runs here, a sentence; empty = they do.
	Off() string
	List(ctx context.Context, u store.User) ([]store.Script, error)
	// Now runs one, whatever its cool-down. What it has to tell comes as an alert. Errors of the script are of package store.
	Now(ctx context.Context, u store.User, name string) (told bool, err error)
}

// scriptRoutes are those of the alerts page, and where there are desktop apps, theirs.
func (p *Portal) scriptRoutes() []route.Route {
	out := []route.Route{{Pattern: "POST /alerts/scripts/run", Who: route.Person, Handle: p.runScript}}
	for _, provider := range p.o.Providers {
		if _, ok := provider.(deviceTokens); ok {
			out = append(out, route.Route{Pattern: "GET /api/desktop/scripts", Who: route.Caller, Handle: p.desktopScripts, Doc: reference("List your notification scripts", route.Doc{Answer: []desktopScript{}})},
				route.Route{Pattern: "POST /api/desktop/scripts/run", Who: route.Caller, Handle: p.desktopRun, Doc: reference("Run one of your notification scripts now", route.Doc{Body: scriptBody{"metric_report.py"}, Answer: doneMessage{}, Fails: []int{500},
					Text: "What it tells comes as an alert. A fault of the script itself answers 500."})})
		}
	}
	return out
}

type scriptsView struct {
	Off     string
	Scripts []scriptView
}

type scriptView struct {
	store.Script
	Quiet string // until when its cool-down lasts
}

// scriptsOf is the section of the alerts page; nil when the person has no script.
func (p *Portal) scriptsOf(ctx context.Context, me store.User) (*scriptsView, error) {
	if p.o.Scripts == nil {
		return nil, nil
	}
	list, err := p.o.Scripts.List(ctx, me)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	v := &scriptsView{Off: sentence(p.o.Scripts.Off())}
	for _, x := range list {
		row := scriptView{Script: x}
		if until := x.MutedUntil(); until.After(p.now()) {
			row.Quiet = until.UTC().Format("2006-01-02 15:04 MST")
		}
		v.Scripts = append(v.Scripts, row)
	}
	return v, nil
}

// scriptWait is how long an answer may wait for a script: its time, and the wait for a place.
const scriptWait = 3 * time.Minute

// runNow runs a script of the caller, at a bounded pace.
func (p *Portal) runNow(w http.ResponseWriter, r *http.Request, name string) (told bool, err error) {
	me := visitorFrom(r).User
	if p.o.Scripts == nil {
		return false, &store.Error{Code: store.Conflict, Message: "scripts do not run here", Hint: "ask an admin"}
	}
	if name == "" {
		return false, &store.Error{Code: store.Invalid, Message: "the name of the script is missing", Hint: `send {"name":"metric_report.py"}`}
	}
	if err := p.Limit(r.Context(), store.Limit{Name: "script " + me.Name, Burst: 10, Every: 10 * time.Second}); err != nil {
		return false, err
	}
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(scriptWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), scriptWait-10*time.Second)
	defer cancel()
	told, err = p.o.Scripts.Now(ctx, me, name)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &store.Error{Code: store.Conflict, Message: "the script did not come to its turn, as others run", Hint: "try again in a while"}
	}
	return told, err
}

func (p *Portal) runScript(w http.ResponseWriter, r *http.Request) error {
	name := r.PostFormValue("name")
	told, err := p.runNow(w, r, name)
	switch {
	case store.CodeOf(err) != "":
		return p.showAlerts(w, r, http.StatusBadRequest, name+": "+sentence(err.Error()))
	case err != nil:
		return err
	case !told:
		return p.done(w, r, "/alerts", "%s ran and has nothing to tell.", name)
	}
	return p.done(w, r, "/alerts", "%s ran. What it tells is below.", name)
}

// desktopScript is a script as the desktop app knows it.
type desktopScript struct {
	Name    string  `json:"name"`
	Stem    string  `json:"stem"`
	LastRun *string `json:"last_run"` // "5m ago"; when it was sent last, as ever
	Error   string  `json:"error,omitempty"`
}

func (p *Portal) desktopScripts(w http.ResponseWriter, r *http.Request) error {
	out := []desktopScript{}
	if p.o.Scripts != nil {
		list, err := p.o.Scripts.List(r.Context(), visitorFrom(r).User)
		if err != nil {
			return err
		}
		for _, x := range list {
			d := desktopScript{Name: x.Name, Stem: x.Name[:len(x.Name)-len(".py")], Error: x.Error}
			if !x.SentAt.IsZero() {
				text := brief(p.now().Sub(x.SentAt)) + " ago"
				d.LastRun = &text
			}
			out = append(out, d)
		}
	}
	return p.JSON(w, http.StatusOK, out)
}

// brief is a span as the largest whole unit: 5m, 3h, 2d.
func brief(d time.Duration) string {
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d >= u.d {
			return strconv.Itoa(int(d/u.d)) + u.name
		}
	}
	return strconv.Itoa(max(0, int(d/time.Second))) + "s"
}

type scriptBody struct {
	Name string `json:"name"`
}

// desktopRun answers when the script is done; what it tells comes over the WebSocket.
func (p *Portal) desktopRun(w http.ResponseWriter, r *http.Request) error {
	var body scriptBody
	err := json.NewDecoder(r.Body).Decode(&body)
	if err != nil {
		err = &store.Error{Code: store.Invalid, Message: "the body is not JSON", Hint: `send {"name":"metric_report.py"}`}
	} else {
		_, err = p.runNow(w, r, body.Name)
	}
	if store.CodeOf(err) == store.Invalid && body.Name != "" { // the script's own fault, as the desktop app has known it
		return p.JSON(w, http.StatusInternalServerError, problemView{Error: sentence(err.Error()), RequestID: requestID(r)})
	}
	return p.answer(w, r, err, "The script ran")
}
