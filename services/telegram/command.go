package telegram

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aida/store"

	tg "github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
)

// message answers a command. Only private chats are spoken to: everybody in a group could press its buttons.
func (b *Bot) message(ctx context.Context, m *models.Message) {
	if m.Chat.Type != models.ChatTypePrivate {
		b.say(ctx, m.Chat.ID, escape("I answer in private chats alone, as alerts are personal."), nil)
		return
	}
	command, bot, _ := strings.Cut(firstWord(m.Text), "@")
	if bot != "" && !strings.EqualFold(bot, b.name) {
		return
	}
	owner, err := b.o.Store.ChannelOwner(ctx, channel, chatAddress(m.Chat.ID))
	linked := err == nil
	if err != nil && store.CodeOf(err) != store.NotFound {
		b.o.Log.Error("a chat's owner cannot be read", "error", err)
		b.say(ctx, m.Chat.ID, escape("That did not work. Please try again in a while."), nil)
		return
	}
	switch {
	case command == "/start":
		b.start(ctx, m.Chat.ID, owner, linked)
	case command == "/help":
		b.say(ctx, m.Chat.ID, "*"+escape(b.instance()+" notifications")+"*\n"+escape("/start – link this chat to your account\n/whoami – whose chat this is\n/status – your alerts and when they last spoke\n/test – see what an alert looks like\n/help – this list"), nil)
	case command == "/whoami" && linked:
		address := owner.User
		if b.o.DomainSuffix != "" {
			address += "@" + b.o.DomainSuffix
		}
		b.say(ctx, m.Chat.ID, "*"+escape(owner.User)+"*\n"+escape(address), nil)
	case command == "/whoami":
		b.say(ctx, m.Chat.ID, escape("This chat is not linked. Use /start to link it."), nil)
	case (command == "/status" || command == "/test") && !linked:
		b.say(ctx, m.Chat.ID, escape("Link this chat first: use /start."), nil)
	case command == "/status":
		b.status(ctx, m.Chat.ID, owner.User)
	case command == "/test":
		b.test(ctx, m.Chat.ID, owner.User)
	default:
		b.say(ctx, m.Chat.ID, escape("I do not know that. Use /help to see what I know."), nil)
	}
}

