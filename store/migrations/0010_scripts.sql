-- How the runs of people's notification scripts went.

CREATE TABLE scripts (
  user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name     TEXT NOT NULL,                        -- file name
  ran_at   INTEGER NOT NULL,
  took     INTEGER NOT NULL,                     -- nanoseconds
  error    TEXT NOT NULL,                        -- of the last run; '' = it went well
  sent_at  INTEGER NOT NULL DEFAULT 0,
  cooldown INTEGER NOT NULL DEFAULT 0,           -- nanoseconds, as the script said when it was sent last
  PRIMARY KEY (user_id, name)
) WITHOUT ROWID;

CREATE INDEX alerts_image ON alerts (image) WHERE image <> '';
