// Package notify is the one place that sends alerts: it writes them to the outbox in the store, hands new ones to those who
// watch (the WebSocket gateway, the portal), and delivers them by channels such as Telegram with retries. It never decides
// whether something is worth an alert, and knows no channel's protocol.
//
//	n, err := notify.New(ctx, notify.Options{Store: st, Channels: []notify.Channel{bot}})
//	n.Watch(gateway.Post)
//	err = n.Run(ctx)
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"aida/store"

	"golang.org/x/sync/errgroup"
)

// Channel carries alerts to people outside. Send is called for one delivery at a time per person, and again when it failed.
type Channel interface {
	Name() string
	Send(ctx context.Context, d store.Delivery) error
}

// Digest is a channel that carries several alerts of one person at once, and not more often than Gap, so that nobody is
// flooded. What comes meanwhile waits for the next one.
type Digest interface {
	Channel
	Gap() time.Duration
	SendAll(ctx context.Context, list []store.Delivery) error
}

// Retry is a channel's error that says when to try again.
type Retry struct {
	After time.Duration
	Err   error
}

func (r *Retry) Error() string { return fmt.Sprintf("%v (again in %v)", r.Err, r.After) }
func (r *Retry) Unwrap() error { return r.Err }

// Permanent is a channel's error that no further attempt will heal.
type Permanent struct{ Err error }

func (p *Permanent) Error() string { return p.Err.Error() }
func (p *Permanent) Unwrap() error { return p.Err }

// Options is what a Notify works with.
type Options struct {
	Store       *store.Store
	Channels    []Channel
	Log         *slog.Logger
	Poll        time.Duration // how often alerts of other processes are looked for; 0 = 200 ms
	MaxAttempts int           // of a delivery; 0 = 10
	Keep        time.Duration // how long alerts are kept; 0 = 90 days
	Pictures    string        // folder of the alerts' pictures; "" = none is looked after
	PictureRoom int64         // what they may take, bytes; 0 = 1 GiB
}

// Notify is the outbox's owner in the serving process.
type Notify struct {
	o    Options
	last int64 // the newest alert that watchers were handed
	wake chan struct{}

	mu       sync.Mutex
	watchers []func([]store.Posted)
}

// New makes a Notify. Watchers see the alerts that are raised from here on.
func New(ctx context.Context, o Options) (*Notify, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = 200 * time.Millisecond
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 10
	}
	if o.Keep <= 0 {
		o.Keep = 90 * 24 * time.Hour
	}
	if o.PictureRoom <= 0 {
		o.PictureRoom = 1 << 30
	}
	last, err := o.Store.LastAlert(ctx)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return &Notify{o: o, last: last, wake: make(chan struct{}, 1)}, nil
}

// Watch makes fn see every alert from now on, in order, each once. fn must not block.
func (n *Notify) Watch(fn func([]store.Posted)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watchers = append(n.watchers, fn)
}

// Raise writes an alert to the outbox, unless there is nothing to tell. When it returns without an error, the alert is
// safe: it will be delivered even if the process dies now.
func (n *Notify) Raise(ctx context.Context, r store.Raise) error {
	a, err := n.o.Store.RaiseAlert(ctx, r)
	if err != nil {
		return err
	}
	if a != nil {
		n.o.Log.Info("alert", "id", a.ID, "source", a.Source, "state", a.State, "severity", a.Severity, "for", a.Audience)
		n.Wake()
	}
	return nil
}

// Wake makes Run look for new alerts now.
func (n *Notify) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run hands out and delivers alerts until ctx is done.
func (n *Notify) Run(ctx context.Context) error {
	if err := n.o.Store.RequeueDeliveries(ctx); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	signals := make([]chan struct{}, len(n.o.Channels))
	for i, c := range n.o.Channels {
		signals[i] = make(chan struct{}, 1)
		group.Go(func() error { n.deliver(ctx, c, signals[i]); return nil })
	}
	group.Go(func() error { n.feed(ctx, signals); return nil })
	group.Go(func() error { n.prune(ctx); return nil })
	group.Go(func() error { n.look(ctx); return nil })
	return group.Wait()
}

// feedBatch is how many alerts are read at once.
const feedBatch = 100

