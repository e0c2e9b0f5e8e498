// Package email carries alerts as letters to those who chose so on their account page: the first at once, and what comes
// within the next minutes together in one letter. It knows no SMTP; it is handed something that posts a letter.
//
//	c := email.New(email.Options{Post: post, URL: portal.URL})
package email

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aida/services/notify"
	"aida/store"
)

// Letter is one mail with one button.
type Letter struct {
	To, Subject          string
	Heading, Text        string
	Link, LinkText, Note string
}

// Options is what a Channel works with.
type Options struct {
	Post func(ctx context.Context, l Letter) error // a *notify.Permanent when the address is refused
	URL  func(path string) string                  // makes an absolute link of a path in the portal
	Gap  time.Duration                             // between letters to one person; 0 = 10 min
}

// Channel is the outbox's way to mailboxes.
type Channel struct{ o Options }

// New makes a Channel.
func New(o Options) *Channel {
	if o.Gap <= 0 {
		o.Gap = 10 * time.Minute
	}
	return &Channel{o}
}

var _ notify.Digest = (*Channel)(nil)

// Name is the channel's name.
func (c *Channel) Name() string { return store.EmailChannel }

// Gap is the least time between two letters to a person.
func (c *Channel) Gap() time.Duration { return c.o.Gap }

// Send posts one alert.
func (c *Channel) Send(ctx context.Context, d store.Delivery) error {
	return c.SendAll(ctx, []store.Delivery{d})
}

// SendAll posts a person's alerts in one letter.
func (c *Channel) SendAll(ctx context.Context, list []store.Delivery) error {
	first := list[0].Alert
	l := Letter{To: list[0].Address, Subject: titleOf(first), Heading: titleOf(first), Text: first.Message, Link: c.o.URL("/alerts"), LinkText: "Look at your alerts",
		Note: "You chose on your account page to get such letters, and can change that there: " + c.o.URL("/account")}
	if len(list) == 1 {
		if strings.HasPrefix(first.Link, "/") {
			l.Link, l.LinkText = c.o.URL(first.Link), "Look at it"
		}
		return c.o.Post(ctx, l)
	}
	l.Subject = fmt.Sprintf("%d alerts: %s", len(list), titleOf(first))
	l.Heading = fmt.Sprintf("%d alerts", len(list))
	var b strings.Builder
	for i, d := range list {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "%s (%s)\n%s", titleOf(d.Alert), d.Alert.CreatedAt.UTC().Format("15:04 MST"), shortened(d.Alert.Message))
	}
	l.Text = strings.TrimSpace(b.String())
	return c.o.Post(ctx, l)
}

func titleOf(a store.Alert) string {
	title := a.Title
	if title == "" {
		title = "An alert of " + a.Source
	}
	switch a.State {
	case store.Recovered:
		return "Recovered: " + title
	case store.Repeated:
		return "Still: " + title
	}
	return title
}

// maxEach is how much of an alert stands in a letter of several.
const maxEach = 500

func shortened(s string) string {
	if r := []rune(s); len(r) > maxEach {
		return string(r[:maxEach]) + "…"
	}
	return s
}
