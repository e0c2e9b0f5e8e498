package email

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aida/services/notify"
	"aida/store"
)

// The first alert goes out at once, those that come soon behind it together, and a letter that fails is tried again.
func TestAlertsBecomeLettersAndAFloodBecomesOne(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eva, err := s.AddUser(t.Context(), "test", store.NewUser{Name: "eva", Email: "eva@example.com"})
	if err == nil {
		err = s.SetChannelLeast(t.Context(), "eva", eva.ID, store.EmailChannel, store.Warning)
	}
	if err != nil {
		t.Fatal(err)
	}
	letters, fails := make(chan Letter, 10), 1
	c := New(Options{Gap: 3 * time.Second, URL: func(path string) string { return "https://data.example.com" + path }, Post: func(_ context.Context, l Letter) error {
		if fails--; fails == 0 {
			return errors.New("the mail server is away")
		}
		letters <- l
		return nil
	}})
	n, err := notify.New(t.Context(), notify.Options{Store: s, Channels: []notify.Channel{c}, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() { cancel(); <-done }()
	raise := func(dedupe, title string, severity store.Severity) {
		t.Helper()
		if err := n.Raise(t.Context(), store.Raise{Source: "rule:eva/x", Dedupe: dedupe, Title: title, Message: "It is <b>low</b>.", Severity: severity, Link: "/alerts/rules/x", To: store.Audience{User: "eva"}}); err != nil {
			t.Fatal(err)
		}
	}
	next := func() Letter {
		t.Helper()
		select {
		case l := <-letters:
			return l
		case <-time.After(20 * time.Second):
			t.Fatal("no letter came")
		}
		return Letter{}
	}
	raise("a", "Revenue is low", store.Warning)
	l := next()
	if l.To != "eva@example.com" || l.Subject != "Revenue is low" || l.Text != "It is <b>low</b>." || l.Link != "https://data.example.com/alerts/rules/x" || !strings.Contains(l.Note, "/account") {
		t.Errorf("%+v", l)
	}
	raise("b", "Orders are low", store.Critical)
	raise("c", "An idle remark", store.Info)
	raise("d", "Stock is low", store.Warning)
	l = next()
	if l.Subject != "2 alerts: Orders are low" || !strings.Contains(l.Text, "Orders are low (") || !strings.Contains(l.Text, "Stock is low (") || strings.Contains(l.Text, "idle") || l.Link != "https://data.example.com/alerts" {
		t.Errorf("%+v", l)
	}
	select {
	case l := <-letters:
		t.Errorf("one more: %+v", l)
	case <-time.After(200 * time.Millisecond):
	}
}
