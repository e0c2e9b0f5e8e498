package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aida/services/telegram/telegramtest"
	"aida/store"
)

// A server is killed again and again while alerts go out. Each client, which goes on behind the last alert that it saw, sees
// every alert exactly once; and every alert that was sent by a channel is sent until the channel has taken it. AIDA_TORTURE=1
// makes it a hundred times.
func TestAlertsSurviveKillsDuringDelivery(t *testing.T) {
	kills := torture(t, 4, 100)
	api := telegramtest.New(t, "123:token")
	c := newCompany(t)
	c.write("config/instance.yaml", "instance: {name: Test}\nauth: {allowed_domain: example.com, webapp_secret_key: x}\nserver: {host: h, hostname: h}\ndata_source: {csv: {root: in}}\n"+
		desktopInstance+"telegram: {bot_token: \"123:token\", api_url: "+api.URL+"}\n")
	s, _ := c.look()
	const people, apps = 4, 2
	var clients []*resuming
	var at atomic.Value // of the server that lives now
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	for i := range people {
		u, err := s.AddUser(t.Context(), "test", store.NewUser{Name: fmt.Sprintf("p%d", i)})
		check(t, err)
		check(t, s.LinkChannel(t.Context(), "test", u.ID, "telegram", strconv.Itoa(700+i)))
		for n := range apps {
			r := &resuming{token: device(t, s, u, fmt.Sprintf("app %d", n)), seen: map[string]int{}}
			clients = append(clients, r)
			listening.Go(func() { r.run(ctx, &at) })
		}
	}
	defer listening.Wait()
	defer cancel()

	// Alerts are raised all the while by another process, this one, at random short distances.
	var uids []string
	var mu sync.Mutex
	raising, stop := context.WithCancel(t.Context())
	var raised sync.WaitGroup
	raised.Go(func() {
		for i := 0; raising.Err() == nil; i++ {
			a, err := s.RaiseAlert(ctx, store.Raise{Source: "test", Dedupe: "x", Event: true, Title: fmt.Sprintf("alert %d", i), To: store.Audience{Everyone: true}})
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			uids = append(uids, a.UID)
			mu.Unlock()
			time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		}
	})
	for range kills {
		server := c.serve()
		at.Store(server.HTTP)
		time.Sleep(300*time.Millisecond + time.Duration(rand.Int64N(int64(700*time.Millisecond))))
		server.stop(syscall.SIGKILL)
	}
	stop()
	raised.Wait()
	server := c.serve()
	at.Store(server.HTTP)
	var wrong error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		wrong = nil
		for i, r := range clients {
			if err := r.count(uids); err != nil {
				wrong = errors.Join(wrong, fmt.Errorf("client %d: %w", i, err))
			}
		}
		if wrong == nil {
			break
		}
	}
	if wrong != nil {
		t.Error(wrong)
	}
	again := 0
	for _, r := range clients {
		again += r.again()
	}
	if again > 0 {
		t.Errorf("%d alerts came more than once", again)
	}
	for before, end := 0, time.Now(); ; time.Sleep(200 * time.Millisecond) { // what the short lives left is sent now
		left, err := s.Deliveries(t.Context(), store.Pending, 100_000)
		check(t, err)
		sending, err := s.Deliveries(t.Context(), store.Sending, 100)
		check(t, err)
		now := len(left) + len(sending)
		if now == 0 {
			break
		}
		if now != before {
			before, end = now, time.Now().Add(30*time.Second)
		}
		if time.Now().After(end) {
			t.Fatalf("%d are not sent, and none of them for 30 s, such as %+v", now, append(sending, left...)[0])
		}
	}
	dead, err := s.Deliveries(t.Context(), store.Dead, 10)
	check(t, err)
	if len(dead) > 0 {
		t.Errorf("given up: %+v", dead)
	}
	t.Logf("%d kills, %d alerts to %d clients each exactly once", kills, len(uids), len(clients))
}

// resuming is a desktop app that connects again whenever it is cut, behind the last alert that it has seen.
type resuming struct {
	token string
	mu    sync.Mutex
	last  int64
	seen  map[string]int
}

func (r *resuming) run(ctx context.Context, at *atomic.Value) {
	for ctx.Err() == nil {
		base, _ := at.Load().(string)
		if base == "" {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		r.mu.Lock()
		last := strconv.FormatInt(r.last, 10)
		r.mu.Unlock()
		ws, err := dialDesktop(base, r.token, last)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		end := context.AfterFunc(ctx, func() { ws.Close() })
		for {
			var m struct {
				Type, ID string
				Seq      int64
			}
			if ws.ReadJSON(&m) != nil {
				break
			}
			if m.Type == "notification" {
				r.mu.Lock()
				r.seen[m.ID]++
				r.last = max(r.last, m.Seq)
				r.mu.Unlock()
			}
		}
		end()
		ws.Close()
	}
}

// count tells whether each alert was seen.
func (r *resuming) count(uids []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 0
	for _, uid := range uids {
		if r.seen[uid] == 0 {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d alerts did not come", missing, len(uids))
	}
	return nil
}

// again counts those that were seen more than once.
func (r *resuming) again() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.seen {
		if times > 1 {
			n++
		}
	}
	return n
}
