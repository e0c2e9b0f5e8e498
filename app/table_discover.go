package app

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"aida/config"
	"aida/syncer/datadoc"
	"aida/syncer/keboola"

	"github.com/spf13/cobra"
)

func discoverCommand(c *cli) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "discover [BUCKET...]", Short: "Describe the tables of the source that are not described yet",
		Long: "Lists the tables of the Keboola project (or of the named buckets), of the BigQuery project, or the files in the CSV folder, and adds\n" +
			"those that data_description.md does not have to its end, with keys and descriptions as the source has them. What is there stays as it\n" +
			"is. Of a CSV file delimiter, encoding and key are guessed from its begin; files that differ by a number in their names are one table.",
		Example: "  aida table discover --dry-run\n  aida table discover in.c-crm",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(c.options())
			if err != nil {
				return err
			}
			return c.discover(cmd.Context(), cfg, args, dry)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list what there is")
	return cmd
}

// proposal is a table that a source has.
type proposal struct {
	datadoc.Table
	Bucket string
	Rows   int64 // -1 = not known
}

// discovered is a line of the command's output.
type discovered struct {
	ID         string   `json:"id"`
	State      string   `json:"state"` // described, new, or no primary key
	PrimaryKey []string `json:"primary_key"`
	Rows       int64    `json:"rows"` // -1 = not known
	Columns    int      `json:"columns"`
}

func (c *cli) discover(ctx context.Context, cfg *config.Config, buckets []string, dry bool) error {
	found, err := c.proposals(ctx, cfg)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if !slices.ContainsFunc(found, func(p proposal) bool { return p.Bucket == b }) {
			return fmt.Errorf("there is no bucket %s with tables: see `aida table discover --dry-run`", b)
		}
	}
	if len(buckets) > 0 {
		found = slices.DeleteFunc(found, func(p proposal) bool { return !slices.Contains(buckets, p.Bucket) })
	}
	have, err := readDescription(cfg.Dir)
	if err != nil {
		return err
	}
	var fresh []proposal
	list := []discovered{}
	for _, p := range found {
		d := discovered{ID: p.ID, State: "described", PrimaryKey: p.PrimaryKey, Rows: p.Rows, Columns: len(p.Columns)}
		if !have.mentions(p) {
			if d.State = "new"; len(p.PrimaryKey) == 0 {
				d.State = "no primary key"
			}
			fresh = append(fresh, p)
		}
		list = append(list, d)
	}
	if !dry && len(fresh) > 0 {
		if err := have.add(fresh); err != nil {
			return err
		}
	}
	return c.showDiscovered(list, have.file, dry)
}

func (c *cli) showDiscovered(list []discovered, file string, dry bool) error {
	if c.json {
		return c.printJSON(list)
	}
	var rows [][]string
	count := map[string]int{}
	for _, d := range list {
		count[d.State]++
		size := "?"
		if d.Rows >= 0 {
			size = strconv.FormatInt(d.Rows, 10)
		}
		rows = append(rows, []string{d.ID, strings.Join(d.PrimaryKey, ", "), size, strconv.Itoa(d.Columns), d.State})
	}
	if !c.quiet {
		columnsOut(c.out, "TABLE | PRIMARY KEY | ROWS | COLUMNS | STATE", rows)
	}
	switch fresh := count["new"] + count["no primary key"]; {
	case fresh == 0:
		c.say("Nothing is new: %s described.", counted(len(list), "table is", "tables are"))
	case dry:
		c.say("%s not described yet: without --dry-run added to %s.", counted(fresh, "table is", "tables are"), file)
	default:
		c.say("Added %s to %s.", counted(fresh, "table", "tables"), file)
	}
	if n := count["no primary key"]; n > 0 && !dry {
		c.say("%d of them have no primary key and are commented out: name the columns that tell rows apart.", n)
	}
	return nil
}

