-- Times are UTC Unix nanoseconds, 0 = never. Names compare without case where people type them.

CREATE TABLE state (
  id                INTEGER PRIMARY KEY CHECK (id = 1),
  access_version    INTEGER NOT NULL DEFAULT 1,  -- grows with every change of who may read what
  access_changed_at INTEGER NOT NULL DEFAULT 0
);
INSERT INTO state (id) VALUES (1);

CREATE TABLE users (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL UNIQUE COLLATE NOCASE,
  email        TEXT UNIQUE,                      -- normal form: trimmed, lower case
  role         TEXT NOT NULL CHECK (role IN ('analyst', 'private', 'admin')),
  created_at   INTEGER NOT NULL,
  suspended_at INTEGER NOT NULL DEFAULT 0,
  last_sync_at INTEGER NOT NULL DEFAULT 0,
  table_mode   TEXT NOT NULL DEFAULT 'all' CHECK (table_mode IN ('all', 'explicit'))
);

CREATE TABLE keys (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  fingerprint    TEXT NOT NULL UNIQUE,           -- SHA256:...
  type           TEXT NOT NULL,
  public         TEXT NOT NULL,                  -- type and base64 blob
  comment        TEXT NOT NULL DEFAULT '',
  created_at     INTEGER NOT NULL,
  last_used_at   INTEGER NOT NULL DEFAULT 0,
  last_used_from TEXT NOT NULL DEFAULT ''
);
CREATE INDEX keys_user ON keys (user_id);

CREATE TABLE groups (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE
);

