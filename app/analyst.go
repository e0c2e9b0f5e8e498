package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"aida/store"

	"github.com/spf13/cobra"
)

func analystCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "analyst", Short: "People: add, list, show, remove, keys, roles and grants",
		Example: "  aida analyst add eva \"$(cat eva.pub)\" --email eva@example.com\n  aida analyst grant eva payroll",
	}
	cmd.AddCommand(analystAdd(c), analystList(c), analystShow(c), analystRemove(c), analystKey(c), analystLink(c),
		analystGrant(c, true), analystGrant(c, false), analystWhy(c), analystRole(c), analystSuspend(c, true), analystSuspend(c, false))
	return cmd
}

func analystAdd(c *cli) *cobra.Command {
	var email string
	var private, admin bool
	cmd := &cobra.Command{
		Use: "add NAME [KEY]", Short: "Add a person, with an SSH public key if there is one already",
		Long:    "Adds a person. KEY is the one line of a .pub file; - reads it from standard input.",
		Example: "  aida analyst add eva \"$(cat eva.pub)\"\n  aida analyst add bob --email bob@example.com --private",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			role := store.Analyst
			switch {
			case admin:
				role = store.Admin
			case private:
				role = store.PrivateAnalyst
			}
			return c.addUser(cmd.Context(), args, email, role)
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "e-mail address that the person signs in with")
	cmd.Flags().BoolVar(&private, "private", false, "may read private datasets")
	cmd.Flags().BoolVar(&admin, "admin", false, "is an admin: reads everything")
	return cmd
}

func (c *cli) addUser(ctx context.Context, args []string, email string, role store.Role) error {
	key := ""
	if len(args) > 1 {
		var err error
		if key, err = c.keyText(args[1]); err != nil {
			return err
		}
	}
	return c.withStore(ctx, func(s *store.Store) error {
		u, err := s.AddUser(ctx, actor(), store.NewUser{Name: args[0], Email: email, Role: role, Key: key})
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(u)
		}
		c.say("Added %s (%s).", u.Name, u.Role)
		if key == "" {
			c.say("Without a key nobody can sign in: aida analyst key add %s \"$(cat key.pub)\"", u.Name)
		}
		return nil
	})
}

// keyText gives the key of an argument, or of standard input for "-".
func (c *cli) keyText(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(io.LimitReader(c.in, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	return string(text), nil
}

func analystList(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List people", Example: "  aida analyst list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listUsers(cmd.Context()) },
	}
}

func (c *cli) listUsers(ctx context.Context) error {
	return c.withStore(ctx, func(s *store.Store) error {
		users, err := s.Users(ctx)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(append([]store.User{}, users...))
		}
		if len(users) == 0 {
			c.say("Nobody yet: aida analyst add NAME \"$(cat key.pub)\"")
			return nil
		}
		var rows [][]string
		for _, u := range users {
			keys, err := s.Keys(ctx, u.Name)
			if err != nil {
				return err
			}
			state := "active"
			if !u.SuspendedAt.IsZero() {
				state = "suspended"
			}
			rows = append(rows, []string{u.Name, string(u.Role), state, fmt.Sprint(len(keys)), timeOf(lastUse(keys)), orDash(u.Email), orDash(strings.Join(u.Groups, ","))})
		}
		columnsOut(c.out, "NAME | ROLE | STATE | KEYS | LAST SIGN-IN | E-MAIL | GROUPS", rows)
		return nil
	})
}

func lastUse(keys []store.Key) (last time.Time) {
	for _, k := range keys {
		if k.LastUsedAt.After(last) {
			last = k.LastUsedAt
		}
	}
	return last
}

func analystShow(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one person: role, keys, grants and the tables they read", Example: "  aida analyst show eva", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return c.withStore(ctx, func(s *store.Store) error {
				u, err := s.UserByName(ctx, args[0])
				if err != nil {
					return err
				}
				keys, err := s.Keys(ctx, u.Name)
				if err != nil {
					return err
				}
				grants, err := s.Grants(ctx, u.Name)
				if err != nil {
					return err
				}
				access, err := s.Access(ctx, u.ID)
				if err != nil {
					return err
				}
				var tables, names []string
				for _, g := range grants {
					names = append(names, g.Name())
				}
				for _, t := range access.Tables {
					tables = append(tables, t.FullName())
				}
				if c.json {
					return c.printJSON(map[string]any{"user": u, "keys": append([]store.Key{}, keys...), "grants": append([]string{}, names...), "tables": append([]string{}, tables...)})
				}
				c.say("%s  role %s, since %s", u.Name, u.Role, timeOf(u.CreatedAt))
				if !u.SuspendedAt.IsZero() {
					c.say("SUSPENDED since %s", timeOf(u.SuspendedAt))
				}
				c.say("e-mail  %s\ngroups  %s\ngrants  %s", orDash(u.Email), orDash(strings.Join(u.Groups, ", ")), orDash(strings.Join(names, ", ")))
				for _, k := range keys {
					c.say("key     %s %s %s, last used %s", k.Fingerprint, k.Type, k.Comment, timeOf(k.LastUsedAt))
				}
				c.say("reads   %s: %s", counted(len(tables), "table", "tables"), orDash(strings.Join(tables, ", ")))
				return nil
			})
		},
	}
}

func analystRemove(c *cli) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a person; the home folder is kept aside", Example: "  aida analyst remove eva", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.removeUser(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

func (c *cli) removeUser(ctx context.Context, name string, force bool) error {
	cfg, err := c.dataFolder()
	if err != nil {
		return err
	}
	return c.withStore(ctx, func(s *store.Store) error {
		u, err := s.UserByName(ctx, name)
		if err != nil {
			return err
		}
		if !force && !c.confirm(fmt.Sprintf("Remove %s (%s)? Keys, grants and open connections end, the home folder is kept aside.", u.Name, u.Role)) {
			return &exitError{exitFailed, fmt.Errorf("%s was not removed: answer y, or give --force", u.Name)}
		}
		kept, err := people{s, cfg}.Remove(ctx, actor(), u.Name)
		if err != nil {
			return err
		}
		c.say("Removed %s. Open connections of theirs end within seconds.", u.Name)
		if kept != "" {
			c.say("The home folder is now %s.", kept)
		}
		return nil
	})
}

// confirm asks a yes-or-no question; no answer is a no.
func (c *cli) confirm(question string) bool {
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func analystRole(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "role NAME analyst|private|admin", Short: "Change what a person is", Example: "  aida analyst role eva private", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.SetRole(cmd.Context(), actor(), args[0], store.Role(args[1])); err != nil {
					return err
				}
				c.say("%s is now %s.", args[0], args[1])
				return nil
			})
		},
	}
}

func analystSuspend(c *cli, on bool) *cobra.Command {
	use, short := "suspend", "End a person's access, keeping everything of theirs"
	if !on {
		use, short = "restore", "Give a suspended person access again"
	}
	return &cobra.Command{
		Use: use + " NAME", Short: short, Example: "  aida analyst " + use + " eva", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.Suspend(cmd.Context(), actor(), args[0], on); err != nil {
					return err
				}
				c.say("Done: %s %s.", use, args[0])
				return nil
			})
		},
	}
}
