package examples_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"aida/config"
	"aida/config/examples"
)

// load writes the examples to a folder, as an admin would, and reads them.
func load(t *testing.T, instance string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	env := strings.Replace(string(examples.Env()), "WEBAPP_SECRET_KEY=", "WEBAPP_SECRET_KEY=0123", 1)
	env = regexp.MustCompile(`(?m)^# ([A-Z_]+)=$`).ReplaceAllString(env, "$1=secret")
	for name, text := range map[string]string{"instance.yaml": instance, ".env": env} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Load(config.Options{ConfigDir: dir, Env: func(string) (string, bool) { return "", false }})
}

func TestTheExampleLoadsAsItIs(t *testing.T) {
	c, err := load(t, string(examples.Instance()))
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("%v, warnings %q", err, c.Warnings)
	}
	if c.Instance.Name != "Riverbank Bikes" || c.Auth.WebappSecretKey.Reveal() != "0123" || c.DataSource.CSV.Root != "/srv/drop" {
		t.Errorf("got %+v", c)
	}
}

// uncomment makes keys of the lines that show one behind a #.
func uncomment(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if m := regexp.MustCompile(`^(\s*)# ((?:  )*(?:- )?[a-z_.\-]+:(?: .*)?\n)$`).FindStringSubmatch(line); m != nil {
			line = m[1] + m[2]
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func TestTheExampleLoadsWithEveryKeyInUse(t *testing.T) {
	c, err := load(t, uncomment(string(examples.Instance())))
	if err != nil || len(c.Warnings) > 0 {
		t.Errorf("%v, warnings %q", err, c.Warnings)
	}
	if missing := unset("", reflect.ValueOf(*c)); len(missing) > 0 {
		t.Errorf("instance.yaml of config/examples does not show %s", strings.Join(missing, ", "))
	}
}

// unset lists the keys that the example's text does not name.
func unset(prefix string, v reflect.Value) (out []string) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			out = append(out, unset(prefix+key+".", f)...)
		case !regexp.MustCompile(`(?m)(^|[ {])` + key + `:`).Match(examples.Instance()):
			out = append(out, prefix+key)
		}
	}
	return out
}

func TestDefaultsThatTheExampleShowsAreTheDefaults(t *testing.T) {
	c, err := load(t, uncomment(string(examples.Instance())))
	if err != nil {
		t.Fatal(err)
	}
	d := config.Defaults()
	for name, pair := range map[string][2]any{
		"listen.ssh": {c.Listen.SSH, d.Listen.SSH}, "listen.http": {c.Listen.HTTP, d.Listen.HTTP}, "lake": {c.Lake, d.Lake}, "quota": {c.Quota, d.Quota}, "ssh": {c.SSH, d.SSH},
		"profiler": {c.Profiler, d.Profiler}, "log_level": {c.LogLevel, d.LogLevel}, "schedule.timezone": {c.Schedule.TimeZone, d.Schedule.TimeZone}, "schedule.jitter": {c.Schedule.Jitter, d.Schedule.Jitter},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: the example shows %v, the default is %v", name, pair[0], pair[1])
		}
	}
}
