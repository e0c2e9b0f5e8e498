package app

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"aida/store"
	"aida/syncer/profile"

	"github.com/spf13/cobra"
)

// profiler looks at tables after a sync published them.
func (p *program) profiler() *profile.Profiler {
	c := p.cfg.Profiler
	return profile.New(profile.Options{Store: p.store, Workers: p.cfg.Sync.Workers, Log: p.log,
		Open: func(f store.File) (profile.File, error) { return p.lake.Open(f) },
		Limits: profile.Limits{SampleSize: c.SampleSize, Categorical: c.MaxCategoricalDistinct, TopValues: c.TopValuesLimit, Bins: c.HistogramBins,
			SampleRows: c.SampleRowsLimit, SampleValues: c.SampleValuesLimit, HighMissing: c.AlertHighMissingPct, Missing: c.AlertMissingPct,
			Imbalance: c.AlertImbalancePct, Zeros: profile.DefaultLimits.Zeros, HighCardinality: int64(c.AlertHighCardinality)}})
}

func tableProfileCommand(c *cli) *cobra.Command {
	var refresh bool
	cmd := &cobra.Command{
		Use: "profile TABLE", Short: "Show what is in a table: nulls, distinct values, distribution, joins, and what is odd", Args: cobra.ExactArgs(1),
		Example: "  aida table profile sales.orders\n  aida table profile orders --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !refresh {
				return c.withStore(cmd.Context(), func(s *store.Store) error { return c.showProfile(cmd, s, args[0]) })
			}
			return c.withProgram(cmd.Context(), slog.LevelWarn, func(p *program) error {
				t, err := p.store.TableByName(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.profiler().Refresh(cmd.Context(), t); err != nil {
					return err
				}
				return c.showProfile(cmd, p.store, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&refresh, "refresh", false, "read the table anew now, for example after a rollback")
	return cmd
}

func (c *cli) showProfile(cmd *cobra.Command, s *store.Store, name string) error {
	tables, err := s.Tables(cmd.Context())
	if err != nil {
		return err
	}
	t, err := store.FindTable(tables, name)
	if err != nil {
		return err
	}
	p, err := s.Profile(cmd.Context(), &store.Access{Tables: tables}, t.ID)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.FullName(), err)
	}
	if c.json {
		return c.printJSON(p)
	}
	c.say("%s  (%s)\n%s\n", t.FullName(), t.SourceID, t.Definition.Description)
	duplicates := "not known"
	if p.DuplicateRows != nil {
		duplicates = fmt.Sprint(*p.DuplicateRows)
	}
	c.say("rows         %d in %d columns\nmissing      %d cells, %s\nduplicates   %s of primary key %s\nprofiled     %s", p.RowCount, p.ColumnCount, p.MissingCells, share(p.MissingPct),
		duplicates, orDash(p.PrimaryKey), timeOf(p.ProfiledAt))
	if p.DateRange != nil {
		c.say("dates        %s to %s, %d days", p.DateRange.Earliest, p.DateRange.Latest, p.DateRange.SpanDays)
	}
	if p.Stale {
		c.say("stale        the last attempt failed, this tells of older rows: see the log")
	}
	var rows [][]string
	for _, col := range p.Columns {
		unique := fmt.Sprint(col.Unique)
		if slices.Contains(col.Approximate, "unique_count") {
			unique = "~" + unique
		}
		rows = append(rows, []string{col.Name, col.Type, share(100 - col.Completeness), unique, values(col), orDash(strings.Join(col.Alerts, ", "))})
	}
	c.say("")
	columnsOut(c.out, "COLUMN | TYPE | MISSING | DISTINCT | VALUES | ALERTS", rows)
	rows = nil
	for _, l := range p.RelatedTables {
		state := cmp.Or(l.Unchecked, "checked "+fmt.Sprint(l.Checked)+", orphans "+fmt.Sprint(l.Orphans))
		rows = append(rows, []string{l.JoinColumn, l.Table + "." + l.ForeignColumn, strings.ReplaceAll(l.Direction, "_", " "), state, orDash(l.Description)})
	}
	if len(rows) > 0 {
		c.say("")
		columnsOut(c.out, "COLUMN | JOINS | AS | STATE | DESCRIPTION", rows)
	}
	return nil
}

func share(percent float64) string { return fmt.Sprintf("%.1f %%", percent) }

// values sums a column up in one line.
func values(c store.ColumnProfile) string {
	switch {
	case c.Sensitive:
		return store.HiddenValue
	case c.Numbers != nil && c.Numbers.Median != nil:
		return fmt.Sprintf("%s .. %s, median %.6g, mean %.6g", c.Numbers.Min, c.Numbers.Max, *c.Numbers.Median, *c.Numbers.Mean)
	case c.Dates != nil:
		return c.Dates.Earliest + " .. " + c.Dates.Latest
	case c.Booleans != nil:
		return fmt.Sprintf("true %s", share(c.Booleans.TruePct))
	case c.Texts != nil && len(c.Texts.TopValues) > 0:
		var top []string
		for _, v := range c.Texts.TopValues[:min(3, len(c.Texts.TopValues))] {
			top = append(top, fmt.Sprintf("%.30q %s", v.Value, share(v.Pct)))
		}
		return strings.Join(top, ", ")
	case c.Texts != nil:
		return fmt.Sprintf("%d to %d characters, for example %.40q", c.Texts.MinLength, c.Texts.MaxLength, strings.Join(c.SampleValues[:min(1, len(c.SampleValues))], ""))
	}
	return "-"
}
