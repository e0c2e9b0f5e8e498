-- The outbox of alerts. An alert is written once, with who gets it and by which channel, in one transaction; everything
-- after that reads it from here.

CREATE TABLE alerts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows: clients go on behind the last one they saw
  uid        TEXT NOT NULL UNIQUE,               -- what clients tell alerts apart by
  source     TEXT NOT NULL,                      -- who raised it
  dedupe     TEXT NOT NULL,                      -- which condition of the source
  severity   TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  state      TEXT NOT NULL CHECK (state IN ('fired', 'repeated', 'recovered')),
  title      TEXT NOT NULL,
  message    TEXT NOT NULL,
  image      TEXT NOT NULL DEFAULT '',
  link       TEXT NOT NULL DEFAULT '',
  script     TEXT NOT NULL DEFAULT '',
  audience   TEXT NOT NULL,                      -- whom it was for, in words
  created_at INTEGER NOT NULL
);
CREATE INDEX alerts_created ON alerts (created_at);

CREATE TABLE alert_inbox (
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
  read_at  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, alert_id)
) WITHOUT ROWID;
CREATE INDEX alert_inbox_alert ON alert_inbox (alert_id);

CREATE TABLE conditions (
  source     TEXT NOT NULL,
  dedupe     TEXT NOT NULL,
  open       INTEGER NOT NULL,                   -- it holds: fired and not recovered
  fired_at   INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,                   -- last alert that was written for it
  suppressed INTEGER NOT NULL DEFAULT 0,         -- since then
  PRIMARY KEY (source, dedupe)
) WITHOUT ROWID;

CREATE TABLE channels (
  user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  channel   TEXT NOT NULL,
  address   TEXT NOT NULL,                       -- Telegram: the chat's id
  linked_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, channel),
  UNIQUE (channel, address)
) WITHOUT ROWID;

CREATE TABLE deliveries (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  alert_id   INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
  user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  channel    TEXT NOT NULL,
  state      TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'dead')),
  attempts   INTEGER NOT NULL DEFAULT 0,
  next_at    INTEGER NOT NULL,
  error      TEXT NOT NULL DEFAULT '',
  changed_at INTEGER NOT NULL,
  UNIQUE (alert_id, user_id, channel)
);
CREATE INDEX deliveries_due ON deliveries (channel, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_open ON deliveries (state) WHERE state IN ('sending', 'dead');
CREATE INDEX deliveries_user ON deliveries (user_id);
