// Package mail sends the portal's letters over SMTP, in the background, each with one button. It writes to nobody who did
// not ask and keeps no copy.
//
//	m, err := mail.New(mail.Options{Config: cfg.Email, Instance: "Acme data", Log: log})
//	go m.Run(ctx)
package mail

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"

	"aida/config"
	"aida/portal/auth"

	gomail "github.com/wneessen/go-mail"
)

// Options is how mail is sent.
type Options struct {
	Config   config.Email
	Instance string
	Log      *slog.Logger
}

// Mailer is the queue of letters and the one who posts them.
type Mailer struct {
	o      Options
	client *gomail.Client // nil = mail is not configured
	queue  chan auth.Message

	mu   sync.Mutex
	last delivery
}

// delivery is how the newest letter fared.
type delivery struct {
	at  time.Time
	err error
}

const (
	queueLength = 200
	sendTimeout = 20 * time.Second
)

//go:embed letter.html letter.txt
var letters embed.FS

var (
	htmlLetter = template.Must(template.ParseFS(letters, "letter.html"))
	textLetter = texttemplate.Must(texttemplate.ParseFS(letters, "letter.txt"))
)

// New prepares sending. Without smtp_host (or a SendGrid key, whose SMTP relay is used) nothing is ever sent.
func New(o Options) (*Mailer, error) {
	m := &Mailer{o: o, queue: make(chan auth.Message, queueLength)}
	c := o.Config
	host, port, user, password := c.SMTPHost, c.SMTPPort, c.SMTPUser, c.SMTPPassword.Reveal()
	if host == "" && c.SendgridAPIKey != "" {
		host, port, user, password = "smtp.sendgrid.net", 587, "apikey", c.SendgridAPIKey.Reveal()
	}
	if host == "" {
		return m, nil
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(sendTimeout)}
	switch {
	case port == 465:
		options = append(options, gomail.WithSSL())
	case c.SMTPUseTLS != nil && !*c.SMTPUseTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if user != "" && password != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(user), gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	if err := gomail.NewMsg().FromFormat(c.FromName, c.FromAddress); err != nil {
		return nil, fmt.Errorf("email.from_address: %q is not an address: write it as data@example.com", c.FromAddress)
	}
	m.client = client
	return m, nil
}

// Configured tells whether letters can be sent at all.
func (m *Mailer) Configured() bool { return m.client != nil }

// Send puts a letter into the queue. It does not wait, so its duration tells nothing about the receiver.
func (m *Mailer) Send(l auth.Message) error {
	if m.client == nil {
		return errors.New("mail is not configured: set email.smtp_host")
	}
	select {
	case m.queue <- l:
		return nil
	default:
		return errors.New("too many letters are waiting: the mail server may be slow or down")
	}
}

// Post sends one letter now, once; its caller tries again.
func (m *Mailer) Post(ctx context.Context, l auth.Message) error {
	if m.client == nil {
		return errors.New("mail is not configured: set email.smtp_host")
	}
	msg, err := m.write(l)
	if err != nil {
		return &Refused{err}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err = m.client.DialAndSendWithContext(ctx, msg)
	var fault *gomail.SendError
	if errors.As(err, &fault) && !fault.IsTemp() && (fault.Reason == gomail.ErrSMTPRcptTo || fault.Reason == gomail.ErrSMTPData) {
		return &Refused{err}
	}
	return err
}

// Refused is the error of a letter that no further attempt will bring to its receiver.
type Refused struct{ Err error }

func (r *Refused) Error() string { return r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// Run posts letters until ctx is done.
func (m *Mailer) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-m.queue:
			err := m.post(ctx, l)
			if err != nil {
				m.o.Log.Error("a letter could not be sent", "subject", l.Subject, "error", err)
			}
			m.mu.Lock()
			m.last = delivery{time.Now(), err}
			m.mu.Unlock()
		}
	}
}

// LastDelivery tells how the newest letter fared; its text is empty when there was none since the start.
func (m *Mailer) LastDelivery() (ok bool, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch at := m.last.at.UTC().Format("2 Jan 15:04 UTC"); {
	case m.last.at.IsZero():
		return true, ""
	case m.last.err != nil:
		return false, "The letter of " + at + " could not be sent: " + m.last.err.Error() + "."
	default:
		return true, "The letter of " + at + " was sent."
	}
}

// post sends one letter, trying three times.
func (m *Mailer) post(ctx context.Context, l auth.Message) error {
	msg, err := m.write(l)
	if err != nil {
		return err
	}
	for attempt := range 3 {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(time.Duration(attempt) * 2 * time.Second):
			}
		}
		turn, cancel := context.WithTimeout(ctx, sendTimeout)
		err = m.client.DialAndSendWithContext(turn, msg)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

func (m *Mailer) write(l auth.Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.FromFormat(m.o.Config.FromName, m.o.Config.FromAddress); err != nil {
		return nil, err
	}
	if err := msg.To(l.To); err != nil {
		return nil, err
	}
	msg.Subject(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, l.Subject))
	msg.SetDate()
	msg.SetMessageID()
	data := struct {
		auth.Message
		Instance string
	}{l, m.o.Instance}
	var text, html bytes.Buffer
	if err := errors.Join(textLetter.Execute(&text, data), htmlLetter.Execute(&html, data)); err != nil {
		return nil, err
	}
	msg.SetBodyString(gomail.TypeTextPlain, text.String())
	msg.AddAlternativeString(gomail.TypeTextHTML, html.String())
	return msg, nil
}
