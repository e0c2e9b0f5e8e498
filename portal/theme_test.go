package portal

import (
	"strings"
	"testing"

	"aida/config"
)

func TestAThemeThatIsNoneIsRefusedWithItsKey(t *testing.T) {
	for key, theme := range map[string]config.Theme{
		"theme.primary": {Primary: "red; } body { display: none"}, "theme.background": {Background: "url(https://evil.example)"}, "theme.radius": {Radius: "8px; x: y"},
		"theme.font_primary": {FontPrimary: "x; } *{"}, "theme.font_url": {FontURL: "http://plain.example/font.woff2"},
	} {
		if _, err := newTheme(theme, ""); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := newTheme(config.Theme{}, "<img src=x>"); err == nil {
		t.Error("a logo that is no SVG was taken")
	}
	for _, good := range []string{"#abc", "#AABBCC", "rgb(1, 2, 3)", "oklch(60% 0.1 200)", "teal"} {
		if _, err := newTheme(config.Theme{Primary: good}, ""); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
