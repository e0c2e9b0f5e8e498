package syncer

import (
	"context"
	"slices"

	"aida/syncer/datadoc"
)

// tables are the tables as they are described now.
func (s *Syncer) tables() []datadoc.Table { return *s.described.Load() }

// SetTables takes up a changed description: runs that begin from now on follow it, and so does the schedule. The caller
// registers it with the store.
func (s *Syncer) SetTables(tables []datadoc.Table) { s.described.Store(&tables) }

// unpaused leaves out the tables that an admin paused, and names them.
func (s *Syncer) unpaused(ctx context.Context, docs []datadoc.Table) (left []datadoc.Table, paused []string, err error) {
	off, err := s.o.Store.PausedTables(ctx)
	if err != nil {
		return nil, nil, err
	}
	left = slices.DeleteFunc(slices.Clone(docs), func(d datadoc.Table) bool {
		if off[d.ID] {
			paused = append(paused, d.FullName())
		}
		return off[d.ID]
	})
	return left, paused, nil
}
