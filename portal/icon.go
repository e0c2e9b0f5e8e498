package portal

import "html/template"

// icons are drawn on a 24-unit square with lines of 1.6 units.
var icons = map[string]string{
	"home":        `<path d="M4 11 12 4l8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1Z"/>`,
	"catalog":     `<ellipse cx="12" cy="6" rx="7" ry="3"/><path d="M5 6v6c0 1.7 3.1 3 7 3s7-1.3 7-3V6M5 12v6c0 1.7 3.1 3 7 3s7-1.3 7-3v-6"/>`,
	"metrics":     `<path d="M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6"/>`,
	"alerts":      `<path d="M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15ZM10 21h4"/>`,
	"account":     `<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4 3.6-6 8-6s8 2 8 6"/>`,
	"people":      `<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c0-3.6 2.9-5.5 6.5-5.5s6.5 1.9 6.5 5.5M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.8c2.2.7 3.5 2.4 3.5 5.2"/>`,
	"tables":      `<rect x="3.5" y="4.5" width="17" height="15" rx="1.5"/><path d="M3.5 9.5h17M3.5 14.5h17M9.5 9.5v10"/>`,
	"runs":        `<path d="M20 12a8 8 0 1 1-2.6-5.9M20 3v4h-4"/>`,
	"generations": `<path d="m12 3 9 5-9 5-9-5ZM3 12.5l9 5 9-5M3 17l9 5 9-5"/>`,
	"audit":       `<path d="M6 3h9l4 4v14H6ZM15 3v4h4M9.5 12h6M9.5 16h6"/>`,
	"health":      `<path d="M3 12h4l2.5-6 4 12 2.5-6h5"/>`,
	"settings":    `<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>`,
	"key":         `<circle cx="8" cy="15" r="4.5"/><path d="m11.2 11.8 8.3-8.3M16 7l3 3"/>`,
	"copy":        `<rect x="8.5" y="8.5" width="11" height="11" rx="1.5"/><path d="M15.5 8.5v-3a1 1 0 0 0-1-1h-9a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3"/>`,
	"check":       `<path d="m5 12.5 4.5 4.5L19 7.5"/>`,
	"lock":        `<rect x="5" y="10.5" width="14" height="9.5" rx="1.5"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5"/>`,
	"out":         `<path d="M14 4h5a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-5M4 12h11M11.5 8.5 15 12l-3.5 3.5"/>`,
	"search":      `<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>`,
	"mail":        `<rect x="3.5" y="5.5" width="17" height="13" rx="1.5"/><path d="m4 7 8 6 8-6"/>`,
	"google":      `<path d="M20.5 12.2c0-.6 0-1.1-.1-1.7H12v3.3h4.8a4.1 4.1 0 0 1-1.8 2.7 5.4 5.4 0 1 1-.6-8.6l2.3-2.3A8.7 8.7 0 1 0 12 20.7c5 0 8.5-3.5 8.5-8.5Z"/>`,
	"screen":      `<rect x="3.5" y="4.5" width="17" height="12" rx="1.5"/><path d="M9 20.5h6M12 16.5v4"/>`,
	"plus":        `<path d="M12 5v14M5 12h14"/>`,
	"menu":        `<path d="M4 7h16M4 12h16M4 17h16"/>`,
}

// icon draws one; words stand beside it, so it is hidden from screen readers.
func icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">` + icons[name] + `</svg>`)
}
