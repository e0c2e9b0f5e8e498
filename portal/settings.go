package portal

import (
	"net/http"
	"slices"
	"strings"

	"aida/portal/route"
)

// Setting is one value of the configuration that is in force. Secrets come masked.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
	Origin string `json:"origin"`
	Next   string `json:"next,omitempty"` // what it will be after a restart, when that differs
}

// Settings is the configuration in force. Problem tells why the files could not be read again.
type Settings struct {
	List    []Setting `json:"settings"`
	Problem string    `json:"problem,omitempty"`
}

func (p *Portal) settingsRoutes() []route.Route {
	if p.o.Settings == nil {
		return nil
	}
	return []route.Route{
		{Pattern: "GET /admin/settings", Who: route.Admin, Handle: p.settings},
		{Pattern: "GET /api/v1/settings", Who: route.AdminCaller, Handle: p.apiSettings, Doc: &route.Doc{Tag: "Place", Summary: "The configuration in force, without secrets", Answer: Settings{}}},
	}
}

// settingGroup is one section of instance.yaml.
type settingGroup struct {
	Name string
	List []Setting
}

type settingsView struct {
	Given   []Setting      // by a file, a variable or a flag, or about to change
	Usual   []settingGroup // as they come
	Total   int
	Restart int // settings that a restart would change
	Problem string
}

func (p *Portal) settings(w http.ResponseWriter, r *http.Request) error {
	s := p.o.Settings()
	v := settingsView{Total: len(s.List), Problem: s.Problem}
	for _, x := range s.List {
		if x.Next != "" {
			v.Restart++
		}
		if x.Origin == "default" && x.Next == "" {
			section, _, nested := strings.Cut(x.Key, ".")
			if !nested {
				section = "general"
			}
			i := slices.IndexFunc(v.Usual, func(g settingGroup) bool { return g.Name == section })
			if i < 0 {
				i, v.Usual = len(v.Usual), append(v.Usual, settingGroup{Name: section})
			}
			v.Usual[i].List = append(v.Usual[i].List, x)
		} else {
			v.Given = append(v.Given, x)
		}
	}
	return p.render(w, r, http.StatusOK, "settings", page{Title: "Settings", Lede: "The configuration in force, and where each value comes from. Files are edited on the server.", Data: v})
}

func (p *Portal) apiSettings(w http.ResponseWriter, _ *http.Request) error {
	return p.JSON(w, http.StatusOK, p.o.Settings())
}
