package portal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aida/portal/route"
)

func (p *Portal) apiDocRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /api", Who: route.Person, Handle: p.apiPage},
		{Pattern: "GET /api/openapi.json", Who: route.Anyone, Handle: p.openAPIFile, Doc: &route.Doc{Tag: "About", Summary: "This description", Answer: map[string]any{}}},
	}
}

// object is a JSON object of the OpenAPI document; encoding/json writes its keys in order, so that the same routes give the same bytes.
type object = map[string]any

// apiVersion is that of the paths, /api/v1.
const apiVersion = "1"

// document writes the OpenAPI 3.1 document of all routes that describe themselves.
func (p *Portal) document(routes []route.Route) ([]byte, error) {
	types := &schemas{named: object{}, types: map[string]reflect.Type{}}
	problem := types.of(problemView{})
	paths := object{}
	for _, rt := range routes {
		if rt.Doc == nil {
			continue
		}
		method, path := methodOf(rt)
		path = wildcard.ReplaceAllString(path, "{$1}")
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = p.operation(rt, types)
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": cmp.Or(p.o.Instance.Name, "AI Data Analyst") + " API", "version": apiVersion, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Everything that the pages of this place show, as JSON, and every file of your tree. Send a token of the account page as `Authorization: Bearer TOKEN`. " +
				"What you may not see does not exist: it answers 404. Lists come in pages; `next` of one answer is the parameter `before` or `after` of the next request, and is missing at the end."},
		"servers": []any{object{"url": p.public.String()}},
		"tags":    tagsOf(routes),
		"paths":   paths,
		"components": object{
			"schemas": types.named,
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer", "description": "A token of the account page. Scopes: read (all that you read), write (changes of your own things), admin (what admins do; only admins can make one)."},
				"session": object{"type": "apiKey", "in": "cookie", "name": p.cookieName(sessionName), "description": "A browser that is signed in."},
			},
			"responses": object{"Problem": object{"description": "It was not done; error says why, hint what to do.", "content": object{"application/json": object{"schema": problem,
				"example": problemView{"That does not exist", "Table sales.order does not exist. See the list of tables.", "5f2b9c0d11223344"}}}}},
		},
	}, "", " ")
}

// problemView is the one shape of an error.
type problemView struct {
	Error     string `json:"error"`
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

var wildcard = regexp.MustCompile(`\{([A-Za-z]+)\.\.\.\}`)

func methodOf(rt route.Route) (method, path string) {
	method, path, ok := strings.Cut(rt.Pattern, " ")
	if !ok {
		return http.MethodGet, rt.Pattern
	}
	return method, path
}

// tagOrder is that of the page; a tag that is not in it stands before the older addresses.
var tagOrder = []string{"Files", "Data", "Account", "Alerts", "People", "Place", "About"}

func tagRank(tag string) int {
	if i := slices.Index(tagOrder, tag); i >= 0 {
		return i
	}
	if tag == olderTag {
		return len(tagOrder) + 1
	}
	return len(tagOrder)
}

func tagsOf(routes []route.Route) (out []object) {
	seen := map[string]bool{}
	for _, rt := range routes {
		if rt.Doc != nil && !seen[rt.Doc.Tag] {
			seen[rt.Doc.Tag] = true
			out = append(out, object{"name": rt.Doc.Tag})
		}
	}
	return out
}

var pathParam = regexp.MustCompile(`\{([A-Za-z]+)\}`)

func (p *Portal) operation(rt route.Route, types *schemas) object {
	d := rt.Doc
	method, path := methodOf(rt)
	path = wildcard.ReplaceAllString(path, "{$1}")
	op := object{"operationId": operationID(method, path), "summary": d.Summary, "tags": []string{d.Tag}, "responses": p.responses(rt, types)}
	if text := strings.TrimSpace(d.Text + " " + whoText(rt)); text != "" {
		op["description"] = text
	}
	var params []object
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "description": d.Path[m[1]], "schema": object{"type": "string"}})
	}
	for _, q := range d.Query {
		s := object{"type": cmp.Or(q.Type, "string")}
		if q.Type == "integer" {
			s["minimum"] = 0
		}
		if q.Enum != nil {
			s["enum"] = q.Enum
		}
		params = append(params, object{"name": q.Name, "in": "query", "description": q.Text, "schema": s})
	}
	if params != nil {
		op["parameters"] = params
	}
	if d.Body != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": types.of(d.Body), "example": d.Body}}}
	}
	session := object{"session": []string{}}
	switch rt.Who {
	case route.Caller, route.AdminCaller:
		op["security"] = []object{{"token": []string{scopeFor(rt, method)}}, session}
	case route.Person, route.Admin:
		op["security"] = []object{session}
	default:
		op["security"] = []object{}
	}
	return op
}

// whoText says who may call it, beyond what the scope says.
func whoText(rt route.Route) string {
	if rt.Who == route.AdminCaller || rt.Who == route.Admin {
		return "For admins."
	}
	return ""
}