// proposals asks the default source what it has.
func (c *cli) proposals(ctx context.Context, cfg *config.Config) ([]proposal, error) {
	switch kind := defaultSource(cfg); kind {
	case "keboola":
		src, err := keboolaSource(cfg)
		if err != nil {
			return nil, err
		}
		project, tables, err := src.Discover(ctx)
		if err != nil {
			return nil, err
		}
		c.say("Keboola project %s (%s): %s.", project.ID, project.Name, counted(len(tables), "table", "tables"))
		return proposeKeboola(tables), nil
	case "bigquery":
		src, err := bigQuerySource(cfg, nil)
		if err != nil {
			return nil, err
		}
		defer src.Close()
		tables, err := src.Discover(ctx)
		if err != nil {
			return nil, err
		}
		c.say("BigQuery project %s: %d tables and views.", cfg.DataSource.BigQuery.Project, len(tables))
		return proposeBigQuery(tables), nil
	case "csv":
		return c.proposeFiles(cfg.DataSource.CSV)
	default:
		return nil, fmt.Errorf("the tables of %s cannot be listed: describe them in data_description.md", kind)
	}
}

// proposeKeboola describes tables as the project does.
func proposeKeboola(tables []keboola.Table) (out []proposal) {
	folders := foldersOf(tables)
	for _, t := range tables {
		p := proposal{Bucket: t.Bucket, Rows: t.Rows, Table: datadoc.Table{ID: t.ID, Folder: folders[t.Bucket], PrimaryKey: t.PrimaryKey,
			Name: t.ID[strings.LastIndexByte(t.ID, '.')+1:], Description: cmp.Or(t.Description, "Table "+t.Name+" of bucket "+t.Bucket)}}
		for _, c := range t.Columns {
			p.Columns = append(p.Columns, datadoc.Column{Name: c.Name, Description: c.Description})
		}
		out = append(out, p)
	}
	return out
}

// foldersOf names a folder for each bucket: crm for in.c-crm, in_crm when there is out.c-crm too, and else the bucket's id.
func foldersOf(tables []keboola.Table) map[string]string {
	out, wanted := map[string]string{}, map[string]int{}
	short := func(bucket string) string {
		_, name, _ := strings.Cut(bucket, ".")
		return strings.Trim(unsafe.ReplaceAllString(strings.ToLower(strings.TrimPrefix(name, "c-")), "_"), "_")
	}
	for _, t := range tables {
		if _, seen := out[t.Bucket]; !seen {
			out[t.Bucket] = ""
			wanted[short(t.Bucket)]++
		}
	}
	taken := map[string]bool{}
	for _, t := range tables {
		if out[t.Bucket] != "" {
			continue
		}
		folder := short(t.Bucket)
		if wanted[folder] > 1 || folder == "" {
			stage, _, _ := strings.Cut(t.Bucket, ".")
			folder = stage + "_" + folder
		}
		if taken[folder] {
			folder = t.Bucket
		}
		taken[folder], out[t.Bucket] = true, folder
	}
	return out
}

// description is the description files as they are now.
type description struct {
	file string // that tables are added to
	doc  *datadoc.Doc
	text string // of all files
	old  []byte // of file; nil = there is none
}

func readDescription(configDir string) (*description, error) {
	d := &description{file: filepath.Join(configDir, "data_description.md"), doc: &datadoc.Doc{}}
	work, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	paths, err := datadoc.Find(configDir, work)
	if err != nil {
		return d, nil // none yet
	}
	if d.doc, err = datadoc.Load(paths); err != nil && len(d.doc.Tables) > 0 {
		return nil, err
	}
	for i, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		if d.text += string(text); i == 0 {
			d.file, d.old = p, text
		}
	}
	return d, nil
}

// mentions tells whether a table is described, by its id or by its files, or was proposed before and is still commented out.
func (d *description) mentions(p proposal) bool {
	return slices.ContainsFunc(d.doc.Tables, p.is) || strings.Contains(d.text, "id: "+p.ID+"\n")
}

