// Package telegram is the Telegram bot: it links chats to people by a code, answers a few commands, and carries alerts. It
// polls, so that no address of the appliance has to be open to the Internet; how far it has read is kept in the store, so
// that a restart neither loses nor repeats an update. What an alert says and who gets it, others decide.
//
//	bot, err := telegram.New(telegram.Options{Token: token, Store: st, Instance: "Riverbank"})
//	err = bot.Run(ctx)
package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"aida/store"

	tg "github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
)

// channel is the name of this way of delivery in the store.
const channel = "telegram"

// Script is a notification script or rule of a person, as /status lists it.
type Script struct {
	Name     string // file name, for example revenue_drop.py
	LastSent time.Time
	Error    string // of its last run, a sentence; empty = it went well
}

// Scripts runs the alert scripts and rules of a person on demand.
type Scripts interface {
	List(ctx context.Context, user string) ([]Script, error)
	// Run runs one now, whatever its cool-down. When it had something to tell, that comes like any other alert.
	Run(ctx context.Context, user, name string) (told bool, err error)
}

// Options is what a Bot works with.
type Options struct {
	Token        string
	BaseURL      string // of the Bot API; "" = https://api.telegram.org
	Store        *store.Store
	Scripts      Scripts // nil = none
	Images       string  // folder of the alerts' pictures
	Instance     string  // name of the place
	Portal       string  // where people enter their code
	DomainSuffix string  // /whoami shows name@suffix
	Log          *slog.Logger
	Poll         time.Duration // how long one request for updates waits; 0 = 30 s
}

// Bot is the bot. One process runs it.
type Bot struct {
	o       Options
	api     *tg.Bot
	client  *http.Client
	name    string          // of the bot, without @
	life    context.Context // of Run: scripts on demand end with it
	running sync.WaitGroup

	mu   sync.Mutex
	sent map[int64]int // parts of a long alert that went out, by delivery
}

// New makes a Bot. It does not call Telegram yet.
func New(o Options) (*Bot, error) {
	if o.BaseURL == "" {
		o.BaseURL = "https://api.telegram.org"
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if u, err := url.Parse(o.BaseURL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("telegram: %q is not a URL", o.BaseURL)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = 30 * time.Second
	}
	b := &Bot{o: o, sent: map[int64]int{}, client: &http.Client{Timeout: o.Poll + 30*time.Second}}
	var err error
	if b.api, err = tg.New(o.Token, tg.WithSkipGetMe(), tg.WithServerURL(o.BaseURL), tg.WithHTTPClient(o.Poll, b.client)); err != nil {
		return nil, fmt.Errorf("telegram: %w", b.clean(err))
	}
	return b, nil
}

// clean takes the token out of an error, as URLs of the Bot API hold it.
func (b *Bot) clean(err error) error {
	if err == nil || b.o.Token == "" || !strings.Contains(err.Error(), b.o.Token) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), b.o.Token, "***"))
}

const cursor = "telegram.updates"

// Run answers people until ctx is done. While Telegram cannot be reached it tries again, ever more slowly.
func (b *Bot) Run(ctx context.Context) error {
	b.life = ctx
	defer b.running.Wait()
	pause := time.Duration(0)
	for ctx.Err() == nil {
		err := b.poll(ctx)
		switch {
		case err == nil:
			pause = 0
			continue
		case ctx.Err() != nil:
			return nil
		}
		pause = min(max(2*pause, time.Second), 5*time.Minute)
		var wait *throttled
		if errors.As(err, &wait) {
			pause = wait.after
		}
		b.o.Log.Error("telegram cannot be read", "error", b.clean(err), "again_in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
	return nil
}

// poll asks for updates once and handles them in order. An update is done when it has been handled; only then is it passed.
func (b *Bot) poll(ctx context.Context) error {
	if b.name == "" {
		me, err := b.api.GetMe(ctx)
		if err != nil {
			return err
		}
		b.name = me.Username
	}
	last, err := b.o.Store.Cursor(ctx, cursor)
	if err != nil {
		return err
	}
	var updates []*models.Update
	if err := b.call(ctx, "getUpdates", map[string]any{"offset": last + 1, "timeout": int(b.o.Poll / time.Second), "allowed_updates": []string{"message", "callback_query"}}, &updates); err != nil {
		return err
	}
	for _, u := range updates {
		if err := b.settle(ctx, u); err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}

// answerTime is how long the answer to one update may take, also when the process is asked to end meanwhile.
const answerTime = 15 * time.Second

// settle answers an update and notes that it did. Neither is cut short by the process's end, so that nobody is answered twice.
func (b *Bot) settle(ctx context.Context, u *models.Update) error {
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	b.handle(whole, u)
	return b.o.Store.SetCursor(whole, cursor, u.ID)
}

// throttled tells that Telegram asks for a pause.
type throttled struct{ after time.Duration }

func (t *throttled) Error() string { return "too many requests" }

const maxResponse = 16 << 20

// call is a request that the library keeps to itself.
func (b *Bot) call(ctx context.Context, method string, params, out any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.o.BaseURL+"/bot"+b.o.Token+"/"+method, bytes.NewReader(body))
	if err != nil {
		return b.clean(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := b.client.Do(req)
	if err != nil {
		return b.clean(err)
	}
	defer res.Body.Close()
	var answer struct {
		OK          bool            `json:"ok"`
		Result      json.RawMessage `json:"result"`
		Description string          `json:"description"`
		Parameters  struct {
			RetryAfter int `json:"retry_after"`
		} `json:"parameters"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxResponse)).Decode(&answer); err != nil {
		return fmt.Errorf("%s: status %d: %w", method, res.StatusCode, err)
	}
	switch {
	case answer.OK:
		return json.Unmarshal(answer.Result, out)
	case res.StatusCode == http.StatusTooManyRequests:
		return &throttled{time.Duration(max(answer.Parameters.RetryAfter, 1)) * time.Second}
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: Telegram does not know this bot: check telegram.bot_token", method)
	case res.StatusCode == http.StatusConflict:
		return fmt.Errorf("%s: another process polls for the same bot: stop it", method)
	}
	return fmt.Errorf("%s: status %d: %s", method, res.StatusCode, answer.Description)
}

// handle answers one update. A fault in it ends neither the bot nor the next update.
func (b *Bot) handle(ctx context.Context, u *models.Update) {
	defer func() {
		if p := recover(); p != nil {
			b.o.Log.Error("panic in a Telegram command", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	switch {
	case u.Message != nil:
		b.message(ctx, u.Message)
	case u.CallbackQuery != nil:
		b.button(ctx, u.CallbackQuery)
	}
}

func chatAddress(id int64) string { return strconv.FormatInt(id, 10) }

// Check asks Telegram who the bot is: a token that was revoked, and a network that does not lead there, are errors.
func (b *Bot) Check(ctx context.Context) error {
	var me models.User
	return b.call(ctx, "getMe", struct{}{}, &me)
}
