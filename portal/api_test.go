package portal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

// program is a client with a token of somebody.
func (p *place) program(u store.User, scopes ...string) *browser {
	p.t.Helper()
	secret := auth.NewSecret()
	if _, err := p.store.AddToken(p.t.Context(), "test", secret, store.Token{Kind: store.APIToken, UserID: u.ID, Name: "test", Scopes: scopes, ExpiresAt: p.clock.now().Add(time.Hour)}); err != nil {
		p.t.Fatal(err)
	}
	b := p.browser()
	b.header.Set("Authorization", "Bearer "+secret)
	return b
}

func (b *browser) json(method, path string, body any) answer {
	b.p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return b.do(b.request(method, path, bytes.NewReader(text)))
}

func TestWhoIsNobodyIsToldSoInJSON(t *testing.T) {
	p := open(t, setup{desktop: true, change: func(o *portal.Options) { o.Tables = onPaper() }})
	stranger, guesser := p.browser(), p.browser()
	guesser.header.Set("Authorization", "Bearer aida_"+auth.NewSecret())
	for _, rt := range p.portal.Routes() {
		if rt.Doc == nil || rt.Who == route.Anyone || rt.Who == route.Own {
			continue
		}
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path = strings.NewReplacer("{", "", "}", "", "...", "").Replace(path)
		for name, b := range map[string]*browser{"a stranger": stranger, "a made-up token": guesser} {
			if err := p.store.Forgive(t.Context(), "token addr 127.0.0.1"); err != nil {
				t.Fatal(err)
			}
			a := b.json(method, path, map[string]string{})
			var v struct{ Error, Hint, Request_ID string }
			if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.StatusCode != http.StatusUnauthorized || v.Error == "" || v.Request_ID == "" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s as %s: %s %q %.200s", method, path, name, a.Status, a.Header.Get("WWW-Authenticate"), a.body)
			}
		}
	}
}

func TestATokenEndsWithItsTimeItsRevocationAndItsPerson(t *testing.T) {
	p := open(t, setup{})
	ada, eva := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}), p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	admin, b := p.as(ada), p.as(eva)
	page := b.post("/account/tokens", url.Values{"name": {"nightly"}, "days": {"2"}, "scope": {"read"}})
	i := strings.Index(page.body, "aida_")
	if i < 0 {
		t.Fatal(page.body)
	}
	program := p.browser()
	program.header.Set("Authorization", "Bearer "+page.body[i:i+len("aida_")+43])
	wants(t, program.get("/api/v1/account"), http.StatusOK, `"name":"eva"`, `"scopes":["read"]`)
	wants(t, program.json("PATCH", "/api/v1/account", map[string]string{"full_name": "E"}), http.StatusForbidden, "lacks the scope write")
	wants(t, program.get("/api/v1/people"), http.StatusForbidden, "lacks the scope admin")
	if again := b.get("/account"); strings.Contains(again.body, page.body[i:i+20]) {
		t.Error("the secret is shown again")
	} else {
		wants(t, again, http.StatusOK, "nightly", "used <time")
	}
	wants(t, admin.get("/admin/people/eva"), http.StatusOK, "nightly", "Remove this token")
	list, err := p.store.Tokens(t.Context(), store.APIToken, eva.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a := admin.post("/admin/people/eva/tokens/revoke", url.Values{"id": {fmt.Sprint(list[0].ID)}}); a.StatusCode != http.StatusSeeOther {
		t.Error(a.Status)
	}
	wants(t, program.get("/api/v1/account"), http.StatusUnauthorized, "not valid")

	program = p.program(eva, "read")
	p.clock.on(61 * time.Minute)
	wants(t, program.get("/api/v1/account"), http.StatusUnauthorized)
	program = p.program(eva, "read")
	wants(t, program.get("/api/v1/account"), http.StatusOK)
	if err := p.store.Suspend(t.Context(), "test", "eva", true); err != nil {
		t.Fatal(err)
	}
	wants(t, program.get("/api/v1/account"), http.StatusUnauthorized)
}

