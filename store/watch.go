package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// WatchTable says whether a person wants to be told of new versions of a table. It must be one that the person reads.
func (s *Store) WatchTable(ctx context.Context, userID, tableID int64, on bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		access, err := accessIn(ctx, tx, userID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(access.Tables, func(t Table) bool { return t.ID == tableID })
		if i < 0 {
			return refuse(NotFound, "the catalog has the names", "there is no such table")
		}
		query, action, args := `DELETE FROM table_watches WHERE user_id = ? AND table_id = ?`, "table.unwatch", []any{userID, tableID}
		if on {
			query, action = `INSERT OR IGNORE INTO table_watches (user_id, table_id, told, told_at) VALUES (?1, ?2, (SELECT COALESCE(MAX(valid_from), 0) FROM files WHERE table_id = ?2), 0)`, "table.watch"
		}
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return nil
		}
		return s.audit(ctx, tx, access.User.Name, action, access.Tables[i].FullName(), "")
	})
}

// WatchesTable tells whether a person is told of new versions of a table.
func (s *Store) WatchesTable(ctx context.Context, userID, tableID int64) (on bool, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM table_watches WHERE user_id = ? AND table_id = ?)`, userID, tableID).Scan(&on)
	return on, err
}

// news is a table that has a version which somebody who asked for it does not know of.
type news struct{ user, table, generation int64 }

const newsQuery = `SELECT w.user_id, w.table_id, MAX(f.valid_from) FROM table_watches w JOIN files f ON f.table_id = w.table_id
	WHERE w.told_at <= ? GROUP BY w.user_id, w.table_id HAVING MAX(f.valid_from) > MAX(w.told) ORDER BY w.table_id, w.user_id`

func scanNews(rows *sql.Rows) (n news, err error) {
	return n, rows.Scan(&n.user, &n.table, &n.generation)
}

// RaiseVersions writes an alert for each table with a new version to those who asked for it and may still read it; of one
// table a person hears once in gap, and then of the newest version. It gives how many alerts it wrote.
func (s *Store) RaiseVersions(ctx context.Context, gap time.Duration) (written int, err error) {
	due := nanos(s.now().Add(-gap))
	list, err := collect(ctx, s.r, scanNews, newsQuery, due)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		written = 0
		list, err := collect(ctx, tx, scanNews, newsQuery, due)
		if err != nil {
			return err
		}
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].table == list[0].table {
				n++
			}
			told, err := s.raiseVersion(ctx, tx, list[:n])
			if err != nil {
				return err
			}
			if told {
				written++
			}
			list = list[n:]
		}
		return nil
	})
	return written, err
}

func (s *Store) raiseVersion(ctx context.Context, tx *sql.Tx, list []news) (bool, error) {
	now := s.now().UTC()
	var to []int64
	var t Table
	for _, n := range list {
		access, err := accessIn(ctx, tx, n.user)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(access.Tables, func(t Table) bool { return t.ID == n.table })
		if i < 0 {
			continue
		}
		t = access.Tables[i]
		to = append(to, n.user)
		if _, err := tx.ExecContext(ctx, `UPDATE table_watches SET told = ?, told_at = ? WHERE user_id = ? AND table_id = ?`, n.generation, nanos(now), n.user, n.table); err != nil {
			return false, fmt.Errorf("new version: %w", err)
		}
	}
	if len(to) == 0 {
		return false, nil
	}
	var rows int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(rows), 0) FROM files WHERE table_id = ? AND valid_to IS NULL`, t.ID).Scan(&rows); err != nil {
		return false, fmt.Errorf("new version: %w", err)
	}
	a := Alert{UID: rand.Text(), Source: "system", Severity: Info, State: Fired, Title: "New version of " + t.FullName(), Link: "/catalog/" + url.PathEscape(t.FullName()),
		Message: fmt.Sprintf("Generation %d has it, with %d rows now.", list[0].generation, rows), Audience: "subscribers of the table", CreatedAt: now}
	if _, err := insertAlert(ctx, tx, a, fmt.Sprintf("version %d", t.ID), to); err != nil {
		return false, fmt.Errorf("new version of %s: %w", t.FullName(), err)
	}
	return true, nil
}

// ending is a token that ends, or a desktop app that did.
type ending struct {
	id         int64
	user, name string
	at         int64
}

func scanEnding(rows *sql.Rows) (e ending, err error) {
	return e, rows.Scan(&e.id, &e.user, &e.name, &e.at)
}

// RaiseExpiring tells people, once each, of their API tokens that end within a time, and of their desktop apps that have been
// signed out.
func (s *Store) RaiseExpiring(ctx context.Context, within time.Duration) (written int, err error) {
	tokens, err := s.raiseTokens(ctx, within)
	if err != nil {
		return tokens, err
	}
	apps, err := s.raiseApps(ctx)
	return tokens + apps, err
}

const (
	appSilence = 24 * time.Hour     // after its end an app that runs has exchanged its token long ago
	appGrace   = 7 * 24 * time.Hour // until then it can
)

// raiseApps finds desktop apps that let their token run out, and so get no alerts; an app that runs exchanges it in time.
func (s *Store) raiseApps(ctx context.Context) (written int, err error) {
	now := s.now()
	list, err := collect(ctx, s.r, scanEnding,
		`SELECT t.id, u.name, t.name, t.expires_at FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.kind = ? AND u.suspended_at = 0 AND t.expires_at > ? AND t.expires_at <= ?
		AND NOT EXISTS (SELECT 1 FROM conditions c WHERE c.source = 'system' AND c.dedupe = 'app ' || t.id || ' ' || t.expires_at)`, DeviceToken, nanos(now.Add(-appGrace)), nanos(now.Add(-appSilence)))
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		at := fromNanos(e.at)
		a, err := s.RaiseAlert(ctx, Raise{Source: "system", Dedupe: fmt.Sprintf("app %d %d", e.id, e.at), Severity: Warning, Event: true, Cooldown: -1, To: Audience{User: e.user}, Link: "/account",
			Title: "Your app " + e.name + " gets no alerts", Message: "It was not open when its sign-in ended, at " + at.Format("2006-01-02 15:04 MST") + ". Opened before " +
				at.Add(appGrace).Format("2006-01-02 15:04 MST") + " it goes on by itself; later, link it again."})
		if err != nil {
			return written, err
		}
		if a != nil {
			written++
		}
	}
	return written, nil
}

func (s *Store) raiseTokens(ctx context.Context, within time.Duration) (written int, err error) {
	now := s.now()
	list, err := collect(ctx, s.r, scanEnding,
		`SELECT t.id, u.name, t.name, t.expires_at FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.kind = ? AND u.suspended_at = 0 AND t.expires_at > ? AND t.expires_at <= ?
		AND t.expires_at - t.created_at > ? AND NOT EXISTS (SELECT 1 FROM conditions c WHERE c.source = 'system' AND c.dedupe = 'token ' || t.id)`, APIToken, nanos(now), nanos(now.Add(within)), within)
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		a, err := s.RaiseAlert(ctx, Raise{Source: "system", Dedupe: fmt.Sprintf("token %d", e.id), Severity: Warning, Event: true, Cooldown: -1, To: Audience{User: e.user}, Link: "/account",
			Title: "Your token " + e.name + " ends soon", Message: "It ends at " + fromNanos(e.at).Format("2006-01-02 15:04 MST") + ". Make another one on your account page, and put it in the place of this one."})
		if err != nil {
			return written, err
		}
		if a != nil {
			written++
		}
	}
	return written, nil
}
