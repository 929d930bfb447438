CREATE TABLE incarnations (
    id         BLOB    NOT NULL PRIMARY KEY,
    opened_at  INTEGER NOT NULL,
    relay_seq  INTEGER NOT NULL,
    -- The last epoch that a relay of this incarnation was recorded in.
    last_epoch TEXT,
    closed     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX open_incarnations ON incarnations (id) WHERE closed = 0;

CREATE TABLE positions (
    channel    TEXT    NOT NULL,
    epoch      TEXT    NOT NULL,
    "offset"   INTEGER NOT NULL,
    event      BLOB    NOT NULL,
    event_time INTEGER NOT NULL,
    PRIMARY KEY (channel, epoch, "offset")
) STRICT, WITHOUT ROWID;

-- One row: how often a node was started on this file.
CREATE TABLE runs (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO runs (id, count) VALUES (1, 0);