func TestListsGiveEachEntryOnceOverTheirPages(t *testing.T) {
	p := open(t, setup{})
	company(t, p)
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	for i := range 7 {
		p.addUser(store.NewUser{Name: fmt.Sprintf("p.%d-x", i)})
		if err := p.store.AddGroup(t.Context(), "test", fmt.Sprintf("group%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	program := p.program(ada, "admin", "read")
	for path, param := range map[string]string{"people": "after", "groups": "after", "tables": "after", "audit": "before", "runs": "before", "generations": "before"} {
		field := map[string]string{"audit": "entries"}[path]
		if field == "" {
			field = path
		}
		read := func(query string) (items []string, next string) {
			t.Helper()
			var v map[string]json.RawMessage
			a := program.get("/api/v1/" + path + query)
			if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.StatusCode != http.StatusOK {
				t.Fatal(path, query, a.Status, a.body)
			}
			var list []json.RawMessage
			if err := json.Unmarshal(v[field], &list); err != nil {
				t.Fatal(path, err)
			}
			for _, x := range list {
				items = append(items, string(x))
			}
			return items, strings.Trim(string(v["next"]), `"`)
		}
		all, _ := read("?limit=1000")
		var got []string
		query := "?limit=2"
		for range 100 {
			items, next := read(query)
			got = append(got, items...)
			if next == "" {
				break
			}
			query = "?limit=2&" + param + "=" + url.QueryEscape(next)
		}
		if len(all) == 0 || !slices.Equal(got, all) {
			t.Errorf("%s: %d entries over pages, %d at once", path, len(got), len(all))
		}
		for _, bad := range []string{"?limit=-1", "?limit=1001", "?limit=x"} {
			wants(t, program.get("/api/v1/"+path+bad), http.StatusBadRequest, "limit")
		}
	}
	wants(t, program.get("/api/v1/audit?before=x"), http.StatusBadRequest, "before")
}

func TestBodiesThatAreNotUnderstoodAreRefusedInOneSentence(t *testing.T) {
	p := open(t, setup{})
	company(t, p)
	program := p.program(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}), "admin", "read", "write")
	for _, body := range []string{"", "{", "[]", `"x"`, `{"email": 7}`, `{"emial": "a@example.com"}`, `{"email": "a@example.com"} {}`, strings.Repeat("[", 100000), `{"email": "` + strings.Repeat("a", 300<<10) + `"}`, "\x00"} {
		r := program.request("POST", "/api/v1/people", strings.NewReader(body))
		a := program.do(r)
		if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, `"error"`) || strings.Contains(a.body, "main.") || strings.Contains(a.body, "Go ") {
			t.Errorf("%.40q: %s %.300s", body, a.Status, a.body)
		}
	}
	wants(t, program.json("POST", "/api/v1/runs", map[string]any{"tables": []string{"nothing"}}), http.StatusConflict, "aida sync") // nothing starts syncs in this place
	wants(t, program.json("PATCH", "/api/v1/subscriptions", map[string]any{"datasets": map[string]bool{"hr": true}}), http.StatusBadRequest, "does not exist")
	wants(t, program.json("PATCH", "/api/v1/subscriptions", map[string]any{"table_mode": "some"}), http.StatusBadRequest, "Use all or explicit")
}

func TestOtherSitesCannotUseASessionForTheAPI(t *testing.T) {
	p := open(t, setup{})
	company(t, p)
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	b := p.as(ada)
	for _, rt := range p.portal.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if method == "GET" || method == "" || path == "" || !strings.HasPrefix(path, "/api/") {
			continue
		}
		path = strings.NewReplacer("{", "", "}", "", "...", "").Replace(path)
		r := b.request(method, path, strings.NewReader("{}"))
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
		if a := b.do(r); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "came from another site") {
			t.Errorf("%s: %s %.200s", rt.Pattern, a.Status, a.body)
		}
	}
	// A link to the old address of signing out ends nothing.
	r := b.request("GET", "/logout", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	wants(t, b.do(r), http.StatusOK, "You are signed in as", `action="/logout"`)
	if !b.signedIn() {
		t.Error("a link signed the person out")
	}
	if a := p.browser().get("/logout"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login" {
		t.Errorf("%s to %s", a.Status, a.Header.Get("Location"))
	}
}

