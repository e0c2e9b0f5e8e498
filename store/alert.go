package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Severity says how much an alert matters.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// AlertState tells a first alert of a condition from its repetitions and its end.
type AlertState string

// The states.
const (
	Fired     AlertState = "fired"
	Repeated  AlertState = "repeated"
	Recovered AlertState = "recovered"
)

// Alert is one message to some people. ID grows with each alert; UID is what a client tells alerts apart by.
type Alert struct {
	ID        int64      `json:"id"`
	UID       string     `json:"uid"`
	Source    string     `json:"source"` // who raised it: system, rule:eva/revenue, script:eva/revenue.py
	Severity  Severity   `json:"severity"`
	State     AlertState `json:"state"`
	Title     string     `json:"title"`
	Message   string     `json:"message"`
	Image     string     `json:"image,omitempty"` // path of a picture below data/images
	Link      string     `json:"link,omitempty"`  // path in the portal
	Script    string     `json:"script,omitempty"`
	Audience  string     `json:"audience"`
	CreatedAt time.Time  `json:"created_at"`
	ReadAt    time.Time  `json:"read_at,omitzero"` // by the person who asks
}

// Audience is whom an alert is for: one of these is set, or User and Groups. Who is suspended gets nothing.
type Audience struct {
	User     string
	Groups   []string
	TableID  int64 // all who switched nothing off and may read the table
	Admins   bool
	Everyone bool
}

func (a Audience) String() string {
	switch {
	case a.User != "" && len(a.Groups) > 0:
		return "user " + a.User + ", group " + strings.Join(a.Groups, ", group ")
	case a.User != "":
		return "user " + a.User
	case len(a.Groups) > 0:
		return "group " + strings.Join(a.Groups, ", group ")
	case a.TableID != 0:
		return "readers of the table"
	case a.Admins:
		return "admins"
	}
	return "everyone"
}

// Raise is a condition that its source found to hold, or to hold no longer.
type Raise struct {
	Source, Dedupe string
	Severity       Severity
	Title, Message string
	Image, Link    string
	Script         string
	To             Audience
	Recovered      bool          // the condition holds no longer; nothing is sent unless it had fired
	Silent         bool          // with Recovered: it ends without a word
	Event          bool          // it has no end: each one outside of the cool-down fires
	Cooldown       time.Duration // between alerts of a condition that goes on; 0 = each time, below 0 = never again until it recovers
}

// Limits of an alert's texts, in bytes. Longer ones are cut at a rune.
const (
	maxAlertTitle   = 300
	maxAlertMessage = 16 << 10
)

// RaiseAlert writes an alert with its recipients and deliveries, or finds that there is nothing to tell: then the alert is nil.
// It is one transaction, so that a kill leaves all of it or nothing, and any process may call it.
func (s *Store) RaiseAlert(ctx context.Context, r Raise) (*Alert, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	var out *Alert
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		out, err = s.raise(ctx, tx, r)
		return err
	})
	return out, err
}

// OpenConditions names the conditions of a source that fired and have not recovered, by their Dedupe.
func (s *Store) OpenConditions(ctx context.Context, source string) (map[string]bool, error) {
	list, err := collect(ctx, s.r, scanText, `SELECT dedupe FROM conditions WHERE source = ? AND open`, source)
	out := make(map[string]bool, len(list))
	for _, d := range list {
		out[d] = true
	}
	return out, err
}

func (r Raise) check() error {
	if r.Source == "" || r.Dedupe == "" || strings.TrimSpace(r.Title+r.Message) == "" && !r.Silent {
		return refuse(Invalid, "give source, dedupe and a title or a message", "an alert is incomplete")
	}
	return nil
}

// raise does RaiseAlert's work in the transaction of what it belongs to.
func (s *Store) raise(ctx context.Context, tx *sql.Tx, r Raise) (*Alert, error) {
	now := s.now().UTC()
	state, err := s.condition(ctx, tx, r, now)
	if err != nil || state == "" || r.Silent {
		return nil, err
	}
	to, err := recipients(ctx, tx, r.To)
	if err != nil {
		return nil, err
	}
	a := Alert{UID: rand.Text(), Source: r.Source, Severity: cmp.Or(r.Severity, Warning), State: state, Title: cutText(r.Title, maxAlertTitle),
		Message: cutText(r.Message, maxAlertMessage), Image: r.Image, Link: r.Link, Script: r.Script, Audience: r.To.String(), CreatedAt: now}
	if a.ID, err = insertAlert(ctx, tx, a, r.Dedupe, to); err != nil {
		return nil, fmt.Errorf("alert of %s: %w", r.Source, err)
	}
	return &a, nil
}

