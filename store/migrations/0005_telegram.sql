CREATE TABLE link_codes (
  channel    TEXT NOT NULL,
  code       TEXT NOT NULL,                      -- SHA-256, hex
  address    TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (channel, code),
  UNIQUE (channel, address)
) WITHOUT ROWID;

CREATE TABLE link_attempts (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  at      INTEGER NOT NULL
);
CREATE INDEX link_attempts_user ON link_attempts (user_id, at);

CREATE TABLE cursors (                           -- how far a service has read what is outside
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
