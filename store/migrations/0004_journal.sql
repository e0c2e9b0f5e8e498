-- Where each table's sync stands, what it left to be continued, and who is at work on it.

ALTER TABLE files ADD COLUMN partition TEXT NOT NULL DEFAULT '';  -- name of the file within its table's folder; '' = the table is one file
ALTER TABLE files ADD COLUMN key_low BLOB;                        -- bounds of the first key column, comparable as bytes; NULL = not known
ALTER TABLE files ADD COLUMN key_high BLOB;

ALTER TABLE run_tables ADD COLUMN strategy TEXT NOT NULL DEFAULT '';        -- what was done: replace, merge, reconcile, backfill
ALTER TABLE run_tables ADD COLUMN schema_changes TEXT NOT NULL DEFAULT '[]'; -- JSON: [{change, column, from, to, sample}]
ALTER TABLE runs ADD COLUMN owner TEXT NOT NULL DEFAULT '';

-- The journal moves in the transaction of the publish alone. A row tells how far the rows of its generation, and of those
-- after it up to the table's next row, go; a rollback finds what was true then.
CREATE TABLE journal (
  table_id      INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
  generation    INTEGER NOT NULL,
  watermark     INTEGER NOT NULL DEFAULT 0,  -- change times before it have been fetched, by the source's clock
  reconciled_at INTEGER NOT NULL DEFAULT 0,
  shape         TEXT NOT NULL DEFAULT '',    -- of the description that the files follow
  PRIMARY KEY (table_id, generation)
) WITHOUT ROWID;

-- A load that is done in several steps, and the files that its finished steps made. They are in no generation yet.
CREATE TABLE loads (
  table_id   INTEGER PRIMARY KEY REFERENCES tables (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL,                  -- first, backfill
  shape      TEXT NOT NULL,
  since      INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  next       INTEGER NOT NULL,               -- where the first step that is not done begins
  started_at INTEGER NOT NULL,
  base       TEXT NOT NULL DEFAULT ''        -- hashes of the table's files that a backfill began from
);
CREATE TABLE load_files (
  table_id  INTEGER NOT NULL REFERENCES loads (table_id) ON DELETE CASCADE,
  logical   TEXT NOT NULL,
  physical  TEXT NOT NULL,
  size      INTEGER NOT NULL,
  rows      INTEGER NOT NULL,
  hash      TEXT NOT NULL,
  mtime     INTEGER NOT NULL,
  schema    TEXT NOT NULL,
  partition TEXT NOT NULL,
  key_low   BLOB,
  key_high  BLOB,
  PRIMARY KEY (table_id, logical)
) WITHOUT ROWID;
CREATE INDEX load_files_physical ON load_files (physical);

CREATE TABLE leases (
  name  TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  until INTEGER NOT NULL                     -- the owner renews it before
) WITHOUT ROWID;

CREATE TABLE schedule (
  table_id INTEGER PRIMARY KEY REFERENCES tables (id) ON DELETE CASCADE,
  spec     TEXT NOT NULL,
  last_at  INTEGER NOT NULL DEFAULT 0,       -- the planned time that was last acted upon
  failures INTEGER NOT NULL DEFAULT 0,       -- in a row
  retry_at INTEGER NOT NULL DEFAULT 0
);
