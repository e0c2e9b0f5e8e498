package app

import (
	"strings"

	"aida/store"

	"github.com/spf13/cobra"
)

func analystKey(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "SSH keys of a person", Example: "  aida analyst key add eva \"$(cat laptop.pub)\""}
	cmd.AddCommand(
		&cobra.Command{
			Use: "add NAME KEY", Short: "Connect one more public key; - reads it from standard input", Args: cobra.ExactArgs(2),
			Example: "  aida analyst key add eva - < laptop.pub",
			RunE: func(cmd *cobra.Command, args []string) error {
				text, err := c.keyText(args[1])
				if err != nil {
					return err
				}
				return c.withStore(cmd.Context(), func(s *store.Store) error {
					k, err := s.AddKey(cmd.Context(), actor(), args[0], text)
					if err != nil {
						return err
					}
					if c.json {
						return c.printJSON(k)
					}
					c.say("Connected %s to %s.", k.Fingerprint, args[0])
					return nil
				})
			},
		},
		&cobra.Command{
			Use: "list NAME", Short: "List a person's keys", Args: cobra.ExactArgs(1), Example: "  aida analyst key list eva",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error {
					keys, err := s.Keys(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					if c.json {
						return c.printJSON(append([]store.Key{}, keys...))
					}
					var rows [][]string
					for _, k := range keys {
						rows = append(rows, []string{k.Fingerprint, k.Type, timeOf(k.CreatedAt), timeOf(k.LastUsedAt), orDash(k.LastUsedFrom), orDash(k.Comment)})
					}
					columnsOut(c.out, "FINGERPRINT | TYPE | ADDED | LAST USED | FROM | COMMENT", rows)
					return nil
				})
			},
		},
		&cobra.Command{
			Use: "remove NAME FINGERPRINT", Short: "Disconnect a key; sessions opened with it end within seconds", Args: cobra.ExactArgs(2),
			Example: "  aida analyst key remove eva SHA256:q8Zx",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error {
					k, err := s.RemoveKey(cmd.Context(), actor(), args[0], args[1])
					if err != nil {
						return err
					}
					c.say("Disconnected %s from %s.", k.Fingerprint, args[0])
					return nil
				})
			},
		})
	return cmd
}

func groupCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "Groups that datasets can be granted to", Example: "  aida group add finance && aida group join finance eva"}
	member := func(use, short string, in bool) *cobra.Command {
		return &cobra.Command{
			Use: use + " GROUP NAME", Short: short, Args: cobra.ExactArgs(2), Example: "  aida group " + use + " finance eva",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error {
					return s.SetMember(cmd.Context(), actor(), args[0], args[1], in)
				})
			},
		}
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "add GROUP", Short: "Make a group", Args: cobra.ExactArgs(1), Example: "  aida group add finance",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error { return s.AddGroup(cmd.Context(), actor(), args[0]) })
			},
		},
		member("join", "Put a person into a group", true),
		member("leave", "Take a person out of a group", false),
		&cobra.Command{
			Use: "list", Short: "List groups and their members", Args: cobra.NoArgs, Example: "  aida group list",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return c.withStore(cmd.Context(), func(s *store.Store) error {
					groups, err := s.Groups(cmd.Context())
					if err != nil {
						return err
					}
					if c.json {
						return c.printJSON(append([]store.Group{}, groups...))
					}
					var rows [][]string
					for _, g := range groups {
						rows = append(rows, []string{g.Name, orDash(strings.Join(g.Members, ", "))})
					}
					columnsOut(c.out, "GROUP | MEMBERS", rows)
					return nil
				})
			},
		})
	return cmd
}

// referenceCommands are the names that the reference's admins have in their fingers and scripts.
func referenceCommands(c *cli) []*cobra.Command {
	var private, force bool
	add := &cobra.Command{
		Use: "add-analyst USER KEY [--private]", Hidden: true, Args: cobra.ExactArgs(2), Short: "Same as `aida analyst add`",
		Example: "  aida add-analyst eva \"$(cat eva.pub)\" --private",
		RunE: func(cmd *cobra.Command, args []string) error {
			role := store.Analyst
			if private {
				role = store.PrivateAnalyst
			}
			return c.addUser(cmd.Context(), args, "", role)
		},
	}
	add.Flags().BoolVar(&private, "private", false, "may read private datasets")
	remove := &cobra.Command{
		Use: "remove-analyst USER [--force]", Hidden: true, Args: cobra.ExactArgs(1), Short: "Same as `aida analyst remove`",
		Example: "  aida remove-analyst eva --force",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.removeUser(cmd.Context(), args[0], force) },
	}
	remove.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return []*cobra.Command{add, remove,
		{
			Use: "list-analysts", Hidden: true, Args: cobra.NoArgs, Short: "Same as `aida analyst list`", Example: "  aida list-analysts",
			RunE: func(cmd *cobra.Command, _ []string) error { return c.listUsers(cmd.Context()) },
		},
		{
			Use: "add-admin USER KEY", Hidden: true, Args: cobra.ExactArgs(2), Short: "Same as `aida analyst add --admin`", Example: "  aida add-admin eva \"$(cat eva.pub)\"",
			RunE: func(cmd *cobra.Command, args []string) error { return c.addUser(cmd.Context(), args, "", store.Admin) },
		},
	}
}