func firstWord(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

func (b *Bot) instance() string {
	if b.o.Instance == "" {
		return "Data Analyst"
	}
	return b.o.Instance
}

func (b *Bot) start(ctx context.Context, chat int64, owner store.Channel, linked bool) {
	if linked {
		b.say(ctx, chat, escape("This chat is linked already to ")+"*"+escape(owner.User)+"*"+escape(". Use /help to see what I know."), nil)
		return
	}
	code, err := b.o.Store.NewLinkCode(ctx, channel, chatAddress(chat))
	if err != nil {
		b.o.Log.Error("no link code", "error", err)
		b.say(ctx, chat, escape("There is no code to be had now. Please try again in a while."), nil)
		return
	}
	where := "the portal"
	if b.o.Portal != "" {
		where = b.o.Portal
	}
	b.say(ctx, chat, escape("Welcome to "+b.instance()+".\n\nYour code is ")+"*"+code+"*"+escape(fmt.Sprintf("\n\nEnter it on your account page in %s. It works once, within %d minutes.", where, int(store.LinkCodeLife/time.Minute))), nil)
}

// Welcome tells a chat that it is linked.
func (b *Bot) Welcome(ctx context.Context, address, user string) error {
	_, err := b.api.SendMessage(ctx, &tg.SendMessageParams{ChatID: address, ParseMode: models.ParseModeMarkdown,
		Text: escape("Linked to ") + "*" + escape(user) + "*" + escape(". Alerts of yours come here from now on.\n\nYour alert rules and scripts are in ") + "`user/notifications/`" + escape(". Ask your coding agent to write one.")})
	return b.clean(err)
}

func (b *Bot) status(ctx context.Context, chat int64, user string) {
	list, err := b.scripts(ctx, user)
	if err != nil {
		b.o.Log.Error("scripts cannot be listed", "user", user, "error", err)
		b.say(ctx, chat, escape("Your alerts cannot be listed now. Please try again in a while."), nil)
		return
	}
	if len(list) == 0 {
		b.say(ctx, chat, escape("You have no alerts yet.\nPut rules or scripts into ")+"`user/notifications/`"+escape(" and sync."), nil)
		return
	}
	text := "*" + escape("Alerts of "+user) + "*\n"
	var rows [][]models.InlineKeyboardButton
	for _, s := range list {
		when := "never sent"
		if !s.LastSent.IsZero() {
			when = "last sent " + elapsed(time.Since(s.LastSent)) + " ago"
		}
		if s.Error != "" {
			when += ", fails"
		}
		text += "\n" + escape("• ") + "`" + escapeCode(s.Name) + "`" + escape(" – "+when)
		if data := "run:" + s.Name; len(data) <= maxCallback {
			rows = append(rows, []models.InlineKeyboardButton{{Text: "Run " + stem(s.Name), CallbackData: data}})
		}
	}
	text += "\n\n" + escape(fmt.Sprintf("%d in all", len(list)))
	b.say(ctx, chat, text, &models.InlineKeyboardMarkup{InlineKeyboard: rows})
}

// maxCallback is what Telegram takes as a button's data, in bytes.
const maxCallback = 64

func (b *Bot) scripts(ctx context.Context, user string) ([]Script, error) {
	if b.o.Scripts == nil {
		return nil, nil
	}
	return b.o.Scripts.List(ctx, user)
}

func stem(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

// elapsed writes a span as the largest whole unit.
func elapsed(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d/time.Second), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}

// scriptTime bounds a script that is run on demand, with the sending of what it says.
const scriptTime = 2 * time.Minute

// button runs a script on demand, beside the polling: it may take a minute.
func (b *Bot) button(ctx context.Context, q *models.CallbackQuery) {
	toast := func(text string) {
		if _, err := b.api.AnswerCallbackQuery(ctx, &tg.AnswerCallbackQueryParams{CallbackQueryID: q.ID, Text: text}); err != nil {
			b.o.Log.Warn("a button cannot be answered", "error", b.clean(err))
		}
	}
	var chat int64
	switch {
	case q.Message.Message != nil:
		chat = q.Message.Message.Chat.ID
	case q.Message.InaccessibleMessage != nil:
		chat = q.Message.InaccessibleMessage.Chat.ID
	}
	name, ok := strings.CutPrefix(q.Data, "run:")
	if chat == 0 || !ok {
		toast("Unknown action")
		return
	}
	owner, err := b.o.Store.ChannelOwner(ctx, channel, chatAddress(chat))
	if err != nil || q.From.ID != chat { // a private chat has the id of its person
		toast("This chat is not linked")
		return
	}
	list, err := b.scripts(ctx, owner.User)
	if err != nil || !hasScript(list, name) {
		toast("There is no such alert any more")
		return
	}
	toast("Running " + stem(name))
	b.running.Go(func() {
		ctx, cancel := context.WithTimeout(b.life, scriptTime) // the answer is over before the script is
		defer cancel()
		told, err := b.o.Scripts.Run(ctx, owner.User, name)
		switch {
		case store.CodeOf(err) != "":
			b.say(ctx, chat, "`"+escapeCode(name)+"`"+escape(" failed: ")+format(err.Error()), nil)
		case err != nil:
			b.o.Log.Error("a script cannot be run", "user", owner.User, "script", name, "error", err)
			b.say(ctx, chat, "`"+escapeCode(name)+"`"+escape(" could not be run. Please try again in a while."), nil)
		case !told:
			b.say(ctx, chat, "`"+escapeCode(name)+"`"+escape(" has nothing to tell."), nil)
		}
	})
}

func hasScript(list []Script, name string) bool {
	for _, s := range list {
		if s.Name == name {
			return true
		}
	}
	return false
}

// test shows what an alert with a picture looks like.
func (b *Bot) test(ctx context.Context, chat int64, user string) {
	picture, caption, err := demoChart(user, time.Now())
	if err == nil {
		err = b.photo(ctx, chatAddress(chat), picture, caption)
	}
	if err != nil {
		b.o.Log.Error("the test picture cannot be sent", "error", b.clean(err))
		b.say(ctx, chat, escape("The test did not work. Please try again in a while."), nil)
	}
}

// say sends MarkdownV2 text; what fails is logged, as there is nobody to tell.
func (b *Bot) say(ctx context.Context, chat int64, text string, keyboard *models.InlineKeyboardMarkup) {
	p := &tg.SendMessageParams{ChatID: chat, Text: text, ParseMode: models.ParseModeMarkdown}
	if keyboard != nil && len(keyboard.InlineKeyboard) > 0 {
		p.ReplyMarkup = keyboard
	}
	if _, err := b.api.SendMessage(ctx, p); err != nil {
		b.o.Log.Error("a chat cannot be answered", "error", b.clean(err))
	}
}