func operationID(method, path string) string {
	words := strings.FieldsFunc(strings.TrimPrefix(path, "/api/v1"), func(r rune) bool { return r == '/' || r == '{' || r == '}' || r == '.' || r == '-' })
	return strings.Join(append([]string{strings.ToLower(method)}, words...), "_")
}

// responses are what an operation answers: its own, and the problems that each of its kind can have.
func (p *Portal) responses(rt route.Route, types *schemas) object {
	d := rt.Doc
	status := cmp.Or(d.Status, http.StatusOK)
	content := object{}
	if d.Answer != nil {
		content["application/json"] = object{"schema": types.of(d.Answer)}
	}
	if d.Media != "" {
		content[d.Media] = object{"schema": object{}}
	}
	good := object{"description": http.StatusText(status)}
	if len(content) > 0 {
		good["content"] = content
	}
	out := object{strconv.Itoa(status): good}
	fails := slices.Clone(d.Fails)
	if rt.Who != route.Anyone {
		fails = append(fails, http.StatusUnauthorized, http.StatusTooManyRequests)
	}
	if rt.Who == route.Caller || rt.Who == route.AdminCaller || rt.Who == route.Person {
		fails = append(fails, http.StatusForbidden)
	}
	if d.Query != nil || d.Body != nil {
		fails = append(fails, http.StatusBadRequest)
	}
	if d.Body != nil {
		fails = append(fails, http.StatusRequestEntityTooLarge)
	}
	for _, status := range fails {
		out[strconv.Itoa(status)] = object{"$ref": "#/components/responses/Problem"}
	}
	if d.Media != "" {
		out["206"] = object{"description": "The ranges that were asked for.", "content": object{d.Media: object{"schema": object{}}}}
		out["304"] = object{"description": "You have it already."}
	}
	if strings.HasSuffix(rt.Pattern, " /api/v1/health") {
		out["503"] = good
	}
	return out
}

// scopeFor is what a token needs for a route.
func scopeFor(rt route.Route, method string) string {
	return scopeOf(rt, &http.Request{Method: method})
}

// openAPIFile serves the document. It holds no secret: it is the same for everybody.
func (p *Portal) openAPIFile(w http.ResponseWriter, r *http.Request) error {
	h := sha256.Sum256(p.spec)
	etag := `"` + hex.EncodeToString(h[:16]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(p.spec)
	return nil
}

type apiGroup struct {
	Tag        string
	Operations []apiOperation
}

type apiOperation struct {
	Method, Path, Summary, Text, Scope, ID string
	Params                                 []route.Param
	Curl                                   string
}

// apiPage shows the same to people, with a command for each operation.
func (p *Portal) apiPage(w http.ResponseWriter, r *http.Request) error {
	admin := visitorFrom(r).User.Role == "admin"
	var groups []apiGroup
	for _, rt := range p.doors {
		if rt.Doc == nil || !admin && (rt.Who == route.AdminCaller || rt.Who == route.Admin) {
			continue
		}
		i := slices.IndexFunc(groups, func(g apiGroup) bool { return g.Tag == rt.Doc.Tag })
		if i < 0 {
			i = len(groups)
			groups = append(groups, apiGroup{Tag: rt.Doc.Tag})
		}
		groups[i].Operations = append(groups[i].Operations, p.apiOperation(rt))
	}
	slices.SortStableFunc(groups, func(x, y apiGroup) int { return tagRank(x.Tag) - tagRank(y.Tag) })
	return p.render(w, r, http.StatusOK, "api", page{Title: "API", Lede: "What programs can ask this place, and how.", Crumbs: []crumb{{"Account", "/account"}},
		Data: map[string]any{"Groups": groups, "URL": p.URL("/api/openapi.json")}})
}

func (p *Portal) apiOperation(rt route.Route) apiOperation {
	method, path := methodOf(rt)
	path = wildcard.ReplaceAllString(path, "{$1}")
	o := apiOperation{Method: method, Path: path, Summary: rt.Doc.Summary, Text: rt.Doc.Text, ID: operationID(method, path)}
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		o.Params = append(o.Params, route.Param{Name: m[1], Text: rt.Doc.Path[m[1]]})
	}
	o.Params = append(o.Params, rt.Doc.Query...)
	switch rt.Who {
	case route.Caller, route.AdminCaller:
		o.Scope = scopeFor(rt, method)
		o.Curl = `curl -fsS -H "Authorization: Bearer $AIDA_TOKEN"`
	case route.Anyone:
		o.Curl = "curl -fsS"
	default:
		return o // of a session or a secret of its own: no command that one could copy
	}
	if method != http.MethodGet {
		o.Curl += " -X " + method
	}
	if rt.Doc.Body != nil {
		if text, err := json.Marshal(rt.Doc.Body); err == nil {
			o.Curl += fmt.Sprintf(" -d '%s'", text)
		}
	}
	o.Curl += " '" + p.URL(path) + "'"
	return o
}
