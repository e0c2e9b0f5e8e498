package app

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// cli is what all commands share: the global flags and the three streams.
type cli struct {
	configDir, dataDir   string
	json, quiet, verbose bool
	in                   io.Reader
	out, err             io.Writer
}

func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "aida",
		Short: "AI Data Analyst: company tables as Parquet, to each analyst what they may see",
		Long: `aida syncs a company's tables into typed Parquet and hands each analyst exactly the files they may see,
over its own SSH server (sftp, scp, rsync). Everything is in this one binary; its state is one SQLite file.

Start with ` + "`aida demo`" + ` for a sample company, or with ` + "`aida init`" + ` for your own.`,
		Example:       "  aida demo\n  aida init && aida sync && aida serve",
		SilenceErrors: true, SilenceUsage: true,
		Version: version,
	}
	f := root.PersistentFlags()
	f.StringVar(&c.configDir, "config", "", "configuration folder (default $CONFIG_DIR, then ./config)")
	f.StringVar(&c.dataDir, "data", "", "data folder (default $DATA_DIR, then ./data)")
	f.BoolVar(&c.json, "json", false, "print data as JSON")
	f.BoolVar(&c.quiet, "quiet", false, "print errors only")
	f.BoolVar(&c.verbose, "verbose", false, "log every step")
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w: see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(serveCommand(c), demoCommand(c), initCommand(c), syncCommand(c), tableCommand(c), analystCommand(c), groupCommand(c),
		generationsCommand(c), rollbackCommand(c), verifyCommand(c), queryCommand(c), doctorCommand(c), versionCommand(c))
	root.AddCommand(referenceCommands(c)...)
	strict(root)
	return root
}

// strict makes wrong arguments a usage error (exit code 2) with the way to the help, on every command.
func strict(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w: see `%s --help`", err, cmd.CommandPath())
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf(", did you mean %q", near[0])
			}
			return usage("unknown command %q for %q%s: see `%s --help`", args[0], cmd.CommandPath(), hint, cmd.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// logger writes to stderr: text for people, JSON for --json.
func (c *cli) logger(level slog.Level) *slog.Logger {
	if c.verbose {
		level = slog.LevelDebug
	}
	if c.quiet {
		level = slog.LevelError
	}
	o := &slog.HandlerOptions{Level: level}
	if c.json {
		return slog.New(slog.NewJSONHandler(c.err, o))
	}
	return slog.New(slog.NewTextHandler(c.err, o))
}

// say prints a line for people; --quiet and --json leave it out.
func (c *cli) say(format string, args ...any) {
	if !c.quiet && !c.json {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

// printJSON prints one value as one line of JSON.
func (c *cli) printJSON(v any) error {
	return json.NewEncoder(c.out).Encode(v)
}

// terminal tells whether a person watches the stream.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// actor names who runs a command, for the audit log.
func actor() string {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return "command:" + strings.TrimSpace(name)
}

func versionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  aida version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(map[string]string{"version": version})
			}
			fmt.Fprintln(c.out, "aida", version)
			return nil
		},
	}
}
