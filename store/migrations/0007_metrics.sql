-- Business metrics as their YAML files define them, and tables that an admin paused.

CREATE TABLE metrics (
  path       TEXT PRIMARY KEY,          -- category/name.yml
  definition TEXT NOT NULL,             -- JSON; of a file that could not be read it holds the problem alone
  text       TEXT NOT NULL,             -- the file
  changed_at INTEGER NOT NULL
);
CREATE TRIGGER metrics_access_insert AFTER INSERT ON metrics BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER metrics_access_update AFTER UPDATE ON metrics BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;
CREATE TRIGGER metrics_access_delete AFTER DELETE ON metrics BEGIN UPDATE state SET access_version = access_version + 1, access_changed_at = CAST(unixepoch('subsec') * 1000000000 AS INTEGER); END;

ALTER TABLE tables ADD COLUMN paused_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tables ADD COLUMN paused_by TEXT NOT NULL DEFAULT '';
