-- Alert rules: a rule is a file in its author's home; here is what came of it.

CREATE TABLE rules (
  user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,                      -- of the file, without its ending
  timing     TEXT NOT NULL DEFAULT '',           -- the schedule that next_at and seen_at belong to
  query      TEXT NOT NULL DEFAULT '',           -- the SQL that result and previous belong to
  next_at    INTEGER NOT NULL DEFAULT 0,         -- planned run, 0 = none by the clock
  seen_at    INTEGER NOT NULL DEFAULT 0,         -- newest sync of its table that was acted upon
  ran_at     INTEGER NOT NULL DEFAULT 0,
  outcome    TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'holds', 'clear', 'unknown', 'failed')),
  problem    TEXT NOT NULL DEFAULT '',           -- why it failed or is not known, for its author
  data       TEXT NOT NULL DEFAULT '',           -- which data result is of
  result     TEXT NOT NULL DEFAULT '',           -- JSON: rows and value
  previous   TEXT NOT NULL DEFAULT '',           -- the result over the data before
  held_since INTEGER NOT NULL DEFAULT 0,         -- since when the condition holds, 0 = it does not
  PRIMARY KEY (user_id, name)
) WITHOUT ROWID;

CREATE TABLE rule_runs (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name     TEXT NOT NULL,
  at       INTEGER NOT NULL,
  duration INTEGER NOT NULL,                     -- nanoseconds
  outcome  TEXT NOT NULL,
  result   TEXT NOT NULL DEFAULT '',
  problem  TEXT NOT NULL DEFAULT '',
  told     TEXT NOT NULL DEFAULT ''              -- state of the alert that was sent, '' = none
);
CREATE INDEX rule_runs_rule ON rule_runs (user_id, name, id);

CREATE TABLE rule_groups (                       -- groups that an author's rules may send to
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  PRIMARY KEY (user_id, group_id)
) WITHOUT ROWID;
CREATE INDEX rule_groups_group ON rule_groups (group_id);
