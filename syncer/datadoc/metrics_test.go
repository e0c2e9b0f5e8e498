package datadoc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMetricIsReadAsTheReferenceWritesIt(t *testing.T) {
	m, problems := ParseMetric("mrr.yml", []byte(`
- name: mrr
  display_name: Monthly recurring revenue
  category: revenue
  type: sum
  unit: EUR
  grain: monthly
  time_column: month
  description: >
    What customers pay
    each month.
  table: contracts
  expression: SUM(amount)
  dimensions: [country, plan]
  notes:
    - "Join to company via company_id"
  validation:
    method: compared with the ledger
    result: 99.5% on 2026-01-31
  sql: |
    SELECT month, SUM(amount) FROM contracts GROUP BY 1
  sql_by_company: SELECT company_id, SUM(amount) FROM contracts GROUP BY 1
`))
	if problems != nil {
		t.Fatal(problems)
	}
	if m.Name != "mrr" || m.Unit != "EUR" || m.Description != "What customers pay each month.\n" || len(m.Dimensions) != 2 || m.Validation.Method == "" {
		t.Errorf("%+v", m)
	}
	if len(m.SQL) != 2 || m.SQL[0].Key != "sql" || m.SQL[1].Key != "sql_by_company" || !strings.HasPrefix(m.SQL[0].Query, "SELECT month") {
		t.Errorf("%+v", m.SQL)
	}
	if j := m.Joins(); len(j) != 1 || j[0].Table != "company" || j[0].Via != "company_id" {
		t.Errorf("%+v", j)
	}
	if m, problems = ParseMetric("a.yml", []byte("name: a\nvalidation: does not match\n")); problems != nil || m.Validation.Result != "does not match" || m.DisplayName != "a" {
		t.Errorf("%+v %v", m, problems)
	}
}

// Each mistake is told with file and line, and leaves the other metrics alone.
func TestAMetricFileThatIsWrongSaysWhereAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"revenue/empty.yml": "", "revenue/comment.yml": "# nothing\n", "revenue/list.yml": "- name: a\n- name: b\n", "revenue/key.yml": "name: a\ndescripton: x\n",
		"revenue/scalar.yml": "hello", "revenue/broken.yml": "name: [a\n", "revenue/noname.yml": "- description: x\n", "revenue/twice.yml": "name: a\nsql: b\nsql: c\n",
		"Revenue/upper.yml": "name: a\n", "revenue/2fa.yml": "name: two_factor\n", "revenue/good.yml": "name: good\n", "revenue/good.yaml": "name: good\n", "metrics.yml": "index: true\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "revenue", "leak.yml")); err != nil {
		t.Fatal(err)
	}
	list, err := LoadMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"revenue/empty.yml": "empty.yml:1:1: the file defines no metric", "revenue/comment.yml": "comment.yml:1:1: the file defines no metric", "revenue/list.yml": "this list has 2",
		"revenue/key.yml": `key.yml:2:1: unknown key "descripton": did you mean "description"?`, "revenue/scalar.yml": "keys with values are expected", "revenue/broken.yml": "broken.yml:1",
		"revenue/noname.yml": "name needs a value", "revenue/twice.yml": "twice", "Revenue/upper.yml": "in lower case", "revenue/2fa.yml": "", "revenue/good.yml": "defines the same metric",
		"revenue/good.yaml": "", "revenue/leak.yml": "cannot be read",
	}
	if len(list) != len(want) {
		t.Errorf("%d metrics, want %d", len(list), len(want))
	}
	for _, m := range list {
		if w := want[m.Path]; w == "" && m.Problem != "" || !strings.Contains(m.Problem, w) {
			t.Errorf("%s: %q, want %q", m.Path, m.Problem, w)
		}
	}
}
