-- Posts that change, marks, follows, comments and inboxes.
--
-- Every write is one statement where that is possible; triggers keep the counts with it. Tables whose rows
-- are read by the parts of their key have no row id, which saves one tree to write to.

-- Small columns come first: what stands behind a long document is found by walking all its pages.
CREATE TABLE posts_now (
    id              TEXT    NOT NULL PRIMARY KEY,
    author_id       INTEGER NOT NULL,
    author_name     TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    removed         INTEGER NOT NULL,
    -- When it was published; for what never was, when it was created.
    sort_at         INTEGER NOT NULL,
    -- The event that told followers of it; NULL for what never was published.
    published_event BLOB,
    event_id        BLOB    NOT NULL,
    slug            TEXT    NOT NULL UNIQUE,
    document        TEXT    NOT NULL,
    -- The last event about the post, whole.
    event           TEXT    NOT NULL
) STRICT;

INSERT INTO posts_now
SELECT id, author_id, document ->> '$.author.username', status, 0,
       CAST(round(1000 * unixepoch(
           coalesce(document ->> '$.published_at', document ->> '$.created_at'), 'subsec'
       )) AS INTEGER),
       CASE WHEN event ->> '$.kind' = 'post.published' THEN event_id END,
       event_id, slug, document, event
FROM posts;

DROP TABLE post_tags;
DROP TABLE posts;
ALTER TABLE posts_now RENAME TO posts;

CREATE INDEX posts_by_status ON posts (status, sort_at, id) WHERE removed = 0;
CREATE INDEX posts_by_author ON posts (author_id, status, sort_at, id) WHERE removed = 0;
CREATE INDEX posts_by_event ON posts (event_id);
-- What inboxes list is sorted by the event.
CREATE INDEX posts_for_followers ON posts (author_id, sort_at, published_event)
    WHERE removed = 0 AND status = 'published' AND published_event IS NOT NULL;
CREATE INDEX posts_by_published_event ON posts (published_event) WHERE published_event IS NOT NULL;

