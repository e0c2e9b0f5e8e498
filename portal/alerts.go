package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"aida/portal/route"
	"aida/store"
)

// Alerting is what the alerts page needs from the services.
type Alerting struct {
	Telegram string // user name of the bot; empty = there is none
	// Welcome tells a chat that it is linked to a person.
	Welcome func(ctx context.Context, address, user string) error
	Images  string // folder of the alerts' pictures
}

const telegramChannel = "telegram"

func (p *Portal) alertRoutes() []route.Route {
	return []route.Route{
		{Pattern: "GET /alerts", Who: route.Person, Handle: p.alerts},
		{Pattern: "POST /alerts/telegram/link", Who: route.Person, Handle: p.linkTelegram},
		{Pattern: "POST /alerts/telegram/unlink", Who: route.Person, Handle: p.unlinkTelegram},
		{Pattern: "GET /api/v1/alerts", Who: route.Caller, Handle: p.alertList, Doc: &route.Doc{Tag: "Alerts", Summary: "List your alerts, oldest first", Answer: alertsAnswer{},
			Query: []route.Param{{Name: "after", Type: "integer", Text: "List the alerts behind this one: the next of the answer before."}, {Name: "limit", Type: "integer", Text: "Most alerts of one answer: 1 to 1000, 200 unless it is given."}}}},
		{Pattern: "POST /api/v1/alerts/read", Who: route.Caller, Handle: p.readAlerts, Doc: &route.Doc{Tag: "Alerts", Summary: "Mark your alerts as read, up to one of them", Body: readBody{12}, Answer: doneView{}}},
		{Pattern: "GET /api/notifications/images/{file}", Who: route.Caller, Handle: p.alertImage, Doc: &route.Doc{Tag: "Alerts", Summary: "A picture of an alert that you got", Path: map[string]string{"file": "The image of the alert."}, Media: "image/png", Fails: []int{404}}},
		{Pattern: "GET /api/telegram/status", Who: route.Caller, Handle: p.telegramStatus, Doc: reference("Whether your Telegram chat is linked", route.Doc{Answer: chatAnswer{}})},
		{Pattern: "POST /api/telegram/verify", Who: route.Caller, Handle: p.telegramVerify, Doc: reference("Link your Telegram chat by the code that the bot gave", route.Doc{Body: codeBody{"123456"}, Answer: doneMessage{}})},
		{Pattern: "POST /api/telegram/unlink", Who: route.Caller, Handle: p.telegramUnlink, Doc: reference("Unlink your Telegram chat", route.Doc{Answer: doneMessage{}, Fails: []int{400}})},
		{Pattern: "GET /admin/deliveries", Who: route.Admin, Handle: p.deliveries},
		{Pattern: "POST /admin/deliveries/retry", Who: route.Admin, Handle: p.retryDelivery},
	}
}

type alertsView struct {
	Alerts   []alertView
	Last     int64 // newest alert that is shown, 0 = none; live ones come behind it
	Older    int64 // the alert behind which the next page begins, 0 = this is the last one
	Newest   bool
	Telegram string
	Chat     *store.Channel
	Wrong    string
	Scripts  *scriptsView // nil = there are none to be had
}

type alertView struct {
	store.Alert
	Unread bool
}

func (p *Portal) alerts(w http.ResponseWriter, r *http.Request) error {
	return p.showAlerts(w, r, http.StatusOK, "")
}

