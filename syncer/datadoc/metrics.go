package datadoc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"aida/config/strict"
	"aida/store"

	"github.com/goccy/go-yaml/ast"
)

// FindMetrics gives the folder of metric definitions: metrics of the configuration folder, else docs/metrics in the working
// folder or one of its five nearest parents; "" when there is none.
func FindMetrics(configDir, workDir string) string {
	if p := filepath.Join(configDir, "metrics"); isDir(p) {
		return p
	}
	for range 6 {
		if p := filepath.Join(workDir, "docs", "metrics"); isDir(p) {
			return p
		}
		workDir = filepath.Join(workDir, "..")
	}
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Bounds of what is read.
const (
	maxMetrics    = 2000
	maxMetricFile = 256 << 10
)

var metricPath = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_.-]*\.ya?ml$`)

// LoadMetrics reads every <category>/<name>.yml below a folder. A file that cannot be read as a metric is in the list with
// its Problem, which names file and line; the error is of the folder as a whole.
func LoadMetrics(dir string) ([]store.Metric, error) {
	root, err := os.OpenRoot(dir) // a link that leads out of the folder is not followed
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer root.Close()
	var out []store.Metric
	seen := map[string]string{}
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := path.Ext(p)
		if d.IsDir() || ext != ".yml" && ext != ".yaml" || !strings.Contains(p, "/") {
			return nil // metrics.yml, the index of the reference, stands on top
		}
		if len(out) == maxMetrics {
			return fmt.Errorf("there are more than %d files", maxMetrics)
		}
		m := readMetric(root, filepath.Join(dir, p), p)
		id := strings.TrimSuffix(p, ext)
		if other, twice := seen[id]; twice && m.Problem == "" {
			m = store.Metric{Path: m.Path, Text: m.Text, Problem: fmt.Sprintf("%s:1:1: %s defines the same metric: keep one of the two", filepath.Join(dir, p), other)}
		}
		seen[id] = p
		out = append(out, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("metrics in %s: %w", dir, err)
	}
	return out, nil
}

func readMetric(root *os.Root, name, p string) store.Metric {
	fail := func(format string, args ...any) store.Metric {
		return store.Metric{Path: p, Problem: fmt.Sprintf(format, args...)}
	}
	if !metricPath.MatchString(p) {
		return fail("%s:1:1: a metric is a file <category>/<name>.yml, both in lower case letters, digits, _ and -", name)
	}
	info, err := root.Stat(p)
	if err == nil && info.Size() > maxMetricFile {
		return fail("%s:1:1: the file is larger than %d KiB", name, maxMetricFile>>10)
	}
	text, err := root.ReadFile(p)
	if err != nil {
		return fail("%s:1:1: the file cannot be read: %v", name, errors.Unwrap(err))
	}
	m, problems := ParseMetric(name, text)
	if len(problems) > 0 {
		m = store.Metric{Problem: strings.ReplaceAll(strict.Join(problems).Error(), "\n", "; ")}
	}
	if m.Path, m.Text = p, string(text); m.Category == "" {
		m.Category = path.Dir(p)
	}
	return m
}

// ParseMetric reads one definition: a list with one object, or the object alone.
func ParseMetric(name string, text []byte) (store.Metric, []error) {
	var f metricFile
	problems := strict.Decode(strict.Source{Name: name, Text: text}, &f)
	if len(problems) == 0 && !f.read {
		problems = []error{&strict.Problem{File: name, Line: 1, Col: 1, Text: "the file defines no metric: write its name, description, table and sql"}}
	}
	if len(problems) == 0 && f.Name == "" {
		problems = []error{&strict.Problem{File: name, Line: f.line, Col: f.col, Text: "name needs a value"}}
	}
	m := f.Metric
	if m.DisplayName == "" {
		m.DisplayName = m.Name
	}
	return m, problems
}

// metricFile is a definition as it is written.
type metricFile struct {
	store.Metric
	read      bool
	line, col int
}

// metricKeys are the keys of a definition besides those that begin with sql.
type metricKeys struct {
	Name        string     `yaml:"name"`
	DisplayName string     `yaml:"display_name"`
	Category    string     `yaml:"category"`
	Type        string     `yaml:"type"`
	Unit        string     `yaml:"unit"`
	Grain       string     `yaml:"grain"`
	TimeColumn  string     `yaml:"time_column"`
	Description string     `yaml:"description"`
	Table       string     `yaml:"table"`
	Tables      Words      `yaml:"tables"`
	Expression  string     `yaml:"expression"`
	Dimensions  lines      `yaml:"dimensions"`
	Synonyms    lines      `yaml:"synonyms"`
	Notes       lines      `yaml:"notes"`
	Validation  validation `yaml:"validation"`
	Guide       string     `yaml:"cost_allocation_guide"`
}

// titled are the keys of the reference that hold SQL and do not begin with sql.
var titled = []string{"by_company", "by_technology", "by_action", "customer_vs_internal", "singletenant_allocation", "multitenant_allocation"}

// DecodeNode reads the one metric of a file.
func (f *metricFile) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if list, ok := n.(*ast.SequenceNode); ok {
		if len(list.Values) != 1 {
			d.Fail(n, "one metric per file is expected here, this list has %d", len(list.Values))
			return
		}
		n = list.Values[0]
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		f.line, f.col = t.Position.Line, t.Position.Column
	}
	whole := &ast.MappingNode{}
	switch m := n.(type) {
	case *ast.MappingNode:
		*whole = *m
	case *ast.MappingValueNode:
		whole.Start, whole.Values = m.Start, []*ast.MappingValueNode{m}
	default:
		d.Fail(n, "keys with values are expected here: name, description, table, sql")
		return
	}
	f.read = true
	var rest []*ast.MappingValueNode
	for _, pair := range whole.Values {
		key := ""
		if t := pair.Key.GetToken(); t != nil {
			key = t.Value
		}
		switch {
		case key != "sql" && !strings.HasPrefix(key, "sql_") && !slices.Contains(titled, key):
			rest = append(rest, pair)
		case slices.ContainsFunc(f.SQL, func(q store.MetricSQL) bool { return q.Key == key }):
			d.Fail(pair.Key, "key %q is given twice", key)
		default:
			if query, ok := d.Scalar(key, pair.Value); ok && strings.TrimSpace(query) != "" {
				f.SQL = append(f.SQL, store.MetricSQL{Key: key, Query: strings.TrimSpace(query)})
			}
		}
	}
	var k metricKeys
	if whole.Values = rest; len(rest) > 0 {
		d.Object(path, whole, &k)
	}
	sql := f.SQL
	f.Metric = store.Metric{Name: strings.TrimSpace(k.Name), DisplayName: strings.TrimSpace(k.DisplayName), Category: strings.TrimSpace(k.Category), Type: k.Type, Unit: k.Unit,
		Grain: k.Grain, TimeColumn: k.TimeColumn, Description: k.Description, Table: strings.TrimSpace(k.Table), Tables: k.Tables, Expression: k.Expression,
		Dimensions: k.Dimensions, Synonyms: k.Synonyms, Notes: k.Notes, Guide: k.Guide, SQL: sql}
	if k.Validation != (validation{}) {
		f.Validation = &store.MetricValidation{Method: k.Validation.Method, Result: k.Validation.Result}
	}
}

// lines is a list of texts, or one text.
type lines []string

// DecodeNode reads a list or a text.
func (l *lines) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	for i, item := range items {
		if s, ok := d.Scalar(fmt.Sprintf("%s[%d]", path, i), item); ok && strings.TrimSpace(s) != "" {
			*l = append(*l, strings.TrimSpace(s))
		}
	}
}

// validation is a text, or method and result.
type validation struct{ Method, Result string }

// DecodeNode reads either form.
func (v *validation) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if n.Type() != ast.MappingType && n.Type() != ast.MappingValueType {
		v.Result, _ = d.Scalar(path, n)
		return
	}
	var m struct {
		Method string `yaml:"method"`
		Result string `yaml:"result"`
	}
	d.Object(path, n, &m)
	v.Method, v.Result = m.Method, m.Result
}
