package app

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"aida/store"

	"github.com/spf13/cobra"
)

func generationsCommand(c *cli) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "generations", Short: "List what was published, newest first", Args: cobra.NoArgs, Example: "  aida generations --limit 50",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				list, err := s.Generations(cmd.Context(), limit)
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(append([]store.Generation{}, list...))
				}
				var rows [][]string
				for i, g := range list {
					state := "kept"
					if i == 0 {
						state = "current"
					} else if g.Swept {
						state = "swept"
					}
					rows = append(rows, []string{fmt.Sprint(g.ID), timeOf(g.CreatedAt), state, fmt.Sprintf("+%d -%d", g.Added, g.Dropped), orDash(g.Note)})
				}
				columnsOut(c.out, "GENERATION | PUBLISHED | STATE | FILES | NOTE", rows)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

func rollbackCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "rollback N", Short: "Publish an old generation as the newest", Args: cobra.ExactArgs(1), Example: "  aida rollback 41",
		Long: "Publishes what generation N held as a new generation. The next sync of a table that went back reads its source again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usage("%q is not a number of a generation: see `aida generations`", args[0])
			}
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				g, err := s.Rollback(cmd.Context(), actor(), n)
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(map[string]int64{"generation": g, "rollback_of": n})
				}
				c.say("Generation %d now holds what generation %d held. New connections see it.", g, n)
				return nil
			})
		},
	}
}

func verifyCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read the whole lake and compare every file with the manifest", Args: cobra.NoArgs, Example: "  aida verify",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withProgram(cmd.Context(), slog.LevelWarn, func(p *program) error {
				pin, err := p.store.Pin(cmd.Context())
				if err != nil {
					return err
				}
				defer pin.Release()
				if err := p.store.Check(cmd.Context()); err != nil {
					return err
				}
				if bad := p.lake.Verify(cmd.Context(), pin.Files); len(bad) > 0 {
					return errors.Join(bad...)
				}
				if c.json {
					return c.printJSON(map[string]any{"generation": pin.Generation, "files": len(pin.Files), "ok": true})
				}
				c.say("Generation %d: all %d files are what the manifest says.", pin.Generation, len(pin.Files))
				return nil
			})
		},
	}
}
