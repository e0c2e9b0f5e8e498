package app

import (
	"aida/store"

	"github.com/spf13/cobra"
)

func analystGrant(c *cli, give bool) *cobra.Command {
	var group bool
	cmd := &cobra.Command{
		Use: "grant NAME DATASET|DATASET.TABLE", Short: "Let a person, or with --group a group, read a dataset or one table of it", Args: cobra.ExactArgs(2),
		Long:    "Lets a person, or with --group a group, read a dataset whatever its visibility, or one table of it and nothing else of the dataset.\nIt counts on open connections within seconds.",
		Example: "  aida analyst grant eva payroll\n  aida analyst grant eva payroll.bonuses\n  aida analyst grant --group finance payroll",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.Grant(cmd.Context(), actor(), args[0], group, args[1]); err != nil {
					return err
				}
				c.say("%s may read %s.", args[0], args[1])
				return nil
			})
		},
	}
	if !give {
		cmd.Use, cmd.Short, cmd.Long = "revoke NAME DATASET|DATASET.TABLE", "Take a grant back, on open connections too", ""
		cmd.Example = "  aida analyst revoke eva payroll\n  aida analyst revoke --group finance payroll.bonuses"
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.Revoke(cmd.Context(), actor(), args[0], group, args[1]); err != nil {
					return err
				}
				c.say("The grant of %s on %s is taken back.", args[0], args[1])
				return nil
			})
		}
	}
	cmd.Flags().BoolVar(&group, "group", false, "NAME is a group")
	return cmd
}

func analystWhy(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "why NAME TABLE", Short: "Say whether a person reads a table, and by what", Example: "  aida analyst why eva payroll.bonuses", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				r, err := s.ExplainTable(cmd.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(r)
				}
				verb := "reads"
				if !r.Reads {
					verb = "does not read"
				}
				c.say("%s %s %s: %s.", args[0], verb, r.Table, r.Why)
				return nil
			})
		},
	}
}
