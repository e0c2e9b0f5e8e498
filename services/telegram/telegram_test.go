package telegram

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aida/services/notify"
	"aida/services/telegram/telegramtest"
	"aida/store"
)

const token = "123456:secret-of-the-bot"

type desk struct {
	t     *testing.T
	api   *telegramtest.Server
	store *store.Store
	bot   *Bot
	log   *bytes.Buffer
	dir   string
}

func newDesk(t *testing.T, scripts Scripts) *desk {
	t.Helper()
	d := &desk{t: t, api: telegramtest.New(t, token), log: &bytes.Buffer{}, dir: t.TempDir()}
	var err error
	if d.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(d.dir, "aida.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	d.bot, err = New(Options{Token: token, BaseURL: d.api.URL, Store: d.store, Scripts: scripts, Images: d.dir, Instance: "Riverbank (test).", Portal: "https://data.example.com",
		DomainSuffix: "example.com", Log: slog.New(slog.NewTextHandler(d.log, nil)), Poll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run starts the bot and gives its end.
func (d *desk) run() (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.bot.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
		if strings.Contains(d.log.String(), "secret-of-the-bot") {
			d.t.Error("the token is in the log")
		}
	}
}

func (d *desk) user(name, chat string) store.User {
	d.t.Helper()
	u, err := d.store.AddUser(d.t.Context(), "test", store.NewUser{Name: name})
	if err != nil {
		d.t.Fatal(err)
	}
	if chat != "" {
		if err := d.store.LinkChannel(d.t.Context(), "test", u.ID, "telegram", chat); err != nil {
			d.t.Fatal(err)
		}
	}
	return u
}

func TestAChatIsLinkedByItsCode(t *testing.T) {
	d := newDesk(t, nil)
	eva := d.user("eva", "")
	defer d.run()()
	d.api.Say(7, "/start")
	text := d.api.Wait(1).Text
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(text)
	if code == "" || !strings.Contains(text, "Riverbank (test).") || !strings.Contains(text, "https://data.example.com") {
		t.Fatalf("%q", text)
	}
	address, err := d.store.UseLinkCode(t.Context(), "test", eva.ID, "telegram", code)
	if err != nil || address != "7" {
		t.Fatal(address, err)
	}
	if err := d.bot.Welcome(t.Context(), address, "eva"); err != nil {
		t.Fatal(err)
	}
	if m := d.api.Wait(2); m.Chat != "7" || !strings.Contains(m.Text, "Linked to eva.") {
		t.Errorf("%v", m)
	}
	for i, c := range []struct{ say, want string }{
		{"/start", "linked already to eva"}, {"/whoami", "eva\neva@example.com"}, {"/help@aida_test_bot", "/status"}, {"  /status  ", "no alerts yet"}, {"what?", "/help"}, {"", "/help"},
	} {
		d.api.Say(7, c.say)
		if got := d.api.Wait(3 + i).Text; !strings.Contains(got, c.want) {
			t.Errorf("%q: %q", c.say, got)
		}
	}
}

func TestWhoIsNotLinkedIsToldHow(t *testing.T) {
	d := newDesk(t, nil)
	defer d.run()()
	for i, say := range []string{"/whoami", "/status", "/test"} {
		d.api.Say(7, say)
		if got := d.api.Wait(i + 1).Text; !strings.Contains(got, "/start") {
			t.Errorf("%s: %q", say, got)
		}
	}
	d.api.SayIn(-5, "group", "/start")
	if got := d.api.Wait(4).Text; !strings.Contains(got, "private chats alone") {
		t.Errorf("%q", got)
	}
}

// scripts is a person's alerts, as the test says.
type scripts struct{ err error }

func (scripts) List(context.Context, string) ([]Script, error) {
	return []Script{{Name: "revenue_drop.py", LastSent: time.Now().Add(-3 * time.Hour)}, {Name: strings.Repeat("long", 20) + ".py"}, {Name: "quiet.py"}}, nil
}

func (s scripts) Run(_ context.Context, _, name string) (bool, error) {
	if name == "quiet.py" || s.err != nil {
		return false, s.err
	}
	return true, nil
}

func TestStatusHasAButtonForEachScriptThatRunsIt(t *testing.T) {
	d := newDesk(t, scripts{})
	d.user("eva", "7")
	defer d.run()()
	d.api.Say(7, "/status")
	m := d.api.Wait(1)
	if strings.Join(m.Buttons, " ") != "run:revenue_drop.py run:quiet.py" || !strings.Contains(m.Text, "revenue_drop.py – last sent 3h ago") || !strings.Contains(m.Text, "never sent") {
		t.Errorf("%v", m)
	}
	d.api.Press(7, "run:revenue_drop.py") // what it tells comes by the outbox, like any alert
	d.api.Press(7, "run:quiet.py")
	if got := d.api.Wait(2).Text; !strings.Contains(got, "nothing to tell") {
		t.Errorf("%q", got)
	}
	for _, data := range []string{"run:other.py", "drop:table", "run:../../etc/passwd"} {
		d.api.Press(7, data)
	}
	d.api.Press(8, "run:quiet.py") // a chat of nobody
	d.api.Say(7, "/help")
	d.api.Wait(3)
	want := []string{"Running revenue_drop", "Running quiet", "There is no such alert any more", "Unknown action", "There is no such alert any more", "This chat is not linked"}
	if got := d.api.Toasts(); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
}

func TestAFailedScriptSaysWhy(t *testing.T) {
	d := newDesk(t, scripts{err: &store.Error{Code: store.Invalid, Message: "line 3: no such table [orders]"}})
	d.user("eva", "7")
	defer d.run()()
	d.api.Press(7, "run:revenue_drop.py")
	if got := d.api.Wait(1).Text; got != "revenue_drop.py failed: line 3: no such table [orders]" {
		t.Errorf("%q", got)
	}
}

func TestTheTestAlertHasAPicture(t *testing.T) {
	d := newDesk(t, nil)
	d.user("eva", "7")
	defer d.run()()
	d.api.Say(7, "/test")
	if m := d.api.Wait(1); m.Photo < 10_000 || !strings.HasPrefix(m.Text, "Revenue dropped\n") {
		t.Errorf("%v", m)
	}
	picture, _, err := demoChart("eva", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		t.Error(err)
	}
	if dir := os.Getenv("AIDA_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "telegram-test.png"), picture, 0o644); err != nil {
			t.Error(err)
		}
	}
}

