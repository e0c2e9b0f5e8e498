package app_test

import (
	"testing"
	"time"

	"aida/store"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

// desktopSecret signs the tokens of the desktop apps in tests; desktopInstance is the configuration that says so.
const (
	desktopSecret   = "a-secret-of-the-tests-that-is-long-enough"
	desktopInstance = "desktop: {jwt_secret: " + desktopSecret + "}\n"
)

// device gives a person a desktop app and its token.
func device(t testing.TB, s *store.Store, u store.User, name string) string {
	t.Helper()
	until := time.Now().Add(24 * time.Hour)
	secret := u.Name + " " + name + " of the tests, which is a long enough secret"
	if _, err := s.AddToken(t.Context(), "test", secret, store.Token{Kind: store.DeviceToken, UserID: u.ID, Name: name, Scopes: []string{"read", "write"}, ExpiresAt: until}); err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{ID: secret, Subject: u.Name, Issuer: "data-analyst", Audience: jwt.ClaimStrings{"aida-desktop"},
		IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(until)}).SignedString([]byte(desktopSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// smallDialer is for many clients in one process.
var smallDialer = websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512, HandshakeTimeout: 30 * time.Second}

// dialDesktop connects as a desktop app does; last is the newest alert that it has seen, empty = it begins with what comes.
func dialDesktop(at, token, last string) (*websocket.Conn, error) {
	ws, _, err := smallDialer.Dial("ws"+at[len("http"):]+"/ws/notifications", nil)
	if err != nil {
		return nil, err
	}
	auth := map[string]any{"type": "auth", "token": token}
	if last != "" {
		auth["last_id"] = last
	}
	var first struct{ Type, Message string }
	if err = ws.WriteJSON(auth); err == nil {
		err = ws.ReadJSON(&first)
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	if first.Type != "auth_ok" {
		ws.Close()
		return nil, &websocket.CloseError{Code: websocket.ClosePolicyViolation, Text: first.Type + " " + first.Message}
	}
	return ws, nil
}
