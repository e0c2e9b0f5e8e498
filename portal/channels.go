package portal

import (
	"net/http"
	"slices"

	"aida/store"
)

// channelView is a way by which alerts reach the person beside the pages, with what it carries.
type channelView struct {
	Name, Label, Note string
	Least             store.Severity
}

// channelViews lists the channels that the person has, and e-mail where letters can be sent.
func (p *Portal) channelViews(r *http.Request, u store.User) (out []channelView, err error) {
	list, err := p.store.Channels(r.Context(), u.ID)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(c store.Channel) bool { return c.Name == telegramChannel }); i >= 0 {
		out = append(out, channelView{telegramChannel, "Telegram", "At once.", list[i].Least})
	}
	if u.Email != "" && p.o.Mailer != nil && p.o.Mailer.Configured() {
		v := channelView{store.EmailChannel, "E-mail", "To " + u.Email + ": the first at once, what comes within ten minutes of it in one letter.", store.NoAlerts}
		if i := slices.IndexFunc(list, func(c store.Channel) bool { return c.Name == store.EmailChannel }); i >= 0 {
			v.Least = list[i].Least
		}
		out = append(out, v)
	}
	return out, nil
}

// setAlerts says which alerts a channel carries.
func (p *Portal) setAlerts(w http.ResponseWriter, r *http.Request) error {
	me := visitorFrom(r).User
	if err := p.store.SetChannelLeast(r.Context(), me.Name, me.ID, r.PostFormValue("channel"), store.Severity(r.PostFormValue("least"))); err != nil {
		return err
	}
	return p.done(w, r, "/account", "Your choice is saved. It counts for alerts from now on.")
}
