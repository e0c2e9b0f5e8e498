// Package password is signing in with what a person has or knows: a link sent to their mailbox, or a password that they
// chose. It stores argon2id hashes only, tells nobody which addresses have an account, and sends mail in the background so
// that answers take the same time either way.
//
//	provider := password.New(password.Options{Store: s, Mailer: mailer, Allowed: cfg.Auth.Allows, Instance: "Acme data"})
package password

import (
	"net/http"
	"strings"
	"time"

	"aida/portal/auth"
	"aida/portal/route"
	"aida/store"
)

// Options is what the provider needs.
type Options struct {
	Store    *store.Store
	Mailer   auth.Mailer
	Allowed  func(email string) bool // who may have an account without being invited
	Instance string
	Links    bool // links by mail may sign in; else mail only sets passwords
	Words    bool // passwords may sign in
	Now      func() time.Time
}

// Provider signs people in by mail and by password.
type Provider struct {
	o      Options
	hasher *hasher
}

// New makes the provider.
func New(o Options) *Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o: o, hasher: newHasher()}
}

// Name is "password".
func (p *Provider) Name() string { return "password" }

// Invites tells that a link can set a first password.
func (p *Provider) Invites() bool { return p.o.Words }

// mails tells whether links can be sent to sign in.
func (p *Provider) mails() bool { return p.o.Links && p.o.Mailer.Configured() }

// Button is the e-mail form: for a link when mail is configured, for a password otherwise.
func (p *Provider) Button() auth.Button {
	switch {
	case p.mails() && p.o.Words:
		return auth.Button{Order: 20, Form: &auth.Form{Action: "/login/email/send", Label: "E-mail me a link", OtherURL: "/login/email", OtherText: "Use a password"}}
	case p.mails():
		return auth.Button{Order: 20, Form: &auth.Form{Action: "/login/email/send", Label: "E-mail me a link"}}
	case p.o.Words:
		f := &auth.Form{Action: "/login/email", Label: "Sign in", Password: true}
		if p.o.Mailer.Configured() {
			f.OtherURL, f.OtherText = "/auth/forgot", "Forgot your password?"
		}
		return auth.Button{Order: 20, Form: f}
	}
	return auth.Button{}
}

// Routes are the pages of the provider.
func (p *Provider) Routes(h auth.Host) []route.Route {
	s := &pages{Provider: p, host: h}
	var out []route.Route
	if p.mails() {
		out = append(out, route.Route{Pattern: "POST /login/email/send", Who: route.Anyone, Handle: s.sendLink})
	}
	if !p.o.Words {
		return out
	}
	return append(out,
		route.Route{Pattern: "GET /login/email", Who: route.Anyone, Handle: s.form},
		route.Route{Pattern: "POST /login/email", Who: route.Anyone, Handle: s.signIn},
		route.Route{Pattern: "GET /auth/forgot", Who: route.Anyone, Handle: s.forgot},
		route.Route{Pattern: "POST /auth/reset-request", Who: route.Anyone, Handle: s.askReset},
		route.Route{Pattern: "POST /auth/request-access", Who: route.Anyone, Handle: s.askReset},
		route.Route{Pattern: "GET /auth/setup/{token}", Who: route.Anyone, Handle: s.showSet(store.InviteLink)},
		route.Route{Pattern: "POST /auth/setup/{token}", Who: route.Anyone, Handle: s.set(store.InviteLink)},
		route.Route{Pattern: "GET /auth/reset/{token}", Who: route.Anyone, Handle: s.showSet(store.ResetLink)},
		route.Route{Pattern: "POST /auth/reset/{token}", Who: route.Anyone, Handle: s.set(store.ResetLink)},
	)
}

// pages are the handlers, which also know their host.
type pages struct {
	*Provider
	host auth.Host
}

// Lives of links.
const (
	resetLife = time.Hour
	linkLife  = 15 * time.Minute
)

type formView struct {
	Email, Wrong, Next string
	Forgot             bool
}

func (p *pages) form(w http.ResponseWriter, r *http.Request) error {
	if _, ok := p.host.User(r); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return p.host.Render(w, r, http.StatusOK, "password", "Sign in", formView{Next: r.URL.Query().Get("next"), Forgot: p.o.Mailer.Configured()})
}

