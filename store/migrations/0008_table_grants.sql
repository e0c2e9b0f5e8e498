-- Grants on single tables, beside those on whole datasets. They go with the table itself, not with its name: another table that
-- takes the name later is not granted by it.

CREATE TABLE table_grants (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  table_id   INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
  user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
  group_id   INTEGER REFERENCES groups (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  CHECK ((user_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX table_grants_user ON table_grants (user_id, table_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX table_grants_group ON table_grants (group_id, table_id) WHERE group_id IS NOT NULL;
CREATE INDEX table_grants_table ON table_grants (table_id);

CREATE TRIGGER table_grants_access_insert AFTER INSERT ON table_grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER table_grants_access_update AFTER UPDATE ON table_grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER table_grants_access_delete AFTER DELETE ON table_grants BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
