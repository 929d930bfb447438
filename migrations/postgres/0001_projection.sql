-- A projection of the event log: all of it can be built again from there. Days and months are those of UTC.

CREATE TABLE interactions (
    event_id    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    kind        text        NOT NULL,
    user_id     bigint,
    subject     text        NOT NULL,
    data        jsonb       NOT NULL,
    -- A key of a partitioned table holds what it is partitioned by; the time of an event never changes.
    PRIMARY KEY (event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX interactions_by_time ON interactions (occurred_at);
CREATE INDEX interactions_by_user ON interactions (user_id, occurred_at) WHERE user_id IS NOT NULL;
CREATE INDEX interactions_by_subject ON interactions (subject, occurred_at);

-- What no month was made for: clocks that were wrong, or a month that could not be made in time.
CREATE TABLE interactions_default PARTITION OF interactions DEFAULT;

-- Makes the partition of the month that a day is in, such as interactions_2026_11, and moves into it what the
-- default one has of it. False if it is there already. Any number of nodes may ask at once. It runs with the rights
-- of who migrated, so that nodes need none to create tables.
CREATE FUNCTION add_interactions_partition(day date) RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path FROM CURRENT
    SET timezone TO 'UTC'
    SET lock_timeout TO '3s'
AS $$
DECLARE
    first     timestamptz := date_trunc('month', day)::timestamptz;
    next      timestamptz := (date_trunc('month', day) + interval '1 month')::timestamptz;
    partition text        := 'interactions_' || to_char(day, 'YYYY_MM');
BEGIN
    IF to_regclass(quote_ident(partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One after the other. A lock of a table, unlike an advisory one, has this session hear of tables made meanwhile.
    LOCK TABLE interactions IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(quote_ident(partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE interactions INCLUDING DEFAULTS INCLUDING INDEXES)', partition);
    LOCK TABLE interactions_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (
             DELETE FROM interactions_default WHERE occurred_at >= %L AND occurred_at < %L RETURNING *
         )
         INSERT INTO %I SELECT * FROM moved',
        first, next, partition);
    EXECUTE format(
        'ALTER TABLE interactions ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, first, next);
    RETURN true;
END
$$;

-- JSON that jsonb cannot hold (an escaped NUL, half a surrogate pair, a number beyond all bounds) is kept as a text.
CREATE FUNCTION jsonb_or_text(document text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN document::jsonb;
EXCEPTION
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN to_jsonb(document);
END
$$;

CREATE TABLE event_totals (
    incarnation uuid   NOT NULL,
    kind        text   NOT NULL,
    count       bigint NOT NULL,
    PRIMARY KEY (incarnation, kind)
);

CREATE TABLE user_daily (
    user_id bigint NOT NULL,
    day     date   NOT NULL,
    kind    text   NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (user_id, day, kind)
);

CREATE INDEX user_daily_by_day ON user_daily (day, kind);

CREATE TABLE post_daily (
    post_id text   NOT NULL,
    day     date   NOT NULL,
    kind    text   NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (post_id, day, kind)
);

CREATE INDEX post_daily_by_day ON post_daily (day, kind);

CREATE TABLE users (
    user_id    bigint NOT NULL PRIMARY KEY,
    username   text   NOT NULL,
    -- The latest event that told of the account; an earlier one that comes late changes nothing.
    last_event uuid   NOT NULL
);

CREATE TABLE posts (
    post_id      text   NOT NULL PRIMARY KEY,
    author_id    bigint NOT NULL REFERENCES users,
    slug         text   NOT NULL,
    title        text   NOT NULL,
    status       text   NOT NULL,
    published_at timestamptz,
    version      bigint NOT NULL
);

CREATE INDEX posts_by_author ON posts (author_id);

-- Who follows whom, for joins. Of the one who is followed nothing else may be known yet, so that
-- only the follower refers to users.
CREATE TABLE follows (
    follower   bigint NOT NULL REFERENCES users,
    followee   bigint NOT NULL,
    -- NULL once it was taken back: the row stays, so that an earlier event that comes late changes nothing.
    since      timestamptz,
    last_event uuid   NOT NULL,
    PRIMARY KEY (follower, followee)
);

CREATE INDEX follows_by_followee ON follows (followee, since) WHERE since IS NOT NULL;

CREATE TABLE projection_cursors (
    incarnation uuid   NOT NULL PRIMARY KEY,
    seq         bigint NOT NULL
);

CREATE TABLE dead_letters (
    event_id    uuid        NOT NULL PRIMARY KEY,
    incarnation uuid        NOT NULL,
    seq         bigint      NOT NULL,
    -- As JSON, in a text: what jsonb cannot hold may be why it is here.
    body        text        NOT NULL,
    reason      text        NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX dead_letters_by_incarnation ON dead_letters (incarnation);
