package sourcetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aida/syncer/columnar"
)

// changedWhileRead changes the source at three moments of a read. Whatever comes out is one state, and when it is the old
// one, the next fetch finds the change.
func changedWhileRead(s *suite) {
	old, changed := Rows(s.Many, "a"), Rows(s.Many, "b")
	for _, at := range []int{0, 1, 2} { // before the read, when it begins, when the first bytes come out
		s.Put(s, old)
		r := s.request()
		res := s.fetch(r)
		calls := 0
		hook := func(int) error {
			if calls++; calls == at {
				s.Put(s, changed)
			}
			return nil
		}
		if at == 0 {
			s.Put(s, changed)
		}
		a, err := s.drain(r, res, hook)
		if err != nil {
			continue // told as not settled, or as a change on the way
		}
		isOld, isNew := match(a.table, old), match(a.table, changed)
		if isOld != nil && isNew != nil {
			s.Errorf("moment %d: the rows are of neither state: %v; %v", at, isOld, isNew)
		}
		r = s.request()
		r.Known = a.Fingerprint
		next := s.fetch(r)
		if next.Unchanged() {
			if isNew != nil {
				s.Errorf("moment %d: the old rows were read, and the change is not found afterwards", at)
			}
			continue
		}
		again, err := s.drain(r, next, nil)
		if err != nil {
			s.Errorf("moment %d: the next read: %v", at, err)
			continue
		}
		s.same(again, changed)
	}
}

// cancelled cancels before a fetch, and at three moments of a read.
func cancelled(s *suite) {
	s.Put(s, Rows(s.Many, "a"))
	s.read(s.request()) // connections and caches are warm
	before := files()
	for _, at := range []int{-1, 0, 1, 2} {
		ctx, cancel := context.WithCancel(s.Context())
		r := s.request()
		if at < 0 {
			cancel()
		}
		res, err := s.Source.Fetch(ctx, r)
		if err == nil && at < 0 && res.Unchanged() {
			s.Error("a cancelled fetch is told as unchanged")
		}
		if err == nil && !res.Unchanged() {
			if at == 0 {
				cancel()
			}
			calls := 0
			_, err = s.drainWith(ctx, r, res, func(int) error {
				if calls++; calls == at {
					cancel()
				}
				return nil
			}, columnar.Options{Workers: 2})
		}
		cancel()
		switch {
		case err == nil && at <= 0:
			s.Errorf("moment %d: a cancelled read ended well", at)
		case err != nil && !errors.Is(err, context.Canceled):
			s.Errorf("moment %d: the error does not tell of the cancellation: %v", at, err)
		}
		s.clean(r)
	}
	s.nothingLeft(before)
}

func fullDisk(s *suite) {
	s.Put(s, Rows(s.Many, "a"))
	before := files()
	full := errors.New("no space left on device")
	for _, room := range []int{0, 100} {
		r := s.request()
		res := s.fetch(r)
		begun := false
		_, err := s.drain(r, res, func(taken int) error {
			if begun && taken >= room { // the first call is the reset that begins
				return full
			}
			begun = true
			return nil
		})
		if !errors.Is(err, full) {
			s.Errorf("room for %d bytes: the error is %v", room, err)
		}
	}
	s.nothingLeft(before)
}

func notRead(s *suite) {
	s.Put(s, Rows(5, "a"))
	s.read(s.request())
	before := files()
	r := s.request()
	if res := s.fetch(r); !res.Unchanged() {
		if err := res.Data.Close(); err != nil {
			s.Error(err)
		}
	}
	s.clean(r)
	s.nothingLeft(before)
}

// nothingLeft waits until no goroutine of the sync engine and no further open file is left.
func (s *suite) nothingLeft(before int) {
	s.Helper()
	var stacks []string
	after := 0
	for range 100 {
		if stacks, after = working(), files(); len(stacks) == 0 && after <= before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Errorf("%d files are open, %d were before; still at work:\n%s", after, before, strings.Join(stacks, "\n\n"))
}

// working gives the goroutines that run code of the sync engine, beside tests and the servers that they run.
func working() (out []string) {
	buf := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "aida/syncer/") && !strings.Contains(stack, "testing.tRunner") && !strings.Contains(stack, "net/http.(*conn).serve") {
			out = append(out, stack)
		}
	}
	return out
}

// files counts the open files and folders of this process, where the system tells.
func files() (n int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/proc/") {
			n++
		}
	}
	return n
}
