package portal_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aida/portal"
	"aida/portal/auth"
	"aida/store"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// api is the API of a place, held against its own description: each answer that passes here is one that the description allows.
type api struct {
	p     *place
	doc   map[string]any
	check *jsonschema.Compiler
	seen  map[string]bool // method, path and status of what was answered
}

const docURL = "https://data.example.com/openapi.json"

func (p *place) api() *api {
	p.t.Helper()
	a := p.browser().get("/api/openapi.json")
	wants(p.t, a, http.StatusOK, `"openapi": "3.1.0"`)
	parse := func(text string) map[string]any {
		p.t.Helper()
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			p.t.Fatal(err)
		}
		doc, ok := v.(map[string]any)
		if !ok {
			p.t.Fatalf("%T", v)
		}
		return doc
	}
	text, err := os.ReadFile("testdata/openapi-3.1.schema.json") // as the OpenAPI Initiative publishes it
	if err != nil {
		p.t.Fatal(err)
	}
	standard, c := parse(string(text)), jsonschema.NewCompiler()
	if err := c.AddResource("openapi", standard); err != nil {
		p.t.Fatal(err)
	}
	schema, err := c.Compile("openapi")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := schema.Validate(parse(a.body)); err != nil {
		p.t.Errorf("the document is not OpenAPI 3.1: %#v", err)
	}
	out := &api{p, parse(exact(p.t, a.body)), jsonschema.NewCompiler(), map[string]bool{}}
	out.check.AssertFormat()
	if err := out.check.AddResource(docURL, out.doc); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// at walks into the document.
func (a *api) at(keys ...string) map[string]any {
	v := a.doc
	for _, k := range keys {
		v, _ = v[k].(map[string]any)
	}
	return v
}

// described holds an answer against what its operation says.
func (a *api) described(method, path string, out answer) string {
	template := wildcards.ReplaceAllString(a.template(method, path), "}")
	op := a.at("paths", template, strings.ToLower(method))
	if op == nil {
		return "there is no such operation"
	}
	status := strconv.Itoa(out.StatusCode)
	where := []string{"paths", template, strings.ToLower(method), "responses", status}
	response := a.at(where...)
	if response == nil {
		return "this status is not described"
	}
	if ref, _ := response["$ref"].(string); ref != "" {
		where = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		response = a.at(where...)
	}
	media, _, _ := strings.Cut(out.Header.Get("Content-Type"), ";")
	content, _ := response["content"].(map[string]any)
	if content[media] == nil {
		return "the type " + media + " is not described"
	}
	if media != "application/json" {
		return ""
	}
	pointer := ""
	for _, k := range append(where, "content", media, "schema") {
		pointer += "/" + url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1"))
	}
	schema, err := a.check.Compile(docURL + "#" + pointer)
	if err != nil {
		return err.Error()
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(out.body))
	if err != nil {
		return err.Error()
	}
	if err := schema.Validate(v); err != nil {
		return err.Error()
	}
	return ""
}

var wildcards = regexp.MustCompile(`\.\.\.\}`)

// exact closes every object of the document, so that a field which the description leaves out does not pass.
func exact(t *testing.T, text string) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
				v["additionalProperties"] = false
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc["components"])
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// call sends a request and holds the answer against the description.
func (a *api) call(b *browser, method, path string, body any, status int) answer {
	a.p.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			a.p.t.Fatal(err)
		}
		if raw, ok := body.(string); ok {
			text = []byte(raw)
		}
	}
	r := b.request(method, path, bytes.NewReader(text))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	out := b.do(r)
	if out.StatusCode != status {
		a.p.t.Errorf("%s %s: %s, want %d\n%.600s", method, path, out.Status, status, out.body)
	}
	if wrong := a.described(method, path, out); wrong != "" {
		a.p.t.Errorf("%s %s answers %d, which is not as described: %s\n%.600s", method, path, out.StatusCode, wrong, out.body)
	}
	a.seen[method+" "+a.template(method, path)+" "+strconv.Itoa(out.StatusCode)] = true
	return out
}

