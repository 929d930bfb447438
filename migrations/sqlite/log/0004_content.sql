-- Post ids are 24 hex digits in lower case, which sort as their bytes do.

CREATE TABLE posts (
    id        TEXT    NOT NULL PRIMARY KEY,
    author_id INTEGER NOT NULL,
    status    TEXT    NOT NULL,
    slug      TEXT    NOT NULL UNIQUE,
    document  TEXT    NOT NULL,
    -- The last event about the post, whole, and its id.
    event_id  BLOB    NOT NULL,
    event     TEXT    NOT NULL
) STRICT;

CREATE INDEX posts_by_author ON posts (author_id, id);
CREATE INDEX posts_by_status ON posts (status, id);
CREATE INDEX posts_by_event ON posts (event_id);

CREATE TABLE post_tags (
    tag     TEXT NOT NULL,
    post_id TEXT NOT NULL REFERENCES posts ON DELETE CASCADE,
    PRIMARY KEY (tag, post_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX post_tags_by_post ON post_tags (post_id);

-- A post and its tags are written by one statement, which is one step for whoever waits to write.
CREATE TRIGGER tag_new_posts AFTER INSERT ON posts BEGIN
    INSERT OR IGNORE INTO post_tags (tag, post_id)
    SELECT value, NEW.id FROM json_each(NEW.document, '$.tags');
END;