CREATE TABLE group_members (
  group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
CREATE INDEX group_members_user ON group_members (user_id);

CREATE TABLE datasets (
  name        TEXT PRIMARY KEY,
  access      TEXT NOT NULL CHECK (access IN ('open', 'private', 'restricted')),
  optional    INTEGER NOT NULL DEFAULT 0,
  requires    TEXT NOT NULL DEFAULT '',
  label       TEXT NOT NULL DEFAULT '',
  description TEXT NOT NULL DEFAULT '',
  size_hint   TEXT NOT NULL DEFAULT ''
);

CREATE TABLE grants (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset    TEXT NOT NULL,
  user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
  group_id   INTEGER REFERENCES groups (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  CHECK ((user_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX grants_user ON grants (user_id, dataset) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX grants_group ON grants (group_id, dataset) WHERE group_id IS NOT NULL;

CREATE TABLE subscriptions (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  dataset TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  PRIMARY KEY (user_id, dataset)
) WITHOUT ROWID;

CREATE TABLE table_subscriptions (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  table_name TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  PRIMARY KEY (user_id, table_name)
) WITHOUT ROWID;

CREATE TABLE tables (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  source_id   TEXT NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  folder      TEXT NOT NULL,
  dataset     TEXT NOT NULL,
  definition  TEXT NOT NULL,                     -- JSON: description, keys, columns, strategy
  created_at  INTEGER NOT NULL,
  removed_at  INTEGER NOT NULL DEFAULT 0,
  fingerprint TEXT NOT NULL DEFAULT '',          -- of the source's bytes at the last publish
  data_time   INTEGER NOT NULL DEFAULT 0,        -- as of when the source's rows are
  synced_at   INTEGER NOT NULL DEFAULT 0         -- last sync that succeeded, changed or not
);
CREATE UNIQUE INDEX tables_place ON tables (folder, name) WHERE removed_at = 0;

CREATE TABLE generations (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  created_at  INTEGER NOT NULL,
  run_id      INTEGER NOT NULL DEFAULT 0,
  rollback_of INTEGER NOT NULL DEFAULT 0,
  note        TEXT NOT NULL DEFAULT '',
  swept       INTEGER NOT NULL DEFAULT 0         -- its files may be gone
);

CREATE TABLE files (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  table_id   INTEGER NOT NULL REFERENCES tables (id),
  logical    TEXT NOT NULL,                      -- path under parquet/, as readers see it
  physical   TEXT NOT NULL,                      -- path under lake/
  size       INTEGER NOT NULL,
  rows       INTEGER NOT NULL,
  hash       TEXT NOT NULL,                      -- SHA-256 of the bytes, hex
  mtime      INTEGER NOT NULL,
  schema     TEXT NOT NULL,                      -- JSON: [{name, type}]
  valid_from INTEGER NOT NULL REFERENCES generations (id),
  valid_to   INTEGER                             -- first generation without this file; NULL = still in
);
CREATE UNIQUE INDEX files_live ON files (logical) WHERE valid_to IS NULL;
CREATE INDEX files_table ON files (table_id, valid_from);
CREATE INDEX files_to ON files (valid_to) WHERE valid_to IS NOT NULL;
CREATE INDEX files_physical ON files (physical);

CREATE TABLE runs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  trigger     TEXT NOT NULL,
  started_at  INTEGER NOT NULL,
  finished_at INTEGER NOT NULL DEFAULT 0,
  outcome     TEXT NOT NULL DEFAULT 'running'    -- running, done, partial, failed, interrupted
);

CREATE TABLE run_tables (
  run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  table_id    INTEGER NOT NULL REFERENCES tables (id),
  outcome     TEXT NOT NULL,                     -- changed, unchanged, failed
  reason      TEXT NOT NULL DEFAULT '',
  rows        INTEGER NOT NULL DEFAULT 0,
  bytes       INTEGER NOT NULL DEFAULT 0,
  quarantined INTEGER NOT NULL DEFAULT 0,
  warnings    TEXT NOT NULL DEFAULT '[]',
  generation  INTEGER NOT NULL DEFAULT 0,
  data_time   INTEGER NOT NULL DEFAULT 0,
  started_at  INTEGER NOT NULL,
  duration    INTEGER NOT NULL,                  -- nanoseconds
  PRIMARY KEY (run_id, table_id)
) WITHOUT ROWID;
CREATE INDEX run_tables_table ON run_tables (table_id, run_id);

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail  TEXT NOT NULL DEFAULT ''
);

-- Every change of who may read what moves access_version, in the same transaction, whoever makes it.
CREATE TRIGGER users_access_insert AFTER INSERT ON users BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER users_access_update AFTER UPDATE OF name, role, suspended_at, table_mode ON users BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER users_access_delete AFTER DELETE ON users BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER keys_access_insert AFTER INSERT ON keys BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER keys_access_update AFTER UPDATE OF user_id, fingerprint ON keys BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER keys_access_delete AFTER DELETE ON keys BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER groups_access_insert AFTER INSERT ON groups BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER groups_access_update AFTER UPDATE ON groups BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER groups_access_delete AFTER DELETE ON groups BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER group_members_access_insert AFTER INSERT ON group_members BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER group_members_access_update AFTER UPDATE ON group_members BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER group_members_access_delete AFTER DELETE ON group_members BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER datasets_access_insert AFTER INSERT ON datasets BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER datasets_access_update AFTER UPDATE ON datasets BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER datasets_access_delete AFTER DELETE ON datasets BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER grants_access_insert AFTER INSERT ON grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER grants_access_update AFTER UPDATE ON grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER grants_access_delete AFTER DELETE ON grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER subscriptions_access_insert AFTER INSERT ON subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER subscriptions_access_update AFTER UPDATE ON subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER subscriptions_access_delete AFTER DELETE ON subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER table_subscriptions_access_insert AFTER INSERT ON table_subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER table_subscriptions_access_update AFTER UPDATE ON table_subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER table_subscriptions_access_delete AFTER DELETE ON table_subscriptions BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER tables_access_insert AFTER INSERT ON tables BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER tables_access_update AFTER UPDATE OF name, folder, dataset, removed_at, definition ON tables BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER tables_access_delete AFTER DELETE ON tables BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
