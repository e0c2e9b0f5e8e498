package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Rule is an alert rule as its author and the portal see it: the file in the author's home, what is wrong with it, and how
// it fared.
type Rule struct {
	Name      string    `json:"name"` // of the file, without its ending
	File      string    `json:"file"` // name of the file in user/notifications
	Label     string    `json:"label,omitempty"`
	Text      string    `json:"text,omitempty"` // YAML
	Hash      string    `json:"hash,omitempty"` // of the text
	Condition string    `json:"condition,omitempty"`
	Timing    string    `json:"timing,omitempty"` // in words
	Severity  Severity  `json:"severity,omitempty"`
	Enabled   bool      `json:"enabled"`
	Problems  []string  `json:"problems,omitempty"` // of the file, each with line and column
	State     RuleState `json:"state"`
}

// RuleOutcome is how a run of a rule ended.
type RuleOutcome string

// The outcomes. An unknown one could not be decided, for example as there is nothing yet to compare with.
const (
	RuleHolds   RuleOutcome = "holds"
	RuleClear   RuleOutcome = "clear"
	RuleUnknown RuleOutcome = "unknown"
	RuleFailed  RuleOutcome = "failed"
)

// RuleResult is what is kept of a query's result: the number of rows, and the first value of the first row.
type RuleResult struct {
	Rows  int `json:"rows"`
	Value any `json:"value"` // nil, float64 or string
}

// RuleState is what is remembered of a rule between its runs.
type RuleState struct {
	UserID    int64       `json:"-"`
	Name      string      `json:"-"`
	Timing    string      `json:"-"`
	Query     string      `json:"-"`
	NextAt    time.Time   `json:"next_at,omitzero"`
	SeenAt    time.Time   `json:"-"`
	RanAt     time.Time   `json:"ran_at,omitzero"`
	Outcome   RuleOutcome `json:"outcome,omitempty"`
	Problem   string      `json:"problem,omitempty"`
	Data      string      `json:"-"`
	Result    *RuleResult `json:"result,omitempty"`
	Previous  *RuleResult `json:"previous,omitempty"`
	HeldSince time.Time   `json:"held_since,omitzero"`
}

// RuleRun is one run of a rule.
type RuleRun struct {
	At       time.Time     `json:"at"`
	Duration time.Duration `json:"duration"`
	Outcome  RuleOutcome   `json:"outcome"`
	Result   *RuleResult   `json:"result,omitempty"`
	Problem  string        `json:"problem,omitempty"`
	Told     AlertState    `json:"told,omitempty"`
}

// Took is how long the run took, as people read it.
func (r RuleRun) Took() string { return r.Duration.Round(time.Millisecond).String() }

// RulePreview is what a rule would do now.
type RulePreview struct {
	Problems  []string    `json:"problems,omitempty"`
	Columns   []string    `json:"columns,omitempty"`
	Rows      [][]string  `json:"rows,omitempty"`
	Count     int         `json:"count"`
	More      bool        `json:"more,omitempty"` // than Rows shows
	Outcome   RuleOutcome `json:"outcome,omitempty"`
	Why       string      `json:"why,omitempty"` // the outcome in words
	Title     string      `json:"title,omitempty"`
	Message   string      `json:"message,omitempty"`
	Recipient string      `json:"recipient,omitempty"`
}

// RuleStates gives what is remembered of a person's rules, by name; userID 0 = of everybody's.
func (s *Store) RuleStates(ctx context.Context, userID int64) ([]RuleState, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (RuleState, error) {
		var r RuleState
		var next, seen, ran, held int64
		var result, previous string
		err := rows.Scan(&r.UserID, &r.Name, &r.Timing, &r.Query, &next, &seen, &ran, &r.Outcome, &r.Problem, &r.Data, &result, &previous, &held)
		r.NextAt, r.SeenAt, r.RanAt, r.HeldSince = fromNanos(next), fromNanos(seen), fromNanos(ran), fromNanos(held)
		r.Result, r.Previous = resultOf(result), resultOf(previous)
		return r, err
	}, `SELECT user_id, name, timing, query, next_at, seen_at, ran_at, outcome, problem, data, result, previous, held_since
		FROM rules WHERE ?1 = 0 OR user_id = ?1 ORDER BY user_id, name`, userID)
}

func resultOf(text string) *RuleResult {
	var r RuleResult
	if text == "" || json.Unmarshal([]byte(text), &r) != nil {
		return nil
	}
	return &r
}

