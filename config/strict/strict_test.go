package strict_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aida/config/strict"

	"github.com/goccy/go-yaml/ast"
)

// garden is what the tests decode.
type garden struct {
	Name   string            `yaml:"name"`
	Beds   int               `yaml:"beds"`
	Area   float64           `yaml:"area"`
	Open   bool              `yaml:"open"`
	Fence  *bool             `yaml:"fence"`
	Tools  []string          `yaml:"tools"`
	Labels map[string]string `yaml:"labels"`
	Plants []plant           `yaml:"plants"`
	Owner  owner             `yaml:"owner"`
	Water  water             `yaml:"water"`
	Hidden string            `yaml:"-"`
	plain
}

type plant struct {
	Name string `yaml:"name"`
	Rows int    `yaml:"rows"`
	file string
	line int
	col  int
}

func (p *plant) SetPosition(file string, line, col int) { p.file, p.line, p.col = file, line, col }

type owner struct {
	Name string `yaml:"name"`
}

type plain struct {
	Note string `yaml:"note"`
}

// water is a text that is checked while it is read.
type water string

func (w *water) UnmarshalText(text []byte) error {
	if s := string(text); s != "rain" && s != "well" {
		return fmt.Errorf("%q is neither rain nor well", s)
	}
	*w = water(text)
	return nil
}

func decode(text string) (g garden, problems []string) {
	for _, p := range strict.Decode(strict.Source{Name: "garden.yaml", Text: []byte(text)}, &g) {
		problems = append(problems, p.Error())
	}
	return g, problems
}

func TestEveryFormOfAValue(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		text string
		want garden
	}{
		"all kinds": {"name: Kitchen\nbeds: 3\narea: 12.5\nopen: true\nfence: false\ntools: [rake, \"hoe\"]\nlabels: {a: b}\nwater: well\nnote: n\n",
			garden{Name: "Kitchen", Beds: 3, Area: 12.5, Open: true, Fence: &no, Tools: []string{"rake", "hoe"}, Labels: map[string]string{"a": "b"}, Water: "well", plain: plain{"n"}}},
		"texts that look like other things": {"name: 0012\ntools: [true, 1e5, ~, 2026-01-01, null, 'x: y']\n", garden{Name: "0012", Tools: []string{"true", "1e5", "", "2026-01-01", "", "x: y"}}},
		"literal and folded text":           {"name: |\n  two\n  lines\nnote: >-\n  one\n  line\n", garden{Name: "two\nlines\n", plain: plain{"one line"}}},
		"escapes and quotes":                {"name: \"a\\tb\"\nnote: 'it''s'\n", garden{Name: "a\tb", plain: plain{"it's"}}},
		"keys without a value":              {"name:\nbeds: ~\ntools:\nowner:\n", garden{}},
		"comments, CRLF and a mark":         {"\uFEFF# garden\r\nname: K # kitchen\r\n\r\nbeds: 3\r\n", garden{Name: "K", Beds: 3}},
		"a directive and document marks":    {"%YAML 1.2\n---\nname: K\n...\n", garden{Name: "K"}},
		"an anchor that nobody uses":        {"name: &n K\n", garden{Name: "K"}},
		"a tag":                             {"name: !!str 12\n", garden{Name: "12"}},
		"nothing":                           {"# only words\n", garden{}},
	} {
		g, problems := decode(c.text)
		if len(problems) > 0 || !reflect.DeepEqual(g, c.want) {
			t.Errorf("%s:\n got %+v %q\nwant %+v", name, g, problems, c.want)
		}
	}
}

func TestProblemsAreToldWithTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a misspelt key":            {"name: K\nbedz: 1\n", `garden.yaml:2:1: unknown key "bedz": did you mean "beds"?`},
		"a misspelt key deep down":  {"plants:\n  - name: a\n  - nmae: b\n", `garden.yaml:3:5: unknown key "plants[1].nmae": did you mean "name"?`},
		"a key like none":           {"owner:\n  zzzzzzzz: 1\n", `garden.yaml:2:3: unknown key "owner.zzzzzzzz": known here are name`},
		"a field that is no key":    {"Hidden: x\n", `garden.yaml:1:1: unknown key "Hidden"`},
		"a key in other letters":    {"Name: K\n", `garden.yaml:1:1: unknown key "Name": did you mean "name"?`},
		"a key twice":               {"name: a\nbeds: 1\nname: b\n", `garden.yaml:3:1:`},
		"a key twice in a map":      {"labels:\n  a: b\n  a: c\n", `garden.yaml:3:3:`},
		"a word for a number":       {"beds: many\n", `garden.yaml:1:7: beds: "many" is not a whole number`},
		"a fraction":                {"beds: 1.5\n", `garden.yaml:1:7: beds: "1.5" is not a whole number`},
		"a number beyond all":       {"beds: 99999999999999999999\n", `garden.yaml:1:7: beds: "99999999999999999999" is not a whole number`},
		"a number in words":         {"area: 1,5\n", `garden.yaml:1:7: area: "1,5" is not a number`},
		"yes":                       {"open: yes\n", `garden.yaml:1:7: open: "yes" is not true or false`},
		"a text that is checked":    {"water: tap\n", `garden.yaml:1:8: water: "tap" is neither rain nor well`},
		"a text for a list":         {"tools: rake\n", `garden.yaml:1:8: tools: a list is expected here`},
		"a list for a text":         {"name: [K]\n", `garden.yaml:1:7: name: a single value is expected here`},
		"a map for a text":          {"name: {k: v}\n", `name: a single value is expected here`},
		"a list for a map":          {"labels: [a]\n", `garden.yaml:1:9: labels: a map is expected here`},
		"a text for keys":           {"owner: Ada\n", `garden.yaml:1:8: owner: keys with values are expected here`},
		"a list for the document":   {"- a\n", `garden.yaml:1:1: the document: keys with values are expected here`},
		"an item that is a list":    {"tools: [[a]]\n", `tools[0]: a single value is expected here`},
		"an alias":                  {"name: &n K\nnote: *n\n", `garden.yaml:2:7: note: YAML aliases are not read here: write the value out`},
		"a merge":                   {"labels:\n  <<: {a: b}\n", `labels.<<: a single value is expected here`},
		"two documents":             {"name: a\n---\nname: b\n", `there is more than one YAML document`},
		"a bracket that is open":    {"tools: [a\n", `garden.yaml:1:8: sequence end token ']' not found`},
		"lines of Windows":          {"name: K\r\ntools: [a]\r\nbedz: 1\r\n", `garden.yaml:3:1: unknown key "bedz"`},
		"a tab":                     {"owner:\n\tname: a\n", `garden.yaml:2:1:`},
		"a sign that means nothing": {"name: @x\n", `garden.yaml:1:7:`},
		"a colon too many":          {"name: a: b\n", `garden.yaml:1:7:`},
	} {
		_, problems := decode(c.text)
		if all := strings.Join(problems, "\n"); !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", name, all, c.want)
		}
	}
}

func TestAllProblemsAreToldAndTheRestIsRead(t *testing.T) {
	g, problems := decode("nmae: x\nbeds: many\nopen: maybe\narea: 2\nplants:\n  - {name: a, rows: x}\n  - {name: b, rows: 2}\n")
	if len(problems) != 4 || g.Area != 2 || len(g.Plants) != 2 || g.Plants[1].Rows != 2 {
		t.Errorf("got %+v, %q", g, problems)
	}
}

func TestAStructLearnsWhereItStands(t *testing.T) {
	var g garden
	problems := strict.Decode(strict.Source{Name: "d.md", Line: 40, Text: []byte("plants:\n  - name: a\n    rows: 1\n  - {name: b}\n  - rows: x\n")}, &g)
	want := []plant{{"a", 1, "d.md", 42, 5}, {"b", 0, "d.md", 44, 6}, {"", 0, "d.md", 45, 5}}
	if !reflect.DeepEqual(g.Plants, want) {
		t.Errorf("got %+v, want %+v", g.Plants, want)
	}
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "d.md:45:11: plants[2].rows") {
		t.Errorf("problems %v", problems)
	}
}

