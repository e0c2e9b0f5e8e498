package telegram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"aida/services/notify"
	"aida/store"

	tg "github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
)

// Name is the channel's name.
func (b *Bot) Name() string { return channel }

// Send carries one alert to its chat. A long one goes out in parts; when it is tried again, it goes on behind the last part.
func (b *Bot) Send(ctx context.Context, d store.Delivery) error {
	b.mu.Lock()
	done := b.sent[d.ID]
	b.mu.Unlock()
	err := b.carry(ctx, d.Address, d.Alert, done, func(parts int) {
		b.mu.Lock()
		b.sent[d.ID] = parts
		b.mu.Unlock()
	})
	verdict := b.verdict(ctx, d, err)
	var permanent *notify.Permanent
	if verdict == nil || errors.As(verdict, &permanent) {
		b.mu.Lock()
		delete(b.sent, d.ID)
		b.mu.Unlock()
	}
	return verdict
}

// verdict says what an error of the Bot API means for a delivery.
func (b *Bot) verdict(ctx context.Context, d store.Delivery, err error) error {
	var busy *tg.TooManyRequestsError
	var moved *tg.MigrateError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &busy):
		return &notify.Retry{After: time.Duration(max(busy.RetryAfter, 1)) * time.Second, Err: errors.New("the Bot API asks for a pause")}
	case errors.As(err, &moved):
		return &notify.Permanent{Err: errors.New("the chat has become a group: link a private chat")}
	case errors.Is(err, tg.ErrorForbidden):
		if owner, oerr := b.o.Store.ChannelOwner(ctx, channel, d.Address); oerr == nil {
			if uerr := b.o.Store.UnlinkChannel(ctx, "telegram", owner.UserID, channel); uerr != nil {
				b.o.Log.Error("a chat that blocked the bot stays linked", "user", owner.User, "error", uerr)
			}
		}
		return &notify.Permanent{Err: errors.New("the person has blocked the bot; the chat was unlinked")}
	case errors.Is(err, tg.ErrorBadRequest):
		return &notify.Permanent{Err: b.clean(err)}
	}
	return b.clean(err)
}

// carry sends an alert: its picture with the text as caption when that fits, else the text in parts, without the first skip
// of them. passed is told how many parts went out.
func (b *Bot) carry(ctx context.Context, chat string, a store.Alert, skip int, passed ...func(int)) error {
	parts := partsOf(a)
	if a.Image != "" && skip == 0 {
		caption := ""
		if units(titleOf(a)+"\n"+a.Message) <= maxCaption {
			caption = whole(a)
		}
		picture, err := b.image(a.Image)
		if err == nil {
			err = b.photo(ctx, chat, picture, caption)
			if err != nil && !refusedPicture(err) {
				return err
			}
		}
		if err == nil && caption != "" {
			return nil
		}
		if err != nil { // the words are worth more than the picture
			b.o.Log.Warn("an alert goes without its picture", "alert", a.ID, "error", b.clean(err))
		}
	}
	for i := skip; i < len(parts); i++ {
		if err := b.text(ctx, chat, parts[i]); err != nil {
			return err
		}
		for _, fn := range passed {
			fn(i + 1)
		}
	}
	return nil
}

// whole is the whole alert as one text.
func whole(a store.Alert) string {
	return strings.TrimSpace(head(a) + body(a, a.Message))
}

// body writes a piece of an alert's message. Scripts mark their texts up; what a rule says holds values of the data, whose
// signs mean nothing.
func body(a store.Alert, text string) string {
	if strings.HasPrefix(a.Source, "rule:") {
		return escape(text)
	}
	return format(text)
}

// titleOf is the first line, with the state of what it tells of.
func titleOf(a store.Alert) string {
	switch a.State {
	case store.Recovered:
		return "Recovered: " + a.Title
	case store.Repeated:
		return "Still: " + a.Title
	}
	return a.Title
}

func head(a store.Alert) string {
	title := titleOf(a)
	if strings.TrimSpace(title) == "" {
		return ""
	}
	return "*" + escape(title) + "*\n"
}

func partsOf(a store.Alert) []string {
	pieces := split(a.Message, maxText-maxTitle)
	out := make([]string, 0, len(pieces))
	for i, p := range pieces {
		text := body(a, p)
		if i == 0 {
			text = head(a) + text
		}
		if text = strings.TrimSpace(text); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// maxTitle is room for the title in the first part.
const maxTitle = 400

// text sends MarkdownV2, and where Telegram finds a fault in it, the same as plain text.
func (b *Bot) text(ctx context.Context, chat, text string) error {
	_, err := b.api.SendMessage(ctx, &tg.SendMessageParams{ChatID: chat, Text: text, ParseMode: models.ParseModeMarkdown})
	if unparsed(err) {
		_, err = b.api.SendMessage(ctx, &tg.SendMessageParams{ChatID: chat, Text: plain(text)})
	}
	return err
}

func unparsed(err error) bool {
	return errors.Is(err, tg.ErrorBadRequest) && strings.Contains(strings.ToLower(err.Error()), "parse")
}

// plain takes the marks and escapes out of MarkdownV2.
func plain(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		case s[i] == '*' || s[i] == '_' || s[i] == '`':
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

func (b *Bot) photo(ctx context.Context, chat string, picture []byte, caption string) error {
	send := func(p *tg.SendPhotoParams) error {
		p.ChatID, p.Photo = chat, &models.InputFileUpload{Filename: "chart.png", Data: bytes.NewReader(picture)}
		_, err := b.api.SendPhoto(ctx, p)
		return err
	}
	p := &tg.SendPhotoParams{Caption: caption}
	if caption != "" {
		p.ParseMode = models.ParseModeMarkdown
	}
	err := send(p)
	if unparsed(err) {
		err = send(&tg.SendPhotoParams{Caption: plain(caption)})
	}
	return err
}

// refusedPicture tells that Telegram does not take a picture, such as one whose sides differ too much.
func refusedPicture(err error) bool {
	return errors.Is(err, tg.ErrorBadRequest) && !strings.Contains(strings.ToLower(err.Error()), "chat")
}

const maxPicture = 10 << 20 // what the Bot API takes

// image reads an alert's picture, which is a name in the pictures' folder and nothing else.
func (b *Bot) image(name string) ([]byte, error) {
	root, err := os.OpenRoot(b.o.Images)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPicture {
		return nil, fmt.Errorf("%s is no picture of at most %d MiB", name, maxPicture>>20)
	}
	return root.ReadFile(name)
}
