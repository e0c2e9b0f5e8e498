// Package config reads instance.yaml and .env into one validated Config. Invalid configuration is refused with file, line,
// column and the fix for everything that is wrong at once; nothing is guessed and nothing is read later.
//
//	cfg, err := config.Load(config.Options{})
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aida/config/strict"
)

// Config is the whole configuration. Keys of instance.yaml are the yaml tags.
type Config struct {
	Dir      string   `yaml:"-"` // where instance.yaml is
	File     string   `yaml:"-"`
	Warnings []string `yaml:"-"` // ${VARIABLES} that are not set

	origins   map[string]string // by key: where its value comes from
	variables map[string]string // by key: the ${VARIABLE} in it

	Instance      Instance           `yaml:"instance"`
	Server        Server             `yaml:"server"`
	Listen        Listen             `yaml:"listen"`
	DataDir       string             `yaml:"data_dir"`
	PublicURL     string             `yaml:"public_url"`
	Lake          Lake               `yaml:"lake"`
	Quota         Quota              `yaml:"quota"`
	SSH           SSH                `yaml:"ssh"`
	Schedule      Schedule           `yaml:"schedule"`
	Sync          Sync               `yaml:"sync"`
	LogLevel      string             `yaml:"log_level"`
	Admins        []AdminKey         `yaml:"admins"`
	Deployment    Deployment         `yaml:"deployment"`
	Auth          Auth               `yaml:"auth"`
	Theme         Theme              `yaml:"theme"`
	DataSource    DataSource         `yaml:"data_source"`
	OpenMetadata  OpenMetadata       `yaml:"openmetadata"`
	Email         Email              `yaml:"email"`
	Desktop       Desktop            `yaml:"desktop"`
	Telegram      Telegram           `yaml:"telegram"`
	Alerts        Alerts             `yaml:"alerts"`
	Scripts       Scripts            `yaml:"scripts"`
	Jira          Jira               `yaml:"jira"`
	AI            AI                 `yaml:"ai"`
	Users         map[string]Person  `yaml:"users"`
	UserMapping   map[string]string  `yaml:"username_mapping"`
	Datasets      map[string]Dataset `yaml:"datasets"`
	Catalog       Catalog            `yaml:"catalog"`
	FolderMapping map[string]string  `yaml:"folder_mapping"`
	Profiler      Profiler           `yaml:"profiler"`
}

// Options says where to look.
type Options struct {
	ConfigDir string                      // --config; else $CONFIG_DIR, else ./config
	DataDir   string                      // --data; else $DATA_DIR, else data_dir, else ./data
	Env       func(string) (string, bool) // nil = the process environment
}

// ErrNone tells that there is no instance.yaml.
var ErrNone = errors.New("there is no configuration yet: run `aida init` to set up your company, or `aida demo` for a sample one")

