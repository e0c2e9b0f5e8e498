package sftpd

import (
	"net"
	"reflect"
	"sync"
	"time"
	"unsafe"

	gossh "golang.org/x/crypto/ssh"
)

// lead bounds how many bytes of a channel are on their way to a client's program, below the window that its ssh gives, on a
// network that is so near that more of them would only wait in the memory of that ssh. OpenSSH makes the buffer in which they
// wait larger by one packet at a time, and copies all of it each time, so that a window of 2 MiB that fills up costs it more
// than the transfer (docs/decisions/0009-near-clients-get-less-ahead.md).
//
// The library keeps what is left of the window to itself. It is found by its name and type; if it is no longer there, nothing
// is bounded, and a test says so.
type lead struct {
	*sync.Cond // of the window; the library wakes it with each change
	left       *uint32
	closed     *bool

	full     uint32 // the window when nothing is on its way
	most     uint32 // of it that may be
	patience time.Duration
}

const (
	nearLead = 512 << 10
	near     = time.Millisecond       // of a round trip; nearLead in this time is as fast as any disk
	patience = 100 * time.Millisecond // for a client that tells what it has taken only now and then, as some do
)

// newLead bounds a channel that was just opened, or gives nil, which bounds nothing.
func newLead(ch gossh.Channel, c net.Conn) *lead {
	if rtt, known := roundTrip(c); !known || rtt > near {
		return nil
	}
	return windowOf(ch)
}

// windowOf finds the window of a channel.
func windowOf(ch gossh.Channel) *lead {
	v := reflect.ValueOf(ch)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	w := v.Elem().FieldByName("remoteWin")
	if !w.IsValid() || w.Kind() != reflect.Struct {
		return nil
	}
	l := &lead{most: nearLead, patience: patience}
	for name, to := range map[string]any{"Cond": &l.Cond, "win": &l.left, "closed": &l.closed} {
		if !find(w.FieldByName(name), to) {
			return nil
		}
	}
	l.L.Lock()
	defer l.L.Unlock()
	l.full = *l.left
	return l
}

// find puts a pointer to a field, or the pointer that the field is, into what to points to, if that has the same type.
func find(field reflect.Value, to any) bool {
	if !field.IsValid() {
		return false
	}
	switch to := to.(type) {
	case **sync.Cond:
		if field.Type() != reflect.TypeFor[*sync.Cond]() || field.IsNil() {
			return false
		}
		*to = (*sync.Cond)(field.UnsafePointer())
	case **uint32:
		if field.Kind() != reflect.Uint32 {
			return false
		}
		*to = (*uint32)(unsafe.Pointer(field.UnsafeAddr()))
	case **bool:
		if field.Kind() != reflect.Bool {
			return false
		}
		*to = (*bool)(unsafe.Pointer(field.UnsafeAddr()))
	default:
		return false
	}
	return true
}

// wait waits until the client's program has taken enough of what was sent. A client that says nothing of it for a while gets
// all that its window allows from then on.
func (l *lead) wait() {
	if l == nil {
		return
	}
	l.L.Lock()
	defer l.L.Unlock()
	if !l.ahead() {
		return
	}
	seen, over := *l.left, false
	var timer *time.Timer
	timer = time.AfterFunc(l.patience, func() {
		l.L.Lock()
		defer l.L.Unlock()
		if over { // it ran out while the last bytes were taken
			return
		}
		if *l.left <= seen {
			l.most = l.full
		}
		seen = *l.left
		timer.Reset(l.patience)
		l.Broadcast()
	})
	for l.ahead() {
		l.Wait()
	}
	over = true
	timer.Stop()
}

func (l *lead) ahead() bool {
	return !*l.closed && *l.left < l.full && l.full-*l.left > l.most
}