// signIn checks an address and a password. Whatever is wrong, the answer and the time it takes are the same.
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	email, err := store.NormalEmail(r.PostFormValue("email"))
	again := func(status int, wrong string) error {
		return p.host.Render(w, r, status, "password", "Sign in", formView{Email: r.PostFormValue("email"), Wrong: wrong, Next: r.PostFormValue("next"), Forgot: p.o.Mailer.Configured()})
	}
	if err != nil || email == "" {
		return again(http.StatusBadRequest, "Write your e-mail address as name@example.com.")
	}
	// The account's budget is per address too, so that nobody locks somebody else out; a wider one bounds many addresses.
	addr := p.host.Address(r)
	mine := "password " + email + " from " + addr
	if err := p.host.Limit(ctx,
		store.Limit{Name: mine, Burst: 5, Every: time.Minute},
		store.Limit{Name: "password from " + addr, Burst: 30, Every: 20 * time.Second},
		store.Limit{Name: "password " + email, Burst: 100, Every: 2 * time.Minute}); err != nil {
		return err
	}
	u, err := p.o.Store.UserByEmail(ctx, email)
	if err != nil && store.CodeOf(err) != store.NotFound {
		return err
	}
	hash := ""
	if err == nil && u.SuspendedAt.IsZero() {
		if hash, err = p.o.Store.Password(ctx, u.ID); err != nil {
			return err
		}
	}
	password := r.PostFormValue("password")
	if len(password) > 4*maxLength {
		password = ""
	}
	ok, err := p.hasher.verify(ctx, hash, password)
	if err != nil {
		return err
	}
	if !ok {
		return again(http.StatusUnauthorized, "The e-mail address or the password is not right.")
	}
	if err := p.o.Store.Forgive(ctx, mine); err != nil {
		return err
	}
	return p.host.SignInUser(w, r, p.Name(), u, r.PostFormValue("next"))
}

func (p *pages) forgot(w http.ResponseWriter, r *http.Request) error {
	if !p.o.Mailer.Configured() {
		return p.host.Render(w, r, http.StatusOK, "nomail", "Set a new password", nil)
	}
	return p.host.Render(w, r, http.StatusOK, "forgot", "Set a new password", nil)
}

// asked bounds how often mail can be asked for, by address and by receiver.
func (p *pages) asked(r *http.Request, what, email string) error {
	return p.host.Limit(r.Context(),
		store.Limit{Name: what + " from " + p.host.Address(r), Burst: 10, Every: time.Minute},
		store.Limit{Name: what + " to " + email, Burst: 3, Every: 5 * time.Minute})
}

// askReset sends a link that sets a password, to somebody who has an account. The answer is the same for everybody.
func (p *pages) askReset(w http.ResponseWriter, r *http.Request) error {
	email, err := store.NormalEmail(r.PostFormValue("email"))
	if err != nil || email == "" {
		return p.host.SignInPage(w, r, http.StatusBadRequest, r.PostFormValue("email"), "Write your e-mail address as name@example.com.")
	}
	if err := p.asked(r, "reset", email); err != nil {
		return err
	}
	u, err := p.o.Store.UserByEmail(r.Context(), email)
	switch {
	case store.CodeOf(err) == store.NotFound, err == nil && !u.SuspendedAt.IsZero(), !p.o.Mailer.Configured():
	case err != nil:
		return err
	default:
		secret := auth.NewSecret()
		if err := p.o.Store.AddLink(r.Context(), "password", secret, store.NewLink{Kind: store.ResetLink, UserID: u.ID, Life: resetLife}); err != nil {
			return err
		}
		if err := p.o.Mailer.Send(auth.Message{To: email, Subject: "Set a new password for " + p.o.Instance, Heading: "Set a new password",
			Text: "Somebody, probably you, asked for a new password. Until you set one, the old one stays.", Link: p.host.URL("/auth/reset/" + secret), LinkText: "Set a password",
			Note: "The link works once, within an hour. If it was not you, do nothing."}); err != nil {
			return err
		}
	}
	return p.host.Render(w, r, http.StatusOK, "sent", "Look into your mailbox", email)
}

