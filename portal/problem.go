package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aida/portal/route"
	"aida/store"
)

// fail is the one way an error leaves the portal: a page for people, {"error", "hint", "request_id"} for programs. What
// is neither a Problem nor a refusal of the store is logged, and the person gets the request id to name.
func (p *Portal) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errSignIn) && !wantsJSON(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		to := "/login"
		if next := localPath(r.URL.RequestURI()); next != "/" {
			to += "?next=" + url.QueryEscape(next)
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	b := problemOf(err)
	if b.Status >= 500 {
		p.log.Error("a request failed", "request", requestID(r), "method", r.Method, "route", r.Pattern, "error", err)
	}
	if b.Status == http.StatusUnauthorized && wantsJSON(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aida"`)
	}
	if b.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(b.RetryAfter.Seconds()))))
	}
	if wantsJSON(r) {
		_ = p.JSON(w, b.Status, problemView{b.Title, b.Text, requestID(r)})
		return
	}
	if err := p.render(w, r, b.Status, "problem", page{Title: b.Title, Bare: visitorFrom(r) == nil, Data: b}); err != nil {
		p.log.Error("the error page failed", "request", requestID(r), "error", err)
		http.Error(w, "Something went wrong here. Request "+requestID(r)+".", b.Status)
	}
}

func problemOf(err error) *route.Problem {
	var b *route.Problem
	var e *store.Error
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &b):
		return b
	case errors.As(err, &big):
		return &route.Problem{Status: http.StatusRequestEntityTooLarge, Title: "That is too much", Text: fmt.Sprintf("At most %d KiB can be sent here.", big.Limit>>10)}
	case errors.As(err, &e):
		status := map[store.Code]int{store.NotFound: http.StatusNotFound, store.Conflict: http.StatusConflict, store.Invalid: http.StatusBadRequest,
			store.Unauthorized: http.StatusForbidden, store.Gone: http.StatusGone}[e.Code]
		title := map[store.Code]string{store.NotFound: "That does not exist", store.Conflict: "That is taken", store.Invalid: "That does not work",
			store.Unauthorized: "You may not come in", store.Gone: "That is not kept any more"}[e.Code]
		return &route.Problem{Status: status, Title: title, Text: strings.TrimSpace(sentence(e.Message) + " " + sentence(e.Hint))}
	}
	return &route.Problem{Status: http.StatusInternalServerError, Title: "Something went wrong here",
		Text: "It was written to the log. If it happens again, tell an admin the request number below."}
}

// notFound is every path that no route has.
func (p *Portal) notFound(http.ResponseWriter, *http.Request) error {
	return &route.Problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "It may have moved, or it may not be for you to see."}
}

func (p *Portal) problemHandler(b *route.Problem) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, b) })
}

// wantsJSON tells a program from a person.
func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

// JSON answers with a value.
func (p *Portal) JSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that left is nobody's error
	return nil
}

// sentence makes a message of the command line a sentence of a page.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[n:]
	if strings.ContainsAny(s[len(s)-1:], ".?!") || !strings.Contains(s, " ") { // a path, or a word, is no sentence
		return s
	}
	return s + "."
}
