package store

import (
	"errors"
	"fmt"
)

// Code says what kind of refusal an Error is.
type Code string

// The codes. Anything that is not an Error is an internal failure.
const (
	NotFound     Code = "not_found"
	Conflict     Code = "conflict"
	Invalid      Code = "invalid"
	Unauthorized Code = "unauthorized"
	Gone         Code = "gone" // it was there and is kept no longer
)

// Error is a refusal that a person may read: what happened, and a hint on what to do.
type Error struct {
	Code    Code
	Message string
	Hint    string
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// CodeOf gives the code of err, or "" for an internal failure.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func refuse(code Code, hint, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}