// sendLink sends a sign-in link that works in this browser only. Addresses that may have an account but have none yet get
// one when they use it.
func (p *pages) sendLink(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	email, err := store.NormalEmail(r.PostFormValue("email"))
	if err != nil || email == "" {
		return p.host.SignInPage(w, r, http.StatusBadRequest, r.PostFormValue("email"), "Write your e-mail address as name@example.com.")
	}
	if err := p.asked(r, "link", email); err != nil {
		return err
	}
	flow := p.host.Flow(r)
	bind := auth.NewSecret()
	flow.Values["bind"], flow.Values["next"] = bind, r.PostFormValue("next")
	if err := flow.Save(r, w); err != nil {
		return err
	}
	n := store.NewLink{Kind: store.SignInLink, Bind: bind, Life: linkLife}
	u, err := p.o.Store.UserByEmail(ctx, email)
	send := false
	switch {
	case err == nil:
		n.UserID, send = u.ID, u.SuspendedAt.IsZero()
	case store.CodeOf(err) != store.NotFound:
		return err
	case p.o.Allowed(email):
		n.Email, send = email, true
	}
	if send {
		secret := auth.NewSecret()
		if err := p.o.Store.AddLink(ctx, "password", secret, n); err != nil {
			return err
		}
		if err := p.o.Mailer.Send(auth.Message{To: email, Subject: "Sign in to " + p.o.Instance, Heading: "Sign in to " + p.o.Instance,
			Text: "Open this link in the browser in which you asked for it.", Link: p.host.URL("/login/email/verify/" + secret), LinkText: "Sign in",
			Note: "The link works once, within a quarter of an hour. If you did not ask for it, do nothing."}); err != nil {
			return err
		}
	}
	return p.host.Render(w, r, http.StatusOK, "sent", "Look into your mailbox", email)
}

type setView struct {
	Email, Name, Wrong string
	New                bool
}

// linkOwner looks a link up and says whose password it sets.
func (p *pages) linkOwner(r *http.Request, kind store.LinkKind) (store.User, error) {
	if err := p.host.Limit(r.Context(), store.Limit{Name: "link addr " + p.host.Address(r), Burst: 30, Every: 20 * time.Second}); err != nil {
		return store.User{}, err
	}
	l, err := p.o.Store.Link(r.Context(), kind, r.PathValue("token"))
	if err := auth.CheckLink(l, err, p.o.Now()); err != nil {
		return store.User{}, err
	}
	return p.o.Store.UserByID(r.Context(), l.UserID)
}

func (p *pages) showSet(kind store.LinkKind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		u, err := p.linkOwner(r, kind)
		if err != nil {
			return err
		}
		return p.host.Render(w, r, http.StatusOK, "setpassword", "Choose a password", setView{Email: u.Email, Name: u.FullName, New: kind == store.InviteLink})
	}
}

// set stores the password, which ends every sign-in of the person, and signs in this browser.
func (p *pages) set(kind store.LinkKind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		u, err := p.linkOwner(r, kind)
		if err != nil {
			return err
		}
		password, name := r.PostFormValue("password"), strings.TrimSpace(r.PostFormValue("name"))
		wrong := weak(password, u.Email)
		if wrong == "" && password != r.PostFormValue("confirm_password") {
			wrong = "The two passwords differ."
		}
		if wrong != "" {
			return p.host.Render(w, r, http.StatusBadRequest, "setpassword", "Choose a password", setView{Email: u.Email, Name: name, New: kind == store.InviteLink, Wrong: wrong})
		}
		hash, err := p.hasher.hash(ctx, password)
		if err != nil {
			return err
		}
		if _, err := p.o.Store.UseLink(ctx, kind, r.PathValue("token"), ""); err != nil {
			return auth.UsedLink(err)
		}
		if err := p.o.Store.SetPassword(ctx, u.Name, u.ID, hash); err != nil {
			return err
		}
		if name != "" && kind == store.InviteLink {
			if err := p.o.Store.SetFullName(ctx, u.Name, u.Name, name); err != nil {
				return err
			}
		}
		return p.host.SignInUser(w, r, p.Name(), u, "/")
	}
}