// is tells whether a described table is the one that is proposed.
func (p proposal) is(t datadoc.Table) bool {
	if t.ID == p.ID {
		return true
	}
	matched, err := path.Match(p.CSV.Path, t.CSV.Path)
	return err == nil && matched && t.CSV.Path != ""
}

// withoutKey counts tables for which no key was found.
func withoutKey(tables []proposal) (n int) {
	for _, p := range tables {
		if len(p.PrimaryKey) == 0 {
			n++
		}
	}
	return n
}

// add writes tables to the end of the file, all or none.
func (d *description) add(tables []proposal) error {
	text := string(d.old)
	if text == "" {
		text = "# Tables\n\nText outside of the yaml blocks is for people. Look through names, keys and strategies.\n"
	}
	text = strings.TrimRight(text, "\n") + "\n\n" + describeProposals(tables, d.doc.FolderMapping)
	if _, err := datadoc.Parse(d.file, []byte(text)); err != nil && withoutKey(tables) < len(tables) {
		return fmt.Errorf("the tables were not added: %w", err)
	}
	return writeWhole(d.file, []byte(text))
}

// describeProposals writes a yaml block. Tables without a key are comments, as a description needs one.
func describeProposals(tables []proposal, mapped map[string]string) string {
	var b strings.Builder
	b.WriteString("```yaml\n")
	b.WriteString(folderMapping(tables, mapped))
	b.WriteString("tables:\n")
	for _, p := range tables {
		entry := describeProposal(p)
		if len(p.PrimaryKey) > 0 {
			b.WriteString(entry)
			continue
		}
		b.WriteString("  # The next table has no primary key that could be found: name the columns that tell its rows apart, and take the # away.\n")
		for line := range strings.Lines(entry) {
			b.WriteString("  # " + strings.TrimPrefix(line, "  "))
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// folderMapping maps buckets that are not mapped yet; a folder that is no bucket's is a table's own key.
func folderMapping(tables []proposal, mapped map[string]string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, p := range tables {
		if _, done := mapped[p.Bucket]; done || seen[p.Bucket] || p.Bucket == p.Folder {
			continue
		}
		seen[p.Bucket] = true
		fmt.Fprintf(&b, "  %s: %s\n", p.Bucket, p.Folder)
	}
	if b.Len() == 0 {
		return ""
	}
	return "folder_mapping:\n" + b.String()
}

func describeProposal(p proposal) string {
	var b strings.Builder
	var key []string
	for _, k := range p.PrimaryKey {
		key = append(key, strconv.Quote(k))
	}
	fmt.Fprintf(&b, "  - id: %s\n    name: %s\n    description: %s\n    primary_key: [%s]\n    sync_strategy: full_refresh", p.ID, p.Name, strconv.Quote(p.Description), strings.Join(key, ", "))
	if p.Rows >= 5_000_000 {
		fmt.Fprintf(&b, " # it has %d rows: incremental reads only what changed", p.Rows)
	}
	b.WriteString("\n")
	if p.Bucket == p.Folder {
		fmt.Fprintf(&b, "    folder: %s\n", p.Folder)
	}
	if p.CSV.Path != "" {
		fmt.Fprintf(&b, "    csv: {path: %s", strconv.Quote(p.CSV.Path))
		for _, k := range [][2]string{{"delimiter", p.CSV.Delimiter}, {"encoding", p.CSV.Encoding}, {"decimal", p.CSV.Decimal}} {
			if k[1] != "" {
				fmt.Fprintf(&b, ", %s: %s", k[0], strconv.Quote(k[1]))
			}
		}
		b.WriteString("}\n")
	}
	var columns []string
	for _, c := range p.Columns {
		if c.Description != "" {
			columns = append(columns, fmt.Sprintf("      - {name: %s, description: %s}\n", strconv.Quote(c.Name), strconv.Quote(c.Description)))
		}
	}
	if columns != nil {
		b.WriteString("    columns:\n" + strings.Join(columns, ""))
	}
	return b.String()
}