func TestEveryValueGoesThroughTheFunction(t *testing.T) {
	var g garden
	var paths []string
	problems := strict.Decode(strict.Source{Name: "x", Text: []byte("name: a\ntools: [b, c]\nlabels: {k: d}\nowner: {name: e}\nbeds: f\n"), Value: func(path, text string) string {
		paths = append(paths, path)
		if path == "beds" {
			return "7"
		}
		return text + text
	}}, &g)
	if len(problems) > 0 || g.Name != "aa" || g.Tools[1] != "cc" || g.Labels["k"] != "dd" || g.Owner.Name != "ee" || g.Beds != 7 {
		t.Errorf("got %+v, %v", g, problems)
	}
	if got := strings.Join(paths, " "); got != "name tools[0] tools[1] labels.k owner.name beds" {
		t.Errorf("paths %s", got)
	}
}

func TestTheNearestName(t *testing.T) {
	names := []string{"listen", "lake", "schedule", "sync", "ssh"}
	for word, want := range map[string]string{"liste": "listen", "listne": "listen", "lakes": "lake", "shcedule": "schedule", "snyc": "sync", "xyzzyxyzzy": "", "": ""} {
		if got := strict.Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDeepNestingEndsSoon(t *testing.T) {
	for _, unit := range []string{"[", "{a: ", "- ", "? ", "!x ", "[{"} {
		begun := time.Now()
		if _, problems := decode("name: " + strings.Repeat(unit, 100_000)); len(problems) != 1 {
			t.Errorf("%q: got %q", unit, problems)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("%q took %v", unit, d)
		}
	}
}

func TestADocumentIsReadWhenItsKeysAreWanted(t *testing.T) {
	var v struct {
		Tables []string `yaml:"tables"`
	}
	var seen map[string]bool
	read := func(text string, want bool) []error {
		seen = nil
		return strict.DecodeWhen(strict.Source{Name: "f", Text: []byte(text)}, &v, func(keys map[string]bool) bool { seen = keys; return want })
	}
	if problems := read("tables: [a]\nother: {a: b}\n", false); len(problems) != 0 || len(v.Tables) != 0 || len(seen) != 2 || !seen["tables"] || !seen["other"] {
		t.Errorf("%v %v %v", problems, v, seen)
	}
	if problems := read("tables: [a]\nother: {a: b}\n", true); len(problems) != 1 || len(v.Tables) != 1 {
		t.Errorf("%v %v", problems, v)
	}
	if problems := read("a: [\n", false); len(problems) != 1 {
		t.Errorf("a fault is hidden: %v", problems)
	}
}

// either is a text or a list.
type either []string

func (e *either) DecodeNode(d *strict.Decoder, path string, n ast.Node) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		for _, item := range seq.Values {
			if s, ok := d.Scalar(path, item); ok {
				*e = append(*e, s)
			}
		}
		return
	}
	if n.Type() == ast.MappingType {
		var m struct {
			Only string `yaml:"only"`
		}
		d.Object(path, n, &m)
		*e = either{m.Only}
		return
	}
	if s, ok := d.Scalar(path, n); ok {
		*e = either{s}
	}
}

func TestAValueThatDecodesItself(t *testing.T) {
	for text, want := range map[string]string{"e: a\n": "a", "e: [a, b]\n": "a b", "e: {only: c}\n": "c"} {
		var v struct {
			E either `yaml:"e"`
		}
		if problems := strict.Decode(strict.Source{Text: []byte(text)}, &v); len(problems) > 0 || strings.Join(v.E, " ") != want {
			t.Errorf("%q: got %q, %v", text, v.E, problems)
		}
	}
	var v struct {
		E either `yaml:"e"`
	}
	if problems := strict.Decode(strict.Source{Name: "x", Text: []byte("e: {onyl: c}\n")}, &v); len(problems) != 1 || !strings.Contains(problems[0].Error(), `x:1:5: unknown key "e.onyl": did you mean "only"?`) {
		t.Errorf("got %v", problems)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("name: a\nplants:\n  - {name: b, rows: 1}\n")
	f.Add("a: &x [1, 2]\nb: *x\n")
	f.Add("? a\n: b\n--- |\n  x\n")
	f.Fuzz(func(t *testing.T, text string) {
		var g garden
		for _, p := range strict.Decode(strict.Source{Name: "f", Text: []byte(text)}, &g) {
			if !strings.HasPrefix(p.Error(), "f:") {
				t.Errorf("a problem without its place: %v", p)
			}
		}
	})
}