// template finds the route of a path.
func (a *api) template(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	have := strings.Split(path, "/")
	best, score := "", -1
	for _, rt := range a.p.portal.Routes() {
		m, pattern, _ := strings.Cut(rt.Pattern, " ")
		want := strings.Split(pattern, "/")
		if m != method || rt.Doc == nil || len(want) > len(have) || len(want) < len(have) && !strings.Contains(pattern, "...") {
			continue
		}
		fits, same := true, 0
		for i, w := range want {
			if w == have[i] {
				same++
			} else if !strings.HasPrefix(w, "{") {
				fits = false
			}
		}
		if fits && same > score {
			best, score = pattern, same
		}
	}
	return best
}

type starts struct{ tables [][]string }

func (s *starts) Start(tables []string, _ string) error {
	s.tables = append(s.tables, tables)
	return nil
}

func number(v float64) *float64 { return &v }

// company fills a place with one of everything that the API tells of.
func company(t *testing.T, p *place) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.store.SetCatalog(ctx, []store.Dataset{{Name: "sales", Access: store.OpenAccess}, {Name: "hr", Access: store.RestrictedAccess, Label: "People"}, {Name: "jira", Access: store.OpenAccess, Optional: true, SizeHint: "50 MB"}},
		[]store.Table{
			{SourceID: "s.orders", Name: "orders", Folder: "sales", Dataset: "sales", Definition: store.Definition{Description: "Orders", PrimaryKey: []string{"id"}, SyncStrategy: "full_refresh",
				Columns: []store.ColumnDoc{{Name: "id", Description: "number"}}, ForeignKeys: []store.ForeignKey{{Column: "who", References: "pay.id"}}}},
			{SourceID: "h.pay", Name: "pay", Folder: "hr", Dataset: "hr"}, {SourceID: "j.issues", Name: "issues", Folder: "jira", Dataset: "jira"},
		}))
	orders, err := p.store.TableByName(ctx, "sales.orders")
	must(err)
	run, err := p.store.StartRun(ctx, "test", "test")
	must(err)
	var last int64
	for _, hash := range []string{"aa", "bb"} {
		last, _, err = p.store.Publish(ctx, run, "", []store.Change{{TableID: orders.ID, DataTime: time.Now(), Files: []store.File{{Logical: "sales/orders.parquet", Physical: "x/" + hash, Size: 10, Rows: 2, Hash: hash, ModTime: time.Now(), Schema: []store.Column{{Name: "id", Type: "BIGINT"}}}}}})
		must(err)
	}
	_, err = p.store.FinishRun(ctx, run, []store.RunTable{{RunID: run, TableID: orders.ID, Outcome: store.Changed, Rows: 2, Generation: last, StartedAt: time.Now(), Duration: time.Second, Warnings: []string{"w"},
		Schema: []store.SchemaChange{{Change: "added", Column: "id", To: "BIGINT", Sample: map[string]string{"id": "1"}}}}}, false)
	must(err)
	rows := int64(0)
	must(p.store.SaveProfile(ctx, orders.ID, "k", &store.Profile{RowCount: 2, ColumnCount: 1, DuplicateRows: &rows, VariableTypes: map[string]int{"NUMERIC": 1}, Alerts: []store.ProfileAlert{{Column: "id", Type: "unique", Message: "m"}},
		Columns:       []store.ColumnProfile{{Name: "id", Type: "BIGINT", Category: "NUMERIC", SampleValues: []string{"1"}, Alerts: []string{}, Numbers: &store.NumberStats{Min: "1", Max: "2", Mean: number(1.5), Histogram: &store.Histogram{Bins: []string{"1-2"}, Counts: []int64{2}}}}},
		UsedByMetrics: []store.MetricUse{}, SampleRows: []map[string]any{{"id": "1"}}}, nil))
	must(p.store.SetMetrics(ctx, []store.Metric{{Path: "revenue/mrr.yml", Name: "mrr", DisplayName: "MRR", Category: "revenue", Table: "orders", Text: "name: mrr", Notes: []string{"n"}, SQL: []store.MetricSQL{{Key: "sql", Query: "SELECT 1 FROM orders"}},
		Validation: &store.MetricValidation{Method: "by hand", Result: "100%"}}}))
}

