package syncer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aida/store"
)

// Alerts takes what people should hear of.
type Alerts interface {
	Raise(ctx context.Context, r store.Raise) error
}

// repeatAfter is how long a table may go on failing before its admins hear of it again.
const repeatAfter = 24 * time.Hour

// alert tells admins of tables that fail and of those that work again, and readers of tables whose columns changed. What
// cannot be told is no failure of the run.
func (s *Syncer) alert(ctx context.Context, report *Report) {
	if s.o.Alerts == nil || report == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	open, err := s.o.Store.OpenConditions(ctx, "sync")
	if err != nil {
		s.o.Log.Error("alerts", "error", err)
	}
	link := fmt.Sprintf("/admin/runs/%d", report.Run)
	for _, t := range report.Tables {
		var list []store.Raise
		failing := store.Raise{Source: "sync", Dedupe: "failed " + t.Table, Severity: store.Warning, To: store.Audience{Admins: true}, Link: link, Cooldown: repeatAfter}
		switch t.Outcome {
		case store.Failed:
			failing.Title, failing.Message = t.Table+" could not be synced", t.Reason
			list = append(list, failing)
		case store.Changed, store.Unchanged:
			if failing.Title, failing.Recovered = t.Table+" is synced again", true; open[failing.Dedupe] || err != nil {
				list = append(list, failing)
			}
		}
		if len(t.Schema) > 0 && t.Outcome == store.Changed {
			var lines []string
			for _, c := range t.Schema {
				lines = append(lines, c.String())
			}
			list = append(list, store.Raise{Source: "sync", Dedupe: fmt.Sprintf("schema %s %d", t.Table, report.Run), Event: true, Severity: store.Info,
				Title: "The columns of " + t.Table + " changed", Message: strings.Join(lines, "\n"), To: store.Audience{TableID: t.TableID}, Link: "/catalog/" + t.Table})
		}
		for _, r := range list {
			if err := s.o.Alerts.Raise(ctx, r); err != nil {
				s.o.Log.Error("an alert could not be raised", "table", t.Table, "error", err)
			}
		}
	}
}
