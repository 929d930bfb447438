-- Who follows whom, for joins. Of the one who is followed nothing else may be known yet, so that
-- only the follower refers to users.
CREATE TABLE follows (
    follower   INTEGER NOT NULL REFERENCES users,
    followee   INTEGER NOT NULL,
    -- NULL once it was taken back: the row stays, so that an earlier event that comes late changes nothing.
    since      INTEGER,
    last_event BLOB    NOT NULL,
    PRIMARY KEY (follower, followee)
) STRICT, WITHOUT ROWID;

CREATE INDEX follows_by_followee ON follows (followee, since) WHERE since IS NOT NULL;
