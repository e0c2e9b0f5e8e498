package syncer

import (
	"context"

	"aida/store"
)

// Profiler looks at the values of tables whose files changed.
type Profiler interface {
	Update(ctx context.Context, tables []store.Table) error
}

// profile has tables looked at after a run published something. A profile that fails is no failure of the run: readers
// have the new rows already.
func (s *Syncer) profile(ctx context.Context, report *Report) {
	if s.o.Profiler == nil || report == nil || !report.Published || ctx.Err() != nil {
		return
	}
	tables, err := s.o.Store.Tables(ctx)
	if err == nil {
		err = s.o.Profiler.Update(ctx, tables)
	}
	if err != nil && ctx.Err() == nil {
		s.o.Log.Error("profiles are not all up to date", "run", report.Run, "error", err)
	}
}