func TestARestartNeitherLosesNorRepeatsUpdates(t *testing.T) {
	d := newDesk(t, nil)
	d.user("eva", "7")
	stop := d.run()
	d.api.Say(7, "/whoami")
	d.api.Wait(1)
	stop()
	d.api.Say(7, "/help")
	defer d.run()()
	if got := d.api.Wait(2).Text; !strings.Contains(got, "notifications") {
		t.Errorf("%q", got)
	}
	d.api.Say(7, "/whoami") // updates are answered in order: what came twice would be before it
	if got := d.api.Wait(3).Text; !strings.HasPrefix(got, "eva\n") {
		t.Errorf("%q", got)
	}
	if n := len(d.api.Messages()); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func (d *desk) deliver(a store.Alert) error {
	return d.bot.Send(d.t.Context(), store.Delivery{ID: 1, Alert: a, User: "eva", Channel: "telegram", Address: "7"})
}

func TestAnyTextComesOutAsItIs(t *testing.T) {
	for _, text := range []string{
		"plain", "all of them: _*[]()~`>#+-=|{}.!\\", "a_b_c and 2*3*4", "*open", "_a *b_ c*", "`code", "``", "```", "[x](javascript:alert)", "[x](", "tail\\", "ěšč 日本 🎉 *é*",
		"- item\n- item\n# head\n> quote", "1 < 2 && 3 > 2", strings.Repeat("*", 99), "x\x00y",
	} {
		d := newDesk(t, nil)
		if err := d.deliver(store.Alert{Title: text, Message: text, State: store.Fired}); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		strip := strings.NewReplacer("*", "", "_", "", "`", "").Replace
		if got := d.api.Wait(1).Text; strings.TrimSpace(strip(got)) != strings.TrimSpace(strip(text+"\n"+text)) {
			t.Errorf("%q came out as %q", text, got)
		}
	}
}

func TestMarksOfScriptsAreKept(t *testing.T) {
	for in, want := range map[string]string{
		"*bold* and _italic_":          `*bold* and _italic_`,
		"`a_b`":                        "`a_b`",
		"```\nx = 1\n```":              "```\nx = 1\n```",
		"[page](https://x.example/a)":  `[page](https://x.example/a)`,
		"snake_case_name":              `snake\_case\_name`,
		"2 * 3 * 4":                    `2 \* 3 \* 4`,
		"*not\nclosed*":                `\*not` + "\n" + `closed\*`,
		"100% of *total.* (done)":      `100% of *total\.* \(done\)`,
		"[page](https://x.example/a_)": `[page](https://x.example/a_)`,
	} {
		if got := format(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What stands in the data is no mark-up: a customer's name makes no link.
func TestValuesInARulesAlertMeanNothing(t *testing.T) {
	d := newDesk(t, nil)
	const text = "*Ann* [win](https://evil.example) `x` _y_"
	if err := d.deliver(store.Alert{Source: "rule:eva/x", Title: text, Message: text, State: store.Fired}); err != nil {
		t.Fatal(err)
	}
	if got := d.api.Wait(1).Text; got != text+"\n"+text {
		t.Errorf("%q", got)
	}
}

func TestALongAlertIsSplitAndGoesOnWhereItBroke(t *testing.T) {
	d := newDesk(t, nil)
	var lines []string
	for i := range 400 {
		lines = append(lines, strings.Repeat("🎉é.", 8)+string(rune('a'+i%26)))
	}
	a := store.Alert{Title: "Long", Message: strings.Join(lines, "\n"), State: store.Fired}
	var retry *notify.Retry
	d.api.Throttle(1)
	if err := d.deliver(a); !errors.As(err, &retry) || retry.After != time.Second {
		t.Fatalf("%v", err)
	}
	if err := d.deliver(a); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range d.api.Messages() {
		got = append(got, m.Text)
	}
	if len(got) < 3 || strings.Join(got, "\n") != "Long\n"+a.Message {
		t.Errorf("%d parts, %d bytes of %d", len(got), len(strings.Join(got, "\n")), len(a.Message))
	}
}

func TestAPictureCarriesAShortTextAndPrecedesALongOne(t *testing.T) {
	d := newDesk(t, nil)
	size := d.picture("a.png", 40, 20)
	if err := d.deliver(store.Alert{Title: "T", Message: "short.", Image: "a.png"}); err != nil {
		t.Fatal(err)
	}
	if m := d.api.Wait(1); m.Photo != size || m.Text != "T\nshort." {
		t.Errorf("%v", m)
	}
	if err := d.deliver(store.Alert{Title: "T", Message: strings.Repeat("x", 2000), Image: "a.png"}); err != nil {
		t.Fatal(err)
	}
	if m, text := d.api.Wait(2), d.api.Wait(3); m.Photo != size || m.Text != "" || len(text.Text) != 2002 {
		t.Errorf("%v", m)
	}
	if err := d.deliver(store.Alert{Title: "T", Message: "m", Image: "../../etc/passwd"}); err != nil {
		t.Fatal(err)
	}
	if m := d.api.Wait(4); m.Photo != 0 || m.Text != "T\nm" {
		t.Errorf("%v", m)
	}
}

// picture writes a PNG of so many pixels into the pictures' folder, and gives its size in bytes.
func (d *desk) picture(name string, width, height int) int {
	d.t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, name), b.Bytes(), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return b.Len()
}

// An alert is not lost with a picture that Telegram does not take, nor by a caption that its state makes too long.
func TestAPictureThatTelegramRefusesDoesNotTakeTheWordsWithIt(t *testing.T) {
	d := newDesk(t, nil)
	d.picture("thin.png", 2100, 100)
	size := d.picture("good.png", 40, 20)
	words := strings.Repeat("x", maxCaption-len("T\n"))
	for i, c := range []struct {
		alert  store.Alert
		photos []int
		text   string
	}{
		{store.Alert{Title: "T", Message: "short.", Image: "thin.png"}, []int{0}, "T\nshort."},
		{store.Alert{Title: "T", Message: strings.Repeat("y", 2000), Image: "thin.png"}, []int{0}, "T\n" + strings.Repeat("y", 2000)},
		{store.Alert{Title: "T", Message: words, Image: "good.png"}, []int{size}, "T\n" + words},
		{store.Alert{Title: "T", Message: words, Image: "good.png", State: store.Recovered}, []int{size, 0}, "Recovered: T\n" + words},
	} {
		before := len(d.api.Messages())
		if err := d.deliver(c.alert); err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		got := d.api.Messages()[before:]
		if len(got) != len(c.photos) || got[len(got)-1].Text != c.text {
			t.Errorf("%d: %v", i, got)
			continue
		}
		for k, photo := range c.photos {
			if got[k].Photo != photo {
				t.Errorf("%d: message %d has a photo of %d bytes", i, k, got[k].Photo)
			}
		}
	}
}

func TestAChatThatBlockedTheBotIsUnlinked(t *testing.T) {
	d := newDesk(t, nil)
	eva := d.user("eva", "7")
	d.api.Block("7")
	var permanent *notify.Permanent
	if err := d.deliver(store.Alert{Title: "T"}); !errors.As(err, &permanent) {
		t.Errorf("%v", err)
	}
	if list, err := d.store.Channels(t.Context(), eva.ID); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

func TestTheStateOfAConditionIsSaid(t *testing.T) {
	d := newDesk(t, nil)
	for i, c := range []struct {
		state store.AlertState
		want  string
	}{{store.Fired, "Disk is low"}, {store.Repeated, "Still: Disk is low"}, {store.Recovered, "Recovered: Disk is low"}} {
		if err := d.deliver(store.Alert{Title: "Disk is low", State: c.state}); err != nil {
			t.Fatal(err)
		}
		if got := d.api.Wait(i + 1).Text; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestAWrongTokenIsToldWithoutSayingIt(t *testing.T) {
	d := newDesk(t, nil)
	bot, err := New(Options{Token: "1:other-secret", BaseURL: d.api.URL, Store: d.store, Poll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := bot.poll(t.Context()); err == nil || strings.Contains(err.Error(), "other-secret") {
		t.Errorf("%v", err)
	}
	if _, err := New(Options{Token: token, BaseURL: "::", Store: d.store}); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("%v", err)
	}
}
