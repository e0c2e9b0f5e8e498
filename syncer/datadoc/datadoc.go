// Package datadoc reads data_description.md, the Markdown file in which an admin describes the company's tables, and the
// further files under docs/datasets. It is the one parser of that file; it knows nothing of sources or of the lake.
//
//	paths, err := datadoc.Find("config", ".")
//	doc, err := datadoc.Load(paths)
package datadoc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aida/config"
	"aida/config/strict"
	"aida/syncer/columnar"

	"github.com/goccy/go-yaml/ast"
)

// Doc is everything that the description files say.
type Doc struct {
	Tables        []Table
	FolderMapping map[string]string // bucket -> folder
	Files         []string
}

// Table is one described table. The yaml tags are the keys of a tables entry.
type Table struct {
	ID                   string     `yaml:"id"`
	Name                 string     `yaml:"name"`
	Description          string     `yaml:"description"`
	PrimaryKey           Words      `yaml:"primary_key"`
	Strategy             string     `yaml:"sync_strategy"`
	IncrementalWindow    int        `yaml:"incremental_window_days"`
	IncrementalColumn    string     `yaml:"incremental_column"`
	PartitionBy          string     `yaml:"partition_by"`
	PartitionGranularity string     `yaml:"partition_granularity"`
	PartitionColumnType  string     `yaml:"partition_column_type"`
	ForeignKeys          []Foreign  `yaml:"foreign_keys"`
	WhereFilters         []Filter   `yaml:"where_filters"`
	RowFilter            string     `yaml:"row_filter"`
	Folder               string     `yaml:"folder"`  // after Load: resolved by folder_mapping and bucket
	Dataset              string     `yaml:"dataset"` // after Load: the folder where the table names none
	MaxHistoryDays       int        `yaml:"max_history_days"`
	InitialLoadChunkDays int        `yaml:"initial_load_chunk_days"`
	QueryMode            string     `yaml:"query_mode"`
	CatalogFQN           string     `yaml:"catalog_fqn"`
	Columns              []Column   `yaml:"columns"`
	Source               string     `yaml:"source"` // connector; "" = data_source.type
	CSV                  CSVOptions `yaml:"csv"`
	OnBadRow             string     `yaml:"on_bad_row"`
	Schedule             string     `yaml:"schedule"`
	Schema               string     `yaml:"schema"`                // evolve, freeze or quarantine
	DeleteColumn         string     `yaml:"delete_column"`         // rows in which it is true or has a time are deleted at the source
	ReconcileEvery       Span       `yaml:"reconcile_every"`       // how often rows that are gone at the source are looked for; 0 = never
	ReconcileMaxRemoved  int        `yaml:"reconcile_max_removed"` // percent of the rows that may leave by it at once; 0 = the default
	MayBeEmpty           bool       `yaml:"may_be_empty"`          // no rows at the source are taken for the truth

	File      string `yaml:"-"`
	Line, Col int    `yaml:"-"`
}

// FullName is folder and name.
func (t Table) FullName() string { return t.Folder + "." + t.Name }

// SetPosition is called by the decoder.
func (t *Table) SetPosition(file string, line, col int) { t.File, t.Line, t.Col = file, line, col }

// Foreign tells that a column holds keys of another table, named by its short name.
type Foreign struct {
	Column      string `yaml:"column"`
	References  string `yaml:"references"`
	Description string `yaml:"description"`
}

// Filter is a condition on rows that the source checks.
type Filter struct {
	Column   string   `yaml:"column"`
	Operator string   `yaml:"operator"`
	Values   []string `yaml:"values"`

	Written []string `yaml:"-"` // the values as the file has them, before {{today}} and the like are resolved
}

// CSVOptions say where a table's CSV text is and how it stands for cells; see the csv connector.
type CSVOptions struct {
	Path            string   `yaml:"path"` // file, folder, glob or URL; "" = the table's id
	Delimiter       string   `yaml:"delimiter"`
	Quote           string   `yaml:"quote"`
	Header          *bool    `yaml:"header"`
	Encoding        string   `yaml:"encoding"`
	NullValues      []string `yaml:"null_values"`
	Decimal         string   `yaml:"decimal"`
	DateFormat      string   `yaml:"date_format"`
	TimestampFormat string   `yaml:"timestamp_format"`
}

// Column is an entry of columns. A list of plain names chooses and orders the columns that are read, as in the reference; a
// list of maps describes columns and declares their types, and all other columns are read too.
type Column struct {
	Name        string
	Plain       bool
	Type        string
	Format      string
	Description string
	Sensitive   bool
	Schema      string // the table's schema contract for this column alone
	RenamedFrom string // the name that the column had at the source before
}

