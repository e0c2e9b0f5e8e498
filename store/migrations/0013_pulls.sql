-- When people pulled: one row for each complete transfer, as the home page draws them.

CREATE TABLE pulls (
  id      INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  at      INTEGER NOT NULL
);
CREATE INDEX pulls_user ON pulls (user_id, at);