func resultText(r *RuleResult) (string, error) {
	if r == nil {
		return "", nil
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// SetRule writes what is remembered of a rule, as when it is first seen or planned anew.
func (s *Store) SetRule(ctx context.Context, r RuleState) error {
	return s.write(ctx, func(tx *sql.Tx) error { return setRule(ctx, tx, r) })
}

func setRule(ctx context.Context, tx *sql.Tx, r RuleState) error {
	result, err := resultText(r.Result)
	if err != nil {
		return fmt.Errorf("rule %s: %w", r.Name, err)
	}
	previous, err := resultText(r.Previous)
	if err != nil {
		return fmt.Errorf("rule %s: %w", r.Name, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO rules (user_id, name, timing, query, next_at, seen_at, ran_at, outcome, problem, data, result, previous, held_since)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.UserID, r.Name, r.Timing, r.Query, nanos(r.NextAt), nanos(r.SeenAt), nanos(r.RanAt), r.Outcome,
		cutText(r.Problem, maxAlertMessage), r.Data, result, previous, nanos(r.HeldSince)); err != nil {
		return fmt.Errorf("rule %s: %w", r.Name, err)
	}
	return nil
}

// ruleRunsKept is how many runs of a rule are remembered.
const ruleRunsKept = 100

// FinishRule notes a run of a rule together with what it tells people, all of it or nothing: a kill repeats the run and
// doubles no alert. It gives the state of the alert about the condition itself, "" = none was sent.
func (s *Store) FinishRule(ctx context.Context, r RuleState, run RuleRun, raise []Raise) (told AlertState, err error) {
	for _, one := range raise {
		if err := one.check(); err != nil {
			return "", err
		}
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		told = ""
		for _, one := range raise {
			a, err := s.raise(ctx, tx, one)
			if err != nil {
				return err
			}
			if a != nil && one.Dedupe == RuleCondition {
				told = a.State
			}
		}
		if err := setRule(ctx, tx, r); err != nil {
			return err
		}
		result, err := resultText(run.Result)
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO rule_runs (user_id, name, at, duration, outcome, result, problem, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			r.UserID, r.Name, nanos(run.At), run.Duration, run.Outcome, result, cutText(run.Problem, maxAlertMessage), told); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM rule_runs WHERE user_id = ?1 AND name = ?2 AND id <= (
			SELECT id FROM rule_runs WHERE user_id = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`, r.UserID, r.Name, ruleRunsKept); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		return nil
	})
	return told, err
}

// The conditions of a rule's source: what the rule watches, and whether the rule itself works.
const (
	RuleCondition = "condition"
	RuleBroken    = "broken"
)

// RuleSource is what a rule's alerts come from.
func RuleSource(user, name string) string { return "rule:" + user + "/" + name }

// ForgetRule drops what is remembered of a rule that is switched off, and with gone, as its file is, its runs too. What it
// had told of ends without a word.
func (s *Store) ForgetRule(ctx context.Context, userID int64, user, name string, gone bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for _, query := range []string{`DELETE FROM rules WHERE user_id = ?1 AND name = ?2`, `DELETE FROM rule_runs WHERE user_id = ?1 AND name = ?2 AND ?4`, `DELETE FROM conditions WHERE source = ?3`} {
			if _, err := tx.ExecContext(ctx, query, userID, name, RuleSource(user, name), gone); err != nil {
				return fmt.Errorf("rule %s: %w", name, err)
			}
		}
		return nil
	})
}

// RuleRuns lists the newest runs of a rule first.
func (s *Store) RuleRuns(ctx context.Context, userID int64, name string, limit int) ([]RuleRun, error) {
	return collect(ctx, s.r, func(rows *sql.Rows) (RuleRun, error) {
		var r RuleRun
		var at int64
		var result string
		err := rows.Scan(&at, &r.Duration, &r.Outcome, &result, &r.Problem, &r.Told)
		r.At, r.Result = fromNanos(at), resultOf(result)
		return r, err
	}, `SELECT at, duration, outcome, result, problem, told FROM rule_runs WHERE user_id = ? AND name = ? ORDER BY id DESC LIMIT ?`, userID, name, limit)
}

// AllowRuleGroup says whether a person's rules may send to a group.
func (s *Store) AllowRuleGroup(ctx context.Context, actor, user, group string, on bool) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, user)
		if err != nil {
			return err
		}
		g, err := groupByName(ctx, tx, group)
		if err != nil {
			return err
		}
		query, action := `DELETE FROM rule_groups WHERE user_id = ? AND group_id = ?`, "rule.group.forbid"
		if on {
			query, action = `INSERT OR IGNORE INTO rule_groups (user_id, group_id) VALUES (?, ?)`, "rule.group.allow"
		}
		res, err := tx.ExecContext(ctx, query, u.ID, g.ID)
		if err != nil {
			return fmt.Errorf("rules of %s to %s: %w", user, group, err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			return nil
		}
		return s.audit(ctx, tx, actor, action, u.Name, "group "+g.Name)
	})
}

// RuleGroups lists the groups that a person's rules may send to.
func (s *Store) RuleGroups(ctx context.Context, userID int64) ([]string, error) {
	return names(ctx, s.r, `SELECT g.name FROM rule_groups r JOIN groups g ON g.id = r.group_id WHERE r.user_id = ? ORDER BY g.name`, userID)
}

// RuleAuthors lists the people whose rules may send to a group.
func (s *Store) RuleAuthors(ctx context.Context, group string) ([]string, error) {
	return names(ctx, s.r, `SELECT u.name FROM rule_groups r JOIN groups g ON g.id = r.group_id JOIN users u ON u.id = r.user_id WHERE g.name = ? ORDER BY u.name`, group)
}

func names(ctx context.Context, q querier, query string, args ...any) ([]string, error) {
	return collect(ctx, q, func(rows *sql.Rows) (string, error) {
		var v string
		return v, rows.Scan(&v)
	}, query, args...)
}

// AuditRule notes that a person changed a rule's file in the portal.
func (s *Store) AuditRule(ctx context.Context, actor, action, name string) error {
	return s.write(ctx, func(tx *sql.Tx) error { return s.audit(ctx, tx, actor, "rule."+action, name, "") })
}

// SyncTimes gives when each table was last synced, changed or not, by the table's id.
func (s *Store) SyncTimes(ctx context.Context) (map[int64]time.Time, error) {
	type pair struct{ id, at int64 }
	list, err := collect(ctx, s.r, func(rows *sql.Rows) (pair, error) {
		var p pair
		return p, rows.Scan(&p.id, &p.at)
	}, `SELECT id, synced_at FROM tables WHERE removed_at = 0`)
	out := make(map[int64]time.Time, len(list))
	for _, p := range list {
		out[p.id] = fromNanos(p.at)
	}
	return out, err
}
