package notify

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"aida/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "aida.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addUser(t *testing.T, s *store.Store, name, chat string) store.User {
	t.Helper()
	u, err := s.AddUser(t.Context(), "test", store.NewUser{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if chat != "" {
		if err := s.LinkChannel(t.Context(), "test", u.ID, "chat", chat); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// wire is a channel that notes what it is given and answers as told.
type wire struct {
	mu     sync.Mutex
	got    []string
	answer func(d store.Delivery) error
}

func (*wire) Name() string { return "chat" }

func (w *wire) Send(_ context.Context, d store.Delivery) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answer != nil {
		if err := w.answer(d); err != nil {
			return err
		}
	}
	w.got = append(w.got, d.Address+" "+d.Alert.Title)
	return nil
}

func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

func newNotify(t *testing.T, o Options) *Notify {
	t.Helper()
	n, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run starts a Notify and ends it with the test.
func run(t *testing.T, n *Notify) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func TestAnAlertReachesWhoIsLinkedAndTheInboxOfAll(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	tom := addUser(t, s, "tom", "")
	w := &wire{}
	n := newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond})
	var mu sync.Mutex
	var seen []store.Posted
	n.Watch(func(list []store.Posted) { mu.Lock(); seen = append(seen, list...); mu.Unlock() })
	run(t, n)
	if err := n.Raise(t.Context(), store.Raise{Source: "system", Dedupe: "x", Title: "disk is low", To: store.Audience{Everyone: true}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the chat gets it", func() bool { return slices.Equal(w.sent(), []string{"100 disk is low"}) })
	eventually(t, "the watcher sees it", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 1 && len(seen[0].Users) == 2 })
	inbox, err := s.Inbox(t.Context(), tom.ID, 0, 10)
	if err != nil || len(inbox) != 1 || inbox[0].State != store.Fired {
		t.Fatalf("inbox %v %v", inbox, err)
	}
}

func TestAlertsOfAnotherProcessAreFound(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	w := &wire{}
	run(t, newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond}))
	if _, err := s.RaiseAlert(t.Context(), store.Raise{Source: "system", Dedupe: "x", Title: "from outside", To: store.Audience{User: "eva"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is sent", func() bool { return len(w.sent()) == 1 })
}

func TestADeliveryIsTriedAgainAndThenGivenUp(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	addUser(t, s, "tom", "200")
	tries := map[string]int{}
	w := &wire{}
	w.answer = func(d store.Delivery) error {
		tries[d.Address]++
		switch {
		case d.Address == "200":
			return &Permanent{errors.New("the chat is gone")}
		case tries[d.Address] < 3:
			return &Retry{After: 20 * time.Millisecond, Err: errors.New("too many requests")}
		}
		return nil
	}
	n := newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond})
	run(t, n)
	if err := n.Raise(t.Context(), store.Raise{Source: "system", Dedupe: "x", Title: "hello", To: store.Audience{Everyone: true}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "eva gets it at the third try", func() bool { return slices.Equal(w.sent(), []string{"100 hello"}) })
	eventually(t, "tom's is dead, with the cause", func() bool {
		dead, err := s.Deliveries(t.Context(), store.Dead, 10)
		return err == nil && len(dead) == 1 && dead[0].User == "tom" && dead[0].Error == "the chat is gone"
	})
	dead, _ := s.Deliveries(t.Context(), store.Dead, 10)
	w.mu.Lock()
	w.answer = nil
	w.mu.Unlock()
	if err := s.RetryDelivery(t.Context(), "test", dead[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := n.Raise(t.Context(), store.Raise{Source: "system", Dedupe: "y", Title: "again", To: store.Audience{User: "tom"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the retried one comes first", func() bool {
		return slices.Equal(w.sent(), []string{"100 hello", "200 hello", "200 again"})
	})
}

// A channel that asks for pauses is not at fault, so an alert waits however often it does. One that fails is given up.
func TestAskedForPausesAreNoAttempts(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	addUser(t, s, "tom", "200")
	tries := map[string]int{}
	w := &wire{}
	w.answer = func(d store.Delivery) error {
		tries[d.Address]++
		switch {
		case d.Address == "200":
			return errors.New("no answer")
		case tries[d.Address] < 5:
			return &Retry{After: time.Millisecond, Err: errors.New("too many requests")}
		}
		return nil
	}
	n := newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond, MaxAttempts: 1})
	run(t, n)
	if err := n.Raise(t.Context(), store.Raise{Source: "system", Dedupe: "x", Title: "hello", To: store.Audience{Everyone: true}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "eva gets it", func() bool { return slices.Equal(w.sent(), []string{"100 hello"}) })
	eventually(t, "tom's is given up", func() bool {
		dead, err := s.Deliveries(t.Context(), store.Dead, 10)
		return err == nil && len(dead) == 1 && dead[0].User == "tom"
	})
}

func TestAPersonsAlertsComeInOrderAlsoAfterAFailure(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	w := &wire{}
	failed := false
	w.answer = func(d store.Delivery) error {
		if d.Alert.Title == "1" && !failed {
			failed = true
			return &Retry{After: 50 * time.Millisecond, Err: errors.New("busy")}
		}
		return nil
	}
	for i := range 5 {
		if _, err := s.RaiseAlert(t.Context(), store.Raise{Source: "s", Dedupe: fmt.Sprint(i), Title: fmt.Sprint(i), To: store.Audience{User: "eva"}}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond}))
	eventually(t, "all five, in order", func() bool { return slices.Equal(w.sent(), []string{"100 0", "100 1", "100 2", "100 3", "100 4"}) })
}

func TestWhatAKilledProcessWasSendingIsSentAgain(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	if _, err := s.RaiseAlert(t.Context(), store.Raise{Source: "s", Dedupe: "x", Title: "hello", To: store.Audience{User: "eva"}}); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.ClaimDeliveries(t.Context(), "chat", 10) // and then the process dies
	if err != nil || len(claimed) != 1 {
		t.Fatalf("%v %v", claimed, err)
	}
	w := &wire{}
	run(t, newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond}))
	eventually(t, "it is sent", func() bool { return slices.Equal(w.sent(), []string{"100 hello"}) })
}

func TestAPanicInAChannelOrWatcherEndsNothing(t *testing.T) {
	s := open(t)
	addUser(t, s, "eva", "100")
	w := &wire{}
	first := true
	w.answer = func(store.Delivery) error {
		if first {
			first = false
			panic("oh")
		}
		return nil
	}
	n := newNotify(t, Options{Store: s, Channels: []Channel{w}, Poll: 10 * time.Millisecond})
	n.Watch(func([]store.Posted) { panic("oh") })
	run(t, n)
	if err := n.Raise(t.Context(), store.Raise{Source: "s", Dedupe: "x", Title: "hello", To: store.Audience{User: "eva"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second try works", func() bool { return len(w.sent()) == 1 })
}
