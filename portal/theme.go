package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"aida/config"
)

// theme is the white-label style sheet: the tokens that instance.yaml overrides. It is a file of its own, named after its
// content, so that the content security policy stays without exceptions.
type theme struct {
	path, css               string
	logo, logoPath          string
	styleSource, fontSource string // origins of a web font
}

var (
	colour = regexp.MustCompile(`^(#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|(rgb|rgba|hsl|hsla|oklch)\([0-9a-z.,%/ ]{1,60}\)|[a-zA-Z]{3,30})$`)
	length = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3})?(px|rem|em)?$`)
	family = regexp.MustCompile(`^[A-Za-z0-9 ,'"_-]{1,200}$`)
)

func newTheme(c config.Theme, logo string) (theme, error) {
	var t theme
	var light, dark strings.Builder
	for _, k := range []struct{ key, value, token string }{
		{"primary", c.Primary, "--accent"}, {"primary_dark", c.PrimaryDark, "--accent-strong"}, {"primary_light", c.PrimaryLight, "--accent-soft"},
		{"text_primary", c.TextPrimary, "--ink"}, {"text_secondary", c.TextSecondary, "--muted"}, {"background", c.Background, "--paper"},
		{"surface", c.Surface, "--surface"}, {"border", c.Border, "--line"}, {"success", c.Success, "--good"}, {"warning", c.Warning, "--warn"}, {"error", c.Error, "--bad"},
	} {
		if k.value == "" {
			continue
		}
		if !colour.MatchString(k.value) {
			return t, fmt.Errorf("theme.%s: %q is not a colour: write it as #0b6e5f", k.key, k.value)
		}
		fmt.Fprintf(&light, "  %s: %s;\n", k.token, k.value)
		if k.token == "--accent" {
			fmt.Fprintf(&light, "  --on-accent: %s;\n", textOn(k.value))
			fmt.Fprintf(&dark, "  --accent: color-mix(in oklab, %s 55%%, white);\n  --accent-soft: color-mix(in oklab, %s 25%%, #121413);\n", k.value, k.value)
		}
	}
	var both strings.Builder
	if c.Radius != "" {
		if !length.MatchString(c.Radius) {
			return t, fmt.Errorf("theme.radius: %q is not a length: write it as 8px", c.Radius)
		}
		radius := c.Radius
		if radius[len(radius)-1] <= '9' {
			radius += "px"
		}
		fmt.Fprintf(&both, "  --radius: %s;\n", radius)
	}
	if c.FontPrimary != "" {
		if !family.MatchString(c.FontPrimary) {
			return t, fmt.Errorf("theme.font_primary: %q is not a list of font names", c.FontPrimary)
		}
		fmt.Fprintf(&both, "  --font: %s, system-ui, sans-serif;\n", c.FontPrimary)
	}
	head, err := t.font(c)
	if err != nil {
		return t, err
	}
	t.css = head
	for _, block := range []struct{ selector, text, end string }{
		{":root {\n", both.String(), "}\n"},
		{":root {\n", light.String(), "}\n"},
		{"@media (prefers-color-scheme: dark) { :root:not([data-appearance=light]) {\n" + darkDefaults, dark.String(), "} }\n"},
		{":root[data-appearance=dark] {\n" + darkDefaults, dark.String(), "}\n"},
	} {
		if block.text != "" || light.Len() > 0 && strings.Contains(block.selector, "dark") {
			t.css += block.selector + block.text + block.end
		}
	}
	if t.css != "" {
		t.path = "/theme/" + contentName(t.css) + ".css"
	}
	if t.logo = strings.TrimSpace(logo); t.logo != "" {
		if !strings.HasPrefix(t.logo, "<svg") && !strings.HasPrefix(t.logo, "<?xml") {
			return t, fmt.Errorf("instance.logo_svg: this is not an SVG image: it begins with <svg")
		}
		t.logoPath = "/theme/" + contentName(t.logo) + ".svg"
	}
	return t, nil
}

// darkDefaults brings the dark tokens back that a light override would win over.
const darkDefaults = `  --paper: #121413; --surface: #191c1b; --sunken: #0e100f; --ink: #e8ebe9; --muted: #a2aca7; --faint: #6f7974; --line: #2a2f2d;
  --accent: #4cc3ae; --accent-soft: #16302b; --accent-strong: #6ad6c2; --on-accent: #06231e; --good: #58c07a; --warn: #d9a63a; --bad: #f2837b;
`

// font allows the one place that a configured web font comes from.
func (t *theme) font(c config.Theme) (css string, err error) {
	if c.FontURL == "" {
		return "", nil
	}
	u, err := url.Parse(c.FontURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(c.FontURL, "\"'\\() \n") {
		return "", fmt.Errorf("theme.font_url: %q is not an https address", c.FontURL)
	}
	origin := " https://" + u.Host
	t.fontSource = origin
	if strings.HasSuffix(u.Path, ".woff2") {
		name, _, _ := strings.Cut(c.FontPrimary, ",")
		return fmt.Sprintf("@font-face { font-family: \"%s\"; src: url(\"%s\") format(\"woff2\"); font-display: swap; }\n", strings.Trim(name, `'" `), c.FontURL), nil
	}
	t.styleSource = origin
	if u.Host == "fonts.googleapis.com" {
		t.fontSource = " https://fonts.gstatic.com"
	}
	return fmt.Sprintf("@import url(\"%s\");\n", c.FontURL), nil
}

// textOn gives the colour of text on a coloured button: whichever of white and near-black has the larger contrast (WCAG 2).
func textOn(hex string) string {
	h := strings.TrimPrefix(hex, "#")
	if len(h) == 3 {
		h = string([]byte{h[0], h[0], h[1], h[1], h[2], h[2]})
	}
	if len(h) < 6 || hex[0] != '#' {
		return "#ffffff"
	}
	n, err := strconv.ParseUint(h[:6], 16, 32)
	if err != nil {
		return "#ffffff"
	}
	l := 0.2126*linear(n>>16&255) + 0.7152*linear(n>>8&255) + 0.0722*linear(n&255)
	if (l+0.05)/(0.004+0.05) > 1.05/(l+0.05) {
		return "#0e1110"
	}
	return "#ffffff"
}

func contentName(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:12])
}

// linear turns one sRGB channel into light (IEC 61966-2-1).
func linear(v uint64) float64 {
	c := float64(v) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
