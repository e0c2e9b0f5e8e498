package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/store"
)

// scriptList is one person's scripts; revenue.py tells something, broken.py fails.
type scriptList struct {
	owner string
	off   string
	sent  time.Time
}

func (s *scriptList) Off() string { return s.off }

func (s *scriptList) List(_ context.Context, u store.User) ([]store.Script, error) {
	if u.Name != s.owner {
		return nil, nil
	}
	return []store.Script{{Name: "broken.py", RanAt: s.sent, Error: "It ended with the exit code 1: <b>no</b>"}, {Name: "revenue.py", RanAt: s.sent, SentAt: s.sent, Cooldown: 6 * time.Hour}}, nil
}

func (s *scriptList) Now(ctx context.Context, u store.User, name string) (bool, error) {
	list, _ := s.List(ctx, u)
	for _, x := range list {
		if x.Name == name && x.Error != "" {
			return false, &store.Error{Code: store.Invalid, Message: x.Error}
		}
		if x.Name == name {
			return true, nil
		}
	}
	return false, &store.Error{Code: store.NotFound, Message: "there is no script of that name", Hint: "put it into user/notifications/ and sync"}
}

func TestPeopleSeeAndRunTheirOwnScripts(t *testing.T) {
	scripts := &scriptList{owner: "eva"}
	p := open(t, setup{desktop: true, change: func(o *portal.Options) { o.Scripts = scripts }})
	scripts.sent = p.clock.now().Add(-3 * time.Hour)
	eva, bob := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}), p.addUser(store.NewUser{Name: "bob", Email: "bob@example.com"})
	b := p.as(eva)
	wants(t, b.get("/alerts"), http.StatusOK, "Your scripts", "revenue.py", "quiet until", "fails", "exit code 1: &lt;b&gt;no&lt;/b&gt;", "Run now")
	wants(t, b.follow(b.post("/alerts/scripts/run", url.Values{"name": {"revenue.py"}})), http.StatusOK, "revenue.py ran.")
	wants(t, b.post("/alerts/scripts/run", url.Values{"name": {"broken.py"}}), http.StatusBadRequest, "broken.py: It ended with the exit code 1: &lt;b&gt;no&lt;/b&gt;")
	wants(t, b.post("/alerts/scripts/run", url.Values{"name": {"../x.py"}}), http.StatusBadRequest, "There is no script of that name")
	app := p.browser()
	asApp := func(method, path, token string) answer {
		r := app.request(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return app.do(r)
	}
	token := linked(t, b)
	wants(t, asApp("GET", "/api/desktop/scripts", token), http.StatusOK, `{"name":"broken.py","stem":"broken","last_run":null,"error":`, `{"name":"revenue.py","stem":"revenue","last_run":"3h ago"}`)
	wants(t, asApp("GET", "/api/desktop/scripts", token+"x"), http.StatusUnauthorized)

	other := p.as(bob)
	if a := other.get("/alerts"); a.StatusCode != http.StatusOK || strings.Contains(a.body, "Your scripts") {
		t.Errorf("bob sees scripts: %s", a.body)
	}
	wants(t, other.post("/alerts/scripts/run", url.Values{"name": {"revenue.py"}}), http.StatusBadRequest, "There is no script of that name")
	scripts.off = "scripts are switched off here: an admin switches them on with scripts.enabled in instance.yaml"
	if a := b.get("/alerts"); strings.Contains(a.body, "Run now") {
		t.Error("what is off can be run")
	}
	wants(t, b.get("/alerts"), http.StatusOK, "Scripts are switched off here")
}