func TestTooManyAttemptsAreToldWhenToComeAgain(t *testing.T) {
	p := open(t, setup{desktop: true})
	app := p.browser()
	for range 40 {
		a := app.refresh("nothing")
		if a.StatusCode == http.StatusTooManyRequests {
			if after := a.Header.Get("Retry-After"); after == "" || after == "0" {
				t.Errorf("Retry-After: %q", after)
			}
			wants(t, a, http.StatusTooManyRequests, `"error":"Too many attempts"`, "request_id")
			return
		}
	}
	t.Error("guesses are not limited")
}

func TestWhoGuessesTokensIsSlowedAndNobodyElse(t *testing.T) {
	p := open(t, setup{})
	program, guesser := p.program(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}), "read"), p.browser()
	for i := range 200 {
		guesser.header.Set("Authorization", "Bearer aida_"+auth.NewSecret())
		a := guesser.get("/api/v1/account")
		if a.StatusCode == http.StatusTooManyRequests {
			if i < 50 || a.Header.Get("Retry-After") == "" {
				t.Errorf("after %d guesses, Retry-After %q", i, a.Header.Get("Retry-After"))
			}
			wants(t, program.get("/api/v1/account"), http.StatusOK, "eva")
			return
		}
	}
	t.Error("guesses are not limited")
}

func TestHostileTextsAreTextInTheNewPagesAndTheAPI(t *testing.T) {
	p := open(t, setup{})
	ctx := t.Context()
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	var tables []store.Table
	for i, text := range hostile {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "/", "|"), "\x00", "")
		tables = append(tables, store.Table{SourceID: fmt.Sprint(i), Name: text, Folder: "hr", Dataset: "hr", Definition: store.Definition{Description: text, Columns: []store.ColumnDoc{{Name: text, Description: text}}}})
	}
	if err := p.store.SetCatalog(ctx, []store.Dataset{{Name: "hr", Access: store.RestrictedAccess, Label: hostile[0], Description: hostile[1]}}, tables); err != nil {
		t.Fatal(err)
	}
	if err := p.store.AddGroup(ctx, "test", "finance"); err != nil {
		t.Fatal(err)
	}
	all, err := p.store.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, program := p.as(ada), p.program(ada, "read", "write", "admin")
	for i, table := range all {
		if err := p.store.SaveProfile(ctx, table.ID, "k", &store.Profile{Columns: []store.ColumnProfile{{Name: table.Name, Type: "VARCHAR", SampleValues: []string{table.Name}, Texts: &store.TextStats{TopValues: []store.TopValue{{Value: hostile[i%len(hostile)], Count: 2}}}}},
			SampleRows: []map[string]any{{table.Name: hostile[i%len(hostile)]}}}, nil); err != nil {
			t.Fatal(err)
		}
		grant := url.Values{"table": {table.FullName()}}
		for _, to := range []string{"/admin/people/eva/grant", "/admin/groups/finance/grant"} {
			if a := b.post(to, grant); a.StatusCode != http.StatusSeeOther {
				t.Errorf("%s %s: %s", to, table.FullName(), a.Status)
			}
		}
		for _, path := range []string{"/catalog/" + url.PathEscape(table.FullName()), "/admin/people/eva", "/admin/groups/finance", "/admin/people", "/api", "/logout", "/catalog", "/admin/audit"} {
			a := b.get(path)
			if a.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, a.Status)
			}
			for _, bad := range dangers(a.body) {
				t.Errorf("%s holds %s for %q", path, bad, table.Name)
			}
		}
		for _, path := range []string{"/api/v1/tables/" + url.PathEscape(table.FullName()), "/api/v1/people/eva/access/" + url.PathEscape(table.FullName()), "/api/v1/tables/" + url.PathEscape(hostile[i%len(hostile)]), "/api/v1/find?q=" + url.QueryEscape(table.Name)} {
			a := program.get(path)
			if a.Header.Get("Content-Type") != "application/json; charset=utf-8" || strings.Contains(a.body, "<") || !json.Valid([]byte(a.body)) {
				t.Errorf("%s: %s %s %.200s", path, a.Status, a.Header.Get("Content-Type"), a.body)
			}
		}
	}
}

