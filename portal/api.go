package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"aida/portal/route"
	"aida/store"
)

// Bounds of a list that is given in pages.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

var (
	limitParam  = route.Param{Name: "limit", Type: "integer", Text: "Most entries of one answer: 1 to 1000, 100 unless it is given."}
	beforeParam = route.Param{Name: "before", Type: "integer", Text: "List the entries that are older than this one: the next of the answer before."}
	afterParam  = route.Param{Name: "after", Text: "List the entries behind this one: the next of the answer before."}
	wordsParam  = route.Param{Name: "q", Text: "Only entries that contain each of these words."}
)

func badQuery(name, want string) error {
	return &route.Problem{Status: http.StatusBadRequest, Title: "The parameter " + name + " is not understood", Text: want}
}

// queryNumber reads a number of the query; 0 = it is not there.
func queryNumber(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, badQuery(name, "It is a number, 0 or more.")
	}
	return n, nil
}

func limitOf(r *http.Request) (int, error) {
	n, err := queryNumber(r, "limit")
	if err != nil || n > maxLimit {
		return 0, badQuery("limit", "It is a number from 1 to 1000.")
	}
	if n == 0 {
		return defaultLimit, nil
	}
	return int(n), nil
}

// older reads the two parameters of a list that goes from the newest entry back.
func older(r *http.Request) (before int64, limit int, err error) {
	if before, err = queryNumber(r, "before"); err != nil {
		return 0, 0, err
	}
	limit, err = limitOf(r)
	return before, limit, err
}

// oldest cuts a list, of which one entry more than limit was asked for, and gives where its next page begins.
func oldest[T any](list []T, limit int, id func(T) int64) ([]T, int64) {
	if len(list) > limit {
		return list[:limit], id(list[limit-1])
	}
	return append([]T{}, list...), 0
}

// pageByName gives a list by name: what is behind ?after, at most ?limit of it, and where the next page begins.
func pageByName[T any](r *http.Request, list []T, name func(T) string) (out []T, next string, err error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, "", err
	}
	after := r.URL.Query().Get("after")
	list = slices.SortedFunc(slices.Values(list), func(x, y T) int { return strings.Compare(name(x), name(y)) })
	out = []T{}
	for _, v := range list {
		if after != "" && name(v) <= after {
			continue
		}
		if len(out) == limit {
			return out, name(out[limit-1]), nil
		}
		out = append(out, v)
	}
	return out, "", nil
}

// byWords keeps what contains each word of ?q.
func byWords[T any](r *http.Request, list []T, text func(T) string) []T {
	words := strings.Fields(strings.ToLower(r.URL.Query().Get("q")))
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return !matches(text(v), words) })
}

// readJSON reads the body of a request, which has to be one JSON value with no field that is not known.
func readJSON(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more than one value")
		}
	}
	var big *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &big):
		return err
	}
	return &store.Error{Code: store.Invalid, Message: "the body is not the JSON that is expected", Hint: jsonFault(err)}
}

// jsonFault says what is wrong with a body, without a word about our types.
func jsonFault(err error) string {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Sprintf("%s cannot be a %s", typ.Field, typ.Value)
	case errors.As(err, &typ):
		return "it has to be an object, not a " + typ.Value
	case errors.As(err, &syntax):
		return fmt.Sprintf("it breaks at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ") // an unknown field, or a second value
}

// numberOf reads a number of the path; what has none does not exist.
func numberOf(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n < 1 {
		return 0, &store.Error{Code: store.NotFound, Message: name + " " + strconv.Quote(r.PathValue(name)) + " does not exist", Hint: "it is a number"}
	}
	return n, nil
}

// doneView answers an action that has nothing else to tell.
type doneView struct {
	OK bool `json:"ok"`
}

func (p *Portal) ok(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	return p.JSON(w, http.StatusOK, doneView{true})
}

// actor is who did it, as the audit log has it.
func actor(r *http.Request) string { return visitorFrom(r).User.Name }
