-- What each channel of a person carries, and who wants to know of new versions of a table.

ALTER TABLE channels ADD COLUMN least TEXT NOT NULL DEFAULT 'info' CHECK (least IN ('info', 'warning', 'critical', 'none'));  -- from this severity on

CREATE TABLE table_watches (
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
  told     INTEGER NOT NULL,                     -- newest generation of the table that the person knows of
  told_at  INTEGER NOT NULL,                     -- when the last alert about it was written
  PRIMARY KEY (user_id, table_id)
) WITHOUT ROWID;
