package portal

import (
	"net/http"

	"aida/portal/route"
	"aida/store"
)

// What admins see and do of the place as a whole.
func (p *Portal) apiPlaceRoutes() []route.Route {
	doc := func(tag, summary string, d route.Doc) *route.Doc {
		d.Tag, d.Summary = tag, summary
		return &d
	}
	run, generation := map[string]string{"run": "Number of the run."}, map[string]string{"generation": "Number of the generation."}
	paged := []route.Param{beforeParam, limitParam}
	return []route.Route{
		{Pattern: "GET /api/v1/runs", Who: route.AdminCaller, Handle: p.runList, Doc: doc("Place", "List runs, newest first", route.Doc{Query: paged, Answer: runsAnswer{}})},
		{Pattern: "POST /api/v1/runs", Who: route.AdminCaller, Handle: p.apiStartRun, Doc: doc("Place", "Start a sync", route.Doc{Body: startBody{[]string{"sales.orders"}}, Answer: startAnswer{}, Status: 202, Fails: []int{404, 409},
			Text: "The sync is queued; it is in the list of runs once it has begun. Without tables everything is synced."})},
		{Pattern: "GET /api/v1/runs/{run}", Who: route.AdminCaller, Handle: p.runDetail, Doc: doc("Place", "One run, with what became of each table", route.Doc{Path: run, Answer: runAnswer{}, Fails: []int{404}})},
		{Pattern: "GET /api/v1/generations", Who: route.AdminCaller, Handle: p.generationList, Doc: doc("Place", "List generations, newest first", route.Doc{Query: paged, Answer: generationsAnswer{}})},
		{Pattern: "GET /api/v1/generations/{generation}", Who: route.AdminCaller, Handle: p.apiGeneration, Doc: doc("Place", "One generation, with what it changed", route.Doc{Path: generation, Answer: generationAnswer{}, Fails: []int{404}})},
		{Pattern: "POST /api/v1/generations/{generation}/rollback", Who: route.AdminCaller, Handle: p.apiRollback, Doc: doc("Place", "Publish an old generation as the newest", route.Doc{Path: generation, Answer: generationAnswer{}, Status: 201, Fails: []int{404, 409}})},
		{Pattern: "GET /api/v1/audit", Who: route.AdminCaller, Handle: p.apiAudit, Doc: doc("Place", "Read the audit log, newest first", route.Doc{
			Query: []route.Param{{Name: "q", Text: "Only entries that contain this text."}, beforeParam, limitParam}, Answer: auditAnswer{}})},
		{Pattern: "GET /api/v1/health", Who: route.AdminCaller, Handle: p.apiHealth, Doc: doc("Place", "How each promise of the place stands", route.Doc{Answer: healthAnswer{}, Fails: []int{},
			Text: "Answers 503, with the same content, while one of the checks is bad. /health is the short form for load balancers and needs no token."})},
		{Pattern: "POST /api/v1/health", Who: route.AdminCaller, Handle: p.apiHealth, Doc: doc("Place", "Look at everything now", route.Doc{Answer: healthAnswer{}, Fails: []int{},
			Text: "The GET gives what was found within the last half minute."})},
		{Pattern: "GET /api/v1/deliveries", Who: route.AdminCaller, Handle: p.apiDeliveries, Doc: doc("Alerts", "List alerts on their way to people outside of the portal", route.Doc{
			Query: []route.Param{{Name: "state", Text: "Only deliveries in this state.", Enum: []string{"pending", "sending", "sent", "dead"}}, limitParam}, Answer: deliveriesAnswer{}})},
		{Pattern: "POST /api/v1/deliveries/{id}/retry", Who: route.AdminCaller, Handle: p.apiRetryDelivery, Doc: doc("Alerts", "Try a delivery again that was given up", route.Doc{Path: map[string]string{"id": "Number of the delivery."}, Answer: doneView{}, Fails: []int{404}})},
	}
}

type (
	runsAnswer struct {
		Runs []store.Run `json:"runs"`
		Next int64       `json:"next,omitempty"`
	}
	runAnswer struct {
		Run    store.Run        `json:"run"`
		Tables []store.RunTable `json:"tables"`
	}
	startBody struct {
		Tables []string `json:"tables,omitempty"` // as folder.name
	}
	startAnswer struct {
		Queued bool     `json:"queued"`
		Tables []string `json:"tables"` // empty = all
	}
	generationsAnswer struct {
		Generations []store.Generation `json:"generations"`
		Next        int64              `json:"next,omitempty"`
	}
	generationAnswer struct {
		Generation store.Generation   `json:"generation"`
		Changes    []store.FileChange `json:"changes"`
	}
	auditAnswer struct {
		Entries []store.AuditEntry `json:"entries"`
		Next    int64              `json:"next,omitempty"`
	}
	healthAnswer struct {
		State  string  `json:"state"` // the worst of the checks: good, unknown, late or bad
		Checks []Check `json:"checks"`
	}
	deliveriesAnswer struct {
		Deliveries []store.Delivery `json:"deliveries"`
	}
)

