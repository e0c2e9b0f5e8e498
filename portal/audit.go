package portal

import (
	"net/http"
	"strconv"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) auditRoutes() []route.Route {
	return []route.Route{{Pattern: "GET /admin/audit", Who: route.Admin, Handle: p.auditLog}}
}

type auditView struct {
	Entries []store.AuditEntry
	Query   string
	Older   int64 // the entry behind which the next page begins, 0 = this is the last one
	Newest  bool
}

func (p *Portal) auditLog(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64)
	v := auditView{Query: q.Get("q"), Newest: before <= 0}
	var err error
	if v.Entries, err = p.store.SearchAudit(r.Context(), v.Query, max(before, 0), perPage+1); err != nil {
		return err
	}
	if len(v.Entries) > perPage {
		v.Entries = v.Entries[:perPage]
		v.Older = v.Entries[perPage-1].ID
	}
	return p.render(w, r, http.StatusOK, "audit", page{Title: "Audit", Lede: "Who did what, newest first. Nothing here can be changed.", Data: v})
}
