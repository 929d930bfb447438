-- Ids are 16 bytes, most significant first, so that they sort by the time that UUIDv7 begins with.
-- Times are milliseconds since the Unix epoch.

CREATE TABLE events (
    id          BLOB    NOT NULL PRIMARY KEY,
    incarnation BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    actor       INTEGER,
    subject     TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    UNIQUE (incarnation, seq)
) STRICT;

CREATE INDEX events_by_subject ON events (subject, time);
CREATE INDEX events_by_actor ON events (actor, time) WHERE actor IS NOT NULL;

-- One row, changed where an append has to force a sync but has nothing to write.
CREATE TABLE forced_syncs (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO forced_syncs (id, count) VALUES (1, 0);
