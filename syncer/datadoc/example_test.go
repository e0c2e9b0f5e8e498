package datadoc

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"aida/config/examples"
)

func TestTheAnnotatedExampleLoadsAndShowsEveryKey(t *testing.T) {
	text := examples.Description()
	doc, err := Parse("data_description.md", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Tables) != 5 || doc.Tables[0].FullName() != "commerce.bike_models" || doc.FolderMapping["in.c-shop"] != "commerce" {
		t.Errorf("got %+v", doc)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Table](), reflect.TypeFor[CSVOptions](), reflect.TypeFor[Foreign](), reflect.TypeFor[Filter]()} {
		for i := range typ.NumField() {
			key := typ.Field(i).Tag.Get("yaml")
			if key != "" && key != "-" && !regexp.MustCompile(`(?m)(^ *|[ {-] ?)`+key+`:`).Match(text) {
				t.Errorf("the example does not show %s", key)
			}
		}
	}
}

func TestNamesThatWouldNotBeOneFileAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "a/b", `a\b`, ".hidden", "a..b", "-x", "orders.parquet", "x.PARQUET", "naïve", "a b", strings.Repeat("x", 200)} {
		text := "```yaml\ntables:\n  - {id: s.t, name: '" + name + "', description: d, primary_key: k, sync_strategy: full_refresh}\n```\n"
		if _, err := Parse("d.md", []byte(text)); err == nil || !strings.Contains(err.Error(), "cannot be a file name") {
			t.Errorf("%s: got %v", name, err)
		}
		text = strings.Replace(text, "name: '"+name+"'", "name: t, folder: '"+name+"'", 1)
		if _, err := Parse("d.md", []byte(text)); err == nil && !strings.HasSuffix(strings.ToLower(name), ".parquet") {
			t.Errorf("folder %s was taken", name)
		}
	}
}

func TestAByteOrderMarkAndFencesOfOtherKindsDoNoHarm(t *testing.T) {
	block := "```yaml\ntables:\n  - {id: s.t, name: t, description: d, primary_key: k, sync_strategy: full_refresh}\n```\n"
	for name, text := range map[string]string{
		"a mark before the block": "\uFEFF" + block, "a block of another language": "```json\n{}\n```\n" + block,
		"an example for people": block + "```yaml\nfoo: bar\n```\n",
	} {
		doc, err := Parse("d.md", []byte(text))
		if err != nil || len(doc.Tables) != 1 {
			t.Errorf("%s: got %+v, %v", name, doc, err)
		}
	}
	if _, err := Parse("d.md", []byte(block+"\n```yaml\ntables:\n  - {id: never}\n")); err == nil || !strings.Contains(err.Error(), "d.md:6:1: this yaml block has no end") {
		t.Errorf("a block without an end: %v", err)
	}
}
