package app

import (
	"fmt"
	"strings"

	"aida/store"

	"github.com/spf13/cobra"
)

func tableCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "table", Short: "Tables: list, show, profile, pause and discover", Example: "  aida table list"}
	cmd.AddCommand(
		tableProfileCommand(c),
		&cobra.Command{
			Use: "list", Short: "List tables with size, age and how their last sync ended", Args: cobra.NoArgs, Example: "  aida table list --json",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error { return c.tables(cmd, s) })
			},
		},
		&cobra.Command{
			Use: "show TABLE", Short: "Show a table: columns, files and its last sync", Args: cobra.ExactArgs(1), Example: "  aida table show sales.orders",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error { return c.showTable(cmd, s, args[0]) })
			},
		},
		pauseCommand(c, true), pauseCommand(c, false), discoverCommand(c))
	return cmd
}

type tableInfo struct {
	store.Table
	Rows  int64          `json:"rows"`
	Size  int64          `json:"size"`
	Files []store.File   `json:"files"`
	Last  store.RunTable `json:"last_run"`
}

func (c *cli) tables(cmd *cobra.Command, s *store.Store) error {
	list, err := s.Tables(cmd.Context())
	if err != nil {
		return err
	}
	snap, err := s.Newest(cmd.Context())
	if err != nil {
		return err
	}
	last, err := s.LastRuns(cmd.Context())
	if err != nil {
		return err
	}
	infos := make([]tableInfo, 0, len(list))
	for _, t := range list {
		infos = append(infos, describe(t, snap.Files, last))
	}
	if c.json {
		return c.printJSON(infos)
	}
	var rows [][]string
	for _, i := range infos {
		state := "never synced"
		if i.Last.Outcome != "" {
			state = string(i.Last.Outcome)
		}
		if !i.PausedAt.IsZero() {
			state += ", paused"
		}
		rows = append(rows, []string{i.FullName(), i.Dataset, fmt.Sprint(i.Rows), sizeOf(i.Size), timeOf(i.DataTime), timeOf(i.SyncedAt), state})
	}
	columnsOut(c.out, "TABLE | DATASET | ROWS | SIZE | DATA OF | SYNCED | LAST SYNC", rows)
	return nil
}

func describe(t store.Table, files []store.File, last map[int64]store.RunTable) tableInfo {
	i := tableInfo{Table: t, Last: last[t.ID], Files: []store.File{}}
	for _, f := range files {
		if f.TableID == t.ID {
			i.Rows, i.Size, i.Files = i.Rows+f.Rows, i.Size+f.Size, append(i.Files, f)
		}
	}
	return i
}

func (c *cli) showTable(cmd *cobra.Command, s *store.Store, name string) error {
	t, err := s.TableByName(cmd.Context(), name)
	if err != nil {
		return err
	}
	files, err := s.TableFiles(cmd.Context(), t.ID)
	if err != nil {
		return err
	}
	last, err := s.LastRuns(cmd.Context())
	if err != nil {
		return err
	}
	i := describe(t, files, last)
	if c.json {
		return c.printJSON(i)
	}
	c.say("%s  (%s)\n%s\n", t.FullName(), t.SourceID, t.Definition.Description)
	c.say("dataset      %s\nprimary key  %s\nrows         %d\nsize         %s\ndata of      %s\nsynced       %s", t.Dataset,
		strings.Join(t.Definition.PrimaryKey, ", "), i.Rows, sizeOf(i.Size), timeOf(t.DataTime), timeOf(t.SyncedAt))
	if i.Last.Outcome != "" {
		c.say("last sync    %s", line(i.Last))
	}
	if !t.PausedAt.IsZero() {
		c.say("paused       since %s by %s", timeOf(t.PausedAt), t.PausedBy)
	}
	if len(files) > 0 {
		c.say("")
		var rows [][]string
		for _, col := range files[0].Schema {
			rows = append(rows, []string{col.Name, col.Type})
		}
		columnsOut(c.out, "COLUMN | TYPE", rows)
		c.say("")
		rows = nil
		for _, f := range files {
			rows = append(rows, []string{f.Logical, fmt.Sprint(f.Rows), sizeOf(f.Size), timeOf(f.ModTime), f.Hash[:16]})
		}
		columnsOut(c.out, "FILE | ROWS | SIZE | CHANGED | SHA-256", rows)
	}
	return nil
}

// pauseCommand is `aida table pause` and `aida table resume`.
func pauseCommand(c *cli, pause bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume TABLE...", Short: "Let scheduled syncs take a paused table again", Args: cobra.MinimumNArgs(1), Example: "  aida table resume sales.orders",
	}
	said := "%s is synced by schedule again."
	if pause {
		cmd = &cobra.Command{
			Use: "pause TABLE...", Short: "Keep a table out of scheduled syncs until it is resumed", Args: cobra.MinimumNArgs(1), Example: "  aida table pause sales.orders",
			Long: "Keeps tables out of scheduled syncs, and of syncs over all tables, until they are resumed. `aida sync TABLE` still syncs one.\nAnalysts keep the rows that there are.",
		}
		said = "%s is paused: its rows stay as they are until `aida table resume`."
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withStore(cmd.Context(), func(s *store.Store) error {
			for _, name := range args {
				if err := s.PauseTable(cmd.Context(), actor(), name, pause); err != nil {
					return err
				}
				c.say(said, name)
			}
			return nil
		})
	}
	return cmd
}