// condition moves the condition on and gives the state of the alert to write; "" = none.
func (s *Store) condition(ctx context.Context, tx *sql.Tx, r Raise, now time.Time) (AlertState, error) {
	var open bool
	var last int64
	err := tx.QueryRowContext(ctx, `SELECT open, last_at FROM conditions WHERE source = ? AND dedupe = ?`, r.Source, r.Dedupe).Scan(&open, &last)
	known := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("condition: %w", err)
	}
	state := Fired
	switch {
	case r.Recovered && !open:
		return "", nil
	case r.Recovered:
		state = Recovered
	case r.Event && known, open:
		if r.Cooldown < 0 || r.Cooldown > 0 && now.Sub(fromNanos(last)) < r.Cooldown {
			_, err := tx.ExecContext(ctx, `UPDATE conditions SET suppressed = suppressed + 1 WHERE source = ? AND dedupe = ?`, r.Source, r.Dedupe)
			return "", err
		}
		if !r.Event {
			state = Repeated
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO conditions (source, dedupe, open, fired_at, last_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (source, dedupe) DO UPDATE SET open = excluded.open, last_at = excluded.last_at, suppressed = 0,
		fired_at = CASE WHEN excluded.open AND NOT open THEN excluded.fired_at ELSE fired_at END`,
		r.Source, r.Dedupe, !r.Recovered && !r.Event, nanos(now), nanos(now))
	return state, err
}

func recipients(ctx context.Context, tx *sql.Tx, a Audience) ([]int64, error) {
	id := func(rows *sql.Rows) (int64, error) {
		var v int64
		return v, rows.Scan(&v)
	}
	switch {
	case a.User != "" || len(a.Groups) > 0:
		return members(ctx, tx, a)
	case a.TableID != 0:
		users, err := collect(ctx, tx, id, `SELECT id FROM users WHERE suspended_at = 0`)
		if err != nil {
			return nil, err
		}
		var out []int64
		for _, u := range users {
			access, err := accessIn(ctx, tx, u)
			if err != nil {
				return nil, err
			}
			if access.CanRead(a.TableID) {
				out = append(out, u)
			}
		}
		return out, nil
	case a.Admins:
		return collect(ctx, tx, id, `SELECT id FROM users WHERE role = 'admin' AND suspended_at = 0`)
	case a.Everyone:
		return collect(ctx, tx, id, `SELECT id FROM users WHERE suspended_at = 0`)
	}
	return nil, refuse(Invalid, "say whom it is for", "an alert has no audience")
}

// members lists a person and the people of groups, each once.
func members(ctx context.Context, tx *sql.Tx, a Audience) (out []int64, err error) {
	add := func(query string, arg any) error {
		ids, err := collect(ctx, tx, func(rows *sql.Rows) (int64, error) {
			var v int64
			return v, rows.Scan(&v)
		}, query, arg)
		for _, id := range ids {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
		return err
	}
	if a.User != "" {
		u, err := userByName(ctx, tx, a.User)
		if err != nil {
			return nil, err
		}
		if err := add(`SELECT id FROM users WHERE id = ? AND suspended_at = 0`, u.ID); err != nil {
			return nil, err
		}
	}
	for _, name := range a.Groups {
		g, err := groupByName(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		if err := add(`SELECT u.id FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = ? AND u.suspended_at = 0`, g.ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func insertAlert(ctx context.Context, tx *sql.Tx, a Alert, dedupe string, to []int64) (int64, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO alerts (uid, source, dedupe, severity, state, title, message, image, link, script, audience, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, a.UID, a.Source, dedupe, a.Severity, a.State, a.Title, a.Message, a.Image, a.Link, a.Script,
		a.Audience, nanos(a.CreatedAt))
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, err
	}
	inbox, err := tx.PrepareContext(ctx, `INSERT INTO alert_inbox (user_id, alert_id) VALUES (?, ?)`)
	if err != nil {
		return 0, err
	}
	defer inbox.Close()
	for _, u := range to {
		if _, err := inbox.ExecContext(ctx, u, id); err != nil {
			return 0, err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deliveries (alert_id, user_id, channel, next_at, changed_at)
		SELECT i.alert_id, i.user_id, c.channel, ?, ? FROM alert_inbox i JOIN channels c ON c.user_id = i.user_id WHERE i.alert_id = ?
		AND c.least <> 'none' AND instr('info warning critical', c.least) <= instr('info warning critical', ?)`,
		nanos(a.CreatedAt), nanos(a.CreatedAt), id, a.Severity)
	return id, err
}

func cutText(s string, limit int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const mark = "..."
	s = s[:limit-len(mark)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + mark
}

const alertColumns = `a.id, a.uid, a.source, a.severity, a.state, a.title, a.message, a.image, a.link, a.script, a.audience, a.created_at`

func scanAlert(rows *sql.Rows, more ...any) (Alert, error) {
	var a Alert
	var created int64
	err := rows.Scan(append([]any{&a.ID, &a.UID, &a.Source, &a.Severity, &a.State, &a.Title, &a.Message, &a.Image, &a.Link, &a.Script, &a.Audience, &created}, more...)...)
	a.CreatedAt = fromNanos(created)
	return a, err
}

// Inbox lists a person's alerts, oldest first, behind the alert with id after.
func (s *Store) Inbox(ctx context.Context, userID, after int64, limit int) ([]Alert, error) {
	return s.inbox(ctx, `i.user_id = ? AND i.alert_id > ? ORDER BY i.alert_id LIMIT ?`, userID, after, limit)
}

// InboxBefore lists a person's alerts, newest first, older than the alert with id before (0 = from the newest).
func (s *Store) InboxBefore(ctx context.Context, userID, before int64, limit int) ([]Alert, error) {
	return s.inbox(ctx, `i.user_id = ? AND i.alert_id < ? ORDER BY i.alert_id DESC LIMIT ?`, userID, olderThan(before), limit)
}

func (s *Store) inbox(ctx context.Context, where string, args ...any) ([]Alert, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (Alert, error) {
		var read int64
		a, err := scanAlert(rows, &read)
		a.ReadAt = fromNanos(read)
		return a, err
	}, `SELECT `+alertColumns+`, i.read_at FROM alert_inbox i JOIN alerts a ON a.id = i.alert_id WHERE `+where, args...)
}

// ReadInbox notes that a person has seen all alerts up to one. Where there is nothing to note, it does not wait for those
// who write.
func (s *Store) ReadInbox(ctx context.Context, userID, upTo int64) error {
	var unread bool
	err := s.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM alert_inbox WHERE user_id = ? AND alert_id <= ? AND read_at = 0)`, userID, upTo).Scan(&unread)
	if err != nil || !unread {
		return err
	}
	_, err = s.w.ExecContext(ctx, `UPDATE alert_inbox SET read_at = ? WHERE user_id = ? AND alert_id <= ? AND read_at = 0`, nanos(s.now()), userID, upTo)
	return err
}

// Unread counts the alerts that a person has not seen.
func (s *Store) Unread(ctx context.Context, userID int64) (n int, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT count(*) FROM alert_inbox WHERE user_id = ? AND read_at = 0`, userID).Scan(&n)
	return n, err
}

