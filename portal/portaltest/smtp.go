package portaltest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Letter is a mail that arrived.
type Letter struct {
	To, From, Subject, Text, HTML string
}

// Link is the first address in the letter's text.
func (l Letter) Link() string { return regexp.MustCompile(`https?://\S+`).FindString(l.Text) }

// Sink is a mail server that keeps what it gets.
type Sink struct {
	Host    string
	Port    int
	Letters chan Letter
	t       *testing.T
}

// NewSink starts a mail server.
func NewSink(t *testing.T) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	s := &Sink{Host: addr.IP.String(), Port: addr.Port, Letters: make(chan Letter, 100), t: t}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ReadTimeout, server.WriteTimeout = "localhost", true, 10*time.Second, 10*time.Second
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("mail server: %v", err)
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return s
}

// Next waits for a letter.
func (s *Sink) Next() Letter {
	s.t.Helper()
	select {
	case l := <-s.Letters:
		return l
	case <-time.After(10 * time.Second):
		s.t.Fatal("no letter came")
		return Letter{}
	}
}

// None makes sure that no letter comes.
func (s *Sink) None() {
	s.t.Helper()
	select {
	case l := <-s.Letters:
		s.t.Errorf("a letter came for %s: %s", l.To, l.Subject)
	case <-time.After(300 * time.Millisecond):
	}
}

type session struct {
	sink   *Sink
	letter Letter
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.letter = Letter{From: from}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.To = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		s.sink.t.Errorf("the letter cannot be read: %v", err)
		return err
	}
	words := new(mime.WordDecoder)
	if s.letter.Subject, err = words.DecodeHeader(msg.Header.Get("Subject")); err != nil {
		s.sink.t.Errorf("the subject cannot be read: %v", err)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		s.sink.t.Errorf("the letter's type: %v", err)
		return err
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.sink.t.Errorf("the letter's parts: %v", err)
			return err
		}
		var body io.Reader = p
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(p)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			s.sink.t.Errorf("the letter's part: %v", err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			s.letter.HTML = string(text)
		} else {
			s.letter.Text = string(text)
		}
	}
	s.sink.Letters <- s.letter
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
