package app

import (
	"strings"

	"aida/config"
	"aida/portal"
)

// settings is the configuration in force, compared with what the next start would read.
func (p *program) settings() portal.Settings {
	var out portal.Settings
	next := map[string]config.Setting{}
	if p.cfg.File != "" {
		cfg, err := config.Load(config.Options{ConfigDir: p.cfg.Dir, DataDir: p.cfg.DataDir})
		if err != nil {
			out.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
		} else {
			for _, s := range cfg.Settings() {
				next[s.Key] = s
			}
		}
	}
	for _, s := range p.cfg.Settings() {
		x := portal.Setting{Key: s.Key, Value: s.Value, Secret: s.Secret, Origin: s.Origin}
		if n, ok := next[s.Key]; ok && n.Value != s.Value && !strings.HasPrefix(s.Origin, "--") {
			if x.Next = n.Value; x.Next == "" {
				x.Next = "empty"
			}
		} else if !ok && len(next) > 0 {
			x.Next = "gone"
		}
		out.List = append(out.List, x)
	}
	return out
}