// DecodeNode reads a plain name or a map.
func (c *Column) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if n.Type() != ast.MappingType && n.Type() != ast.MappingValueType {
		c.Name, _ = d.Scalar(path, n)
		c.Plain = true
		return
	}
	var m struct {
		Name        string `yaml:"name"`
		Type        string `yaml:"type"`
		Format      string `yaml:"format"`
		Description string `yaml:"description"`
		Sensitive   bool   `yaml:"sensitive"`
		Schema      string `yaml:"schema"`
		RenamedFrom string `yaml:"renamed_from"`
	}
	d.Object(path, n, &m)
	*c = Column{Name: m.Name, Type: m.Type, Format: m.Format, Description: m.Description, Sensitive: m.Sensitive, Schema: m.Schema, RenamedFrom: m.RenamedFrom}
	if m.Name == "" {
		d.Fail(n, "%s: a column needs a name", path)
	}
	if m.Type != "" {
		if _, err := columnar.ParseType(m.Type); err != nil {
			d.Fail(n, "%s.type: %v", path, err)
		}
	}
}

// Span is a length of time such as 90m, 24h or 7d.
type Span = config.Duration

// Words is a list that may also be written as one text with commas.
type Words []string

// DecodeNode reads a list or a text.
func (w *Words) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		for i, item := range seq.Values {
			if s, ok := d.Scalar(fmt.Sprintf("%s[%d]", path, i), item); ok {
				*w = append(*w, strings.TrimSpace(s))
			}
		}
		return
	}
	s, _ := d.Scalar(path, n)
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*w = append(*w, part)
		}
	}
}

// Find gives the description files: data_description.md of the configuration folder, else of docs/ in the working folder
// or one of its five nearest parents; and docs/datasets/*.md beside the latter, by name.
func Find(configDir, workDir string) ([]string, error) {
	var out []string
	if p := filepath.Join(configDir, "data_description.md"); exists(p) {
		out = append(out, p)
	}
	for range 6 {
		docs := filepath.Join(workDir, "docs")
		if p := filepath.Join(docs, "data_description.md"); len(out) == 0 && exists(p) {
			out = append(out, p)
		}
		more, err := filepath.Glob(filepath.Join(docs, "datasets", "*.md"))
		if err != nil {
			return nil, err
		}
		if slices.Sort(more); len(more) > 0 && len(out) > 0 {
			return append(out, more...), nil
		}
		if len(out) > 0 {
			return out, nil
		}
		workDir = filepath.Join(workDir, "..")
	}
	return nil, fmt.Errorf("there is no data_description.md in %s or in docs/: `aida init` writes one", configDir)
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Load reads files and checks them together.
func Load(paths []string) (*Doc, error) { return LoadWith(paths, os.ReadFile) }

// LoadWith is Load with another way to read a file.
func LoadWith(paths []string, read func(path string) ([]byte, error)) (*Doc, error) {
	doc := &Doc{FolderMapping: map[string]string{}}
	var problems []error
	for _, p := range paths {
		text, err := read(p)
		if err != nil {
			return nil, fmt.Errorf("data description: %w", err)
		}
		problems = append(problems, doc.read(p, text)...)
	}
	return doc, errors.Join(append(problems, doc.resolve()...)...)
}

// Parse reads one text.
func Parse(name string, text []byte) (*Doc, error) {
	doc := &Doc{FolderMapping: map[string]string{}}
	problems := doc.read(name, text)
	return doc, errors.Join(append(problems, doc.resolve()...)...)
}

func (doc *Doc) read(name string, text []byte) (problems []error) {
	doc.Files = append(doc.Files, name)
	text = bytes.TrimPrefix(text, []byte("\uFEFF")) // editors on Windows put a byte order mark there
	blocks, open := fencedIn(text)
	if open >= 0 {
		problems = append(problems, &strict.Problem{File: name, Line: 1 + bytes.Count(text[:open], []byte("\n")), Col: 1, Text: "this yaml block has no end: close it with a line of three backticks"})
	}
	for _, b := range blocks {
		src := strict.Source{Name: name, Text: text[b.from:b.to], Line: bytes.Count(text[:b.from], []byte("\n"))}
		var block struct {
			FolderMapping map[string]string `yaml:"folder_mapping"`
			Tables        []Table           `yaml:"tables"`
		}
		problems = append(problems, strict.DecodeWhen(src, &block, func(keys map[string]bool) bool { // others are examples for people
			return len(keys) == 0 || keys["tables"] || keys["folder_mapping"]
		})...)
		for bucket, folder := range block.FolderMapping {
			doc.FolderMapping[bucket] = folder
		}
		doc.Tables = append(doc.Tables, block.Tables...)
	}
	return problems
}
