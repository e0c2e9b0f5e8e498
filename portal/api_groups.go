package portal

import (
	"net/http"
	"slices"

	"aida/portal/route"
	"aida/store"
)

// Groups and what they are granted: what admins do on the people pages.
func (p *Portal) apiGroupRoutes() []route.Route {
	group, doc := map[string]string{"name": "Name of the group."}, peopleDoc
	return []route.Route{
		{Pattern: "GET /api/v1/groups", Who: route.AdminCaller, Handle: p.apiGroups, Doc: doc("List groups", route.Doc{Query: []route.Param{afterParam, limitParam}, Answer: groupsAnswer{}})},
		{Pattern: "POST /api/v1/groups", Who: route.AdminCaller, Handle: p.apiAddGroup, Doc: doc("Make a group", route.Doc{Body: groupBody{"finance"}, Answer: groupAnswer{}, Status: 201, Fails: []int{409}})},
		{Pattern: "GET /api/v1/groups/{name}", Who: route.AdminCaller, Handle: p.apiGroup, Doc: doc("One group, with its people and grants", route.Doc{Path: group, Answer: groupAnswer{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/groups/{name}", Who: route.AdminCaller, Handle: p.apiRemoveGroup, Doc: doc("Remove a group and its grants; its people stay", route.Doc{Path: group, Answer: doneView{}, Fails: []int{404}})},
		{Pattern: "PUT /api/v1/groups/{name}/members/{person}", Who: route.AdminCaller, Handle: p.apiMember(true), Doc: doc("Put somebody into a group", route.Doc{Path: with("name", "Name of the group.", "person", "User name."), Answer: groupAnswer{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/groups/{name}/members/{person}", Who: route.AdminCaller, Handle: p.apiMember(false), Doc: doc("Take somebody out of a group", route.Doc{Path: with("name", "Name of the group.", "person", "User name."), Answer: groupAnswer{}, Fails: []int{404}})},
		{Pattern: "PUT /api/v1/groups/{name}/grants/{grant}", Who: route.AdminCaller, Handle: p.apiGrant(true, true), Doc: doc("Grant a dataset or a table to a group", route.Doc{Path: with("name", "Name of the group.", "grant", grantText), Answer: grantsAnswer{}, Fails: []int{404}})},
		{Pattern: "DELETE /api/v1/groups/{name}/grants/{grant}", Who: route.AdminCaller, Handle: p.apiGrant(true, false), Doc: doc("Take a group's grant back", route.Doc{Path: with("name", "Name of the group.", "grant", grantText), Answer: grantsAnswer{}, Fails: []int{404}})},
	}
}

type (
	groupBody struct {
		Name string `json:"name"`
	}
	groupAnswer struct {
		Name    string        `json:"name"`
		Members []string      `json:"members"`
		Grants  []store.Grant `json:"grants"`
	}
	groupsAnswer struct {
		Groups []groupAnswer `json:"groups"`
		Next   string        `json:"next,omitempty"`
	}
)

func (p *Portal) groupAnswers(r *http.Request) (out []groupAnswer, err error) {
	groups, err := p.store.Groups(r.Context())
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		grants, err := p.store.GroupGrants(r.Context(), g.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, groupAnswer{g.Name, append([]string{}, g.Members...), append([]store.Grant{}, grants...)})
	}
	return out, nil
}

func (p *Portal) apiGroups(w http.ResponseWriter, r *http.Request) error {
	groups, err := p.groupAnswers(r)
	if err != nil {
		return err
	}
	list, next, err := pageByName(r, groups, func(g groupAnswer) string { return g.Name })
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, groupsAnswer{list, next})
}

func (p *Portal) answerGroup(w http.ResponseWriter, r *http.Request, status int, name string) error {
	groups, err := p.groupAnswers(r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(groups, func(g groupAnswer) bool { return g.Name == name })
	if i < 0 {
		return &store.Error{Code: store.NotFound, Message: "group " + name + " does not exist", Hint: "make it first"}
	}
	return p.JSON(w, status, groups[i])
}

func (p *Portal) apiGroup(w http.ResponseWriter, r *http.Request) error {
	return p.answerGroup(w, r, http.StatusOK, r.PathValue("name"))
}

func (p *Portal) apiAddGroup(w http.ResponseWriter, r *http.Request) error {
	var b groupBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := p.store.AddGroup(r.Context(), actor(r), b.Name); err != nil {
		return err
	}
	return p.answerGroup(w, r, http.StatusCreated, b.Name)
}

func (p *Portal) apiRemoveGroup(w http.ResponseWriter, r *http.Request) error {
	return p.ok(w, p.store.RemoveGroup(r.Context(), actor(r), r.PathValue("name")))
}

func (p *Portal) apiMember(in bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := p.store.SetMember(r.Context(), actor(r), r.PathValue("name"), r.PathValue("person"), in); err != nil {
			return err
		}
		return p.answerGroup(w, r, http.StatusOK, r.PathValue("name"))
	}
}