func TestEachOperationAnswersAsItIsDescribed(t *testing.T) {
	images, downloads := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "a.png"), []byte("\x89PNG\r\n\x1a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	syncs := &starts{}
	p := open(t, setup{desktop: true, change: func(o *portal.Options) {
		o.Syncs, o.Alerting, o.Downloads = syncs, portal.Alerting{Telegram: "bot", Images: images}, downloads
		o.Tables = onPaper()
		o.Settings = func() portal.Settings {
			return portal.Settings{List: []portal.Setting{{Key: "desktop.jwt_secret", Value: "set", Secret: true, Origin: ".env"}, {Key: "listen.http", Value: ":8080", Origin: "default", Next: ":80"}}}
		}
	}})
	company(t, p)
	ctx := t.Context()
	ada := p.addUser(store.NewUser{Name: "ada", Email: "ada@example.com", Role: store.Admin})
	eva := p.addUser(store.NewUser{Name: "eva", Email: "eva@example.com"})
	key, err := p.store.AddKey(ctx, "test", "ada", evaKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := auth.NewSecret()
	if _, err := p.store.AddToken(ctx, "test", secret, store.Token{Kind: store.APIToken, UserID: ada.ID, Name: "all", Scopes: []string{"read", "write", "admin"}, ExpiresAt: p.clock.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := p.store.LinkChannel(ctx, "test", ada.ID, "telegram", "1"); err != nil {
		t.Fatal(err)
	}
	alert, err := p.store.RaiseAlert(ctx, store.Raise{Source: "system", Dedupe: "x", Title: "T", Message: "M", Image: "a.png", To: store.Audience{Admins: true}})
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := p.store.ClaimDeliveries(ctx, "telegram", 1)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	if err := p.store.FinishDelivery(ctx, claimed[0].ID, store.Dead, time.Time{}, "gone"); err != nil {
		t.Fatal(err)
	}
	a := p.api()
	signedIn, program := p.as(ada), p.browser()
	program.header.Set("Authorization", "Bearer "+secret)
	get := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			a.call(program, "GET", path, nil, http.StatusOK)
		}
	}
	idOf := func(ans answer, field string) string {
		t.Helper()
		var v map[string]any
		if err := json.Unmarshal([]byte(ans.body), &v); err != nil {
			t.Fatal(err)
		}
		n, _ := v[field].(float64)
		return strconv.Itoa(int(n))
	}

	get("/health", "/api/openapi.json", "/api/v1/home", "/api/v1/catalog", "/api/v1/tables", "/api/v1/tables?q=orders&limit=1", "/api/v1/tables/sales.orders", "/api/v1/tables/sales.orders/profile", "/api/v1/find?q=orders",
		"/api/v1/metrics", "/api/v1/metrics/revenue/mrr", "/api/metrics/revenue/mrr.yml", "/api/v1/runs", "/api/v1/runs/1", "/api/v1/generations?limit=1", "/api/v1/generations/2", "/api/v1/audit?limit=2&q=add", "/api/v1/health",
		"/api/v1/alerts", "/api/v1/rules", "/api/desktop/scripts", "/api/notifications/images/a.png", "/api/v1/deliveries?state=dead", "/api/v1/account", "/api/v1/account/keys", "/api/v1/account/sessions", "/api/v1/account/tokens", "/api/v1/account/devices", "/api/v1/connect",
		"/api/v1/subscriptions", "/api/telegram/status", "/api/catalog/profile/orders", "/api/sync-settings", "/api/table-subscriptions", "/api/v1/people?limit=1", "/api/v1/people/ada", "/api/v1/people/eva/access", "/api/v1/people/eva/access/hr.pay")

	a.call(program, "PATCH", "/api/v1/account", map[string]any{"full_name": "Ada L"}, http.StatusOK)
	a.call(program, "POST", "/api/v1/alerts/read", map[string]any{"up_to": alert.ID}, http.StatusOK)
	a.call(program, "POST", "/api/v1/deliveries/"+strconv.FormatInt(claimed[0].ID, 10)+"/retry", nil, http.StatusOK)
	a.call(program, "POST", "/api/v1/runs", map[string]any{"tables": []string{"orders"}}, http.StatusAccepted)
	if len(syncs.tables) != 1 || !slices.Equal(syncs.tables[0], []string{"sales.orders"}) {
		t.Errorf("syncs that were started: %v", syncs.tables)
	}
	a.call(program, "POST", "/api/v1/health", nil, http.StatusOK)
	a.call(program, "POST", "/api/v1/tables/sales.orders/pause", nil, http.StatusOK)
	a.call(program, "POST", "/api/v1/tables/sales.orders/resume", nil, http.StatusOK)
	a.call(program, "PUT", "/api/v1/tables/sales.orders/watch", nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/tables/sales.orders/watch", nil, http.StatusOK)
	a.call(program, "POST", "/api/v1/generations/1/rollback", nil, http.StatusCreated)
	a.call(program, "POST", "/api/v1/generations/99/rollback", nil, http.StatusNotFound)
	a.call(program, "PATCH", "/api/v1/subscriptions", map[string]any{"datasets": map[string]bool{"jira": true}, "table_mode": "explicit", "tables": map[string]bool{"orders": true}}, http.StatusOK)
	a.call(program, "POST", "/api/sync-settings", map[string]any{"datasets": map[string]bool{"jira": false}}, http.StatusOK)
	a.call(program, "POST", "/api/table-subscriptions", map[string]any{"table_mode": "all", "tables": map[string]bool{}}, http.StatusOK)
	a.call(program, "GET", "/api/catalog/metrics/x", nil, http.StatusServiceUnavailable)
	a.call(program, "GET", "/api/v1/files/server", nil, http.StatusNotFound) // this place has no tree; app's scripts download from one

	// What is declared of tables.
	get("/api/v1/declarations", "/api/v1/declarations?q=orders&limit=1", "/api/v1/declarations/s.orders", "/api/v1/declarations/sales.orders", "/api/v1/discover", "/api/admin/discover-tables", "/api/admin/registry")
	wants(t, a.call(program, "GET", "/api/v1/settings", nil, http.StatusOK), http.StatusOK, `"value":"set","secret":true`, `"next":":80"`)
	a.call(program, "GET", "/api/v1/declarations/nothing", nil, http.StatusNotFound)
	every := map[string]any{"schedule": "every 6h"}
	wants(t, a.call(program, "PATCH", "/api/v1/declarations/sales.orders?dry_run=true", every, http.StatusOK), http.StatusOK, `"saved":false`, `"version":"1"`, "every 6h")
	wants(t, a.call(program, "PATCH", "/api/v1/declarations/sales.orders", every, http.StatusOK), http.StatusOK, `"saved":true`, `"version":"2"`)
	a.call(program, "PATCH", "/api/v1/declarations/sales.orders", map[string]any{"version": "1", "dataset": "hr"}, http.StatusConflict)
	a.call(program, "PATCH", "/api/v1/declarations/sales.orders", map[string]any{"name": "other"}, http.StatusBadRequest)
	a.call(program, "PATCH", "/api/v1/declarations/sales.orders?dry_run=perhaps", every, http.StatusBadRequest)
	wants(t, a.call(program, "GET", "/api/v1/declarations/s.orders", nil, http.StatusOK), http.StatusOK, `"schedule":"every 6h"`, `"description":"Orders"`)
	a.call(program, "POST", "/api/v1/declarations", map[string]any{"id": "s.orders"}, http.StatusConflict)
	a.call(program, "POST", "/api/v1/declarations", map[string]any{"id": "nothing"}, http.StatusNotFound)
	a.call(program, "POST", "/api/v1/declarations", map[string]any{}, http.StatusBadRequest)
	wants(t, a.call(program, "POST", "/api/v1/declarations", map[string]any{"id": "s.refunds", "version": "2"}, http.StatusOK), http.StatusOK, `"saved":true`, `"version":"3"`)
	a.call(program, "DELETE", "/api/v1/declarations/s.refunds?version=2", nil, http.StatusConflict)
	wants(t, a.call(program, "DELETE", "/api/v1/declarations/s.refunds?version=3", nil, http.StatusOK), http.StatusOK, `"saved":true`, `"version":"4"`)
	a.call(program, "DELETE", "/api/v1/declarations/s.refunds", nil, http.StatusNotFound)
	// The same under the addresses of before, which tell 400 and 409 apart and count versions in numbers.
	number := func(seen string) json.Number { return json.Number(strconv.FormatInt(portal.VersionNumber(seen), 10)) }
	wants(t, a.call(program, "POST", "/api/admin/register-table", map[string]any{"id": "s.refunds", "primary_key": "id, no", "registered_by": "ada", "version": number("4")}, http.StatusOK), http.StatusOK, `{"ok":true,"version":`+string(number("5"))+`}`)
	wants(t, a.call(program, "GET", "/api/admin/registry", nil, http.StatusOK), http.StatusOK, `"ok":true,"version":`+string(number("5")), `"primary_key":["id","no"]`)
	a.call(program, "POST", "/api/admin/register-table", map[string]any{"id": "s.refunds"}, http.StatusBadRequest)
	a.call(program, "POST", "/api/admin/register-table", map[string]any{"id": "nothing"}, http.StatusBadRequest)
	a.call(program, "PUT", "/api/admin/registry/s.refunds", map[string]any{"description": "x", "version": number("4")}, http.StatusConflict)
	a.call(program, "PUT", "/api/admin/registry/s.refunds", map[string]any{"description": "x", "version": "5"}, http.StatusBadRequest)
	a.call(program, "PUT", "/api/admin/registry/nothing", every, http.StatusBadRequest)
	a.call(program, "PUT", "/api/admin/registry/s.refunds", map[string]any{"id": "other"}, http.StatusBadRequest)
	a.call(program, "PUT", "/api/admin/registry/s.refunds", map[string]any{"id": "s.refunds", "description": "Money back", "initial_load_chunk_days": 10, "version": number("5"),
		"foreign_keys": []any{map[string]any{"column": "order_id", "references": "orders.id"}}, "where_filters": []any{map[string]any{"column": "id", "operator": "gt", "values": []string{"0"}}}}, http.StatusOK)
	wants(t, a.call(program, "GET", "/api/admin/registry", nil, http.StatusOK), http.StatusOK, `"foreign_keys":[{"column":"order_id","references":"orders.id"}]`, `"where_filters":[{"column":"id","operator":"gt","values":["0"]}]`, `"initial_load_chunk_days":10`)
	a.call(program, "PUT", "/api/admin/registry/s.refunds", map[string]any{"folder": "money", "name": "back"}, http.StatusOK)
	wants(t, a.call(program, "GET", "/api/v1/declarations/s.refunds", nil, http.StatusOK), http.StatusOK, `"table":"money.back"`, `"order_id"`)
	a.call(program, "DELETE", "/api/admin/registry/s.refunds", map[string]any{"version": number("5")}, http.StatusConflict)
	a.call(program, "DELETE", "/api/admin/registry/s.refunds", nil, http.StatusOK)
	a.call(program, "DELETE", "/api/admin/registry/s.refunds?version=1", nil, http.StatusBadRequest)
	a.call(program, "DELETE", "/api/admin/registry/s.refunds?version=x", nil, http.StatusBadRequest)

	// Ways in that outlive a token are made in a session.
	for path, body := range map[string]any{"/api/v1/account/tokens": map[string]any{"name": "x", "scopes": []string{"read"}, "days": 1}, "/api/v1/account/keys": map[string]any{"key": evaKey}} {
		a.call(program, "POST", path, body, http.StatusUnauthorized)
	}
	made := a.call(signedIn, "POST", "/api/v1/account/tokens", map[string]any{"name": "nightly", "scopes": []string{"read"}, "days": 1}, http.StatusCreated)
	a.call(signedIn, "POST", "/api/v1/account/tokens", map[string]any{"name": "nightly", "scopes": []string{"root"}, "days": 1}, http.StatusBadRequest)
	a.call(program, "DELETE", "/api/v1/account/tokens/"+idOf(made, "id"), nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/account/tokens/"+idOf(made, "id"), nil, http.StatusNotFound)
	a.call(program, "DELETE", "/api/v1/account/keys/"+key.Fingerprint, nil, http.StatusOK)
	a.call(signedIn, "POST", "/api/v1/account/keys", map[string]any{"key": evaKey}, http.StatusCreated)
	a.call(signedIn, "POST", "/api/v1/account/keys", map[string]any{"key": "ssh-rsa AAAA"}, http.StatusBadRequest)
	other := p.as(ada)
	sessions, err := p.store.Sessions(ctx, ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	newest := slices.MaxFunc(sessions, func(x, y store.Session) int { return int(x.ID - y.ID) })
	a.call(program, "DELETE", "/api/v1/account/sessions/"+strconv.FormatInt(newest.ID, 10), nil, http.StatusOK)
	if other.signedIn() {
		t.Error("the session that was ended goes on")
	}

	// People and groups.
	a.call(program, "POST", "/api/v1/people", map[string]any{"email": "Bob@example.com", "full_name": "Bob B"}, http.StatusCreated)
	a.call(program, "POST", "/api/v1/people", map[string]any{"email": "bob@example.com"}, http.StatusConflict)
	a.call(program, "POST", "/api/v1/groups", map[string]any{"name": "finance"}, http.StatusCreated)
	a.call(program, "POST", "/api/v1/groups", map[string]any{"name": "finance"}, http.StatusConflict)
	get("/api/v1/groups", "/api/v1/groups/finance")
	a.call(program, "PUT", "/api/v1/groups/finance/members/eva", nil, http.StatusOK)
	a.call(program, "PUT", "/api/v1/groups/finance/grants/hr.pay", nil, http.StatusOK)
	wants(t, a.call(program, "GET", "/api/v1/people/eva/access/hr.pay", nil, http.StatusOK), http.StatusOK, `"reads":true`, "granted to finance")
	a.call(program, "DELETE", "/api/v1/groups/finance/grants/hr.pay", nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/groups/finance/members/eva", nil, http.StatusOK)
	wants(t, a.call(program, "PUT", "/api/v1/people/eva/grants/hr", nil, http.StatusOK), http.StatusOK, `{"dataset":"hr"}`)
	get("/api/v1/people/eva/access")
	a.call(program, "DELETE", "/api/v1/people/eva/grants/hr", nil, http.StatusOK)
	a.call(program, "PUT", "/api/v1/people/eva/grants/nothing", nil, http.StatusNotFound)
	a.call(program, "PATCH", "/api/v1/people/eva", map[string]any{"role": "private", "groups": []string{"finance"}, "full_name": "Eva"}, http.StatusOK)
	a.call(program, "PATCH", "/api/v1/people/ada", map[string]any{"role": "analyst"}, http.StatusConflict)
	a.call(program, "PATCH", "/api/v1/people/eva", map[string]any{"groups": []string{"nothing"}}, http.StatusNotFound)
	a.call(program, "DELETE", "/api/v1/groups/finance", nil, http.StatusOK)
	evas, err := p.store.AddToken(ctx, "test", auth.NewSecret(), store.Token{Kind: store.APIToken, UserID: eva.ID, Name: "e", Scopes: []string{"read"}, ExpiresAt: p.clock.now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	a.call(program, "DELETE", "/api/v1/people/eva/tokens/"+strconv.FormatInt(evas.ID, 10), nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/people/ada/keys/"+key.Fingerprint, nil, http.StatusOK)
	a.call(program, "POST", "/api/v1/people/eva/signout", nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/people/eva", nil, http.StatusOK)
	a.call(program, "DELETE", "/api/v1/people/ada", nil, http.StatusConflict)

	// The desktop app, and Telegram.
	app := p.browser()
	token := linked(t, signedIn)
	a.call(signedIn, "POST", "/api/desktop/authorize", nil, http.StatusOK)
	app.header.Set("Authorization", "Bearer "+token)
	a.call(app, "POST", "/api/desktop/refresh", nil, http.StatusOK)
	a.call(app, "POST", "/api/desktop/token", map[string]any{"code": "x", "code_verifier": "y"}, http.StatusUnauthorized)
	devices, err := p.store.Tokens(ctx, store.DeviceToken, ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	a.call(program, "DELETE", "/api/v1/account/devices/"+strconv.FormatInt(devices[0].ID, 10), nil, http.StatusOK)
	a.call(signedIn, "POST", "/api/desktop/unlink", nil, http.StatusOK)
	a.call(program, "POST", "/api/desktop/scripts/run", map[string]any{"name": "x.py"}, http.StatusBadRequest) // no script runs in this place
	a.call(program, "POST", "/api/telegram/verify", map[string]any{"code": "000000"}, http.StatusBadRequest)
	a.call(program, "POST", "/api/telegram/unlink", nil, http.StatusOK)

	// Nothing of the description was left out.
	except := map[string]bool{"GET /api/v1/files/{path...}": true, "POST /api/desktop/token": true, "POST /api/telegram/verify": true, "POST /api/desktop/scripts/run": true}
	for _, rt := range p.portal.Routes() {
		_, path, _ := strings.Cut(rt.Pattern, " ")
		if rt.Doc == nil {
			if strings.HasPrefix(path, "/api/") {
				t.Errorf("%s is not described", rt.Pattern)
			}
			continue
		}
		status := rt.Doc.Status
		if status == 0 {
			status = http.StatusOK
		}
		if !except[rt.Pattern] && !a.seen[rt.Pattern+" "+strconv.Itoa(status)] {
			t.Errorf("%s was not tried, or never answered %d; seen: %v", rt.Pattern, status, slices.Sorted(maps.Keys(a.seen)))
		}
	}
}
