package portal

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"aida/portal/auth"
	"aida/store"

	"github.com/gorilla/sessions"
)

// The two cookies: one of a signed-in person, one of a sign-in on its way.
const (
	sessionName = "session"
	flowName    = "flow"
)

// How long sessions last: unused, and at most.
const (
	sessionIdle = 12 * time.Hour
	sessionMax  = 7 * 24 * time.Hour
	flowMax     = 15 * time.Minute
)

// keyUser is where a session's values hold the number of its user; the others are email, name, picture and provider.
const keyUser = "user"

// sessionStore keeps gorilla sessions in the database. The cookie holds a random id, the database its hash; so neither a
// stolen database nor a guessed cookie signs anybody in, and what is removed there is signed out at once.
type sessionStore struct{ p *Portal }

// Get gives the session of a request, reading it once.
func (s *sessionStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New reads the session that the cookie names, or makes an empty one.
func (s *sessionStore) New(r *http.Request, name string) (*sessions.Session, error) {
	v := sessions.NewSession(s, name)
	v.IsNew = true
	v.Options = &sessions.Options{Path: "/", MaxAge: int(lifeOf(name) / time.Second), Secure: s.p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	c, err := r.Cookie(s.p.cookieName(name))
	if err != nil || len(c.Value) != 43 {
		return v, nil
	}
	row, err := s.p.store.UseSession(r.Context(), name, c.Value)
	if store.CodeOf(err) == store.NotFound {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.ID, v.IsNew = c.Value, false
	for k, text := range row.Data {
		v.Values[k] = text
	}
	v.Values["row"] = row
	return v, nil
}

// Save writes a session and its cookie. A new one gets its id here; a MaxAge below zero ends it.
func (s *sessionStore) Save(r *http.Request, w http.ResponseWriter, v *sessions.Session) error {
	if v.Options.MaxAge < 0 {
		if v.ID != "" {
			if _, err := s.p.store.EndSession(r.Context(), v.ID); err != nil {
				return err
			}
		}
		http.SetCookie(w, sessions.NewCookie(s.p.cookieName(v.Name()), "", v.Options))
		return nil
	}
	data := map[string]string{}
	for k, value := range v.Values {
		name, ok := k.(string)
		text, isText := value.(string)
		if ok && isText {
			data[name] = text
		}
	}
	if v.ID != "" {
		return s.p.store.SetSession(r.Context(), v.ID, data)
	}
	v.ID = auth.NewSecret()
	row := store.Session{Name: v.Name(), Provider: data["provider"], Data: data, Address: s.p.Address(r), Agent: r.UserAgent(),
		Idle: idleOf(v.Name()), ExpiresAt: s.p.now().Add(lifeOf(v.Name()))}
	if text := data[keyUser]; text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("session: user %q: %w", text, err)
		}
		row.UserID = id
	}
	if err := s.p.store.AddSession(r.Context(), v.ID, row); err != nil {
		return err
	}
	http.SetCookie(w, sessions.NewCookie(s.p.cookieName(v.Name()), v.ID, v.Options))
	return nil
}

func lifeOf(name string) time.Duration {
	if name == flowName {
		return flowMax
	}
	return sessionMax
}

func idleOf(name string) time.Duration {
	if name == flowName {
		return flowMax
	}
	return sessionIdle
}

// cookieName uses the prefix that makes browsers refuse the cookie from any other host or without TLS (RFC 6265bis).
func (p *Portal) cookieName(name string) string {
	if p.secure {
		return "__Host-aida_" + name
	}
	return "aida_" + name
}

// visitor is who makes a request.
type visitor struct {
	User    store.User
	Name    string // as the provider gave it, else the full name, else the user name
	Picture string
	Session store.Session
	Token   *store.Token // instead of a session
}

// Initials are what stands for a picture.
func (v *visitor) Initials() string { return initials(v.Name) }

// visitorOf finds who is signed in. A session whose person is gone or suspended is none.
func (p *Portal) visitorOf(r *http.Request) (*visitor, error) {
	v, err := p.sessions.Get(r, sessionName)
	if err != nil {
		return nil, err
	}
	row, ok := v.Values["row"].(store.Session)
	if !ok || row.UserID == 0 {
		return nil, nil
	}
	u, err := p.store.UserByID(r.Context(), row.UserID)
	if store.CodeOf(err) == store.NotFound || err == nil && !u.SuspendedAt.IsZero() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &visitor{User: u, Name: p.displayName(u), Picture: row.Data["picture"], Session: row}, nil
}

// Flow is the state of a sign-in on its way in this browser.
func (p *Portal) Flow(r *http.Request) *sessions.Session {
	v, err := p.sessions.Get(r, flowName)
	if err != nil {
		p.log.Error("a sign-in's state could not be read", "error", err)
	}
	return v
}

// EndFlow takes the state away.
func (p *Portal) EndFlow(w http.ResponseWriter, r *http.Request) (bool, error) {
	v := p.Flow(r)
	was := false
	if v.ID != "" {
		var err error
		if was, err = p.store.EndSession(r.Context(), v.ID); err != nil {
			return false, err
		}
	}
	v.ID, v.Options.MaxAge = "", -1
	return was, p.sessions.Save(r, w, v)
}

// Session tells a handler of another room, such as a WebSocket, who is signed in by session. Valid tells later whether that
// still holds; asking does not keep the session alive.
func (p *Portal) Session(r *http.Request) (u store.User, valid func(context.Context) bool, ok bool) {
	v, err := p.visitorOf(r)
	if err != nil || v == nil {
		return store.User{}, nil, false
	}
	return v.User, func(ctx context.Context) bool {
		in, err := p.stillIn(ctx, v)
		return err == nil && in
	}, true
}

// stillIn tells whether the session or token of a request that goes on has not ended since.
func (p *Portal) stillIn(ctx context.Context, v *visitor) (bool, error) {
	if v.Token != nil {
		list, err := p.store.Tokens(ctx, v.Token.Kind, v.User.ID)
		return slices.ContainsFunc(list, func(t store.Token) bool { return t.ID == v.Token.ID }), err
	}
	list, err := p.store.Sessions(ctx, v.User.ID)
	return slices.ContainsFunc(list, func(s store.Session) bool { return s.ID == v.Session.ID }), err
}
