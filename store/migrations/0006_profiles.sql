-- What is known of tables' values: a profile as readers get it, the joins with other tables, and of tables of many files
-- what each of them brought to it, so that only files that changed are read again.

CREATE TABLE profiles (
  table_id   INTEGER PRIMARY KEY REFERENCES tables (id),
  changed_at INTEGER NOT NULL,
  stale      INTEGER NOT NULL DEFAULT 0,         -- it could not be renewed and tells of older rows
  key        TEXT NOT NULL,                      -- of the files, and of what was asked of them
  links_key  TEXT NOT NULL DEFAULT '',           -- of the related tables' files, too
  stats      TEXT NOT NULL,                      -- JSON
  links      TEXT NOT NULL DEFAULT '[]'          -- JSON
);
CREATE INDEX profiles_changed ON profiles (changed_at);

CREATE TABLE profile_parts (
  table_id INTEGER NOT NULL REFERENCES tables (id),
  key      TEXT NOT NULL,
  state    BLOB NOT NULL,
  PRIMARY KEY (table_id, key)
);
