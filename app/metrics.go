package app

import (
	"context"
	"fmt"
	"strings"

	"aida/config"
	"aida/store"
	"aida/syncer/datadoc"
)

// readMetrics reads the definitions of business metrics. Without a folder for them there are none.
func readMetrics(cfg *config.Config) (dir string, list []store.Metric, err error) {
	work := "."
	if cfg.File == "" { // the sample company has no other place than its own
		work = cfg.Dir
	}
	if dir = datadoc.FindMetrics(cfg.Dir, work); dir == "" {
		return "", nil, nil
	}
	list, err = datadoc.LoadMetrics(dir)
	return dir, list, err
}

// loadMetrics makes the store's metrics what the files say now. A folder that cannot be read leaves them as they were.
func (p *program) loadMetrics(ctx context.Context) error {
	_, list, err := readMetrics(p.cfg)
	if err != nil {
		return err
	}
	return p.store.SetMetrics(ctx, list)
}

// checkMetrics tells which definitions cannot be read.
func checkMetrics(cfg *config.Config) finding {
	dir, list, err := readMetrics(cfg)
	if err != nil {
		return finding{"metrics", "fail", err.Error(), "let this user read the folder"}
	}
	var wrong []string
	for _, m := range list {
		if m.Problem != "" {
			wrong = append(wrong, m.Problem)
		}
	}
	switch {
	case len(wrong) > 0:
		return finding{"metrics", "fail", strings.Join(wrong, "; "), "correct the file; it is read again within a minute"}
	case len(list) == 0:
		return finding{"metrics", "ok", "none is defined", ""}
	}
	return finding{"metrics", "ok", fmt.Sprintf("%d metrics in %s", len(list), dir), ""}
}
