-- What a connector has under way at its source, so that a run that was cut short does not begin it anew.
CREATE TABLE source_jobs (
  table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
  key      TEXT NOT NULL,     -- what was asked for, as the connector names it
  job      TEXT NOT NULL,     -- the source's name of the job
  begun_at INTEGER NOT NULL,
  PRIMARY KEY (table_id, key)
) WITHOUT ROWID;