func (p *Portal) runList(w http.ResponseWriter, r *http.Request) error {
	before, limit, err := older(r)
	if err != nil {
		return err
	}
	list, err := p.store.RunsBefore(r.Context(), before, limit+1)
	if err != nil {
		return err
	}
	list, next := oldest(list, limit, func(r store.Run) int64 { return r.ID })
	return p.JSON(w, http.StatusOK, runsAnswer{list, next})
}

func (p *Portal) runDetail(w http.ResponseWriter, r *http.Request) error {
	v, err := p.runViewOf(r)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, runAnswer{v.Run, append([]store.RunTable{}, v.Tables...)})
}

func (p *Portal) apiStartRun(w http.ResponseWriter, r *http.Request) error {
	var b startBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if p.o.Syncs == nil {
		return &store.Error{Code: store.Conflict, Message: "no sync can be started from here", Hint: "use `aida sync` on the server"}
	}
	tables, err := p.store.Tables(r.Context())
	if err != nil {
		return err
	}
	out := startAnswer{Queued: true, Tables: []string{}}
	for _, name := range b.Tables {
		t, err := store.FindTable(tables, name)
		if err != nil {
			return err
		}
		out.Tables = append(out.Tables, t.FullName())
	}
	if err := p.o.Syncs.Start(out.Tables, "api:"+actor(r)); err != nil {
		return err
	}
	return p.JSON(w, http.StatusAccepted, out)
}

func (p *Portal) generationList(w http.ResponseWriter, r *http.Request) error {
	before, limit, err := older(r)
	if err != nil {
		return err
	}
	list, err := p.store.GenerationsBefore(r.Context(), before, limit+1)
	if err != nil {
		return err
	}
	list, next := oldest(list, limit, func(g store.Generation) int64 { return g.ID })
	return p.JSON(w, http.StatusOK, generationsAnswer{list, next})
}

func (p *Portal) apiGeneration(w http.ResponseWriter, r *http.Request) error {
	g, err := p.generationOf(r)
	if err != nil {
		return err
	}
	return p.answerGeneration(w, r, http.StatusOK, g)
}

func (p *Portal) answerGeneration(w http.ResponseWriter, r *http.Request, status int, g store.Generation) error {
	changes, err := p.store.Changes(r.Context(), g.ID)
	if err != nil {
		return err
	}
	return p.JSON(w, status, generationAnswer{g, append([]store.FileChange{}, changes...)})
}

func (p *Portal) apiRollback(w http.ResponseWriter, r *http.Request) error {
	g, err := p.generationOf(r)
	if err != nil {
		return err
	}
	made, err := p.store.Rollback(r.Context(), actor(r), g.ID)
	if err != nil {
		return err
	}
	if g, err = p.store.GenerationByID(r.Context(), made); err != nil {
		return err
	}
	return p.answerGeneration(w, r, http.StatusCreated, g)
}

func (p *Portal) apiAudit(w http.ResponseWriter, r *http.Request) error {
	before, limit, err := older(r)
	if err != nil {
		return err
	}
	list, err := p.store.SearchAudit(r.Context(), r.URL.Query().Get("q"), before, limit+1)
	if err != nil {
		return err
	}
	list, next := oldest(list, limit, func(e store.AuditEntry) int64 { return e.ID })
	return p.JSON(w, http.StatusOK, auditAnswer{list, next})
}

func (p *Portal) apiHealth(w http.ResponseWriter, r *http.Request) error {
	checks, err := p.checks(r, r.Method == http.MethodPost)
	if err != nil {
		return err
	}
	out := healthAnswer{State: "good", Checks: append([]Check{}, checks...)}
	for _, c := range checks {
		out.State = worse(out.State, c.State)
	}
	if out.State == "bad" {
		return p.JSON(w, http.StatusServiceUnavailable, out)
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) apiDeliveries(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	list, err := p.store.Deliveries(r.Context(), store.DeliveryState(r.URL.Query().Get("state")), limit)
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, deliveriesAnswer{append([]store.Delivery{}, list...)})
}

func (p *Portal) apiRetryDelivery(w http.ResponseWriter, r *http.Request) error {
	id, err := numberOf(r, "id")
	if err != nil {
		return err
	}
	return p.ok(w, p.store.RetryDelivery(r.Context(), actor(r), id))
}
