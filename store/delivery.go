package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Channel is a way by which a person gets alerts beside the portal and the desktop app, for example a Telegram chat.
type Channel struct {
	UserID   int64     `json:"-"`
	User     string    `json:"user"`
	Name     string    `json:"channel"`
	Address  string    `json:"-"`
	Least    Severity  `json:"least"` // it carries alerts from this severity on, or none
	LinkedAt time.Time `json:"linked_at"`
}

// EmailChannel is the channel whose address is the person's own e-mail address.
const EmailChannel = "email"

// NoAlerts as a channel's least severity switches it off.
const NoAlerts Severity = "none"

// SetChannelLeast says from which severity on a channel carries alerts. E-mail needs no link: choosing is enough.
func (s *Store) SetChannelLeast(ctx context.Context, actor string, userID int64, channel string, least Severity) error {
	switch least {
	case Info, Warning, Critical, NoAlerts:
	default:
		return refuse(Invalid, "choose info, warning, critical or none", "%q is no severity", least)
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userWhere(ctx, tx, "u.id = ?", userID)
		if err != nil {
			return err
		}
		if channel == EmailChannel {
			if u.Email == "" {
				return refuse(Conflict, "ask an admin to add it", "your account has no e-mail address")
			}
			if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO channels (user_id, channel, address, linked_at, least) VALUES (?, ?, ?, ?, ?)`,
				userID, channel, fmt.Sprintf("user %d", userID), nanos(s.now()), least); err != nil {
				return fmt.Errorf("channel %s: %w", channel, err)
			}
		}
		res, err := tx.ExecContext(ctx, `UPDATE channels SET least = ? WHERE user_id = ? AND channel = ?`, least, userID, channel)
		if err != nil {
			return fmt.Errorf("channel %s: %w", channel, err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return refuse(NotFound, "link it first", "%s is not linked", channel)
		}
		return s.audit(ctx, tx, actor, "channel.least", u.Name, channel+" "+string(least))
	})
}

// LinkChannel gives a person a channel, in place of the one of that name the person had. An address belongs to one person.
func (s *Store) LinkChannel(ctx context.Context, actor string, userID int64, channel, address string) error {
	return s.write(ctx, func(tx *sql.Tx) error { return s.linkChannel(ctx, tx, actor, userID, channel, address) })
}

func (s *Store) linkChannel(ctx context.Context, tx *sql.Tx, actor string, userID int64, channel, address string) error {
	u, err := userWhere(ctx, tx, "u.id = ?", userID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM channels WHERE channel = ? AND (user_id = ? OR address = ?)`, channel, userID, address); err != nil {
		return fmt.Errorf("link %s: %w", channel, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO channels (user_id, channel, address, linked_at) VALUES (?, ?, ?, ?)`, userID, channel, address, nanos(s.now())); err != nil {
		return fmt.Errorf("link %s: %w", channel, err)
	}
	return s.audit(ctx, tx, actor, "channel.link", u.Name, channel)
}

// UnlinkChannel takes a channel away; what waits to be sent by it is given up.
func (s *Store) UnlinkChannel(ctx context.Context, actor string, userID int64, channel string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userWhere(ctx, tx, "u.id = ?", userID)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM channels WHERE channel = ? AND user_id = ?`, channel, userID)
		if err != nil {
			return fmt.Errorf("unlink %s: %w", channel, err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return refuse(NotFound, "nothing is to be done", "%s is not linked", channel)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'dead', error = 'the channel was unlinked', changed_at = ?
			WHERE user_id = ? AND channel = ? AND state = 'pending'`, nanos(s.now()), userID, channel); err != nil {
			return fmt.Errorf("unlink %s: %w", channel, err)
		}
		return s.audit(ctx, tx, actor, "channel.unlink", u.Name, channel)
	})
}

// Channels lists a person's channels.
func (s *Store) Channels(ctx context.Context, userID int64) ([]Channel, error) {
	return collect(ctx, s.r, scanChannel, channelQuery+` WHERE c.user_id = ? ORDER BY c.channel`, userID)
}

// ChannelOwner finds the person whom an address belongs to.
func (s *Store) ChannelOwner(ctx context.Context, channel, address string) (Channel, error) {
	list, err := collect(ctx, s.r, scanChannel, channelQuery+` WHERE c.channel = ? AND c.address = ? AND u.suspended_at = 0`, channel, address)
	if err == nil && len(list) == 0 {
		err = refuse(NotFound, "link it first", "this %s address is not linked", channel)
	}
	if err != nil {
		return Channel{}, err
	}
	return list[0], nil
}

const channelQuery = `SELECT c.user_id, u.name, c.channel, c.address, c.linked_at, c.least FROM channels c JOIN users u ON u.id = c.user_id`

func scanChannel(rows *sql.Rows) (Channel, error) {
	var c Channel
	var at int64
	err := rows.Scan(&c.UserID, &c.User, &c.Name, &c.Address, &at, &c.Least)
	c.LinkedAt = fromNanos(at)
	return c, err
}

// DeliveryState is how far a delivery got.
type DeliveryState string

// The states. Dead ones are not tried again unless somebody asks.
const (
	Pending DeliveryState = "pending"
	Sending DeliveryState = "sending"
	Sent    DeliveryState = "sent"
	Dead    DeliveryState = "dead"
)

// Delivery is one alert on its way to one person by one channel.
type Delivery struct {
	ID        int64         `json:"id"`
	Alert     Alert         `json:"alert"`
	User      string        `json:"user"`
	Channel   string        `json:"channel"`
	Address   string        `json:"-"` // empty when the person unlinked the channel or was suspended
	State     DeliveryState `json:"state"`
	Attempts  int           `json:"attempts"`
	NextAt    time.Time     `json:"next_at"`
	Error     string        `json:"error,omitempty"`
	ChangedAt time.Time     `json:"changed_at"`
}

const deliveryQuery = `SELECT ` + alertColumns + `, d.id, u.name, d.channel, COALESCE(CASE c.channel WHEN 'email' THEN u.email ELSE c.address END, ''), d.state, d.attempts, d.next_at, d.error, d.changed_at
	FROM deliveries d JOIN alerts a ON a.id = d.alert_id JOIN users u ON u.id = d.user_id
	LEFT JOIN channels c ON c.user_id = d.user_id AND c.channel = d.channel AND u.suspended_at = 0`

func scanDelivery(rows *sql.Rows) (Delivery, error) {
	var d Delivery
	var next, changed int64
	a, err := scanAlert(rows, &d.ID, &d.User, &d.Channel, &d.Address, &d.State, &d.Attempts, &next, &d.Error, &changed)
	d.Alert, d.NextAt, d.ChangedAt = a, fromNanos(next), fromNanos(changed)
	return d, err
}

// RequeueDeliveries puts back what a killed process was sending. The one process that delivers calls it at its start.
func (s *Store) RequeueDeliveries(ctx context.Context) error {
	_, err := s.w.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', next_at = ?, changed_at = ? WHERE state = 'sending'`, nanos(s.now()), nanos(s.now()))
	return err
}

// ClaimDeliveries takes deliveries of a channel that are due, oldest alerts first; one of each person at a time, so that
// a person's alerts come in order. The caller tells how each went.
func (s *Store) ClaimDeliveries(ctx context.Context, channel string, limit int) ([]Delivery, error) {
	var out []Delivery
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		now := nanos(s.now())
		out, err = collect(ctx, tx, scanDelivery, deliveryQuery+` WHERE d.channel = ? AND d.state = 'pending' AND d.next_at <= ? AND d.id = (
			SELECT MIN(e.id) FROM deliveries e WHERE e.user_id = d.user_id AND e.channel = d.channel AND e.state IN ('pending', 'sending'))
			ORDER BY d.id LIMIT ?`, channel, now, limit)
		if err != nil {
			return err
		}
		for i := range out {
			out[i].State = Sending
			out[i].Attempts++
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'sending', attempts = attempts + 1, changed_at = ? WHERE id = ?`, now, out[i].ID); err != nil {
				return fmt.Errorf("claim delivery: %w", err)
			}
		}
		return nil
	})
	return out, err
}

// ClaimTogether takes deliveries of a channel that carries several alerts of a person at once, at most each of them, and
// not sooner than gap after the last one was sent.
func (s *Store) ClaimTogether(ctx context.Context, channel string, gap time.Duration, people, each int) (out [][]Delivery, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		out = nil
		now := s.now()
		users, err := collect(ctx, tx, func(rows *sql.Rows) (v int64, err error) { return v, rows.Scan(&v) },
			`SELECT d.user_id FROM deliveries d WHERE d.channel = ?1 AND d.state = 'pending' AND d.next_at <= ?2 AND d.id = (
			SELECT MIN(e.id) FROM deliveries e WHERE e.user_id = d.user_id AND e.channel = d.channel AND e.state IN ('pending', 'sending'))
			AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.user_id = d.user_id AND e.channel = d.channel AND (e.state = 'sending' OR e.state = 'sent' AND e.changed_at > ?3))
			ORDER BY d.id LIMIT ?4`, channel, nanos(now), nanos(now.Add(-gap)), people)
		if err != nil {
			return err
		}
		for _, u := range users {
			list, err := collect(ctx, tx, scanDelivery, deliveryQuery+` WHERE d.channel = ? AND d.state = 'pending' AND d.user_id = ? ORDER BY d.id LIMIT ?`, channel, u, each)
			if err != nil {
				return err
			}
			for i := range list {
				list[i].State = Sending
				list[i].Attempts++
				if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'sending', attempts = attempts + 1, changed_at = ? WHERE id = ?`, nanos(now), list[i].ID); err != nil {
					return fmt.Errorf("claim delivery: %w", err)
				}
			}
			out = append(out, list)
		}
		return nil
	})
	return out, err
}

