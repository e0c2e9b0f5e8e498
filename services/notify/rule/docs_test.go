package rule

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What the documents show is a rule, and the two copies say the same.
func TestTheRulesInTheDocumentsAndTheKitAreRules(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	kit, err := os.ReadFile("../../../assets/kit/docs/ALERTS.md")
	if err != nil || string(kit) != string(doc) {
		t.Errorf("assets/kit/docs/ALERTS.md is not the copy of docs/alerts.md that analysts get: copy it again (%v)", err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/alerts.md shows no rule")
	}
	if _, problems := Parse("alerts.md", text); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	for i := range reflect.TypeFor[keys]().NumField() {
		name := reflect.TypeFor[keys]().Field(i).Tag.Get("yaml")
		if !strings.Contains(text, "\n"+name+":") {
			t.Errorf("docs/alerts.md does not show the key %s", name)
		}
	}
	examples, err := filepath.Glob("../../../assets/kit/examples/notifications/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal(err)
	}
	for _, path := range examples {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := Parse(filepath.Base(path), string(text)); len(problems) > 0 {
			t.Errorf("%v", problems)
		}
	}
}
