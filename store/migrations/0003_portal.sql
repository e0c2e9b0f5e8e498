-- The portal: who is signed in, the links and tokens that let people in, and how often something may be tried.
-- Of every secret only its SHA-256 is kept. Whoever suspends a person or changes their address ends all of these.

ALTER TABLE users ADD COLUMN full_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN signed_in_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  hash       BLOB NOT NULL UNIQUE,
  name       TEXT NOT NULL,                      -- which cookie: a signed-in session, or a sign-in on its way
  user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
  provider   TEXT NOT NULL DEFAULT '',
  data       TEXT NOT NULL DEFAULT '{}',         -- JSON object of strings
  address    TEXT NOT NULL DEFAULT '',
  agent      TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  idle       INTEGER NOT NULL,                   -- nanoseconds without use after which it ends
  expires_at INTEGER NOT NULL                    -- its end whatever the use
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE links (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  hash       BLOB NOT NULL UNIQUE,
  kind       TEXT NOT NULL CHECK (kind IN ('signin', 'admin', 'invite', 'reset', 'enrol', 'desktop')),
  user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
  email      TEXT NOT NULL DEFAULT '',           -- of somebody who has no account yet
  bound      BLOB,                               -- SHA-256 of what the browser or app that asked keeps; NULL = any
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX links_user ON links (user_id);
CREATE INDEX links_expiry ON links (expires_at);

CREATE TABLE passwords (
  user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  hash       TEXT NOT NULL,                      -- argon2id, PHC string format
  changed_at INTEGER NOT NULL
);

CREATE TABLE identities (
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  email      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject),
  UNIQUE (user_id, issuer)
) WITHOUT ROWID;

CREATE TABLE tokens (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  hash           BLOB NOT NULL UNIQUE,
  kind           TEXT NOT NULL CHECK (kind IN ('api', 'device')),
  user_id        INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name           TEXT NOT NULL,
  scopes         TEXT NOT NULL DEFAULT '',       -- words, separated by blanks
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL,
  last_used_at   INTEGER NOT NULL DEFAULT 0,
  last_used_from TEXT NOT NULL DEFAULT ''
);
CREATE INDEX tokens_user ON tokens (user_id);

CREATE TABLE rate_limits (
  name TEXT PRIMARY KEY,
  full INTEGER NOT NULL                          -- when the allowance is whole again
) WITHOUT ROWID;

CREATE TRIGGER users_suspend_portal AFTER UPDATE OF suspended_at ON users WHEN NEW.suspended_at <> 0 BEGIN
  DELETE FROM sessions WHERE user_id = NEW.id;
  DELETE FROM links WHERE user_id = NEW.id;
  DELETE FROM tokens WHERE user_id = NEW.id;
END;
CREATE TRIGGER users_email_portal AFTER UPDATE OF email ON users WHEN COALESCE(NEW.email, '') <> COALESCE(OLD.email, '') BEGIN
  DELETE FROM sessions WHERE user_id = NEW.id;
  DELETE FROM links WHERE user_id = NEW.id AND kind <> 'enrol';
  DELETE FROM identities WHERE user_id = NEW.id;
END;
