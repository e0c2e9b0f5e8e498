package config

import (
	"strings"
	"testing"
)

// Each value tells where it comes from, and a secret tells no more than whether it is set.
func TestSettingsTellTheirOriginAndNoSecret(t *testing.T) {
	c, err := load(t, minimal+"lake:\n  keep: 7d\ndatasets:\n  hr: {access: private}\nadmins:\n  - {username: ada, ssh_public_key: ssh-ed25519 AAAA}\n", "SECRET_KEY=\"the key\"\nJIRA_API_TOKEN=jira-token\n",
		map[string]string{"SERVER_HOST": "10.1.1.1", "LOG_LEVEL": "debug"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	for _, s := range c.Settings() {
		got[s.Key] = s
		if strings.Contains(s.Value, "the key") || strings.Contains(s.Value, "jira-token") {
			t.Errorf("%s shows its secret", s.Key)
		}
	}
	for key, want := range map[string][2]string{
		"instance.name": {"Riverbank", "instance.yaml:3"}, "auth.webapp_secret_key": {"set", "instance.yaml:6, with SECRET_KEY of "}, "server.host": {"10.1.1.1", "environment SERVER_HOST"},
		"lake.keep": {"168h0m0s", "instance.yaml:11"}, "lake.keep_generations": {"3", "default"}, "jira.api_token": {"set", ".env:2"}, "telegram.bot_token": {"not set", "default"},
		"log_level": {"debug", "environment LOG_LEVEL"}, "datasets.hr.access": {"private", "instance.yaml:13"}, "admins": {"ada", "instance.yaml:14"}, "quota.home": {"2 GiB", "default"},
	} {
		if s := got[key]; s.Value != want[0] || !strings.Contains(s.Origin, want[1]) {
			t.Errorf("%s: %+v, want %q", key, s, want)
		}
	}
}
