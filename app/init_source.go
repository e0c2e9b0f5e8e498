package app

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"aida/config"
	"aida/syncer/csv"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"

	"golang.org/x/term"
)

// sourceSetup is what the choice of a source adds to the configuration.
type sourceSetup struct {
	yaml   string // of data_source
	env    string // lines of .env
	tables []proposal
	note   string // above the tables
	none   string // what to do when there are none
}

// keboolaAddress tells the address of a stack from a folder.
var keboolaAddress = regexp.MustCompile(`^(https?://.*|[a-z0-9.-]+\.keboola\.com/?)$`)

func (c *cli) setUpSource(ctx context.Context, in *bufio.Reader, a answers) (*sourceSetup, error) {
	where := a.Source
	if project, ok := strings.CutPrefix(where, bigQueryPlace); ok {
		return c.setUpBigQuery(ctx, project, a.Endpoint)
	}
	if keboolaAddress.MatchString(where) {
		return c.setUpKeboola(ctx, in, where)
	}
	root, err := filepath.Abs(where)
	if err != nil {
		return nil, err
	}
	tables, err := c.proposeFiles(config.CSV{Root: root})
	if err != nil {
		return nil, err
	}
	return &sourceSetup{yaml: "  type: csv\n  csv:\n    root: " + strconv.Quote(root) + "\n", tables: tables,
		note: "Check each primary key: it was guessed from names and from the first rows.", none: "No CSV file was found in " + root}, nil
}

// setUpKeboola asks for the token, shows whose it is, and lists the project's tables.
func (c *cli) setUpKeboola(ctx context.Context, in *bufio.Reader, stack string) (*sourceSetup, error) {
	token, err := c.keboolaToken(in)
	if err != nil {
		return nil, err
	}
	src, err := keboola.New(keboola.Options{StackURL: stack, Token: token})
	if err != nil {
		return nil, err
	}
	project, tables, err := src.Discover(ctx)
	if err != nil {
		return nil, err
	}
	c.say("The token belongs to the Keboola project %s (%s), which has %d tables that it may read.", project.ID, project.Name, len(tables))
	return &sourceSetup{
		yaml: fmt.Sprintf("  type: keboola\n  keboola:\n    stack_url: %s\n    project_id: %s\n    storage_token: ${KEBOOLA_STORAGE_TOKEN}\n",
			strconv.Quote(stack), strconv.Quote(project.ID)),
		env: "KEBOOLA_STORAGE_TOKEN=" + token.Reveal() + "\n", tables: proposeKeboola(tables),
		note: "Look through names, keys and strategies; tables that nobody needs can go.", none: "The project has no table with a primary key",
	}, nil
}

// keboolaToken takes the token from the environment or asks for it, unseen. There is no flag, as others see a command's flags.
func (c *cli) keboolaToken(in *bufio.Reader) (config.Secret, error) {
	if v := os.Getenv("KEBOOLA_STORAGE_TOKEN"); v != "" {
		return config.Secret(v), nil
	}
	const question = "Storage API token (it needs to read the tables)"
	if f, ok := c.in.(*os.File); ok && terminal(c.in) {
		fmt.Fprint(c.err, question+": ")
		v, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.err)
		return config.Secret(strings.TrimSpace(string(v))), err
	}
	v, err := c.ask(in, question, "")
	if err != nil {
		return "", fmt.Errorf("no answer to %q: answer it, or set KEBOOLA_STORAGE_TOKEN", question)
	}
	return config.Secret(v), nil
}

var unsafe = regexp.MustCompile(`[^a-z0-9_]+`)

// proposeFiles proposes a table for each CSV file, or set of files, of a folder and of the folders in it.
func (c *cli) proposeFiles(files config.CSV) ([]proposal, error) {
	if info, err := os.Stat(files.Root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder: make it, or give another one with --csv-root", files.Root)
	}
	src, err := csvSource(files)
	if err != nil {
		return nil, err
	}
	found, skipped, err := src.Discover()
	if err != nil {
		return nil, err
	}
	for _, s := range skipped {
		c.say("%s was passed over: %s.", s.File, s.Reason)
	}
	var out []proposal
	seen := map[string]string{}
	for _, f := range found {
		t := datadoc.Table{Folder: "data", CSV: f.Format, PrimaryKey: f.PrimaryKey, Description: "Rows of " + f.Format.Path}
		if dir := path.Dir(f.Format.Path); dir != "." {
			t.Folder = strings.Trim(unsafe.ReplaceAllString(strings.ToLower(dir), "_"), "_")
		}
		t.Name = strings.Trim(unsafe.ReplaceAllString(strings.ToLower(csv.Stem(f.Format.Path)), "_"), "_")
		t.ID = t.Folder + "." + t.Name
		if t.Name == "" || t.Folder == "" {
			c.say("%s was passed over: no name for a table can be made of it.", f.Format.Path)
			continue
		}
		if other := seen[t.ID]; other != "" {
			c.say("%s was passed over: %s is the table %s already.", f.Format.Path, other, t.ID)
			continue
		}
		seen[t.ID] = f.Format.Path
		p := proposal{Table: t, Bucket: t.Folder, Rows: -1}
		for _, name := range f.Columns {
			p.Columns = append(p.Columns, datadoc.Column{Name: name})
		}
		out = append(out, p)
	}
	return out, nil
}
