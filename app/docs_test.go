package app

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"aida/config"

	"github.com/spf13/cobra"
)

// Every key that instance.yaml may have stands in docs/configuration.md, and nothing else does.
func TestEachConfigurationKeyIsDocumented(t *testing.T) {
	text := readDoc(t, "../docs/configuration.md")
	documented := map[string]bool{}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		first := ""
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			key := m[1]
			if strings.HasPrefix(key, ".") {
				key = first[:strings.LastIndexByte(first, '.')] + key
			}
			first = key
			documented[key] = true
		}
	}
	known := map[string]bool{}
	keysOf("", reflect.TypeFor[config.Config](), known)
	for k := range known {
		if !documented[k] {
			t.Errorf("docs/configuration.md does not tell of %s", k)
		}
	}
	for k := range documented {
		if !known[k] {
			t.Errorf("docs/configuration.md tells of %s, which is no key", k)
		}
	}
}

func keysOf(prefix string, t reflect.Type, out map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		if tag == "-" || tag == "" {
			continue
		}
		switch ft := f.Type; {
		case ft.Kind() == reflect.Struct:
			keysOf(prefix+tag+".", ft, out)
		case ft.Kind() == reflect.Map && ft.Elem().Kind() == reflect.Struct:
			keysOf(prefix+tag+".NAME.", ft.Elem(), out)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			out[prefix+tag+"[]"] = true
		default:
			out[prefix+tag] = true
		}
	}
}

// Every command has an example, and those of the documents exist.
func TestEachCommandHasAnExample(t *testing.T) {
	root := newRoot(&cli{})
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() != "help" && c.Name() != "completion" && !c.Hidden && c.Example == "" && !strings.HasPrefix(c.CommandPath(), "aida completion") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	use := regexp.MustCompile("(?m)(?:^ {4}|`)aida ([a-z-]+)(?: ([a-z]+))?")
	for _, doc := range []string{"../README.md", "../CLAUDE.md", "../docs/admin.md", "../docs/alerts.md", "../docs/analyst.md", "../docs/configuration.md", "../docs/data-description.md"} {
		for _, m := range use.FindAllStringSubmatch(readDoc(t, doc), -1) {
			c, _, err := root.Find([]string{m[1]})
			if err != nil || c == root {
				t.Errorf("%s: there is no command aida %s", doc, m[1])
			}
		}
	}
}

// Links between documents lead to files.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, doc := range []string{"README.md", "CLAUDE.md", "docs/admin.md", "docs/alerts.md", "docs/analyst.md", "docs/architecture.md", "docs/configuration.md", "docs/data-description.md", "docs/performance.md", "docs/scripts.md"} {
		dir := ""
		if strings.HasPrefix(doc, "docs/") {
			dir = "docs/"
		}
		for _, m := range link.FindAllStringSubmatch(readDoc(t, "../"+doc), -1) {
			if _, err := os.Stat("../" + dir + m[1]); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
