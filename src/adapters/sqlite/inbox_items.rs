//! What inboxes list: rows that were put there, and posts of followed authors,
//! which are found among the posts when they are asked for.

use sqlx::{Error, FromRow};

use crate::domain::event::Actor;
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{Notification, NotificationKind};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;

use super::content::SqliteContent;
use super::database::unreadable;
use super::stored;

/// The later end of a span that lasts.
macro_rules! span_end {
    () => {
        "coalesce(s.until, 9223372036854775807)"
    };
}

/// What a row needs to be listed as a post of an author.
macro_rules! visible {
    ($post:literal) => {
        concat!(
            $post,
            ".removed = 0 AND ",
            $post,
            ".status = 'published' AND ",
            $post,
            ".published_event IS NOT NULL"
        )
    };
}

/// Up to when the user `?1` read everything.
macro_rules! read_through {
    () => {
        "coalesce((SELECT read_through FROM inboxes WHERE user_id = ?1), 0)"
    };
}

/// The list of an inbox, where `$stored` and `$posted` restrict the two parts and
/// no post was published before `$floor`.
///
/// Posts are merged from the spans in which their authors were followed: a queue
/// holds the next post of each span, the latest is taken, and the next one of its
/// span takes its place. So one post is read for each span, and one for each that is listed.
macro_rules! list {
    ($floor:expr, $stored:expr, $posted:expr) => {
        concat!(
            "WITH RECURSIVE posted (at, id, post, author, since) AS (
                SELECT p.sort_at, p.published_event, p.rowid, s.followee, s.since
                FROM follow_spans AS s CROSS JOIN posts AS p
                WHERE s.follower = ?1 AND p.rowid = (
                    SELECT q.rowid FROM posts AS q
                    WHERE q.author_id = s.followee AND ",
            visible!("q"),
            "         AND q.sort_at >= max(s.since, ",
            $floor,
            "         ) AND (q.sort_at, q.published_event) < (min(?2, ",
            span_end!(),
            "         ), iif(",
            span_end!(),
            "         <= ?2, x'', ?3)) ",
            $posted,
            "       ORDER BY q.sort_at DESC, q.published_event DESC LIMIT 1)
                  AND NOT EXISTS (SELECT 1 FROM muted WHERE user_id = ?1 AND kind = 'posted')
                UNION ALL
                SELECT p.sort_at, p.published_event, p.rowid, s.author, s.since
                FROM posted AS s CROSS JOIN posts AS p
                WHERE p.rowid = (
                    SELECT q.rowid FROM posts AS q
                    WHERE q.author_id = s.author AND ",
            visible!("q"),
            "         AND q.sort_at >= max(s.since, ",
            $floor,
            "         ) AND (q.sort_at, q.published_event) < (s.at, s.id) ",
            $posted,
            "       ORDER BY q.sort_at DESC, q.published_event DESC LIMIT 1)
                ORDER BY 1 DESC, 2 DESC
                LIMIT ?5
            )
            SELECT n.user_id AS recipient, n.created_at, n.event_id, n.kind, n.actor_id,
                   n.actor_name, n.post_id, n.comment_id,
                   n.is_read OR n.created_at <= ",
            read_through!(),
            "      AS is_read,
                   coalesce((n.created_at, n.event_id) <= (i.seen_at, i.seen_id), 0) AS is_seen
            FROM notifications AS n LEFT JOIN inboxes AS i ON i.user_id = n.user_id
            WHERE n.user_id = ?1 AND (n.created_at, n.event_id) < (?2, ?3) ",
            $stored,
            " AND NOT EXISTS (SELECT 1 FROM muted AS m WHERE m.user_id = ?1 AND m.kind = n.kind)
            UNION ALL
            SELECT ?1, s.at, s.id, 'posted', p.author_id, p.author_name, p.id, NULL,
                   s.at <= ",
            read_through!(),
            "      OR EXISTS (SELECT 1 FROM read_marks WHERE user_id = ?1 AND event_id = s.id),
                   coalesce((s.at, s.id) <= (i.seen_at, i.seen_id), 0)
            FROM posted AS s CROSS JOIN posts AS p ON p.rowid = s.post
            LEFT JOIN inboxes AS i ON i.user_id = ?1
            ORDER BY 2 DESC, 3 DESC LIMIT ?5"
        )
    };
}

pub(super) const LIST: &str = list!("?4", "", "");

pub(super) const LIST_UNREAD: &str = list!(
    concat!("?4, 1 + ", read_through!()),
    concat!("AND n.is_read = 0 AND n.created_at > ", read_through!()),
    "AND NOT EXISTS (
         SELECT 1 FROM read_marks WHERE user_id = ?1 AND event_id = q.published_event)"
);