// showAlerts lists the person's alerts; those that are shown count as read from then on.
func (p *Portal) showAlerts(w http.ResponseWriter, r *http.Request, status int, wrong string) error {
	ctx, me := r.Context(), visitorFrom(r).User
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	v := alertsView{Newest: before <= 0, Telegram: p.o.Alerting.Telegram, Wrong: wrong}
	list, err := p.store.InboxBefore(ctx, me.ID, max(before, 0), perPage+1)
	if err != nil {
		return err
	}
	if len(list) > perPage {
		list = list[:perPage]
		v.Older = list[perPage-1].ID
	}
	for _, a := range list {
		v.Alerts = append(v.Alerts, alertView{a, a.ReadAt.IsZero()})
	}
	if len(list) > 0 {
		v.Last = list[0].ID
		if err := p.store.ReadInbox(ctx, me.ID, v.Last); err != nil {
			return err
		}
	}
	if v.Scripts, err = p.scriptsOf(ctx, me); err != nil {
		return err
	}
	if v.Chat, err = p.chatOf(ctx, me.ID); err != nil {
		return err
	}
	pg := page{Title: "Alerts", Lede: "What was told to you, newest first. This page is live.", Script: "alerts.js", Data: v}
	if p.o.Rules != nil {
		pg.Action = &action{Name: "Your rules", Path: "/alerts/rules"}
	}
	return p.render(w, r, status, "alerts", pg)
}

func (p *Portal) chatOf(ctx context.Context, userID int64) (*store.Channel, error) {
	list, err := p.store.Channels(ctx, userID)
	for i := range list {
		if list[i].Name == telegramChannel {
			return &list[i], err
		}
	}
	return nil, err
}

// useCode links the chat of a code to the person and says so in the chat.
func (p *Portal) useCode(r *http.Request, code string) error {
	ctx, me := r.Context(), visitorFrom(r).User
	if p.o.Alerting.Telegram == "" && p.o.Alerting.Welcome == nil {
		return &store.Error{Code: store.Conflict, Message: "no Telegram bot is set up here", Hint: "ask an admin"}
	}
	if strings.TrimSpace(code) == "" {
		return &store.Error{Code: store.Invalid, Message: "the code is missing", Hint: "send /start to the bot to get one"}
	}
	address, err := p.store.UseLinkCode(ctx, me.Name, me.ID, telegramChannel, code)
	if err != nil {
		return err
	}
	if p.o.Alerting.Welcome != nil {
		if err := p.o.Alerting.Welcome(ctx, address, me.Name); err != nil {
			p.log.Warn("a linked chat could not be greeted", "user", me.Name, "error", err)
		}
	}
	return nil
}

func (p *Portal) linkTelegram(w http.ResponseWriter, r *http.Request) error {
	switch err := p.useCode(r, r.PostFormValue("code")); {
	case store.CodeOf(err) != "":
		return p.showAlerts(w, r, http.StatusBadRequest, sentence(err.Error()))
	case err != nil:
		return err
	}
	return p.done(w, r, "/alerts", "Your Telegram chat is linked. Alerts go there from now on.")
}

func (p *Portal) unlinkTelegram(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	if err := p.store.UnlinkChannel(r.Context(), me.Name, me.ID, telegramChannel); err != nil {
		return err
	}
	return p.done(w, r, "/alerts", "Your Telegram chat is unlinked.")
}

const maxAlerts = 200

type (
	alertsAnswer struct {
		Alerts []store.Alert `json:"alerts"`
		Next   int64         `json:"next,omitempty"` // the newest of them; missing when there is none
	}
	chatAnswer struct {
		Linked   bool      `json:"linked"`
		LinkedAt time.Time `json:"linked_at,omitzero"`
	}
	codeBody struct {
		Code string `json:"code"`
	}
	readBody struct {
		UpTo int64 `json:"up_to"` // number of the newest alert that was read
	}
)

// alertList gives the person's alerts behind the one that ?after names, oldest first.
func (p *Portal) alertList(w http.ResponseWriter, r *http.Request) error {
	after, err := queryNumber(r, "after")
	if err != nil {
		return err
	}
	limit := maxAlerts
	if r.URL.Query().Has("limit") {
		if limit, err = limitOf(r); err != nil {
			return err
		}
	}
	list, err := p.store.Inbox(r.Context(), visitorFrom(r).User.ID, after, limit)
	if err != nil {
		return err
	}
	out := alertsAnswer{Alerts: append([]store.Alert{}, list...)}
	if len(list) > 0 {
		out.Next = list[len(list)-1].ID
	}
	return p.JSON(w, http.StatusOK, out)
}