// HasImage tells whether a person got an alert with a picture.
func (s *Store) HasImage(ctx context.Context, userID int64, image string) (has bool, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM alert_inbox i JOIN alerts a ON a.id = i.alert_id WHERE i.user_id = ? AND a.image = ?)`, userID, image).Scan(&has)
	return has, err
}

// LastAlert is the id of the newest alert, 0 when there is none.
func (s *Store) LastAlert(ctx context.Context) (id int64, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM alerts`).Scan(&id)
	return id, err
}

// Posted is an alert with the people who got it.
type Posted struct {
	Alert
	Users []int64
}

// PostedAfter lists the alerts behind one, oldest first, with their recipients.
func (s *Store) PostedAfter(ctx context.Context, after int64, limit int) ([]Posted, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer tx.Rollback()
	list, err := collect(ctx, tx, func(rows *sql.Rows) (Posted, error) {
		a, err := scanAlert(rows)
		return Posted{Alert: a}, err
	}, `SELECT `+alertColumns+` FROM alerts a WHERE a.id > ? ORDER BY a.id LIMIT ?`, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Users, err = collect(ctx, tx, func(rows *sql.Rows) (int64, error) {
			var v int64
			return v, rows.Scan(&v)
		}, `SELECT user_id FROM alert_inbox WHERE alert_id = ?`, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// PruneAlerts removes alerts older than a time, with their deliveries.
func (s *Store) PruneAlerts(ctx context.Context, before time.Time) (int64, error) {
	res, err := s.w.ExecContext(ctx, `DELETE FROM alerts WHERE created_at < ? AND NOT EXISTS
		(SELECT 1 FROM deliveries d WHERE d.alert_id = alerts.id AND d.state IN ('pending', 'sending'))`, nanos(before))
	if err != nil {
		return 0, fmt.Errorf("prune alerts: %w", err)
	}
	return res.RowsAffected()
}