// feed reads new alerts from the outbox, whoever wrote them, and hands them to the watchers.
func (n *Notify) feed(ctx context.Context, signals []chan struct{}) {
	tick := time.NewTicker(n.o.Poll)
	defer tick.Stop()
	for {
		for {
			list, err := n.o.Store.PostedAfter(ctx, n.last, feedBatch)
			if err != nil {
				if ctx.Err() == nil {
					n.o.Log.Error("alerts cannot be read", "error", err)
				}
				break
			}
			if len(list) == 0 {
				break
			}
			n.last = list[len(list)-1].ID
			n.hand(list)
			for _, s := range signals {
				select {
				case s <- struct{}{}:
				default:
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-tick.C:
		}
	}
}

func (n *Notify) hand(list []store.Posted) {
	n.mu.Lock()
	watchers := n.watchers
	n.mu.Unlock()
	for _, fn := range watchers {
		n.guard("watcher", func() { fn(list) })
	}
}

// guard keeps a fault in somebody else's code from ending delivery.
func (n *Notify) guard(what string, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			n.o.Log.Error("panic in a "+what, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	fn()
}

const (
	claimBatch = 8  // people who are served side by side by one channel
	digestMost = 50 // alerts that go out together
)

// claim takes what is due, each element what goes out together.
func (n *Notify) claim(ctx context.Context, c Channel) (out [][]store.Delivery, err error) {
	if d, ok := c.(Digest); ok {
		return n.o.Store.ClaimTogether(ctx, c.Name(), d.Gap(), claimBatch, digestMost)
	}
	list, err := n.o.Store.ClaimDeliveries(ctx, c.Name(), claimBatch)
	for _, d := range list {
		out = append(out, []store.Delivery{d})
	}
	return out, err
}

// deliver sends what is due on one channel, then waits for the next due time or a new alert.
func (n *Notify) deliver(ctx context.Context, c Channel, signal <-chan struct{}) {
	for {
		list, err := n.claim(ctx, c)
		if err != nil && ctx.Err() == nil {
			n.o.Log.Error("deliveries cannot be claimed", "channel", c.Name(), "error", err)
		}
		var batch sync.WaitGroup
		for _, d := range list {
			batch.Go(func() { n.attempt(ctx, c, d) })
		}
		batch.Wait()
		if ctx.Err() != nil {
			return
		}
		if len(list) > 0 {
			continue
		}
		timer := time.NewTimer(n.untilDue(ctx, c))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-signal:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (n *Notify) untilDue(ctx context.Context, c Channel) time.Duration {
	const longest, look = 30 * time.Second, 5 * time.Second
	if _, ok := c.(Digest); ok {
		return look // its due time is that of the gap, too
	}
	next, err := n.o.Store.NextDelivery(ctx, c.Name())
	if err != nil || next.IsZero() {
		return longest
	}
	return min(max(time.Until(next), 10*time.Millisecond), longest)
}

// sendTimeout bounds one attempt.
const sendTimeout = time.Minute

// attempt sends what goes out together and notes how that went. When the process is asked to end, what was not sent stays pending.
func (n *Notify) attempt(ctx context.Context, c Channel, list []store.Delivery) {
	d := list[0]
	err := errors.New("an internal error happened, it is in the log")
	if d.Address == "" {
		err = &Permanent{errors.New("the channel is no longer linked, or the person was suspended")}
	} else {
		n.guard("channel", func() {
			limit, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			if many, ok := c.(Digest); ok {
				err = many.SendAll(limit, list)
			} else {
				err = c.Send(limit, d)
			}
		})
	}
	for _, d := range list {
		n.note(ctx, d, err)
	}
}

// patience is how long a channel may go on asking for pauses, which count as no attempts.
const patience = 24 * time.Hour

// note writes down how an attempt ended.
func (n *Notify) note(ctx context.Context, d store.Delivery, err error) {
	state, next, cause := store.Sent, time.Time{}, ""
	var retry *Retry
	var permanent *Permanent
	switch {
	case err == nil:
	case ctx.Err() != nil:
		state, next = store.Pending, time.Now()
	case errors.As(err, &permanent):
		state, cause = store.Dead, err.Error()
	case errors.As(err, &retry):
		state, next, cause = store.Pending, time.Now().Add(retry.After), err.Error()
	default:
		state, next, cause = store.Pending, time.Now().Add(backoff(d.Attempts)), err.Error()
	}
	if state == store.Pending && ctx.Err() == nil && d.Attempts >= n.o.MaxAttempts && (retry == nil || time.Since(d.Alert.CreatedAt) > patience) {
		state = store.Dead
	}
	if err := n.o.Store.FinishDelivery(context.WithoutCancel(ctx), d.ID, state, next, cause); err != nil {
		n.o.Log.Error("delivery cannot be noted", "delivery", d.ID, "error", err)
	}
	if state == store.Dead {
		n.o.Log.Error("alert not delivered", "alert", d.Alert.ID, "user", d.User, "channel", d.Channel, "attempts", d.Attempts, "cause", cause)
	}
}

// backoff is the pause before attempt number tries + 1: 2 s, 4 s, ... to 10 min, with a quarter of chance.
func backoff(tries int) time.Duration {
	d := min(time.Second<<min(tries, 10), 10*time.Minute)
	return d + rand.N(d/4)
}

const (
	lookEvery   = 5 * time.Second
	versionGap  = time.Hour          // between alerts about one table to one person
	tokenNotice = 7 * 24 * time.Hour // before a token ends
)

// look finds what nobody raises: new versions of tables that people asked to be told of, and tokens that end soon.
func (n *Notify) look(ctx context.Context) {
	tick := time.NewTicker(min(lookEvery, 5*n.o.Poll))
	defer tick.Stop()
	for {
		versions, err := n.o.Store.RaiseVersions(ctx, versionGap)
		tokens, terr := n.o.Store.RaiseExpiring(ctx, tokenNotice)
		if err = errors.Join(err, terr); err != nil && ctx.Err() == nil {
			n.o.Log.Error("a check for alerts failed", "error", err)
		}
		if versions+tokens > 0 {
			n.Wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Notify) prune(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if _, err := n.o.Store.PruneAlerts(ctx, time.Now().Add(-n.o.Keep)); err != nil && ctx.Err() == nil {
			n.o.Log.Error("old alerts cannot be removed", "error", err)
		}
		if err := n.prunePictures(ctx, time.Now()); err != nil && ctx.Err() == nil {
			n.o.Log.Error("old pictures cannot be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