func (p *Portal) readAlerts(w http.ResponseWriter, r *http.Request) error {
	var b readBody
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if b.UpTo < 1 {
		return &store.Error{Code: store.Invalid, Message: "up_to is not the number of an alert"}
	}
	return p.ok(w, p.store.ReadInbox(r.Context(), visitorFrom(r).User.ID, b.UpTo))
}

var imageName = regexp.MustCompile(`^[A-Za-z0-9_-]+\.(png|jpg)$`)

// alertImage gives a picture to those who got the alert that it belongs to.
func (p *Portal) alertImage(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	mine := false
	if imageName.MatchString(name) && p.o.Alerting.Images != "" {
		var err error
		if mine, err = p.store.HasImage(r.Context(), visitorFrom(r).User.ID, name); err != nil {
			return err
		}
	}
	if !mine {
		return p.notFound(w, r)
	}
	root, err := os.OpenRoot(p.o.Alerting.Images)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return p.notFound(w, r)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return p.notFound(w, r)
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	http.ServeContent(w, r, name, info.ModTime(), f)
	return nil
}

func (p *Portal) telegramStatus(w http.ResponseWriter, r *http.Request) error {
	chat, err := p.chatOf(r.Context(), visitorFrom(r).User.ID)
	if err != nil {
		return err
	}
	if chat == nil {
		return p.JSON(w, http.StatusOK, chatAnswer{})
	}
	return p.JSON(w, http.StatusOK, chatAnswer{true, chat.LinkedAt.UTC().Truncate(time.Second)})
}

func (p *Portal) telegramVerify(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	err := json.NewDecoder(r.Body).Decode(&body)
	if err != nil {
		err = &store.Error{Code: store.Invalid, Message: "the body is not JSON", Hint: `send {"code":"123456"}`}
	} else {
		err = p.useCode(r, body.Code)
	}
	return p.answer(w, r, err, "Telegram is linked")
}

func (p *Portal) telegramUnlink(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	return p.answer(w, r, p.store.UnlinkChannel(r.Context(), me.Name, me.ID, telegramChannel), "Telegram is unlinked")
}

// answer is the reference's shape of an API answer.
func (p *Portal) answer(w http.ResponseWriter, r *http.Request, err error, done string) error {
	switch {
	case err == nil:
		return p.JSON(w, http.StatusOK, doneMessage{true, done})
	case store.CodeOf(err) != "":
		return p.JSON(w, http.StatusBadRequest, problemView{Error: sentence(err.Error()), RequestID: requestID(r)})
	}
	return err
}

type deliveriesView struct {
	State      string
	Deliveries []store.Delivery
}

// deliveries shows how alerts fare on their way, those that were given up first of all.
func (p *Portal) deliveries(w http.ResponseWriter, r *http.Request) error {
	v := deliveriesView{State: r.URL.Query().Get("state")}
	if v.State == "" {
		v.State = string(store.Dead)
	}
	state := store.DeliveryState(v.State)
	if v.State == "all" {
		state = ""
	}
	var err error
	if v.Deliveries, err = p.store.Deliveries(r.Context(), state, maxAlerts); err != nil {
		return err
	}
	return p.render(w, r, http.StatusOK, "deliveries", page{Title: "Deliveries", Lede: "Alerts on their way to people outside of this page.",
		Crumbs: []crumb{{"Alerts", "/alerts"}}, Data: v})
}

func (p *Portal) retryDelivery(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	if err := p.store.RetryDelivery(r.Context(), visitorFrom(r).User.Name, id); err != nil {
		return err
	}
	return p.done(w, r, "/admin/deliveries", "It is tried again.")
}
