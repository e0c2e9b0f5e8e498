package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lookup gives the value of a variable.
type lookup func(string) (string, bool)

// environment is the process environment, and behind it .env of the configuration folder and of the working folder.
func environment(o Options) (lookup, error) {
	env := o.Env
	if env == nil {
		env = os.LookupEnv
	}
	dir := o.ConfigDir
	if dir == "" {
		dir, _ = env("CONFIG_DIR")
	}
	if dir == "" {
		dir = "config"
	}
	vars := map[string]string{}
	for _, file := range []string{".env", filepath.Join(dir, ".env")} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		if err := parseEnv(file, string(text), vars); err != nil {
			return nil, err
		}
	}
	return func(name string) (string, bool) {
		if v, ok := env(name); ok {
			return v, true
		}
		v, ok := vars[name]
		return v, ok
	}, nil
}

// parseEnv reads KEY=value lines. A value may stand in quotes; without them, a # after a blank begins a comment.
func parseEnv(file, text string, vars map[string]string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\uFEFF"))
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || strings.ContainsAny(key, " \t\"'") {
			return fmt.Errorf("%s:%d: this is not a KEY=value line", file, n) // the line itself may be a secret
		}
		switch {
		case strings.HasPrefix(value, `"`) || strings.HasPrefix(value, `'`):
			end := strings.IndexByte(value[1:], value[0])
			if end < 0 {
				return fmt.Errorf("%s:%d: the quote of %s is not closed", file, n, key)
			}
			value = value[1 : 1+end]
		case strings.HasPrefix(value, "#"):
			value = ""
		default:
			if i := strings.Index(value, " #"); i >= 0 {
				value = strings.TrimSpace(value[:i])
			}
		}
		vars[key] = value
	}
	return nil
}

func valueOf(env lookup, name string) string {
	v, _ := env(name)
	return v
}

// override lets the variables of the reference win over instance.yaml, and tells trace of each that did.
func (c *Config) override(env lookup, trace func(field any, name string)) (problems []error) {
	var err error
	for name, field := range map[string]*string{
		"DATA_SOURCE": &c.DataSource.Type, "SERVER_HOST": &c.Server.Host, "SERVER_HOSTNAME": &c.Server.Hostname,
		"EMAIL_FROM_ADDRESS": &c.Email.FromAddress, "EMAIL_FROM_NAME": &c.Email.FromName, "SMTP_HOST": &c.Email.SMTPHost, "SMTP_USER": &c.Email.SMTPUser,
		"GOOGLE_CLIENT_ID": &c.Auth.GoogleClientID, "KEBOOLA_STACK_URL": &c.DataSource.Keboola.StackURL, "KEBOOLA_PROJECT_ID": &c.DataSource.Keboola.ProjectID,
		"BIGQUERY_PROJECT": &c.DataSource.BigQuery.Project, "BIGQUERY_LOCATION": &c.DataSource.BigQuery.Location,
		"JIRA_DOMAIN": &c.Jira.Domain, "JIRA_EMAIL": &c.Jira.Email, "JIRA_SLA_EMAIL": &c.Jira.SLAEmail, "JIRA_CLOUD_ID": &c.Jira.CloudID,
	} {
		if v, ok := env(name); ok && v != "" {
			*field = v
			trace(field, name)
		}
	}
	for name, field := range map[string]*Secret{
		"WEBAPP_SECRET_KEY": &c.Auth.WebappSecretKey, "GOOGLE_CLIENT_SECRET": &c.Auth.GoogleClientSecret, "SENDGRID_API_KEY": &c.Email.SendgridAPIKey,
		"SMTP_PASSWORD": &c.Email.SMTPPassword, "DESKTOP_JWT_SECRET": &c.Desktop.JWTSecret, "TELEGRAM_BOT_TOKEN": &c.Telegram.BotToken,
		"ANTHROPIC_API_KEY": &c.AI.AnthropicAPIKey, "KEBOOLA_STORAGE_TOKEN": &c.DataSource.Keboola.StorageToken, "JIRA_API_TOKEN": &c.Jira.APIToken,
		"JIRA_WEBHOOK_SECRET": &c.Jira.WebhookSecret, "JIRA_SLA_API_TOKEN": &c.Jira.SLAAPIToken,
	} {
		if v, ok := env(name); ok && v != "" {
			*field = Secret(v)
			trace(field, name)
		}
	}
	if v := valueOf(env, "SMTP_PORT"); v != "" {
		trace(&c.Email.SMTPPort, "SMTP_PORT")
		if c.Email.SMTPPort, err = strconv.Atoi(v); err != nil {
			problems = append(problems, fmt.Errorf("environment: SMTP_PORT: %q is not a whole number", v))
		}
	}
	if v := valueOf(env, "SMTP_USE_TLS"); v != "" {
		tls, err := strconv.ParseBool(v)
		if err != nil {
			problems = append(problems, fmt.Errorf("environment: SMTP_USE_TLS: %q is not true or false", v))
		}
		c.Email.SMTPUseTLS = &tls
		trace(&c.Email.SMTPUseTLS, "SMTP_USE_TLS")
	}
	if v := valueOf(env, "SMTP_FROM"); v != "" {
		c.Email.FromAddress = v
		trace(&c.Email.FromAddress, "SMTP_FROM")
	}
	if v := valueOf(env, "ALLOWED_EMAILS"); v != "" {
		c.Auth.AllowedEmails = strings.Split(v, ",")
		trace(&c.Auth.AllowedEmails, "ALLOWED_EMAILS")
	}
	if v := strings.ToLower(valueOf(env, "LOG_LEVEL")); v != "" {
		c.LogLevel = strings.Replace(v, "warning", "warn", 1)
		trace(&c.LogLevel, "LOG_LEVEL")
	}
	return problems
}