// Load reads and checks the configuration. Every problem that it finds is in the one error.
func Load(o Options) (*Config, error) {
	env, err := environment(o)
	if err != nil {
		return nil, err
	}
	dir := o.ConfigDir
	if dir == "" {
		dir, _ = env("CONFIG_DIR")
	}
	dir = cmp.Or(dir, "config")
	file := filepath.Join(dir, "instance.yaml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: %w", file, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, problems := parse(file, text, env)
	c.Dir = dir
	c.traceFile(o, file, text)
	problems = append(problems, c.override(env, func(field any, name string) { c.traceVariable(o, field, name) })...)
	switch {
	case o.DataDir != "":
		c.SetOrigin("data_dir", "--data")
	case valueOf(env, "DATA_DIR") != "":
		c.SetOrigin("data_dir", variableOrigin(o, "DATA_DIR"))
	}
	c.DataDir = cmp.Or(o.DataDir, valueOf(env, "DATA_DIR"), c.DataDir, "data")
	problems = append(problems, c.required(file)...)
	problems = append(problems, c.check(file)...)
	return c, strict.Join(problems)
}

// DataDir gives the data folder for commands that work without instance.yaml.
func DataDir(o Options) (string, error) {
	env, err := environment(o)
	if err != nil {
		return "", err
	}
	if dir := cmp.Or(o.DataDir, valueOf(env, "DATA_DIR")); dir != "" {
		return dir, nil
	}
	c, err := Load(o)
	if errors.Is(err, ErrNone) {
		return "data", nil
	}
	if err != nil {
		return "", err
	}
	return c.DataDir, nil
}

// Defaults is the configuration without any file.
func Defaults() *Config {
	return &Config{
		Instance:   Instance{Name: "AI Data Analyst"},
		Listen:     Listen{HTTP: ":8080", SSH: ":2222", TrustedProxies: []string{"127.0.0.0/8", "::1"}},
		Lake:       Lake{Keep: Duration(24 * time.Hour), KeepGenerations: 3, PinMax: Duration(6 * time.Hour), PartRows: 1_000_000},
		Quota:      Quota{Home: 2 << 30, HomeFiles: 100_000},
		SSH:        SSH{IdleTimeout: Duration(30 * time.Minute), LoginTimeout: Duration(20 * time.Second), Drain: Duration(30 * time.Second), MaxPerUser: 20, MaxPerAddress: 50, MaxConnections: 1000},
		Schedule:   Schedule{TimeZone: "UTC", Jitter: Duration(30 * time.Second)},
		LogLevel:   "info",
		DataSource: DataSource{CSV: CSV{Root: "."}, BigQuery: BigQuery{MaxBytes: 1 << 40}},
		Email:      Email{FromAddress: "noreply@example.com", FromName: "AI Data Analyst", SMTPPort: 587},
		Alerts:     Alerts{Keep: Duration(90 * 24 * time.Hour), Pictures: 1 << 30},
		Scripts:    Scripts{Interpreter: "/usr/bin/python3", Schedule: "every 5m", Parallel: 2, Timeout: Duration(time.Minute), Memory: 1 << 30, Processes: 64, UID: 2_000_000_000},
		Desktop:    Desktop{JWTIssuer: "data-analyst", URLScheme: "data-analyst"},
		Profiler: Profiler{SampleSize: 500_000, MaxCategoricalDistinct: 50, TopValuesLimit: 10, HistogramBins: 15, SampleRowsLimit: 5,
			SampleValuesLimit: 5, AlertHighMissingPct: 30, AlertMissingPct: 5, AlertImbalancePct: 60, AlertHighCardinality: 50},
	}
}

func parse(file string, text []byte, env lookup) (*Config, []error) {
	c := Defaults()
	c.File = file
	if strings.TrimSpace(string(text)) == "" {
		return c, []error{fmt.Errorf("%s is empty: run `aida init`", file)}
	}
	problems := strict.Decode(strict.Source{Name: file, Text: text, Value: func(path, s string) string {
		return c.interpolate(path, s, env)
	}}, c)
	return c, problems
}

// interpolate replaces each ${NAME} in a value. A variable that is not set becomes nothing, with a warning; a key that
// needs a value is then missed by the check of required keys.
func (c *Config) interpolate(path, s string, env lookup) string {
	var b strings.Builder
	for {
		start := strings.Index(s, "${")
		end := strings.IndexByte(s[max(start, 0):], '}')
		if start < 0 || end < 0 {
			b.WriteString(s)
			return b.String()
		}
		end += start
		name := s[start+2 : end]
		v, set := env(name)
		if c.variables == nil {
			c.variables = map[string]string{}
		}
		c.variables[path] = name
		if !set {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: ${%s} is not set in the environment or .env", path, name))
		}
		b.WriteString(s[:start])
		b.WriteString(v)
		s = s[end+1:]
	}
}

// required tells all keys at once that must have a value and have none.
func (c *Config) required(file string) []error {
	var missing []string
	for _, k := range []struct{ path, value string }{
		{"instance.name", c.Instance.Name}, {"auth.allowed_domain", c.Auth.AllowedDomain}, {"server.host", c.Server.Host},
		{"server.hostname", c.Server.Hostname}, {"auth.webapp_secret_key", c.Auth.WebappSecretKey.Reveal()},
	} {
		if strings.TrimSpace(k.value) == "" {
			missing = append(missing, k.path)
		}
	}
	if missing == nil {
		return nil
	}
	return []error{fmt.Errorf("%s: these keys need a value: %s", file, strings.Join(missing, ", "))}
}

func (c *Config) check(file string) []error {
	var out []error
	bad := func(format string, args ...any) { out = append(out, fmt.Errorf(file+": "+format, args...)) }
	oneOf := func(path, v string, allowed ...string) {
		if v != "" && !slices.Contains(allowed, v) {
			bad("%s: %q is not one of %s", path, v, strings.Join(allowed, ", "))
		}
	}
	oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("deployment.method", c.Deployment.Method, "manual", "github_actions")
	oneOf("data_source.csv.on_bad_row", c.DataSource.CSV.OnBadRow, "fail", "quarantine")
	for name, d := range c.Datasets {
		oneOf("datasets."+name+".access", d.Access, "open", "private", "restricted")
		if d.Requires != "" {
			if _, ok := c.Datasets[d.Requires]; !ok {
				bad("datasets.%s.requires: dataset %q is not declared", name, d.Requires)
			}
		}
	}
	if _, err := time.LoadLocation(c.Schedule.TimeZone); err != nil {
		bad("schedule.timezone: %q is not a time zone: write it as Europe/Prague", c.Schedule.TimeZone)
	}
	for _, p := range append([]string{c.Scripts.Interpreter}, c.Scripts.Folders...) {
		if !filepath.IsAbs(p) || filepath.Clean(p) == "/" {
			bad("scripts: %q is not the whole path of a file or folder: write it as /usr/bin/python3 or /opt/venv", p)
		}
	}
	for _, k := range []struct {
		path string
		v    int64
	}{
		{"lake.keep_generations", int64(c.Lake.KeepGenerations)}, {"lake.part_rows", c.Lake.PartRows}, {"quota.home", int64(c.Quota.Home)},
		{"quota.home_files", int64(c.Quota.HomeFiles)}, {"ssh.max_connections_per_user", int64(c.SSH.MaxPerUser)},
		{"ssh.max_connections_per_address", int64(c.SSH.MaxPerAddress)}, {"ssh.max_connections", int64(c.SSH.MaxConnections)},
		{"ssh.idle_timeout", int64(c.SSH.IdleTimeout)}, {"ssh.login_timeout", int64(c.SSH.LoginTimeout)}, {"lake.pin_max", int64(c.Lake.PinMax)},
		{"alerts.keep", int64(c.Alerts.Keep)}, {"alerts.pictures", int64(c.Alerts.Pictures)}, {"scripts.parallel", int64(c.Scripts.Parallel)}, {"scripts.timeout", int64(c.Scripts.Timeout)},
		{"scripts.memory", int64(c.Scripts.Memory)}, {"scripts.processes", int64(c.Scripts.Processes)}, {"scripts.uid", int64(c.Scripts.UID)},
	} {
		if k.v < 1 {
			bad("%s must be larger than 0", k.path)
		}
	}
	return out
}