// FinishDelivery notes how an attempt ended: sent, dead, or pending with the time of the next one.
func (s *Store) FinishDelivery(ctx context.Context, id int64, state DeliveryState, next time.Time, cause string) error {
	_, err := s.w.ExecContext(ctx, `UPDATE deliveries SET state = ?, next_at = ?, error = ?, changed_at = ? WHERE id = ?`,
		state, nanos(next), cutText(cause, maxAlertTitle), nanos(s.now()), id)
	if err != nil {
		return fmt.Errorf("delivery %d: %w", id, err)
	}
	return nil
}

// RetryDelivery makes a dead delivery pending again.
func (s *Store) RetryDelivery(ctx context.Context, actor string, id int64) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ?, changed_at = ? WHERE id = ? AND state = 'dead'`,
			nanos(s.now()), nanos(s.now()), id)
		if err != nil {
			return fmt.Errorf("delivery %d: %w", id, err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return refuse(NotFound, "look at the list again", "there is no dead delivery %d", id)
		}
		return s.audit(ctx, tx, actor, "delivery.retry", fmt.Sprint(id), "")
	})
}

// Deliveries lists deliveries, newest first; state "" = all.
func (s *Store) Deliveries(ctx context.Context, state DeliveryState, limit int) ([]Delivery, error) {
	return collect(ctx, s.r, scanDelivery, deliveryQuery+` WHERE ? = '' OR d.state = ? ORDER BY d.id DESC LIMIT ?`, state, state, limit)
}

// NextDelivery is when the next delivery of a channel can be claimed; zero = none waits. What waits behind an earlier alert of
// its person does not count.
func (s *Store) NextDelivery(ctx context.Context, channel string) (time.Time, error) {
	var at sql.NullInt64
	err := s.r.QueryRowContext(ctx, `SELECT MIN(d.next_at) FROM deliveries d WHERE d.channel = ? AND d.state = 'pending' AND d.id = (
		SELECT MIN(e.id) FROM deliveries e WHERE e.user_id = d.user_id AND e.channel = d.channel AND e.state IN ('pending', 'sending'))`, channel).Scan(&at)
	return fromNanos(at.Int64), err
}
