package mail_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"aida/config"
	"aida/portal/auth"
	"aida/portal/mail"
	"aida/portal/portaltest"
)

// An alert's text is shown as it is, in both forms of the letter, whatever stands in it.
func TestALetterIsPostedAtOnceAndItsTextIsEscaped(t *testing.T) {
	sink, off := portaltest.NewSink(t), false
	m, err := mail.New(mail.Options{Config: config.Email{SMTPHost: sink.Host, SMTPPort: sink.Port, SMTPUseTLS: &off, FromAddress: "data@example.com", FromName: "Data"}, Instance: "Acme", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l := auth.Message{To: "eva@example.com", Subject: "Low\r\nBcc: x@example.com", Heading: "Low", Text: "<script>alert(1)</script>", Link: "https://data.example.com/alerts", LinkText: "Look", Note: "Why"}
	if err := m.Post(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	got := sink.Next()
	if got.To != "eva@example.com" || !strings.Contains(got.Text, "<script>") || strings.Contains(got.HTML, "<script>") || !strings.Contains(got.HTML, "&lt;script&gt;") {
		t.Errorf("%+v", got)
	}
	var refused *mail.Refused
	l.To = "no address"
	if err := m.Post(t.Context(), l); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}
