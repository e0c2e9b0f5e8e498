package portal

import (
	"net/http"
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

type settingsView struct {
	Groups  []settingGroup
	Total   int
	Restart int // settings that a restart would change
	Problem string
}

type settingGroup struct {
	Name     string
	Settings []Setting
}

func (p *Portal) settings(w http.ResponseWriter, r *http.Request) error {
	s := p.o.Settings()
	v := settingsView{Total: len(s.List), Problem: s.Problem}
	for _, x := range s.List {
		group, _, _ := strings.Cut(x.Key, ".")
		if len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].Name != group {
			v.Groups = append(v.Groups, settingGroup{Name: group})
		}
		last := &v.Groups[len(v.Groups)-1]
		last.Settings = append(last.Settings, x)
		if x.Next != "" {
			v.Restart++
		}
	}
	return p.render(w, r, http.StatusOK, "settings", page{Title: "Settings", Lede: "The configuration in force, and where each value comes from. Files are edited on the server.", Data: v})
}

func (p *Portal) apiSettings(w http.ResponseWriter, _ *http.Request) error {
	return p.JSON(w, http.StatusOK, p.o.Settings())
}
