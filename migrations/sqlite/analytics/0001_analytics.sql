-- A projection of the event log: all of it can be built again from there.

CREATE TABLE interactions (
    event_id    BLOB    NOT NULL PRIMARY KEY,
    occurred_at INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    user_id     INTEGER,
    subject     TEXT    NOT NULL,
    data        TEXT    NOT NULL
) STRICT;

CREATE INDEX interactions_by_time ON interactions (occurred_at);
CREATE INDEX interactions_by_user ON interactions (user_id, occurred_at) WHERE user_id IS NOT NULL;
CREATE INDEX interactions_by_subject ON interactions (subject, occurred_at);

CREATE TABLE event_totals (
    incarnation BLOB    NOT NULL,
    kind        TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (incarnation, kind)
) STRICT, WITHOUT ROWID;

-- Days are UTC, written as 2026-11-21.
CREATE TABLE user_daily (
    day     TEXT    NOT NULL,
    user_id INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (user_id, day, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE post_daily (
    day     TEXT    NOT NULL,
    post_id TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (post_id, day, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    user_id    INTEGER PRIMARY KEY,
    username   TEXT    NOT NULL,
    -- The latest event that told of the account; an earlier one that comes late changes nothing.
    last_event BLOB    NOT NULL
) STRICT;

CREATE TABLE posts (
    post_id      TEXT    NOT NULL PRIMARY KEY,
    author_id    INTEGER NOT NULL REFERENCES users,
    slug         TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    published_at INTEGER,
    version      INTEGER NOT NULL
) STRICT;

CREATE INDEX posts_by_author ON posts (author_id);

CREATE TABLE projection_cursors (
    incarnation BLOB    NOT NULL PRIMARY KEY,
    seq         INTEGER NOT NULL
) STRICT;

CREATE TABLE dead_letters (
    event_id    BLOB    NOT NULL PRIMARY KEY,
    incarnation BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    reason      TEXT    NOT NULL
) STRICT;

CREATE INDEX dead_letters_by_incarnation ON dead_letters (incarnation);