// What a person reads of a dataset by single tables is all that any door tells them of it.
func TestAGrantOnATableTellsNothingOfTheOthers(t *testing.T) {
	p := open(t, setup{})
	ctx := t.Context()
	if err := p.store.SetCatalog(ctx, []store.Dataset{{Name: "hr", Access: store.RestrictedAccess, Label: "People", Optional: true}}, []store.Table{
		{SourceID: "1", Name: "leave", Folder: "hr", Dataset: "hr", Definition: store.Definition{Description: "Days off", ForeignKeys: []store.ForeignKey{{Column: "x", References: "payroll.id"}}}},
		{SourceID: "2", Name: "payroll", Folder: "hr", Dataset: "hr", Definition: store.Definition{Description: "Wages", Columns: []store.ColumnDoc{{Name: "bonus"}}}}}); err != nil {
		t.Fatal(err)
	}
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	b, program := p.as(eva), p.program(eva, "read", "write")
	admin := p.as(p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin}))
	doors := []string{"/", "/catalog", "/find?q=hr", "/find?q=payroll", "/find?q=bonus", "/metrics", "/alerts", "/account", "/api/v1/home", "/api/v1/catalog", "/api/v1/tables", "/api/v1/find?q=hr", "/api/v1/subscriptions", "/api/sync-settings"}
	look := func(b *browser, want, never string) {
		t.Helper()
		found := false
		for _, path := range doors {
			a := b.get(path)
			body := a.body
			found = found || strings.Contains(body, want)
			if strings.Contains(body, never) || strings.Contains(body, "Wages") {
				t.Errorf("%s tells of %s:\n%.400s", path, never, body)
			}
		}
		if !found {
			t.Errorf("%s is nowhere", want)
		}
	}
	if a := b.get("/catalog"); strings.Contains(a.body, "People") || strings.Contains(a.body, "hr.leave") {
		t.Error("a dataset without a grant is shown")
	}
	if a := admin.post("/admin/people/eva/grant", url.Values{"table": {"hr.leave"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status)
	}
	wants(t, admin.get("/admin/people/eva"), http.StatusOK, "1 of 2 tables by grant", "in part", "hr.leave", "Take back")
	wants(t, program.json("PATCH", "/api/v1/subscriptions", map[string]any{"datasets": map[string]bool{"hr": true}}), http.StatusOK)
	look(b, "hr.leave", "hr.payroll")
	look(program, "hr.leave", "hr.payroll")
	wants(t, program.get("/api/v1/tables/hr.leave"), http.StatusOK, "Days off")
	wants(t, program.get("/api/v1/tables/hr.payroll"), http.StatusNotFound)
	wants(t, program.get("/api/catalog/profile/payroll"), http.StatusNotFound)
	wants(t, program.get("/api/v1/catalog"), http.StatusOK, `"tables":1`)
	if a := admin.post("/admin/people/eva/revoke", url.Values{"table": {"hr.leave"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status)
	}
	wants(t, program.get("/api/v1/tables/hr.leave"), http.StatusNotFound)
}

func TestFilesForEverybodyAreDownloadedByTheirNameAlone(t *testing.T) {
	dir := t.TempDir()
	downloads := filepath.Join(dir, "downloads")
	if err := os.MkdirAll(downloads, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"downloads/app-1.2.zip": "zip", "secret.zip": "secret", "downloads/notes.txt": "notes"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret.zip"), filepath.Join(downloads, "link.zip")); err != nil {
		t.Fatal(err)
	}
	p := open(t, setup{change: func(o *portal.Options) { o.Downloads = downloads }})
	b := p.as(p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"}))
	a := b.get("/download/app-1.2.zip")
	wants(t, a, http.StatusOK, "zip")
	if a.Header.Get("Content-Disposition") != `attachment; filename="app-1.2.zip"` {
		t.Error(a.Header)
	}
	for _, name := range []string{"secret.zip", "..%2fsecret.zip", "notes.txt", "link.zip", "none.zip", "app-1.2.zip%00"} {
		if a := b.get("/download/" + name); a.StatusCode != http.StatusNotFound || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %s %.100s", name, a.Status, a.body)
		}
	}
	if a := p.browser().get("/download/app-1.2.zip"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a stranger: %s", a.Status)
	}
}
