package app

import (
	"bufio"
	"crypto/rand"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aida/config/examples"
	"aida/syncer/datadoc"

	"github.com/spf13/cobra"
)

// answers are what the wizard asks.
type answers struct {
	Name, Domain, Hostname, Host, Root, DataDir string
}

func initCommand(c *cli) *cobra.Command {
	var a answers
	var annotated bool
	cmd := &cobra.Command{
		Use: "init", Short: "Set up your company: writes instance.yaml, .env and data_description.md", Args: cobra.NoArgs,
		Long: "Asks for the name of the place, the e-mail domain of its people, how clients reach this machine and where the CSV files are,\n" +
			"then writes the configuration folder. A flag answers its question; files that exist are never overwritten.",
		Example: "  aida init\n  aida init --examples\n  aida init --name Riverbank --domain example.com --hostname data.example.com --host 192.0.2.10 --csv-root /srv/drop",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if annotated {
				return c.writeExamples(configDirOf(c.options()))
			}
			return c.initialize(a)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&annotated, "examples", false, "write annotated examples of all files beside the real ones, instead of asking")
	f.StringVar(&a.Name, "name", "", "name of the place, as people see it")
	f.StringVar(&a.Domain, "domain", "", "e-mail domain of the people")
	f.StringVar(&a.Hostname, "hostname", "", "DNS name of this machine")
	f.StringVar(&a.Host, "host", "", "IP address of this machine")
	f.StringVar(&a.Root, "csv-root", "", "folder of the CSV files")
	return cmd
}

func (c *cli) initialize(a answers) error {
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
		{&a.Root, "Folder of the CSV files", "--csv-root", ""},
	} {
		for *q.to == "" {
			v, err := c.ask(in, q.question, q.fallback)
			if err != nil {
				return fmt.Errorf("no answer to %q: answer it, or give %s", q.question, q.word)
			}
			*q.to = v
		}
	}
	root, err := filepath.Abs(a.Root)
	if err != nil {
		return err
	}
	tables, err := discover(root)
	if err != nil {
		return err
	}
	return c.writeConfig(dir, root, a, tables)
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

func (c *cli) writeConfig(dir, root string, a answers, tables []datadoc.Table) error {
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
  type: csv
  csv:
    root: %s
schedule:
  default: every 6h
`, strconv.Quote(a.Name), strconv.Quote(a.Domain), strconv.Quote(a.Hostname), strconv.Quote(a.Host), strconv.Quote(root))
	files := []struct {
		name, text string
		mode       fs.FileMode
	}{
		{".env", "# Secrets. Variables of the environment win over this file.\nWEBAPP_SECRET_KEY=" + hex.EncodeToString(secret) + "\n", 0o600},
		{"data_description.md", describeTables(tables), 0o640},
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
	if len(tables) == 0 {
		c.say("No CSV file was found in %s: describe your tables in %s.", root, filepath.Join(dir, "data_description.md"))
	}
	c.say("\nNext:\n  look through %s (names, primary keys, types)\n  aida sync\n  aida analyst add NAME \"$(cat key.pub)\"\n  aida serve", filepath.Join(dir, "data_description.md"))
	return nil
}

var unsafe = regexp.MustCompile(`[^a-z0-9_]+`)

// discover proposes a table for each CSV file of a folder, down to one level of folders.
func discover(root string) ([]datadoc.Table, error) {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder: make it, or give another one with --csv-root", root)
	}
	var out []datadoc.Table
	seen := map[string]bool{}
	for _, pattern := range []string{"*.csv", "*/*.csv"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		slices.Sort(paths)
		for _, p := range paths {
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return nil, err
			}
			t := datadoc.Table{Folder: "data", CSV: datadoc.CSVOptions{Path: filepath.ToSlash(rel)}}
			if dir := filepath.Dir(rel); dir != "." {
				t.Folder = strings.Trim(unsafe.ReplaceAllString(strings.ToLower(dir), "_"), "_")
			}
			t.Name = strings.Trim(unsafe.ReplaceAllString(strings.ToLower(strings.TrimSuffix(filepath.Base(rel), ".csv")), "_"), "_")
			if t.ID = t.Folder + "." + t.Name; t.Name == "" || t.Folder == "" || seen[t.ID] {
				continue
			}
			seen[t.ID] = true
			if t.PrimaryKey, err = firstColumn(p); err != nil {
				continue // not CSV that can be read: the admin describes it by hand
			}
			out = append(out, t)
		}
	}
	return out, nil
}

func firstColumn(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	row, err := csv.NewReader(io.LimitReader(f, 1<<20)).Read()
	if err != nil {
		return nil, err
	}
	return []string{strings.TrimPrefix(row[0], "\uFEFF")}, nil
}

func describeTables(tables []datadoc.Table) string {
	var b strings.Builder
	b.WriteString("# Tables\n\nText outside of the yaml block is for people. Check each primary key: the first column was taken.\n\n```yaml\ntables:\n")
	if len(tables) == 0 {
		b.WriteString("  # - id: sales.orders\n  #   name: orders\n  #   description: One row per order\n  #   primary_key: order_id\n  #   sync_strategy: full_refresh\n  #   csv: {path: orders.csv}\n")
	}
	for _, t := range tables {
		fmt.Fprintf(&b, "  - id: %s\n    name: %s\n    description: %s\n    primary_key: [%s]\n    sync_strategy: full_refresh\n    folder: %s\n    csv: {path: %s}\n",
			t.ID, t.Name, strconv.Quote("Rows of "+t.CSV.Path), strconv.Quote(t.PrimaryKey[0]), t.Folder, strconv.Quote(t.CSV.Path))
	}
	b.WriteString("```\n")
	return b.String()
}
