package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"aida/config/examples"

	"github.com/spf13/cobra"
)

// answers are what the wizard asks.
type answers struct {
	Name, Domain, Hostname, Host, Source, Endpoint string
}

func initCommand(c *cli) *cobra.Command {
	var a answers
	var annotated bool
	cmd := &cobra.Command{
		Use: "init", Short: "Set up your company: writes instance.yaml, .env and data_description.md", Args: cobra.NoArgs,
		Long: "Asks for the name of the place, the e-mail domain of its people, how clients reach this machine and where the tables are: a\n" +
			"folder of CSV files, bigquery:PROJECT, or the address of a Keboola stack, whose Storage API token is then asked for or taken from\n" +
			"KEBOOLA_STORAGE_TOKEN. Then it writes the configuration folder. A flag answers its question; files that exist are never\n" +
			"overwritten.",
		Example: "  aida init\n  aida init --examples\n  aida init --name Riverbank --domain example.com --hostname data.example.com --host 192.0.2.10 --csv-root /srv/drop\n" +
			"  KEBOOLA_STORAGE_TOKEN=... aida init --keboola https://connection.keboola.com",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if annotated {
				return c.writeExamples(configDirOf(c.options()))
			}
			return c.initialize(cmd.Context(), a)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&annotated, "examples", false, "write annotated examples of all files beside the real ones, instead of asking")
	f.StringVar(&a.Name, "name", "", "name of the place, as people see it")
	f.StringVar(&a.Domain, "domain", "", "e-mail domain of the people")
	f.StringVar(&a.Hostname, "hostname", "", "DNS name of this machine")
	f.StringVar(&a.Host, "host", "", "IP address of this machine")
	f.StringVar(&a.Source, "csv-root", "", "folder of the CSV files")
	f.StringVar(&a.Source, "keboola", "", "address of the Keboola stack, instead of a folder")
	bigQueryFlags(f, &a)
	return cmd
}

func (c *cli) initialize(ctx context.Context, a answers) error {
	dir := configDirOf(c.options())
	for _, name := range []string{"instance.yaml", "data_description.md"} {
		if p := filepath.Join(dir, name); exists(p) {
			return fmt.Errorf("%s exists already: edit it, or move it away first", p)
		}
	}
	in := bufio.NewReader(c.in)
	host, _ := os.Hostname()
	for _, q := range []struct {
		to             *string
		question, word string
		fallback       string
	}{
		{&a.Name, "Name of the place", "--name", ""},
		{&a.Domain, "E-mail domain of its people, for example example.com", "--domain", ""},
		{&a.Hostname, "DNS name of this machine", "--hostname", host},
		{&a.Host, "IP address (or name) that clients connect to", "--host", "127.0.0.1"},
		{&a.Source, "Folder of the CSV files, bigquery:PROJECT, or the address of your Keboola stack such as https://connection.keboola.com", "--csv-root, --bigquery or --keboola", os.Getenv("KEBOOLA_STACK_URL")},
	} {
		for *q.to == "" {
			v, err := c.ask(in, q.question, q.fallback)
			if err != nil {
				return fmt.Errorf("no answer to %q: answer it, or give %s", q.question, q.word)
			}
			*q.to = v
		}
	}
	set, err := c.setUpSource(ctx, in, a)
	if err != nil {
		return err
	}
	return c.writeConfig(dir, a, set)
}

// writeExamples writes files that show every key, for people to copy from.
func (c *cli) writeExamples(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"instance.yaml": examples.Instance(), ".env": examples.Env(), "data_description.md": examples.Description()} {
		p := filepath.Join(dir, name+".example")
		if err := os.WriteFile(p, text, 0o640); err != nil {
			return err
		}
		c.say("Wrote %s.", p)
	}
	return nil
}

func (c *cli) ask(in *bufio.Reader, question, fallback string) (string, error) {
	if fallback != "" {
		question += " [" + fallback + "]"
	}
	fmt.Fprintf(c.err, "%s: ", question)
	text, err := in.ReadString('\n')
	text = strings.TrimSpace(text)
	switch {
	case text == "" && err != nil:
		return "", err
	case text == "":
		return fallback, nil
	}
	return text, nil
}

func (c *cli) writeConfig(dir string, a answers, set *sourceSetup) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	instance := fmt.Sprintf(`# The configuration of this place. Unknown keys are errors; every key is described in docs/configuration.md.
instance:
  name: %s
auth:
  allowed_domain: %s
  webapp_secret_key: ${WEBAPP_SECRET_KEY}
server:
  hostname: %s
  host: %s
listen:
  ssh: ":2222"
data_source:
%sschedule:
  default: every 6h
`, strconv.Quote(a.Name), strconv.Quote(a.Domain), strconv.Quote(a.Hostname), strconv.Quote(a.Host), set.yaml)
	files := []struct {
		name, text string
		mode       fs.FileMode
	}{
		{".env", "# Secrets. Variables of the environment win over this file.\nWEBAPP_SECRET_KEY=" + hex.EncodeToString(secret) + "\n" + set.env, 0o600},
		{"data_description.md", describeTables(set), 0o640},
		{"instance.yaml", instance, 0o640},
	}
	for _, f := range files {
		p := filepath.Join(dir, f.name)
		file, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, fs.ErrExist) {
			c.say("Kept %s.", p)
			continue
		}
		if err != nil {
			return err
		}
		_, err = file.WriteString(f.text)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		c.say("Wrote %s.", p)
	}
	if withoutKey(set.tables) == len(set.tables) {
		c.say("%s: describe your tables in %s.", set.none, filepath.Join(dir, "data_description.md"))
	}
	if n := withoutKey(set.tables); n > 0 {
		c.say("%d of %d tables have no primary key that could be found and are commented out: name the columns that tell their rows apart.", n, len(set.tables))
	}
	c.say("\nNext:\n  look through %s (names, primary keys, types)\n  aida sync\n  aida analyst add NAME \"$(cat key.pub)\"\n  aida serve", filepath.Join(dir, "data_description.md"))
	return nil
}

func describeTables(set *sourceSetup) string {
	text := "# Tables\n\nText outside of the yaml blocks is for people. " + set.note + "\n\n"
	if len(set.tables) > 0 {
		return text + describeProposals(set.tables, nil)
	}
	return text + "```yaml\ntables:\n  # - id: sales.orders\n  #   name: orders\n  #   description: One row per order\n  #   primary_key: order_id\n  #   sync_strategy: full_refresh\n```\n"
}