pub(super) const ITEMS: &str = concat!(
    "SELECT n.user_id AS recipient, n.created_at, n.event_id, n.kind, n.actor_id, n.actor_name,
            n.post_id, n.comment_id,
            n.is_read OR n.created_at <= coalesce(i.read_through, 0) AS is_read,
            coalesce((n.created_at, n.event_id) <= (i.seen_at, i.seen_id), 0) AS is_seen
     FROM json_each(?1) AS w CROSS JOIN notifications AS n
     LEFT JOIN inboxes AS i ON i.user_id = n.user_id
     WHERE n.user_id = w.value ->> 0 AND n.event_id = unhex(w.value ->> 1)
       AND NOT EXISTS (SELECT 1 FROM muted AS m WHERE m.user_id = n.user_id AND m.kind = n.kind)
     UNION ALL
     SELECT s.follower, p.sort_at, p.published_event, 'posted', p.author_id, p.author_name,
            p.id, NULL,
            p.sort_at <= coalesce(i.read_through, 0) OR EXISTS (
                SELECT 1 FROM read_marks AS r
                WHERE r.user_id = s.follower AND r.event_id = p.published_event),
            coalesce((p.sort_at, p.published_event) <= (i.seen_at, i.seen_id), 0)
     FROM json_each(?1) AS w CROSS JOIN posts AS p CROSS JOIN follow_spans AS s
     LEFT JOIN inboxes AS i ON i.user_id = s.follower
     WHERE p.published_event = unhex(w.value ->> 1) AND p.sort_at >= ?2 AND ",
    visible!("p"),
    "  AND s.follower = w.value ->> 0 AND s.followee = p.author_id
       AND s.since <= p.sort_at AND p.sort_at < ",
    span_end!(),
    "  AND NOT EXISTS (SELECT 1 FROM muted WHERE user_id = s.follower AND kind = 'posted')"
);

/// The version grows with what happens to the inbox itself and with every post of
/// an author whom the user ever followed; as nothing forgets a follow, it never falls.
pub(super) const STATES: &str = concat!(
    "SELECT w.value,
            coalesce(i.version, 0) + coalesce((
                SELECT sum(c.changes) FROM follows AS f
                CROSS JOIN user_counts AS c ON c.user_id = f.followee
                WHERE f.follower = w.value), 0),
            coalesce((
                SELECT sum(c.unread) FROM unread_counts AS c
                WHERE c.user_id = w.value AND NOT EXISTS (
                    SELECT 1 FROM muted AS m WHERE m.user_id = c.user_id AND m.kind = c.kind)), 0)
            + iif(EXISTS (SELECT 1 FROM muted WHERE user_id = w.value AND kind = 'posted'), 0, (
                SELECT count(*) FROM follow_spans AS s CROSS JOIN posts AS p
                WHERE s.follower = w.value AND p.author_id = s.followee AND ",
    visible!("p"),
    "             AND p.sort_at >= max(s.since, ?2, coalesce(i.read_through, 0) + 1)
                  AND p.sort_at < ",
    span_end!(),
    "             AND NOT EXISTS (
                      SELECT 1 FROM read_marks AS r
                      WHERE r.user_id = w.value AND r.event_id = p.published_event)))
     FROM json_each(?1) AS w LEFT JOIN inboxes AS i ON i.user_id = w.value"
);

/// An item as the statements above give it.
#[derive(FromRow)]
pub(super) struct ItemRow {
    recipient: i64,
    created_at: i64,
    event_id: Vec<u8>,
    kind: String,
    actor_id: i64,
    actor_name: String,
    post_id: Option<String>,
    comment_id: Option<String>,
    is_read: bool,
    is_seen: bool,
}

impl ItemRow {
    fn read(self) -> Result<Notification, Error> {
        let kind = NotificationKind::parse(&self.kind);
        Ok(Notification {
            id: EventId(stored::uuid(&self.event_id)?),
            r#type: kind.ok_or_else(|| unreadable(format_args!("{:?} is no kind", self.kind)))?,
            actor: Actor { id: UserId(self.actor_id), username: self.actor_name },
            post_id: self.post_id.map(|id| id.parse()).transpose().map_err(unreadable)?,
            comment_id: self.comment_id.map(|id| id.parse()).transpose().map_err(unreadable)?,
            created_at: Timestamp::from_millis(self.created_at),
            read: self.is_read,
            seen: self.is_seen,
        })
    }
}

impl SqliteContent {
    /// The items of one inbox.
    pub(super) async fn listed(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, Error> {
        let id = after.and_then(|after| after.id.parse::<EventId>().ok());
        let rows: Vec<ItemRow> = sqlx::query_as(if unread_only { LIST_UNREAD } else { LIST })
            .bind(user.0)
            .bind(after.map_or(i64::MAX, |after| after.at.as_millis()))
            .bind(id.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default())
            .bind(self.horizon())
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        rows.into_iter().map(ItemRow::read).collect()
    }

    /// Items of any inboxes, by recipient and id.
    pub(super) async fn listed_among(
        &self,
        wanted: &[(UserId, EventId)],
    ) -> Result<Vec<(UserId, Notification)>, Error> {
        let pairs = wanted.iter().map(|(user, event)| (user.0, stored::hex(event.0)));
        let rows: Vec<ItemRow> = sqlx::query_as(ITEMS)
            .bind(stored::rows(pairs)?)
            .bind(self.horizon())
            .fetch_all(self.db.readers())
            .await?;
        rows.into_iter().map(|row| Ok((UserId(row.recipient), row.read()?))).collect()
    }
}
