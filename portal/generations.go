package portal

import (
	"net/http"
	"strconv"

	"aida/portal/route"
	"aida/store"
)

func (p *Portal) generationRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /admin/generations", Who: route.Admin, Handle: p.generations},
		{Pattern: "GET /admin/generations/{generation}", Who: route.Admin, Handle: p.generation},
		{Pattern: "POST /admin/generations/{generation}/rollback", Who: route.Admin, Handle: p.rollback},
	}
}

const generationsShown = 200

func (p *Portal) generations(w http.ResponseWriter, r *http.Request) error {
	list, err := p.store.Generations(r.Context(), generationsShown)
	if err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "generations", page{Title: "Generations", Lede: "Every state of the data that was published, newest first.", Data: list})
}

type generationView struct {
	store.Generation
	Changes []store.FileChange
	Newest  int64
}

func (p *Portal) generationOf(r *http.Request) (store.Generation, error) {
	id, err := strconv.ParseInt(r.PathValue("generation"), 10, 64)
	if err != nil {
		return store.Generation{}, &route.Problem{Status: http.StatusNotFound, Title: "There is no such generation", Text: "Generations have numbers.", Link: "/admin/generations", LinkText: "To the generations"}
	}
	return p.store.GenerationByID(r.Context(), id)
}

func (p *Portal) generation(w http.ResponseWriter, r *http.Request) error {
	g, err := p.generationOf(r)
	if err != nil {
		return err
	}
	v := generationView{Generation: g}
	if v.Changes, err = p.store.Changes(r.Context(), g.ID); err != nil {
		return err
	}
	snap, err := p.store.Newest(r.Context())
	if err != nil {
		return err
	}
	v.Newest = snap.Generation
	return p.render(w, r, http.StatusOK, "generation", page{Title: "Generation " + strconv.FormatInt(g.ID, 10), Lede: "What it changed against the one before.",
		Crumbs: []crumb{{"Generations", "/admin/generations"}}, Data: v})
}

// rollback publishes an old generation as the newest. The form repeats the number, so that a stray click does nothing.
func (p *Portal) rollback(w http.ResponseWriter, r *http.Request) error {
	g, err := p.generationOf(r)
	if err != nil {
		return err
	}
	if r.PostFormValue("confirm") != strconv.FormatInt(g.ID, 10) {
		return &store.Error{Code: store.Invalid, Message: "nothing was rolled back", Hint: "write the number of the generation to confirm"}
	}
	made, err := p.store.Rollback(r.Context(), visitorFrom(r).User.Name, g.ID)
	if err != nil {
		return err
	}
	return p.done(w, r, "/admin/generations/"+strconv.FormatInt(made, 10), "Generation %d is published again, as %d.", g.ID, made)
}
