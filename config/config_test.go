package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const minimal = `
instance:
  name: Riverbank
auth:
  allowed_domain: example.com
  webapp_secret_key: ${SECRET_KEY}
server:
  host: 192.0.2.1
  hostname: data.example.com
`

func load(t *testing.T, yaml, dotenv string, env map[string]string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"instance.yaml": yaml, ".env": dotenv} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(Options{ConfigDir: dir, Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
}

func TestDefaultsInterpolationAndTheEnvironment(t *testing.T) {
	c, err := load(t, minimal+"lake:\n  keep: 7d\nquota:\n  home: 500MB\nlisten:\n  ssh: 127.0.0.1:2022\ntelegram:\n  bot_token: ${NOT_SET}x\n",
		"# comment\nexport SECRET_KEY=\"from # file\"\nJIRA_DOMAIN= # none\nSERVER_HOST=file\n", map[string]string{"SERVER_HOST": "10.1.1.1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Auth.WebappSecretKey.Reveal() != "from # file" || c.Server.Host != "10.1.1.1" || time.Duration(c.Lake.Keep) != 7*24*time.Hour ||
		c.Quota.Home != 500_000_000 || c.Listen.SSH != "127.0.0.1:2022" || c.Listen.HTTP != ":8080" || c.Lake.KeepGenerations != 3 || c.Telegram.BotToken.Reveal() != "x" {
		t.Errorf("got %+v", c)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "telegram.bot_token: ${NOT_SET}") {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	_, err := load(t, `instance:
  nmae: Riverbank
  name: Riverbank
lake:
  keep: soon
  keep_generations: many
data_source:
  csv:
    on_bad_row: maybe
liste:
  ssh: :1
datasets:
  jira_files: {requires: jira}
admins: none
`, "", nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`instance.yaml:2:3: unknown key "instance.nmae": did you mean "name"?`,
		`instance.yaml:5:9: lake.keep: "soon" is not a length of time`,
		`instance.yaml:6:21: lake.keep_generations: "many" is not a whole number`,
		`instance.yaml:10:1: unknown key "liste": did you mean "listen"?`,
		`data_source.csv.on_bad_row: "maybe" is not one of fail, quarantine`,
		`datasets.jira_files.requires: dataset "jira" is not declared`,
		`admins: a list is expected here`,
		`these keys need a value: auth.allowed_domain, server.host, server.hostname, auth.webapp_secret_key`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestNoConfigurationNamesTheTwoWaysOn(t *testing.T) {
	_, err := Load(Options{ConfigDir: t.TempDir()})
	if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "aida init") || !strings.Contains(err.Error(), "aida demo") {
		t.Errorf("got %v", err)
	}
}

func TestBrokenFiles(t *testing.T) {
	for name, c := range map[string]struct{ yaml, env, words string }{
		"empty":           {" \n", "", "is empty"},
		"no YAML":         {"a: [1\n", "", "instance.yaml:"},
		"tabs":            {"a:\n\tb: 1\n", "", "instance.yaml:"},
		"a list":          {"- a\n", "", "keys with values are expected"},
		"twice":           {"instance: {name: a}\ninstance: {name: b}\n", "", "instance.yaml:2"},
		"env line":        {minimal, "this is a secret line\n", ".env:1"},
		"env quote":       {minimal, "A=\"x\n", "not closed"},
		"two documents":   {minimal + "---\na: 1\n", "", "more than one"},
		"nested too deep": {"catalog: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "", "instance.yaml"},
	} {
		_, err := load(t, c.yaml, c.env, nil)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "secret line") {
			t.Errorf("%s: the error repeats the line", name)
		}
	}
}

func TestTheEnvironmentIsCheckedLikeTheFile(t *testing.T) {
	_, err := load(t, minimal, "SECRET_KEY=x\nSMTP_PORT=smtp\n", map[string]string{"SMTP_USE_TLS": "maybe", "LOG_LEVEL": "loud"})
	for _, want := range []string{`SMTP_PORT: "smtp" is not a whole number`, `SMTP_USE_TLS: "maybe" is not true or false`, `log_level: "loud" is not one of`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in: %v", want, err)
		}
	}
	c, err := load(t, minimal, "SECRET_KEY=x\nSMTP_PORT=2525\nSMTP_USE_TLS=false\nLOG_LEVEL=WARNING\nALLOWED_EMAILS=a@b.c,d@e.f\n", map[string]string{"JIRA_API_TOKEN": "t"})
	if err != nil || c.Email.SMTPPort != 2525 || *c.Email.SMTPUseTLS || c.LogLevel != "warn" || len(c.Auth.AllowedEmails) != 2 || c.Jira.APIToken.Reveal() != "t" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestWhereTheConfigurationIsFound(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	put := func(dir, name string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(strings.Replace(minimal, "Riverbank", name, 1), "${SECRET_KEY}", "${KEY}", 1)
		if err := os.WriteFile(filepath.Join(dir, "instance.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("KEY=of-"+name+"\nDATA_DIR=data-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("config", "default")
	put("by-variable", "variable")
	put("by-flag", "flag")
	for name, c := range map[string]struct {
		o    Options
		env  map[string]string
		want string
	}{
		"the folder config":              {Options{}, nil, "default of-default data-default"},
		"$CONFIG_DIR":                    {Options{}, map[string]string{"CONFIG_DIR": "by-variable"}, "variable of-variable data-variable"},
		"--config wins":                  {Options{ConfigDir: "by-flag"}, map[string]string{"CONFIG_DIR": "by-variable"}, "flag of-flag data-flag"},
		"the environment wins over .env": {Options{}, map[string]string{"KEY": "k", "DATA_DIR": "d"}, "default k d"},
		"--data wins over both":          {Options{DataDir: "x"}, map[string]string{"DATA_DIR": "d"}, "default of-default x"},
	} {
		c.o.Env = func(k string) (string, bool) { v, ok := c.env[k]; return v, ok }
		got, err := Load(c.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := got.Instance.Name + " " + got.Auth.WebappSecretKey.Reveal() + " " + got.DataDir; s != c.want {
			t.Errorf("%s: got %s, want %s", name, s, c.want)
		}
		if dir, err := DataDir(c.o); err != nil || dir != got.DataDir {
			t.Errorf("%s: the data folder alone is %s, %v", name, dir, err)
		}
	}
	if dir, err := DataDir(Options{ConfigDir: "nowhere", Env: func(string) (string, bool) { return "", false }}); err != nil || dir != "data" {
		t.Errorf("without any configuration the data folder is %s, %v", dir, err)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	c, err := load(t, minimal, "SECRET_KEY=hunter22\nTELEGRAM_BOT_TOKEN=hunter22\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s", c.Auth, c.Auth, c.Auth, c.Auth.WebappSecretKey), string(text)} {
		if strings.Contains(shown, "hunter22") {
			t.Errorf("the secret is in %s", shown)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(minimal, "A=b\n")
	f.Add("a: &x 1\nb: *x\n", "")
	f.Fuzz(func(t *testing.T, yaml, dotenv string) {
		vars := map[string]string{}
		_ = parseEnv(".env", dotenv, vars)
		c, problems := parse("instance.yaml", []byte(yaml), func(string) (string, bool) { return "", false })
		if c == nil {
			t.Fatalf("no configuration and %v", problems)
		}
	})
}
