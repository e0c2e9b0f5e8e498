package auth

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"aida/portal/route"
	"aida/store"
)

// NewSecret makes 256 random bits, as 43 characters that stand in a URL unescaped.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// The pages of links that do not work.
var (
	LinkElsewhere = &route.Problem{Status: http.StatusForbidden, Title: "Open this link where you asked for it",
		Text: "It signs in only the browser in which it was asked for. Open it there, or ask for a new one here.", Link: "/login", LinkText: "Ask for a new link"}
	LinkUnknown = &route.Problem{Status: http.StatusNotFound, Title: "This link is not known",
		Text: "Perhaps it was cut on its way, or a newer one took its place. Ask for a new one.", Link: "/login", LinkText: "Ask for a new link"}
	LinkUsed = &route.Problem{Status: http.StatusGone, Title: "This link was used already",
		Text: "Each link works once. If it was not you who used it, tell an admin. Otherwise ask for a new one.", Link: "/login", LinkText: "Ask for a new link"}
	LinkOld = &route.Problem{Status: http.StatusGone, Title: "This link is too old",
		Text: "Links work for a short time, or until a newer one is asked for.", Link: "/login", LinkText: "Ask for a new link"}
)

// CheckLink says what is wrong with a link that was looked up, nil when nothing is.
func CheckLink(l store.Link, err error, now time.Time) error {
	switch {
	case store.CodeOf(err) == store.NotFound:
		return LinkUnknown
	case err != nil:
		return err
	case !l.UsedAt.IsZero():
		return LinkUsed
	case !now.Before(l.ExpiresAt):
		return LinkOld
	}
	return nil
}

// UsedLink gives the page for a link that could not be spent.
func UsedLink(err error) error {
	switch store.CodeOf(err) {
	case store.Conflict:
		return LinkUsed
	case store.NotFound:
		return LinkUnknown
	case store.Unauthorized:
		return LinkElsewhere
	}
	return err
}