CREATE TABLE post_tags (
    tag     TEXT    NOT NULL,
    status  TEXT    NOT NULL,
    sort_at INTEGER NOT NULL,
    post_id TEXT    NOT NULL REFERENCES posts ON DELETE CASCADE,
    PRIMARY KEY (tag, status, sort_at, post_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX post_tags_by_post ON post_tags (post_id);

INSERT OR IGNORE INTO post_tags (tag, status, sort_at, post_id)
SELECT t.value, p.status, p.sort_at, p.id FROM posts AS p, json_each(p.document, '$.tags') AS t;

CREATE TRIGGER tag_new_posts AFTER INSERT ON posts WHEN NEW.removed = 0 BEGIN
    INSERT OR IGNORE INTO post_tags (tag, status, sort_at, post_id)
    SELECT value, NEW.status, NEW.sort_at, NEW.id FROM json_each(NEW.document, '$.tags');
END;

CREATE TRIGGER tag_changed_posts AFTER UPDATE OF removed, status, sort_at, document ON posts BEGIN
    DELETE FROM post_tags WHERE post_id = NEW.id;
    INSERT OR IGNORE INTO post_tags (tag, status, sort_at, post_id)
    SELECT value, NEW.status, NEW.sort_at, NEW.id FROM json_each(NEW.document, '$.tags')
    WHERE NEW.removed = 0;
END;

-- Apart from the posts, so that a like does not rewrite a long document.
CREATE TABLE post_counts (
    post_id   TEXT    NOT NULL PRIMARY KEY,
    likes     INTEGER NOT NULL DEFAULT 0,
    comments  INTEGER NOT NULL DEFAULT 0,
    views     INTEGER NOT NULL DEFAULT 0,
    shares    INTEGER NOT NULL DEFAULT 0,
    bookmarks INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE user_counts (
    user_id   INTEGER PRIMARY KEY,
    followers INTEGER NOT NULL DEFAULT 0,
    following INTEGER NOT NULL DEFAULT 0,
    -- How often a post of the user became visible to followers, or ceased to be. Only grows.
    changes   INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO user_counts (user_id, changes)
SELECT author_id, count(*) FROM posts
WHERE removed = 0 AND status = 'published' AND published_event IS NOT NULL GROUP BY author_id;

CREATE TRIGGER count_new_posts AFTER INSERT ON posts
WHEN NEW.removed = 0 AND NEW.status = 'published' AND NEW.published_event IS NOT NULL BEGIN
    INSERT INTO user_counts (user_id, changes) VALUES (NEW.author_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET changes = changes + 1;
END;

CREATE TRIGGER count_changed_posts
AFTER UPDATE OF removed, status, sort_at, published_event ON posts
WHEN (OLD.removed, OLD.status, OLD.sort_at, OLD.published_event)
     IS NOT (NEW.removed, NEW.status, NEW.sort_at, NEW.published_event) BEGIN
    INSERT INTO user_counts (user_id, changes) VALUES (NEW.author_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET changes = changes + 1;
END;

CREATE TABLE post_marks (
    post_id  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    user_id  INTEGER NOT NULL,
    -- Tells marks of one kind apart where a user sets several: the event of a share, the hour of a view.
    slot     TEXT    NOT NULL,
    is_on    INTEGER NOT NULL,
    -- The last event about the mark, whole, and its id.
    event_id BLOB    NOT NULL,
    event    TEXT    NOT NULL,
    PRIMARY KEY (post_id, kind, user_id, slot)
) STRICT, WITHOUT ROWID;

CREATE INDEX post_marks_by_event ON post_marks (event_id);

CREATE TRIGGER count_new_marks AFTER INSERT ON post_marks WHEN NEW.is_on = 1 BEGIN
    INSERT INTO post_counts (post_id, likes, bookmarks, shares, views)
    VALUES (NEW.post_id, NEW.kind = 'like', NEW.kind = 'bookmark', NEW.kind = 'share', NEW.kind = 'view')
    ON CONFLICT (post_id) DO UPDATE
    SET likes = likes + excluded.likes, bookmarks = bookmarks + excluded.bookmarks,
        shares = shares + excluded.shares, views = views + excluded.views;
END;

CREATE TRIGGER count_changed_marks AFTER UPDATE OF is_on ON post_marks
WHEN NEW.is_on <> OLD.is_on BEGIN
    INSERT INTO post_counts (post_id, likes, bookmarks, shares, views)
    VALUES (NEW.post_id, (NEW.is_on - OLD.is_on) * (NEW.kind = 'like'),
            (NEW.is_on - OLD.is_on) * (NEW.kind = 'bookmark'),
            (NEW.is_on - OLD.is_on) * (NEW.kind = 'share'),
            (NEW.is_on - OLD.is_on) * (NEW.kind = 'view'))
    ON CONFLICT (post_id) DO UPDATE
    SET likes = likes + excluded.likes, bookmarks = bookmarks + excluded.bookmarks,
        shares = shares + excluded.shares, views = views + excluded.views;
END;

CREATE TABLE follows (
    follower INTEGER NOT NULL,
    followee INTEGER NOT NULL,
    is_on    INTEGER NOT NULL,
    -- Since when it is on, or off.
    since    INTEGER NOT NULL,
    event_id BLOB    NOT NULL,
    event    TEXT    NOT NULL,
    PRIMARY KEY (follower, followee)
) STRICT, WITHOUT ROWID;

CREATE INDEX follows_by_followee ON follows (followee, since, follower) WHERE is_on = 1;
CREATE INDEX follows_by_follower ON follows (follower, since, followee) WHERE is_on = 1;
CREATE INDEX follows_by_event ON follows (event_id);

-- From when until when someone followed an author. Spans of a pair never overlap, so that a post lies within
-- one at most; their posts stay in the inbox of whoever follows no more.
CREATE TABLE follow_spans (
    follower INTEGER NOT NULL,
    followee INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    -- NULL while it lasts.
    until    INTEGER,
    PRIMARY KEY (follower, followee, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE inboxes (
    user_id      INTEGER PRIMARY KEY,
    version      INTEGER NOT NULL,
    -- Everything that happened until then was read.
    read_through INTEGER NOT NULL DEFAULT 0,
    -- The last item that was listed.
    seen_at      INTEGER NOT NULL DEFAULT 0,
    seen_id      BLOB    NOT NULL DEFAULT x'',
    -- The last event by which the user read something.
    event_id     BLOB,
    event        TEXT
) STRICT;

CREATE INDEX inboxes_by_event ON inboxes (event_id) WHERE event_id IS NOT NULL;

-- A view as a place for the triggers of both ways in which a follow begins or ends.
CREATE VIEW follow_turns AS SELECT follower, followee, is_on, since FROM follows;

CREATE TRIGGER turn_new_follows AFTER INSERT ON follows WHEN NEW.is_on = 1 BEGIN
    INSERT INTO follow_turns VALUES (NEW.follower, NEW.followee, 1, NEW.since);
END;

CREATE TRIGGER turn_changed_follows AFTER UPDATE OF is_on ON follows
WHEN NEW.is_on <> OLD.is_on BEGIN
    INSERT INTO follow_turns VALUES (NEW.follower, NEW.followee, NEW.is_on, NEW.since);
END;

CREATE TRIGGER count_turns INSTEAD OF INSERT ON follow_turns BEGIN
    INSERT INTO user_counts (user_id, followers) VALUES (NEW.followee, 2 * NEW.is_on - 1)
    ON CONFLICT (user_id) DO UPDATE SET followers = followers + excluded.followers;
    INSERT INTO user_counts (user_id, following) VALUES (NEW.follower, 2 * NEW.is_on - 1)
    ON CONFLICT (user_id) DO UPDATE SET following = following + excluded.following;
    INSERT INTO inboxes (user_id, version) VALUES (NEW.follower, 1)
    ON CONFLICT (user_id) DO UPDATE SET version = version + 1;
    -- A span begins where the last one ended, if the clock says that it began before.
    INSERT INTO follow_spans (follower, followee, since)
    SELECT NEW.follower, NEW.followee, max(NEW.since, coalesce(max(until), NEW.since))
    FROM follow_spans WHERE follower = NEW.follower AND followee = NEW.followee
    HAVING NEW.is_on = 1
    ON CONFLICT (follower, followee, since) DO UPDATE SET until = NULL;
    UPDATE follow_spans SET until = NEW.since
    WHERE follower = NEW.follower AND followee = NEW.followee AND until IS NULL AND NEW.is_on = 0;
    DELETE FROM follow_spans
    WHERE follower = NEW.follower AND followee = NEW.followee AND until <= since;
END;

CREATE TABLE comments (
    id         TEXT    NOT NULL PRIMARY KEY,
    post_id    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    removed    INTEGER NOT NULL,
    event_id   BLOB    NOT NULL,
    document   TEXT    NOT NULL,
    -- The last event about the comment, whole.
    event      TEXT    NOT NULL
) STRICT;

CREATE INDEX comments_by_post ON comments (post_id, created_at, id) WHERE removed = 0;
CREATE INDEX comments_by_event ON comments (event_id);

CREATE TRIGGER count_new_comments AFTER INSERT ON comments WHEN NEW.removed = 0 BEGIN
    INSERT INTO post_counts (post_id, comments) VALUES (NEW.post_id, 1)
    ON CONFLICT (post_id) DO UPDATE SET comments = comments + 1;
END;

CREATE TRIGGER count_changed_comments AFTER UPDATE OF removed ON comments
WHEN NEW.removed <> OLD.removed BEGIN
    INSERT INTO post_counts (post_id, comments) VALUES (NEW.post_id, OLD.removed - NEW.removed)
    ON CONFLICT (post_id) DO UPDATE SET comments = comments + excluded.comments;
END;

CREATE TABLE notifications (
    user_id    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    event_id   BLOB    NOT NULL,
    kind       TEXT    NOT NULL,
    actor_id   INTEGER NOT NULL,
    actor_name TEXT    NOT NULL,
    post_id    TEXT,
    comment_id TEXT,
    -- What it is about, for kinds that are told once; NULL for the others.
    once       TEXT,
    is_read    INTEGER NOT NULL,
    PRIMARY KEY (user_id, created_at, event_id),
    UNIQUE (user_id, event_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX notifications_told_once ON notifications (user_id, kind, actor_id, once)
    WHERE once IS NOT NULL;

-- Counted, as an inbox may hold a million. What `read_through` covers is not counted, whatever `is_read` says.
CREATE TABLE unread_counts (
    user_id INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    unread  INTEGER NOT NULL,
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER count_new_notifications AFTER INSERT ON notifications BEGIN
    INSERT INTO unread_counts (user_id, kind, unread) VALUES (NEW.user_id, NEW.kind, 1 - NEW.is_read)
    ON CONFLICT (user_id, kind) DO UPDATE SET unread = unread + excluded.unread;
    INSERT INTO inboxes (user_id, version) VALUES (NEW.user_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER count_read_notifications AFTER UPDATE OF is_read ON notifications BEGIN
    UPDATE unread_counts SET unread = unread + OLD.is_read - NEW.is_read
    WHERE user_id = NEW.user_id AND kind = NEW.kind;
END;

-- Posts by others that were read one by one.
CREATE TABLE read_marks (
    user_id  INTEGER NOT NULL,
    event_id BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (user_id, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE preferences (
    user_id  INTEGER PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

-- Kinds of notifications that a user does not want, as the preferences say.
CREATE TABLE muted (
    user_id INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;
